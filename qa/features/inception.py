"""The FID Inception: the network of 5 December 2015, ported from TensorFlow.

    [N,3,299,299] in about [-1,1] ──► [N,2048], means over the last 8x8 positions ("pool3")

torchvision's Inception v3 differs in the class count (1008 here) and in one branch of some blocks:

    Mixed_5b..5d, 6b..6e, 7b   averages over 3x3 do not count the zeros beyond the border
    Mixed_7c                   takes the maximum over 3x3 where the paper takes the average

The differences are TensorFlow's and an accident of 2015; every published FID contains them.
Weights: `pt_inception-2015-12-05-6726825d.pth`, or drawn (`random_state`).
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import inception

from qa.features.weights import State, fill

WIDTH = 2048
CLASSES = 1008


def build(state: State, name: str) -> nn.Module:
    """The network on the CPU, filled from a whole state dict, returning features [N,2048].

    Touches no random numbers: it is built without values. Raises UsageError, calling the weights by
    `name`, unless the tensors are those of this network, one to one.
    """
    network = blank()
    fill(network, state, name)
    network.fc = nn.Identity()  # what is left in front of it are the features
    return network


def blank() -> nn.Module:
    """The whole network, classifier included, on the meta device."""
    with torch.device("meta"):
        blocks = [
            inception.BasicConv2d, _A, inception.InceptionB, _C, inception.InceptionD, _E,
            inception.InceptionAux,
        ]  # fmt: skip
        network: nn.Module = inception.Inception3(
            CLASSES, aux_logits=False, inception_blocks=blocks, init_weights=False
        )
        network.Mixed_7c = _LastE(2048)
    return network


def random_state(seed: int) -> State:
    """Drawn weights with the released file's names and shapes, from NumPy's PCG64 and `seed`.

    Variances 2 / fan-in (He et al., ICCV 2015) keep activations at one scale from block to block;
    normalisation does nothing. PyTorch's global generator is not touched.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    state: State = {}
    for key, value in blank().state_dict().items():
        shape = tuple(value.shape)
        if key.endswith("num_batches_tracked"):
            continue
        if len(shape) > 1:
            drawn = generator.standard_normal(shape, dtype=np.float32)
            state[key] = torch.from_numpy(drawn * np.float32(math.sqrt(2 / math.prod(shape[1:]))))
        else:
            one = key.endswith(("bn.weight", "running_var"))
            state[key] = torch.ones(shape) if one else torch.zeros(shape)
    return state


def state_sha256(state: State) -> str:
    """SHA-256 (hex) over names and values, in order of names."""
    total = hashlib.sha256()
    for key in sorted(state):
        total.update(key.encode())
        total.update(state[key].contiguous().numpy().tobytes())
    return total.hexdigest()


def _chain(block: nn.Module, x: Tensor, *layers: str) -> Tensor:
    for layer in layers:
        x = block.get_submodule(layer)(x)
    return x


def _mean3(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _max3(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 3, stride=1, padding=1)


# torchvision has no types, so its classes are Any to mypy.
class _A(inception.InceptionA):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [
            self.branch1x1(x),
            _chain(self, x, "branch5x5_1", "branch5x5_2"),
            _chain(self, x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
            self.branch_pool(_mean3(x)),
        ]


class _C(inception.InceptionC):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [
            self.branch1x1(x),
            _chain(self, x, *(f"branch7x7_{layer}" for layer in (1, 2, 3))),
            _chain(self, x, *(f"branch7x7dbl_{layer}" for layer in (1, 2, 3, 4, 5))),
            self.branch_pool(_mean3(x)),
        ]


class _E(inception.InceptionE):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        short = self.branch3x3_1(x)
        long = _chain(self, x, "branch3x3dbl_1", "branch3x3dbl_2")
        return [
            self.branch1x1(x),
            self.branch3x3_2a(short),
            self.branch3x3_2b(short),
            self.branch3x3dbl_3a(long),
            self.branch3x3dbl_3b(long),
            self.branch_pool(self._pooled(x)),
        ]

    def _pooled(self, x: Tensor) -> Tensor:
        return _mean3(x)


class _LastE(_E):
    def _pooled(self, x: Tensor) -> Tensor:
        return _max3(x)
