"""A folder of latents of several steps, as `qa latents` leaves it."""

from __future__ import annotations

import pytest
import torch

from decoders.latents import StoredLatents, write
from qa.checks import check_knobs, knobs_read
from qa.config import compose
from qa.errors import UsageError
from qa.types import Knobs, Sample


@pytest.fixture
def steps(tmp_path):
    for folder, value in (("step24", 24), ("step3", 3), ("x0", 0)):
        latent = torch.full((16, 2, 2), float(value))
        write(tmp_path / folder / "a.safetensors", latent, space="flux1")
    return tmp_path


def value(folder, **chosen):
    return float(StoredLatents(str(folder), **chosen).latent(Sample("a"), None).tensor[0, 0, 0])


def test_capture_chooses_the_step_and_the_end_is_the_default(steps):
    assert StoredLatents(str(steps)).captures == (3, 24)
    assert [value(steps), value(steps, capture=3), value(steps, capture=24)] == [0, 3, 24]
    digests = {StoredLatents(str(steps), step).digest for step in (None, 3, 24)}
    assert len(digests) == 3


def test_a_step_that_is_not_there_is_refused(steps):
    with pytest.raises(UsageError, match=r"no latents of step 5. It holds steps 3, 24"):
        StoredLatents(str(steps), 5)
    with pytest.raises(UsageError, match=r"no latents of step 5. It holds no steps"):
        StoredLatents(str(steps / "x0"), 5)


def test_one_steps_folder_is_a_plain_one(steps):
    found = StoredLatents(str(steps / "step3"))
    assert found.captures == ()
    assert value(steps / "step3") == 3


def test_ids_may_still_have_folders(tmp_path):
    write(tmp_path / "step" / "a.safetensors", torch.zeros(16, 2, 2), space="flux1")
    assert StoredLatents(str(tmp_path)).latent(Sample("step/a"), None).sigma == 0


class Decoder:
    space, knobs = "some", frozenset()


def test_the_knob_is_read_where_there_are_steps(steps):
    leveled, plain = StoredLatents(str(steps)), StoredLatents(str(steps / "x0"))
    assert knobs_read(Decoder(), leveled) == {"sigma", "capture"}
    check_knobs(Knobs(capture=3), Decoder(), leveled)
    for source in (plain, None):
        with pytest.raises(UsageError, match=r"knobs.capture=3 changes nothing"):
            check_knobs(Knobs(capture=3), Decoder(), source)


def test_the_configuration_passes_it_on(steps):
    words = ["decoder=flux1", "latents=stored", f"latents.path={steps}"]
    assert compose([*words, "knobs.capture=24"]).group("latents")["capture"] == 24
    assert compose(words).group("latents")["capture"] is None
