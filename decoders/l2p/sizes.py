"""Which picture sizes a variant can do.

    1k           whole patches, and a number of tokens that is a multiple of 32: the head reads the
                 padded rows as a picture, so padding must not exist
    4k, 8k       whole patches
    10k          one size only, because the head resizes features to a fixed grid
    all          no more rows and columns of patches than the network has positions for

Nothing is rounded to the next possible size: another size is refused, and the nearest are named.
"""

from __future__ import annotations

from itertools import product

from decoders.l2p.config import L2PConfig
from decoders.l2p.trunk import ROWS
from qa.errors import UsageError

NEAREST = 3
"""Sizes that a refusal proposes."""


def check_size(config: L2PConfig, height: int, width: int) -> None:
    """Raises UsageError, naming the nearest possible sizes, where this one is not."""
    problem = _problem(config, height, width)
    if problem:
        options = (f"[{rows},{columns}]" for rows, columns in nearest(config, height, width))
        raise UsageError(
            f"L2P {config.variant} cannot draw a picture of height {height} and width {width}.",
            problem,
            f"choose decoder.size={' or '.join(options)} (height, width)",
        )


def nearest(config: L2PConfig, height: int, width: int) -> list[tuple[int, int]]:
    """Up to three possible (height, width), those with the smallest change of both sides first."""
    if config.feature_grid is not None:
        scale = 2 ** len(config.levels)
        return [(config.feature_grid[0] * scale, config.feature_grid[1] * scale)]
    heights = _around(height, config.patch, config.axes_lens[1])
    widths = _around(width, config.patch, config.axes_lens[2])
    possible = [size for size in product(heights, widths) if not _problem(config, *size)]
    return sorted(possible, key=lambda size: (_distance(size, (height, width)), size))[:NEAREST]


def _problem(config: L2PConfig, height: int, width: int) -> str:
    patch = config.patch
    if min(height, width) < 1 or height % patch or width % patch:
        return f"Both sides must be multiples of {patch}, its patch."
    rows, columns = height // patch, width // patch
    if rows > config.axes_lens[1] or columns > config.axes_lens[2]:
        return f"It has positions for {config.axes_lens[1]} rows and {config.axes_lens[2]} columns."
    if config.variant == "1k" and rows * columns % ROWS:
        return f"{rows} x {columns} = {rows * columns} patches are no multiple of {ROWS}."
    if config.feature_grid is not None and (height, width) != nearest(config, height, width)[0]:
        return "Its head works at one size only."
    return ""


def _around(size: int, patch: int, most: int) -> list[int]:
    here = min(max(size // patch, 1), most)
    return [patch * n for n in range(max(1, here - ROWS), min(most, here + ROWS) + 1)]


def _distance(a: tuple[int, int], b: tuple[int, int]) -> int:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])
