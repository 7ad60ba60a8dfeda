"""Where a picture is looked at: as a whole, or patch by patch.

    picture ──► (resized beforehand) ──► patches of one size ──► one row of features each

There is no standard for patch-FID; `Patches` has what published variants differ in, and four of
them by name. Patches on a grid at native resolution (`hific256`) have the least variance and are
meant for paired work. Patches of one picture are not independent: intervals go by picture.

In configuration, `views` is a preset's name, or a class or preset of this module with its settings:

    metric.patch_fid.views=hific256
    metric.patch_fid.views='{_target_: qa.features.views.Patches, patch: 512}'
    metric.patch_fid.views='{_target_: qa.features.views.anyres256, least: 256, most: 1024}'

A preset says where to look. How a patch becomes Inception's input is `protocol`; each preset names
the one that its published numbers used. Patches of 299 are the same under all but pytorch-fid.

Random places are no random numbers but hashes of (seed, key, picture size, number of the view): a
picture and its reference are looked at in the same places, and nothing depends on order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from qa.errors import UsageError
from qa.features.resize import pillow
from qa.seeds import STREAM_VERSION, generator_seed

if TYPE_CHECKING:
    from torch import Tensor

Facts = Mapping[str, str | int | float]


class Views(Protocol):
    """A rule of where to look."""

    @property
    def facts(self) -> Facts:
        """Everything that it depends on."""
        ...

    def __call__(self, picture: Tensor, key: str) -> Iterator[Tensor]:
        """Picture uint8 [3,H,W] → its views, uint8 [3,h,w], in a fixed order."""
        ...


@dataclass(frozen=True)
class Whole:
    """The picture itself, once."""

    @property
    def facts(self) -> Facts:
        return {"views": "whole"}

    def __call__(self, picture: Tensor, key: str) -> Iterator[Tensor]:
        yield picture


@dataclass(frozen=True)
class Patches:
    """Square patches of a picture. Raises UsageError for settings that contradict each other."""

    patch: int
    """Side of a patch, in pixels."""
    sampling: Literal["grid", "grid+shift", "random"] = "grid"
    """`grid`: side by side from the upper left corner, what is left over is not looked at.
    `grid+shift`: a second grid, half a patch further down and right, where both sides have room
    for it (1.5 patches). `random`: `count` places."""
    count: int = 0
    """Patches of a picture; 0 with a grid, which decides itself."""
    resize: int | tuple[int, int] | None = None
    """Beforehand, with Pillow's Lanczos on 8 bits: to a square of that side, aspect ignored; or the
    shorter side to a length drawn for every view from least..most, aspect kept, most = 0 standing
    for the picture's own. Never enlarged by such a range."""
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.resize, list):  # as YAML has it
            object.__setattr__(self, "resize", tuple(self.resize))
        if isinstance(self.resize, tuple) and len(self.resize) != 2:
            raise UsageError(
                f"resize={list(self.resize)} is no range.", "", "resize: [least, most], or one side"
            )
        grid = self.sampling != "random"
        if self.sampling not in ("grid", "grid+shift", "random") or self.patch < 1:
            raise UsageError(f"There are no patches {self.patch} sampled by {self.sampling!r}.")
        if grid != (self.count == 0) or self.count < 0:
            raise UsageError(
                f"{self.sampling} sampling cannot take {self.count} patches of a picture.",
                "A grid decides how many there are; random sampling has to be told.",
            )
        if grid and isinstance(self.resize, tuple):
            raise UsageError(
                "A grid cannot be laid on a picture of random size.", fix="sampling: random"
            )

    @property
    def facts(self) -> Facts:
        from importlib.metadata import version

        if self.resize is None:
            before = "none"
        else:
            # Its 8-bit passes round to whole levels, and version 13 changed their order.
            lanczos = f"Pillow {version('pillow').split('.')[0]}, 8-bit lanczos"
            before = (
                f"{lanczos}, {self.resize}x{self.resize}"
                if isinstance(self.resize, int)
                else f"{lanczos}, shorter side {self.resize[0]}..{self.resize[1] or 'native'}"
            )
        facts: dict[str, str | int | float] = {
            "views": "patches",
            "patch": self.patch,
            "sampling": self.sampling,
            "patches_per_picture": self.count or "all",
            "resize_before": before,
        }
        if self.sampling == "random":
            facts |= {"places": f"BLAKE2b, stream {STREAM_VERSION}", "places_seed": self.seed}
        return facts

    def __call__(self, picture: Tensor, key: str) -> Iterator[Tensor]:
        """Patches uint8 [3,patch,patch]. ValueError for a picture that is smaller than one."""
        if isinstance(self.resize, int):
            picture = pillow(picture, (self.resize, self.resize), "lanczos")
        if self.sampling == "random":
            yield from self._random(picture, key)
            return
        height, width = self._room(picture)
        half = self.patch // 2
        yield from self._grid(picture)
        if self.sampling == "grid+shift" and min(height, width) >= self.patch + half:
            yield from self._grid(picture[:, half:, half:])

    def _grid(self, picture: Tensor) -> Iterator[Tensor]:
        height, width = picture.shape[1:]
        for top in range(0, height - self.patch + 1, self.patch):
            for left in range(0, width - self.patch + 1, self.patch):
                yield picture[:, top : top + self.patch, left : left + self.patch]

    def _random(self, picture: Tensor, key: str) -> Iterator[Tensor]:
        height, width = self._room(picture)
        for view in range(self.count):
            place = f"{key}\x1f{height}x{width}\x1f{view}"
            seen = picture
            if isinstance(self.resize, tuple):
                seen = self._shrunk(picture, place)
            top = self._draw("top", place, seen.shape[1] - self.patch)
            left = self._draw("left", place, seen.shape[2] - self.patch)
            yield seen[:, top : top + self.patch, left : left + self.patch]

    def _shrunk(self, picture: Tensor, place: str) -> Tensor:
        assert isinstance(self.resize, tuple)
        height, width = picture.shape[1:]
        short = min(height, width)
        least, most = self.resize[0], min(self.resize[1] or short, short)
        if least < self.patch or most < least:
            raise ValueError(
                f"the shorter side is {short} pixels; {least}..{most} is no range of sides with "
                f"room for patches of {self.patch}"
            )
        side = least + self._draw("side", place, most - least)
        if side == short:
            return picture
        return pillow(picture, (round(height * side / short), round(width * side / short)),
                      "lanczos")  # fmt: skip

    def _draw(self, what: str, place: str, most: int) -> int:
        """A whole number in 0..most that belongs to (seed, key, size, view)."""
        return generator_seed(f"patch-{what}", place, self.seed) % (most + 1)

    def _room(self, picture: Tensor) -> tuple[int, int]:
        height, width = picture.shape[1:]
        if min(height, width) < self.patch:
            raise ValueError(
                f"the shorter side is {min(height, width)} pixels; a patch has {self.patch}"
            )
        return height, width


