"""Time scoring in one pass against the libraries called one after the other.

    QA_ASSETS=DIR python scripts/time_scoring.py [--threads 2] [--rounds 3] [--pictures 24]

24 Kodak photographs and two decoders' pictures of them, as PNG files. Both sides read the files and
give PSNR, SSIM, MS-SSIM, LPIPS-alex and DISTS of every picture, and FID and patch-FID (all patches
of 256 and a shifted grid) of both decoders. Drawn network weights, the same on both sides: values
do not change the time. Both sides take turns in every round; ratios are taken within a round.

`separately` is what READMEs show: torchmetrics' module metrics picture by picture, `lpips.LPIPS`,
and `cleanfid.fid.compute_fid` on folders, for patches on folders of patches.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "measurements" / "scoring-cpu.json"
DECODERS = ("vae_mini", "vae_mini_bicubic")
PATCH = 256
LIBRARIES = ("torch", "torchmetrics", "lpips", "clean-fid", "scipy", "numpy")

Values = dict[str, dict[str, float]]
"""Decoder → metric → mean over pictures, or the value of the set."""


def main() -> None:
    """Measure and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=24)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    kodak = Path(os.environ["QA_ASSETS"]) / "data" / "kodak"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        draw_weights(work / "weights")
        place(kodak, work, options.pictures)
        result = measure(work, options.rounds) | {"threads": options.threads}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(section(result))


def draw_weights(folder: Path) -> None:
    """Stand-ins for the released AlexNet and VGG16, where both sides look for them."""
    # Behind the packages: folders of the same names lie in tests/.
    sys.path += [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "qa" / "metrics")]
    import cases
    import pytest

    folder.mkdir()
    cases.use_trunks(cases.draw_trunks(folder), pytest.MonkeyPatch())


def place(originals: Path, work: Path, count: int) -> None:
    """`original/`, and a folder of pictures for each decoder, file names alike."""
    from qa.run import evaluate

    chosen = work / "original"
    chosen.mkdir()
    for file in sorted(originals.rglob("*.png"))[:count]:
        (chosen / file.name).symlink_to(file.resolve())
    for decoder in DECODERS:
        run = evaluate(
            f"decoder={decoder}", "suite=folder", f"suite.path={chosen}", "seeds=1",
            "metric=[psnr]", "baseline=none", "tracking=none", "report=null", "device=cpu",
            f"out={work / 'runs' / decoder}",
        )  # fmt: skip
        (work / decoder).mkdir()
        for row in run.folder.decoded().itertuples():
            name = f"{Path(row.sample).stem}.png"
            (work / decoder / name).symlink_to(run.folder.path.resolve() / row.file)


