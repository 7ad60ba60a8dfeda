"""A configuration names classes of ours, and of what the command line trusts; nothing else runs."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from qa import secrets, trust
from qa.cli import run
from qa.config import build, compose, function
from qa.errors import UsageError
from qa.features.views import Patches, anyres256
from qa.trust import split

CONF = Path(__file__).parents[2] / "conf"
OURS = {"_target_": "qa.features.views.Patches", "patch": 64}


@pytest.fixture
def marker(tmp_path) -> Path:
    return tmp_path / "code-has-run"


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A module of somebody else's; importing it leaves a mark."""
    monkeypatch.setattr(trust, "_named", set())
    (tmp_path / "somebody.py").write_text(
        f"import os, pathlib\npathlib.Path({str(tmp_path / 'imported')!r}).touch()\n"
        "class Part:\n    def __init__(self, size=1):\n        self.size = size\n"
        "def make(size=2):\n    return Part(size)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "somebody"
    sys.modules.pop("somebody", None)


def hostile(marker: Path) -> list[dict]:
    """Nodes that touch the marker when they are built."""
    touch = {"_target_": "pathlib.Path.touch", "_args_": [str(marker)]}
    path = {"_target_": "pathlib.Path", "_args_": [str(marker)]}
    ours = {"_target_": "qa.files.os.open", "path": str(marker), "flags": 64}
    return [
        {"_target_": "os.open", "path": str(marker), "flags": 64},
        ours,
        {"_target_": "qa.files.write_bytes", "file": path, "data": "x"},
        {"_target_": "qa.cli.os.open", "path": str(marker), "flags": 64},
        {"_target_": "qa.features.views.Patches", "patch": ours},
        {**OURS, "resize": [{"deep": [ours]}]},
        {"_target_": "qa.features.views.Patches", "_args_": [64, ours]},
        {**ours, "_partial_": False},
        {"_target_": "builtins.open", "file": str(marker), "mode": "w"},
        {"_target_": "builtins.exec", "_args_": [f"open({str(marker)!r}, 'w')"]},
        {"_target_": "decoders.weights.torch.os.open", "path": str(marker), "flags": 64},
        {"_target_": "qa.config.function", "name": "os.system"},
        {"_target_": "qa.config.compose", "overrides": ["trust=[os]"]},
        {"_target_": "qa.run.evaluate", "_args_": ["trust=[os]"]},
        {"_target_": "qa.trust.admit", "names": ["os"]},
        {"_target_": "hydra.utils.get_method", "path": "os.system"},
        {**touch, "_args_": [path]},
    ]


@pytest.mark.parametrize("place", range(17))
def test_what_is_not_ours_is_neither_built_nor_called(place, marker):
    with pytest.raises(UsageError):
        build(hostile(marker)[place], "decoder")
    assert not marker.exists()
    assert "os" not in trust._named


def test_the_list_is_whole(marker):
    assert len(hostile(marker)) == 17


@pytest.mark.parametrize("place", [0, 1, 3, 5, 6, 7, 16])
def test_negative_control_without_the_check_such_nodes_run(place, marker, monkeypatch):
    """The very same nodes, with the defence taken away."""
    monkeypatch.setattr(trust, "check", lambda node: None)
    with suppress(Exception):  # the argument of a class of ours may not fit afterwards
        build(hostile(marker)[place], "decoder")
    assert marker.exists()


def test_ours_can_be_built(marker):
    assert build(OURS, "views") == Patches(64)
    assert build({"_target_": "qa.features.views.anyres256"}, "views") == anyres256()


def test_every_function_that_makes_a_part_is_one():
    for name in trust.MAKERS:
        assert trust.target(name).__name__ == name.rpartition(".")[2]


def test_a_foreign_module_is_not_even_imported(foreign, tmp_path):
    with pytest.raises(UsageError) as error:
        build({"_target_": f"{foreign}.Part"}, "decoder")
    assert error.value.fix.endswith("add trust=[somebody] to the command")
    assert not (tmp_path / "imported").exists()


def test_what_the_command_line_trusts_is_built(foreign):
    compose([f"trust=[{foreign}]"])
    assert build({"_target_": f"{foreign}.Part", "size": 3}, "decoder").size == 3
    assert build({"_target_": f"{foreign}.make"}, "decoder").size == 2
    with pytest.raises(UsageError, match="defined in posix"):  # through it, nothing else
        build({"_target_": f"{foreign}.os.system"}, "decoder")


def test_another_process_trusts_what_this_command_line_did(foreign, monkeypatch):
    """A configuration travels to workers with the words that it was composed from."""
    config = compose([f"trust={foreign}", f"decoder._target_={foreign}.Part", "decoder=flat"])
    monkeypatch.setattr(trust, "_named", set())
    config.group("decoder")
    assert foreign in trust._named


@pytest.mark.parametrize("word", ["trust=[os.path]", "trust=[]", "trust=", "trust=[a b]"])
def test_trust_names_modules(word):
    with pytest.raises(UsageError, match="names no module"):
        split([word])
    assert split(["trust=[a,b]", "x=1", "trust=c"]) == (["a", "b", "c"], ["x=1"])


def written(folder: Path, group: str, text: str) -> Path:
    (folder / group).mkdir(parents=True, exist_ok=True)
    (folder / group / "mine.yaml").write_text(text)
    return folder


@pytest.mark.parametrize(
    "text",
    ["# @package _global_\ntrust: [somebody]\n",
     "# @package _global_\ndefaults:\n  - override /trust: somebody\n",
     "trust: [somebody]\n_target_: somebody.Part\n",
     "# @package _global_\nhydra: {overrides: {task: ['trust=[somebody]']}}\n"],
)  # fmt: skip
def test_a_file_cannot_trust_itself(text, foreign, tmp_path):
    """Whatever a file in --config-dir says, only words of the command line count."""
    conf = written(tmp_path / "conf", "decoder", text)
    with suppress(UsageError):
        compose(["decoder=mine"], conf)
    assert trust._named == set()


@pytest.mark.parametrize("word", ["+trust=[somebody]", "++trust=[somebody]", "~trust=[somebody]"])
def test_no_other_word_trusts(word, foreign):
    with pytest.raises(UsageError):
        compose([word])
    assert trust._named == set()


def test_hydras_own_keys_run_nothing(tmp_path, marker):
    node = f"{{_target_: os.open, path: {marker}, flags: 64}}"
    for text in (
        f"# @package _global_\nhydra: {{callbacks: {{mine: {node}}}}}\n",
        f"# @package _global_\nhydra: {{launcher: {node}, sweeper: {node}}}\n",
        f"# @package hydra.callbacks\nmine: {node}\n",
    ):
        with suppress(UsageError):
            compose(["decoder=mine"], written(tmp_path / "conf", "decoder", text))
    assert not marker.exists()
    instantiate(OmegaConf.create(node))
    assert marker.exists(), "negative control: built, such a node leaves its mark"


def test_yaml_tags_make_no_objects(tmp_path, marker):
    text = f"# @package _global_\ndecoder: !!python/object/apply:os.open [{marker}, 64]\n"
    with pytest.raises(UsageError):
        compose(["decoder=mine"], written(tmp_path / "conf", "decoder", text))
    assert not marker.exists()


@pytest.mark.parametrize(
    "name", ["os.system", "qa.files.os.system", "shutil.rmtree", "os", "x", "qa.files.remove",
             "qa.cli.run", "qa.config.compose", "reports.html.write_text", "qa.trust.admit",
             "qa.features.views.anyres256"],
)  # fmt: skip
def test_a_function_that_is_named_is_one_of_a_few_of_ours(name):
    with pytest.raises(UsageError):
        function(name)


def test_negative_control_without_the_list_any_function_of_ours_is_called(monkeypatch):
    monkeypatch.setattr(trust, "_listed", lambda name, known: trust.located(name))
    assert function("qa.files.remove").__name__ == "remove"


def test_the_functions_are_those_that_our_configurations_name():
    text = "\n".join(file.read_text(encoding="utf-8") for file in CONF.rglob("*.yaml"))
    home = f"(?:{'|'.join(trust.OWN)})"
    named = re.findall(rf"(?m)^ *(?:report|page|loop|levels|files): ({home}[.]\S+)", text)
    assert {name for name in named if not inspect.isclass(function(name))} == trust.FUNCTIONS
    for name in trust.FUNCTIONS:
        with pytest.raises(UsageError, match="is no part"):  # no _target_ calls them
            trust.target(name)


def test_code_of_ones_own_may_be_a_function(foreign):
    trust.admit([foreign])
    assert function(f"{foreign}.make")().size == 2


def test_what_a_package_does_as_a_program_does_not_run(tmp_path, monkeypatch):
    """Importing `package.__main__` is running it, and a package may be trusted for its classes."""
    monkeypatch.setattr(trust, "_named", {"programs"})
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "__init__.py").touch()
    (tmp_path / "programs" / "__main__.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Part: pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="Python's own"):
        trust.target("programs.__main__.Part")
    assert not (tmp_path / "ran").exists()
    importlib.import_module("programs.__main__")
    assert (tmp_path / "ran").exists(), "negative control"


def test_a_run_folder_cannot_name_foreign_gates(tmp_path, foreign):
    """`qa judge RUN` builds what config.yaml of the folder names: that is a file as well."""
    from qa.commands.judging import gates

    node = {"gate": {"mine": {"_target_": f"{foreign}.Part"}}}
    with pytest.raises(UsageError, match=r"(?s)trust=\[somebody\]"):
        gates(node)
    trust.admit([foreign])
    assert len(gates(node) or []) == 1


def test_the_command_says_what_to_add(foreign, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = f"# @package _global_\ndecoder: {{_target_: {foreign}.Part}}\nencoder: null\n"
    conf = written(tmp_path / "conf", "decoder", text)
    words = ["run", "--config-dir", str(conf), "decoder=mine", "tracking=none"]
    assert run(words) == 2
    assert "add trust=[somebody] to the command" in capsys.readouterr().err
    assert not (tmp_path / "imported").exists()
    assert run([*words, "trust=[somebody]"]) == 2  # it is built now, and is no decoder
    assert "Part has no" in capsys.readouterr().err


def test_judge_takes_trust_and_no_other_word(tmp_path, capsys):
    assert run(["judge", str(tmp_path), "seeds=3"]) == 2
    assert "seeds=3 has no meaning here" in capsys.readouterr().err


PLAIN = [
    "name: '${oc.env:HF_TOKEN}'", "name: '${oc.${suite.word}:HF_TOKEN}'\nword: env",
    "name: '${oc.select:none,${oc.env:HF_TOKEN}}'", "name: '${suite.${oc.env:HF_TOKEN}}'",
    "name: '${.b.${oc.env:HF_TOKEN}}'\nb: {c: 1}",
    "name: '${oc.deprecated:suite.${oc.env:HF_TOKEN}}'", "name: 'x${oc.env:HF_TOKEN}'",
    "# @package _global_\nseeds: ${oc.env:HF_TOKEN}",
]  # fmt: skip
REFERENCES = [
    *PLAIN, "name: '${oc.select:suite.${oc.env:HF_TOKEN}}'", "name: '${x:${oc.env:HF_TOKEN}}'",
    "name: '${oc.decode:${oc.env:HF_TOKEN}}'", "name: '${oc.create:${oc.env:HF_TOKEN}}'",
    "defaults:\n  - ${oc.env:HF_TOKEN}", "defaults:\n  - /suite: ${oc.env:HF_TOKEN}",
    "# @package ${oc.env:HF_TOKEN}\nx: 1", "# @package _global_\n${oc.env:HF_TOKEN}: 1",
    "# @package _global_\nhydra: {run: {dir: '${oc.env:HF_TOKEN}'}}\nseeds: '${hydra.run.dir}'",
]  # fmt: skip


def seen(text: str, folder: Path) -> str:
    """All that is said of a suite: its configuration, or the error."""
    try:
        return compose(["suite=mine", "decoder=flat"], written(folder, "suite", text)).resolved()
    except UsageError as error:
        return str(error)


@pytest.mark.parametrize("text", REFERENCES)
def test_a_configuration_reads_no_environment_variable(text, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("HF_TOKEN", "hf_sesame0002")
    shown = seen(text, tmp_path)
    assert "sesame" not in shown + "".join(capfd.readouterr())
    assert ("variables hold secrets" in shown) >= (text in PLAIN)


def test_negative_control_without_the_defence_variables_are_read(tmp_path, monkeypatch):
    """Composed, or told by an error: even `secrets` comes too late for some of them."""
    monkeypatch.setenv("HF_TOKEN", "hf_sesame0002")
    monkeypatch.setattr(trust, "without_environment", nullcontext)
    leaked = [text for text in PLAIN if "sesame" in seen(text, tmp_path)]
    assert len(leaked) >= 3
    monkeypatch.setattr(secrets, "check", lambda content: None)
    assert [text for text in PLAIN if "sesame" in seen(text, tmp_path)] == PLAIN


def test_a_reference_that_was_hidden_from_the_first_reading_is_refused(monkeypatch):
    r"""`\${…}` is text when a configuration is composed; Hydra would resolve it while it builds."""
    monkeypatch.setenv("PLANTED", "open sesame")
    node = {**OURS, "resize": "${oc.env:PLANTED}"}
    with pytest.raises(UsageError, match="read as a reference"):
        build(node, "views")
    assert instantiate(node).resize == "open sesame", "negative control: Hydra reads it"
