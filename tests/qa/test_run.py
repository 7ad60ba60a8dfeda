"""The journey from configuration to verdict, with decoders that take no time."""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import shutil
import time
from pathlib import Path

import pytest
from toyruns import run_slowly, toy_overrides

from qa.config import compose
from qa.errors import QaError, UsageError
from qa.job import cost, prepare
from qa.run import Evaluation, conclude, evaluate, measure


def fingerprint(run: Evaluation) -> dict[str, str]:
    """Digest of every result file that must not depend on how the run was carried out."""
    folder = run.folder.path
    files = [*sorted((folder / "images").rglob("*.png")), *run.folder.scores_folder.files()]
    files.append(folder / "verdict.json")
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_a_run_measures_every_picture_at_every_seed(workdir, toy):
    run = evaluate(*toy())
    assert run.verdict["state"] == "MEASURED"
    assert run.exit_code == 0
    assert len(run.scores) == 6 * 2
    assert run.scores["value"].notna().all()
    decoded = run.folder.decoded()
    assert decoded["digest"].nunique() == 12, "every seed gives another picture"
    assert all((run.folder.path / file).is_file() for file in decoded["file"])


def test_seeds_of_a_deterministic_decoder_agree(workdir, toy):
    decoded = evaluate(*toy("Sampler", "+decoder.noise=0.0")).folder.decoded()
    assert (decoded.groupby("sample")["digest"].nunique() == 1).all()


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_batch_size_changes_nothing(workdir, toy, batch):
    expected = fingerprint(evaluate(*toy("Sampler", "out=reference")))
    job = prepare(compose(toy("Sampler", "out=other", f"executor.batch={batch}")))
    measure(job)
    assert max(job.decoder.calls) == batch, "batches of that size were really decoded"
    assert fingerprint(conclude(job)) == expected


def test_a_batch_coupled_decoder_is_noticed(workdir, toy):
    """Negative control of the test above."""
    one = evaluate(*toy("Coupled", "out=one", "executor.batch=1"))
    four = evaluate(*toy("Coupled", "out=four", "executor.batch=4"))
    assert fingerprint(one) != fingerprint(four)


@pytest.mark.parametrize("order", ["reversed", "shuffled"])
def test_the_order_of_units_changes_nothing(workdir, toy, order):
    expected = fingerprint(evaluate(*toy("Sampler", "out=reference")))
    job = prepare(compose(toy("Sampler", "out=other")))
    run_units = job.executor.run

    def another_order(worker, units):
        units = list(units)
        if order == "reversed":
            units.reverse()
        else:
            random.Random(7).shuffle(units)
        return run_units(worker, units)

    job.executor.run = another_order
    measure(job)
    assert fingerprint(conclude(job)) == expected


def test_a_finished_run_is_not_decoded_again(workdir, toy):
    first = evaluate(*toy())
    job = prepare(compose(toy()))
    measure(job)
    assert job.decoder.calls == []
    assert fingerprint(conclude(job)) == fingerprint(first)


def test_one_more_metric_needs_no_decoding(workdir, toy):
    evaluate(*toy())
    job = prepare(compose([*toy(), "metric=[psnr,gmsd]"]))
    measure(job)
    assert job.decoder.calls == []
    scores = conclude(job).scores
    assert sorted(scores["metric"].unique()) == ["gmsd", "psnr"]
    assert scores["value"].notna().all()


def test_a_damaged_picture_in_the_run_folder_is_decoded_again(workdir, toy):
    first = evaluate(*toy())
    expected = fingerprint(first)
    row = first.folder.decoded().iloc[0]
    (first.folder.path / row["file"]).write_bytes(b"not a png")
    job = prepare(compose([*toy(), "metric=[psnr,gmsd]"]))
    measure(job)
    assert sum(job.decoder.calls) == 2, "one picture's two seeds"
    assert fingerprint(evaluate(*toy())) == expected


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("raise", "RuntimeError: the sampler diverged"),
        ("infinite", "1 of 9216 values are NaN or infinite"),
        ("size", "the picture is [3, 47, 64], expected [3, 48, 64]"),
    ],
)
def test_a_failed_decode_is_a_scored_failure_of_that_picture_only(workdir, toy, how, why):
    run = evaluate(*toy("Breaks", "+decoder.sample=p00", f"+decoder.how={how}"))
    assert run.verdict["state"] == "INVALID"
    assert run.exit_code == 5
    assert run.verdict["failures"] == [
        {"sample": "p00", "seed": seed, "why": why} for seed in (0, 1)
    ]
    values = run.scores.set_index("sample")["value"]
    assert values.isna().sum() == 2
    assert values.drop("p00").notna().all()


