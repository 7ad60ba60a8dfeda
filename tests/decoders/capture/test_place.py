"""Repositories without a network: a cache on disk in huggingface_hub's layout."""

import json
import shutil

import pytest
import tiny_pipelines
import torch

from decoders.capture import place
from decoders.capture.loop import Item
from decoders.capture.pipelines import Pipeline
from qa import assets
from qa.assets import downloads
from qa.errors import AssetMissing, UsageError
from qa.types import Sample

REPO, COMMIT = "org/tiny", "0123456789abcdef0123456789abcdef01234567"
ITEM = Item(Sample("a", prompt="a red cat"), "content")


@pytest.fixture
def cache(saved, tmp_path, monkeypatch):
    """A cache that holds the tiny SD3 pipeline as branch main of org/tiny; the network is off."""
    import huggingface_hub.constants as constants

    root = tmp_path / "hub"
    repo = root / "models--org--tiny"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    shutil.copytree(saved("sd3"), repo / "snapshots" / COMMIT)
    shutil.rmtree(repo / "snapshots" / COMMIT / "vae")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root))
    monkeypatch.setenv("QA_OFFLINE", "1")
    monkeypatch.setenv("QA_CACHE", str(tmp_path / "qa"))
    monkeypatch.delenv("QA_ASSETS_LOCK", raising=False)
    return repo


def of_repo(**changes):
    given = {"source": None, "repo": REPO, "revision": "main", "licence": "ask first"}
    return Pipeline(**tiny_pipelines.settings("sd3", "", **(given | changes)))


def test_a_cached_repository_works_offline_and_its_commit_is_locked(cache, saved):
    captured = of_repo()
    assert captured.place.identity == f"{REPO}@{COMMIT}"
    assert captured.licence == "ask first"
    assert assets.store().lock.commit_of(f"{REPO}@main") is None, "nothing was used yet"
    latent = captured.latents(ITEM, ["x0"])["x0"].tensor
    local = Pipeline(**tiny_pipelines.settings("sd3", saved("sd3")))
    assert torch.equal(latent, local.latents(ITEM, ["x0"])["x0"].tensor)
    assert assets.store().lock.commit_of(f"{REPO}@main") == COMMIT
    assert of_repo(revision=COMMIT).identity == captured.identity


def test_a_branch_that_moved_stays_at_the_locked_commit(cache):
    of_repo().load()
    (cache / "refs" / "main").write_text("f" * 40)
    assert of_repo().place.commit == COMMIT


@pytest.mark.parametrize("change", [{"repo": "org/other"}, {"revision": "f" * 40}], ids=str)
def test_what_is_not_at_hand_says_how_to_get_it(cache, change):
    with pytest.raises(AssetMissing) as caught:
        of_repo(**change)
    said = str(caught.value)
    repo, revision = change.get("repo", REPO), change.get("revision", "main")
    for part in (repo, revision, "ask first", f"hf download {repo} --revision {revision}"):
        assert part in said


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("model_index.json", "does not hold it"),
        ("tokenizer", "does not hold its tokenizer"),
        ("transformer/diffusion_pytorch_model.safetensors", "weights of its transformer"),
    ],
)
@pytest.mark.parametrize("online", [True, False])
def test_nothing_is_downloaded_unasked(cache, monkeypatch, lost, said, online):
    """Not even a part: what the cache lacks is named, with the command that brings it."""
    import diffusers

    asked = []
    pipeline = diffusers.StableDiffusion3Pipeline
    monkeypatch.setattr(pipeline, "download", lambda *a, **k: asked.append(k) or 1 / 0)
    monkeypatch.setenv("QA_OFFLINE", str(int(not online)))
    of_repo(revision=COMMIT).load()  # whole, it is loaded from where it is
    place_of = cache / "snapshots" / COMMIT / lost
    shutil.rmtree(place_of) if place_of.is_dir() else place_of.unlink()
    with pytest.raises(AssetMissing, match=said) as caught:
        of_repo(revision=COMMIT)
    text = str(caught.value)
    assert ("unasked" if online else "network is off") in text
    assert f'hf download {REPO} --revision {COMMIT} --exclude "vae/*"' in text
    assert "ask first" in text
    assert not asked
    if online:
        with pytest.raises(AssetMissing, match="ZeroDivisionError"):
            of_repo(revision=COMMIT, download=True).load()
        assert [(k["revision"], k["vae"]) for k in asked] == [(COMMIT, None)]
    else:
        with pytest.raises(AssetMissing, match="network is off"):
            of_repo(revision=COMMIT, download=True)


def test_a_shard_that_is_not_there_is_missed(cache):
    folder = cache / "snapshots" / COMMIT / "transformer"
    names = {"a": "one.safetensors", "b": "diffusion_pytorch_model.safetensors"}
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}))
    with pytest.raises(AssetMissing, match=r"does not hold transformer/one\.safetensors"):
        of_repo()


def test_a_network_that_fails_is_told_the_same_way(cache, monkeypatch):
    def refuse(*_):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(downloads, "commit_of", refuse)
    monkeypatch.setenv("QA_OFFLINE", "0")
    with pytest.raises(AssetMissing, match="no route to host"):
        of_repo(repo="org/other")


def test_a_repository_of_another_class_is_refused_when_it_is_there(cache):
    with pytest.raises(UsageError, match="_class_name is StableDiffusion3Pipeline"):
        of_repo(family="flux").load()


def test_only_the_parts_that_are_used_count(saved, tmp_path):
    folder = shutil.copytree(saved("sd3"), tmp_path / "sd3")
    expected = {"_class_name": "StableDiffusion3Pipeline"}
    before = place.find(str(folder), None, None, expected, "", False).identity
    (folder / "README.md").write_text("hello")
    shutil.rmtree(folder / "vae")
    assert place.find(str(folder), None, None, expected, "", False).identity == before
    weights = next((folder / "transformer").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    assert place.find(str(folder), None, None, expected, "", False).identity != before


@pytest.mark.parametrize(
    ("index", "why"),
    [
        ([], "no JSON object"), ({"vae": []}, "vae is no library and class"),
        ({"unet": ["diffusers", "A", "B"]}, "unet is no library"), ({"unet": [1, 2]}, "unet is no"),
    ],
)  # fmt: skip
def test_an_index_of_other_json_is_refused(tmp_path, index, why):
    (tmp_path / place.INDEX).write_text(json.dumps(index))
    with pytest.raises(UsageError, match=rf"holds no pipeline in diffusers' layout\. .*{why}"):
        place.check(tmp_path, {})


def test_the_parts_of_an_index_are_named(tmp_path):
    """The control: an index as save_pretrained writes it; a part without a class is not there."""
    index = {
        "_class_name": "Some", "unet": ["diffusers", "U"], "vae": ["diffusers", "V"],
        "safety_checker": [None, None], "scale": 8,
    }  # fmt: skip
    (tmp_path / place.INDEX).write_text(json.dumps(index))
    assert place.check(tmp_path, {"_class_name": "Some"}) == ["unet"]