def measure(work: Path, rounds: int) -> dict[str, Any]:
    """Seconds of both sides, round by round, and the values both gave."""
    from qa.record import environment

    sides: dict[str, Callable[[Path], tuple[Values, dict[str, float]]]] = {
        "one pass": in_one_pass, "separately": separately,
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    parts: dict[str, list[float]] = {}
    values: dict[str, Values] = {}
    for turn in range(rounds):
        # Whoever comes second finds the files cached: take turns in that as well.
        for name in sorted(sides, reverse=bool(turn % 2)):
            start = time.perf_counter()
            values[name], spent = sides[name](work)
            seconds[name].append(time.perf_counter() - start)
            for part, took in spent.items():
                parts.setdefault(f"{name}: {part}", []).append(took)
    described = environment({})
    return {
        "what": f"{len(list((work / 'original').iterdir()))} Kodak photographs, "
        f"{len(DECODERS)} decoders",
        "cpu": described["cpu"],
        "python": described["python"],
        "versions": {name: version(name) for name in LIBRARIES},
        "seconds": seconds,
        "parts": parts,
        "values": values,
    }


def in_one_pass(work: Path) -> tuple[Values, dict[str, float]]:
    """Every picture read once, everything measured from it, sets from kept features."""
    from qa import images, numerics
    from qa.metrics.distribution import FrechetDistance
    from qa.metrics.dists import DISTS
    from qa.metrics.engine import Engine, Measured
    from qa.metrics.lpips import LPIPS
    from qa.metrics.psnr import PSNR
    from qa.metrics.ssim import SSIM, MultiScaleSSIM

    started = time.perf_counter()
    metrics = {
        "psnr": PSNR(), "ssim": SSIM(), "ms_ssim": MultiScaleSSIM(), "lpips": LPIPS("alex"),
        "dists": DISTS(),
    }  # fmt: skip
    sets = {
        "fid": FrechetDistance("fid", "random"),
        "patch_fid": FrechetDistance("patch_fid", "random", views="hific256"),
    }
    engine = Engine(metrics, [metric.features for metric in sets.values()])

    def measure(file: Path) -> Measured:
        pictures = torch.stack([images.read(work / decoder / file.name) for decoder in DECODERS])
        return engine.measure(pictures, images.read(file), file.name)

    # As the local executor scores the pictures of a run.
    with numerics.one_core_each(torch.get_num_threads(), "score") as pool:
        found = list(pool.map(measure, sorted((work / "original").iterdir())))
    if lost := [one.lost for one in found if one.lost]:
        raise RuntimeError(str(lost))
    measured = time.perf_counter()
    values: Values = {decoder: {} for decoder in DECODERS}
    for index, decoder in enumerate(DECODERS):
        for name in metrics:
            values[decoder][name] = statistics.mean(one.values[name][index] for one in found)
        for name, metric in sets.items():
            mark = metric.features.id
            candidate = _rows([one.features[mark][index] for one in found])
            values[decoder][name] = metric(
                candidate, _rows([one.references[mark] for one in found])
            ).value
    done = time.perf_counter()
    return values, {"pictures": measured - started, "distances, with intervals": done - measured}


def _rows(blocks: list[Any]) -> Any:
    from qa.types import FeatureSet

    owners = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])
    return FeatureSet(np.concatenate(blocks), owners)


def separately(work: Path) -> tuple[Values, dict[str, float]]:
    """One library after the other, as their READMEs show."""
    values: Values = {decoder: {} for decoder in DECODERS}
    spent: dict[str, float] = {}
    for part, call in (
        ("torchmetrics", _torchmetrics), ("lpips", _lpips), ("clean-fid, FID", _clean_fid),
        ("clean-fid, patch-FID", _clean_patch_fid),
    ):  # fmt: skip
        start = time.perf_counter()
        for decoder in DECODERS:
            values[decoder] |= call(work, decoder)
        spent[part] = time.perf_counter() - start
    return values, spent


def _pairs(work: Path, decoder: str) -> Any:
    from torchvision.transforms.functional import to_tensor

    for file in sorted((work / "original").iterdir()):
        yield tuple(
            to_tensor(Image.open(work / folder / file.name).convert("RGB"))[None]
            for folder in (decoder, "original")
        )


def _torchmetrics(work: Path, decoder: str) -> dict[str, float]:
    from torchmetrics.image import (
        MultiScaleStructuralSimilarityIndexMeasure,
        PeakSignalNoiseRatio,
        StructuralSimilarityIndexMeasure,
    )
    from torchmetrics.image.dists import DeepImageStructureAndTextureSimilarity

    metrics = {
        "psnr": PeakSignalNoiseRatio(data_range=1.0),
        "ssim": StructuralSimilarityIndexMeasure(data_range=1.0),
        "ms_ssim": MultiScaleStructuralSimilarityIndexMeasure(data_range=1.0),
        "dists": DeepImageStructureAndTextureSimilarity(),
    }
    found: dict[str, list[float]] = {name: [] for name in metrics}
    with torch.no_grad():
        for picture, original in _pairs(work, decoder):
            for name, metric in metrics.items():
                found[name].append(float(metric(picture, original)))
    return {name: statistics.mean(values) for name, values in found.items()}


