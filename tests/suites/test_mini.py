"""The built-in suite."""

from __future__ import annotations

from collections import Counter

from qa import images
from suites.mini import Mini


def test_it_has_24_pictures_of_known_kinds_and_sizes(workdir):
    samples = Mini().samples()
    assert [s.id for s in samples] == sorted(s.id for s in samples)
    assert Counter(tag for s in samples for tag in s.tags) == {
        "photo": 6, "page": 8, "sign": 4, "chart": 3, "shapes": 2, "texture": 1
    }  # fmt: skip
    for sample in samples:
        picture = images.read(sample.image)
        assert list(picture.shape) == [3, 256, 256]
        assert images.digest(picture) == sample.sha256
    assert len({s.sha256 for s in samples}) == 24


def test_pages_and_signs_know_their_text(workdir):
    for sample in Mini().samples():
        if sample.tags[0] in {"page", "sign"}:
            assert sample.regions
        for region in sample.regions:
            x0, y0, x1, y1 = region.box
            assert 0 <= x0 < x1 <= 256
            assert 0 <= y0 < y1 <= 256


def test_it_is_the_same_every_time_and_repairs_its_cache(workdir):
    first = Mini().samples()
    first[3].image.write_bytes(b"damaged")
    assert Mini().samples() == first
    assert images.digest(images.read(first[3].image)) == first[3].sha256
