"""TAESD in its released layout: structure from the text, numbers from the released files."""

import math
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from decoders import taesd
from decoders.taesd import TAESDDecoder, TAESDEncoder
from qa import images
from qa.errors import AssetMissing, QaError, UsageError
from qa.types import DecodeRequest, Sample


def write_halves(folder: Path, name: str, channels: int, pooled: bool, suffix: str = ".pth"):
    torch.manual_seed(1)
    for half in ("encoder", "decoder"):
        weights = getattr(taesd, half)(channels, pooled).state_dict()
        file = folder / f"{name}_{half}{suffix}"
        if suffix == ".pth":
            torch.save(weights, file)
        else:
            save_file(weights, file)
    return str(folder)


def request(latent, height: int, width: int) -> DecodeRequest:
    return DecodeRequest("a", 0, "", height, width, latent)


def picture(height: int, width: int):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


def test_positions_in_the_stack_are_the_released_ones():
    """From the description: which positions hold convolutions, blocks, pooling, biases."""
    keys = {
        half: set(getattr(taesd, half)(32, True).state_dict()) for half in ("encoder", "decoder")
    }
    pooled = {
        half: sorted({int(key.split(".")[0]) for key in names if ".pool." in key})
        for half, names in keys.items()
    }
    assert pooled == {"encoder": [11, 12, 13], "decoder": [3, 4, 5]}
    assert {"0.bias", "1.conv.0.weight", "1.conv.2.bias", "1.conv.4.weight", "14.bias"} <= keys[
        "encoder"
    ]
    assert not {"2.bias", "6.bias", "10.bias"} & keys["encoder"]
    assert {"1.bias", "18.conv.4.bias", "19.bias"} <= keys["decoder"]
    assert not {"7.bias", "12.bias", "17.bias", "11.pool.0.bias"} & (
        keys["decoder"] | keys["encoder"]
    )
    assert {"11.pool.0.weight", "11.pool.1.bias", "11.pool.3.weight"} <= keys["encoder"]


def test_a_block_without_weights_is_a_relu():
    block = taesd.Block(pooled=False)
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.randn(1, 64, 3, 3)
    assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("space", "channels", "pooled"),
    [("sd1", 4, False), ("sd3", 16, False), ("flux1", 16, False), ("flux2_raw", 32, True)],
)
def test_channels_and_pooling_are_read_off_the_weights(tmp_path, space, channels, pooled, suffix):
    folder = write_halves(tmp_path, "tiny", channels, pooled, suffix)
    encoder = TAESDEncoder("tiny", space, folder, device="cpu")
    decoder = TAESDDecoder("tiny", space, folder, device="cpu")
    before = picture(13, 22)
    latent = encoder.latent(Sample("a"), before).tensor
    assert list(latent.shape) == [channels, 2, 3]
    (pixels,) = decoder.decode([request(latent, 13, 22)])
    assert pixels.dtype == torch.float32
    assert list(pixels.shape) == [3, 13, 22]
    down, across = torch.arange(16).clamp(max=12), torch.arange(24).clamp(max=21)
    torch.manual_seed(1)
    network = taesd.encoder(channels, pooled)
    with torch.inference_mode():
        expected = network(images.to_unit(before[:, down][:, :, across])[None])[0]
    torch.testing.assert_close(latent, expected)


def test_the_wrong_space_is_refused(tmp_path):
    folder = write_halves(tmp_path, "tiny", 16, False)
    with pytest.raises(UsageError, match=r"16 channels at factor 8.*flux2_raw"):
        TAESDEncoder("tiny", "flux2_raw", folder, device="cpu")
    with pytest.raises(UsageError, match=r"16 channels at factor 8.*flux2"):
        TAESDDecoder("tiny", "flux2", folder, device="cpu")


@pytest.mark.parametrize("change", ["missing", "left over", "another half"])
def test_weights_that_do_not_fit_are_refused(tmp_path, change):
    folder = write_halves(tmp_path, "tiny", 4, False)
    file = tmp_path / "tiny_decoder.pth"
    weights = torch.load(file, weights_only=True)
    if change == "missing":
        del weights["19.bias"]
    elif change == "left over":
        weights["20.bias"] = torch.zeros(1)
    else:
        weights = taesd.encoder(4, False).state_dict()
    torch.save(weights, file)
    with pytest.raises(UsageError, match="is no TAESD decoder"):
        TAESDDecoder("tiny", "sd1", folder, device="cpu")


