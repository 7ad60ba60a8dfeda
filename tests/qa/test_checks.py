"""What is refused before anything is decoded, and what a decoder's traits change in a run."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toyruns import toy_overrides
from toys import Pool, Sampler

import qa
from qa import assets, checks
from qa.assets import catalog
from qa.assets.lock import Lock
from qa.assets.resolver import Store
from qa.errors import AssetMissing, UsageError
from qa.requests import corrupt, requests
from qa.seeds import LATENT_NOISE, noise
from qa.traits import Traits, traits
from qa.types import DecodeRequest, Knobs, Latent, LatentSpace, MetricFacts, Sample


class Enlarging(Sampler):
    """Every latent cell becomes 16x16 pixels: twice the size that its encoder saw."""

    scale = 2
    notes = ("made for a test",)

    def _one(self, request: DecodeRequest) -> torch.Tensor:
        assert request.latent is not None
        pixels = torch.nn.functional.interpolate(request.latent[None], scale_factor=16.0)[0]
        return pixels[:, : request.height, : request.width]


class Halved(Pool):
    """The encoder that fits: it sees the picture at half its size."""

    scale = 2

    def latent(self, sample, picture):
        picture = picture.float().unsqueeze(0)
        small = torch.nn.functional.interpolate(picture, scale_factor=0.5, mode="area")
        return super().latent(sample, small[0].round().to(torch.uint8))


class Full(Pool):
    scale = 1


class FromWords:
    space, knobs, licence, digest = None, frozenset(), "test", "words"
    needs_prompt, size = True, (24, 40)

    def decode(self, requests):
        return [torch.full((3, r.height, r.width), len(r.prompt) / 255) for r in requests]


class Picky(Sampler):
    knobs = frozenset({"steps"})

    def check_knobs(self, knobs):
        if knobs.steps == 5:
            raise UsageError("5 steps: there are 1 to 4")


class Plain:
    """A metric without a reference."""

    def __init__(self, paired: bool) -> None:
        self.facts = MetricFacts("plain", "higher", "", "here", "test", {}, paired)


def test_traits_have_defaults():
    assert traits(Sampler()) == Traits()
    assert traits(Enlarging()) == Traits(scale=2, notes=("made for a test",))
    assert traits(FromWords()).size == (24, 40)


def test_scales_must_fit():
    checks.check_spaces(Halved(), Enlarging())
    checks.check_spaces(Pool(), Enlarging())  # it does not say; each latent is checked later
    with pytest.raises(UsageError, match=r"at 1/1 of their size.*2 times larger"):
        checks.check_spaces(Full(), Enlarging())


def test_a_decoder_without_a_latent_space_takes_no_latents():
    checks.check_spaces(None, FromWords())
    with pytest.raises(UsageError, match="takes no latents"):
        checks.check_spaces(Pool(), FromWords())


def test_prompts_must_be_there():
    samples = [Sample("a", prompt="x"), Sample("b"), Sample("c", prompt="")]
    checks.check_samples(samples, Pool(), Sampler())
    with pytest.raises(UsageError, match=r"1 of 3 samples have no prompt.*is b"):
        checks.check_samples(samples, None, FromWords())
    checks.check_samples([samples[0], samples[2]], None, FromWords())


def test_an_encoder_needs_pictures():
    silent, pictured = Sample("a", prompt="x"), Sample("b", image=Path("b.png"))
    with pytest.raises(UsageError, match="None of the samples has a picture"):
        checks.check_samples([silent], Full(), Sampler())
    checks.check_samples([silent, pictured], Full(), Sampler())
    checks.check_samples([silent], Pool(), Sampler())  # it does not say that it encodes


def test_without_a_reference_nothing_is_compared_with_one():
    words, pictured = [Sample("a", prompt="x")], [Sample("b", image=Path("b.png"))]
    both = {"m": Plain(True).facts, "n": Plain(False).facts}
    with pytest.raises(UsageError, match=r"m cannot score this run.*draws pictures of its own"):
        checks.check_metrics(both, pictured, FromWords(), None)
    with pytest.raises(UsageError, match=r"m cannot score this run.*has a reference picture"):
        checks.check_metrics(both, words, Sampler(), None)
    checks.check_metrics({"n": Plain(False).facts}, words, FromWords(), None)
    checks.check_metrics(both, [*words, *pictured], Sampler(), None)


def test_a_commercial_run_takes_no_metric_that_forbids_it():
    free = replace(Plain(False).facts, licence="MIT")
    barred = replace(Plain(False).facts, licence="PolyForm-Noncommercial-1.0.0")
    checks.check_licences({"a": free, "b": barred}, "research")
    checks.check_licences({"a": free}, "commercial")
    with pytest.raises(UsageError, match=r"^b cannot be used here.*PolyForm"):
        checks.check_licences({"a": free, "b": barred}, "commercial")
    with pytest.raises(UsageError, match="license_profile=private is unknown"):
        checks.check_licences({"a": free}, "private")


def test_a_decoder_may_refuse_a_dial():
    checks.check_knobs(Knobs(steps=4), Picky())
    with pytest.raises(UsageError, match="5 steps: there are 1 to 4"):
        checks.check_knobs(Knobs(steps=5), Picky())


@pytest.fixture
def table(tmp_path, monkeypatch):
    """An asset table of three rows, none of them here."""
    rows = {
        "big": {"repo": "org/big", "revision": "main", "file": "x/big.pth", "about": 2_724_000_000,
                "licence": "NON-COMMERCIAL", "ask": True, "needed_by": ["decoder=a"]},
        "folder": {"repo": "org/f", "revision": "main", "files": {"config.json": {"bytes": 500},
                   "w.safetensors": {"bytes": 1_000_000_000}}, "licence": "Terms", "ask": True,
                   "needed_by": ["decoder=a"], "note": "gated"},
        "small": {"url": "http://127.0.0.1:1/s", "licence": "MIT", "needed_by": ["decoder=a"]},
    }  # fmt: skip
    parsed = {name: catalog.parse(name, row) for name, row in rows.items()}
    store = Store(parsed, (), tmp_path, Lock(tmp_path / "lock"))
    monkeypatch.setattr(assets, "store", lambda: store)
    return store


NODE = {"text": {"asset": "folder", "source": None}, "asset": "big", "path": None}


def test_everything_that_is_missing_is_said_at_once(table):
    with pytest.raises(AssetMissing) as told:
        checks.check_assets([{"asset": "small"}, NODE], "a")
    text = str(told.value)
    assert text.splitlines() == [
        "decoder=a needs 3 assets that are not on this machine.",
        "  small  size not published  MIT",
        "    http://127.0.0.1:1/s",
        "  big  about 2.72 GB  NON-COMMERCIAL",
        "    https://huggingface.co/org/big at main: x/big.pth",
        "  folder  1.00 GB  Terms",
        "    https://huggingface.co/org/f at main: config.json, w.safetensors; gated",
        "  fix: qa assets fetch small big folder",
    ]
    checks.check_assets([{"asset": "small"}], "a")  # alone it is fetched without asking


def test_offline_nothing_is_fetched(table, monkeypatch):
    monkeypatch.setenv("QA_OFFLINE", "1")
    with pytest.raises(AssetMissing, match="fetch small"):
        checks.check_assets([{"asset": "small"}], "a")


def test_what_is_given_or_here_is_not_asked_for(table, tmp_path):
    (tmp_path / "big").write_bytes(b"x")
    checks.check_assets([{"asset": "big", "path": None}], "a")
    checks.check_assets([{"asset": "folder", "source": str(tmp_path)}, None], "a")
    nowhere = str(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="nowhere does not exist"):
        checks.check_assets([NODE, {"deep": [], "inner": {"path": nowhere}}], "a")


def test_an_asset_to_ask_for_is_not_downloaded_unasked(table):
    with pytest.raises(AssetMissing, match="not downloaded unasked"):
        table.resolve("big", offline=False)
    with pytest.raises(AssetMissing, match="network is off"):
        table.resolve("big", offline=True, asked=True)


def test_requests_take_their_size_from_the_right_place():
    reference = torch.zeros(3, 30, 50, dtype=torch.uint8)
    sample = Sample("a", prompt="hello")

    def size(decoder, source, picture):
        (request,) = requests(sample, picture, [0], decoder, source, Knobs())
        return request.height, request.width

    assert size(Sampler(), Pool(), reference) == (30, 50)
    assert size(FromWords(), None, reference) == (24, 40)  # it reconstructs nothing
    assert size(FromWords(), None, None) == (24, 40)

    class Stored:
        space = Sampler.space

        def latent(self, sample, picture):
            return Latent(torch.zeros(3, 4, 6))

    assert size(Sampler(), Stored(), None) == (32, 48)
    assert size(Enlarging(), Stored(), None) == (64, 96)


@pytest.mark.parametrize("kind", ["flow", "vp"])
def test_noise_levels_of_a_sample_share_their_noise(kind):
    """Two levels give two equations in z and e; both must be the clean latent and one noise."""
    space = LatentSpace("s", 3, 8, "x", noise=kind)

    class Spaced(Sampler):
        pass

    class Stored:
        def latent(self, sample, picture):
            return Latent(torch.linspace(-1, 1, 72).reshape(3, 4, 6))

    Spaced.space = Stored.space = space
    low, high = (
        requests(Sample("a", prompt="p"), None, [2], Spaced(), Stored(), Knobs(sigma=s))[0]
        for s in (0.2, 0.6)
    )
    clean = Stored().latent(None, None).tensor
    e = noise(LATENT_NOISE, low.content, 2, clean.shape)
    for request in (low, high):
        s = request.sigma
        kept = 1 - s if kind == "flow" else (1 - s * s) ** 0.5
        torch.testing.assert_close(request.latent, kept * clean + s * e)
    other = dataclasses.replace(space, noise="vp" if kind == "flow" else "flow")
    assert not torch.allclose(corrupt(clean, e, 0.6, other), high.latent)


def test_a_run_enlarges_and_tells_what_it_cropped(pictures, workdir, monkeypatch):
    import toys

    monkeypatch.setattr(toys, "Enlarging", Enlarging, raising=False)
    monkeypatch.setattr(toys, "Halved", Halved, raising=False)
    done = qa.evaluate(*toy_overrides(pictures, "Enlarging", "encoder._target_=toys.Halved"))
    decoded = done.folder.decoded()
    assert decoded["file"].notna().all()
    # p00 is 64x48: a whole number of 16x16 cells; p01 is 59x56
    notes = dict(zip(decoded["sample"], decoded["note"], strict=True))
    assert notes["p00"] == ""
    assert notes["p01"] == "decoded as 64x64, cropped to 59x56"
    assert done.folder.record()["notes"] == ["made for a test"]
    assert done.verdict["candidate"]["notes"] == ["made for a test"]
