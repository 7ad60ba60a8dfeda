"""Run folders as `qa run` leaves them, and verdicts over them, made in no time for reports."""

import torch

from qa import files
from qa.images import encode_png
from qa.judge import EXIT_CODES, SCHEMA
from qa.record import sample_row
from qa.reduce import reduce
from qa.store import RunFolder, UnitResult
from qa.types import Decoded, Sample, Score

TERMS = {"use_case": "7" * 64, "primary": ["psnr"], "gates": {"regression": "e" * 64}}
"""What every run is to be judged by, and was."""
METRICS = {"psnr": ("higher", "dB"), "lpips": ("lower", "")}


def picture(number, size=80, spoiled=0):
    generator = torch.Generator().manual_seed(number)
    made = torch.randint(60, 200, (3, size, size), generator=generator, dtype=torch.uint8)
    made[:, 8 : 8 + spoiled, 8 : 8 + spoiled] = 255
    return made


def build(
    path,
    ids,
    *,
    seeds=2,
    size=80,
    references=True,
    failed=(),
    prompts=None,
    bias=0.0,
    tags=("drawn", "<b>"),
):
    """A run folder as `qa run` leaves it, without its verdict."""
    run = RunFolder(path)
    units, rows = [], []
    for number, name in enumerate(ids):
        decoded, scores = [], []
        if references:
            run.write_picture(run.reference_file(name), encode_png(picture(number, size)))
        for seed in range(seeds):
            lost = (name, seed) in failed
            file, why = None, "out of memory" if lost else ""
            if not lost:
                spoiled = picture(number, size, spoiled=20 + seed)
                file = run.write_picture(run.picture_file(name, seed), encode_png(spoiled))
            decoded.append(Decoded(name, seed, file, None, 0, 0.1, None, why))
            values = {"psnr": 30 - seed - number / 100 - bias, "lpips": 0.1 + seed / 100 + bias / 9}
            for metric, value in values.items():
                scores.append(Score(name, seed, metric, None if lost else value, why))
        units.append(files.digest(name))
        run.store(UnitResult(units[-1], tuple(decoded), tuple(scores), {}))
        rows.append(Sample(name, prompt=(prompts or {}).get(name), tags=tags))
    reduce(run, [unit for _, unit in sorted(zip(ids, units, strict=True))], METRICS)
    rows.sort(key=lambda row: row.id)
    run.write_samples(sample_row(row, size, size) for row in rows)
    files.write_json(run.record_file, record(len(ids), seeds))
    return run


def record(pictures, seeds):
    facts = {
        name: {
            "name": name, "better": better, "unit": unit, "source": "Someone 2004, eq. 3",
            "licence": "MIT", "protocol": {"window": 11}, "fingerprint": files.digest(name),
        }
        for name, (better, unit) in METRICS.items()
    }  # fmt: skip
    return {
        "schema": "decoder-qa/record/1",
        "suite": "mini", "decoder": "shifted", "seeds": seeds, "pictures": pictures, "plan": "ab",
        "use_case": "photo", "policy": "pr", "terms": TERMS,
        "limited": False, "licence": "Apache-2.0", "facts": facts, "knobs": {"sigma": 0.0},
        "unavailable": {"dists": "qa assets fetch dists"}, "numerics": {"tf32": False},
        "environment": {"class": "abc", "versions": {"torch": "2.11"}, "git": None},
        "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:05:00Z",
        "command": ["qa", "run", "decoder=shifted", "suite=a b"],
    }  # fmt: skip


def gate(metric, state, worst, **changes):
    better, unit = METRICS[metric]
    return {
        "gate": "regression", "metric": metric, "state": state, "estimate": 2.0, "low": 1.5,
        "high": 2.5, "margin": 1.0, "margin_why": "visible from here on", "unit": unit,
        "better": better, "candidate": 28.0, "baseline": 30.0, "count": 3, "missing": 0,
        "needs": None, "why": "worse, and not within the margin",
        "worst": [{"sample": name, "harm": 3.25} for name in worst],
    } | changes  # fmt: skip


def judged(run, state, gates=(), failures=(), problems=()):
    """Put a verdict of this state into the run folder."""
    rows = run.samples()
    seeds = run.record()["seeds"]
    arm = {
        "name": run.name, "suite": "mini", "decoder": "shifted", "plan": "ab", "seeds": seeds,
        "pictures": len(rows), "licence": "Apache-2.0", "limited": False,
    }  # fmt: skip
    metrics = [
        {
            "metric": name, "better": better, "unit": unit, "fingerprint": files.digest(name),
            "mean": 1.25, "low": 1.0, "high": 1.5, "count": len(rows), "missing": 0, "why": "",
        }
        for name, (better, unit) in METRICS.items()
    ]  # fmt: skip
    approval = {"content": "ef" * 32, "by": "Grace", "why": "", "until": None}
    asked = {"use_case": TERMS["use_case"], "gates": sorted(TERMS["gates"])}
    verdict = {
        "schema": SCHEMA, "terms": asked, "policy": "pr",
        "state": state, "exit_code": EXIT_CODES[state], "summary": f"summary of {state}",
        "candidate": arm, "use_case": "photo", "confidence": 0.9,
        "baseline": arm | {"decoder": "vae_mini"} | approval if gates else None,
        "gates": list(gates), "metrics": metrics,
        "failures": list(failures), "problems": list(problems),
    }  # fmt: skip
    files.write_json(run.verdict_file, verdict)
    return run
