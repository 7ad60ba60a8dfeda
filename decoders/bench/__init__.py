"""How fast and in how much memory decoders run, once it is shown that they compute the same.

A *row* is a system at a size and a batch, run in one *way*: precision, whose kernels, how the
sampler's steps are run, tiled or not. The *plain* way is float32, PyTorch's operations, eager,
untiled, one picture; it is compared with float64, and every other way with it, on the same inputs
and in the same run. What is further away than its precision allows is not timed.

    seconds  of a picture: median, 20th and 80th percentile of rounds in which ways take turns
    memory   what a call needs above the weights, its inputs included
    FLOP     of the plain way, whatever the way; a share is FLOP / seconds / ceiling
    ceiling  a large matrix product in the row's precision, and for single operations the copy of a
             large tensor, on the same device in the same run

ways.py        ways, and what puts one in force
systems.py     the systems: how each is built, what one call is, which sizes it can do
parity.py      the comparison that comes first
measure.py     seconds, memory, FLOP, ceilings
operations.py  single operations of decoders.kernels
parts.py       where time goes
run.py         all of it, top to bottom
document.py    the file of a device, and how runs are merged into it
table.py       the file as tables
published.py   figures of the paper, shown beside ours
__main__.py    python -m decoders.bench, where neither Hydra nor anything else is installed
"""
