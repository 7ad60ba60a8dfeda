"""Which metrics a commercial run may use."""

from pathlib import Path

import pytest
import yaml

from qa import assets
from qa.config import build, compose
from qa.errors import UsageError
from qa.metrics.iqa import licence_of
from qa.metrics.licences import PERMISSIVE, commercial, refused
from qa.types import MetricFacts

CONF = Path(__file__).parents[3] / "conf" / "metric"


def facts(licence):
    return MetricFacts("m", "higher", "", "a paper", licence, {"version": 1})


FREE = (
    *PERMISSIVE, "Apache-2.0 (torchmetrics); BSD-3-Clause (network)", "Apache-2.0 (own code)",
    "Apache-2.0 (BasicSR; the authors' parameters, LIVE, University of Texas)", "mit",
    "Apache-2.0 (own code); features: Apache-2.0 (the network of 2015)",
    "Apache-2.0 (own code); features: none: drawn weights",
    "Apache-2.0; upsampler: MIT-CMU (Pillow)", "Apache-2.0 (code and PP-OCR weights)",
)  # fmt: skip
NOT_FREE = (
    "PolyForm-Noncommercial-1.0.0 (pyiqa): not for commercial use", "MIT; CC BY-NC 4.0 (weights)",
    "NTU S-Lab 1.0: non-commercial", "NON-COMMERCIAL, for research", "research only",
    "not stated", "", " ", ";", "Not stated (a model)", "as its owner says", "unknown",
    "see the repository", "S-Lab 1.0", "NVIDIA Source Code License", "CC-BY-NC-4.0", "MITX",
    "Apache-2.0 (own code); features: not stated", "Apache-2.0 (own code); features: ",
    "Apache-2.0 (own code); features: as its owner says", "Apache-2.0;",
    "Apache-2.0 (own code), S-Lab 1.0",
    "Apache-2.0 by the tag of the weights; there is no licence file, and the paper is CC BY-NC-SA",
    "Apache-2.0 (original weights); the pyiqa package is non-commercial",
    "MIT (the authors have not settled the terms of weights)", "MIT (code), weights unknown",
    "MIT (noncommercial)", "Apache-2.0 (academic use)", "MIT (evaluation purposes)",
    "MIT (code; weights: GPL-3.0)", "MIT (code, weights proprietary)",
    "Apache-2.0 (trained on KonIQ, forbidden to sell)", "MIT (code, weights OpenRAIL)",
    "MIT (for research)", "MIT (a (b))", "MIT (a; b", "MIT; b)", "MIT\nS-Lab 1.0", "not MIT",
    "unknown: MIT", "Apache-2.0; upsampler: not stated", "Apache-2.0; decoder: MIT",
    "Stability AI Community License", "Gemma Terms of Use", "GPL-3.0",
)  # fmt: skip


@pytest.mark.parametrize("licence", FREE)
def test_allowed(licence):
    assert commercial(facts(licence))
    assert refused(facts(licence), "commercial") is None


@pytest.mark.parametrize("licence", NOT_FREE)
def test_refused_only_in_a_commercial_run(licence):
    assert not commercial(facts(licence))
    assert refused(facts(licence), "research") is None
    assert "license_profile=commercial" in refused(facts(licence), "commercial")


def test_unknown_profile():
    with pytest.raises(UsageError, match="research or commercial"):
        refused(facts("MIT"), "private")


def test_the_part_that_is_in_the_way_is_named():
    why = refused(facts("MIT; S-Lab 1.0 (weights); BSD-3-Clause"), "commercial")
    assert why == "m may not be used with license_profile=commercial: S-Lab 1.0 (weights)."
    assert "not stated" in refused(facts(""), "commercial")


def test_of_our_metrics(case):
    """Of those that can be built here, pyiqa's and a judge of unknown origin are refused."""
    free = case.metric.facts.name not in ("vlm_judge", "piqe", "brisque")
    assert commercial(case.metric.facts) is free, case.metric.facts.licence


@pytest.mark.parametrize("name", sorted(f.stem for f in CONF.glob("*.yaml")))
def test_pyiqa_is_refused_whatever_its_weights(name):
    node = yaml.safe_load((CONF / f"{name}.yaml").read_text())[name]
    if node["_target_"].startswith("qa.metrics.iqa."):
        assert not commercial(facts(licence_of(node["files"])))
        assert not commercial(facts(licence_of([])))


@pytest.mark.parametrize(
    "asset",
    ["pt_inception-2015-12-05-6726825d.pth", "ViT-L-14-336px.pt",
     "dinov2_vitl14_pretrain.pth", "alexnet-owt-7be5be79.pth", "vgg16-397923af.pth", "RN50.pt",
     "niqe_pris_params.npz", "ARNIQA.pth", "regressor_koniq10k.pth"],
)  # fmt: skip
def test_networks_of_free_metrics_are_free(asset):
    assert commercial(facts(assets.find(asset).licence))


@pytest.mark.parametrize("name", ["fid_random", "patch_fid_random"])
def test_drawn_features_are_free(name):
    assert commercial(build(compose([f"metric=[{name}]"]).group("metric")[name], name).facts)


def test_features_of_a_users_file_are_not(tmp_path):
    from qa.features.weights import locate

    file = tmp_path / "mine.pt"
    file.write_bytes(b"weights")
    licence = f"Apache-2.0 (own code); features: {locate(str(file), '').licence}"
    assert not commercial(facts(licence))
