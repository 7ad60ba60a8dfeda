"""Networks that the passes know are read, and all others are refused by name."""

from __future__ import annotations

import pytest
import tiny_vaes as tiny
import torch
from torch import nn

from decoders import exact
from decoders.exact.structure import check, read
from decoders.mini.vae import MiniVAE
from qa.errors import UsageError


def test_the_chain_of_a_decoder_and_an_encoder(build):
    model = build((8, 16, 16), layers_per_block=1)
    block, middle = ["resnet"], ["resnet", "attention", "resnet"]
    down = [*block, "down", *block, "down", *block]
    up = [*block * 2, "up", *block * 2, "up", *block * 2]
    assert [kind for kind, _ in read(model.decoder).steps] == middle + up
    assert [kind for kind, _ in read(model.encoder).steps] == down + middle
    assert read(model.decoder).first is model.decoder.conv_in
    assert read(model.encoder).last is model.encoder.conv_out


def test_without_attention(build):
    model = build((8,), mid_block_add_attention=False, layers_per_block=1)
    assert [kind for kind, _ in read(model.decoder).steps] == ["resnet"] * 4


class Adapted(nn.Conv2d):
    """As a LoRA adapter wraps a convolution."""


def change(name, value):
    """A fault: an attribute somewhere in the decoder that is not what it was."""

    def apply(decoder):
        *path, last = name.split(".")
        module = decoder.get_submodule(".".join(path))
        assert hasattr(module, last)
        setattr(module, last, value)

    return apply


RESNET, UP = "up_blocks.0.resnets.1", "up_blocks.0.upsamplers.0"
FAULTS = [
    ("conv_act", nn.ReLU(), "ReLU.*SiLU"),
    (f"{RESNET}.nonlinearity", nn.GELU(), "GELU.*SiLU"),
    (f"{RESNET}.output_scale_factor", 2.0, "scale factor"),
    (f"{RESNET}.norm2", nn.Identity(), "Identity.*GroupNorm"),
    (f"{RESNET}.norm1", nn.GroupNorm(4, 16, affine=False), "without weights"),
    (f"{RESNET}.conv1", Adapted(16, 16, 3, padding=1), "Adapted.*Conv2d"),
    (f"{RESNET}.conv1.padding_mode", "circular", "convolution"),
    (f"{RESNET}.conv2", nn.Conv2d(16, 16, 3, padding=2, dilation=2), "dilation"),
    (f"{RESNET}.conv2", nn.Conv2d(16, 16, 3, padding=1, groups=2), "groups"),
    (f"{RESNET}.conv2", nn.Conv2d(16, 16, 1), "convolution"),
    (f"{RESNET}.time_emb_proj", nn.Linear(2, 2), "time_emb_proj"),
    (f"{RESNET}.upsample", nn.Identity(), "upsample"),
    (f"{UP}.norm", nn.Identity(), "upsampling"),
    (f"{UP}.interpolate", False, "upsampling"),
    (f"{UP}.conv", nn.ConvTranspose2d(16, 16, 4), "ConvTranspose2d"),
    ("up_blocks.1", nn.Identity(), "Identity.*UpDecoderBlock2D"),
    ("mid_block", nn.Identity(), "Identity.*UNetMidBlock2D"),
    ("conv_norm_out", nn.Identity(), "Identity.*GroupNorm"),
]


@pytest.mark.parametrize(("name", "value", "message"), FAULTS)
def test_what_is_not_known_is_refused(name, value, message, build):
    decoder = build((8, 16)).decoder
    read(decoder)
    if name == "up_blocks.1":
        decoder.up_blocks[1] = value
    else:
        change(name, value)(decoder)
    with pytest.raises(UsageError, match=f"no exact low-memory form.*{message}"):
        read(decoder)


def test_dropout_counts_in_training_only(build):
    decoder = build((8,)).decoder
    decoder.up_blocks[0].resnets[0].dropout.p = 0.5
    read(decoder)
    with pytest.raises(UsageError, match="dropout"):
        read(decoder.train())


def test_downsampling_with_other_padding_is_refused(build):
    encoder = build((8, 16)).encoder
    encoder.down_blocks[0].downsamplers[0].padding = 1
    with pytest.raises(UsageError, match="downsampling"):
        read(encoder)


FAMILIES = [tiny.TINY, tiny.DCAE, tiny.QWEN, tiny.WAN]


@pytest.mark.parametrize("case", FAMILIES, ids=str)
def test_other_families_are_refused(case):
    model = tiny.build(case)
    with pytest.raises(UsageError, match=r"no exact low-memory form.*\.\w*Decoder"):
        exact.decode(model, torch.zeros(1, 4, 2, 2))
    with pytest.raises(UsageError, match=r"no exact low-memory form.*\.\w*Encoder"):
        exact.encode(model, torch.zeros(1, 3, 16, 16))


@pytest.mark.parametrize("case", [tiny.SD1, tiny.FLUX1, tiny.FLUX2], ids=str)
def test_families_built_as_an_autoencoder_kl_are_known(case):
    model = tiny.build(case)
    assert read(model.decoder).steps
    assert read(model.encoder).steps


def test_a_whole_autoencoder_is_checked_by_class_and_by_both_halves(build):
    model = build()
    check(model)
    with pytest.raises(UsageError, match="the class MiniVAE"):
        check(MiniVAE())
    model.encoder.conv_act = nn.GELU()
    with pytest.raises(UsageError, match="a GELU where a SiLU belongs"):
        check(model)