def test_unreadable_pictures_are_scored_failures(workdir, toy, pictures):
    (pictures / "p00.png").write_bytes(b"")
    (pictures / "p01.png").write_bytes((pictures / "p02.png").read_bytes()[:200])
    (pictures / "p03.png").write_text("no picture")
    run = evaluate(*toy())
    whys = {row["sample"]: row["why"] for row in run.verdict["failures"]}
    assert whys["p00"] == "p00.png: the file is empty"
    assert whys["p01"].startswith("p01.png: the file is damaged")
    assert whys["p03"] == "p03.png: the file is not a picture in a known format"
    assert len(run.verdict["failures"]) == 6
    assert run.scores["value"].notna().sum() == 6


def test_better_and_worse_decoders_get_the_verdicts_they_deserve(workdir, toy):
    baseline = evaluate(*toy("Sampler", "+decoder.noise=0.05", "out=base"))
    margin = "use_case.margins.psnr.margin=0.5"
    same = evaluate(*toy("Sampler", "+decoder.noise=0.05", "+decoder.name=again", "out=same",
                         "baseline=base", margin))  # fmt: skip
    worse = evaluate(*toy("Sampler", "+decoder.noise=0.2", "out=worse", "baseline=base", margin))
    better = evaluate(*toy("Sampler", "+decoder.noise=0.01", "out=better", "baseline=base", margin))
    assert [r.verdict["state"] for r in (baseline, same, worse, better)] == [
        "MEASURED", "PASS", "FAIL", "IMPROVED"
    ]  # fmt: skip
    assert worse.exit_code == 3
    gate = worse.verdict["gates"][0]
    assert gate["metric"] == "psnr"
    assert gate["low"] > 0.5
    assert gate["worst"][0]["sample"] in worse.verdict["summary"]


def test_arms_with_other_seeds_or_samples_are_not_compared(workdir, toy, pictures):
    evaluate(*toy("Sampler", "out=base"))
    seeds = evaluate(*toy("Sampler", "out=seeds", "seeds=3", "baseline=base"))
    assert seeds.exit_code == 5
    assert seeds.verdict["problems"] == [
        "seeds: [0, 1, 2] in the candidate, [0, 1] in the baseline"
    ]
    limited = evaluate(*toy("Sampler", "out=limited", "limit=3", "baseline=base"))
    assert limited.exit_code == 5
    assert limited.verdict["candidate"]["limited"]
    shutil.copy(pictures / "p01.png", pictures / "p00.png")
    changed = evaluate(*toy("Sampler", "out=changed", "baseline=base"))
    assert changed.verdict["problems"] == ["samples: 1 have another reference, e.g. 'p00'"]


def test_latent_spaces_must_agree_before_anything_is_decoded(workdir, toy):
    with pytest.raises(UsageError) as caught:
        prepare(compose(toy("Sampler", "+encoder.space=other")))
    assert "other (3 channels, /8, 8x8 means)" in str(caught.value)
    assert "pooled (3 channels, /8, 8x8 means)" in str(caught.value)
    assert not Path("runs").exists()


def test_latent_noise_follows_the_sample(workdir, toy):
    """sigma corrupts the latent per seed, and equal content gets equal noise in any arm."""
    noisy = ["+decoder.noise=0.0", "knobs.sigma=0.3"]
    one = evaluate(*toy("Sampler", *noisy, "out=one"))
    two = evaluate(*toy("Sampler", *noisy, "out=two", "+decoder.name=other"))
    assert (one.folder.decoded().groupby("sample")["digest"].nunique() == 2).all()
    assert list(one.folder.decoded()["digest"]) == list(two.folder.decoded()["digest"])


def test_a_folder_holds_one_run(workdir, toy):
    evaluate(*toy("Sampler", "out=mine"))
    with pytest.raises(UsageError, match="holds another run"):
        evaluate(*toy("Sampler", "out=mine", "seeds=3"))


