"""Plant known defects in real pictures and count which gate catches which, at how many pictures.

    QA_ASSETS=DIR python scripts/seeded_defects.py [--suites 100]        (ten minutes on two cores)

The baseline is vae_mini's reconstruction of 128-pixel crops of photographs (24 of Kodak, six of
portraits and scenes) or of text (receipts, signs, scanned and typeset pages); the candidate is the
same reconstruction with one defect. Suites of N crops are drawn without replacement and judged by
`qa.judge` as a release with the margins of `photo`: what a user's run would have said.
"""

from __future__ import annotations

import argparse
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageFilter

from qa.gates import use_case
from qa.gates.regression import Regression
from qa.gates.tail import Tail
from qa.images import quantise, to_unit
from qa.judge import judge
from qa.results import Results

Tensor = torch.Tensor
Defect = Callable[[Tensor, np.random.Generator], Tensor]
"""Pixels float32 [3,H,W] in [0,1] → the same, damaged."""

RESULT = Path(__file__).parent.parent / "docs" / "measurements" / "defects.json"
SIDE, POOL, SUITES = 128, 400, 100
PICTURES = (24, 50, 100, 200)
PHOTOS = ("kodak/*.png", "pid_assets/*.jpg")
TEXTS = (
    "pid_assets/gan_pdf.png", "ocr_photos/mmocr_*.jp*g", "ocr_photos/easyocr_*",
    "ocr_photos/tesseract_*.tif",
)  # fmt: skip


def blur(pixels: Tensor, _: np.random.Generator) -> Tensor:
    """Gaussian, radius 1."""
    return _through(pixels, lambda picture: picture.filter(ImageFilter.GaussianBlur(1)))


def jpeg(pixels: Tensor, _: np.random.Generator) -> Tensor:
    """JPEG at quality 50."""

    def squeezed(picture: Image.Image) -> Image.Image:
        held = io.BytesIO()
        picture.save(held, "JPEG", quality=50)
        return Image.open(held).convert("RGB")

    return _through(pixels, squeezed)


def colour_cast(pixels: Tensor, _: np.random.Generator) -> Tensor:
    """Red up and blue down by 3 of 255 levels."""
    return pixels + torch.tensor([3, 0, -3]).view(3, 1, 1) / 255


def tile_seam(pixels: Tensor, _: np.random.Generator) -> Tensor:
    """The right half 4 of 255 levels brighter, as tiles decoded apart come out."""
    middle = pixels.shape[-1] // 2
    return torch.cat([pixels[..., :middle], pixels[..., middle:] + 4 / 255], dim=-1)


def shift(pixels: Tensor, _: np.random.Generator) -> Tensor:
    """One pixel to the right, the left edge repeated."""
    return torch.cat([pixels[..., :1], pixels[..., :-1]], dim=-1)


def bgr(pixels: Tensor, _: np.random.Generator) -> Tensor:
    """Red and blue exchanged."""
    return pixels.flip(0)


