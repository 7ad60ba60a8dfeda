"""Decode and encode with an AutoencoderKL, exactly, in a fraction of the usual memory.

An AutoencoderKL is a chain of 3×3 convolutions, each of which sees three rows, and of GroupNorms,
each of which sees the whole picture:

    h = conv₁(silu(norm₁(x)))      y = x + conv₂(silu(norm₂(h)))      norm(x) = γ (x−μ)/√(σ²+ε) + β

with μ and σ² over all rows and columns of a group of channels. Once μ and σ² are known, a GroupNorm
is local, and so is everything between two of them: a *segment*. It runs over one *stripe* of full
rows after another; a convolution keeps the last two rows of a stripe for the next one, so that no
row is computed twice and none sees a border that is not the picture's. A GroupNorm therefore costs
one more *pass* over the rows, which measures the *moments* of its input, and what comes out is the
untiled result but for rounding: sums are taken in another order, and some weights are summed before
they are rounded (in float32 1e-5 apart at most). Nothing is blended, there are no seams, and every
size works.

A pass either keeps what it computes or throws it away, and a later pass computes it again. Of each
residual block,

    x   is kept if it fits; the upsampled map, the widest of all, does not, and is computed in each
        of the three passes from the map of half its size (as four 2×2 convolutions instead of one
        3×3 at four times the pixels: 4/9 of the work)
    h   is kept if it fits beside x, and else computed twice
    y   is kept, and takes the room of x row by row

so that the floor F is the largest y: the last block's, 128 channels at full resolution for FLUX.
In units of F = 512 MiB (a float32 decode to 1024×1024), tensors alive at the same time:

    untiled                   x 2, norm₁(x) 2, silu 2              6 F
    a budget of 2 F           map ½, h 1, stripes ½                2 F
    the usual budget, 1¼ F    y 1, stripes ¼                       1¼ F

Weights, input and output come on top in every row, and so does what a convolution library takes
while it works: in proportion to the map untiled, to the stripe here.

stripes.py    maps as stripes, kept or computed again
layers.py     layers that are fed stripe after stripe
moments.py    what a GroupNorm must know
passes.py     which pass keeps what; the public functions
structure.py  is this network one that the passes know?
"""

from decoders.exact.passes import decode, encode
from decoders.exact.structure import check

__all__ = ["check", "decode", "encode"]
