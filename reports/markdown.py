"""A verdict as Markdown: the step summary or the comment of a pull request.

Metric names, sample ids, reasons and commands are data that somebody else may have chosen. Their
punctuation is written as character references, which Markdown never takes for its own signs, and
`@` and `#` stand in an element of their own, so that nobody is notified and nothing is linked.
"""

from __future__ import annotations

import html
import re
import shlex
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from qa.files import digest
from qa.outcomes import counts, label, standing
from reports import reviews
from reports.slices import Block
from reports.view import Open, Requirement, View
from reports.wording import (
    bound,
    confidence,
    duration,
    footnotes,
    gate_digits,
    interval,
    mean,
    metric_digits,
    number,
    sentence,
    visible,
)

MARKER = "<!-- decoder-qa {} -->"
"""First line: by it a CI job finds the comment that it wrote before, to write it anew."""
MAX_LINES = 10
MAX_TEXT = 600
_SIGNS = re.escape("".join(sorted(set(string.punctuation) - set(",;()%'"))))
_INSIDE = r"(?<=\d)\.(?=\d)|(?<=[^\W_])[-_=](?=[^\W_])"
_ESCAPED = re.compile(rf"(?!{_INSIDE}|[.:](?=\s|\Z))[{_SIGNS}]")
"""Punctuation, but for what means nothing inside a word, a number or after a sentence: the source
is read, too."""
_NUMBERED = re.compile(r"\A(\d+)([.)])")


