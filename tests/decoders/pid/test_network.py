"""The network's sizes, its pieces by hand, and what must not change its answer."""

import math
import re
from collections import defaultdict
from dataclasses import replace

import pytest
import tiny_pid
import torch

from decoders.kernels.pixels import naive as pixels
from decoders.kernels.rotary.naive import rotate
from decoders.pid import layers, registry
from decoders.pid.adapter import Adapter, Gate
from decoders.pid.layers import image_angles, text_angles
from decoders.pid.network import PiDNetwork, _sinusoids
from decoders.weights import on_meta

COUNTS = {  # name: tensors, parameters, those of adapter and gates alone
    "pid_flux_2k": (456, 1_362_348_170, 59_877_383),
    "pid_sd3_2k": (456, 1_362_348_170, 59_877_383),
    "pid_flux2_2k": (456, 1_362_864_266, 60_393_479),
    "pid_sdxl_2kto4k": (456, 1_362_292_874, 59_822_087),
    "pid_dinov2_2k": (456, 1_365_813_386, 63_342_599),
    "pid_siglip_2k": (456, 1_367_582_858, 65_112_071),
    "pid_flux_v1pt5": (461, 1_400_199_315, 97_728_528),
    "pid_qwenimage_v1pt5": (461, 1_400_199_315, 97_728_528),
    "pid_flux2_v1pt5": (461, 1_400_346_771, 97_875_984),
}


@pytest.mark.parametrize("name", COUNTS)
def test_released_networks_have_the_published_tensors_and_parameters(name):
    model = on_meta(lambda: PiDNetwork(registry.find(name).config()))
    tensors, parameters, adapter = COUNTS[name]
    state = model.state_dict()
    assert len(state) == tensors
    assert sum(value.numel() for value in state.values()) == parameters
    inside = [v.numel() for k, v in state.items() if k.startswith(("lq_proj.", "pit_lq_gate."))]
    assert sum(inside) == adapter


def test_keys_and_shapes_are_those_of_the_released_files():
    text = tiny_pid.golden("..", "specs", "pid_keys.txt").read_text()
    tables = defaultdict(dict)
    for line in text.splitlines():
        if line.startswith("===="):
            title = line
        elif match := re.fullmatch(r"  (\S+)  \[(.*)\]", line):
            shape = [int(n) for n in match[2].split(",") if n.strip()]
            if not match[1].startswith(registry.AUXILIARY):
                tables[title][match[1]] = shape
    full = [table for title, table in tables.items() if "FULL" in title]
    names = ["pid_flux_2k", "pid_flux2_2k", "pid_sdxl_2kto4k", "pid_dinov2_2k", "pid_siglip_2k",
             "pid_flux_v1pt5", "pid_flux2_v1pt5"]  # fmt: skip
    assert len(full) == len(names)
    for name, table in zip(names, full, strict=True):
        model = on_meta(lambda name=name: PiDNetwork(registry.find(name).config()))
        assert {k: list(v.shape) for k, v in model.state_dict().items()} == table, name


def test_the_base_model_is_pid_without_its_adapter():
    base = on_meta(lambda: PiDNetwork(registry.find("pixeldit_2kto4k").config())).state_dict()
    pid = on_meta(lambda: PiDNetwork(registry.find("pid_flux_2k").config())).state_dict()
    assert set(pid) - set(base) == {key for key in pid if key.startswith("lq_proj.")}
    assert all(base[key].shape == pid[key].shape for key in base)


@pytest.mark.slow
def test_full_width_at_depth_one_runs():
    config = replace(registry.find("pid_flux_v1pt5").config(), depth=1, pixel_depth=1)
    model = PiDNetwork(config)
    tiny_pid.randomise(model)
    condition = model.condition(
        torch.randn(1, 300, 2304), 64, 96, torch.randn(1, 16, 2, 3), torch.tensor([0.2])
    )
    with torch.inference_mode():
        v = model(torch.randn(1, 3, 64, 96), torch.tensor([866.0]), condition)
    assert v.shape == (1, 3, 64, 96)
    assert torch.isfinite(v).all()
    assert v.std() > 0.01


@pytest.mark.parametrize("adapter", [tiny_pid.V1, tiny_pid.V15, None])
def test_a_batch_equals_its_pictures_one_at_a_time(adapter):
    # In float64: a matrix product of another shape may add in another order.
    model = tiny_pid.network(adapter).double()
    g = torch.Generator().manual_seed(1)
    x, text = (torch.randn(3, *shape, generator=g).double() for shape in ((3, 32, 64), (5, 12)))
    latent = None if adapter is None else torch.randn(3, 16, 1, 2, generator=g).double()
    t, sigma = torch.tensor([999.0, 634.0, 342.0]), torch.tensor([0.0, 0.3, 0.8])
    whole = model(x, t, model.condition(text, 32, 64, latent, sigma))
    for i in range(3):
        part = slice(i, i + 1)
        one = None if latent is None else latent[part]
        alone = model(x[part], t[part], model.condition(text[part], 32, 64, one, sigma[part]))
        torch.testing.assert_close(alone[0], whole[i], rtol=0, atol=1e-6)  # norms are float32
    assert (whole[0] - whole[1]).abs().max() > 0.1


