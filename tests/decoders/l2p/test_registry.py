"""Layouts by fingerprint, and what the loader accepts and refuses."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from l2p_reference import shapes_of, tiny, weights_of
from safetensors.torch import save_file

from decoders.l2p.config import VARIANTS
from decoders.l2p.registry import checkpoints, find, load, split_qkv
from decoders.l2p.trunk import Trunk
from decoders.weights import on_meta
from qa import assets
from qa.errors import QaError, UsageError

RELEASED = {
    "l2p_1k": ("577b2d3e0acea1fb784ca600f966805e", 545, 6_166_464_515),
    "l2p_4k": ("69e8fd5b562ea858b9f864508c1263b3", 557, 6_210_711_491),
    "l2p_8k": ("df0e4e865d39501e2fe96c7ea8aa40f6", 563, 6_352_274_407),
    "l2p_10k": ("e6094ba663b7c10011eb47db072ead0b", 557, 6_453_001_959),
}
"""Fingerprint, tensors and parameters; by the fingerprint the official loader knows a file."""
ZIMAGE = replace(VARIANTS["1k"], patch=2, in_channels=16)
FINAL_LAYER = {
    "all_final_layer.2-1.linear.weight": [64, 3840],
    "all_final_layer.2-1.linear.bias": [64],
    "all_final_layer.2-1.adaLN_modulation.1.weight": [3840, 256],
    "all_final_layer.2-1.adaLN_modulation.1.bias": [3840],
}
"""What Z-Image has in place of L2P's head."""


def fingerprint(shapes):
    """MD5 over names and shapes: `name:d0_d1_…` and `name` of every tensor, sorted, with commas."""
    lines = [f"{name}:{'_'.join(map(str, shape))}" for name, shape in shapes.items()]
    return hashlib.md5(",".join(sorted([*lines, *shapes])).encode()).hexdigest()


def zimage_shapes():
    trunk = on_meta(lambda: Trunk(ZIMAGE)).state_dict()
    return {key: list(value.shape) for key, value in trunk.items()} | FINAL_LAYER


def count(shapes):
    return sum(torch.Size(shape).numel() for shape in shapes.values())


def small(variant="1k"):
    """The released checkpoint with a tiny network."""
    return replace(find(f"l2p_{variant}"), config=tiny(variant))


def read(file, variant="1k", dtype=torch.float32):
    return load(file, small(variant), "cpu", dtype)


def stored(tmp_path, weights):
    file = tmp_path / "weights.safetensors"
    save_file({key: value.contiguous() for key, value in weights.items()}, file)
    return file


@pytest.mark.parametrize("name", list(RELEASED))
def test_the_layout_is_the_released_one(name):
    shapes = shapes_of(find(name).config)
    assert (fingerprint(shapes), len(shapes), count(shapes)) == RELEASED[name]


def test_the_trunk_is_that_of_zimage():
    shapes = zimage_shapes()
    assert fingerprint(shapes) == "fc3a8a1247fe185ce116ccbe0e426c28"
    assert (len(shapes), count(shapes)) == (521, 6_154_908_736)


def test_what_is_published_about_the_head():
    sizes = {"1k": (28, 10_085_123), "4k": (40, 10_095_299), "8k": (46, 10_100_455),
             "10k": (40, 4_659_687)}  # fmt: skip
    for variant, config in VARIANTS.items():
        head = {k: v for k, v in shapes_of(config).items() if k.startswith("local_decoder.")}
        assert (len(head), count(head)) == sizes[variant]


def test_a_fingerprint_by_hand_and_its_sensitivity():
    shapes = {"b.c": [4], "a": (2, 3)}
    assert fingerprint(shapes) == hashlib.md5(b"a,a:2_3,b.c,b.c:4").hexdigest()
    assert fingerprint({"a": [2, 3], "b.c": [4]}) == fingerprint(shapes)
    assert fingerprint({"a": [3, 2], "b.c": [4]}) != fingerprint(shapes)
    assert fingerprint({"a": [2, 3], "b.d": [4]}) != fingerprint(shapes)


