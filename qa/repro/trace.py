"""What a decode computes on its way: a digest of every stage of every picture.

A trace decodes one picture at a time, so that whatever is marked meanwhile belongs to it. `watched`
adds the output of every module of the decoder's networks, for decoders that mark nothing inside.
In a batch the stages are told apart by counting: a decoder that takes requests one by one calls
each module as often as before for each picture, one that batches calls it once for all of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from qa import images, stages
from qa.roles import Decoder
from qa.seeds import content
from qa.shots import Shot
from qa.types import DecodeRequest, Unit
from qa.worker import Worker

if TYPE_CHECKING:
    from torch import Tensor, nn

NONDETERMINISTIC = "does not have a deterministic implementation"
DEPTH = 4
"""How deep attributes of a decoder are searched for networks."""
LEAVES = (type, FunctionType, ModuleType)
"""Not searched: they hold what is not the decoder's own."""


@dataclass(frozen=True)
class Trace:
    """All stages of some pictures, each known by a label such as `photo_cat seed 0`."""

    digests: Mapping[str, Mapping[str, str]]
    """Label → stage → digest, in the order in which they came."""
    pixels: Mapping[str, Tensor] = field(default_factory=dict)
    """Label → what the decoder returned, float32 [3,H,W] on the CPU."""
    kept: Mapping[str, Tensor] = field(default_factory=dict)
    """Label → the tensor of the stage that was asked for."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Label → why there is no picture."""
    undetermined: tuple[str, ...] = ()
    """Operations that have no deterministic form, as PyTorch names them."""


@dataclass(frozen=True)
class Call:
    """One mark: a digest of the whole, and one of each row where there may be one a picture."""

    key: stages.Key | None
    whole: str
    rows: tuple[str, ...] = ()
    value: Tensor | None = None


class Observed:
    """A decoder, and how many requests each of its calls carried out."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self.calls: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.decoder, name)

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """As the decoder."""
        pixels = self.decoder.decode(requests)
        self.calls.append(len(requests))
        return pixels


class Recorder:
    """Listens to stages, in order. `keep` names a stage whose values are copied."""

    def __init__(self, batch: int = 1, keep: str | None = None) -> None:
        self.calls: dict[str, list[Call]] = {}
        self._batch, self._keep = batch, keep

    def __call__(self, name: str, value: Tensor | bytes, key: stages.Key | None) -> None:
        calls = self.calls.setdefault(name, [])
        rows = _rows(value, self._batch) if key is None and self._batch > 1 else ()
        kept = self._keep is not None and base_name(self._keep) == name
        copied = _copied(value) if kept or name == stages.PIXELS else None
        calls.append(Call(key, stages.digest(value), rows, copied))


def label(unit: Unit) -> str:
    """How a unit of one seed is named to people."""
    return f"{unit.sample.id} seed {unit.seeds[0]}"


def numbered(name: str, k: int) -> str:
    """Name of the k-th (0-based) call of a stage: a sampler calls a module many times."""
    return name if k == 0 else f"{name} (call {k + 1})"


def base_name(stage: str) -> str:
    """A stage's name without the number of the call."""
    return stage.partition(" (call ")[0]


def traced(
    worker: Worker, units: Sequence[Unit], *, watch: bool = False, keep: str | None = None
) -> Trace:
    """Decode units of one seed each, one at a time. The worker's folder must not hold them."""
    digests: dict[str, dict[str, str]] = {}
    pixels, kept, failed = {}, {}, {}
    undetermined: set[str] = set()
    for unit in units:
        name, recorder = label(unit), Recorder(keep=keep)
        with stages.heard(recorder), _network_marks(worker, watch), noted(undetermined):
            (raw,) = worker.decode([worker.load(unit)], 1)
            worker.finish(raw)
        digests[name] = {
            numbered(stage, k): call.whole
            for stage, calls in recorder.calls.items()
            for k, call in enumerate(calls)
        }
        (shot,) = raw.shots
        why = _lost(shot)
        if shot.pixels is None or why:
            failed[name] = why
            continue
        pixels[name] = shot.pixels
        value = _find(recorder, keep)
        if value is not None:
            kept[name] = value
    return Trace(digests, pixels, kept, failed, tuple(sorted(undetermined)))


def batched(
    worker: Worker,
    units: Sequence[Unit],
    batch: int,
    single: Trace,
    *,
    watch: bool = False,
    keep: str | None = None,
) -> Trace:
    """Decode the same units `batch` at a time; stages are told apart with the help of `single`.

    A stage that cannot be told apart is left out.
    """
    recorder, undetermined = Recorder(batch, keep), set[str]()
    with stages.heard(recorder), _network_marks(worker, watch), noted(undetermined):
        raws = worker.decode([worker.load(unit) for unit in units], batch)
        for raw in raws:
            worker.finish(raw)
    digests: dict[str, dict[str, str]] = {label(unit): {} for unit in units}
    kept: dict[str, Tensor] = {}
    for stage, calls in recorder.calls.items():
        for place, unit in enumerate(units):
            name = label(unit)
            wanted = sum(base_name(known) == stage for known in single.digests.get(name, ()))
            found = _of(calls, place, len(units), chunks(units, batch), wanted, unit)
            for k, call in enumerate(found):
                digests[name][numbered(stage, k)] = call.whole
                if numbered(stage, k) == keep and call.value is not None:
                    kept[name] = call.value
    shots = {label(raw.loaded.unit): raw.shots[0] for raw in raws}
    failed = {name: why for name, shot in shots.items() if (why := _lost(shot))}
    pixels = {name: shot.pixels for name, shot in shots.items() if name not in failed}
    return Trace(
        digests,
        {name: found for name, found in pixels.items() if found is not None},
        kept,
        failed,
        tuple(sorted(undetermined)),
    )


