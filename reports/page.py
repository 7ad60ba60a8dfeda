"""How a page is made, whatever it shows: templates, what they may call, what a browser may do.

A page needs no network: style and script are inlined and allowed by their SHA-256 in a content
security policy that forbids everything else. Everything printed is escaped, and characters that
would reorder or hide text are shown as <U+XXXX>.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from qa import outcomes
from reports import wording

TEMPLATES = Path(__file__).parent / "templates"
VENDOR = Path(__file__).parent / "vendor"


def environment() -> Environment:
    """Templates with the filters and functions that every page uses."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printed,
    )
    found.filters.update(
        number=lambda value, digits: _signed(wording.number(value, digits)),
        mean=lambda value, digits: _signed(wording.mean(value, digits)),
        interval=lambda row, digits: _signed(
            wording.interval(row.get("low"), row.get("high"), digits)
        ),
        breakable=_breakable,
        duration=wording.duration,
        exact=_exact,
        leaves=leaves,
    )
    found.globals.update(
        gate_digits=wording.gate_digits,
        bound=lambda gate, digits: _signed(wording.bound(gate, digits)),
        counts=outcomes.counts,
        label=outcomes.label,
        standing=outcomes.standing,
        sentence=wording.sentence,
    )
    return found


def frame(
    scripts: Sequence[str], styles: Sequence[str], *, images: str = "data:"
) -> dict[str, str]:
    """`style`, `script` and the `policy` that allows them, by the names of their files.

    `images`: where pictures may come from, as the policy names it.
    """
    style, code = ("\n".join(map(_partial, names)) for names in (styles, scripts))
    # Our own files, not data: they are printed as they are.
    return {"style": Markup(style), "script": Markup(code), "policy": _policy(style, code, images)}


def leaves(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, text) pairs, in their own order."""
    if isinstance(value, Mapping):
        return [
            leaf
            for key, inner in value.items()
            for leaf in leaves(inner, f"{path}.{key}" if path else str(key))
        ]
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    return [] if value is None or value == "" else [(path, str(value))]


def _partial(name: str) -> str:
    """A file of ours; or one of others below its licence, for they are copied only together."""
    ours = TEMPLATES / name
    if ours.is_file():
        return ours.read_text(encoding="utf-8").strip()
    licence = VENDOR / f"{name.partition('.')[0]}.licence.txt"
    said, code = (file.read_text(encoding="utf-8").strip() for file in (licence, VENDOR / name))
    return f"/*\n{said}\n*/\n{code}"


def _policy(style: str, script: str, images: str) -> str:
    """Only these two texts and pictures from there; no network, no frames, no forms."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style, script)
    )
    return (
        f"default-src 'none'; img-src {images}; "
        f"style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _exact(value: float | None, shown: str) -> str:
    """What is shown of a number, with the whole number for machines."""
    if value is None:
        return shown
    return Markup('<data value="{}">{}</data>').format(repr(float(value)), shown)


def _signed(text: str) -> str:
    return text.replace("-", "−")


def _printed(value: Any) -> Any:
    """What `{{ value }}` prints before it is escaped."""
    if value is None:
        return wording.MISSING
    return wording.visible(value) if type(value) is str else value


def _breakable(name: str) -> Markup:
    """A name that may continue on the next line where it is read most easily."""
    return Markup("<wbr>").join(wording.BREAKS.split(wording.visible(name)))