def test_the_fingerprint_notices_one_width():
    released = find("l2p_1k").config
    first = replace(released.levels[0], dec=63)
    changed = replace(released, levels=(first, *released.levels[1:]))
    assert fingerprint(shapes_of(changed)) != RELEASED["l2p_1k"][0]


def test_defaults_and_terms_are_those_of_the_release():
    dial = {name: (row.steps, row.cfg, row.shift, row.size) for name, row in checkpoints().items()}
    assert dial == {
        "l2p_1k": (30, 2.0, 3.0, (1024, 1024)),
        "l2p_4k": (50, 4.0, 3.0, (4096, 4096)),
        "l2p_8k": (50, 4.0, 3.0, (8192, 8192)),
        "l2p_10k": (50, 4.0, 3.0, (10240, 10240)),
    }
    assert "no licence file" in find("l2p_1k").licence
    assert all("CC BY-NC-SA" in row.licence for row in checkpoints().values())
    assert all("CC BY-NC 4.0" in find(f"l2p_{k}k").licence for k in (4, 8, 10))


def test_only_8k_was_trained_at_smaller_sizes():
    assert find("l2p_8k").trained(4096, 8192)
    assert not find("l2p_8k").trained(8192, 8320)
    assert not find("l2p_1k").trained(896, 1152)
    assert find("l2p_1k").trained(1024, 1024)


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match=r"l2p_2k.*l2p_1k, l2p_4k"):
        find("l2p_2k")


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_the_released_and_the_prefixed_layout_load(tmp_path, variant, prefix):
    weights = weights_of(tiny(variant))
    file = stored(tmp_path, {prefix + key: value for key, value in weights.items()})
    network = read(file, variant)
    assert not network.training
    assert {key: value.dtype for key, value in network.state_dict().items()} == dict.fromkeys(
        weights, torch.float32
    )
    assert all(torch.equal(network.state_dict()[key], weights[key]) for key in weights)


def fuse(weights):
    """q, k and v of each attention in one tensor."""
    fused = {key: value for key, value in weights.items() if ".attention.to_" not in key}
    fused |= {key: value for key, value in weights.items() if ".to_out." in key}
    for key in weights:
        if key.endswith(".to_q.weight"):
            stem = key.removesuffix("to_q.weight")
            fused[f"{stem}qkv.weight"] = torch.cat(
                [weights[f"{stem}to_{letter}.weight"] for letter in "qkv"]
            )
    return fused


def test_the_order_inside_a_fused_tensor_is_q_k_v():
    parts = split_qkv({"layers.0.attention.qkv.weight": torch.arange(6.0)[:, None]})
    values = {key.split(".")[-2]: value.flatten().tolist() for key, value in parts.items()}
    assert values == {"to_q": [0, 1], "to_k": [2, 3], "to_v": [4, 5]}


def test_a_fused_tensor_of_another_size_is_refused(tmp_path):
    fused = fuse(weights_of(tiny("1k")))
    fused["layers.0.attention.qkv.weight"] = fused["layers.0.attention.qkv.weight"][:-1]
    with pytest.raises(UsageError, match=r"Not expected: layers\.0\.attention\.qkv\.weight"):
        read(stored(tmp_path, fused))


def test_zimage_is_named(tmp_path):
    config = replace(tiny("1k"), patch=2, in_channels=16)
    weights = {key: torch.zeros(1) for key in Trunk(config).state_dict()} | {
        key: torch.zeros(1) for key in FINAL_LAYER
    }
    with pytest.raises(
        UsageError,
        match=r"no L2P 1k network: it looks like a Z-Image network of patch 2 without L2P's head"
        r".*Missing: all_x_embedder\.16-1\.weight",
    ):
        read(stored(tmp_path, weights))


@pytest.mark.parametrize("variant", ["4k", "8k", "10k"])
def test_another_variant_is_named(tmp_path, variant):
    file = stored(tmp_path, weights_of(tiny(variant)))
    with pytest.raises(UsageError, match=rf"it looks like an L2P {variant} network"):
        read(file)


