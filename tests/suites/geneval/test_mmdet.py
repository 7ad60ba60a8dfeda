"""mmdet's checkpoint in transformers' network: computes what mmdet computes, nothing left over."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from inspect import signature

import pytest
import torch
from mmdet_checkpoint import TINY, Sizes, built, description, drawn, layout
from mmdet_reference import Facts, Reference

from qa.errors import UsageError
from suites.geneval import mask2former, mmdet
from suites.geneval.detector import CLASSES
from suites.geneval.mask2former import UNUSED, Mask2Former, Preparation, load_network
from suites.geneval.mask2former import meta as from_hub

WRONG = {
    "patches of 2 x 2 as Swin's own code lays them": {"cells": ("column", "row", "channel")},
    "rows and columns of a patch swapped": {"cells": ("channel", "column", "row")},
    "query and key swapped": {"parts": (1, 0, 2)},
    "key and value swapped": {"parts": (0, 2, 1)},
    "own attention first": {"cross_first": False},
    "finest level first": {"coarse_first": False},
}
COCO = tuple(mmdet.RENAMED.get(cls, cls) for cls in CLASSES)


@pytest.fixture(scope="module")
def state():
    return drawn(TINY)


@pytest.fixture(scope="module")
def pixels():
    return torch.randn(3, 96, 160, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def answers(state, pixels):
    with torch.no_grad():
        out = built(state)(pixel_values=pixels[None])
    return out.class_queries_logits[0], out.masks_queries_logits[0]


def test_it_computes_what_mmdet_computes(state, pixels, answers):
    """Sides of 40 x 24, 20 x 12, 10 x 6 and 5 x 3 cells: windows of 3 are padded and shifted."""
    for found, wanted in zip(answers, Reference(state, TINY)(pixels), strict=True):
        assert found.shape == wanted.shape
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_mapping_would_show(state, pixels, answers, name):
    wrong = Reference(state, TINY, replace(Facts(), **WRONG[name]))(pixels)
    assert (answers[0].double() - wrong[0]).abs().max() > 1e-2


def test_every_tensor_counts(state, pixels):
    """Answers depend on each: none lies where nobody reads it, but for a norm that nobody needs."""
    network = built(state).requires_grad_(True)
    out = network(pixel_values=pixels[None])
    (out.class_queries_logits.square().sum() + out.masks_queries_logits.square().sum()).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == [f"{UNUSED[1]}{part}" for part in ("weight", "bias")]


def test_the_layout_of_genevals_detector():
    """All its tensors by name and shape, each filled with its own number, arrive in place."""
    sizes = Sizes()
    numbers = {name: number for number, (name, _) in enumerate(layout(sizes), start=1)}
    state = {name: torch.tensor(float(numbers[name])).expand(shape)
             for name, shape in layout(sizes) if not name.endswith("index")}  # fmt: skip
    network = load_network(
        "full", None, config=mmdet.architecture(), state_dict=mmdet.hub_layout(state)
    )
    assert sum(p.numel() for n, p in network.named_parameters() if "layernorm" not in n) > 60e6
    for name, place in {
        "backbone.stages.2.blocks.17.ffn.layers.0.0.weight":
            network.model.pixel_level_module.encoder.get_submodule("swin.encoder.layers.2.blocks.17"
                                                                   ".mlp.fc1").weight,
        "panoptic_head.transformer_decoder.layers.8.norms.0.bias":
            network.model.transformer_module.decoder.layers[8].cross_attn_layer_norm.bias,
        "panoptic_head.mask_embed.2.weight":
            network.model.transformer_module.decoder.mask_predictor.mask_embedder.layers[1]
            .layers[0].weight,
        "panoptic_head.cls_embed.weight": network.class_predictor.weight,
    }.items():  # fmt: skip
        assert (place == numbers[name]).all(), name


@pytest.mark.parametrize("key", ["backbone.norm3.weight", "panoptic_head.level_embed.weight",
                                 "panoptic_head.cls_embed.bias",
                                 "backbone.stages.1.blocks.0.attn.w_msa.qkv.bias"])  # fmt: skip
def test_a_missing_tensor_is_refused(state, key):
    with pytest.raises(UsageError, match="missing"):
        built({name: value for name, value in state.items() if name != key})


def test_a_tensor_too_many_is_refused(state):
    with pytest.raises(UsageError, match=r"backbone\.norm4\.weight belongs to no"):
        built({**state, "backbone.norm4.weight": torch.zeros(3)})
    with pytest.raises(UsageError, match="left over"):
        built({**state, "backbone.stages.0.blocks.9.norm1.weight": torch.zeros(8)})


def test_another_shape_is_refused(state):
    with pytest.raises(UsageError, match=r"shape|size"):
        built({**state, "panoptic_head.query_feat.weight": torch.zeros(5, 32)})


def test_another_table_of_positions_is_refused(state):
    key = "backbone.stages.0.blocks.1.attn.w_msa.relative_position_index"
    with pytest.raises(UsageError, match="relative positions"):
        built({**state, key: state[key].T.contiguous()})


def test_a_reordered_patch_by_hand():
    """Two channels: (channel, row, column) 0..7 → (column, row, channel)."""
    assert mmdet.from_unfold(torch.arange(8)).tolist() == [0, 4, 2, 6, 1, 5, 3, 7]


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(mmdet, "architecture", lambda: description(TINY))


def written(path, state, **meta):
    torch.save({"meta": meta, "state_dict": state}, path)
    return str(path)


def test_a_file_of_mmdet_and_of_the_hub_are_one_detector(tmp_path, state, tiny):
    """The layout of the hub is what transformers reads from a folder."""
    from safetensors.torch import save_file

    weights = written(tmp_path / "tiny.pth", state, CLASSES=COCO, epoch=50)
    official = mmdet.mmdet(weights, floor=0.0)
    hub = mmdet.hub_layout(state)
    hub |= {
        mmdet.hub_name(key): value for key, value in state.items() if key.endswith("position_index")
    }  # as versions before 5 of transformers wrote it
    save_file(hub, tmp_path / "model.safetensors")
    description(TINY).save_pretrained(tmp_path)
    same = from_hub(str(tmp_path), floor=0.0)
    for (name, one), other in zip(
        official._network.state_dict().items(), same._network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    assert "not GenEval's file" in official.label
    assert official.digest != same.digest
    assert official.classes == CLASSES
    picture = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    assert official.detect(picture).keys() <= set(CLASSES)


def test_one_word_changes_the_detector():
    """conf/metric/geneval.yaml: only _target_ is another."""
    assert signature(mmdet.mmdet) == signature(from_hub)


def test_threads_get_the_same_answers(state, monkeypatch):
    monkeypatch.setattr(mask2former, "LONG", 160)
    monkeypatch.setattr(mask2former, "SHORT", 96)
    detector = Mask2Former(built(state), Preparation("opencv", mmdet.GREY), label="tiny",
                           licence="none", files={}, floor=0.0)  # fmt: skip
    generator = torch.Generator().manual_seed(4)
    pictures = [torch.randint(0, 256, (3, 40, size), dtype=torch.uint8, generator=generator)
                for size in (40, 50, 60, 70) * 2]  # fmt: skip
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.detect, pictures))
    for picture, found in zip(pictures, together, strict=True):
        alone = detector.detect(picture)
        assert alone.keys() == found.keys() != set()
        for cls, detections in alone.items():
            assert (detections.boxes == found[cls].boxes).all()
            assert (detections.masks == found[cls].masks).all()


def test_files_that_are_something_else(tmp_path, state, tiny):
    torch.save(state, tmp_path / "bare.pth")
    (tmp_path / "text.pth").write_text("no pickle")
    torch.save({"state_dict": state, "code": Sizes()}, tmp_path / "code.pth")
    for name in ("bare.pth", "text.pth", "code.pth"):
        with pytest.raises(UsageError, match="no checkpoint of mmdet"):
            mmdet.mmdet(str(tmp_path / name))
    with pytest.raises(UsageError, match="other classes"):
        mmdet.mmdet(written(tmp_path / "voc.pth", state, CLASSES=COCO[::-1]))
    with pytest.raises(UsageError, match="no file"):
        mmdet.mmdet(str(tmp_path / "absent.pth"))


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e39])
def test_weights_that_are_not_finite_are_refused(tmp_path, state, tiny, value):
    """1e39 is a number where it comes from, and none in float32."""
    key = "panoptic_head.cls_embed.bias"
    broken = {**state, key: torch.full(state[key].shape, value, dtype=torch.float64)}
    with pytest.raises(UsageError, match=r"1 tensors hold NaN or infinity, as class_predictor"):
        mmdet.mmdet(written(tmp_path / "a.pth", broken))
    broken[key].fill_(1.0)
    mmdet.mmdet(written(tmp_path / "b.pth", broken))  # negative control


BLOCK = "backbone.stages.0.blocks.1.attn.w_msa."


@pytest.mark.parametrize(
    ("key", "shape", "why"),
    [
        (f"{BLOCK}relative_position_index", (10_000, 0), "no table of relative positions"),
        (f"{BLOCK}relative_position_index", (), "no table of relative positions"),
        (f"{BLOCK}qkv.bias", (2,), "A tensor has another shape"),
        (f"{BLOCK}qkv.bias", (), "A tensor has another shape"),
        ("backbone.stages.0.downsample.norm.weight", (3,), "A tensor has another shape"),
    ],
)
def test_tensors_that_cannot_be_cut_are_refused(tmp_path, state, tiny, key, shape, why):
    """The first has no values, and would be compared with 800 MB of them."""
    assert key in state
    weights = written(tmp_path / "a.pth", {**state, key: torch.zeros(shape)})
    with pytest.raises(UsageError, match=why):
        mmdet.mmdet(weights)


@pytest.mark.parametrize(
    ("content", "why"),
    [([], "TypeError"), (None, "TypeError"), ({"state_dict": []}, "named tensors"),
     ({"state_dict": {1: torch.ones(1)}}, "named tensors"), ({"state": {}}, "KeyError"),
     ({"state_dict": {"a": torch.ones(1).to_sparse()}}, "a is sparse_coo")],
    ids=["list", "none", "no dict", "numbers", "no state", "sparse"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Validating sparse tensor:UserWarning")
def test_contents_that_are_something_else(tmp_path, content, why):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UsageError, match=f"no checkpoint of mmdet: .*{why}"):
        mmdet.read(tmp_path / "a.pth", "a.pth")


@pytest.mark.parametrize(
    "meta", [[], 3, {"CLASSES": 3}, {"CLASSES": COCO}, {"CLASSES": list(COCO)}]
)
def test_facts_beside_the_weights_are_read_only_as_a_list(tmp_path, meta):
    torch.save({"state_dict": {}, "meta": meta}, tmp_path / "a.pth")
    assert mmdet.read(tmp_path / "a.pth", "a.pth") == {}