def letters(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Ten of the forty 10x14 windows of most contrast are exchanged: sharp, plausible, wrong."""
    high, wide = 14, 10
    rows, columns = pixels.shape[1] // high, pixels.shape[2] // wide
    cut = pixels[:, : rows * high, : columns * wide]
    windows = cut.unflatten(1, (rows, high)).unflatten(3, (columns, wide)).permute(1, 3, 0, 2, 4)
    flat = windows.reshape(rows * columns, 3, high, wide).clone()
    busy = flat.mean(1).flatten(1).std(1).topk(40).indices
    chosen = busy[torch.from_numpy(rng.choice(40, 10, replace=False))]
    flat[chosen] = flat[chosen.roll(1)]
    again = flat.view(rows, columns, 3, high, wide).permute(2, 0, 3, 1, 4)
    whole = pixels.clone()
    whole[:, : rows * high, : columns * wide] = again.reshape(cut.shape)
    return whole


def catastrophe(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """One picture in a hundred is grey, the others are untouched."""
    return torch.full_like(pixels, 0.5) if rng.random() < 0.01 else pixels


def darker(pixels: Tensor, _: np.random.Generator) -> Tensor:
    """Levels cut off instead of rounded: half a level darker."""
    return (pixels.clamp(0, 1) * 255).floor() / 255


def none(pixels: Tensor, _: np.random.Generator) -> Tensor:
    """Nothing: what is caught here is a false alarm."""
    return pixels


DEFECTS: dict[str, Defect] = {
    "blur, radius 1": blur, "JPEG 50": jpeg, "colour cast, 3 levels": colour_cast,
    "tile seam, 4 levels": tile_seam, "one pixel shift": shift, "BGR": bgr,
    "letters exchanged": letters, "1 % catastrophes": catastrophe, "half a level darker": darker,
    "nothing": none,
}  # fmt: skip
PHOTO = use_case.load("photo")
HERE = {"environment": {"class": "one", "decides": {}}}
"""Both arms come from this process; a release refuses arms that do not say where they come from."""
TEXTUAL = ("letters exchanged",)
"""Defects that are planted in pictures of text."""


def main() -> None:
    """Measure, keep the shares, print the page's section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suites", type=int, default=SUITES)
    options = parser.parse_args()
    data = Path(os.environ["QA_ASSETS"]) / "data"
    pools = {kind: decoded(crops(data, kind)) for kind in (PHOTOS, TEXTS)}
    shares = {}
    for name, defect in DEFECTS.items():
        reference, pixels = zip(*pools[TEXTS if name in TEXTUAL else PHOTOS], strict=True)
        shares[name] = caught(reference, pixels, defect, options.suites)
        print(name, json.dumps(shares[name]), flush=True)
    result = {
        "suites": options.suites,
        "crops": {
            name: len(pool) for name, pool in zip(("photos", "texts"), pools.values(), strict=True)
        },
        "shares": shares,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(section(result))


def crops(data: Path, patterns: Sequence[str]) -> list[Tensor]:
    """POOL crops uint8 [3,SIDE,SIDE] that show something, evenly from all pictures."""
    rng = np.random.default_rng(0)
    files = sorted(file for pattern in patterns for file in data.glob(pattern))
    places: list[Iterator[Tensor]] = [_crops(file, rng) for file in files]
    found: list[Tensor] = []
    while places and len(found) < POOL:
        for place in list(places):
            crop = next(place, None)
            if crop is None:
                places.remove(place)
            elif len(found) < POOL:
                found.append(crop)
    return found


def _crops(file: Path, rng: np.random.Generator) -> Iterator[Tensor]:
    """A picture's crops side by side, in random order, without empty ones."""
    picture = np.asarray(Image.open(file).convert("RGB"))
    steps = [range(0, length - SIDE + 1, SIDE) for length in picture.shape[:2]]
    corners = [(top, left) for top in steps[0] for left in steps[1]]
    for place in rng.permutation(len(corners)):
        top, left = corners[place]
        crop = picture[top : top + SIDE, left : left + SIDE]
        if crop.std() > 8:
            yield torch.from_numpy(crop.transpose(2, 0, 1).copy())


def decoded(pictures: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Each picture with vae_mini's pixels of it."""
    from decoders.vae import VAEDecoder, VAEEncoder
    from qa.types import DecodeRequest, Sample

    encoder, decoder = (kind("MiniVAE", "mini") for kind in (VAEEncoder, VAEDecoder))
    found = []
    with torch.inference_mode():
        for index, picture in enumerate(pictures):
            latent = encoder.latent(Sample(str(index)), picture).tensor
            request = DecodeRequest(str(index), 0, "", SIDE, SIDE, latent)
            found.append((picture, decoder.decode([request])[0]))
    return found


def caught(
    references: Sequence[Tensor], pixels: Sequence[Tensor], defect: Defect, suites: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Pictures in a suite → gate → state → share of the suites."""
    rng = np.random.default_rng(1)
    baseline = scored(references, pixels)
    candidate = scored(references, [defect(one.clone(), rng) for one in pixels])
    found: dict[str, dict[str, dict[str, float]]] = {}
    for count in PICTURES:
        if count > len(pixels):
            continue
        states: dict[str, Counter[str]] = {}
        for _ in range(suites):
            chosen = set(rng.choice(len(pixels), count, replace=False))
            arms = [Results(n, t[t["sample"].astype(int).isin(chosen)], HERE, {}) for n, t in
                    (("candidate", candidate), ("baseline", baseline))]  # fmt: skip
            for gate, state in verdict(*arms).items():
                states.setdefault(gate, Counter())[state] += 1
        found[str(count)] = {
            gate: {state: n / suites for state, n in sorted(counter.items())}
            for gate, counter in states.items()
        }
    return found


def verdict(candidate: Results, baseline: Results) -> dict[str, str]:
    """Gate → state, and `verdict` → the whole run's."""
    rules = PHOTO.measured(candidate.metrics)
    document = judge(candidate, baseline, rules, gates=[Regression(), Tail()], policy="release")
    rows = {row["metric"]: row["state"] for row in document["gates"]}
    return rows | {"verdict": document["state"]}


def scored(references: Sequence[Tensor], pixels: Sequence[Tensor]) -> pd.DataFrame:
    """Scores of quantised pixels, one row a picture and metric."""
    rows = []
    for index, (reference, one) in enumerate(zip(references, pixels, strict=True)):
        for name, metric in _metrics().items():
            value = metric(quantise(one).picture[None], reference)[0]
            rows.append((str(index), 0, name, value, ""))
    return pd.DataFrame(rows, columns=["sample", "seed", "metric", "value", "why"])


def _metrics() -> dict[str, Any]:
    from qa.metrics.colour import ColourDrift
    from qa.metrics.gmsd import GMSD
    from qa.metrics.psnr import PSNR
    from qa.metrics.ssim import SSIM

    return {"psnr": PSNR(), "ssim": SSIM(), "gmsd": GMSD(), "colour_drift": ColourDrift()}


def section(result: dict[str, Any]) -> str:
    """The page's section."""
    gates = ("verdict", "psnr", "ssim", "catastrophe", "gmsd", "colour_drift")
    sizes = list(next(iter(result["shares"].values())))
    failed = [
        [name, *(_cell(shares, gate, ("FAIL",)) for gate in gates)]
        for name, shares in result["shares"].items()
    ]
    passed = [
        [name, *(_cell(shares, "verdict", states) for states in (PASSED, ("INCONCLUSIVE",)))]
        for name, shares in result["shares"].items()
    ]
    held = result["crops"]
    return f"""## Planted defects in real pictures

`python scripts/seeded_defects.py` → `docs/measurements/defects.json`: {result["suites"]} suites of
each size, drawn from {held["photos"]} crops of photographs ({held["texts"]} of text for exchanged
letters), {SIDE} pixels wide, decoded by vae_mini; judged as a release with the margins of `photo`.
Cells are shares of suites in %, at {" / ".join(sizes)} pictures. gmsd and colour_drift do not
vote.

FAIL, by gate:

{_table(("defect", *gates), failed)}

The verdict otherwise:

{_table(("defect", "passes", "INCONCLUSIVE"), passed)}

A gate sees what its metric sees: gmsd does not see colour, colour_drift does not see blur. Half a
level of darkness costs psnr about its margin, so some suites FAIL and none passes. As a release,
nothing passes here, not even nothing: what the tail gate calls a catastrophe may happen in one of a
hundred pictures, and fewer than 299 cannot show that it does not happen more often.
"""


PASSED = ("PASS", "PASS-DRIFT", "IMPROVED")


def _cell(shares: dict[str, Any], gate: str, states: Sequence[str]) -> str:
    found = [sum(size.get(gate, {}).get(state, 0) for state in states) for size in shares.values()]
    return " / ".join(f"{100 * share:.0f}" for share in found)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _through(pixels: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    """A change of an 8-bit picture."""
    picture = Image.fromarray(quantise(pixels).picture.permute(1, 2, 0).numpy())
    return to_unit(torch.from_numpy(np.array(change(picture))).permute(2, 0, 1))


if __name__ == "__main__":
    main()