def test_a_foreign_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="it looks like no Z-Image network"):
        read(stored(tmp_path, {"a": torch.zeros(1)}))


@pytest.mark.parametrize("change", ["missing", "left over", "shape"])
def test_one_wrong_tensor_is_refused(tmp_path, change):
    weights, key = weights_of(tiny("1k")), "local_decoder.dec2.0.bias"
    if change == "missing":
        del weights[key]
    elif change == "left over":
        weights[key := "local_decoder.dec2.0.scale"] = torch.zeros(1)
    else:
        weights[key] = torch.zeros(2)
    with pytest.raises(UsageError, match=key.replace(".", r"\.")):
        read(stored(tmp_path, weights))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_quantised_weights_are_refused(tmp_path, dtype):
    weights = weights_of(tiny("1k"))
    key = "layers.0.feed_forward.w1.weight"
    weights[key] = weights[key].to(dtype)
    with pytest.raises(UsageError, match=r"quantised.*layers\.0\.feed_forward\.w1\.weight is "):
        read(stored(tmp_path, weights))


def test_a_broken_file_is_refused(tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"broken")
    with pytest.raises(QaError, match="cannot be read"):
        read(broken)


def test_table_variants_and_assets_name_each_other():
    assert {row.config.variant for row in checkpoints().values()} == set(VARIANTS)
    assert list(checkpoints()) == list(RELEASED)
    for name, row in checkpoints().items():
        asset = assets.table()[row.asset]
        assert row.licence == asset.licence
        assert [file.path for file in asset.files] == [row.file]
        assert f"decoder={name}" in asset.needed_by


def test_nothing_is_read_before_it_is_asked_for():
    code = (
        "from importlib import resources\n"
        "def refuse(*a): raise AssertionError('read at import')\n"
        "resources.files = refuse\n"
        "from decoders.l2p import registry\n"
        "try: registry.checkpoints()\n"
        "except AssertionError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "read at import\n", done.stderr


def whole(variant):
    """Every key of a release, with narrow tensors."""
    return replace(
        tiny(variant), layers=30, refiner_layers=2, dim=12, axes_dims=(2, 2, 2)
    )  # fmt: skip


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_key_of_a_release_arrives_where_it_belongs(tmp_path, variant, prefix, fused, dtype):
    """Layers 5 to 24 in float32 and the rest in bfloat16, as the 1k file is."""
    row = replace(find(f"l2p_{variant}"), config=whole(variant))
    mixed = {
        key: value if 5 <= layer(key) <= 24 else value.bfloat16()
        for key, value in weights_of(row.config).items()
    }
    assert set(mixed) == set(shapes_of(VARIANTS[variant]))
    assert len(mixed) == RELEASED[row.name][1]
    written = fuse(mixed) if fused else mixed
    assert len(written) == len(mixed) - fused * 2 * (30 + 2 + 2)
    file = stored(tmp_path, {prefix + key: value for key, value in written.items()})
    loaded = load(file, row, "cpu", dtype).state_dict()
    assert {value.dtype for value in loaded.values()} == {dtype}
    assert loaded.keys() == mixed.keys()
    assert all(torch.equal(loaded[key], mixed[key].to(dtype)) for key in mixed)


@pytest.mark.parametrize("fused", [False, True])
def test_a_tensor_lost_among_all_of_them_is_named(tmp_path, fused):
    row = replace(find("l2p_8k"), config=whole("8k"))
    weights = weights_of(row.config)
    written = fuse(weights) if fused else weights
    del written["layers.17.attention.norm_k.weight"]
    file = stored(tmp_path, {f"model.diffusion_model.{key}": v for key, v in written.items()})
    with pytest.raises(
        UsageError, match=r"L2P 8k network\. Missing: layers\.17\.attention\.norm_k"
    ):
        load(file, row, "cpu", torch.float32)


def layer(key):
    """The layer that a key belongs to, or -1."""
    parts = key.split(".")
    return int(parts[1]) if parts[0] == "layers" else -1
