"""Text features: what a text-conditioned decoder is told about a prompt.

A decoder takes one of these as its argument `text` and never sees how the features were made:

    Gemma     gemma-2-2b-it after PiD's recipe               [300, 2304]
    Qwen3     Qwen3-4B after L2P's recipe                    [T, 2560], T the prompt's tokens
    Stored    a folder of features made elsewhere, or of another run's cache
    NoText    zeros, for a network that was trained without text and for tests

The encoders keep every prompt's features on disk in the form that `Stored` reads, so a prompt is
encoded once on a machine and a run over known prompts needs no encoder in memory.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from decoders.text.encoders import Gemma, Qwen3
from decoders.text.stored import NoText, Stored

__all__ = ["Gemma", "NoText", "Qwen3", "Stored", "TextFeatures", "note"]


class TextFeatures(Protocol):
    """Turns a prompt into features. A prompt's features do not depend on other prompts."""

    width: int
    """Values of one token: 2304 for gemma-2-2b-it, 2560 for Qwen3-4B."""
    label: str
    """What made the features, as a report says it."""
    licence: str
    digest: str
    """Identifies weights, recipe, precision and kind of device; part of a decoder's digest."""
    needs_prompt: bool
    """Whether a sample without a prompt is refused."""

    def __call__(self, prompt: str | None) -> Tensor:
        """The prompt's features, float32 [T,width] on the CPU."""
        ...


def note(text: TextFeatures) -> str:
    """What a report says of a decoder's text features."""
    terms = f" ({text.licence})" if text.licence else ""
    return f"text features: {text.label}{terms}"
