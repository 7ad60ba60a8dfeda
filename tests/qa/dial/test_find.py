"""`qa dial` end to end, with a decoder whose trade is known (dial_toys)."""

from __future__ import annotations

import json
from pathlib import Path

import dial_toys
import numpy as np
import pytest
from dial_toys import TEXTURE, Inventive, Place
from PIL import Image
from toys import Pool

from qa import setting
from qa.config import compose
from qa.dial.find import opened
from qa.dial.options import composed
from qa.errors import QaError, UsageError
from qa.files import sha256
from qa.halves import CONFIRMATION, half_of
from qa.job import prepare
from qa.run import evaluate
from qa.types import Sample

PICTURES, STRENGTH = 24, 20.0
QUICKLY = ("use_case=document", "settings.sigma=[0,0.1]", "metric=[psnr,hf_energy]")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("dial")
        patch.chdir(folder)
        patch.setenv("QA_CACHE", str(folder / "cache"))
        yield Place(folder, PICTURES)


@pytest.fixture(scope="module")
def document(place):
    return place.dial("use_case=document")


@pytest.fixture(scope="module")
def creative(place, document):
    """The second use case, and how many pictures it decoded."""
    before = Inventive.made
    found = place.dial("use_case=creative")
    return found, Inventive.made - before


def rows(found):
    return {row["name"]: row for row in found.document["settings"]}


def test_two_use_cases_pick_two_settings_and_both_are_confirmed(document, creative):
    picked = [found.document["picked"] for found in (document, creative[0])]
    assert picked == ["sigma=0.1", "sigma=0.4"]
    for found in (document, creative[0]):
        assert (found.document["state"], found.exit_code) == ("CONFIRMED", 0)
        assert found.document["pictures"] == {"selection": 12, "confirmation": 12}
        assert json.loads((found.folder / "dial.json").read_text()) == found.document
    assert "psnr: harm 0.3" in rows(document)["sigma=0.2"]["why"]


def test_harm_is_what_the_decoder_costs_by_derivation(place, document):
    """PSNR falls by 10 lg(1 + made² / error²): what is made up is not what was there."""
    own = place.run(rows(document)["default"]["run"]).scores()
    errors = 255**2 / 10 ** (own[own["metric"] == "psnr"]["value"] / 10)
    assert errors.min() > TEXTURE**2, "the texture that the latent does not hold, and blocks"
    for sigma in (0.1, 0.2, 0.4):
        made = (STRENGTH * sigma) ** 2
        expected = float(np.mean(10 * np.log10(1 + made / errors)))
        found = rows(document)[f"sigma={sigma:g}"]["metrics"]
        half = (found["psnr"]["harm_high"] - found["psnr"]["harm_low"]) / 2
        assert found["psnr"]["harm"] == pytest.approx(expected, abs=2 * half)
        assert half < expected / 2, "or nothing would have been shown"
        assert abs(found["lowres_psnr"]["harm"]) < 0.01, "a chequerboard leaves no trace there"


def test_more_sigma_is_more_plausible_and_all_of_it_is_on_the_front(document):
    gains = [row["metrics"]["hf_energy"]["mean"] for row in document.document["settings"]]
    assert gains == sorted(gains)
    assert all(row["front"] for row in document.document["settings"])


def test_all_settings_share_their_noise(place, document):
    """What they make up differs in height alone, and so does the noise on their latents."""
    folders = {name: place.run(row["run"]) for name, row in rows(document).items()}
    tables = {
        name: folder.decoded().set_index(["sample", "seed"]) for name, folder in folders.items()
    }
    drawn = [tables[name]["noise"] for name in ("sigma=0.1", "sigma=0.2", "sigma=0.4")]
    assert drawn[0].notna().all()
    assert drawn[0].equals(drawn[1])
    assert drawn[0].equals(drawn[2])
    assert drawn[0].nunique() == 24, "every picture and seed has noise of its own"

    def made(name, key):
        def read(which):
            return np.asarray(Image.open(folders[which].path / tables[which].loc[key, "file"]))

        return read(name).astype(int) - read("default").astype(int)

    key = next(iter(tables["default"].index))
    signs = [np.sign(made(name, key)) for name in ("sigma=0.2", "sigma=0.4")]
    assert (signs[0] == signs[1]).mean() > 0.99
    other = np.sign(made("sigma=0.4", (key[0], 1 - key[1])))
    assert (signs[1] == other).mean() < 0.7, "another seed draws other signs"


