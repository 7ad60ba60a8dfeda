"""What a worker notes beside the pictures it makes."""

from __future__ import annotations

from qa import stages
from qa.config import compose
from qa.job import prepare
from qa.run import evaluate
from qa.seeds import INITIAL_NOISE, LATENT_NOISE, content, noise
from qa.stages import digest, together


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
