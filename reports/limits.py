"""What a verdict cannot know: blind spots of the metrics that decided, and of the run as a whole.

The sentences are about definitions (`docs/metrics.md` and the head of each metric's file); which of
them apply is read from the verdict and the record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from qa.outcomes import counts, label

BLIND: tuple[tuple[str, str], ...] = (
    (r"psnr.*|lowres_psnr",
     "rewards blur: the mean of all plausible pictures has the best value, and a wrong word of a "
     "few pixels hardly moves it"),
    (r"(ms_)?ssim.*|gmsd|fsimc?|vif",
     "compares local structure, mostly in luma: a colour that is off everywhere, or another letter "
     "of the same stroke width, may pass"),
    (r"lpips.*|dists", "forgives texture that is invented but alike, and does not read"),
    (r"ciede2000|colour_.*",
     "sees colours only: a picture may be sharp, wrong and have the right colours"),
    (r"flip", "is a mean over pixels: a small area that is badly wrong is diluted by the rest"),
    (r"niqe.*|brisque|piqe|musiq.*|maniqa.*|topiq|hyperiqa|liqe|qualiclip.*|clip_iqa.*|arniqa.*"
     r"|vlm_judge",
     "looks at no reference: detail that is convincing and wrong scores like detail that is right"),
    (r"seed_.*",
     "shows what changes with the seed; what a decoder invents alike every time is not seen"),
    (r"reencode", "sees what the encoder sees: errors that the encoder throws away are free"),
    (r"hf_.*", "counts energy, not truth: grain and invented texture raise it like real detail"),
    (r"patch_grid", "looks at the borders of patches of one stated size only"),
    (r"(patch_)?fid.*|kid|fd_dinov2|cmmd|precision|density|recall|coverage",
     "is about all pictures together: it names no picture, and depends on their number"),
    (r"geneval",
     "depends on a detector that errs itself, and on objects, counts, colours and places alone"),
    (r"dpg.*", "depends on the answers of a vision-language model"),
    (r"(wrong|unreadable|exact|invented|counted)_words|cer",
     "depends on a reader of printed Latin text: words too small for it are not judged"),
)  # fmt: skip
"""Pattern of metric names → what such a metric does not see."""


def limits(
    verdict: Mapping[str, Any], record: Mapping[str, Any], people: str = ""
) -> tuple[str, ...]:
    """Sentences, those about this verdict first; `people` says who compared its pictures."""
    seen = people or "No person has compared these pictures for this verdict."
    return (*_of_run(verdict, record), seen, *_of_metrics(verdict))


def blind_spot(metric: str) -> str:
    """What a metric does not see, or "" for one that is not known here."""
    return next((said for pattern, said in BLIND if re.fullmatch(pattern, metric)), "")


def _of_run(verdict: Mapping[str, Any], record: Mapping[str, Any]) -> Iterator[str]:
    arm = verdict["candidate"]
    yield (
        f"It holds for suite {arm.get('suite') or arm.get('name')}, {arm.get('pictures')} pictures "
        f"at {arm.get('seeds')} seeds, with the weights, settings and environment named here: "
        "other pictures, sizes and prompts are other evidence."
    )
    if arm.get("limited"):
        yield "Some pictures of the suite were left out (limit=)."
    missing = sorted(record.get("unavailable") or {})
    if missing:
        yield f"Not measured here, though asked for: {', '.join(missing)}."
    for gate in verdict["gates"]:
        cited = (gate.get("waiver") or {}).get("review")
        if cited and arm.get("plan") not in (None, cited["run"]):
            yield (
                f"The review {cited['name']} that the waiver of {label(gate)} cites is of another "
                "run: nobody has seen these pictures there."
            )
    tail = [gate for gate in verdict["gates"] if gate.get("gate") == "tail"]
    if not tail:
        yield "No tail gate: rare breakage that means over pictures hide was not looked for."
    elif not any(map(counts, tail)):
        yield f"The tail gate does not count, so rare breakage may be there: {tail[0]['why']}."
    deciding = {str(gate["metric"]) for gate in verdict["gates"] if counts(gate)}
    if deciding and not any(re.fullmatch(r"wrong_words|cer|exact_words", m) for m in deciding):
        yield "No gate reads text: words that come out wrong would not be noticed by name."


def _of_metrics(verdict: Mapping[str, Any]) -> Iterator[str]:
    names = dict.fromkeys(str(gate["metric"]) for gate in verdict["gates"] if counts(gate))
    for name in names:
        said = blind_spot(name.partition("[")[0])
        if said:
            yield f"{name} {said}."
