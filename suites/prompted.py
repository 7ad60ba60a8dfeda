"""Prompts as samples: each is drawn several times, and its pictures are one group.

Take k of prompt `one` is the sample `one/k`. Takes have noise of their own (`Sample.take`); since
they are of one prompt, they are not independent, and intervals count prompts.
"""

from __future__ import annotations

from dataclasses import replace

from qa.errors import UsageError
from qa.types import Sample


def checked(pictures: int) -> int:
    """`suite.pictures`, or UsageError where that is no number of pictures."""
    if type(pictures) is not int or pictures < 1:
        raise UsageError(
            f"suite.pictures={pictures} asks for nothing.",
            "It is how many pictures each prompt gets.",
            "suite.pictures=4",
        )
    return pictures


def takes(prompt: Sample, pictures: int, digits: int = 1) -> list[Sample]:
    """A prompt's samples; `digits` is how many the number of a take has at least."""
    return [
        replace(prompt, id=f"{prompt.id}/{take:0{digits}d}", group=prompt.id, take=take)
        for take in range(pictures)
    ]
