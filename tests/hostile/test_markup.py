"""Foreign text (ids, prompts, tags, OCR text) is text wherever a run shows it, and nothing more."""

from __future__ import annotations

import re
import xml.etree.ElementTree as xml

from hostile_files import TEXTS
from verdicts import HOSTILE

from reports.wording import visible

RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What moves a cursor, colours or turns text around."""


def test_terminals_get_text_only(shown):
    _, out, err = shown
    assert "gone.png" in out + err or "INVALID" in out, "negative control: the run is shown"
    assert RAW.search(TEXTS["id"]), "negative control: it would be found"
    assert not RAW.search(out + err)
    assert "[bold red]x[/]" in " ".join(out.split()) or "[bold" in out


def test_markdown_holds_no_markup_of_others(shown):
    place, *_ = shown
    text = (place / "md.out").read_text()
    assert len(text) > 500
    assert not RAW.search(text)
    for tag in ("<b>", "<img", "</script"):
        assert tag not in text
    assert "](y)" not in text.replace("\\]", "")


def test_junit_is_xml_with_texts(shown):
    place, *_ = shown
    root = xml.parse(place / "junit.out").getroot()
    texts = [element.text or "" for element in root.iter()]
    texts += [value for element in root.iter() for value in element.attrib.values()]
    assert root.iter("testcase")
    assert not any(RAW.search(text) for text in texts)
    assert {element.tag for element in root.iter()} <= {
        "testsuites", "testsuite", "testcase", "properties", "property", "failure", "error",
        "skipped", "system-out", "system-err",
    }  # fmt: skip


def test_pages_hold_no_tags_of_others(shown):
    place, *_ = shown
    pages = [f for f in (place / "made").rglob("*.html")]
    assert pages
    for page in pages:
        text = page.read_text()
        assert "<img src=x" not in text
        assert "<b>|" not in text
        assert "<b>OCR" not in text
        assert "Content-Security-Policy" in text


def test_mlflow_gets_text_only(shown):
    from mlflow import MlflowClient

    place, *_ = shown
    client = MlflowClient(f"sqlite:///{place}/m.db")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert runs
    for one in runs:
        told = {**one.data.tags, **one.data.params, "name": one.info.run_name}
        for key, value in told.items():
            assert not RAW.search(key + str(value)), key
        note = told.get("mlflow.note.content", "")
        assert "<b>" not in note
        assert "<img" not in note


def test_negative_control_without_visible_the_terminal_is_moved(shown, monkeypatch):
    """What `reports.wording.visible` is for: rich passes control characters of a cell on."""
    import io

    from rich.console import Console
    from rich.text import Text

    def printed(text: str) -> str:
        stream = io.StringIO()
        Console(file=stream, width=200).print(Text(text))
        return stream.getvalue()

    assert not RAW.search(printed(visible(HOSTILE)))
    assert RAW.search(printed(HOSTILE))


def test_references_in_texts_are_not_resolved(shown):
    """A region's text that reads like a reference of a configuration stays what it is."""
    place, *_ = shown
    kept = "".join(f.read_text() for f in (place / "made").glob("samples.json*"))
    assert "${oc.env:HOME}" in kept
