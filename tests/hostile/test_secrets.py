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
from qa.config import Config, compose, edited
from qa.errors import UsageError
from qa.gates import use_case

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
    "tracking.uri=https://me:se/sesame@host/x", "tracking.uri='mysql://me:s?#/sesame@host:3306/x'",
    "+decoder.url='https://b/x?X-Amz-Date=1&X-Amz-Signature=sesame'",
    "+decoder.url='https://b/x?X-Amz-Security-Token=sesame'",
    "+decoder.url='https://host/w?client_secret=sesame'", "+decoder.url='https://host/w?key=sesame'",
    "+nowhere.x=hf_sesame0002", "nowhere=hf_sesame0002", "seeds=hf_sesame0002",
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
     "tracking.uri=file:///tmp/x", "tracking.experiment='who: me@work'", "baselines=s3://b/a:b",
     "tracking.uri='http://[::1]:5000/a@b'", "+decoder.url='http://h/x?monkey=1&tokens=2'",
     "+decoder={key: a, monkey: b, keyboard: c, pass_rate: 0.9, token_count: 3, tokens: 4}",
     "+decoder.hosts=['http://a:8000','http://b/x@y']", "+decoder.key=HOME_OF_NOTHING"],
)  # fmt: skip
def test_what_is_no_secret_may_be_said(word, planted):
    compose(["decoder=flat", word])


@pytest.mark.parametrize(
    "name", ["JUDGE_KEY", "GITHUB_PAT", "PRIVATE_KEY", "SMTP_PASS", "CREDENTIALS", "KEY", "DB_PWD",
             "PGPASSWORD", "NPM_APIKEY", "SSH_PASSPHRASE", "MY_CREDENTIAL"],
)  # fmt: skip
def test_variables_of_such_names_hold_secrets(name, monkeypatch):
    words = ["decoder=flat", "out=runs/open-sesame/1"]
    compose(words)
    monkeypatch.setenv(name, "open-sesame")
    with pytest.raises(UsageError, match=f"environment variable {name}"):
        compose(words)


@pytest.mark.parametrize(
    "name", ["MONKEY", "KEYBOARD", "PASS_RATE", "TOKEN_COUNT", "TOKENS", "PWD", "OLDPWD", "BYPASS",
             "PATH", "KEYS", "TOKENIZERS_PARALLELISM"],
)  # fmt: skip
def test_variables_of_other_names_do_not(name, monkeypatch):
    monkeypatch.setenv(name, "open-sesame")
    compose(["decoder=flat", "out=runs/open-sesame/1"])


@pytest.mark.parametrize("option", ["key", "api_key", "token"])
def test_the_variable_that_an_option_names_holds_a_secret(option, monkeypatch):
    monkeypatch.setenv("OF_ANY_NAME", "open-sesame")
    words = ["decoder=flat", "+decoder.inner.note=open-sesame"]
    compose(words)
    with pytest.raises(UsageError, match="environment variable OF_ANY_NAME") as error:
        compose([*words, f"+decoder.inner.{option}=OF_ANY_NAME"])
    assert "sesame" not in str(error.value)


def test_a_secret_that_is_a_key_is_refused(tmp_path, planted):
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "mine.yaml").write_text(
        "_target_: suites.mini.Mini\nnames: [{hf_sesame0002: 1}]\n"
    )
    with pytest.raises(UsageError, match="must hold no secret"):
        compose(["suite=mine"], tmp_path)


def test_a_use_case_in_a_file_holds_no_secret(tmp_path, planted):
    file = tmp_path / "mine.yaml"
    file.write_text("margins: {psnr: {margin: 0.2, why: hf_sesame0002}}\n")
    with pytest.raises(UsageError, match="must hold no secret") as error:
        use_case.load(str(file))
    assert not MARK.search(str(error.value).encode())


@pytest.mark.parametrize("word", ["${oc.env:PLANTED}", "${margins.${oc.env:PLANTED}}"])
def test_a_use_case_in_a_file_reads_no_variable(word, tmp_path, monkeypatch):
    """Of any name: what `secrets` knows would be refused later."""
    monkeypatch.setenv("PLANTED", "open sesame")
    file = tmp_path / "mine.yaml"
    file.write_text(f"description: '{word}'\nmargins: {{psnr: 0.2}}\n")
    with pytest.raises(UsageError, match="environment") as error:
        use_case.load(str(file))
    assert "sesame" not in str(error.value)


@pytest.mark.parametrize("read", [lambda config: config.group("out"), Config.resolved])
def test_a_configuration_that_was_edited_reads_no_variable(read, monkeypatch):
    monkeypatch.setenv("PLANTED", "open sesame")
    config = edited(compose(["decoder=flat"]), {"out": "${oc.env:PLANTED}"})
    with pytest.raises(Exception, match="environment") as error:
        read(config)
    assert "sesame" not in str(error.value)
    assert config.tree.out == "open sesame", "negative control"


def test_a_tracker_whose_address_has_a_password_is_named_without(workdir, planted, monkeypatch):
    address = "http://me:sesame-word@127.0.0.1:9/x"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    words = [w for w in toy_overrides(make_pictures(workdir / "p", 1)) if w != "tracking=none"]
    with pytest.warns(RuntimeWarning, match="Not tracked") as told:
        qa.evaluate(*words, "seeds=1")
    assert holding(workdir / "runs") == []
    assert not [w for w in told if "sesame" in str(w.message)]
