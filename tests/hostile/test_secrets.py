"""Secrets of the environment are in no file of a run and of its tracker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hostile_files import PLANTED
from toyruns import make_pictures, toy_overrides

import qa
from qa import secrets
from qa.cli import run
from qa.config import compose
from qa.errors import UsageError

MARK = re.compile(rb"(?i)sesame")


@pytest.fixture
def planted(monkeypatch) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)


def holding(folder: Path) -> list[str]:
    """Files below the folder whose names or bytes hold a planted secret, packed ones too."""
    import zlib

    found = []
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        data = file.read_bytes()
        # Texts of PNG files and streams of others are deflated.
        packed = [m.start() for m in re.finditer(b"\x78[\x01\x5e\x9c\xda]", data)][:200]
        for place in packed:
            try:
                data += zlib.decompressobj().decompress(data[place:], 2**20)
            except zlib.error:
                continue
        if MARK.search(data) or MARK.search(file.name.encode()):
            found.append(file.relative_to(folder).as_posix())
    return found


def test_no_secret_is_in_any_file_of_a_run_or_of_mlflow(shown):
    place, out, err = shown
    assert len(list(place.rglob("*"))) > 20
    assert (place / "m.db").is_file()
    assert holding(place) == []
    assert not MARK.search((out + err).encode())


def test_negative_control_the_search_finds_one(tmp_path):
    import zlib

    (tmp_path / "a.json").write_text('{"command": ["key=sk-sesame-openai-0001"]}')
    (tmp_path / "b.png").write_bytes(b"\x89PNG" + zlib.compress(b"hf_sesame0002" * 9))
    (tmp_path / "sesame-pw-0004.txt").write_text("")
    (tmp_path / "c.txt").write_text("plans")
    assert sorted(holding(tmp_path)) == ["a.json", "b.png", "sesame-pw-0004.txt"]


def test_negative_control_a_record_of_the_environment_would_be_found(
    workdir, planted, pictures, monkeypatch
):
    """With the list of variables that a record may hold taken away."""
    monkeypatch.setattr("qa.environment.VARIABLES", tuple(PLANTED))
    done = qa.evaluate(*toy_overrides(pictures, "Sampler", "limit=1", "seeds=1"))
    assert "record.json" in holding(done.folder.path)


def test_the_variables_of_a_record_are_no_secrets():
    from qa.environment import VARIABLES

    assert not [name for name in VARIABLES if secrets.NAME.search(name)]
    assert [name for name in PLANTED if secrets.NAME.search(name)] == [
        name for name in PLANTED if name not in ("MLFLOW_TRACKING_USERNAME", "SECRET_OF_MINE")
    ]


WORDS = [
    "tracking.uri=https://me:sesame-word@host/x", "tracking.uri=https://hf_sesame0002@host/x",
    "tracking.uri='postgresql+psycopg://qa:sesame@db/mlflow'", "out=sk-sesame-openai-0001",
    "tracking.experiment='token sesame-mlflow-0003 !'", "+decoder.token=hf_sesame0002",
    "tracking.uri='postgresql://db/x?user=qa&password=sesame'",
    "+decoder.url='https://host/w?access_token=sesame'", "tracking.uri=s3://key:sesame@bucket",
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_secrets_on_the_command_line_are_refused_and_not_repeated(word, workdir, planted, capsys):
    assert run(["run", "suite=mini", "decoder=flat", word]) == 2
    shown = capsys.readouterr()
    assert "must hold no secret" in shown.err
    assert not MARK.search((shown.out + shown.err).encode())
    assert not (workdir / "runs").exists()


@pytest.mark.parametrize("word", WORDS)
def test_negative_control_without_the_check_they_would_be_kept(word, planted, monkeypatch):
    monkeypatch.setattr(secrets, "check", lambda content: None)
    try:
        kept = compose(["decoder=flat", word])
    except UsageError:
        pytest.skip("this word does not fit for another reason")
    assert MARK.search((kept.resolved() + " ".join(kept.words())).encode())


@pytest.mark.parametrize(
    "text", ["hf_sesame0002", "https://me:sesame@host/x", "${oc.env:HF_TOKEN}"]
)
def test_secrets_in_a_file_are_refused_and_not_repeated(text, tmp_path, planted):
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "mine.yaml").write_text(
        f"# @package _global_\nsuite: {{_target_: suites.mini.Mini, name: ['a', {{b: '{text}'}}]}}"
    )
    with pytest.raises(UsageError) as error:
        compose(["suite=mine"], tmp_path)
    assert not MARK.search(str(error.value).encode())


@pytest.mark.parametrize(
    "word",
    ["tracking.uri=http://host:5000/a@b", "tracking.uri=postgresql://qa@db/mlflow", "out=a@b:c",
     "tracking.uri=file:///tmp/x", "tracking.experiment='who: me@work'", "baselines=s3://b/a:b"],
)  # fmt: skip
def test_what_is_no_secret_may_be_said(word, planted):
    compose(["decoder=flat", word])


def test_a_tracker_whose_address_has_a_password_is_named_without(workdir, planted, monkeypatch):
    address = "http://me:sesame-word@127.0.0.1:9/x"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    words = [w for w in toy_overrides(make_pictures(workdir / "p", 1)) if w != "tracking=none"]
    with pytest.warns(RuntimeWarning, match="Not tracked") as told:
        qa.evaluate(*words, "seeds=1")
    assert holding(workdir / "runs") == []
    assert not [w for w in told if "sesame" in str(w.message)]