def _lpips(work: Path, decoder: str) -> dict[str, float]:
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = lpips.LPIPS(net="alex", verbose=False)
    with torch.no_grad():
        found = [float(metric(x * 2 - 1, y * 2 - 1)) for x, y in _pairs(work, decoder)]
    return {"lpips": statistics.mean(found)}


def _clean_fid(work: Path, decoder: str) -> dict[str, float]:
    return {"fid": _compute_fid(work / decoder, work / "original")}


def _clean_patch_fid(work: Path, decoder: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=work) as folder:
        for name in (decoder, "original"):
            _cut(work / name, Path(folder) / name)
        return {"patch_fid": _compute_fid(Path(folder) / decoder, Path(folder) / "original")}


def _compute_fid(one: Path, other: Path) -> float:
    from cleanfid import fid

    from qa.features import inception

    network = inception.build(inception.random_state(0), "drawn weights")

    def features(batch: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return network((batch - 128) / 128).flatten(1)

    return float(
        fid.compute_fid(
            str(one), str(other), mode="clean", num_workers=0, device=torch.device("cpu"),
            custom_feat_extractor=features, verbose=False,
        )
    )  # fmt: skip


def _cut(source: Path, target: Path) -> None:
    target.mkdir()
    half = PATCH // 2
    for file in sorted(source.iterdir()):
        picture = np.asarray(Image.open(file).convert("RGB"))
        grids = [0, half] if min(picture.shape[:2]) >= PATCH + half else [0]
        for shift in grids:
            seen = picture[shift:, shift:]
            for top in range(0, seen.shape[0] - PATCH + 1, PATCH):
                for left in range(0, seen.shape[1] - PATCH + 1, PATCH):
                    patch = seen[top : top + PATCH, left : left + PATCH]
                    name = f"{file.stem}_{shift}_{top}_{left}.png"
                    Image.fromarray(patch).save(target / name)


def section(result: dict[str, Any]) -> str:
    """Its part of docs/performance.md."""
    one, apart = result["seconds"]["one pass"], result["seconds"]["separately"]
    ratios = [b / a for a, b in zip(one, apart, strict=True)]
    libraries = ", ".join(f"{name} {v}" for name, v in result["versions"].items())
    parts = "\n".join(f"| {name} | {_spread(values)} |" for name, values in result["parts"].items())
    ours, theirs = result["values"]["one pass"], result["values"]["separately"]
    values = "\n".join(
        f"| {decoder} | {name} | {ours[decoder][name]:.7g} | {value:.7g} "
        f"| {abs(ours[decoder][name] - value) / abs(value):.1e} |"
        for decoder, row in theirs.items()
        for name, value in sorted(row.items())
    )
    return f"""## Scoring in one pass

`python scripts/time_scoring.py` → `docs/measurements/{RESULT.name}`: {result["what"]}, seven
metrics, the libraries called as their READMEs show, the same drawn weights on both sides.
{result["cpu"]["model"]}, {result["threads"]} threads, {libraries}.

One pass takes {_spread(one)} s, the libraries one after the other {_spread(apart)} s:
**{_spread(ratios, ".2f")} times as long** (median [least, most] of {len(one)} interleaved rounds).

| part | seconds |
|---|---|
{parts}

| decoder | metric | one pass | separately | relative difference |
|---|---|---|---|---|
{values}

SSIM differs because torchmetrics computes it in float32 (`docs/decisions/0005-ssim-in-float64.md`),
FID because clean-fid takes a root of a matrix of rank 23 in 2048 dimensions.
"""


def _spread(values: list[float], form: str = ".0f") -> str:
    if len(values) == 1:
        return f"{values[0]:{form}}"
    return f"{statistics.median(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


if __name__ == "__main__":
    main()
