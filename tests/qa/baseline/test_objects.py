"""A baseline is what was promoted, wherever it is stored."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from approvals import TODAY, make_run, make_verdict, row
from stored import put_scores

from qa import baseline
from qa.errors import QaError, UsageError
from qa.files import read_json, write_json
from qa.store import RunFolder


@pytest.fixture(autouse=True)
def place(workdir, monkeypatch):
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ann")
    return workdir


def promote(run, **more):
    return baseline.promote(run, today=TODAY, **more)


def better_score(folder):
    run = RunFolder(folder)
    put_scores(run, run.scores().assign(value=99.0))


def other_approver(folder):
    write_json(folder / "object.json", {**read_json(folder / "object.json"), "by": "Somebody"})


TAMPERED = {
    "a score": (better_score, "part-00000.parquet is not the file"),
    "the approver": (other_approver, "object.json has the digest"),
    "a file more": (lambda f: (f / "sets.json").write_text("[]"), "sets.json is not the file"),
    "a file less": (lambda f: (f / "decoded.parquet").unlink(), "decoded.parquet cannot be read"),
    "a broken record": (lambda f: (f / "record.json").write_text("{"), "not valid JSON"),
    "no object": (lambda f: (f / "object.json").unlink(), "There is no"),
    "no folder": (shutil.rmtree, "There is no"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_changed_is_noticed_and_named(place, what):
    change, said = TAMPERED[what]
    promote(make_run(place / "run"))
    assert baseline.find("photos") is not None, "negative control"
    (folder,) = (place / "baselines").glob("photos-*")
    change(folder)
    with pytest.raises(UsageError, match="is not what was promoted") as refused:
        baseline.find("photos")
    assert said in refused.value.why
    assert "photos.json" in refused.value.fix
    (shown,) = baseline.show()
    assert said in shown["damage"]
    assert "is not what was promoted" in baseline.why("photos")


def test_another_layout_of_the_same_object_is_intact(place):
    """Git may change white space of a JSON file; its content is what counts."""
    promote(make_run(place / "run"))
    (file,) = (place / "baselines").glob("photos-*/object.json")
    file.write_text(file.read_text().replace("\n", "\n\n"))
    assert baseline.find("photos") is not None


class Store:
    """A tracking store: a folder for each object. Stands in for qa.tracking.baselines."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []

    def upload(self, folder, suite, content, uri):
        self.asked.append(f"up {suite} {uri}")
        shutil.copytree(folder, self.root / content)
        return f"store:/{content}"

    def check(self, where, pointer, stores):
        """Every store may be asked here; which may is for tests/hostile/test_logins.py."""

    def download(self, where, into, stores):
        self.asked.append(f"down {where[7:11]}")
        source = self.root / where.removeprefix("store:/")
        if not source.is_dir():
            raise QaError(f"{where} cannot be read.", "It is gone.", "ask its owner")
        shutil.copytree(source, into, dirs_exist_ok=True)


@pytest.fixture
def store(place, monkeypatch):
    made = Store(place / "store")
    module = SimpleNamespace(upload=made.upload, check=made.check, download=made.download)
    monkeypatch.setitem(sys.modules, "qa.tracking.baselines", module)
    return made


def test_an_object_may_lie_in_a_tracking_store(place, store):
    promote(make_run(place / "run"), store="mlflow:sqlite:///x.db")
    assert [f.name for f in (place / "baselines").iterdir()] == ["photos.json"]
    assert store.asked == ["up photos sqlite:///x.db"]
    (line,) = read_json(place / "baselines" / "photos.json")["baselines"]
    assert line["where"] == f"store:/{line['content']}"
    found = baseline.find("photos")
    assert found.results.by_picture("psnr").tolist() == [30.0, 31.0, 32.0]
    assert f"stored     {line['where']}" in baseline.why("photos")
    shutil.rmtree(store.root)
    store.asked.clear()
    assert baseline.find("photos").content == found.content
    assert store.asked == [], "it is in the cache"


def test_a_damaged_copy_is_fetched_again_and_a_wrong_one_refused(place, store):
    promote(make_run(place / "run"), store="mlflow")
    assert store.asked == ["up photos None"]
    found = baseline.find("photos")
    better_score(found.results.stored.path)
    assert baseline.find("photos").results.by_picture("psnr").tolist() == [30.0, 31.0, 32.0]
    shutil.rmtree(place / "cache" / "baselines")
    better_score(store.root / found.content)
    with pytest.raises(UsageError, match="is not what was promoted"):
        baseline.find("photos")
    assert list((place / "cache" / "baselines").iterdir()) == [], "nothing wrong is kept"
    shutil.rmtree(store.root)
    with pytest.raises(QaError, match="cannot be read"):
        baseline.find("photos")


def test_both_kinds_of_storage_in_one_history(place, store):
    """An anchor in the folder, its successor in the store."""
    run = make_run(place / "first", (30.0,) * 3)
    promote(run)
    first = baseline.find("photos").content
    verdict = make_verdict("PASS", row("PASS"), against=first)
    promote(make_run(place / "second", (29.9,) * 3, verdict=verdict), store="mlflow")
    found = baseline.find("photos")
    assert found.results.by_picture("psnr").tolist() == [29.9] * 3
    assert found.anchor.by_picture("psnr").tolist() == [30.0] * 3
    verdict = make_verdict("PASS", row("PASS"), against=found.content)
    promote(make_run(place / "third", (29.8,) * 3, verdict=verdict), anchor=True, reason="major",
            store="mlflow")  # fmt: skip
    anchor = baseline.find("photos")
    verdict = make_verdict("PASS", row("PASS"), against=anchor.content)
    promote(make_run(place / "fourth", (29.7,) * 3, verdict=verdict))
    found = baseline.find("photos")
    assert found.anchor.by_picture("psnr").tolist() == [29.8] * 3


def test_moving_to_the_store_is_a_promotion(place, store):
    run = make_run(place / "run")
    promote(run)
    promote(run)
    assert store.asked == []
    promote(run, store="mlflow")
    assert store.asked == ["up photos None"]
    assert "where" in read_json(place / "baselines" / "photos.json")["baselines"][0]


def test_a_place_that_is_none(place):
    with pytest.raises(UsageError, match="--store attic is not known"):
        promote(make_run(place / "run"), store="attic")
    assert not (place / "baselines").exists()
