"""The panel of legibility: are words still read as what they say?

    reference ──► read ──► words that are read right ──► only these count
    pictures  ──► read the same boxes ──► state of each word ──► shares per picture

Of every picture, with W words that count:

    wrong_words       confidently read as something else / W
    unreadable_words  not read at all, or without confidence / W
    exact_words       read exactly, case included / W
    cer               (S + D + I) over all of them / their characters
    invented_words    with a second witness: both read the same other text / W
    counted_words     W: how many errors a share can show

A word that the reader misses on the clean reference says nothing about a decoder and does not
count. What the reader adds on its own (a blurred 8 read as 6) remains: compare with a run of a
deterministic decoder as the baseline, and the paired difference is what the decoder adds. A second
reader that fails differently makes the case: only what both read alike, and both read right on the
reference, is called invented.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qa.errors import UsageError
from qa.metrics.inputs import check_pair
from qa.types import NOT_APPLICABLE, Found, MetricFacts, Sample
from suites.legibility import summary as tables
from suites.legibility.readers import LEAST, PADDING, Crop, Reader, Reading, cut, read_once
from suites.legibility.sizes import cap_height
from suites.legibility.words import bare, edits, kind, looks_alike, plausible, state

if TYPE_CHECKING:
    from torch import Tensor

LEFT_OUT = "left out"
"""The state of a word that the reader does not read right on the reference."""
LOW, HIGH = 0.7, 0.95
Word = dict[str, Any]
"""A word of a note, or a part of it."""


class Legibility:
    """A Panel of `reader`, with `second` as another witness."""

    better: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {
        "wrong_words": "lower",
        "unreadable_words": "lower",
        "exact_words": "higher",
        "cer": "lower",
        "invented_words": "lower",
        "counted_words": "higher",
    }
    shares: ClassVar[Mapping[str, str]] = {
        name: "counted_words" for name in better if name != "counted_words"
    }
    """Metric → the one that counts what it is a share of."""

    def __init__(
        self,
        reader: Reader,
        second: Reader | None = None,
        low: float = LOW,
        high: float = HIGH,
        scale: float = 1,
    ) -> None:
        """`low` and `high` bound the confidence of unreadable and of wrong words.

        `scale` is output pixels per pixel that the encoder saw (4 for a decoder that makes pictures
        four times larger); it only groups words in the summary.
        """
        if not 0 <= low <= high <= 1:
            raise UsageError(
                f"low={low}, high={high} cannot work.",
                "They bound confidences, in [0, 1].",
                f"low={LOW} high={HIGH}",
            )
        if scale <= 0:
            raise UsageError(f"scale={scale} is no scale.", "It lies above 0.", "scale=1")
        self._reader, self._second = reader, second
        self._low, self._high, self._scale = low, high, scale
        names = [name for name in self.better if second is not None or name != "invented_words"]
        self.facts = {name: self._facts(name) for name in names}

    def check(self, samples: Sequence[Sample]) -> None:
        """UsageError for a suite without known text, or without pictures to read it on first."""
        if not any(sample.regions for sample in samples):
            raise UsageError(
                "legibility cannot score this suite.",
                "None of its samples says which words stand where.",
                'suite=legibility, or a manifest whose lines have "regions"',
            )
        if not any(sample.regions and sample.image for sample in samples):
            raise UsageError(
                "legibility cannot score this suite.",
                "None of its samples with text has a reference picture, and only words that are "
                "read right there count.",
                "suite=legibility, or a manifest whose lines have an image, too",
            )

    def __call__(self, sample: Sample, pictures: Tensor, reference: Tensor | None) -> Found:
        """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] of the same size.

        A note lists every word with its state. ValueError without such a reference, or for a region
        outside of it.
        """
        known = _known(sample)
        if not known:
            notes: list[list[Word]] = [[] for _ in pictures]
        else:
            clean = _crops(check_pair(pictures, reference, 1), known)
            crops = [_crops(picture, known) for picture in pictures]
            notes = self._judge(known, clean, crops)
            if self._second is not None:
                _hear(self._second, clean, crops, notes)
        values = [self._values(words) for words in notes]
        return Found(
            {name: [value[name] for value in values] for name in self.facts},
            [{"words": words} for words in notes],
        )

    def summary(
        self, notes: Sequence[Mapping[str, Any]], planned: Sequence[tuple[str, int]]
    ) -> dict[str, Any]:
        """Numbers over all words: `suites.legibility.summary`."""
        return tables.summary(notes, self._scale)

    def _judge(
        self, known: Sequence[Word], clean: Sequence[Crop], crops: Sequence[Sequence[Crop]]
    ) -> list[list[Word]]:
        """Each picture's words; those that the reference does not give away are not read again."""
        firsts = read_once(self._reader, clean)
        counts = [_same(first, word) for first, word in zip(firsts, known, strict=True)]
        wanted = [c for one in crops for c, good in zip(one, counts, strict=True) if good]
        readings = iter(read_once(self._reader, wanted))
        return [
            [
                word | (self._judged(word, next(readings)) if good else _left_out(first))
                for word, first, good in zip(known, firsts, counts, strict=True)
            ]
            for _ in crops
        ]

    def _judged(self, word: Word, reading: Reading) -> Word:
        expected, read = word["expected"], reading.text
        return {
            "read": read,
            "confidence": round(reading.confidence, 4),
            "state": state(expected, read, reading.confidence, self._low, self._high),
            "alike": looks_alike(expected, read),
            "plausible": plausible(expected, read),
        }

    def _values(self, words: Sequence[Word]) -> dict[str, float | str]:
        """Metric → value of one picture, or why it has none."""
        counted = [word for word in words if word["state"] != LEFT_OUT]
        if not counted:
            why = "the picture has no known text"
            if words:
                why = "the reader reads none of its words right on the reference"
            return dict.fromkeys(self.facts, f"{NOT_APPLICABLE}{why}")
        pairs = [(bare(word["expected"]), bare(word["read"])) for word in counted]
        found = {
            "wrong_words": _share(counted, "wrong"),
            "unreadable_words": _share(counted, "unreadable"),
            "exact_words": _share(counted, "correct"),
            "cer": sum(edits(*pair).distance for pair in pairs) / sum(len(e) for e, _ in pairs),
            "invented_words": sum(word.get("invented", False) for word in counted) / len(counted),
        }
        found["counted_words"] = float(len(counted))
        return {name: found[name] for name in self.facts}

    def _facts(self, name: str) -> MetricFacts:
        witnesses = {"reader": self._reader}
        if self._second is not None:
            witnesses["second"] = self._second
        told = {key: f"{one.label} {one.digest[:16]}" for key, one in witnesses.items()}
        licences = dict.fromkeys(one.licence for one in witnesses.values())
        return MetricFacts(
            name=name,
            better=self.better[name],
            unit="" if name in self.shares else "words",
            source="own definition: suites.legibility.panel; distances by rapidfuzz",
            licence=", ".join(licences),
            protocol={
                "version": 1,
                **({"values": "share", "of": self.shares[name]} if name in self.shares else {}),
                **told,
                "boxes": "known, no detector",
                "padding": f"{PADDING} of the box's height, at least {LEAST} pixels",
                "compared": "case-sensitive, without spaces",
                "counted": "words read right on the reference",
                "low": self._low,
                "high": self._high,
            },
            of="sample",
        )


