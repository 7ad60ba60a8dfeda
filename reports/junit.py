"""A verdict as JUnit XML: what CI systems show beside unit tests.

    FAIL         <failure>     red, and only this
    INVALID      <error>       red: the harness could not compare
    INCONCLUSIVE <skipped>     with what would settle it
    waived, secondary          <skipped> with the state and the reason, or plain where they passed

Harm, interval and margin of a gate are its <properties>. The elements and their order are those of
the schema that Jenkins publishes for its JUnit reports; properties of a test case, which that
schema left out and every reader accepts, come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as xml

from qa.outcomes import Check, checks
from reports.view import View
from reports.wording import footnotes, sentence, visible

ELEMENTS = {"failed": "failure", "broken": "error", "skipped": "skipped", "waived": "skipped"}
ABOUT = ("suite", "decoder", "plan", "licence", "environment")


def render(view: View) -> str:
    """The document as text."""
    verdict, record = view.verdict, view.record
    found = checks(verdict)
    tags = [ELEMENTS.get(check.kind) for check in found]
    counts = {
        "tests": len(found),
        "failures": tags.count("failure"),
        "errors": tags.count("error"),
        "skipped": tags.count("skipped"),
    }
    numbers = {name: str(value) for name, value in counts.items()} | {"time": "0"}
    candidate = verdict["candidate"]
    name = f"decoder-qa {candidate.get('suite') or candidate.get('name')}"
    root = xml.Element("testsuites", {"name": "decoder-qa", **numbers})
    suite = xml.SubElement(root, "testsuite", {"name": visible(name), **numbers})
    if record.get("finished"):
        suite.set("timestamp", visible(str(record["finished"])))
    _properties(suite, _about(view))
    for check in found:
        _case(suite, check, candidate)
    said = [f"{verdict['state']}  {sentence(verdict)}", *map(": ".join, footnotes(verdict))]
    xml.SubElement(suite, "system-out").text = visible("\n".join(said))
    if verdict["problems"]:
        xml.SubElement(suite, "system-err").text = visible("\n".join(verdict["problems"]))
    xml.indent(root, " ")
    text = xml.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _about(view: View) -> dict[str, str]:
    verdict, signature = view.verdict, view.decision.signature
    found: dict[str, Any] = {"proposed": view.decision.proposed}
    if signature is not None:
        said = "decision" if signature.holds else "decision_that_no_longer_holds"
        found |= {said: signature.decision, "signed_by": signature.by}
    found |= {key: verdict.get(key) for key in ("state", "exit_code", "policy", "use_case")}
    for arm in ("candidate", "baseline"):
        described = verdict[arm] or {}
        found |= {f"{arm}.{key}": described.get(key) for key in ABOUT}
    found["command"] = " ".join(map(str, view.record.get("command") or ()))
    return {key: str(value) for key, value in found.items() if value not in (None, "")}


def _properties(parent: xml.Element, values: Mapping[str, str]) -> None:
    if values:
        group = xml.SubElement(parent, "properties")
        for name, value in values.items():
            xml.SubElement(group, "property", {"name": name, "value": visible(value)})


def _case(suite: xml.Element, check: Check, candidate: Mapping[str, Any]) -> None:
    owner = candidate.get("decoder") or candidate.get("name") or "decoder-qa"
    names = {"classname": f"{owner}.{check.gate}", "name": check.name}
    case = xml.SubElement(
        suite, "testcase", {key: visible(str(name)) for key, name in names.items()} | {"time": "0"}
    )
    _properties(case, check.properties)
    if check.kind == "passed":
        if check.message:
            xml.SubElement(case, "system-out").text = visible(check.message)
        return
    attributes = {"message": visible(check.message)}
    if check.kind in ("failed", "broken"):
        attributes["type"] = check.properties.get("state", check.kind)
    xml.SubElement(case, ELEMENTS[check.kind], attributes).text = visible(check.details)
