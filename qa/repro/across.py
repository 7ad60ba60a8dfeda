"""R6 and R7: another environment class, and statistics where no bit agrees.

R6 decodes the first pictures of a run made elsewhere and holds them to R4t against its stored ones.
The largest difference, times two, is the measured tolerance of the two classes. Digests of a
decoder name its device, so what must agree is the configuration without it, the samples, the dial
and the noise.

R7 compares all pictures of two finished runs: each metric with a margin has to lie within 0.25 of
it in both directions (two one-sided tests, Schuirmann 1987) over 100 pictures or more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import environment, images, stages
from qa.errors import QaError, UsageError, said
from qa.files import digest
from qa.groups import means, units
from qa.record import inputs
from qa.repro.bench import Bench
from qa.repro.compare import difference, saved
from qa.repro.measures import margins, moved
from qa.repro.rows import Row, invalid
from qa.repro.trace import base_name, label
from qa.repro.varied import tolerance
from qa.results import Results, load
from qa.stats import CONFIDENCE, equivalence, mean_interval
from qa.store import RunFolder
from qa.types import Unit

if TYPE_CHECKING:
    from torch import Tensor

SHARE = 0.25
"""R7: the part of a margin within which two environments have to agree."""
LEAST = 100
"""R7: pictures."""
PARTS = ("decoder", "encoder", "latents", "text")


def other_class(bench: Bench, against: RunFolder) -> Row:
    """R6: the pictures of a run of another environment class, decoded here."""
    record = against.record()
    theirs = record.get("environment") or {}
    fields = environment.decides(bench.job.resolved_numerics)
    pair = (environment.class_of(fields), str(theirs.get("class")))
    compared = f"pictures decoded here (class {pair[0]}) with those of {against.name} ({pair[1]})"
    if pair[0] == pair[1]:
        return invalid("R6", compared, "both are of one environment class: R2 and R3 compare these")
    problems = _unlike(bench, against, record)
    if problems:
        return invalid("R6", compared, "; ".join(problems))
    stored = _pictures(against, bench.units())
    if not stored:
        return invalid("R6", compared, "none of the pictures is stored there")
    trace = bench.first
    if set(stored) - set(trace.pixels):
        name = min(set(stored) - set(trace.pixels))
        return invalid("R6", compared, f"{name} was not decoded: {trace.failed.get(name)}")
    ours = {name: saved(trace.pixels[name]) for name in stored}
    units = [unit for unit in bench.units() if label(unit) in stored]
    found = difference(ours, stored, moved(bench.job, ours, stored, units))
    differ = environment.differences(fields, theirs.get("decides") or {})
    facts = {"environments": sorted(pair), "differences": differ,
             "their_hardware": str(record.get("numerics", {}).get("hardware"))}  # fmt: skip
    exact = all(bool((ours[name] == stored[name]).all()) for name in stored)
    return Row(
        "R6",
        "FAIL" if found.unacceptable else "PASS",
        f"{len(stored)} {compared}",
        found.unacceptable or f"{found.levels} levels at most; other: {', '.join(differ)}",
        exact,
        {against.name: found.document()},
        None,
        (tolerance(bench, "R6", " and ".join(sorted(pair)), found, 1, **facts),),
    )


def store(bench: Bench, row: Row, baselines: str) -> Path | None:
    """Store the tolerance of a passed R6 with the suite's baseline; returns the pointer."""
    if row.verdict != "PASS" or not row.tolerances:
        return None
    from qa.baseline import add_tolerance

    (found,) = row.tolerances
    one, other = found["environments"]
    return add_tolerance(
        bench.job.suite,
        baselines,
        environments=(one, other),
        limits=found["limits"],
        decoder=bench.job.config.choices["decoder"],
        hardware=f"{found['hardware']} and {found['their_hardware']}",
    )


def statistically(bench: Bench, run: Path | None, against: Path) -> Row:
    """R7: equivalence within a quarter of each margin, from stored scores."""
    if run is None:
        why = (
            "no finished run of that suite was made of these inputs here; "
            "make it with qa run, or name it with run=DIR"
        )
        return invalid("R7", f"scores with those of {against.name}", why)
    one, two = load(run), load(against)
    compared = f"scores of {one.name} with those of {two.name} in {against.name}"
    strange = _strange(bench, one.record)
    if strange:
        return invalid("R7", compared, f"{one.name} has {' and '.join(strange)}")
    if one.digests != two.digests or one.seeds != two.seeds:
        return invalid("R7", compared, "the runs have other samples or seeds")
    known = {name: margin for name, margin in margins(bench.job).items()
             if name in one.metrics and name in two.metrics}  # fmt: skip
    per_picture = {name: margin for name, margin in known.items()
                   if one.record.get("facts", {}).get(name, {}).get("of") != "set"}  # fmt: skip
    if not per_picture:
        return invalid("R7", compared, "no metric of single pictures has a margin in both")
    if len(one.samples) < LEAST:
        return invalid("R7", compared, f"{len(one.samples)} pictures; {LEAST} are needed")
    return _equivalent(compared, one, two, per_picture)


