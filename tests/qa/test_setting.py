"""The file that `qa dial` leaves and `qa run dial=` takes."""

from __future__ import annotations

import datetime

import pytest
import yaml

from qa.config import compose
from qa.errors import UsageError
from qa.job import prepare
from qa.setting import applied, chosen, read

CONTENT = {
    "schema": "decoder-qa/setting/1",
    "decoder": "toy",
    "use_case": "document",
    "knobs": {"sigma": 0.2},
    "pins": {"decoder_digest": "sampler-0.05", "suite": "toy"},
}


@pytest.fixture
def written(workdir):
    """Writes dials/toy-document.yaml with changes."""

    def write(**changes):
        file = workdir / "dials" / "toy-document.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(CONTENT | changes))
        return file

    return write


def test_a_run_takes_the_setting_of_its_decoder_and_use_case(written, toy):
    file = written()
    job = prepare(compose(toy("Sampler", "dial=document")))
    assert job.config.tree.knobs.sigma == 0.2
    assert job.setting.file == file.relative_to(file.parents[1])
    assert job.plan.digest == prepare(compose(toy("Sampler", "knobs.sigma=0.2"))).plan.digest
    elsewhere = prepare(compose(toy("Sampler", f"dial={file}")))
    assert elsewhere.plan.digest == job.plan.digest
    assert prepare(compose(toy("Sampler"))).setting is None


def test_another_decoder_is_refused_and_told_to_dial_again(written, toy):
    written()
    words = toy("Sampler", "dial=document", "+decoder.noise=0.06")
    with pytest.raises(UsageError, match="found with another toy") as caught:
        prepare(compose(words))
    assert caught.value.fix.startswith("dial again: qa dial use_case=document decoder=toy")


def test_a_setting_of_another_decoder_names_both(written, toy):
    file = written(decoder="pid_mini")
    with pytest.raises(UsageError, match="is a setting of pid_mini, and this is toy") as caught:
        prepare(compose(toy("Sampler", f"dial={file}")))
    assert "decoder=toy" in caught.value.fix


@pytest.mark.parametrize(
    "word", ["knobs.sigma=0.1", "knobs.sigma=0", "knobs.steps=2", "knobs={sigma:0}"]
)
def test_a_knob_beside_it_must_agree(written, toy, word):
    written()
    with pytest.raises(UsageError, match=r"contradicts dial=document"):
        prepare(compose(toy("Sampler", "dial=document", word)))


@pytest.mark.parametrize("word", ["knobs.sigma=0.2", "knobs={sigma:0.2}"])
def test_a_knob_beside_it_may_agree(written, toy, word):
    written()
    config = compose(toy("Sampler", "dial=document", word))
    assert applied(config, chosen(config)).tree.knobs.sigma == 0.2


def test_a_setting_that_is_not_there_says_how_to_find_one(workdir, toy):
    with pytest.raises(UsageError, match=r"no setting dials/toy-document.yaml") as caught:
        prepare(compose(toy("Sampler", "dial=document")))
    assert "qa dial use_case=document decoder=toy" in caught.value.fix


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schema": "other/1"}, "its schema is not"),
        ({"knobs": {"colour": 1}}, "colour"),
        ({"pins": {"suite": "toy"}}, "it pins no decoder_digest"),
        ({"pins": None}, "TypeError"),
    ],
)
def test_a_damaged_setting_is_none(written, changes, told):
    with pytest.raises(UsageError, match=told):
        read(written(**changes))


@pytest.mark.parametrize("text", ["a: [", "[" * 5000, "2020-01-01", "\x00"])
def test_text_is_no_setting(workdir, text):
    (workdir / "a.yaml").write_text(text)
    with pytest.raises(UsageError, match="holds no setting"):
        read(workdir / "a.yaml")


def test_what_yaml_takes_for_a_date_is_text(written):
    file = written(pins={"decoder_digest": "d", "suite": datetime.date(2020, 1, 1)})
    assert read(file).told()["suite"] == "2020-01-01"
