"""GenEval from prompts to verdict, to the official files, and back from them."""

import json
import shutil
from pathlib import Path
from statistics import fmean

import pytest
from geneval_oracle import is_faulty, planted, rows, write_rows

from qa import images
from qa.config import compose
from qa.errors import QaError, UsageError
from qa.run import evaluate
from qa.store import RunFolder
from suites.geneval import layout

CONF = Path(__file__).parents[2] / "conf"
COUNTS = {"single_object": 3, "counting": 5, "position": 3}


@pytest.fixture(scope="module")
def made():
    return rows(COUNTS)


@pytest.fixture
def go(workdir, made):
    """Run over `made`: `go(*overrides)`."""
    file = write_rows(workdir / "own.jsonl", made)

    def run(*overrides, suite="geneval"):
        return evaluate(
            f"suite={suite}", "suite.prompts=custom", f"suite.path={file}",
            f"hydra.searchpath=[file://{CONF}]", "metric=[geneval_oracle]", "tracking=none",
            "report=null", *overrides,
        )  # fmt: skip

    return run


def values(run):
    return {(row.sample, row.seed): row.value for row in run.scores.itertuples()}


def test_the_suite_brings_its_metric_and_its_gates():
    config = compose(["suite=geneval", "decoder=pictures", "decoder.path=x"])
    assert list(config.group("metric")) == ["geneval"]
    assert list(config.group("gate")) == ["regression", "slices", "preference"]
    assert config.tree.seeds == 1
    other = compose(["suite=geneval", "metric=[psnr]", "gate=[tail]", "seeds=2"])
    assert (list(other.group("metric")), list(other.group("gate"))) == (["psnr"], ["tail"])
    assert other.tree.seeds == 2
    assert list(compose([]).group("metric")) != ["geneval"]


def test_a_run_scores_what_was_planted(go, made):
    run = go("decoder=draws")
    assert (run.exit_code, run.verdict["state"]) == (0, "MEASURED")
    assert values(run) == {
        (f"{number:05d}/{take:04d}", 0): float(not is_faulty(number, take))
        for number in range(len(made))
        for take in range(4)
    }
    summary = run.folder.panels()["geneval"]
    assert summary["tags"] == planted(made)
    assert (summary["images"], summary["missing"]) == (4 * len(made), 0)
    assert summary["detector"] == "oracle"


def test_a_picture_that_is_missing_fails_the_run(go, made):
    run = go("decoder=draws", "decoder.breaks=00003/0002")
    assert (run.exit_code, run.verdict["state"]) == (5, "INVALID")
    assert [row["sample"] for row in run.verdict["failures"]] == ["00003/0002"]
    summary = run.folder.panels()["geneval"]
    assert (summary["missing"], summary["images"]) == (1, 4 * len(made) - 1)
    assert (summary["overall"], set(summary["tags"].values())) == (None, {None})
    assert summary["why"] == "1 of 44 pictures were not judged, the first is 00003/0002, seed 0"
    with pytest.raises(QaError, match=r"1 pictures of .* are missing.*00003/0002"):
        layout.write(run.folder, Path("out"))