def test_the_pixel_stage_may_take_its_patches_in_any_portions(monkeypatch):
    model = tiny_pid.network(tiny_pid.V15).double()
    condition = model.condition(
        torch.randn(2, 4, 12).double(), 48, 80, torch.randn(2, 16, 2, 3).double()
    )
    x, t = torch.randn(2, 3, 48, 80).double(), torch.tensor([500.0, 900.0])
    whole = model(x, t, condition)
    for patches in (1, 4, 15):
        monkeypatch.setattr(pixels, "CPU_PATCHES", patches)
        torch.testing.assert_close(model(x, t, condition), whole, rtol=0, atol=1e-6)


def test_sigma_reaches_the_gates_and_nothing_else():
    model = tiny_pid.network(tiny_pid.V15)
    for gate in [*model.lq_proj.gate_modules, model.pit_lq_gate]:
        gate.log_alpha.data.fill_(-math.inf)  # exp(log alpha) * sigma = 0
    x, text, latent = torch.randn(1, 3, 32, 32), torch.randn(1, 4, 12), torch.randn(1, 16, 1, 1)
    t = torch.tensor([500.0])
    low, high = (
        model(x, t, model.condition(text, 32, 32, latent, torch.tensor([sigma])))
        for sigma in (0.0, 0.9)
    )
    assert torch.equal(low, high)
    model.pit_lq_gate.log_alpha.data.fill_(1.0)
    other = model(x, t, model.condition(text, 32, 32, latent, torch.tensor([0.9])))
    assert not torch.equal(low, other)


def test_the_gate_is_the_published_one():
    """At initialisation (bias 2, alpha 5): 0.88, 0.5 and 0.05 at sigma 0, 0.4 and 1."""
    gate = Gate(4, "token")
    gate.content_proj.weight.data.zero_()
    gate.content_proj.bias.data.fill_(2.0)
    gate.log_alpha.data.fill_(math.log(5))
    s, latent = torch.zeros(3, 1, 4), torch.ones(3, 1, 4)
    opened = gate(s, latent, torch.tensor([0.0, 0.4, 1.0]))[:, 0, 0]
    expected = [1 / (1 + math.exp(-(2 - 5 * sigma))) for sigma in (0.0, 0.4, 1.0)]
    torch.testing.assert_close(opened, torch.tensor(expected))
    assert [round(g, 2) for g in opened.tolist()] == [0.88, 0.5, 0.05]


def test_condition_refuses_what_does_not_fit():
    model, base = tiny_pid.network(), tiny_pid.network(None)
    text = torch.randn(1, 3, 12)
    with pytest.raises(ValueError, match="multiples of 16"):
        model.condition(text, 40, 32, torch.randn(1, 16, 1, 1))
    with pytest.raises(ValueError, match="exactly where the network has an adapter"):
        model.condition(text, 32, 32)
    with pytest.raises(ValueError, match="exactly where the network has an adapter"):
        base.condition(text, 32, 32, torch.randn(1, 16, 1, 1))


def test_text_beyond_the_last_slot_is_dropped_and_within_counts():
    model = tiny_pid.network(None)
    text = torch.randn(1, 9, 12)
    a, b = model.condition(text, 32, 32), model.condition(text[:, :7], 32, 32)
    assert torch.equal(a.text, b.text)
    assert a.text.shape[1] == 7
    assert model.condition(text[:, :6], 32, 32).text.shape[1] == 6


def test_patches_and_pixels_are_laid_out_as_published():
    model = tiny_pid.network()
    x = torch.arange(2 * 3 * 32 * 48, dtype=torch.float32).reshape(2, 3, 32, 48)
    patches = model._patches(x)
    assert patches.shape == (2, 6, 768)
    # token 4 is row 1, column 1; entry ch*256 + py*16 + px
    assert patches[1, 4, 2 * 256 + 5 * 16 + 7] == x[1, 2, 16 + 5, 16 + 7]
    model.pixel_embedder.proj.weight.data.zero_()
    model.pixel_embedder.proj.bias.data.zero_()
    across, down = (_sinusoids(side, 2, x.device) for side in (48, 32))
    u = model._pixels(x, across, down)  # positions alone
    # patch 4, pixel (5, 7) stands at y = 21, x = 23 of the whole picture
    omega = torch.tensor([1.0])  # d/4 = 1 frequency
    for start, p in ((0, 23), (2, 21)):
        assert u[0, 4, 5 * 16 + 7, start].item() == pytest.approx(math.sin(p * omega), abs=1e-6)
        assert u[0, 4, 5 * 16 + 7, start + 1].item() == pytest.approx(math.cos(p * omega), abs=1e-6)
    values = torch.randn(2, 6, 256, 3)
    picture = model._picture(values, 2, 3)
    assert picture.shape == (2, 3, 32, 48)
    assert picture[1, 2, 16 + 5, 32 + 7] == values[1, 5, 5 * 16 + 7, 2]


