"""What a worker notes beside the pictures it makes."""

from __future__ import annotations

import pytest
import torch

from qa import numerics, stages
from qa.config import compose
from qa.errors import DeviceFailed, SettingFailed, UsageError
from qa.job import prepare
from qa.run import evaluate, measure
from qa.seeds import INITIAL_NOISE, LATENT_NOISE, content, noise
from qa.stages import digest, together
from qa.transfer import Arriving
from qa.types import DecodeRequest, Knobs


def noises(run):
    table = run.folder.decoded()
    return {
        (sample, seed): found
        for sample, seed, found in zip(table["sample"], table["seed"], table["noise"], strict=True)
    }


def test_the_digest_of_its_noise_is_kept_with_every_picture(workdir, toy):
    job = prepare(compose(toy()))
    found = noises(evaluate(*toy()))
    assert len(set(found.values())) == 6 * 2
    unit = job.plan.units[0]
    height, width = job.worker.load(unit).reference.shape[1:]
    drawn = noise(INITIAL_NOISE, content(unit.sample), 1, (3, height, width))
    assert found[unit.sample.id, 1] == together({INITIAL_NOISE: digest(drawn)})


def test_noise_on_the_latent_counts_too(workdir, toy):
    job = prepare(compose(toy("Sampler", "knobs.sigma=0.5")))
    found = noises(evaluate(*toy("Sampler", "knobs.sigma=0.5")))
    unit = job.plan.units[0]
    picture = job.worker.load(unit).reference
    latent = job.latents.latent(unit.sample, picture).tensor
    streams = {
        INITIAL_NOISE: digest(noise(INITIAL_NOISE, content(unit.sample), 0, picture.shape)),
        LATENT_NOISE: digest(noise(LATENT_NOISE, content(unit.sample), 0, latent.shape)),
    }
    assert found[unit.sample.id, 0] == together(streams)


def test_arms_of_a_comparison_have_the_same_noise_whatever_their_batches(workdir, toy):
    one = evaluate(*toy("Sampler", "out=one", "executor.batch=1"))
    two = evaluate(*toy("Sampler", "out=two", "executor.batch=5", "+decoder.name=other"))
    assert noises(one) == noises(two)
    assert None not in noises(one).values()


def test_the_stages_of_a_picture_are_marked_in_order(workdir, toy):
    job = prepare(compose(toy()))
    unit = job.plan.units[0]
    told = []
    with stages.heard(lambda name, value, key: told.append((name, key))):
        (raw,) = job.worker.decode([job.worker.load(unit)], 1)
        job.worker.finish(raw)
    first = [name for name, key in told if key == (content(unit.sample), 0)]
    assert first == ["latent", "noise/initial-noise", "pixels", "picture", "file"]


def test_the_record_has_the_environment_class_and_the_pins(workdir, toy):
    environment = evaluate(*toy()).folder.record()["environment"]
    assert len(environment["class"]) == 12
    assert environment["decides"]["device"] == "cpu"
    assert len(environment["noise"]["pins"]) == 5
    assert len(environment["packages"]) == 64


@pytest.fixture
def job(workdir, toy):
    return prepare(compose(toy("Sampler", "executor.batch=1", "executor.workers=1")))


def breaking(monkeypatch, job, error):
    def decode(requests):
        raise error

    monkeypatch.setattr(job.decoder, "decode", decode)


def test_a_setting_that_cannot_work_stops_the_run(job, monkeypatch):
    breaking(monkeypatch, job, SettingFailed("A step cannot be recorded."))
    with pytest.raises(SettingFailed, match="cannot be recorded"):
        measure(job)


@pytest.mark.parametrize("error", [ValueError("no"), UsageError("no")])
def test_and_any_other_error_is_one_pictures_failure(job, monkeypatch, error):
    """The negative control. A prompt that a decoder cannot read is a UsageError of one picture."""
    breaking(monkeypatch, job, error)
    measure(job)
    assert set(job.folder.decoded()["why"]) == {"no"}


def test_a_decode_that_made_a_step_first_is_no_warm_one(job, monkeypatch):
    """Seeds of a picture have one size: the second is warm unless something was made for it."""
    decode, calls = job.decoder.decode, []

    def making(requests):
        calls.append(requests)
        numerics.TALLY["steps made"] += len(calls) == 4
        return decode(requests)

    monkeypatch.setattr(job.decoder, "decode", making)
    unit, other = (
        next(u for u in job.plan.units if u.sample.id == name) for name in ("p00", "p02")
    )
    shots = [
        shot for one in (unit, unit, other) for raw in job.worker.decode([job.worker.load(one)], 1)
        for shot in raw.shots
    ]  # fmt: skip
    assert [shot.warm for shot in shots] == [False, True, True, False, False, True]