def test_a_second_use_case_decodes_only_what_nobody_confirmed(creative):
    found, decoded = creative
    assert decoded == 12 * 2, "the picked setting on the other half; all else was there"
    assert rows(found).keys() == {"default", "sigma=0.1", "sigma=0.2", "sigma=0.4"}


def test_every_setting_is_the_run_that_its_record_names(place, document):
    record = place.run(rows(document)["sigma=0.2"]["run"]).record()
    assert record["half"] == "selection"
    assert record["suite"] == "toy-selection"
    assert record["knobs"]["sigma"] == 0.2
    before = Inventive.made
    again = evaluate(*record["command"][2:])
    assert again.folder.name == rows(document)["sigma=0.2"]["run"]
    assert Inventive.made == before
    with pytest.raises(UsageError, match="limited or halved run has no looks"):
        prepare(compose([*record["command"][2:], "looks=[2,4]"]))


def test_the_same_dial_says_the_same(place, document, creative):
    file = Path(document.document["written"])
    before = file.read_bytes()
    again = place.dial("use_case=document")
    assert file.read_bytes() == before

    def timeless(found):
        settings = [row | {"seconds": 0} for row in found.document["settings"]]
        return {**found.document, "settings": settings}

    assert timeless(again) == timeless(document)
    assert again.folder == document.folder


def test_the_written_setting_explains_itself(document):
    text = Path(document.document["written"]).read_text()
    assert Path(document.document["written"]).name == "toy-document.yaml"
    assert text.startswith("# sigma=0.1: toy for the use case document.")
    assert "#   sigma=0.2: psnr harm 0.3" in text
    assert "# Confirmed on the 12 pictures that the choice did not see. Harm:" in text
    assert max(len(line) for line in text.splitlines() if "qa dial" not in line) < 160
    read = setting.read(Path(document.document["written"]))
    assert read.knobs.sigma == 0.1
    assert read.pins == document.document["pins"]
    assert read.pins["suite_digest"]


@pytest.fixture(scope="module")
def reference(place):
    return str(evaluate(*place.words("out=runs/reference")).folder.path)


def test_the_picked_setting_passes_its_own_gate(place, document, reference):
    run = evaluate(*place.words("dial=document", "use_case=document", f"baseline={reference}"))
    assert run.exit_code == 0, run.verdict["summary"]
    assert run.verdict["state"] == "PASS-DRIFT"
    assert run.folder.record()["knobs"]["sigma"] == 0.1
    assert run.folder.record()["dial"] == {
        "file": "toy-document.yaml",
        "content": sha256(Path("dials/toy-document.yaml")),
        "use_case": "document",
        "suite": "toy",
    }
    path = place.words("dial=dials/toy-document.yaml", "use_case=document")
    assert prepare(compose(path)).plan.digest == run.folder.record()["plan"]


def test_the_next_setting_would_not_have(place, reference):
    """Negative control of the test above."""
    run = evaluate(*place.words("knobs.sigma=0.2", "use_case=document", f"baseline={reference}"))
    assert run.verdict["state"] == "FAIL"
    assert run.folder.record()["dial"] is None


def test_a_setting_holds_for_its_decoder_alone(place, document):
    with pytest.raises(UsageError, match=r"found with another toy.*\n.*dial again"):
        prepare(compose(place.words("dial=document", "+decoder.strength=21")))


def test_against_another_run(place, document, reference):
    """The decoder's own setting, given as a run: the same harm, and a row of its own."""
    found = place.dial("use_case=document", f"baseline={reference}")
    assert found.document["picked"] == "sigma=0.1"
    assert found.document["state"] == "CONFIRMED"
    outside, own, *_ = found.document["settings"]
    assert (outside["outside"], own["name"]) == (True, "default")
    assert found.document["reference"] == outside["name"]
    assert not outside["front"]
    for name in ("sigma=0.1", "sigma=0.4"):
        assert rows(found)[name]["metrics"]["psnr"] == rows(document)[name]["metrics"]["psnr"]


