"""The deliberately bad decoders are exactly as bad as they say."""

import pytest
import torch

from decoders.cascade import Cascade, Resize
from decoders.faults import Flat, Shifted
from decoders.spaces import SPACES
from qa import images
from qa.errors import UsageError
from qa.traits import check_knobs, remark, traits
from qa.types import DecodeRequest, Knobs


class Ramp:
    """Pixels that say where they are."""

    space = SPACES["mini"]
    digest = "ramp"
    licence = "Apache-2.0"
    knobs = frozenset()

    def decode(self, requests):
        return [torch.arange(one.width).expand(3, one.height, one.width) / 100 for one in requests]


def request(height: int, width: int) -> DecodeRequest:
    return DecodeRequest("a", 0, "", height, width, torch.randn(16, 1, 1))


def test_flat_is_grey_whatever_the_latent():
    flat = Flat("mini")
    first, second = flat.decode([request(3, 5), request(1, 1)])
    assert (first == 0.5).all()
    assert list(first.shape) == [3, 3, 5]
    assert list(second.shape) == [3, 1, 1]
    assert first.dtype == torch.float32
    assert set(images.quantise(first).picture.unique().tolist()) == {128}
    assert flat.space == SPACES["mini"]


@pytest.mark.parametrize(
    ("by", "width", "expected"),
    [(1, 5, [0, 0, 1, 2, 3]), (2, 5, [0, 0, 0, 1, 2]), (1, 1, [0]), (9, 3, [0, 0, 0])],
)
def test_shifted_moves_right_and_repeats_the_edge(by, width, expected):
    (pixels,) = Shifted(Ramp(), by).decode([request(2, width)])
    assert (pixels[0, 0] * 100).round().int().tolist() == expected
    assert list(pixels.shape) == [3, 2, width]


def test_digests_tell_the_faults_apart():
    faults = [Flat("mini"), Flat("mini", 0.25), Flat("sd1"), Shifted(Ramp()), Shifted(Ramp(), 2)]
    assert len({fault.digest for fault in faults} | {Ramp.digest}) == 6
    assert Shifted(Ramp()).space == Ramp.space
    assert Shifted(Ramp()).licence == Ramp.licence


def test_a_fault_without_effect_is_refused():
    with pytest.raises(UsageError, match="moves nothing"):
        Shifted(Ramp(), 0)
    with pytest.raises(UsageError, match="no grey"):
        Flat("mini", 2.0)


class Picky:
    """Says everything that a decoder can say about itself."""

    space, knobs, licence, digest = SPACES["mini"], frozenset({"steps"}), "test", "picky"
    scale, size, needs_prompt, notes = 4, None, True, ("a note",)

    def check_knobs(self, knobs):
        if knobs.steps == 5:
            raise UsageError("5 steps: there are 1 to 4")

    def remark(self, request):
        return f"seen {request.width}x{request.height}"

    def decode(self, requests):
        return [torch.zeros(3, r.height, r.width) for r in requests]


@pytest.mark.parametrize("wrap", [Shifted, lambda inner: Cascade(inner, Resize(scale=2))])
def test_a_wrapped_decoder_is_still_heard(wrap):
    decoder = wrap(Picky())
    told = traits(decoder)
    assert told.notes == ("a note",)
    assert told.needs_prompt
    assert told.scale == (8 if isinstance(decoder, Cascade) else 4)
    check_knobs(decoder, Knobs(steps=4))
    with pytest.raises(UsageError, match="there are 1 to 4"):
        check_knobs(decoder, Knobs(steps=5))
    request = DecodeRequest("s", 0, "c", 63, 127)
    seen = "seen 64x32" if isinstance(decoder, Cascade) else "seen 127x63"
    assert remark(decoder, request) == seen
    assert remark(Flat("mini"), request) == ""
