"""Configuration: everything that ships binds, everything that does not fit is said."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from qa.capture import ROOT as CAPTURE
from qa.config import RUN, Root, build, compose, function
from qa.errors import UsageError
from qa.repro.options import ROOT as REPRO

CONF = Path(__file__).parents[2] / "conf"
CHOICES = [
    (folder.name, file.stem)
    for folder in sorted(CONF.iterdir())
    # Of other commands: test_capture.py, commands/test_review.py.
    if folder.is_dir() and folder.name not in {"pipeline", "judge"}
    for file in sorted(folder.glob("*.yaml"))
]


def unbound(node: object, path: str = "") -> list[str]:
    """Every `_target_` below `node` whose arguments its constructor would refuse."""
    problems = []
    if isinstance(node, dict):
        if "_target_" in node:
            module, _, name = str(node["_target_"]).rpartition(".")
            target = getattr(importlib.import_module(module), name)
            arguments = {k: v for k, v in node.items() if not str(k).startswith("_")}
            try:
                inspect.signature(target).bind(**arguments)
            except TypeError as error:
                problems.append(f"{path}: {error}")
        for key, value in node.items():
            problems += unbound(value, f"{path}.{key}")
    return problems


REQUIRED = {
    ("suite", "folder"): "suite.path=x",
    ("suite", "geneval_folder"): "suite.folder=x",
    ("suite", "tokbench"): "suite.annotations=x suite.images=x",
    ("latents", "stored"): "latents.path=x",
    ("text", "stored"): "text.path=x",
    ("decoder", "pictures"): "decoder.path=x",
    ("decoder", "grids"): "decoder.path=x",
    ("decoder", "pid_flux_2kto4k"): "decoder.path=x",
    ("decoder", "pid_flux2_2kto4k"): "decoder.path=x",
    ("decoder", "pid_qwenimage_2kto4k"): "decoder.path=x",
    ("decoder", "cascade_flux1_sdx4"): "decoder.upsampler.source=x",
}
"""What has no default and must be given."""


def composed(group: str, choice: str) -> dict:
    listed = group in {"metric", "gate"}
    override = f"{group}=[{choice}]" if listed else f"{group}={choice}"
    given = REQUIRED.get((group, choice), "").split()
    return OmegaConf.to_container(compose([override, *given]).tree, resolve=True)


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_packaged_choice_composes_and_binds(group, choice):
    assert unbound(composed(group, choice)) == []


def test_the_binding_check_can_fail():
    tree = composed("decoder", "vae_mini")
    tree["decoder"]["colour"] = "blue"
    assert unbound(tree) == [".decoder: got an unexpected keyword argument 'colour'"]


def test_every_decoder_states_all_its_arguments():
    """A tunable argument that the YAML leaves out could not be overridden without a `+`."""
    for group, choice in CHOICES:
        if group not in {"decoder", "executor", "tracking", "suite"}:
            continue
        node = composed(group, choice)[group]
        module, _, name = node["_target_"].rpartition(".")
        target = getattr(importlib.import_module(module), name)
        assert set(inspect.signature(target).parameters) <= set(node), f"{group}={choice}"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("sed=1", "Key 'sed' not in 'RunSchema'"),
        ("seeds=many", "could not be converted to Integer"),
        ("knobs.sigma=soft", "could not be converted to Float"),
        ("knobs.colour=1", "Key 'colour' not in 'Knobs'"),
        ("decoder=nothing", "Could not find 'decoder/nothing'"),
        ("suite=folder", "suite.path has no value"),
        ("decoder.dtipe=float32", "decoder.dtipe"),
        ("seeds", "seeds"),
        ("+nokey=1", "There is no key nokey"),
        ("tracking=null", "must be a string or a list"),
        ("decoder=5", "must be a string or a list"),
    ],
)
def test_what_does_not_fit_is_a_usage_error(override, said):
    with pytest.raises(UsageError) as caught:
        compose([override])
    assert said in str(caught.value)
    assert "fix:" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["html", "reports.nothing.write", "reports.html.wrte", "qa.__all__"]
)
def test_a_name_without_a_function_is_said(name):
    with pytest.raises(UsageError, match=f"{name}"):
        function(name)


def test_own_groups_that_are_absent_or_broken(tmp_path):
    with pytest.raises(UsageError, match="is not a folder"):
        compose([], tmp_path / "none")
    (tmp_path / "decoder").mkdir()
    (tmp_path / "decoder" / "mine.yaml").write_text("decoder: {_target_: [")
    with pytest.raises(UsageError, match="cannot be read"):
        compose(["decoder=mine"], tmp_path)


def test_a_value_of_the_dial_can_be_given():
    config = compose(["knobs.sigma=0.3", "knobs.steps=2", "numerics.threads=1"])
    assert (config.tree.knobs.sigma, config.tree.knobs.steps) == (0.3, 2)


def test_a_folder_of_own_groups_is_found(tmp_path):
    (tmp_path / "decoder").mkdir()
    (tmp_path / "decoder" / "mine.yaml").write_text(
        "# @package _global_\ndecoder: {_target_: toys.Sampler}\n"
    )
    config = compose(["decoder=mine"], tmp_path)
    assert config.choices["decoder"] == "mine"
    assert type(build(config.group("decoder"), "decoder")).__name__ == "Sampler"


CHOOSING = [f"hydra.searchpath=[file://{Path(__file__).parents[1] / 'conf'}]", "suite=choosing",
            "suite.path=x"]  # fmt: skip


def chosen(*words: str, root: Root = RUN) -> tuple[list[str], list[str], int]:
    """Metrics, gates and seeds of a run over a suite that has a say in them."""
    tree = compose([*CHOOSING, *words], root=root).tree
    return list(tree.metric), list(tree.gate), tree.seeds


def test_a_suite_may_choose_what_is_measured_and_the_command_line_wins():
    usual = compose().tree
    assert "psnr" in usual.metric, "negative control: other suites choose nothing"
    assert (list(usual.gate), usual.seeds) == (["regression", "tail", "preference"], 4)
    assert chosen() == (["shades"], ["regression", "slices"], 1)
    assert chosen("metric=[psnr,gmsd]", "seeds=2") == (
        ["psnr", "gmsd"],
        ["regression", "slices"],
        2,
    )
    assert chosen("gate=[tail]") == (["shades"], ["tail"], 1)
    assert chosen(root=REPRO) == chosen()


def test_an_experiment_wins_over_a_suite():
    gates = ["regression", "tail", "cost", "reproducibility", "preference"]
    assert chosen("experiment=release") == (["shades"], gates, 1)


def test_latents_of_such_a_suite_can_be_taken():
    """`qa latents` has no metrics and no gates: only the suite itself counts there."""
    words = [*CHOOSING, "decoder=flux1", "sigmas=[0]"]
    config = compose(words, root=CAPTURE)
    assert config.tree.suite == {"_target_": "toys.Asking", "path": "x", "name": "toy"}
    assert config.choices["suite"] == "choosing"
    assert config.words() == words
    assert "metric" not in config.tree
    assert compose(["decoder=flux1"], root=CAPTURE).choices["suite"] == "mini"
    with pytest.raises(UsageError, match=r"(?s)suite/nothing.*`qa latents --cfg`"):
        compose(["suite=nothing"], root=CAPTURE)


def test_wrong_arguments_and_classes_are_usage_errors():
    for node, said in (
        ({"_target_": "toys.Sampler", "colour": 1}, "unexpected keyword argument 'colour'"),
        ({"_target_": "toys.Nobody"}, "toys.Nobody"),
        ({"path": "x"}, "names no class"),
    ):
        with pytest.raises(UsageError, match=said):
            build(node, "decoder")


def test_a_part_that_complains_is_heard_as_it_spoke():
    with pytest.raises(UsageError, match=r"executor.batch=0 cannot work"):
        build({"_target_": "qa.executors.local.LocalExecutor", "batch": 0}, "executor")
