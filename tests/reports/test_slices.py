"""Slices stand apart from the gates in every report, with whole names, and are never red."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as xml

import pytest
import verdicts
from markdown_it import MarkdownIt
from rich.console import Console
from rich.text import Text

from qa import files
from qa.store import RunFolder
from reports import html, junit, markdown, slices, terminal
from reports.view import of
from reports.wording import BREAKS

TAGS = ("cap_06", "two_object", "mean of slices")
LONG = "a_rather_long_tag_" * 9
NASTY = ("<script>alert(1)</script>", "[red]x[/red]", "x]|`*_\n# @team", "\x1b[31m\u202e", LONG,
         "W" * 150)  # fmt: skip


def sliced(metric="psnr", tags=TAGS, **changes):
    return [
        verdicts.secondary(
            f"{metric}[{tag}]", "FAIL", gate="slices", worst=[], why="lost", **changes
        )
        for tag in tags
    ]


def document(*metrics, tags=TAGS):
    rows = [verdicts.gate("psnr", worst=[])]
    for metric in metrics or ("psnr",):
        rows += sliced(metric, tags)
    return verdicts.verdict("PASS", *rows)


def printed(found, width=80):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(terminal.table(found))
    return console.export_text()


class Texts(HTMLParser):
    """All texts of a page, places to break taken out, and its tags."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.tags = [""], []
        self.feed(page.replace("<wbr>", ""))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def page(tmp_path):
    def shown(found):
        run = RunFolder(tmp_path / "run")
        run.write_samples([])
        files.write_json(run.record_file, {"schema": "decoder-qa/record/1"})
        files.write_json(run.verdict_file, found)
        return html.render(run)

    return shown


def test_slices_become_a_block_for_each_metric_in_the_verdicts_order():
    others, blocks = slices.split(document("psnr", "ssim")["gates"])
    assert [gate["metric"] for gate in others] == ["psnr"]
    assert [block.metric for block in blocks] == ["psnr", "ssim"]
    assert [tuple(tag for tag, _ in block.rows) for block in blocks] == [TAGS, TAGS]
    (odd,) = slices.split(sliced(tags=["a[b]", "a \n b"]))[1]
    assert [tag for tag, _ in odd.rows] == ["a[b]", "a b"]
    assert slices.split([verdicts.gate("psnr[x]")])[1] == [], "the gate decides, not the name"


def test_the_terminal_shows_gates_first_then_tags_below_their_metric():
    lines = [line.rstrip() for line in printed(document("psnr", "ssim"), 100).splitlines()]
    first = [re.split(r"  +", line)[0] for line in lines[1:]]
    assert first[:9] == ["metric", "psnr dB", "", "psnr by tag, dB", *TAGS, "", "ssim by tag, dB"]
    assert all("(FAIL)" in line for line in lines[5:8])
    ends = {line.index("1.08 [0.91, 1.25]") for line in lines if "1.08 [" in line}
    assert len(ends) == 1, "numbers of slices stand below those of the gates"
    assert "by tag" not in printed(verdicts.verdict("PASS", verdicts.gate("psnr")))