def chunks(units: Sequence[Unit], batch: int) -> list[int]:
    """How many units each batch has; the last may be partial."""
    return [len(units[start : start + batch]) for start in range(0, len(units), batch)]


def _lost(shot: Shot) -> str:
    """Why a shot gives no picture, or ""."""
    if shot.pixels is None:
        return shot.why
    try:
        images.quantise(shot.pixels)
    except images.NotFinite as error:
        return str(error)
    return ""


def _of(
    calls: list[Call], place: int, count: int, sizes: list[int], wanted: int, unit: Unit
) -> list[Call]:
    """The calls of one stage that belong to the unit at `place`; [] where that is not clear."""
    if calls[0].key is not None:
        own = (content(unit.sample), unit.seeds[0])
        return [call for call in calls if call.key == own][:wanted]
    if wanted and len(calls) == wanted * count:
        return calls[place * wanted : (place + 1) * wanted]
    if wanted and len(calls) == wanted * len(sizes):
        chunk, row = 0, place
        while row >= sizes[chunk]:
            row -= sizes[chunk]
            chunk += 1
        own_chunk = calls[chunk * wanted : (chunk + 1) * wanted]
        if all(len(call.rows) == sizes[chunk] for call in own_chunk):
            return [
                Call(
                    None, call.rows[row], (), None if call.value is None else call.value[row][None]
                )
                for call in own_chunk
            ]
    return []


def networks(part: object) -> dict[str, nn.Module]:
    """The networks that a decoder or what it is made of holds, by path of attributes."""
    from torch import nn

    found: dict[str, nn.Module] = {}
    seen: set[int] = set()

    def search(thing: object, path: str, depth: int) -> None:
        if id(thing) in seen:
            return
        seen.add(id(thing))
        if isinstance(thing, nn.Module):
            found[path] = thing
        elif depth < DEPTH and hasattr(thing, "__dict__") and not isinstance(thing, LEAVES):
            for name, value in vars(thing).items():
                search(value, f"{path}.{name}" if path else name, depth + 1)

    search(part, "", 0)
    return found


@contextmanager
def watched(part: object) -> Iterator[None]:
    """Within the block every module of the part's networks marks what it returns."""
    from torch import nn

    plain = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Identity)
    with ExitStack() as stack:
        for path, network in networks(part).items():
            for name, module in network.named_modules():
                if not isinstance(module, plain):
                    full = ".".join(filter(None, (path, name)))
                    hook = partial(_told, f"{full} {type(module).__name__}")
                    stack.callback(module.register_forward_hook(hook).remove)
        yield


def _network_marks(worker: Worker, watch: bool) -> Any:
    decoder = worker.decoder
    part = decoder.decoder if isinstance(decoder, Observed) else decoder
    return watched(part) if watch else ExitStack()


def _told(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
    import torch

    values = output if isinstance(output, tuple | list) else [output]
    for value in values:
        if isinstance(value, torch.Tensor):
            stages.mark(name, value)
            return


@contextmanager
def noted(operations: set[str]) -> Iterator[None]:
    """Collect the names of operations that PyTorch warns to have no deterministic form."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    for warning in told:
        text = str(warning.message)
        if NONDETERMINISTIC in text:
            operations.add(text.partition(NONDETERMINISTIC)[0].strip())


def _rows(value: Tensor | bytes, most: int) -> tuple[str, ...]:
    """Digests along the first axis, which may be one of pictures if it is no longer than `most`."""
    if isinstance(value, bytes) or not value.ndim or value.shape[0] > most:
        return ()
    return tuple(stages.digest(value[k : k + 1]) for k in range(len(value)))


def _find(recorder: Recorder, keep: str | None) -> Tensor | None:
    if keep is None:
        return None
    calls = recorder.calls.get(base_name(keep), [])
    return next(
        (c.value for k, c in enumerate(calls) if numbered(base_name(keep), k) == keep), None
    )


def _copied(value: Tensor | bytes) -> Tensor:
    import torch

    if isinstance(value, bytes):
        return torch.frombuffer(bytearray(value), dtype=torch.uint8)
    return value.detach().to("cpu").clone()


Run = Callable[[bool, str | None], Trace]
"""(watch, keep) → trace: one side of a comparison, which can be repeated with a closer look."""
