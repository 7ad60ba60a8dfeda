"""The small PiD as a decoder: its sizes and its file.

Network, sampler and decoder are those of `decoders.pid`; only sizes differ. It turns latents of
`vae_mini` into pictures of twice the size, along each side, of what was encoded:

    picture 256x256 ── reduced to 128x128 ── vae_mini ──► latent 16x16x16 ──► picture 256x256
                                                          one cell = one patch of 16x16 pixels

It was trained without text: its one text token is always zero. The file is safetensors in float16
with the state dict of `PiDNetwork` and a header.
"""

from __future__ import annotations

from pathlib import Path

from decoders.pid.decoder import PiD
from decoders.pid.network import PiDNetwork
from decoders.pid.registry import Checkpoint
from decoders.spaces import space
from decoders.text import NoText
from decoders.weights import to_bytes
from qa.files import write_bytes

WEIGHTS = Path(__file__).with_name("pid_mini.safetensors")
FORMAT = "mini-pid/1"
SCALE = 2
CHECKPOINT = Checkpoint(
    "pid_mini",
    experiment="decoders.mini.train_pid",
    type="mini",
    backbones=("vae_mini",),
    generation="v1.5",
    scale=SCALE,
    rope=128,
    sampler="student",
    trained=(128, 512),
    space=space("mini"),
    sizes={
        "hidden": 256,
        "heads": 4,
        "depth": 1,
        "pixel_hidden": 8,
        "pixel_depth": 1,
        "pixel_width": 128,
        "pixel_heads": 4,
        "text_width": 32,
        "text_length": 1,
    },
    adapter={"width": 128},
    licence="Apache-2.0",
)


class Wordless(NoText):
    """Zeros, which is what this network was trained with."""

    label = "none (trained without text)"

    def __init__(self) -> None:
        super().__init__(CHECKPOINT.config().text_width, tokens=1)


class PiDMini(PiD):
    """The Decoder PiD with the packaged network.

    path             another file of the same form; None: the packaged one
    dtype            float32, or bfloat16 autocast
    untrained_sizes  sizes outside the trained range too; the report says so
    """

    def __init__(
        self,
        path: str | None = None,
        dtype: str = "float32",
        untrained_sizes: bool = False,
        device: str = "auto",
    ) -> None:
        super().__init__(
            CHECKPOINT,
            Wordless(),
            path=str(WEIGHTS if path is None else path),
            dtype=dtype,
            untrained_sizes=untrained_sizes,
            device=device,
        )


def to_file(path: Path, network: PiDNetwork, **facts: str) -> None:
    """Write a network as float16 safetensors; `facts` go into the header."""
    tensors = {k: v.detach().cpu().half().contiguous() for k, v in network.state_dict().items()}
    write_bytes(path, to_bytes(tensors, {"format": FORMAT, **facts}))
