"""The small L2P as a decoder: its sizes, the words it knows, and its file.

Network, sampler and decoder are those of `decoders.l2p`; only sizes differ. Text features are rows
of a learned table, one for each word of the prompt and then row 0 up to `TOKENS` rows:

    word k of the vocabulary -> table[k + 1]        no word -> table[0]

The empty prompt is row 0 alone; one prompt in ten was left out in training, so guidance moves away
from it. The file is safetensors in float16: the network's tensors under their own names, the table
as `text.words`, and a header with the format and the words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from decoders.frame import settings_digest
from decoders.l2p.config import L2PConfig, Level
from decoders.l2p.decoder import L2P
from decoders.l2p.registry import Checkpoint
from decoders.text.stored import no_prompt
from decoders.weights import to_bytes
from qa.errors import QaError, UsageError
from qa.files import sha256, write_bytes

WEIGHTS = Path(__file__).with_name("l2p_mini.safetensors")
FORMAT = "mini-l2p/1"
TABLE = "text.words"
TOKENS = 8
"""Text rows of every prompt; the longest of `qa.drawings.figures` has seven words."""
CONFIG = L2PConfig(
    "mini",
    patch=8,
    levels=(Level("1", 16, 16, 16), Level("2", 32, 32, 32), Level("3", 64, 64, 64)),
    bottleneck=128,
    dim=128,
    heads=4,
    layers=6,
    refiner_layers=1,
    cap_feat_dim=64,
    axes_dims=(8, 12, 12),
    axes_lens=(64, 8, 8),
    timestep="diffusers",
)
CHECKPOINT = Checkpoint(
    "l2p_mini",
    CONFIG,
    asset="",
    file=WEIGHTS.name,
    size=(64, 64),
    smaller=False,
    steps=20,
    cfg=3.0,
    shift=3.0,
    licence="Apache-2.0",
    notes=("a small network of this project over a closed language; its card is l2p_mini.md",),
    beside="text.",
)


class L2PMini(L2P):
    """The Decoder L2P with the packaged network and its own words.

    path      another file of the same form; None: the packaged one
    negative  what guidance moves away from: words that it knows, or nothing
    dtype     float32, bfloat16 or float16

    Raises UsageError for another kind of file.
    """

    def __init__(
        self,
        path: str | None = None,
        negative: str = "",
        dtype: str = "float32",
        device: str = "auto",
    ) -> None:
        file = WEIGHTS if path is None else Path(path)
        words = Words(file)
        if isinstance(negative, str):  # L2P says what else is wrong with it
            places(negative, words.known)
        super().__init__(
            CHECKPOINT,
            words,
            path=str(file),
            negative=negative,
            dtype=dtype,
            timestep=CONFIG.timestep,
            device=device,
        )


class Words:
    """TextFeatures out of the table in a file of `to_file`."""

    needs_prompt = True
    licence = ""

    def __init__(self, file: Path) -> None:
        self._table, self.known = read_table(file)
        self.width = self._table.shape[1]
        self.label = f"a learned table of {len(self.known)} words"
        self.digest = settings_digest(("mini words", sha256(file)))

    def __call__(self, prompt: str | None) -> Tensor:
        """float32 [TOKENS,64]; UsageError for a word that it does not know, QaError for None."""
        if prompt is None:
            raise no_prompt(self.label)
        return self._table[places(prompt, self.known)]


def places(prompt: str, words: Sequence[str]) -> list[int]:
    """Rows of the table for a prompt, `TOKENS` of them.

    Raises UsageError for an unknown word, with the vocabulary, and for too many words.
    """
    said = prompt.split()
    unknown = next((word for word in said if word not in words), None)
    if unknown is not None:
        raise UsageError(
            f"The word {unknown!r} of the prompt {prompt!r} is unknown to this small network.",
            f"It was trained on {len(words)} words: {' '.join(words)}.",
            "suite=figures",
        )
    if len(said) > TOKENS:
        raise UsageError(
            f"The prompt {prompt!r} has {len(said)} words.",
            f"This small network takes {TOKENS} at most.",
            "suite=figures",
        )
    return [words.index(word) + 1 for word in said] + [0] * (TOKENS - len(said))


def to_file(
    path: Path, network: Mapping[str, Tensor], table: Tensor, words: Sequence[str], **facts: str
) -> None:
    """Write a network and its words as float16 safetensors; `facts` go into the header."""
    state = {**network, TABLE: table}
    tensors = {key: value.detach().cpu().half().contiguous() for key, value in state.items()}
    write_bytes(path, to_bytes(tensors, {"format": FORMAT, "words": " ".join(words), **facts}))


def read_table(file: Path) -> tuple[Tensor, tuple[str, ...]]:
    """The table float32 [1 + words,64] and the words; UsageError for what is no such file."""
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise UsageError(f"There is no file {file}.", "", "decoder.path=FILE")
    try:
        with safe_open(file, framework="pt") as opened:
            header = opened.metadata() or {}
            if header.get("format") != FORMAT:
                found = header.get("format", "of an unknown format")
                raise UsageError(f"{file} is {found}.", f"Wanted is {FORMAT}.", "decoder.path=FILE")
            table, words = opened.get_tensor(TABLE), tuple(header.get("words", "").split())
        if len(table) != 1 + len(words):
            raise UsageError(
                f"{file} has {len(table)} rows for {len(words)} words.",
                "Its table has a row for each word, and one for none.",
                "decoder.path=FILE",
            )
        return table.to(torch.float32), words
    except SafetensorError as error:
        raise QaError(f"{file} cannot be read as weights.", str(error)) from error
