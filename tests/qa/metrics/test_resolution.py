"""Ways from a picture to what a metric looks at, and how much of it that is."""

import numpy as np
import pytest
import torch
from PIL import Image

from qa.errors import UsageError
from qa.metrics.resolution import Crops, Native, Resize, Windows, coverage, parse, score_views

MANIQA = Crops(224, 20, grid=5)


@pytest.fixture
def picture():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 61, 90), np.uint8))


def painted(resolution, crops, height, width):
    """Coverage by marking pixels."""
    seen = torch.zeros(height, width, dtype=torch.float64)
    for top, left, bottom, right in resolution.shown(height, width):
        view = (bottom - top, right - left)
        for y0, x0, y1, x1 in crops.boxes(*view) if crops else [(0, 0, *view)]:
            seen[top + y0 : top + y1, left + x0 : left + x1] = 1
    return float(seen.mean())


@pytest.mark.parametrize(
    ("size", "share"), [((2160, 3840), 0.12), ((4096, 4096), 0.06), ((384, 512), 0.90)]
)
def test_maniqa_sees_little_of_a_large_picture(size, share):
    assert coverage(Native(), MANIQA, *size) == pytest.approx(share, abs=0.005)


def test_maniqa_never_sees_the_lowest_quarter():
    assert max(box[2] for box in MANIQA.boxes(4096, 4096)) / 4096 == pytest.approx(0.764, abs=1e-3)


@pytest.mark.parametrize("size", [(300, 451), (512, 512), (225, 1000)])
@pytest.mark.parametrize("resolution", [Native(), Windows(256, 200), Windows(230, 230)])
@pytest.mark.parametrize("crops", [None, MANIQA, Crops(224, 15, stride=32)])
def test_coverage_is_the_share_of_pixels(size, resolution, crops):
    wanted = painted(resolution, crops, *size)
    assert coverage(resolution, crops, *size) == pytest.approx(wanted, abs=1e-12)


def test_tiles_cover_everything_and_a_gap_is_seen():
    assert coverage(Windows(100, 70), None, 333, 501) == 1
    assert coverage(Windows(225, 224), Crops(224, 1, grid=1), 2160, 3840) > 0.999
    assert coverage(Windows(225, 224), Crops(200, 1, grid=1), 2160, 3840) < 0.85


def test_a_resized_picture_is_covered_where_its_windows_are():
    whole = coverage(Resize("longer", 448), None, 2160, 3840)
    part = coverage(Resize("longer", 448), Crops(224, 1, grid=1), 2160, 3840)
    assert whole == 1
    assert part == pytest.approx(224 * 224 / (448 * 252), abs=0.005)


def test_tiles_lie_edge_to_edge(picture):
    views = list(Windows(40, 30).views(picture))
    assert [tuple(view.shape) for view in views] == [(3, 40, 40)] * 6
    assert torch.equal(views[-1], picture[:, 21:61, 50:90])
    assert [tuple(v.shape) for v in Windows(70, 70).views(picture)] == [(3, 61, 70)] * 2


def test_a_value_is_the_mean_over_views(picture):
    """Six windows of one size: their mean is the picture's, which the first one's is not."""
    whole = picture[:, :60]
    (value,) = score_views(lambda v: v.double().mean(), whole[None], Windows(30, 30))
    assert value == pytest.approx(float(whole.double().mean()), abs=1e-9)
    (first,) = score_views(lambda v: v.double().mean(), whole[None, :, :30, :30], Windows(30, 30))
    assert first != pytest.approx(value, abs=1e-3)


@pytest.mark.parametrize("side", ["longer", "shorter"])
def test_resize_is_pillows(picture, side):
    (view,) = Resize(side, 45, "lanczos").views(picture)
    size = (45, 30) if side == "longer" else (66, 45)  # width, height
    image = Image.fromarray(picture.permute(1, 2, 0).numpy())
    wanted = np.asarray(image.resize(size, Image.Resampling.LANCZOS)).transpose(2, 0, 1)
    assert np.array_equal(view.numpy(), wanted)
    assert not np.array_equal(next(Resize(side, 45, "box").views(picture)).numpy(), wanted)


def test_resize_never_enlarges(picture):
    assert next(Resize("longer", 90).views(picture)) is picture
    assert next(Resize("shorter", 100).views(picture)) is picture


@pytest.mark.parametrize(
    "make",
    [lambda: Resize("longer", 0), lambda: Resize("left", 9), lambda: Resize("longer", 9, "sinc"),
     lambda: Windows(10, 11), lambda: Windows(10, 0)],
)  # fmt: skip
def test_refusals(make):
    with pytest.raises(UsageError):
        make()


def test_what_they_say_differs():
    ways = "native longer:9 longer:8 shorter:9 shorter:9:box tile:9:9 tile:9:8".split()
    assert len({str(parse(way)) for way in ways}) == len(ways)


@pytest.mark.parametrize(
    ("text", "way"),
    [("native", Native()), ("longer:1024", Resize("longer", 1024)),
     ("shorter:512:box", Resize("shorter", 512, "box")), ("tile:225:224", Windows(225, 224))],
)  # fmt: skip
def test_parse(text, way):
    assert parse(text) == way


@pytest.mark.parametrize("text", ["", "native:1", "longer", "longer:x", "longer:9:box:1", "tile:9"])
def test_no_way_of_that_name(text):
    with pytest.raises(UsageError, match="tile:225:224"):
        parse(text)