def _equivalent(compared: str, one: Results, two: Results, known: Mapping[str, float]) -> Row:
    facts = (one.record.get("facts", {}), two.record.get("facts", {}))
    measured, failed, odd = {}, [], []
    for name, margin in sorted(known.items()):
        prints = [arm.get(name, {}).get("fingerprint") for arm in facts]
        if prints[0] != prints[1]:
            odd.append(f"fingerprint of {name}: {prints[0]} against {prints[1]}")
            continue
        apart = means(two.by_picture(name) - one.by_picture(name), units(one.samples, one.groups))
        interval = mean_interval(apart.dropna().sort_index().to_numpy(), CONFIDENCE)
        outcome = equivalence(interval, int(apart.isna().sum()), SHARE * margin, CONFIDENCE)
        if interval is not None:
            measured[name] = {"mean": interval.mean, "low": interval.low, "high": interval.high,
                              "limit": SHARE * margin}  # fmt: skip
        if outcome.state == "INVALID":
            odd.append(f"{name}: {outcome.why}")
        elif outcome.state != "PASS":
            failed.append(f"{name}: {outcome.why}")
    verdict = "INVALID" if odd else "FAIL" if failed else "PASS"
    return Row("R7", verdict, compared, "; ".join([*odd, *failed]), None, measured)


def finished_run(bench: Bench, given: str | None, runs: str, against: Path) -> Path | None:
    """The run whose scores R7 takes: the one named, or the newest that fits."""
    if given is not None:
        return RunFolder.open(given).path
    found: list[tuple[str, Path]] = []
    for file in sorted(Path(runs).glob("*/record.json")):
        if file.parent.resolve() == against.resolve():
            continue
        try:
            record = RunFolder(file.parent).record()
            fits = (record["suite"], record["limited"]) == (bench.job.suite, False)
            if fits and record["finished"] and not _strange(bench, record):
                found.append((str(record["finished"]), file.parent))
        except (QaError, KeyError):
            continue  # a neighbour's unfinished or damaged run
    return max(found, default=("", None))[1]


def _strange(bench: Bench, record: Mapping[str, Any]) -> list[str]:
    """In what a run is not of the system that is checked here: its inputs, or where it was made."""
    job = bench.job
    wanted = inputs(job.plan.shared)["digest"]
    own = environment.class_of(environment.decides(job.resolved_numerics))
    there = {
        "other inputs": (record.get("inputs") or {}).get("digest") == wanted,
        "another environment class": (record.get("environment") or {}).get("class") == own,
    }
    return [name for name, same in there.items() if not same]


def _unlike(bench: Bench, against: RunFolder, record: Mapping[str, Any]) -> list[str]:
    """In which inputs that run differs from this configuration."""
    job = bench.job
    problems = []
    try:
        theirs = against.config()
    except QaError as error:
        return [said(error)]
    for part in PARTS:
        if digest(_portable(job.config.group(part))) != digest(_portable(theirs.get(part))):
            problems.append(f"{part}: another configuration")
    digests = {row["id"]: row.get("sha256") for row in against.each_sample()}
    changed = [unit.sample.id for unit in bench.units(1)
               if digests.get(unit.sample.id) != unit.sample.sha256]  # fmt: skip
    if changed:
        problems.append(f"samples: {changed[0]!r} is not there, or another picture")
    wanted = job.config.group("knobs")
    if record.get("knobs") != wanted:
        problems.append(f"knobs: {wanted} against {record.get('knobs')}")
    return [*problems, *_other_noise(bench, against)]


def _other_noise(bench: Bench, against: RunFolder) -> Iterable[str]:
    """Whether that run drew other noise for these pictures."""
    table = against.decoded(["sample", "seed", "noise"])
    known = {
        f"{sample} seed {seed}": noise if isinstance(noise, str) else None
        for sample, seed, noise in zip(table["sample"], table["seed"], table["noise"], strict=True)
    }
    for name, found in bench.first.digests.items():
        streams = {
            stage.removeprefix(stages.NOISE): digest
            for stage, digest in found.items()
            if stage.startswith(stages.NOISE) and stage == base_name(stage)
        }
        if name in known and known[name] != stages.together(streams):
            return [f"noise: other numbers were drawn for {name}"]
    return []


def _portable(part: Any) -> Any:
    """A part's configuration without the device that it ran on."""
    if isinstance(part, Mapping):
        return {key: _portable(value) for key, value in part.items() if key != "device"}
    return part


def _pictures(against: RunFolder, units: Iterable[Unit]) -> dict[str, Tensor]:
    """The stored pictures of that run, by label."""
    found = {}
    for unit in units:
        file = against.picture_file(unit.sample.id, unit.seeds[0])
        if file.is_file():
            found[label(unit)] = images.read(file)
    return found


def opened_run(path: str) -> RunFolder:
    """A finished run folder; UsageError for anything else."""
    folder = RunFolder.open(path)
    if not folder.record().get("finished") or not folder.decoded_file.is_file():
        raise UsageError(f"{path} is not finished.", "", "give the command that started it again")
    return folder