class Other(Pool):
    digest = "pool-2"


def test_another_run_may_have_any_name_and_other_latents(place, monkeypatch):
    monkeypatch.setattr(dial_toys, "Other", Other, raising=False)
    words = ["out=runs/default", "encoder._target_=dial_toys.Other"]
    other = str(evaluate(*place.words(*words)).folder.path)
    found = place.dial(*QUICKLY, f"baseline={other}", "dials=other")
    names = [row["name"] for row in found.document["settings"]]
    assert names[1:] == ["default", "sigma=0.1"]
    assert found.document["reference"] == names[0]
    assert names[0].startswith("run "), "so that no setting is called like it"
    assert any(note.startswith("latents: the arms") for note in found.document["notes"])


def test_another_run_must_be_comparable(place, reference):
    with pytest.raises(UsageError, match=r"cannot be the reference.* seeds"):
        place.dial("use_case=document", f"baseline={reference}", "seeds=1")
    with pytest.raises(UsageError, match="gmsd: not measured"):
        place.dial("use_case=document", f"baseline={reference}", "metric=[psnr,gmsd,hf_energy]")


def test_a_limit_that_nothing_but_the_reference_keeps(place):
    found = place.dial("use_case=document", "use_case.margins.psnr.margin=0.02")
    assert found.document["picked"] == "default"
    assert found.document["state"] == "CONFIRMED"
    assert found.document["summary"].startswith("default, the reference, stays")
    assert setting.read(Path(found.document["written"])).knobs.sigma == 0


def test_a_lucky_setting_is_not_written_and_the_old_one_stays(place):
    """A decoder that makes up ten times as much, just where the choice does not look."""
    old = place.folder / "old" / "toy-document.yaml"
    old.parent.mkdir()
    old.write_text("mine")
    samples = [Sample(f"p{i:02d}") for i in range(PICTURES)]
    there = [sample.id for sample in half_of(samples, CONFIRMATION)]
    found = place.dial(*QUICKLY, f"+decoder.wild=[{','.join(there)}]", "dials=old")
    assert [found.document[key] for key in ("picked", "state", "written", "kept")] == [
        "sigma=0.1", "FAIL", None, "old/toy-document.yaml",
    ]  # fmt: skip
    assert found.exit_code == 3
    assert found.document["summary"].startswith("sigma=0.1: not confirmed on 12 other pictures: ps")
    assert old.read_text() == "mine"
    assert found.document["notes"][-1].startswith("old/toy-document.yaml was found before")


def test_too_few_pictures_are_inconclusive_and_say_how_many_would_do(place):
    samples = [Sample(f"p{i:02d}") for i in range(PICTURES)]
    there = [sample.id for sample in half_of(samples, CONFIRMATION)]
    wild = f"+decoder.wild=[{there[0]}]"
    found = place.dial(*QUICKLY, wild, "+decoder.wildness=6", "dials=none")
    assert (found.document["state"], found.exit_code) == ("INCONCLUSIVE", 4)
    needs = found.document["confirmation"]["needs"]
    assert needs > 12
    assert f"{needs} pictures in this half would settle it" in found.document["summary"]
    assert not Path("none").exists()


def test_a_search_finds_the_same_among_more(place, document):
    lists = ["settings.sigma=[0,0.1,0.2,0.4]", "search=optuna", "trials=8"]
    found = place.dial("use_case=document", *lists)
    assert found.document["search"]["method"] == "optuna"
    assert rows(found).keys() <= rows(document).keys()
    assert found.document["settings"][0]["name"] == "default"
    assert found.document["picked"] == "sigma=0.1"
    for name, row in rows(found).items():
        assert row["metrics"] == rows(document)[name]["metrics"]


NASTY = "two\nknobs: {sigma: 0.4}\x85\u2028\x1b[31mred"


