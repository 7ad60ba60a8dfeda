"""Tiny autoencoders of diffusers, and a count of the bytes that live tensors take."""

from __future__ import annotations

import weakref
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def kl(channels=(8, 16, 16, 16), family="AutoencoderKL", **more):
    """A random network of an AutoencoderKL's shape, the same at every call; affine norms too."""
    import diffusers

    torch.manual_seed(1)
    options = {
        "down_block_types": ("DownEncoderBlock2D",) * len(channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(channels),
        "block_out_channels": channels,
        "layers_per_block": 2,
        "norm_num_groups": 4,
        "latent_channels": 4,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
    }
    model = getattr(diffusers, family)(**options | more).eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, torch.nn.GroupNorm):
            torch.nn.init.normal_(module.weight, 1, 0.2)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    return model


class Live(TorchDispatchMode):
    """Counts bytes of tensors that operations made and that are still alive, and their peak."""

    def __init__(self, *known: Tensor):
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.users, self.seen = {}, {}
        self.bytes = self.peak = self.largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._see(leaf)
        return result

    def _see(self, tensor):
        storage = tensor.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        if id(tensor) in self.seen or key in self.known or not size:
            return
        if key not in self.users:
            self.users[key] = 0
            self.bytes += size
            self.peak, self.largest = max(self.peak, self.bytes), max(self.largest, size)
        self.users[key] += 1
        gone = partial(self._gone, id(tensor), key, size)
        self.seen[id(tensor)] = weakref.ref(tensor, gone)

    def _gone(self, tensor, key, size, _):
        del self.seen[tensor]
        self.users[key] -= 1
        if not self.users[key]:
            del self.users[key]
            self.bytes -= size


@pytest.fixture(scope="session")
def build():
    return kl


@pytest.fixture(scope="session")
def live():
    return Live