def test_a_dead_tracker_costs_nothing(workdir, toy):
    plain = fingerprint(evaluate(*toy("Sampler", "out=plain")))
    with pytest.warns(RuntimeWarning, match="Not tracked"):
        run = evaluate(
            *toy("Sampler", "out=tracked"), "tracking=mlflow", "tracking.uri=http://127.0.0.1:9"
        )
    assert run.exit_code == 0
    assert run.tracked is None
    assert fingerprint(run) == plain


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_continues_to_the_same_bytes(workdir, pictures):
    """kill -9 while it reads, decodes, writes or reduces; the last process finishes the work."""
    reference = evaluate(
        *toy_overrides(pictures, "Sampler", "+decoder.delay=0.02", "out=reference")
    )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["conftest", "toys", "qa.run", "torchmetrics"])
    moments = random.Random(11)
    kills = 0
    for _ in range(40):
        process = context.Process(target=run_slowly, args=(str(pictures), "killed"))
        process.start()
        process.join(moments.uniform(0.05, 1.2))
        if process.is_alive():
            process.kill()
            kills += 1
        else:  # it was quicker: the next one starts from nothing
            shutil.rmtree("killed")
        process.join()
        if kills == 10:
            break
    assert kills == 10, "the runs were over before they could be killed: the test shows nothing"
    final = evaluate(*toy_overrides(pictures, "Sampler", "+decoder.delay=0.02", "out=killed"))
    assert fingerprint(final) == fingerprint(reference)
    assert not list(final.folder.path.rglob(".part-*")), "what a killed process left is cleared"


