"""A reduced picture is made of exact means, and the encoder inside sees nothing else."""

from fractions import Fraction

import pytest
import torch
from toys import Pool

from decoders.reduced import Reduced, reduce
from qa.errors import UsageError
from qa.types import Latent, Sample


def picture(height: int, width: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


class Seen:
    """An encoder that keeps what it was shown."""

    space, digest = Pool().space, "seen"

    def latent(self, sample, picture):
        self.picture = picture
        return Latent(torch.zeros(3, 1, 1), 0.25)


def by_fractions(values, by: int):
    """The definition in exact arithmetic; Python rounds halves to even as well."""
    channels, height, width = values.shape
    rows, columns = -(-height // by), -(-width // by)
    result = torch.zeros(channels, rows, columns, dtype=torch.uint8)
    table = values.tolist()
    for c in range(channels):
        for y in range(rows):
            for x in range(columns):
                block = [
                    table[c][min(y * by + dy, height - 1)][min(x * by + dx, width - 1)]
                    for dy in range(by)
                    for dx in range(by)
                ]
                result[c, y, x] = round(Fraction(sum(block), by * by))
    return result


@pytest.mark.parametrize("by", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (8, 24), (7, 9), (13, 5)], ids=str)
def test_every_value_is_the_exact_mean_of_its_block(by, size):
    before = picture(*size)
    assert torch.equal(reduce(before, by), by_fractions(before, by))


def test_halves_go_to_the_even_value():
    blocks = torch.tensor([[0, 1], [1, 0]], dtype=torch.uint8)  # mean 1/2
    assert reduce(blocks.expand(3, 2, 2), 2).unique().tolist() == [0]
    assert reduce((blocks + 1).expand(3, 2, 2), 2).unique().tolist() == [2]


def test_constant_blocks_come_back_exactly_and_shifted_ones_do_not():
    small = picture(5, 6)
    large = small.repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert torch.equal(reduce(large, 4), small)
    assert not torch.equal(reduce(large.roll(1, 2), 4), small)
    assert not torch.equal(large[:, ::4, ::4].roll(1, 1), small)


def test_the_encoder_sees_the_reduced_picture_and_its_latent_is_passed_on():
    seen = Seen()
    reduced = Reduced(seen, 4)
    before = picture(30, 17)
    latent = reduced.latent(Sample("a"), before)
    assert torch.equal(seen.picture, reduce(before, 4))
    assert list(seen.picture.shape) == [3, 8, 5]
    assert latent.sigma == 0.25
    reduced.latent(Sample("a"), None)
    assert seen.picture is None


def test_scales_multiply_and_digests_differ():
    inner = Pool()
    reduced = Reduced(inner, 4)
    assert (reduced.space, reduced.scale) == (inner.space, 4)
    assert Reduced(reduced, 2).scale == 8
    digests = {inner.digest, reduced.digest, Reduced(inner, 2).digest, Reduced(Seen(), 4).digest}
    assert len(digests) == 4
    with pytest.raises(UsageError, match="no reduction"):
        Reduced(inner, 0)