def test_the_official_layout_round_trips(go, made):
    run = go("decoder=draws", "seeds=2")
    assert layout.main([str(run.folder.path), "out"]) == 0
    for number, row in enumerate(made):
        place = Path("out", f"{number:05d}")
        assert json.loads((place / "metadata.jsonl").read_text()) == row
        names = [file.name for file in sorted((place / "samples").iterdir())]
        assert names == [f"{k:04d}.png" for k in range(8)]
        for k in range(8):
            kept = images.read(run.folder.picture_file(f"{number:05d}/{k % 4:04d}", k // 4))
            assert images.digest(images.read(place / "samples" / names[k])) == images.digest(kept)
    again = go("suite.folder=out", "suite.pictures=8", suite="geneval_folder")
    first, second = values(run), values(again)
    assert second == {
        (f"{sample[:5]}/{4 * seed + int(sample[6:]):04d}", 0): value
        for (sample, seed), value in first.items()
    }
    for key in ("overall", "tags", "correct_images", "images"):
        summaries = [found.folder.panels()["geneval"] for found in (run, again)]
        assert summaries[0][key] == summaries[1][key]


def test_official_results_round_trip(go):
    run = go("decoder=draws")
    layout.main([str(run.folder.path), "out"])
    lines = Path("out/results.jsonl").read_text().splitlines()
    for line in map(json.loads, lines):
        assert list(line) == list(layout.RESULT_KEYS)
        assert isinstance(line["metadata"], str)
        assert isinstance(line["details"], str)
        assert Path("out", line["filename"]).is_file()
    found = layout.read_results(Path("out/results.jsonl"))
    noted = layout.all_notes(run.folder, "geneval", [row["id"] for row in run.folder.samples()])
    assert [line["details"] for line in found] == [note["details"] for note in noted]
    assert [line["metadata"] for line in found] == [note["metadata"] for note in noted]
    assert [line["reason"] for line in found] == [note["reason"] for note in noted]
    layout.write_results(Path("again.jsonl"), found)
    assert Path("again.jsonl").read_bytes() == Path("out/results.jsonl").read_bytes()
    Path("broken.jsonl").write_text(lines[0].replace('"details"', '"detail"'))
    with pytest.raises(QaError, match="no GenEval results"):
        layout.read_results(Path("broken.jsonl"))


def test_a_folder_with_a_gap_fails_unless_it_is_allowed(go):
    run = go("decoder=draws")
    layout.main([str(run.folder.path), "out"])
    Path("out/00004/samples/0001.png").unlink()
    failed = go("suite.folder=out", suite="geneval_folder")
    assert (failed.exit_code, failed.verdict["state"]) == (5, "INVALID")
    assert [row["why"] for row in failed.verdict["failures"]] == [
        "there is no picture 00004/samples/0001.png"
    ]
    with pytest.warns(RuntimeWarning, match="1 of 44 pictures are left out"):
        allowed = go("suite.folder=out", "suite.missing=allow", suite="geneval_folder")
    assert allowed.exit_code == 0
    summary = allowed.folder.panels()["geneval"]
    assert (summary["images"], summary["missing"], "why" in summary) == (43, 0, False)
    assert summary["overall"] is not None
    whole = values(run)
    assert values(allowed) == {key: whole[key] for key in whole if key[0] != "00004/0001"}


def test_pictures_of_any_size_are_scored(go):
    """Nothing but the files says how large they are."""
    run = go("decoder=draws")
    layout.main([str(run.folder.path), "out"])
    file = Path("out/00002/samples/0001.png")
    small = images.read(file)
    file.write_bytes(images.encode_png(small.repeat(1, 2, 3)))
    again = go("suite.folder=out", suite="geneval_folder")
    assert values(again) == values(run)
    large = images.read(again.folder.picture_file("00002/0001", 0))
    assert large.shape == (3, 16, 24)


def test_only_runs_of_geneval_are_written(toy, workdir):
    run = evaluate(*toy())
    with pytest.raises(UsageError, match="is no run of GenEval"):
        layout.write(run.folder, Path("out"))


def test_a_run_without_results_writes_pictures_alone(go):
    run = go("decoder=draws")
    shutil.rmtree(run.folder.path / "notes")
    pictures, results = layout.write(RunFolder.open(run.folder.path), Path("out"))
    assert (pictures, results) == (44, 0)
    assert not Path("out/results.jsonl").exists()


def test_the_command_says_what_is_wrong(workdir, capsys):
    assert layout.main(["nowhere", "out"]) == 2
    assert "not a run folder" in capsys.readouterr().err


def test_two_decoders_are_compared_prompt_by_prompt(go, made):
    """Harm is what the faults take away; the mean of slices is that of the overall score."""
    clean = go("decoder=draws", "decoder.faults=false")
    faulty = go("decoder=draws", f"baseline={clean.folder.path}", "gate=[regression,slices]")
    rows_of = {(row["gate"], row["metric"]): row for row in faulty.verdict["gates"]}
    whole = rows_of["regression", "geneval"]
    lost = [is_faulty(number, take) for number in range(len(made)) for take in range(4)]
    assert whole["estimate"] == pytest.approx(sum(lost) / len(lost))
    assert whole["count"] == len(made)
    expected = planted(made)
    slices = {name: row for (gate, name), row in rows_of.items() if gate == "slices"}
    for tag, share in expected.items():
        assert slices[f"geneval[{tag}]"]["estimate"] == pytest.approx(1 - share)
        assert slices[f"geneval[{tag}]"]["count"] == COUNTS[tag]
    together = slices["geneval[mean of slices]"]["estimate"]
    assert together == pytest.approx(1 - fmean(expected.values()))
    assert together != pytest.approx(whole["estimate"])
