"""Which sizes are possible, and what a refusal proposes."""

from dataclasses import replace

import pytest

from decoders.l2p.config import VARIANTS
from decoders.l2p.sizes import check_size, nearest
from qa.errors import UsageError

POSSIBLE = {
    "1k": [(1024, 1024), (896, 1152), (128, 128), (64, 128), (16, 512), (8192, 8192)],
    "4k": [(4096, 4096), (64, 64), (64, 192), (2176, 3840)],
    "8k": [(8192, 8192), (128, 128), (4096, 128)],
    "10k": [(10240, 10240)],
}
REFUSED = {
    "1k": [(720, 720), (832, 1216), (1024, 1000), (16, 16), (0, 512), (-16, -512), (8208, 8192)],
    "4k": [(2160, 3840), (1024, 1000), (0, 64), (64 * 513, 64)],
    "8k": [(4096, 64), (8192, 8200), (-128, -128)],
    "10k": [(5120, 5120), (10240, 10080), (10250, 10240), (0, 0)],
}


@pytest.mark.parametrize(
    ("variant", "size"), [(v, size) for v, sizes in POSSIBLE.items() for size in sizes], ids=str
)
def test_possible_sizes_pass(variant, size):
    check_size(VARIANTS[variant], *size)


@pytest.mark.parametrize(
    ("variant", "size"), [(v, size) for v, sizes in REFUSED.items() for size in sizes], ids=str
)
def test_others_are_refused_and_what_is_proposed_is_possible(variant, size):
    config = VARIANTS[variant]
    with pytest.raises(UsageError) as raised:
        check_size(config, *size)
    proposals = nearest(config, *size)
    assert 1 <= len(proposals) <= 3
    for height, width in proposals:
        check_size(config, height, width)
        assert f"[{height},{width}]" in raised.value.fix
    assert f"height {size[0]} and width {size[1]}" in raised.value.what


def test_the_reason_is_said():
    with pytest.raises(UsageError, match=r"45 x 45 = 2025 patches are no multiple of 32"):
        check_size(VARIANTS["1k"], 720, 720)
    with pytest.raises(UsageError, match="multiples of 64, its patch"):
        check_size(VARIANTS["4k"], 2160, 3840)
    with pytest.raises(UsageError, match="positions for 512 rows"):
        check_size(VARIANTS["1k"], 8208, 8192)
    with pytest.raises(UsageError, match="one size only"):
        check_size(VARIANTS["10k"], 5120, 5120)


def test_the_nearest_are_the_nearest():
    """Against a search through all sizes of a small network; 1k needs 32 patches in a rectangle."""
    config = replace(VARIANTS["1k"], axes_lens=(1024, 40, 50))
    every = [(16 * r, 16 * c) for r in range(1, 41) for c in range(1, 51) if r * c % 32 == 0]
    for height, width in [(720, 720), (100, 300), (16, 16), (1, 1), (640, 801), (5000, 5000)]:
        by_distance = sorted(every, key=lambda s: (abs(s[0] - height) + abs(s[1] - width), s))
        assert nearest(config, height, width) == by_distance[:3]
    assert nearest(VARIANTS["1k"], 720, 720)[0] == (704, 768)
    assert nearest(VARIANTS["4k"], 2160, 3840)[0] == (2176, 3840)
    assert nearest(VARIANTS["10k"], 1, 1) == [(10240, 10240)]
