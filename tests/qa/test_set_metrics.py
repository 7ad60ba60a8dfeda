"""Set metrics and latent metrics on their way through a run."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from toys import Colours, Kept, save_network

from qa import images
from qa.config import compose
from qa.errors import QaError, Unavailable, UsageError
from qa.features import stored
from qa.gates.margins import Margin
from qa.job import prepare
from qa.judge import judge
from qa.results import load
from qa.run import conclude, evaluate, measure
from qa.types import Sample

METRICS = "metric=[psnr,colour_gap]"


def means(run, pattern):
    """Mean colour over all pictures of a pattern, computed apart from the run."""
    files = sorted((run.folder.path / "images").rglob(pattern))
    part = Colours()
    return np.mean([part(images.read(file), "").numpy().mean(0) for file in files], axis=0)


def set_files(run):
    """Digests of everything that a set metric leaves."""
    path = run.folder.path
    files = [*path.glob("features/**/*.safetensors"), path / "sets.json", path / "verdict.json"]
    return {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_a_set_metric_has_one_value_for_all_pictures(workdir, toy):
    run = evaluate(*toy("Sampler", METRICS))
    expected = np.linalg.norm(means(run, "seed*.png") - means(run, "reference.png"))
    (row,) = run.folder.sets()
    assert row["value"] == pytest.approx(expected, rel=1e-5)
    assert (row["rows"], row["pictures"], row["why"]) == (6 * 4, 6, "")
    shown = {entry["metric"]: entry for entry in run.verdict["metrics"]}["colour_gap"]
    assert (shown["mean"], shown["count"], shown["of"]) == (row["value"], 6, "set")
    assert set(run.scores["metric"]) == {"psnr"}, "no row per picture"


@pytest.mark.parametrize("how", ["executor.batch=1", "executor.batch=5", "executor.workers=1"])
def test_how_it_is_carried_out_changes_no_byte(workdir, toy, how):
    expected = set_files(evaluate(*toy("Sampler", METRICS, "out=one")))
    assert set_files(evaluate(*toy("Sampler", METRICS, "out=two", how))) == expected


def test_shards_merge_in_any_order(workdir, toy):
    """Units measured apart, in two halves and two orders, leave the same bytes."""
    whole = set_files(evaluate(*toy("Sampler", METRICS, "out=whole")))
    job = prepare(compose(toy("Sampler", METRICS, "out=parts")))
    units = list(job.plan.units)
    for part in (units[3:][::-1], units[:3]):
        list(job.executor.run(job.worker, part))
    measure(job)
    assert set_files(conclude(job)) == whole


def test_features_are_added_to_a_finished_run_without_decoding(workdir, toy):
    first = evaluate(*toy("Sampler"))
    job = prepare(compose(toy("Sampler", METRICS)))
    assert job.folder.path == first.folder.path
    measure(job)
    assert job.decoder.calls == []
    assert conclude(job).folder.sets()[0]["value"] > 0


def test_a_lost_file_is_measured_again(workdir, toy):
    run = evaluate(*toy("Sampler", METRICS))
    before = set_files(run)
    next(run.folder.path.glob("features/*/*.safetensors")).unlink()
    assert set_files(evaluate(*toy("Sampler", METRICS))) == before


def test_a_gap_takes_the_value_away(workdir, toy):
    run = evaluate(*toy("Breaks", "+decoder.sample=p03", "+decoder.how=raise", METRICS))
    (row,) = run.folder.sets()
    assert row["value"] is None
    assert row["why"].startswith("'p03")
    assert run.verdict["state"] == "INVALID"


def test_a_picture_without_features_says_why(workdir, toy, tmp_path):
    from PIL import Image

    folder = tmp_path / "small"
    folder.mkdir()
    Image.new("RGB", (8, 1)).save(folder / "thin.png")
    (row,) = evaluate(*toy("Sampler", METRICS, f"suite.path={folder}")).folder.sets()
    assert row["value"] is None
    assert row["why"] == "'thin': a picture of one pixel has no quarters"


def test_a_metric_may_bring_its_own_references(workdir, toy):
    grey = ["+metric.colour_gap.reference=grey", "+metric.colour_gap.level=7"]
    run = evaluate(*toy("Sampler", METRICS, *grey))
    expected = np.linalg.norm(means(run, "seed*.png") - 7)
    assert run.folder.sets()[0]["value"] == pytest.approx(expected, rel=1e-5)
    candidate, reference = load(run.folder.path).feature_sets("colour_gap")
    assert len(candidate.values) == 6 * 2 * 4
    assert np.array_equal(reference.values, np.full((2, 3), 7, np.float32))


def test_reference_features_are_shared_between_runs(workdir, toy):
    evaluate(*toy("Sampler", METRICS, "out=one"))
    job = prepare(compose(toy("Sampler", METRICS, "out=two", "+decoder.noise=0.1")))
    measure(job)
    assert job.metrics["colour_gap"].features.calls == 6 * 2, "no reference was looked at again"


def test_stored_rows_by_hand(workdir, toy):
    run = evaluate(*toy("Sampler", METRICS, "seeds=1"))
    sample = run.folder.samples()[0]["id"]
    rows = load_file(stored.feature_file(run.folder, Colours.id, sample))
    picture = images.read(run.folder.picture_file(sample, 0))
    assert np.array_equal(rows["values"][0], Colours()(picture, "").numpy())
    assert rows["seeds"].tolist() == [0]


def test_a_baseline_takes_the_features_along(workdir, toy):
    from qa import baseline

    run = evaluate(*toy("Sampler", METRICS))
    baseline.promote(run.folder)
    shutil.rmtree(run.folder.path)
    found = baseline.find("toy").results
    assert len(found.feature_sets("colour_gap")[0].values) == 6 * 2 * 4
    file = next(found.stored.path.glob("features/*/*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(UsageError, match="not what was promoted"):
        baseline.find("toy")


def test_latent_metrics_see_what_the_encoder_makes_of_a_picture(workdir, toy):
    run = evaluate(*toy("Sampler", "metric=[psnr,reencode]", "encoder._target_=toys.Encoder"))
    rows = run.scores[run.scores["metric"] == "reencode"]
    assert len(rows) == 6 * 2
    sample, seed = rows.iloc[0]["sample"], int(rows.iloc[0]["seed"])
    pooled = [
        torch.nn.functional.avg_pool2d(_padded(images.read(file)), 8)
        for file in (run.folder.reference_file(sample), run.folder.picture_file(sample, seed))
    ]
    expected = (pooled[1] - pooled[0]).norm() / pooled[0].norm()
    assert rows.iloc[0]["value"] == pytest.approx(float(expected), rel=1e-5)
    exact = ["+decoder.noise=0.0", "encoder._target_=toys.Encoder"]
    quiet = evaluate(*toy("Sampler", "metric=[reencode]", *exact)).scores["value"]
    assert quiet.max() < rows["value"].min(), "noise is what does not come back"


def test_latent_metrics_are_added_without_decoding(workdir, toy):
    encoder = "encoder._target_=toys.Encoder"
    evaluate(*toy("Sampler", encoder))
    job = prepare(compose(toy("Sampler", "metric=[psnr,reencode]", encoder)))
    measure(job)
    assert job.decoder.calls == []
    again = evaluate(*toy("Sampler", "metric=[psnr,reencode]", encoder, "out=fresh"))
    assert conclude(job).scores.equals(again.scores)


def test_without_an_encoder_nothing_is_encoded_again(workdir, toy):
    with pytest.raises(UsageError, match=r"reencode cannot score this run.*no encoder"):
        prepare(compose(toy("Sampler", "metric=[psnr,reencode]")))  # toys.Pool has no scale


def test_the_record_names_the_protocol(workdir, toy):
    run = evaluate(*toy("Sampler", METRICS))
    facts = json.loads(run.folder.record_file.read_text())["facts"]["colour_gap"]
    assert (facts["of"], facts["protocol"]["features"]) == ("set", Colours.id)


def _padded(picture):
    pixels = images.to_unit(picture)[None]
    _, _, h, w = pixels.shape
    return torch.nn.functional.pad(pixels, (0, -w % 8, 0, -h % 8), mode="replicate")


def test_seeds_are_sets_of_their_own(workdir, toy, tmp_path):
    """A decoder without noise makes the same picture at every seed: copies are no new pictures."""
    network = save_network(tmp_path / "quarters.pt")
    names = [f"metric.{name}.extractor={network}" for name in ("fid", "kid", "recall")]
    quiet = ["metric=[fid,kid,recall]", *names, "+decoder.noise=0.0"]
    one, four = (
        evaluate(*toy("Sampler", *quiet, f"seeds={seeds}", f"out={seeds}")).folder.sets()
        for seeds in (1, 4)
    )
    for first, second in zip(one, four, strict=True):
        assert second["value"] == pytest.approx(first["value"], rel=1e-12)
        assert second["rows"] == first["rows"] == 6
    assert one[2]["value"] > 0, "recall, which copies would make 0"


def test_identical_pictures_are_at_zero_whatever_the_seeds(workdir, toy, tmp_path, pictures):
    network = save_network(tmp_path / "quarters.pt")
    served = ["decoder=pictures", f"decoder.path={pictures}"]
    fid = ["metric=[fid]", f"metric.fid.extractor={network}", "seeds=3"]
    run = evaluate(*[word for word in toy() if "decoder" not in word], *served, *fid)
    assert run.folder.sets()[0]["value"] == 0


def test_references_of_an_earlier_protocol_do_not_stay(workdir, toy):
    grey = ["+metric.colour_gap.reference=grey", "+metric.colour_gap.level=7"]
    evaluate(*toy("Sampler", METRICS, *grey, "out=one"))
    again = evaluate(*toy("Sampler", METRICS, "out=one"))
    fresh = evaluate(*toy("Sampler", METRICS, "out=two"))
    assert again.folder.sets() == fresh.folder.sets()
    ours, theirs = (load(run.folder.path).feature_sets("colour_gap")[1] for run in (again, fresh))
    assert np.array_equal(ours.values, theirs.values)


def test_a_cut_file_is_measured_again(workdir, toy):
    run = evaluate(*toy("Sampler", METRICS))
    before = set_files(run)
    file = next(run.folder.path.glob("features/*/*.safetensors"))
    file.write_bytes(file.read_bytes()[:-20])
    assert set_files(evaluate(*toy("Sampler", METRICS))) == before


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 4, 5), (2, 3)])
def test_a_file_of_another_form_is_measured_again(workdir, toy, shape):
    run = evaluate(*toy("Sampler", METRICS))
    before = set_files(run)
    file = next(run.folder.path.glob("features/*/*.safetensors"))
    rows = {"seeds": np.arange(shape[0]), "values": np.zeros(shape, np.float32)}
    stored._save(file, rows)
    sample = file.stem
    assert (stored.read(run.folder, Colours.id, sample) is None) == (len(shape) == 2)
    assert set_files(evaluate(*toy("Sampler", METRICS))) == before


def test_values_do_not_outlive_their_metric(workdir, toy, monkeypatch):
    """A metric that was measured and can no longer be built has no value, not an old one."""
    before = evaluate(*toy("Sampler", "metric=[psnr,brightness]"))
    assert before.scores["value"].notna().all()

    def broken(self):
        raise Unavailable("Metric brightness is not available.", "", "wait")

    monkeypatch.setattr("toys.Brightness.__init__", broken)
    after = evaluate(*toy("Sampler", "metric=[psnr,brightness]"))
    lost = after.scores[after.scores["metric"] == "brightness"]
    assert len(lost) == 12
    assert lost["value"].isna().all()
    assert after.scores[after.scores["metric"] == "psnr"]["value"].notna().all()


def test_stored_latents_are_compared_with_what_was_decoded(workdir, toy):
    """z is the latent that was decoded, not what the encoder would make of the reference."""
    words = ["metric=[psnr,reencode]", "latents=toy", "encoder._target_=toys.Encoder"]
    run = evaluate(*toy("Sampler", *words))
    for row in run.scores[run.scores["metric"] == "reencode"].itertuples():
        picture = images.read(run.folder.picture_file(row.sample, row.seed))
        again = torch.nn.functional.avg_pool2d(_padded(picture), 8)[0]
        z = Kept().latent(Sample(row.sample), picture).tensor
        assert row.value == pytest.approx(float((again - z).norm() / z.norm()), rel=1e-4)


def test_encoders_are_part_of_what_is_comparable(workdir, toy):
    words = ["metric=[reencode]", "encoder._target_=toys.Encoder"]
    one = load(evaluate(*toy("Sampler", *words, "out=one")).folder.path)
    other = replace(one, record=one.record | {"encoder_digest": "another"})
    margins = {"reencode": Margin(1.0)}
    assert judge(one, one, margins)["state"] == "PASS"
    verdict = judge(other, one, margins)
    assert verdict["state"] == "INVALID"
    assert "encoder of reencode: another against pool-1" in verdict["problems"][0]


def test_references_are_kept_apart_by_numerics(workdir, toy):
    evaluate(*toy("Sampler", METRICS, "out=one", "numerics.threads=1"))
    job = prepare(compose(toy("Sampler", METRICS, "out=two", "numerics.threads=2")))
    measure(job)
    assert job.metrics["colour_gap"].features.calls == 6 * 3, "none of the other's rows was taken"


@pytest.mark.parametrize("name", ["sets_file", "samples_file"])
@pytest.mark.parametrize("text", ["null", "[1, 2]", '{"a": 1}', '[{"value": 1}]', '[{"id": 1}]'])
def test_a_document_of_another_form_is_said(workdir, toy, name, text):
    run = evaluate(*toy("Sampler", METRICS))
    getattr(run.folder, name).write_text(text)
    with pytest.raises(QaError, match="is not what this version writes"):
        load(run.folder.path)


@pytest.mark.parametrize("text", ['[{"metric": "fid"}]', '[{"metric": "fid", "value": NaN}]', "[]"])
def test_a_damaged_table_of_sets_is_no_value(workdir, toy, text):
    run = evaluate(*toy("Sampler", METRICS))
    run.folder.sets_file.write_text(text.replace("fid", "colour_gap"))
    found = load(run.folder.path)
    gate = judge(found, found, {"colour_gap": Margin(1.0)})["gates"][0]
    assert (gate["state"], gate["missing"]) == ("INVALID", 1)
    assert "was not computed" in gate["why"]


def test_damaged_references_are_invalid_and_no_crash(workdir, toy):
    grey = ["+metric.colour_gap.reference=grey"]
    run = evaluate(*toy("Sampler", METRICS, *grey))
    file = stored.set_file(run.folder, "colour_gap")
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"reference\.safetensors is damaged"):
        load(run.folder.path).feature_sets("colour_gap")


def test_without_values_there_is_no_baseline(workdir, toy):
    from qa import baseline

    run = evaluate(*toy("Sampler", METRICS))
    assert baseline.ineligible(run.folder) == ""
    rows = [row | {"value": None, "why": "a gap"} for row in run.folder.sets()]
    run.folder.sets_file.write_text(json.dumps(rows))
    assert baseline.ineligible(run.folder) == "Its colour_gap has no value."
