"""The whole network: noisy picture, noise level, text → velocity.

The head's output F has the sign of x0 − ε; the velocity is v = dx/dσ = ε − x0 = −F. The picture
that the trunk cuts into patches is also the one that the head draws on, in the same precision.

A batch is a loop: each sample is computed alone. Texts differ in length, and padding them to one
length would either change the result or need a mask; attention over thousands of patches fills a
device with one sample anyway. So a sample's result is equal, bit for bit, whatever its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from decoders.l2p.config import L2PConfig
from decoders.l2p.head import LocalDecoder
from decoders.l2p.sizes import check_size
from decoders.l2p.trunk import Condition, Trunk
from qa.errors import QaError


class L2PNetwork(Trunk):
    """Trunk and head, with the state dict of a released checkpoint."""

    def __init__(self, config: L2PConfig) -> None:
        super().__init__(config)
        self.local_decoder = LocalDecoder(config)

    def velocity(self, image: Tensor, sigma: float | Tensor, text: Tensor) -> Tensor:
        """One sample, v in the network's precision [3,H,W], on the network's device.

        image [3,H,W] is the picture at noise level sigma, nominal [-1,1] at sigma 0; text
        [T,cap_feat_dim], T >= 1. Raises UsageError for an impossible size, QaError for an
        impossible text.
        """
        condition = self.condition(text, *image.shape[1:])
        return self.step(image, self.waves(sigma), condition)

    def condition(self, text: Tensor, height: int, width: int) -> Condition:
        """What the steps of a picture share; text and errors as for `velocity`."""
        check_size(self.config, height, width)
        if text.ndim != 2 or text.shape[1] != self.config.cap_feat_dim or len(text) == 0:
            raise QaError(
                f"The text features have shape {list(text.shape)}.",
                f"The network takes [T,{self.config.cap_feat_dim}] with T of 1 or more.",
                "use the text encoder that the checkpoint was trained with",
            )
        like = self.x_pad_token
        return self.shared(text.to(like.device, like.dtype), height, width)

    def step(self, image: Tensor, waves: Tensor, condition: Condition) -> Tensor:
        """`velocity` at the time of `waves`, nothing of which is computed or read on the CPU."""
        image = image.to(self.x_pad_token.device, self.x_pad_token.dtype)
        features = self.features(image, waves, condition)
        return -self.local_decoder(image[None], features[None])[0]

    def forward(self, images: Tensor, sigmas: Tensor, texts: Sequence[Tensor]) -> Tensor:
        """images [B,3,H,W], sigmas [B], B texts [T,cap_feat_dim] → v float32 [B,3,H,W]."""
        samples = zip(images, sigmas, texts, strict=True)
        return torch.stack([self.velocity(*sample).to(torch.float32) for sample in samples])