def test_a_full_disk_stops_the_run_and_it_continues_afterwards(workdir, toy, monkeypatch):
    import errno

    from qa import files

    expected = fingerprint(evaluate(*toy("Sampler", "out=reference")))
    written = files.Path.write_bytes
    budget = iter(range(9))

    def until_full(path, data):
        if next(budget, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(files.Path, "write_bytes", until_full)
        with pytest.raises(QaError, match="The disk is full") as caught:
            evaluate(*toy("Sampler", "out=full"))
    assert caught.value.exit_code == 1
    assert not list(Path("full").rglob(".part-*")), "nothing half-written"
    assert fingerprint(evaluate(*toy("Sampler", "out=full"))) == expected


def test_an_unwritable_folder_is_said_before_any_decoding(workdir, toy):
    Path("blocked").write_text("a file where a folder should be")
    with pytest.raises(QaError, match=r"Cannot write .*blocked") as caught:
        evaluate(*toy("Sampler", "out=blocked/run"))
    assert "out=DIR" in str(caught.value)


def test_a_failure_of_the_machine_is_tried_again(workdir, toy, monkeypatch):
    """A stored failure must not outlive its cause."""
    import toys

    def breaks(self, request):
        raise MemoryError("no memory left")

    with monkeypatch.context() as patch:
        patch.setattr(toys.Sampler, "_one", breaks)
        broken = evaluate(*toy("Sampler", "out=same"))
    assert broken.exit_code == 5
    assert "MemoryError" in broken.verdict["failures"][0]["why"]
    assert evaluate(*toy("Sampler", "out=same")).exit_code == 0


def test_what_can_be_known_before_decoding_is_said_before(workdir, toy):
    for override in (
        "use_case.margins.psnr.margin=-1",
        "use_case.margins.psnr.margin=abc",
        "report=reports.html.wrte",
        "tracking={_target_: qa.tracking.Nope}",
        "metric=[]",
        "knobs.steps=3",
        "device=cuda:7",
        "device=toaster",
        "executor.batch=0",
        "numerics.threads=0",
        "baseline=nowhere",
    ):
        with pytest.raises(UsageError):
            evaluate(*toy("Sampler", override))
    assert not Path("runs").exists()


def test_a_neighbours_damaged_run_is_none_of_our_business(workdir, toy):
    for name, text in (("one", "{}"), ("two", "{"), ("three", '{"schema": "decoder-qa/record/1"}')):
        Path("runs", name).mkdir(parents=True)
        Path("runs", name, "record.json").write_text(text)
    planned = cost(prepare(compose(toy())))
    assert (planned["measured"], planned["seconds"]) == (0, None)


def test_two_processes_do_not_share_a_folder(workdir, toy):
    job = prepare(compose(toy("Sampler", "out=mine")))
    with job.folder.held(), pytest.raises(UsageError, match="Another process is working"):
        evaluate(*toy("Sampler", "out=mine"))
    assert evaluate(*toy("Sampler", "out=mine")).exit_code == 0


def test_results_hold_no_place_of_this_machine(workdir, pictures, monkeypatch):
    """Names of folders may stand in config.yaml and in the command of record.json only."""
    monkeypatch.setenv("QA_CACHE", str(workdir / "canary-cache"))
    (pictures / "p03.png").write_bytes(b"")
    run = evaluate(
        *toy_overrides(pictures, "Sampler", "report=reports.html.write"),
        "metric=[psnr,lpips_alex]", "offline=true",
    )  # fmt: skip
    folder = run.folder.path
    record = run.folder.record()
    record.pop("command")
    texts = {"record": str(record)} | {
        file.name: file.read_text()
        for file in (run.folder.verdict_file, run.folder.samples_file, *folder.glob("units/*/*"))
    }
    for name, text in texts.items():
        assert str(workdir) not in text, name
    assert "canary" not in run.folder.report_file.read_text()


def test_progress_counts_pictures(workdir, toy):
    seen: list[tuple[int, int]] = []
    evaluate(*toy(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 12) for done in range(0, 13, 2)]


def test_times_are_measured(workdir, toy):
    start = time.perf_counter()
    decoded = evaluate(*toy("Sampler", "+decoder.delay=0.005")).folder.decoded()
    assert decoded["seconds"].min() >= 0.005
    assert decoded["seconds"].sum() <= time.perf_counter() - start


def test_the_strict_policy_and_its_gates_are_one_word(workdir, toy):
    evaluate(*toy("Sampler", "out=base"))
    run = evaluate(*toy("Sampler", "+decoder.name=again", "out=candidate", "baseline=base",
                        "experiment=release"))  # fmt: skip
    assert run.verdict["policy"] == "release"
    rows = {(row["gate"], row["metric"]): row for row in run.verdict["gates"]}
    assert rows["regression", "psnr"]["state"] == "PASS"
    assert rows["reproducibility", "level"]["state"] == "INVALID", "nobody ran `qa repro`"
    assert rows["tail", "catastrophe"]["counts"], "six pictures show too little, and that counts"
    assert ("cost", "latency_median") in rows
    assert run.exit_code in (3, 5), "times of such small decodes may differ by chance"
    same = evaluate(*toy("Sampler", "out=same", "baseline=base", "experiment=refactor"))
    gates = [row["gate"] for row in same.verdict["gates"]]
    assert gates == ["equivalence", "reproducibility"]
    assert same.verdict["policy"] == "pr"


def test_gates_of_ones_own_and_limits_can_be_chosen(workdir, toy):
    limits = "+gate.threshold.limits.psnr={at_least: 60, why: contract}"
    run = evaluate(*toy("Sampler", "gate=[threshold]", limits))
    assert (run.verdict["state"], run.verdict["baseline"]) == ("FAIL", None)
    assert run.verdict["gates"][0]["margin_why"] == "contract"


@pytest.mark.parametrize(
    "overrides",
    [["policy=strict"], ["gate=[]"], ["gate=[threshold]"], ["looks=[8,4]"], ["extend=4"],
     ["gate=[reproducibility]", "gate.reproducibility.level=R12"],
     ["+gate.again._target_=qa.gates.regression.Regression"],
     ["use_case.primary=[psnr,lips]"], ["use_case.catastrophe.rate=2"]],
)  # fmt: skip
def test_rules_that_cannot_work_are_said_before_decoding(workdir, toy, overrides):
    with pytest.raises(UsageError):
        evaluate(*toy("Sampler", *overrides))
    assert not Path("runs").exists()


def test_a_change_in_the_record_alone_is_named(workdir, toy):
    """One field of a finished run edited: the verdict is INVALID and says which."""
    import json

    evaluate(*toy("Sampler", "out=base"))
    run = evaluate(*toy("Sampler", "+decoder.name=again", "out=mine", "baseline=base"))
    file = run.folder.record_file
    record = json.loads(file.read_text())

    def verdict(**changes):
        file.write_text(json.dumps(record | changes))
        return conclude(prepare(compose(toy("Sampler", "+decoder.name=again", "out=mine",
                                            "baseline=base")))).verdict  # fmt: skip

    assert verdict()["state"] == "PASS"
    facts = record["facts"]["psnr"] | {"fingerprint": "0" * 16}
    for changes, field in (
        ({"facts": {"psnr": facts}}, "fingerprint of psnr"),
        ({"limited": True}, "limit"),
        ({"seeds": 3}, "seeds"),
    ):
        found = verdict(**changes)
        assert (found["state"], found["exit_code"]) == ("INVALID", 5)
        assert found["problems"][0].startswith(field)
