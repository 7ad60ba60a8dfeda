"""The file of a device as tables: cells for a page, aligned text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from decoders.bench.published import SOURCE, beside

NOT_MEASURED = "not measured"
Table = tuple[list[str], list[list[str]]]
"""Head and rows."""


def rows(document: Mapping[str, Any]) -> Table:
    """The systems. A column of published figures only where one of them has some."""
    found = [document["rows"][key] for key in sorted(document["rows"], key=_order(document))]
    cuda = document["device"]["kind"] == "cuda"
    published = [beside(row) if cuda else "" for row in found]
    head = [
        "system", "side", "batch", "dtype", "kernels", "steps", "memory",
        "seconds [p20, p80]", "ms a step", "above GB", "with weights GB", "TFLOP", "of matmul",
        "differs", "alone",
    ]  # fmt: skip
    body = [_row(row) for row in found]
    if any(published):
        head.append("published")
        for cells, said in zip(body, published, strict=True):
            cells.append(said or "–")
    return head, body


def operations(document: Mapping[str, Any]) -> Table:
    """Single operations: PyTorch's, the kernel's, and how they compare."""
    head = [
        "operation", "shape", "dtype", "MB", "torch ms", "of copy", "triton ms", "of copy",
        "torch / triton",
    ]  # fmt: skip
    pairs: dict[tuple[Any, ...], dict[str, Mapping[str, Any]]] = {}
    for row in document["operations"].values():
        key = row["operation"], row["side"], row["dtype"]
        pairs.setdefault(key, {})[row["kernels"]] = row
    body = []
    for (name, _, dtype), kinds in sorted(pairs.items()):
        torch = kinds.get("torch", {})
        cells = [name, "x".join(map(str, torch.get("shape", []))) or "–", dtype]
        cells.append(f"{torch['bytes'] / 1e6:.0f}" if "bytes" in torch else "–")
        for kind in ("torch", "triton"):
            cells += _operation(kinds.get(kind), document["device"]["kind"])
        both = [kinds[kind]["seconds"]["median"] for kind in kinds if "seconds" in kinds[kind]]
        cells.append(f"{both[0] / both[1]:.2f}" if len(both) == 2 else "–")
        body.append(cells)
    return head, body


def profiles(document: Mapping[str, Any]) -> list[str]:
    """A line for each row that says where its time goes."""
    lines = []
    for key, row in document["rows"].items():
        shares = [f"{part} {share:.0%}" for part, share in row.get("parts", {}).items()]
        if shares:
            lines.append(f"{key}: {', '.join(shares)}")
        top = [f"{one['name']} {one['share']:.0%}" for one in row.get("top", [])]
        if top:
            lines.append(f"{key}: {', '.join(top)}")
    return lines


def versions(document: Mapping[str, Any]) -> str:
    """The software of all rows, in words."""
    every = [*document["rows"].values(), *document["operations"].values()]
    told = {", ".join(f"{k} {v}" for k, v in row.get("software", {}).items()) for row in every}
    return "; ".join(sorted(told - {""}))


def text(document: Mapping[str, Any]) -> str:
    """Everything, for a terminal."""
    device = document["device"]
    threads = f", {device['threads']} threads" if "threads" in device else ""
    parts = [f"{device['name']}{threads}, {versions(document)}"]
    for head, body in (rows(document), operations(document)):
        if body:
            parts.append(aligned(head, body))
    if any("published" in head for head, _ in [rows(document)]):
        parts.append(f"published: {SOURCE}")
    return "\n\n".join([*parts, "\n".join(profiles(document))]).rstrip()


def aligned(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(len(row[k]) for row in (head, *body)) for k in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *body)
    )


def _row(row: Mapping[str, Any]) -> list[str]:
    names = ("system", "side", "batch", "dtype", "kernels", "steps", "memory")
    cells = [str(row[name]) for name in names]
    if "seconds" not in row:
        return [*cells, f"not timed: {row['outcome']}", *["–"] * 5, _apart(row), _alone(row)]
    above, weights = row["above_bytes"], row["weights_bytes"]
    bytes_ = [NOT_MEASURED] * 2 if above is None else [_giga(above), _giga(above + weights)]
    steps = row["sampler_steps"]
    step = f"{1000 * row['seconds']['median'] / steps:.3g}" if steps else "–"
    return [
        *cells, spread(row["seconds"]), step, *bytes_, f"{row['flops'] / 1e12:.3g}",
        f"{row['share']:.0%}", _apart(row), _alone(row),
    ]  # fmt: skip


def spread(seconds: Mapping[str, float], scale: float = 1) -> str:
    """median [p20, p80], three digits each."""
    return "{:.3g} [{:.3g}, {:.3g}]".format(
        *(scale * seconds[name] for name in ("median", "p20", "p80"))
    )


def _operation(row: Mapping[str, Any] | None, kind: str) -> list[str]:
    if row is None:
        return ["no kernel" if kind == "cuda" else "none on a CPU", "–"]
    if "seconds" not in row:
        return [f"not timed: {row['outcome']}", "–"]
    return [spread(row["seconds"], 1000), f"{row['copy_share']:.0%}"]


def _apart(row: Mapping[str, Any]) -> str:
    difference = row["parity"]["difference"]
    return "–" if difference is None else f"{difference:.1e}"


def _alone(row: Mapping[str, Any]) -> str:
    return {None: "–", True: "same bits", False: "other bits"}[row["parity"]["equal_alone"]]


def _giga(count: float) -> str:
    return f"{count / 1e9:.3g}"


def _order(document: Mapping[str, Any]) -> Any:
    """Keys in the order of a reader: system, size, batch; ways as they were measured."""

    def order(key: str) -> tuple[Any, ...]:
        row = document["rows"][key]
        plainest = ("dtype", "kernels", "steps", "memory")
        values = {"float32": 0, "torch": 0, "eager": 0, "untiled": 0}
        later = tuple((values.get(row[name], 1), row[name]) for name in plainest)
        return row["system"], row["side"], row["batch"], later

    return order
