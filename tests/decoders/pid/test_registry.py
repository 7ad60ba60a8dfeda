"""The checkpoints as data, and a loader that refuses everything it is not sure of."""

import pytest
import tiny_pid
import torch
import yaml
from safetensors.torch import load_file, save_file

from decoders.capture.families import FAMILIES
from decoders.pid import registry
from decoders.spaces import SPACES
from qa import assets
from qa.capture import ROOT
from qa.config import compose
from qa.errors import AssetMissing, QaError, UsageError
from qa.files import sha256

CPU = torch.device("cpu")
PUBLISHED = [row for row in registry.checkpoints().values() if not row.withdrawn]


@pytest.mark.parametrize("row", registry.checkpoints().values(), ids=lambda row: row.name)
def test_every_checkpoint_has_a_configuration(row):
    given = ["decoder.path=x"] if row.withdrawn else []
    config = compose([f"decoder={row.name}", *given])
    decoder, encoder = config.group("decoder"), config.group("encoder")
    assert decoder["checkpoint"] == row.name
    assert decoder["text"] == config.group("text")
    assert decoder["asset"] == (None if row.withdrawn else row.asset)
    if row.space is None:
        assert encoder is None
        assert len(decoder["size"]) == 2
    else:
        assert decoder["size"] is None
        assert encoder["by"] == row.scale
        assert encoder["encoder"].get("space", row.space.name) == row.space.name


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.name)
def test_every_published_checkpoint_has_an_asset(row):
    asset = assets.table()[row.asset]
    assert asset.licence == row.licence == registry.LICENCE
    assert "NON-COMMERCIAL" in asset.licence
    assert asset.ask
    assert asset.files[0].origin == f"checkpoints/{row.experiment}/model_ema_bf16.pth"
    assert asset.needed_by == (f"decoder={row.name}",)
    model = registry.weights.on_meta(lambda: registry.PiDNetwork(row.config()))
    bytes_of_tensors = 2 * sum(value.numel() for value in model.state_dict().values())
    # Sizes that are published hold the container, too: some hundred bytes for each tensor.
    size = asset.size or asset.about
    assert 0 <= size - bytes_of_tensors < 500_000


def test_the_published_facts():
    rows = registry.checkpoints()
    assert [name for name, row in rows.items() if row.space and row.space.noise == "vp"] == [
        "pid_sdxl_2kto4k"
    ]
    assert [name for name, row in rows.items() if row.scale == 8] == ["pid_siglip_2k"]
    for row in rows.values():
        assert row.space is None or row.space in SPACES.values()
        assert row.rope == (1024 if row.generation == "v1" else 2048)
        assert (row.sampler == "teacher") == (row.defaults is not None)
    unfolded = [
        name
        for name, row in rows.items()
        if (adapter := row.config().adapter) and adapter.unpatchify == 2
    ]
    assert unfolded == ["pid_flux2_v1pt5", "pid_flux2_v1pt5_teacher"]
    shift = rows["pid_flux_v1pt5_teacher"].defaults.shift_at
    assert shift(2048, 2048) == 6.0
    assert shift(4096, 2048) == pytest.approx(6 * 2**0.25)
    assert rows["pixeldit_2kto4k"].defaults.shift_at(4096, 4096) == 6.0


@pytest.mark.parametrize("row", registry.checkpoints().values(), ids=lambda row: row.name)
def test_the_models_a_checkpoint_names_have_its_latents(row):
    """As far as their pipelines are packaged: `qa latents pipeline=TAG` fits the decoder."""
    families = {
        name: compose([f"pipeline={name}"], root=ROOT).group("pipeline")["family"]
        for name in ("flux", "flux2", "sd3", "sdxl", "qwenimage", "zimage", "zimage_turbo")
    }
    known = [tag for tag in row.backbones if tag.replace("-", "_") in families]
    assert known or not row.backbones or row.backbones[0] in ("dinov2", "siglip")
    for tag in known:
        assert FAMILIES[families[tag.replace("-", "_")]].space == row.space.name, tag


def test_tensors_alone_do_not_tell_checkpoints_apart():
    """Why a file is never guessed."""

    def shapes(name):
        model = registry.weights.on_meta(lambda: registry.PiDNetwork(registry.find(name).config()))
        return {key: value.shape for key, value in model.state_dict().items()}

    assert shapes("pid_flux_2k") == shapes("pid_sd3_2k")
    assert shapes("pid_flux_v1pt5") == shapes("pid_qwenimage_v1pt5")
    assert shapes("pid_flux_v1pt5") == shapes("pid_flux_v1pt5_teacher")
    assert shapes("pid_flux_2k") != shapes("pid_sdxl_2kto4k")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("prefix", ["net.", "", "core."])
def test_a_file_of_the_whole_layout_loads(tmp_path, prefix, suffix):
    """All 461 tensors of v1.5, with the training-only head among them."""
    row = tiny_pid.row("pid_flux_v1pt5", depth=14)
    file = tiny_pid.save(tmp_path / f"a{suffix}", row, prefix)
    state = registry.weights.read_state(file)
    assert len(state) == 461
    state[f"{prefix}lq_proj.lq_aux_rgb_head.0.weight"] = torch.ones(1024)
    save_file(state, tmp_path / "b.safetensors")
    for path in (file, tmp_path / "b.safetensors"):
        model = registry.load(path, row, CPU)
        key = "patch_blocks.13.mlp_x.w2.weight"
        assert torch.equal(model.state_dict()[key], state[prefix + key].float())
        assert not any(value.is_meta or value.requires_grad for value in model.parameters())