class Evil:
    def __reduce__(self):
        return (exit, (3,))


@pytest.mark.parametrize("content", ["code", "list", "rubbish", "empty"])
def test_a_pickle_that_holds_more_than_tensors_is_never_run(tmp_path, content):
    folder = write_halves(tmp_path, "tiny", 4, False)
    file = tmp_path / "tiny_encoder.pth"
    if content == "code":
        torch.save({"0.weight": Evil()}, file)
    elif content == "list":
        torch.save([torch.zeros(1)], file)
    else:
        file.write_bytes(b"rubbish" if content == "rubbish" else b"")
    with pytest.raises(QaError):
        TAESDEncoder("tiny", "sd1", folder, device="cpu")


def test_a_folder_without_the_files_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"no taef2_encoder\.pth"):
        TAESDEncoder("taef2", "flux2_raw", str(tmp_path), device="cpu")


def test_without_a_path_the_asset_table_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("QA_ASSETS", str(tmp_path))
    monkeypatch.setenv("QA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QA_OFFLINE", "1")
    with pytest.raises(AssetMissing, match=r"qa assets fetch taef2_decoder\.pth"):
        TAESDDecoder("taef2", "flux2_raw", device="cpu")


def test_the_digest_stands_for_weights_half_and_precision(tmp_path):
    folder = write_halves(tmp_path, "tiny", 4, False)
    decoder = TAESDDecoder("tiny", "sd1", folder, device="cpu")
    again = TAESDDecoder("tiny", "sd1", folder, device="cpu")
    half = TAESDDecoder("tiny", "sd1", folder, "bfloat16", "cpu")
    encoder = TAESDEncoder("tiny", "sd1", folder, device="cpu")
    assert decoder.digest == again.digest
    assert len({decoder.digest, half.digest, encoder.digest}) == 3


def kodak(*names: str) -> list[Path]:
    """Those of the 24 Kodak photographs below QA_ASSETS, or a skip."""
    roots = [Path(root) for root in os.environ.get("QA_ASSETS", "").split(os.pathsep) if root]
    found = {file.stem: file for root in roots for file in root.rglob("kodim[0-9][0-9].png")}
    if not set(names) <= set(found):
        pytest.skip("QA_ASSETS names no folder with the Kodak photographs")
    return [found[name] for name in names]


def psnr(files: list[Path], cache: Path, monkeypatch) -> dict[str, float]:
    """dB over RGB of encode, decode, quantise with the released weights, by name."""
    monkeypatch.setenv("QA_OFFLINE", "1")
    monkeypatch.setenv("QA_CACHE", str(cache))
    try:
        encoder = TAESDEncoder("taef2", "flux2_raw", device="cpu")
        decoder = TAESDDecoder("taef2", "flux2_raw", device="cpu")
    except AssetMissing as missing:
        pytest.skip(str(missing))
    values = {}
    for file in files:
        before = images.read(file)
        latent = encoder.latent(Sample(file.stem), before).tensor
        (pixels,) = decoder.decode([request(latent, *before.shape[1:])])
        error = images.quantise(pixels).picture.double() - before.double()
        values[file.stem] = 10 * math.log10(255**2 / error.square().mean().item())
    return values


@pytest.mark.slow
def test_the_released_weights_at_their_best_and_worst(monkeypatch, tmp_path):
    values = psnr(kodak("kodim13", "kodim23"), tmp_path, monkeypatch)
    assert values["kodim13"] == pytest.approx(23.603, abs=1e-3)
    assert values["kodim23"] == pytest.approx(33.342, abs=1e-3)


@pytest.mark.grid
def test_the_released_weights_on_all_24_photographs(monkeypatch, tmp_path):
    names = [f"kodim{number:02d}" for number in range(1, 25)]
    values = psnr(kodak(*names), tmp_path, monkeypatch)
    assert sum(values.values()) / 24 == pytest.approx(30.185, abs=1e-3)
    assert min(values, key=values.get) == "kodim13"
    assert max(values, key=values.get) == "kodim23"