def hific256() -> Patches:
    """FID/256 of HiFiC (Mentzer et al., NeurIPS 2020): all patches of 256, then a shifted grid.

    Published with protocol=ttur, the detector's own bilinear resize to 299.
    """
    return Patches(256, "grid+shift")


def pixverve299x20(size: int) -> Patches:
    """FID-Patch of PixVerve-Bench (2026): 20 crops of 299 of a picture squeezed into size x size.

    Published with protocol=tm, which at 299 changes nothing. Its script draws other places with
    the same seed.
    """
    return Patches(299, "random", 20, size, seed=42)


def anyres256(least: int = 256, most: int = 0) -> Patches:
    """pFID of Chai et al., ECCV 2022: one crop of 256 of a picture shrunk to a random size.

    The shorter side is drawn from least..most; most = 0 stands for the picture's own. Published
    with protocol=ttur, the detector's own bilinear resize to 299.
    """
    return Patches(256, "random", 1, (least, most))


def ultrapixel299x3() -> Patches:
    """FID-patch of UltraPixel (2024), as its authors describe it: 3 random crops of 299.

    Published with pyiqa's FID, which is protocol=clean and at 299 changes nothing.
    """
    return Patches(299, "random", 3)


PRESETS: dict[str, Callable[..., Views]] = {
    "whole": Whole,
    "hific256": hific256,
    "pixverve299x20": pixverve299x20,
    "anyres256": anyres256,
    "ultrapixel299x3": ultrapixel299x3,
}


def views(name: str, size: int | None = None) -> Views:
    """A preset by name; `size` is what pixverve299x20 resizes to. UsageError for anything else."""
    if name not in PRESETS:
        raise UsageError(f"There are no views {name!r}.", "", f"choose {', '.join(PRESETS)}")
    if (name == "pixverve299x20") != (size is not None):
        raise UsageError(
            f"views={name} does not go with a size of {size}.",
            "pixverve299x20 resizes every picture to a square of that side, the others to none.",
            "views=pixverve299x20 with size=2048, say, or another preset without a size",
        )
    return PRESETS[name]() if size is None else PRESETS[name](size)
