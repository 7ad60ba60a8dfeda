"""What can be refused before anything is decoded: parts that do not fit, files that are not here.

Everything is asked of the parts themselves or of the configuration; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qa import assets
from qa.assets import Status
from qa.errors import AssetMissing, UsageError
from qa.gates.case import POLICIES
from qa.metrics.licences import refused
from qa.roles import Decoder, LatentSource
from qa.traits import check_knobs as ask_about_knobs
from qa.traits import traits
from qa.types import Knobs, MetricFacts, Sample


def check_request(tree: Any) -> None:
    """UsageError for counts and choices that cannot work."""
    if not tree.metric:
        raise UsageError("No metric was asked for.", "", "metric=[psnr], or leave metric= away")
    if tree.seeds < 1 or (tree.limit is not None and tree.limit < 1):
        raise UsageError("seeds and limit must be at least 1.")
    if tree.policy not in POLICIES:
        raise UsageError(
            f"There is no policy {tree.policy!r}.", "", f"policy={' or policy='.join(POLICIES)}"
        )
    if tree.looks is not None and (tree.limit, tree.half) != (None, None):
        raise UsageError(
            "A limited or halved run has no looks.",
            "Both leave pictures out, and only looks choose them by chance.",
            "leave limit= and half= away",
        )


def check_assets(nodes: Sequence[Any], decoder: str) -> None:
    """AssetMissing naming every file that is missing, if one of them cannot be fetched unasked.

    A part names an asset as `asset`, unless its `source` or `path` says where its files are.
    """
    for key, place in (pair for node in nodes for pair in _places(node)):
        if not Path(place).exists():
            raise UsageError(f"{place} does not exist.", f"The configuration gives it as {key}.")
    names = dict.fromkeys(name for node in nodes for name in _assets(node))
    found = map(assets.store().status, names)
    absent = [status for status in found if status.state in ("missing", "damaged")]
    if absent and (assets.offline() or any(status.asset.ask for status in absent)):
        some = "an asset that is" if len(absent) == 1 else f"{len(absent)} assets that are"
        lines = [f"decoder={decoder} needs {some} not on this machine.", *map(_described, absent)]
        fetch = f"qa assets fetch {' '.join(status.asset.name for status in absent)}"
        raise AssetMissing("\n  ".join(lines), "", fetch)


def check_knobs(knobs: Knobs, decoder: Decoder, latents: LatentSource | None = None) -> None:
    """Refuse a turn of the dial that would change nothing, or that the decoder cannot make."""
    read = knobs_read(decoder, latents)
    for name, value in asdict(knobs).items():
        if value != getattr(Knobs(), name) and name not in read:
            raise UsageError(
                f"knobs.{name}={value} changes nothing.",
                f"This decoder and its latents read {', '.join(sorted(read)) or 'no knob'}.",
                f"leave knobs.{name} away",
            )
    if knobs.capture is not None and knobs.sigma:
        raise UsageError(
            f"knobs.sigma={knobs.sigma} cannot be had with knobs.capture={knobs.capture}.",
            "Latents of an early step carry noise of their own.",
            "leave one of them away",
        )
    ask_about_knobs(decoder, knobs)


def knobs_read(decoder: Decoder, latents: LatentSource | None) -> frozenset[str]:
    """The knobs that change pictures: the decoder's own, sigma, and capture of latents by steps."""
    sigma = set() if decoder.space is None else {"sigma"}
    capture = {"capture"} if getattr(latents, "captures", ()) else set()
    return decoder.knobs | sigma | capture


def check_spaces(latents: LatentSource | None, decoder: Decoder) -> None:
    """Refuse latents that the decoder does not take; both spaces are named."""
    if decoder.space is None:
        if latents is not None:
            raise UsageError(
                "This decoder takes no latents.",
                f"The configuration gives it some of {latents.space}.",
                "leave latents= and encoder away",
            )
        return
    if latents is None:
        raise UsageError(
            f"The decoder needs latents of {decoder.space}.",
            "The configuration has neither an encoder nor another source of latents.",
            "add latents=stored latents.path=DIR",
        )
    if latents.space != decoder.space:
        raise UsageError(
            "Latent source and decoder do not fit together.",
            f"The source gives {latents.space}; the decoder takes {decoder.space}.",
            "choose a decoder of the same latent space; decoder=NAME sets both",
        )
    source, target = getattr(latents, "scale", None), traits(decoder).scale
    if source is not None and source != target:
        raise UsageError(
            f"The encoder sees pictures at 1/{source} of their size, "
            f"the decoder makes them {target} times larger.",
            "The output would not have the size of the reference.",
            "decoder=NAME sets both; in a YAML file of your own, encoder: "
            f"{{_target_: decoders.reduced.Reduced, by: {target}, encoder: …}}",
        )