@pytest.mark.parametrize("width", [46, 60, 80, 120])
@pytest.mark.parametrize("metric", ["psnr", "confidently_wrong_words_by_reader"])
def test_names_are_whole_at_every_width(width, metric):
    text = printed(document(metric, tags=(*TAGS, LONG)), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text.replace("(…)", "")
    assert f"{metric} by tag, dB" in text or width < len(metric) + len(" by tag, dB")
    first = "".join(re.split(r"  +", line)[0] for line in text.splitlines())
    assert LONG in first
    assert text.count("1.08 [0.91, 1.25]") == 5


def test_names_break_where_words_end():
    def lines(name, width):
        return terminal.broken(Text(name), width).plain.split("\n")

    assert lines("unreadable_words", 12) == ["unreadable_", "words"]
    assert lines("unreadable_words", 16) == ["unreadable_words"]
    assert lines("psnr[mean of slices]", 12) == ["psnr[mean of", "slices]"]
    assert lines("wrong_words[cap_06]", 12) == ["wrong_words", "[cap_06]"]
    assert lines("[x]" + "y" * 20, 12) == ["[x]" + "y" * 20], "left for its column to fold"
    for name in ("_a__b[c][", "[", "_", " a  b "):
        assert "".join(BREAKS.split(name)) == name


def test_markdown_folds_slices_apart_from_what_is_not_counted():
    found = document("psnr", "ssim")
    found["gates"].append(verdicts.secondary("lpips"))
    source = markdown.render(of(found, {}))
    assert source.count("<details>") == source.count("</details>") == 2
    aside, own = re.findall(r"<details>.*?</details>", source, re.DOTALL)
    assert "1 row not counted" in aside
    assert "psnr" not in aside
    assert "6 slices, not counted" in own
    shown = Texts(MarkdownIt("commonmark").enable("table").render(own)).texts
    names = [text for text in shown if text in (*TAGS, "psnr", "ssim")]
    assert names == ["psnr", *TAGS, "ssim", *TAGS]
    assert "slices" not in markdown.render(of(verdicts.verdict("PASS", verdicts.secondary()), {}))


def test_the_page_has_a_section_of_slices_after_the_gates(page):
    text = page(document("psnr", "ssim"))
    start, end = text.index('id="slices"'), text.index('id="worst"')
    gates, own = text[text.index('id="gates"') : start], text[start:end]
    assert not any(tag in Texts(gates).texts for tag in TAGS)
    assert [said for said in Texts(own).texts if said in (*TAGS, "psnr", "ssim")] == [
        "psnr", *TAGS, "ssim", *TAGS]  # fmt: skip
    assert "25.10 → 24.02, 24 pictures, q 0.04" in own
    assert 'href="#slices"' in text
    assert "two_<wbr>object" in own
    without = page(verdicts.verdict("PASS", verdicts.gate("psnr", worst=[])))
    assert "slices" not in Texts(without[without.index("<body>") :]).texts
    assert 'id="slices"' not in without


def test_slices_without_numbers_or_without_gates_are_shown(page):
    none = dict.fromkeys(("estimate", "low", "high", "margin", "candidate", "baseline"))
    found = verdicts.verdict("INVALID", *sliced(tags=["x"], **none))
    text = page(found)
    assert "no estimate" in text
    assert 'id="gates"' not in text
    assert printed(found).splitlines()[1].startswith("metric")
    assert "1 slice, not counted" in markdown.render(of(found, {}))


@pytest.mark.parametrize("tag", NASTY)
def test_hostile_tags_do_nothing_and_are_whole(page, tag):
    found = document(tags=(tag, "mean of slices"))
    shown = Texts(page(found))
    assert shown.tags.count("script") == 1, "the page's own"
    assert Texts(f"<p>{NASTY[0]}").tags.count("script") == 1, "the check can fail"
    source = markdown.render(of(found, {}))
    marks = Texts(MarkdownIt("commonmark").enable("table").render(source)).tags
    assert {"script", "img", "a", "h1", "em"}.isdisjoint(marks)
    text = printed(found)
    for said in (page(found), source, text):
        assert "\x1b" not in said
        assert "\u202e" not in said
    whole = " ".join(tag.replace("\x1b", "<U+001B>").replace("\u202e", "<U+202E>").split())
    assert whole in shown.texts
    folded = "".join(re.split(r"  +", line)[0] for line in text.splitlines())
    assert whole.replace(" ", "") in folded.replace(" ", "")


def test_a_slice_is_never_red():
    suite = xml.fromstring(junit.render(of(document(), {})))
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert cases["psnr[two_object]"].find("skipped") is not None
    assert not list(suite.iter("failure"))
