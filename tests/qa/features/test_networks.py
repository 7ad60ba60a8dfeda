"""One network in memory for all metrics of a run, freed with the last of them."""

import gc
import threading
import time

import pytest
import torch
from torch import nn
from torchvision.models.inception import Inception3

from qa.features.extractors import InceptionFeatures, TorchScriptFeatures
from qa.features.networks import Network, shared


def inceptions():
    """Those in memory."""
    gc.collect()
    return {id(thing) for thing in gc.get_objects() if type(thing) is Inception3}


def built(how, name):
    """Whether shared() builds: True for the first user of a key."""
    calls = []
    network = shared(*name, lambda: calls.append(1) or Network(how, "sha"))
    return network, bool(calls)


def test_a_network_is_built_once_for_a_key():
    first, fresh = built(nn.Identity(), ("kind", "weights", "cpu"))
    again, twice = built(nn.Identity(), ("kind", "weights", "cpu"))
    assert (fresh, twice) == (True, False)
    assert again is first
    others = [("other", "weights", "cpu"), ("kind", "other", "cpu"), ("kind", "weights", "meta")]
    assert all(built(nn.Identity(), key)[1] for key in others)  # negative control


def test_a_network_is_freed_with_its_last_user():
    module = nn.Identity()
    network, _ = built(module, ("kind", "weights", "cpu"))
    del network
    assert built(module, ("kind", "weights", "cpu"))[1]


def test_a_failure_is_not_kept():
    def fail():
        raise ValueError("no such weights")

    with pytest.raises(ValueError, match="no such weights"):
        shared("kind", "broken", "cpu", fail)
    assert built(nn.Identity(), ("kind", "broken", "cpu"))[1]


def test_threads_do_not_build_twice():
    calls, found = [], []

    def build():
        calls.append(1)
        time.sleep(0.05)
        return Network(nn.Identity(), "sha")

    threads = [
        threading.Thread(target=lambda: found.append(shared("kind", "threads", "cpu", build)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(set(map(id, found))) == 1


@pytest.fixture
def weights(drawn, tmp_path):
    """A function: a file of weights that no other test uses."""

    def write(number):
        state = dict(drawn, **{"fc.bias": drawn["fc.bias"] + number})
        torch.save(state, tmp_path / f"{number}.pth")
        return str(tmp_path / f"{number}.pth")

    return write


@pytest.mark.slow
def test_all_protocols_and_views_look_through_one_inception(weights, picture):
    file, before = weights(1), inceptions()
    users = [InceptionFeatures(name, file) for name in ("clean", "tm", "ttur", "none")]
    users += [InceptionFeatures("clean", file, views) for views in ("hific256", "ultrapixel299x3")]
    assert len(inceptions() - before) == 1
    x = picture(80, 80)
    assert not torch.equal(users[0](x, ""), users[3](x, ""))
    users.append(InceptionFeatures("clean", weights(2)))
    assert len(inceptions() - before) == 2  # negative control: other weights
    users.clear()
    assert inceptions() <= before


def test_metrics_of_one_run_share(weights):
    """As `metric=[fid,kid,...] metric.fid.weights=FILE ...` builds them."""
    from qa.config import build, compose

    names = ["fid", "kid", "precision", "recall", "density", "coverage", "fid_infinity"]
    file = weights(3)
    settings = [f"metric.{name}.weights={file}" for name in names]
    nodes = compose([f"metric=[{','.join(names)}]", *settings]).group("metric")
    before = inceptions()
    metrics = [build(nodes[name], name) for name in names]
    assert len(inceptions() - before) == 1
    assert len({metric.features.id for metric in metrics}) == 1


def test_files_of_other_kinds_are_shared_as_well(tmp_path, save_script):
    class Means(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.float().mean(dim=(2, 3))

    file = str(save_script(Means(), tmp_path / "means.pt"))
    first = TorchScriptFeatures(file, "unit")
    (tmp_path / "means.pt").rename(tmp_path / "moved.pt")
    moved = str(tmp_path / "moved.pt")
    load, calls = torch.jit.load, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.jit, "load", lambda *a, **k: calls.append(1) or load(*a, **k))
        again = TorchScriptFeatures(moved, "uint8", [8, 8])
        assert calls == []  # equal content, wherever it lies
        del first, again
        TorchScriptFeatures(moved, "uint8")
        assert calls == [1]  # negative control
