"""Baselines in MLflow: what goes wrong. (What goes right: test_stores.)"""

import zipfile

import pytest
from tracked import client_of, closed_port

from qa.errors import QaError, UsageError
from qa.files import write_json
from qa.tracking import baselines
from qa.tracking.baselines import EPOCH, _packed, download, upload
from qa.tracking.named import bare

CONTENT = "ab" * 32


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "photos-abababababab"
    write_json(folder / "object.json", {"environment": {"class": "c1a55"}})
    return folder


def test_what_git_keeps_has_no_password(place, tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "reach", lambda uri: None)
    monkeypatch.setattr(baselines, "open_client", lambda uri, ours: None)
    monkeypatch.setattr(baselines, "experiment_id", lambda *args: "1")
    monkeypatch.setattr(baselines, "_keep", lambda *args: "abc")
    where = upload(place, "photos", CONTENT, "https://me:secret@host:5000/base")
    assert where == "mlflow:https://host:5000/base#abc"

    asked = []

    def stop(uri):
        asked.append(uri)
        raise ConnectionError("stop")

    monkeypatch.setattr(baselines, "reach", stop)
    for known in ("https://me:secret@host:5000/base", "https://me:secret@other:5000/base"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", known)
        with pytest.raises(QaError, match="stop"):
            download(where, tmp_path / "copy")
    assert asked == ["https://me:secret@host:5000/base", "https://host:5000/base"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("postgresql://qa:p@ss@db/mlflow", "postgresql://db/mlflow"),
     ("postgresql://qa@db/mlflow", "postgresql://qa@db/mlflow"),
     ("sqlite:////a/b.db", "sqlite:////a/b.db")],
)  # fmt: skip
def test_a_user_without_password_stays_in_the_place(given, kept):
    assert bare(given) == kept


def test_the_default_store_is_named_by_nothing_so_that_the_folder_may_move(
    place, tmp_path, monkeypatch
):
    (tmp_path / "one").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    where = upload(place, "photos", CONTENT)
    assert where.startswith("mlflow:#")
    download(where, tmp_path / "copy")
    assert (tmp_path / "copy" / "object.json").read_bytes() == (place / "object.json").read_bytes()
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "two")
    with pytest.raises(QaError, match=r"there is no .*mlflow\.db"):
        download(where, tmp_path / "again")
    assert not any((tmp_path / "two").iterdir()), "reading makes no store"


def test_an_upload_that_was_stopped_is_completed_by_the_next(place, tmp_path, monkeypatch, sqlite):
    from mlflow import MlflowClient

    def fail(*_args, **_kwargs):
        raise ConnectionError("the network went away")

    for step in ("log_artifact", "set_terminated"):
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, step, fail)
            with pytest.raises(QaError, match="the network went away"):
                upload(place, "photos", CONTENT, sqlite)
        assert baselines.find(client_of(sqlite), CONTENT) is None
    where = upload(place, "photos", CONTENT, sqlite)
    found = baselines.find(client_of(sqlite), CONTENT)
    assert where == f"mlflow:{sqlite}#{found.info.run_id}"
    assert found.data.tags["approved"] == "true"


def test_a_dead_store_says_so_and_shows_no_password(place, tmp_path):
    dead = f"http://me:secret@127.0.0.1:{closed_port()}"
    with pytest.raises(QaError, match="did not take the baseline photos-abababababab") as caught:
        upload(place, "photos", CONTENT, dead)
    assert "secret" not in str(caught.value)
    assert "refused" in caught.value.why
    with pytest.raises(QaError, match="does not give the baseline"):
        download(f"mlflow:http://127.0.0.1:{closed_port()}#abc", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    "where", ["", "mlflow:", "file:/x#abc", "mlflow:x#../y", "mlflow:http://h#"]
)
def test_what_is_no_place_is_refused(where, tmp_path):
    with pytest.raises(UsageError, match="no place in MLflow"):
        download(where, tmp_path / "copy")


def test_a_run_that_is_not_there(place, tmp_path, sqlite):
    upload(place, "photos", CONTENT, sqlite)
    with pytest.raises(QaError, match="does not give"):
        download(f"mlflow:{sqlite}#{'0' * 32}", tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".part")] == []


def test_what_is_there_already_is_overwritten(place, tmp_path, sqlite):
    where = upload(place, "photos", CONTENT, sqlite)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "object.json").write_text("half")
    download(where, copy)
    assert (copy / "object.json").read_bytes() == (place / "object.json").read_bytes()


def test_equal_folders_give_equal_archives(place, tmp_path):
    write_json(place / "b" / "c.json", 1)
    one = _packed(place, tmp_path / "one.zip").read_bytes()
    (place / "object.json").touch()
    assert _packed(place, tmp_path / "two.zip").read_bytes() == one
    with zipfile.ZipFile(tmp_path / "two.zip") as opened:
        assert opened.namelist() == ["b/c.json", "object.json"]
        assert {entry.date_time for entry in opened.infolist()} == {EPOCH}
    write_json(place / "object.json", 2)
    assert _packed(place, tmp_path / "two.zip").read_bytes() != one