class Nasty(Inventive):
    """Breaks at the highest sigma, with words that look like a setting."""

    def _one(self, request):
        if request.sigma == 0.4:
            raise RuntimeError(NASTY)
        return super()._one(request)


def test_no_text_can_change_the_written_setting(place, monkeypatch):
    """What a decoder says when it breaks stands in the file's comment, on one line."""
    monkeypatch.setattr(dial_toys, "Nasty", Nasty, raising=False)
    lists = ("use_case=document", "settings.sigma=[0,0.1,0.4]", "metric=[psnr,hf_energy]")
    found = place.dial(*lists, "decoder._target_=dial_toys.Nasty", "dials=nasty")
    text = Path(found.document["written"]).read_text()
    assert "have no pair" in text
    assert "\nknobs: {sigma: 0.4}" not in text
    assert setting.read(Path(found.document["written"])).knobs.sigma == 0.1


def test_a_file_that_says_something_else_is_not_written(place, document, monkeypatch):
    from qa.dial import written

    file = Path(document.document["written"])
    before = file.read_bytes()
    other = before.decode().replace("sigma: 0.1", "sigma: 0.4")
    monkeypatch.setattr(written, "text", lambda _: other)
    with pytest.raises(QaError, match=r"would not say sigma=0\.1"):
        place.dial("use_case=document")
    assert file.read_bytes() == before


def test_a_limited_dial_writes_nothing(place):
    found = place.dial(*QUICKLY, "limit=20", "dials=limited")
    assert found.document["state"] == "CONFIRMED"
    assert (found.document["written"], found.document["use"]) == (None, None)
    assert (
        "limit= left pictures of the suite out, so no setting is written."
        in (found.document["notes"])
    )
    assert not Path("limited").exists()


def test_what_stands_in_the_notes_stands_in_the_file(place, document):
    told = document.document["notes"][0]
    assert told.startswith("Not measured, and so no limit here: gmsd")
    lines = Path(document.document["written"]).read_text().splitlines()
    assert told in " ".join(line.removeprefix("# ") for line in lines)


def test_a_dial_leaves_its_page(document):
    assert document.page == document.folder / "dial.html"
    assert "qa run decoder=toy dial=" in document.page.read_text()
    assert document.document["use"][:3] == ["qa", "run", "decoder=toy"]


def test_nothing_to_turn_is_said_at_once(place):
    with pytest.raises(UsageError, match=r"nothing to turn.*\n.*steps") as caught:
        place.dial("settings.sigma=[0]")
    assert caught.value.fix.startswith("give a list of values")


def test_another_pick_on_the_same_pictures_says_so(place, document, creative):
    """Whichever setting was confirmed there before had its chance of luck, too."""

    def told(found):
        return [note for note in found.document["notes"] if "were used for" in note]

    assert not told(document)
    (note,) = told(creative[0])
    assert "for 1 other setting of this decoder" in note, "document's, at sigma 0.1"
    elsewhere = place.dial(*QUICKLY, "+decoder.strength=19", "dials=other")
    assert not told(elsewhere), "another decoder has its own luck"


def test_missing_pictures_pick_nothing(place):
    found = place.dial(*QUICKLY, "+decoder.breaks=p00", "dials=none")
    assert found.document["state"] == "INVALID"
    assert found.exit_code == 5
    assert found.document["picked"] is None
    assert found.document["why"] == "None of 2 settings keeps every limit."
    assert found.document["confirmation"] is None


def test_steps_are_turned_where_a_decoder_takes_few(place):
    ready = opened(composed(place.words("use_case=document")))
    assert len(ready.grid) == 12
    assert dial_toys.Inventive.knobs == {"steps"}
    with pytest.raises(UsageError, match=r"knobs\.cfg=2.* changes nothing"):
        opened(composed(place.words("settings.cfg=[2]")))
    with pytest.raises(UsageError, match=r"sigma=1\.5 is no noise level"):
        opened(composed(place.words("settings.sigma=[0,1.5]")))
    with pytest.raises(UsageError, match=r"settings\.steps has 'few'"):
        opened(composed(place.words("settings.steps=[few]")))
