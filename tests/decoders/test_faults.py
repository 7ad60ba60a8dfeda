"""The deliberately bad decoders are exactly as bad as they say."""

import pytest
import torch

from decoders.cascade import Cascade, Resize
from decoders.faults import Blurred, Flat, Jpeg, Shifted
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
    faults = [
        Flat("mini"), Flat("mini", 0.25), Flat("sd1"), Shifted(Ramp()), Shifted(Ramp(), 2),
        Blurred(Ramp()), Blurred(Ramp(), 4), Jpeg(Ramp()), Jpeg(Ramp(), 31),
    ]  # fmt: skip
    assert len({fault.digest for fault in faults} | {Ramp.digest}) == 10
    assert Shifted(Ramp()).space == Ramp.space
    assert Shifted(Ramp()).licence == Ramp.licence


def test_a_fault_without_effect_is_refused():
    with pytest.raises(UsageError, match="moves nothing"):
        Shifted(Ramp(), 0)
    with pytest.raises(UsageError, match="no grey"):
        Flat("mini", 2.0)
    with pytest.raises(UsageError, match="blurs nothing"):
        Blurred(Ramp(), 1)
    with pytest.raises(UsageError, match="none of JPEG"):
        Jpeg(Ramp(), 0)


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


@pytest.mark.parametrize(
    "wrap", [Shifted, Blurred, Jpeg, lambda inner: Cascade(inner, Resize(scale=2))]
)
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


class Checks:
    """A checkerboard of single pixels over the left half, one bright square on the right."""

    space, knobs, licence, digest = SPACES["mini"], frozenset(), "Apache-2.0", "checks"

    def decode(self, requests):
        made = []
        for one in requests:
            rows, columns = torch.meshgrid(
                torch.arange(one.height), torch.arange(one.width), indexing="ij"
            )
            board = ((rows + columns) % 2).float() * (columns < one.width // 2)
            square = ((rows // 8 == 1) & (columns // 8 == one.width // 8 - 2)).float()
            made.append((board + square).expand(3, -1, -1).clone())
        return made


@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_blurred_takes_detail_away_and_leaves_levels(size):
    clean, blurred = (
        decoder.decode([request(*size)])[0] for decoder in (Checks(), Blurred(Checks(), 2))
    )
    assert blurred.shape == clean.shape
    left = (slice(None), slice(4, -4), slice(4, size[1] // 2 - 4))
    assert clean[left].std() > 0.49
    assert blurred[left].std() < 0.1
    assert blurred[left].mean() == pytest.approx(0.5, abs=0.02)
    centre = (0, 11, 8 * (size[1] // 8 - 2) + 3)
    assert blurred[centre] == pytest.approx(1.0, abs=0.05)


def test_more_blur_leaves_less():
    class Noise(Checks):
        def decode(self, requests):
            return [torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))]

    def detail(decoder):
        (pixels,) = decoder.decode([request(64, 64)])
        return float((pixels[:, :, 1:] - pixels[:, :, :-1]).abs().mean())

    found = [detail(Noise()), *(detail(Blurred(Noise(), by)) for by in (1.5, 2, 4))]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.2 * found[0]


def test_jpeg_rounds_clamps_and_loses_with_quality():
    class Bright(Checks):
        def decode(self, requests):
            return [pixels * 1.5 - 0.2 for pixels in super().decode(requests)]

    clean = images.quantise(Bright().decode([request(32, 32)])[0]).picture.double() / 255
    errors = []
    for quality in (95, 30, 5):
        (pixels,) = Jpeg(Bright(), quality).decode([request(32, 32)])
        assert pixels.shape == (3, 32, 32)
        assert pixels.dtype == torch.float32
        assert pixels.min() >= 0
        assert pixels.max() <= 1
        assert (images.quantise(pixels).picture.double() / 255 - pixels).abs().max() < 1e-7
        errors.append(float((pixels - clean).square().mean()))
    assert errors == sorted(errors)
    assert errors[0] < 0.001 < errors[2]
