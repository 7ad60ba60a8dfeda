"""JUnit XML: the structure that readers agree on, red only where the verdict is."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as xml

import pytest
from verdicts import HOSTILE, gate, secondary, tail, verdict, waived

from qa.signature import Signature
from reports import junit
from reports.view import of

OLD = "decision_that_no_longer_holds"
OUTCOMES = {"failure", "error", "skipped"}
ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "testcase": {"name", "classname", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
    "property": {"name", "value"},
    "properties": set(), "system-out": set(), "system-err": set(),
}  # fmt: skip
CHILDREN = {
    "testsuites": ["testsuite"],
    "testsuite": ["properties", "testcase", "system-out", "system-err"],
    "testcase": ["properties", "skipped", "error", "failure", "system-out", "system-err"],
    "properties": ["property"],
}
"""What the schema of Jenkins' JUnit plugin allows, in its order; see the module's docstring."""


def render(document, record=None):
    return junit.render(of(document, record or {}))


def parsed(*gates, state="PASS", record=None, **changes):
    return xml.fromstring(render(verdict(state, *gates, **changes), record).encode())


def outcome(case):
    found = [child for child in case if child.tag in OUTCOMES]
    assert len(found) <= 1
    return found[0] if found else None


def wrong(root):
    """What a strict reader would refuse."""
    found = []
    for element in root.iter():
        allowed = CHILDREN.get(element.tag, [])
        places = [allowed.index(child.tag) if child.tag in allowed else -1 for child in element]
        if -1 in places or places != sorted(places):
            found.append(f"children of {element.tag}: {[child.tag for child in element]}")
        if set(element.attrib) - ATTRIBUTES.get(element.tag, set()):
            found.append(f"attributes of {element.tag}: {sorted(element.attrib)}")
    for suite in root.iter("testsuite"):
        cases = suite.findall("testcase")
        kinds = [None if outcome(case) is None else outcome(case).tag for case in cases]
        told = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
        counted = (len(cases), *(kinds.count(kind) for kind in ("failure", "error", "skipped")))
        if tuple(told.values()) != counted:
            found.append(f"counts {told} of {counted}")
    return found


ROWS = [
    gate("psnr", "FAIL"), gate("lpips", "INCONCLUSIVE", needs=140), gate("dists", "IMPROVED"),
    gate("flip", "INVALID", estimate=None, low=None, high=None), gate("vif", "PASS-DRIFT"),
    secondary(), waived(), tail(),
]  # fmt: skip


def test_the_structure_is_what_every_reader_takes():
    root = parsed(*ROWS, state="FAIL", record={"finished": "2026-01-01T00:00:00+00:00"})
    assert wrong(root) == []
    assert root.tag == "testsuites"
    # the check can fail
    broken = xml.fromstring(render(verdict("FAIL", *ROWS)))
    broken.find("testsuite").set("tests", "99")
    xml.SubElement(broken.find("testsuite/testcase"), "verdict")
    assert len(wrong(broken)) == 2


def test_red_is_fail_alone_and_the_rest_says_what_it_is():
    cases = {case.get("name"): case for case in parsed(*ROWS, state="FAIL").iter("testcase")}
    tags = {name: getattr(outcome(case), "tag", None) for name, case in cases.items()}
    assert tags == {
        "psnr": "failure", "lpips": "skipped", "dists": None, "flip": "error", "vif": None,
        "ssim": "skipped", "gmsd": "skipped", "catastrophe": "skipped",
    }  # fmt: skip
    assert outcome(cases["psnr"]).get("message") == "FAIL: why of psnr"
    assert outcome(cases["psnr"]).get("type") == "FAIL"
    assert "page_03" in outcome(cases["psnr"]).text
    assert "140 pictures would settle it" in outcome(cases["lpips"]).text
    assert "waived until 2027-01-31 by Ada" in outcome(cases["gmsd"]).get("message")
    assert cases["catastrophe"].get("classname") == "shifted.tail"


def test_properties_carry_harm_interval_and_margin():
    case = next(case for case in parsed(*ROWS, state="FAIL").iter("testcase"))
    values = {entry.get("name"): entry.get("value") for entry in case.find("properties")}
    assert [values[name] for name in ("harm", "low", "high", "margin", "unit")] == [
        "1.0812", "0.9123", "1.2511", "1.0", "dB",
    ]  # fmt: skip
    assert values["confidence"] == "0.9"


def test_the_suite_says_what_was_judged_against_what():
    record = {"finished": "2026-01-01T00:00:00+00:00", "command": ["qa", "run", "suite=a b"]}
    suite = parsed(record=record, warnings=["another class"]).find("testsuite")
    values = {entry.get("name"): entry.get("value") for entry in suite.find("properties")}
    assert (values["candidate.decoder"], values["baseline.decoder"]) == ("shifted", "vae_mini")
    assert (values["policy"], values["exit_code"]) == ("pr", "0")
    assert suite.get("timestamp") == record["finished"]
    assert "warning: another class" in suite.find("system-out").text


@pytest.mark.parametrize("state", ["PASS", "FAIL", "INCONCLUSIVE", "INVALID"])
def test_hostile_names_stay_text(state):
    rows = [gate(HOSTILE, state, why=HOSTILE, margin_why=HOSTILE, unit=HOSTILE,
                 worst=[{"sample": HOSTILE + "\uffff\ud800", "harm": 1.0}])]  # fmt: skip
    root = parsed(*rows, state=state, summary=HOSTILE, problems=[HOSTILE], warnings=[HOSTILE])
    assert wrong(root) == []
    names = [case.get("name") for case in root.iter("testcase")]
    assert any(
        name.startswith("<b>|`*_[x](y)") and "<U+001B>[31m<U+202E>" in name for name in names
    )


def test_problems_and_missing_pictures_are_errors():
    root = parsed(gate("psnr", "INVALID"), state="INVALID", problems=["seeds: 1 against 2"])
    assert root.get("errors") == "2"
    assert root.find("testsuite/system-err").text == "seeds: 1 against 2"
    lost = [{"sample": "a", "seed": 0, "why": "out of memory"}]
    root = parsed(state="INVALID", gates=[], baseline=None, failures=lost)
    assert (root.get("tests"), root.get("errors")) == ("1", "1")
    assert "out of memory" in root.find("testsuite/testcase/error").text


def test_equal_verdicts_give_equal_bytes():
    assert render(verdict("FAIL", *ROWS)) == render(verdict("FAIL", *ROWS))


def test_a_decision_is_one_only_while_its_signature_holds():
    def told(**known):
        root = xml.fromstring(junit.render(of(verdict("PASS", gate()), {}, **known)).encode())
        found = {p.get("name"): p.get("value") for p in root.find("testsuite/properties")}
        return {key: found.get(key) for key in ("decision", "signed_by", OLD)}

    signed = Signature("SHIP", "Ada", "", "2026-11-01T00:00:00+00:00", "SHIP", "PASS", "", {}, ())
    broken = replace(signed, broken="verdict.json changed")
    assert told() == {"decision": None, "signed_by": None, OLD: None}
    assert told(signature=signed) == {"decision": "SHIP", "signed_by": "Ada", OLD: None}
    assert told(signature=broken) == {"decision": None, "signed_by": "Ada", OLD: "SHIP"}