def test_the_memory_of_a_recorded_step_counts_for_its_replays(job, monkeypatch):
    taken = iter([100, 10, 7, 9, 100, 10])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: next(taken))
    worker = job.worker
    requests, others = (
        [DecodeRequest("a", 0, "", side, side, None, 0.0, None, Knobs())] for side in (64, 32)
    )
    with numerics.applied(numerics.Numerics(steps="graph")):
        asked = (requests, requests, others, requests * 2)
        assert [worker._peak(one) for one in asked] == [100, 100, 7, 9]
    assert [worker._peak(requests) for _ in range(2)] == [100, 10], "what an eager call takes"


def test_a_picture_that_lacked_memory_once_is_tried_again(job, monkeypatch):
    freed, calls = [], []
    whole = job.decoder.decode

    def decode(requests):
        calls.append([request.sample for request in requests])
        if requests[0].sample == "p02" and (len(requests) > 1 or not freed):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return whole(requests)

    monkeypatch.setattr(job.decoder, "decode", decode)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(True))
    measure(job)
    assert job.folder.decoded()["file"].notna().all()
    assert freed == [True]
    assert calls.count(["p02"]) == 3, "refused, tried again; then the second seed"


def test_a_picture_that_always_lacks_memory_is_that_pictures_failure(job, monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    breaking(monkeypatch, job, torch.OutOfMemoryError("CUDA out of memory."))
    measure(job)
    assert set(job.folder.decoded()["why"]) == {"OutOfMemoryError: CUDA out of memory."}


def test_a_device_that_failed_stops_the_run(job, monkeypatch):
    breaking(monkeypatch, job, torch.AcceleratorError("CUDA error: unspecified launch failure"))
    with pytest.raises(DeviceFailed, match="unspecified launch failure"):
        measure(job)


@pytest.mark.parametrize("part", ["encoder", "metric", "arrival", "moved"])
def test_it_does_so_wherever_it_fails(job, monkeypatch, part):
    """As a failure of pictures or values, a broken GPU would race through the whole plan."""

    def broken(*_, **__):
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    if part == "encoder":
        monkeypatch.setattr(job.latents, "latent", broken)
    elif part == "metric":
        monkeypatch.setitem(job.worker.scorer._engine.metrics, "psnr", broken)
    elif part == "arrival":
        monkeypatch.setattr(Arriving, "wait", broken)
    else:
        monkeypatch.setattr(job.worker.scorer._engine, "_device", torch.device("meta"))
        monkeypatch.setattr(torch.Tensor, "to", broken)
    with pytest.raises(DeviceFailed, match="unspecified launch failure"):
        measure(job)


def test_what_is_given_up_later_keeps_what_there_was(workdir, toy):
    """A new metric that kills its process must not take the pictures and other values along."""
    evaluate(*toy("Sampler", "out=run"))
    job = prepare(compose(toy("Sampler", "out=run", "metric=[psnr,ssim]")))
    unit = job.plan.units[0]
    before = job.folder.finished(unit.id)
    job.worker.give_up(unit, "its worker died")
    after = job.folder.finished(unit.id)
    assert after.decoded == before.decoded
    assert [row for row in after.scores if row.metric == "psnr"] == list(before.scores)
    lost = [row for row in after.scores if row.metric == "ssim"]
    assert [(row.seed, row.value, row.why) for row in lost] == [
        (0, None, "its worker died"), (1, None, "its worker died"),
    ]  # fmt: skip
    assert not job.worker.complete(unit), "the next run tries it again"


def test_a_unit_that_is_given_up_counts_as_missing_and_is_tried_again(job):
    unit = job.plan.units[0]
    job.worker.give_up(unit, "its worker died")
    stored = job.folder.finished(unit.id)
    assert [(row.file, row.why) for row in stored.decoded] == [(None, "its worker died")] * 2
    assert {(row.value, row.why) for row in stored.scores} == {(None, "its worker died")}
    assert not job.worker.complete(unit)
    measure(job)
    assert job.worker.complete(unit)