def test_sinusoids_of_the_released_width():
    table = _sinusoids(2048, 8, torch.device("cpu"))  # d = 16: 4 frequencies
    for p in (0, 1, 2047):
        for k in range(4):
            angle = p * 10_000 ** (-k / 4)
            assert table[p, k].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[p, 4 + k].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_image_angles_by_hand():
    rows, columns, head = 3, 5, 8
    a = head / 2
    angles = image_angles(rows, columns, head, (4, 4), torch.device("cpu"))
    for y in range(rows):
        for x in range(columns):
            for i in range(head // 4):
                theta_x = 1e4 * (columns / 4) ** (a / (a - 2))
                theta_y = 1e4 * (rows / 4) ** (a / (a - 2))
                along_x = x * 16 / (columns - 1) * theta_x ** (-4 * i / head)
                along_y = y * 16 / (rows - 1) * theta_y ** (-4 * i / head)
                found = angles[y * columns + x, 2 * i : 2 * i + 2]
                torch.testing.assert_close(found, torch.tensor([along_x, along_y]))
    plain = image_angles(rows, columns, head, None, torch.device("cpu"))
    at_reference = image_angles(rows, columns, head, (rows, columns), torch.device("cpu"))
    torch.testing.assert_close(plain, at_reference)
    assert not torch.allclose(plain, angles)


def test_rotation_is_multiplication_of_complex_numbers():
    x, angles = torch.randn(1, 2, 4, 6), text_angles(4, 6, torch.device("cpu"))
    numbers = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    expected = torch.view_as_real(numbers * torch.polar(torch.ones(4, 3), angles)).flatten(-2)
    torch.testing.assert_close(rotate(x, angles), expected)
    assert angles[3, 2].item() == pytest.approx(3 * 10_000 ** (-4 / 6))


def test_rms_norm_rounds_before_the_weight():
    norm = layers.RMSNorm(3)
    norm.weight.data.copy_(torch.tensor([2.0, 1.0, -1.0]))
    x = torch.tensor([[3.0, 0.0, 4.0]])
    rms = math.sqrt(25 / 3 + 1e-6)
    torch.testing.assert_close(norm(x), torch.tensor([[6 / rms, 0.0, -4 / rms]]))
    assert norm(x.bfloat16()).dtype == torch.float32  # a float32 weight, as under autocast


@pytest.mark.parametrize(
    ("change", "grid"),
    [
        ({}, "nearest"),  # ratio 2
        ({"channels": 128, "factor": 16}, "nearest"),  # ratio 4
        ({"scale": 2}, "as it is"),
        ({"scale": 1}, "folded"),
        ({"channels": 128, "factor": 16, "unpatchify": 2}, "unpatchified"),
    ],
)
def test_a_latent_reaches_the_patch_grid(change, grid):
    config = replace(tiny_pid.V1, **change)
    adapter = Adapter(config, 32, 16, 3)
    rows, columns = 4, 8
    h, w = (round(n * 16 / (config.scale * config.factor)) for n in (rows, columns))
    latent = torch.randn(1, config.channels, h, w)
    found = adapter.to_grid(latent, rows, columns)
    if grid == "folded":
        # channel index c*4 + uy*2 + ux
        assert found.shape == (1, 64, rows, columns)
        assert torch.equal(found[0, 3 * 4 + 1 * 2 + 0], latent[0, 3, 1::2, 0::2])
    elif grid == "as it is":
        assert torch.equal(found, latent)
    elif grid == "unpatchified":
        # 128 channels /16 are 32 channels /8, then nearest by 2
        assert found.shape == (1, 32, rows, columns)
        assert found[0, 5, 2, 4] == latent[0, 5 * 4 + 1 * 2 + 0, 0, 1]
    else:
        times = rows // h
        blown = latent.repeat_interleave(times, -1).repeat_interleave(times, -2)
        assert torch.equal(found, blown)


def test_a_grid_that_does_not_match_is_interpolated_where_the_ratio_is_one_or_less():
    latent = torch.randn(1, 16, 3, 5)
    same = Adapter(replace(tiny_pid.V1, scale=2), 32, 16, 3).to_grid(latent, 4, 8)
    wanted = torch.nn.functional.interpolate(latent, (4, 8), mode="bilinear")
    assert torch.equal(same, wanted)
    folded = Adapter(replace(tiny_pid.V1, scale=1), 32, 16, 3).to_grid(latent, 2, 4)
    assert torch.equal(folded, torch.nn.functional.pixel_unshuffle(wanted, 2))