def check_samples(
    samples: Sequence[Sample], latents: LatentSource | None, decoder: Decoder
) -> None:
    """Refuse a suite that lacks what every picture is made from: prompts, or pictures to encode."""
    silent = sorted(sample.id for sample in samples if sample.prompt is None)
    if silent and traits(decoder).needs_prompt:
        raise UsageError(
            f"{len(silent)} of {len(samples)} samples have no prompt.",
            f"This decoder needs one for each; the first without is {silent[0]}.",
            'use a manifest with a "prompt" in each line ("" counts), or text=none',
        )
    if encodes(latents) and samples and all(sample.image is None for sample in samples):
        raise UsageError(
            "None of the samples has a picture.",
            "The latents would come from an encoder.",
            "latents=stored latents.path=DIR, or a suite with pictures",
        )


def encodes(latents: LatentSource | None) -> bool:
    """Whether a source makes latents of pictures: an encoder says at which scale it sees them."""
    return getattr(latents, "scale", None) is not None


def check_metrics(
    facts: Mapping[str, MetricFacts],
    samples: Sequence[Sample],
    decoder: Decoder,
    encoder: LatentSource | None,
) -> None:
    """Refuse metrics that compare with a reference, or encode again, where that cannot be."""
    again = sorted(name for name, known in facts.items() if known.of == "latent")
    if again and encoder is None:
        raise UsageError(
            f"{', '.join(again)} cannot score this run.",
            "There is no encoder of the decoder's latents, so pictures cannot be encoded again.",
            "leave it out, or use a decoder with an encoder of its own",
        )
    paired = sorted(name for name, known in facts.items() if known.paired)
    if not paired:
        return
    if decoder.space is None and traits(decoder).size is not None:
        why = "It draws pictures of its own: none of them has a reference."
    elif all(sample.image is None for sample in samples):
        why = "None of the samples has a reference picture."
    else:
        return
    raise UsageError(
        f"{', '.join(paired)} cannot score this run.",
        why,
        "choose metrics without a reference, e.g. metric=[niqe,patch_grid]",
    )


def check_licences(facts: Mapping[str, MetricFacts], profile: str) -> None:
    """Refuse metrics that the run's licence profile does not allow."""
    reasons = {name: refused(known, profile) for name, known in facts.items()}
    barred = {name: why for name, why in sorted(reasons.items()) if why}
    if barred:
        raise UsageError(
            f"{', '.join(barred)} cannot be used here.",
            " ".join(barred.values()),
            "leave them out, or license_profile=research",
        )


def _places(node: Any) -> Iterator[tuple[str, str]]:
    """Local files and folders that a configuration node and the nodes in it name."""
    if not isinstance(node, Mapping):
        return
    for key, value in node.items():
        if key in ("path", "source") and isinstance(value, str):
            yield key, value
        yield from _places(value)


def _assets(node: Any) -> Iterator[str]:
    """Names of the assets that a configuration node and the nodes in it ask for."""
    if not isinstance(node, Mapping):
        return
    if node.get("asset") and not node.get("source") and not node.get("path"):
        yield str(node["asset"])
    for value in node.values():
        yield from _assets(value)


def _described(status: Status) -> str:
    asset = status.asset
    size = asset.size or asset.about
    told = "size not published" if size is None else f"{size / 1e9:.2f} GB"
    if asset.size is None and size is not None:
        told = f"about {told}"
    place = asset.origin
    if asset.repo:
        place += f": {', '.join(file.origin for file in asset.files)}"
    damage = status.why if status.state == "damaged" else ""
    remarks = "; ".join(remark for remark in (place, asset.note, damage) if remark)
    return f"{asset.name}  {told}  {asset.licence}\n    {remarks}"