def _known(sample: Sample) -> list[Word]:
    """What is known about each region before anything is read.

    `asks["words"]`, where a suite has it, gives kind and cap height of each region in order.
    """
    told = sample.asks.get("words") or [{} for _ in sample.regions]
    return [
        {
            "expected": region.text,
            "box": list(region.box),
            "kind": fact.get("kind") or kind(region.text),
            "cap": fact.get("cap") or cap_height(region.text, region.box[3] - region.box[1]),
        }
        for region, fact in zip(sample.regions, told, strict=True)
        if bare(region.text)
    ]


def _crops(picture: Tensor, known: Sequence[Word]) -> list[Crop]:
    array = picture.permute(1, 2, 0).numpy()
    return [cut(array, tuple(word["box"])) for word in known]


def _hear(
    second: Reader,
    clean: Sequence[Crop],
    crops: Sequence[Sequence[Crop]],
    notes: Sequence[Sequence[Word]],
) -> None:
    """Ask the second witness about every word that the first read as something else."""
    asked = [
        (word, clean[place], crops[seed][place])
        for seed, words in enumerate(notes)
        for place, word in enumerate(words)
        if word["state"] in ("wrong", "uncertain")
    ]
    before = read_once(second, [crop for _, crop, _ in asked])
    now = read_once(second, [crop for _, _, crop in asked])
    for (word, _, _), first, again in zip(asked, before, now, strict=True):
        agreed = bare(again.text) == bare(word["read"])
        word["second"] = again.text
        word["invented"] = agreed and _same(first, word)


def _same(reading: Reading, word: Word) -> bool:
    return bare(reading.text) == bare(word["expected"])


def _left_out(first: Reading) -> Word:
    return {"state": LEFT_OUT, "clean": first.text}


def _share(words: Sequence[Word], name: str) -> float:
    return len([word for word in words if word["state"] == name]) / len(words)
