"""conf/metric: every setting of every metric can be seen and changed."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from quality_weights import at_hand

from qa.config import build, compose
from qa.errors import UsageError

CONF = Path(__file__).parents[3] / "conf" / "metric"
NAMES = sorted(file.stem for file in CONF.glob("*.yaml"))
FILES = {"arniqa": ("ARNIQA.pth", "regressor_koniq10k.pth"), "clip_iqa": ("RN50.pt",),
         "niqe": ("niqe_pris_params.npz",)}  # fmt: skip
"""What those metrics load whose YAML does not name it."""


def written(name):
    content = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))
    assert list(content) == [name]
    return content[name]


PANELS = {name for name in NAMES if written(name)["_target_"].startswith("suites.")}
"""They name metrics of their own, and need what their suites need."""


def parameters(node):
    """Of the constructor of a node's class."""
    module, _, kind = node["_target_"].rpartition(".")
    return list(inspect.signature(getattr(import_module(module), kind)).parameters.values())


def absent(node):
    """Arguments of a node's class, and of the nodes in it, that the node does not show."""
    known = {p.name for p in parameters(node) if p.kind is not p.VAR_KEYWORD}
    inner = (v for v in node.values() if isinstance(v, dict) and "_target_" in v)
    return (known - set(node)).union(*map(absent, inner))


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_is_written(name):
    assert absent(written(name)) == set()


def test_the_comparison_can_fail():
    node = written("hyperiqa")
    del node["least"], node["crops"]["stride"]
    assert absent(node) == {"least", "stride"}


@pytest.mark.parametrize("name", NAMES)
def test_device_is_the_runs_and_comes_last(name):
    node = written(name)
    assert node.get("device", "${device}") == "${device}"
    assert "device" not in list(node)[:-1]
    assert "device" not in [p.name for p in parameters(node)][:-1]


@pytest.mark.parametrize("name", sorted(set(NAMES) - PANELS))
def test_a_metric_is_called_what_its_file_is(name, mirror):
    node = compose([f"metric=[{name}]"]).group("metric")[name]
    if "name" in node:
        assert node["name"] == name  # `test_a_name_is_taken_over`
        return
    with at_hand(*FILES[name]) if name in FILES else pytest.MonkeyPatch.context():
        assert build(node, name).facts.name == name


@pytest.mark.parametrize("name", ["fid_random", "patch_fid_random", "piqe"])
def test_a_name_is_taken_over(name):
    if name == "piqe":
        pytest.importorskip("pyiqa", reason="an optional extra")
    node = compose([f"metric=[{name}]", f"metric.{name}.name=other"]).group("metric")[name]
    assert build(node, name).facts.name == "other"


@pytest.mark.parametrize(
    "word",
    ["psnr.colour=ycbcr", "ssim.border=valid", "lpips_alex.tile=64", "dists.tile=64",
     "flip.ppd=50", "niqe.asset=mine.npz", "vlm_judge.asset=mine", "vlm_judge.least=9",
     "vlm_judge.name=mine", "musiq.options={a:1}", "musiq.crops=null", "piqe.files=[a]"],
)  # fmt: skip
def test_the_command_line_takes_every_argument(word):
    name = word.partition(".")[0]
    compose([f"metric=[{name}]", f"metric.{word}"])
    with pytest.raises(UsageError, match="colours"):
        compose([f"metric=[{name}]", f"metric.{name}.colours=1"])


def test_a_judge_without_a_model_says_how_to_name_one():
    node = compose(["metric=[vlm_judge]"]).group("metric")["vlm_judge"]
    with pytest.raises(UsageError, match="either a path or an asset") as refusal:
        build(node, "metric")
    assert "metric.vlm_judge.asset=NAME" in refusal.value.fix