def broken(state, how):
    if how == "partial":
        del state["net.final_layer.norm.weight"]
    elif how == "left over":
        state["net_ema.final_layer.norm.weight"] = torch.ones(4)
    elif how == "another shape":
        state["net.final_layer.linear.weight"] = torch.ones(4, 4)
    return state


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("partial", "Missing: final_layer.norm.weight"),
        ("left over", "net_ema.final_layer.norm.weight"),
        ("another shape", r"final_layer.linear.weight \[4, 4\] instead of \[3, 4\]"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_key(tmp_path, how, said):
    row = tiny_pid.row()
    file = tiny_pid.save(tmp_path / "a.safetensors", row)
    registry.load(file, row, CPU)
    save_file(broken(load_file(file), how), tmp_path / "b.safetensors")
    with pytest.raises(UsageError, match=said):
        registry.load(tmp_path / "b.safetensors", row, CPU)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("pid_sdxl_2kto4k", r"latent_proj.0.weight \[512, 4, 3, 3\] instead of \[512, 16, 3, 3\]"),
        ("pid_flux_v1pt5", "Not expected: lq_proj.pit_head.weight|pit_lq_gate"),
        ("pixeldit_2kto4k", "Missing: lq_proj"),
    ],
)
def test_a_wrong_latent_or_generation_is_refused(tmp_path, other, said):
    file = tiny_pid.save(tmp_path / "a.pth", tiny_pid.row(other))
    with pytest.raises(UsageError, match=said):
        registry.load(file, tiny_pid.row(), CPU)


def test_code_in_a_checkpoint_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"net.a": Bomb()}, tmp_path / "a.pth")
    with pytest.raises(QaError, match="cannot be read as weights"):
        registry.load(tmp_path / "a.pth", tiny_pid.row(), CPU)
    assert not (tmp_path / "ran").exists()


def test_a_file_is_named_or_known_by_its_hash(tmp_path, monkeypatch):
    monkeypatch.setenv("QA_CACHE", str(tmp_path / "cache"))
    file = tiny_pid.save(tmp_path / "some.pth", tiny_pid.row())
    with pytest.raises(UsageError, match="not known which checkpoint"):
        registry.locate(None, None, str(file))
    assert registry.locate("pid_sd3_2k", None, str(file))[0].name == "pid_sd3_2k"
    # From now on the hash says what the file is, whatever somebody calls it.
    assets.store().lock.add({"pid_flux_2k.pth": sha256(file)}, {})
    assert registry.locate(None, None, str(file))[0].name == "pid_flux_2k"
    assert registry.locate("pid_flux_2k", None, str(file))[1] == file
    with pytest.raises(UsageError, match="is pid_flux_2k, not pid_sd3_2k"):
        registry.locate("pid_sd3_2k", None, str(file))


def test_what_cannot_be_had_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("QA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("QA_ASSETS", raising=False)
    for arguments, error, said in [
        ((None, None, None), UsageError, "not said where"),
        (("pid_flux_2k", None, str(tmp_path / "no")), UsageError, "no file"),
        (("pid_nonsense", "pid_flux_2k.pth", None), UsageError, "no PiD checkpoint 'pid_nonsense'"),
        (("pid_flux_2kto4k", None, None), UsageError, "not said where"),
        (("pid_flux_2k", "pid_flux_2k.pth", None), AssetMissing, "not downloaded unasked"),
    ]:
        with pytest.raises(error, match=said):
            registry.locate(*arguments)


def test_sizes():
    row = registry.find("pid_flux_2k")
    for height, width in ((2048, 2048), (2304, 1728), (1728, 2304), (2688, 1536), (1536, 2688)):
        row.check_size(height, width)
    for height, width in ((1024, 1024), (3840, 3840), (4096, 1024), (1536, 2752)):
        with pytest.raises(QaError, match="outside the sizes"):
            row.check_size(height, width)
    registry.find("pid_flux_v1pt5").check_size(3840, 3840)


UNPUBLISHED = {
    "cfanet_nr_koniq_res50-9a73138b.pth", "HyperIQA-resnet50-koniq10k-c96c41b1.pth",
    "liqe_koniq.pt", "CLIP-IQA+_learned_prompts-603f3273.pth", "QualiCLIP.pth",
    "QualiCLIP+_koniq.pth", "brisque_svm_weights.pth", "niqe_modelparameters.mat",
}  # fmt: skip
"""Files of metrics whose size no source states; a run says so when it asks for them."""


def test_every_row_of_the_table_that_is_asked_for_says_how_large_it_is():
    table = yaml.safe_load(registry.files("qa.conf").joinpath("assets.yaml").read_text())
    for name, row in table.items():
        if row.get("ask"):
            sized = assets.table()[name]
            assert bool(sized.size or sized.about) is (name not in UNPUBLISHED), name
