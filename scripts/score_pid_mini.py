"""What the shipped pid_mini makes of held-out pages, beside the autoencoder with interpolation.

    python scripts/score_pid_mini.py [--pages 16]        (half an hour on one core)

Real runs over `suite=legibility`, whose pages other code draws than those of training, at 4 seeds:
pid_mini and `vae_mini_bicubic` at the same output size, on clean and on noisy latents, and pid_mini
with fewer steps. Differences are paired, with 90 % intervals over pages, and go into the card
(`mini_cards`), with the means of each size's first page, so that a test can measure those again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mini_cards import Numbers, main, table, weights

if TYPE_CHECKING:
    from qa.run import Evaluation

PAGES = ("suite=legibility", "suite.caps=[12,16,24]", "seeds=4")
METRICS = ("psnr", "hf_energy", "exact_words", "wrong_words", "unreadable_words")
"""Those that are compared; at most six are judged together."""
SPREAD = "seed_deviation"
SIGMAS = (0.0, 0.2, 0.4, 0.8)
FEWER = (2, 1)
FIRST = "_00"
"""How the name of each size's first page ends."""
CLASSICAL = ("decoder=vae_mini_bicubic", "decoder.upsampler.scale=2")


def measure(work: Path, *more: str) -> dict[str, Any]:
    """Everything that the card says of quality."""

    def ran(*words: str) -> Evaluation:
        metrics = "metric=[psnr,hf_energy,legibility,seed_deviation]"
        return measured(work, metrics, *words, *more)

    found: dict[str, Any] = {"sigma": {}, "fewer": {}, "first": {}}
    for sigma in SIGMAS:
        noisy = f"knobs.sigma={sigma:g}"
        classical, ours = ran(*CLASSICAL, noisy), ran("decoder=pid_mini", noisy)
        found["sigma"][f"{sigma:g}"] = paired(ours, classical)
        if sigma == 0:
            full = ours
        found["first"][f"{sigma:g}"] = {m: mean(ours, m, FIRST) for m in ("psnr", "hf_energy")}
    for steps in FEWER:
        fewer = ran("decoder=pid_mini", f"knobs.steps={steps}")
        found["fewer"][str(steps)] = paired(fewer, full)
    return found


def measured(work: Path, *words: str) -> Evaluation:
    """A run over the pages, compared with nothing."""
    from qa.run import evaluate

    return evaluate(
        *PAGES, "gate=[regression]", "device=cpu", "baseline=none", "tracking=none", "report=null",
        f"runs={work}", *words,
    )  # fmt: skip


def paired(ours: Evaluation, other: Evaluation) -> dict[str, Any]:
    """Metric → means of both, and how much better ours is, with its interval."""
    from qa.gates.margins import Margin
    from qa.judge import judge
    from qa.results import load

    arms = load(ours.folder.path), load(other.folder.path)
    rows = judge(*arms, {metric: Margin(1.0) for metric in METRICS})["gates"]
    found = {
        row["metric"]: {
            "ours": row["candidate"],
            "other": row["baseline"],
            "better": -row["estimate"],
            "low": -row["high"],
            "high": -row["low"],
        }
        for row in rows
    }
    return {**found, SPREAD: {"ours": mean(ours, SPREAD), "other": mean(other, SPREAD)}}


def mean(run: Evaluation, metric: str, pages: str = "") -> float:
    """Of a metric, over pages whose name ends like this and over seeds."""
    rows = run.scores[run.scores["metric"] == metric]
    return float(rows[rows["sample"].str.endswith(pages)]["value"].mean())


def tables(known: Numbers) -> list[str]:
    """Those of the card."""
    return [weights(known), compared(known), by_sigma(known), by_steps(known)]


def compared(known: Numbers) -> str:
    """Clean latents: both decoders, metric by metric."""
    head = ("clean latents", "vae_mini + bicubic", "pid_mini", "better by", "90 %")
    rows = known.get("sigma", {}).get("0", {})
    return table(head, *([m, *_cells(rows[m])] for m in METRICS if m in rows))


def by_sigma(known: Numbers) -> str:
    """Noisy latents: PSNR of both, and how much pid_mini's seeds differ."""
    head = ("sigma", "vae_mini + bicubic, dB", "pid_mini, dB", "better by", "90 %", "seeds, levels")
    rows = known.get("sigma", {}).items()
    return table(
        head, *([s, *_cells(row["psnr"]), f"{row[SPREAD]['ours']:.1f}"] for s, row in rows)
    )


def by_steps(known: Numbers) -> str:
    """Fewer steps against four."""
    head = ("steps and metric", "four steps", "fewer", "better by", "90 %")
    rows = known.get("fewer", {}).items()
    return table(
        head, *([f"{steps}: {m}", *_cells(row[m])] for steps, row in rows for m in METRICS)
    )


def _cells(row: Mapping[str, float]) -> list[str]:
    numbers = [f"{row[key]:.3f}" for key in ("other", "ours", "better")]
    return [*numbers, f"{row['low']:.3f} to {row['high']:.3f}"]


if __name__ == "__main__":
    main(__doc__, "pid_mini", ("pages", 16), measure, tables)