def render(view: View) -> str:
    """The document as text."""
    verdict = view.verdict
    counted = [one for one in view.requirements if counts(one.gate)]
    aside = [one for one in view.requirements if not counts(one.gate)]
    parts = [
        MARKER.format(digest([verdict["candidate"].get(key) for key in ("suite", "decoder")])[:12]),
        f"### {verdict['state']} · {_arms(verdict)}",
        f"**{verdict['state']}** {said(sentence(verdict))}",
        _decision(view),
        _facts(view),
        _table(counted, verdict),
        _folded("not counted", aside, verdict),
        _sliced(view.slices, verdict),
        "" if verdict["gates"] else _measured(verdict),
        _lines("Judgement by people and models", reviews.lines(view.reviews)),
        _lines("Not comparable", verdict["problems"]),
        _lines("Not settled", map(_open, view.open)),
        _lines("Missing pictures", map(_lost, verdict["failures"])),
        _lines("Beside the verdict", (f"{kind}: {text}" for kind, text in footnotes(verdict))),
        _changed(view),
        _again(view),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def said(text: object) -> str:
    """Foreign text inside a sentence: it cannot format, link, notify or end a table cell."""
    plain = " ".join(visible(str(text)).split())
    cut = plain if len(plain) <= MAX_TEXT else plain[: MAX_TEXT - 1] + "…"
    return _NUMBERED.sub(lambda found: found[1] + _reference(found[2]), _ESCAPED.sub(_sign, cut))


def name(text: object) -> str:
    """Foreign text as a name, in `code`: there nothing is linked at all."""
    return f"<code>{said(text)}</code>" if str(text) else ""


def _sign(found: re.Match[str]) -> str:
    reference = _reference(found[0])
    return f"<span>{reference}</span>" if found[0] in "@#" else reference


def _reference(sign: str) -> str:
    return f"&#{ord(sign)};"


def _arms(verdict: Mapping[str, Any]) -> str:
    candidate, baseline = verdict["candidate"], verdict["baseline"]
    ours = name(candidate.get("decoder") or candidate.get("name") or "?")
    if not baseline:
        return f"{ours}, no baseline"
    return f"{ours} against {name(baseline.get('decoder') or baseline.get('name') or '?')}"


def _decision(view: View) -> str:
    """What the gates propose, or who signed what."""
    decision, signature = view.decision, view.decision.signature
    if signature is None:
        return f"**{decision.proposed}** proposed by the gates, not signed: {said(decision.why)}"
    by = f"{said(signature.by)} on {said(signature.date[:10])}"
    why = f": {said(signature.why)}" if signature.why else ""
    if signature.holds:
        return f"**{signature.decision}** signed by {by}{why}"
    return (
        f"**{decision.said}**: {by} had signed {signature.decision}{why}, which no longer holds: "
        f"{said(signature.broken)}; the gates propose {decision.proposed}"
    )


def _facts(view: View) -> str:
    verdict = view.verdict
    arm = verdict["candidate"]
    restricted = [one.of for one in view.scope.licences if one.restricted]
    found = [
        f"suite {name(arm['suite'])}" if arm.get("suite") else "",
        f"{arm.get('pictures')} pictures × {arm.get('seeds')} seeds",
        f"use case {name(verdict['use_case'])}" if verdict.get("use_case") else "",
        f"policy {verdict['policy']}" if verdict.get("policy") else "",
        f"exit code {verdict['exit_code']}",
        "limited: it can never become a baseline" if arm.get("limited") else "",
        f"not known to permit commercial use: {said(', '.join(restricted))}" if restricted else "",
    ]
    return " · ".join(filter(None, found))


def _table(rows: Sequence[Requirement], verdict: Mapping[str, Any]) -> str:
    powers = {id(row.gate): row.power for row in rows}
    return _lined("gate", [(label(row.gate), row.gate) for row in rows], verdict, powers)


def _lined(
    what: str,
    named: Sequence[tuple[str, Mapping[str, Any]]],
    verdict: Mapping[str, Any],
    powers: Mapping[int, float | None] = MappingProxyType({}),
) -> str:
    """A table of rows with their names; `what` heads the column of names."""
    if not named:
        return ""
    percent = confidence(verdict)
    head = f"| verdict | {what} | baseline | candidate | harm [{percent} interval] | margin | why |"
    lines = [_row(called, gate, powers.get(id(gate))) for called, gate in named]
    return "\n".join([head, "|:--|:--|--:|--:|--:|--:|:--|", *lines])


def _measured(verdict: Mapping[str, Any]) -> str:
    """The metrics' own values, where nothing was judged."""
    lines = [
        f"| metric | mean [{confidence(verdict)} interval] | pictures | |",
        "|:--|--:|--:|:--|",
    ]
    for row in verdict["metrics"]:
        digits = metric_digits(row)
        unit = f" {said(row['unit'])}" if row.get("unit") and row.get("mean") is not None else ""
        found = interval(row.get("low"), row.get("high"), digits)
        value = f"{mean(row.get('mean'), digits)} {found}".strip()
        cells = (name(row["metric"]), value + unit, str(row.get("count")), said(row.get("why", "")))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if verdict["metrics"] else ""


def _row(called: str, gate: Mapping[str, Any], power: float | None) -> str:
    digits = gate_digits(gate)
    known = gate.get("unit") and gate.get("estimate") is not None
    unit = f" {said(gate['unit'])}" if known else ""
    found = interval(gate.get("low"), gate.get("high"), digits)
    harm = f"{number(gate.get('estimate'), digits)} {found}".strip()
    cells = (
        f"**{gate['state']}**" if counts(gate) else str(gate["state"]),
        name(called),
        mean(gate.get("baseline"), digits),
        mean(gate.get("candidate"), digits),
        f"{harm}{unit}".replace("-", "−"),
        bound(gate, digits),
        said("; ".join(filter(None, (standing(gate), gate.get("why"), *_chances(gate, power))))),
    )
    return f"| {' | '.join(cells)} |"


def _chances(gate: Mapping[str, Any], power: float | None) -> Iterator[str]:
    if gate.get("p_holm") is not None:
        yield f"p {gate['p_holm']:.3g} (Holm)"
    if power is not None:
        yield f"power {100 * power:.0f} %"


def _folded(title: str, rows: Sequence[Requirement], verdict: Mapping[str, Any]) -> str:
    if not rows:
        return ""
    count = f"{len(rows)} row{'s' * (len(rows) != 1)}"
    return _details(f"{count} {title}", [_table(rows, verdict)])


def _sliced(blocks: Sequence[Block], verdict: Mapping[str, Any]) -> str:
    if not blocks:
        return ""
    parts: list[str] = []
    for block in blocks:
        parts += [f"{name(block.metric)} by tag", _lined("tag", block.rows, verdict)]
    rows = sum(len(block.rows) for block in blocks)
    return _details(f"{rows} slice{'s' * (rows != 1)}, not counted", parts)


def _details(summary: str, parts: Iterable[str]) -> str:
    return "\n\n".join([f"<details><summary>{summary}</summary>", *parts, "</details>"])


def _lines(title: str, texts: Iterable[object]) -> str:
    found = list(texts)
    lines = [f"- {said(text)}" for text in found[:MAX_LINES]]
    if len(found) > MAX_LINES:
        lines.append(f"- and {len(found) - MAX_LINES} more, see verdict.json")
    return "\n".join([f"**{title}**", "", *lines]) if lines else ""


def _lost(row: Mapping[str, Any]) -> str:
    return f"{row['sample']} seed {row['seed']}: {row.get('why') or 'no picture'}"


def _open(one: Open) -> str:
    would = f"{one.needs} pictures would settle it" if one.needs else "no number of pictures would"
    time = "" if one.seconds is None else f" ({duration(one.seconds)} of decoding)"
    return f"{one.name}: {one.have} pictures, {would}{time}"


def _changed(view: View) -> str:
    """What is not as it was in the baseline."""
    changes = view.scope.changes
    if changes is None and view.verdict["baseline"] and view.name:
        return "What changed since the baseline is not known: its run folder is not at hand."
    if not changes:
        return ""
    lines = [f"- {said(one.what)}: {said(one.before)} → {said(one.now)}" for one in changes]
    more = [f"- and {view.scope.more} more"] if view.scope.more else []
    plural = "s" * (len(lines) + view.scope.more != 1)
    title = f"{len(lines) + view.scope.more} change{plural} since the baseline"
    return _details(title, ["\n".join([*lines, *more])])


def _again(view: View) -> str:
    """How to repeat it, and what must come out."""
    verdict = view.verdict
    marks = {
        "plan": verdict["candidate"].get("plan"),
        "baseline": (verdict["baseline"] or {}).get("content"),
        "verdict.json": view.stamp,
    }
    found = [f"{what} {name(str(mark)[:12])}" for what, mark in marks.items() if mark]
    lines = ["**Reproduce**", *(["", " · ".join(found)] if found else [])]
    if view.record.get("command"):
        command = visible(shlex.join(map(str, view.record["command"])))
        lines += ["", f"<pre>{html.escape(command, quote=False)}</pre>"]
    return "\n".join(lines) if len(lines) > 1 else ""
