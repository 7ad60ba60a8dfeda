"""YAML that stands for far more than it has bytes, or nests for ever, is refused early."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from qa import plain, setting
from qa.cli import run
from qa.config import compose
from qa.errors import UsageError
from qa.gates import use_case

CONF = Path(__file__).parents[2] / "conf"


def bomb(levels: int, first: str = "[x,x,x,x,x,x,x,x,x]") -> str:
    """Lists of nine aliases of the list before: 9^levels values."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def chain(levels: int) -> str:
    """Lists that hold the list before: no line nests, and the last does so `levels` times."""
    return "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, levels))


HOSTILE = {
    "aliases": (bomb(9), "stands for more"),
    "merged": (bomb(9).replace("[*", "{<<: [*").replace("]\n", "]}\n")
               .replace("{<<: [x", "[x").replace("a0 [x,x,x,x,x,x,x,x,x]}", "a0 {x: 1}"),
               "stands for more"),
    "a long text many times": ("a: &a " + "x" * 200_000 + "\nb: [*a, *a]\n", "stands for more"),
    "brackets": ("[" * 20_000, "nests deeper"),
    "blocks": ("".join(" " * n + "a:\n" for n in range(600)), "nests deeper"),
    "dashes": ("- " * 20_000, "nests deeper"),
    "aliases that nest": (chain(9000), "nests deeper"),
    "itself": ("a: &a [x, *a]\n", "alias of what it lies in"),
    "itself as a key": ("&a {*a : 1}\n", "alias of what it lies in"),
    "size": ("# " + "x" * 2**18 + "\n", "more than 262144"),
    "a number": ("seeds: " + "9" * 5000 + "\n", "more than 400 digits"),
    "a hexadecimal number": ("seeds: 0x" + "f" * 5000 + "\n", "more than 400 digits"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_out_of_proportion_is_refused(name):
    text, why = HOSTILE[name]
    with pytest.raises(ValueError, match=why):
        plain.load(text)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_use_case_of_that_kind_is_refused(name, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(HOSTILE[name][0])
    with pytest.raises(UsageError, match="not readable as YAML"):
        use_case.load(str(file))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_setting_of_the_dial_of_that_kind_is_refused(name, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(HOSTILE[name][0])
    with pytest.raises(UsageError, match="holds no setting"):
        setting.read(file)


def put(folder: Path, text: str) -> Path:
    (folder / "suite").mkdir(parents=True)
    (folder / "suite" / "mine.yaml").write_text(text)
    return folder


@pytest.mark.parametrize("name", HOSTILE)
def test_a_configuration_of_that_kind_is_refused(name, tmp_path):
    conf = put(tmp_path / "conf", HOSTILE[name][0])
    searched = ["suite=mine", f"hydra.searchpath=[file://{conf}]"]
    for words, folder in ((["suite=mine"], conf), (searched, None)):
        with pytest.raises(UsageError, match=HOSTILE[name][1]):
            compose(words, folder)


def test_the_command_says_so(tmp_path, capsys):
    conf = put(tmp_path / "conf", HOSTILE["aliases"][0])
    assert run(["run", "--config-dir", str(conf), "suite=mine", "--cfg"]) == 2
    assert "mine.yaml cannot be read. It stands for more" in capsys.readouterr().err


@pytest.mark.parametrize("way", ["../../beside/x", "/../beside/x"])
def test_a_configuration_names_no_file_outside_of_its_folder(way, tmp_path):
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "x.yaml").write_text("name: outside\n")
    conf = put(tmp_path / "conf", f"defaults:\n  - {way}@_here_\n  - _self_\nlimit: 3\n")
    with pytest.raises(UsageError, match="outside of its folder"):
        compose(["suite=mine"], conf)
    (conf / "beside").mkdir()
    (conf / "beside" / "x.yaml").write_text("name: inside\n")
    (conf / "suite" / "mine.yaml").write_text("defaults:\n  - /beside/x@_here_\n  - _self_\n")
    assert compose(["suite=mine"], conf).group("suite")["name"] == "inside"


def test_negative_control_aliases_multiply():
    """Three levels may pass: what such a text stands for grows ninefold with each line."""
    found = plain.load(bomb(3))
    assert found == yaml.safe_load(bomb(3))
    assert len(found["a2"]) == 9
    assert len(found["a2"][0]) == 9
    assert len(found["a2"][0][0]) == 9


def test_what_people_write_is_read_as_before():
    texts = [file.read_text(encoding="utf-8") for file in CONF.rglob("*.yaml")]
    assert len(texts) > 50
    texts += ["", "x", "[]", "a: &a {b: 1}\nc: {<<: *a, d: *a}\n", "- 1e999\n- 2026-01-02"]
    for text in texts:
        assert plain.load(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text", ["a: [", "a: b: c", "*a", "!!python/name:os.system", "a: 1\n---\nb: 2\n", "{[]: 1}",
             "? {a: 1}\n: 2", "\0", "2026-13-45", "!!int x"],
)  # fmt: skip
def test_what_is_no_yaml_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"\w"):
        plain.load(text)


def test_a_file_of_any_size_is_read_no_further_than_the_bound(tmp_path):
    file = tmp_path / "large.yaml"
    with file.open("wb") as opened:
        opened.truncate(2**40)
    with pytest.raises(ValueError, match="more than 262144 bytes"):
        plain.text(file)
    file.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="utf-8"):
        plain.text(file)
    file.write_text("a: 1\n")
    assert plain.text(file) == "a: 1\n"
