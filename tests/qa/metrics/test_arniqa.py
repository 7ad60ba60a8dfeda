"""ARNIQA: torchmetrics' network from our files, and what is refused."""

import warnings

import pytest
import torch
from battery import drawing
from quality_weights import at_hand

from qa.errors import AssetMissing, UsageError
from qa.metrics.arniqa import ARNIQA

FILES = ("ARNIQA.pth", "regressor_koniq10k.pth")


@pytest.fixture(scope="module")
def metric():
    with at_hand(*FILES):
        return ARNIQA()


def test_equal_to_the_function_of_torchmetrics(metric, monkeypatch):
    from torchmetrics.functional.image.arniqa import arniqa

    with at_hand(*FILES) as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(TorchScript|torch.jit)")
        monkeypatch.setattr(
            "torch.hub.load_state_dict_from_url",
            lambda url, **_: torch.load(folder / url.rpartition("/")[2], weights_only=False),
        )
        picture = drawing(70, 91)
        wanted = float(arniqa(picture[None] / 255))
        assert metric(picture[None], None)[0] == pytest.approx(wanted, abs=1e-6)
        brighter = float(arniqa((picture[None] / 255 * 1.05).clamp(max=1)))
        assert metric(picture[None], None)[0] != pytest.approx(brighter, abs=1e-6)


def test_ratings_are_a_choice(metric):
    with at_hand("ARNIQA.pth", "regressor_kadid10k.pth"):
        other = ARNIQA("kadid10k")
    assert other.facts.protocol["ratings"] != metric.facts.protocol["ratings"]
    assert other(drawing(64, 64)[None], None) != metric(drawing(64, 64)[None], None)
    with pytest.raises(UsageError, match="'spaq'"):
        ARNIQA("spaq")


def test_resolution_is_part_of_the_protocol(metric):
    picture = drawing(70, 128)
    with at_hand(*FILES):
        tiled = ARNIQA(resolution="tile:64:64")
    views = [picture[:, y : y + 64, x : x + 64] for y in (0, 6) for x in (0, 64)]
    mean = sum(metric(view[None], None)[0] for view in views) / 4
    assert tiled(picture[None], None)[0] == pytest.approx(mean, abs=1e-12)
    assert tiled.facts.protocol["resolution"] != metric.facts.protocol["resolution"]


def test_nothing_is_downloaded(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", None)
    monkeypatch.setenv("QA_CACHE", str(tmp_path))
    monkeypatch.delenv("QA_ASSETS", raising=False)
    monkeypatch.setenv("QA_OFFLINE", "1")
    with pytest.raises(AssetMissing, match=r"ARNIQA\.pth"):
        ARNIQA()


@pytest.mark.parametrize("content", [{}, {"model.0.weight": torch.zeros(3)}, [1, 2]])
def test_another_file_is_refused(monkeypatch, tmp_path, content):
    torch.save(content, tmp_path / "ARNIQA.pth")
    with at_hand(*FILES) as folder:
        places = {"ARNIQA.pth": tmp_path / "ARNIQA.pth", FILES[1]: folder / FILES[1]}
        monkeypatch.setattr("qa.assets.resolve", places.__getitem__)
        with pytest.raises(UsageError, match="weights cannot be used"):
            ARNIQA()


@pytest.mark.parametrize("file", FILES)
def test_weights_that_are_not_finite_are_refused(monkeypatch, tmp_path, file):
    with at_hand(*FILES) as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(TorchScript|torch.jit)")
        places = {name: folder / name for name in FILES}
        if file == FILES[0]:
            state = torch.load(folder / file, weights_only=True)
            state["model.0.weight"][0] = float("nan")
            torch.save(state, tmp_path / file)
        else:
            line = torch.jit.load(folder / file)
            line.weights.data[0] = float("inf")
            torch.jit.save(line, tmp_path / file)
        monkeypatch.setattr("qa.assets.resolve", lambda name: places[name])
        ARNIQA()  # negative control
        places[file] = tmp_path / file
        with pytest.raises(UsageError, match="holds NaN or infinity"):
            ARNIQA()
