"""The Markdown of a pull request: complete, and foreign text in it does nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from verdicts import HOSTILE, gate, secondary, tail, verdict, waived

from qa.signature import Signature
from reports import markdown
from reports.markdown import MARKER, said
from reports.view import of

RECORD = {"command": ["qa", "run", "decoder=shifted", "suite=a b"]}


def render(document, record=None, **known):
    return markdown.render(of(document, record or {}, **known))


class Page(HTMLParser):
    """What a code host makes of it: tags, table cells by row, texts outside `code` and `pre`."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.rows, self.texts, self.all = [], [], [], []
        self._open = []
        self.feed(MarkdownIt("commonmark").enable("table").render(source))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        self.all.append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data
        if not {"code", "pre"} & set(self._open):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.all).split())


ROWS = [gate("psnr", "FAIL"), gate("lpips", "INCONCLUSIVE"), secondary(), waived(), tail()]


def test_verdict_first_then_every_row_that_counts():
    source = render(verdict("FAIL", *ROWS), RECORD, stamp="0123456789abcdef")
    page = Page(source)
    assert source.splitlines()[0].startswith(MARKER.split("{")[0])
    assert source.splitlines()[2].startswith("### FAIL · ")
    assert "FAIL summary of FAIL." in page.text
    assert [row[:2] for row in page.rows] == [
        ["verdict", "gate"], ["FAIL", "psnr"], ["INCONCLUSIVE", "lpips"],
        ["verdict", "gate"], ["FAIL", "ssim"], ["FAIL", "gmsd"],
        ["INCONCLUSIVE", "tail"],
    ]  # fmt: skip
    assert page.rows[1][2:6] == ["25.10", "24.02", "1.08 [0.91, 1.25] dB", "1.00"]
    assert "waived until 2027-01-31 by Ada: known, mended in 2.1" in page.text
    assert page.tags.count("details") == 1
    assert "qa run decoder=shifted 'suite=a b'" in page.text
    assert "verdict.json 0123456789ab" in page.text


def test_what_stands_beside_the_verdict_is_said():
    look = {"number": 1, "of": 3, "pictures": 48, "planned": 192, "alpha": 0.0232, "spent": 0.0232,
            "next": 96, "history": []}  # fmt: skip
    drift = {"psnr": {"before": 0.03, "now": 0.02, "spent": 0.05, "budget": 0.2},
             "ssim": {"before": 0.0, "now": 0.0, "spent": 0.0, "budget": 0.005}}  # fmt: skip
    document = verdict("PASS-DRIFT", look=look, drift=drift, warnings=["another class"])
    text = Page(render(document)).text
    assert "1 of 3: 48 of 192 pictures, one-sided alpha 0.0232" in text
    assert "drift: psnr 0.05 of 0.20 dB spent" in text
    assert "ssim" not in text
    assert "warning: another class" in text


def test_problems_and_failures_are_listed_and_bounded():
    lost = [{"sample": f"p{n}", "seed": 0, "why": "out of memory"} for n in range(12)]
    text = Page(render(verdict("INVALID", problems=["seeds: 1 against 2"], failures=lost))).text
    assert "seeds: 1 against 2" in text
    assert "p9 seed 0: out of memory" in text
    assert "p10" not in text
    assert "and 2 more" in text


def hostile(text=HOSTILE):
    arm = {"decoder": text, "suite": text}
    row = gate(text, "FAIL", why=text, unit=text, worst=[{"sample": text, "harm": 1.0}])
    document = verdict(
        "FAIL", row, waived(text), summary=text, problems=[text], warnings=[text], use_case=text,
        failures=[{"sample": text, "seed": 0, "why": text}],
    )  # fmt: skip
    document["candidate"] |= arm
    document["baseline"] |= arm
    return document


def does_something(source):
    """What foreign text would have achieved."""
    page = Page(source)
    ours = {"h3", "p", "strong", "code", "table", "thead", "tbody", "tr", "th", "td", "ul", "li",
            "details", "summary", "span", "pre"}  # fmt: skip
    found = sorted(set(page.tags) - ours)
    found += [text for text in page.texts if re.search(r"@\w|#\d", text)]
    rendered = re.sub(r"<pre>.*?</pre>", "", source, flags=re.DOTALL)  # nothing is linked there
    found += [mark for mark in ("://", "www.", "\x1b", "\u202e") if mark in rendered]
    found += ["columns" for row in page.rows if len(row) != 7]
    return found


@pytest.mark.parametrize(
    "text",
    [HOSTILE, "</code></pre><img src=x>", "`" * 9, "1. one", "- two", "# three", "+ four",
     "a\n\n| b |", "==", "![x](y)", "<!-- x", "\\", "~~~", "    code"],
)  # fmt: skip
def test_foreign_text_formats_links_and_notifies_nothing(text):
    record = {"command": ["qa", "run", f"decoder={text}"]}
    source = render(hostile(text), record)
    assert does_something(source) == []
    assert Page(source).tags.count("h3") == 1
    assert Page(source).tags.count("ol") == 0


def test_the_check_for_foreign_text_can_fail():
    for planted in ("a @team", "see #12", "[x](y)", "<img src=x>", "https://evil.example", "*x*"):
        assert does_something(f"- {planted}\n"), planted


@pytest.mark.parametrize(
    "text", ["psnr", HOSTILE, "1) x", "0.25 [0.1, 0.3] dB; see a.b", "Ünï × ≥"]
)
def test_what_is_said_reads_as_it_was(text):
    from reports.wording import visible

    page = Page(said(text))
    assert page.text == " ".join(visible(text).split())


def test_ordinary_sentences_stay_readable_in_the_source():
    assert said("3 of 5 gates failed. Worst: psnr, harm 0.25 dB.") == (
        "3 of 5 gates failed. Worst: psnr, harm 0.25 dB."
    )


def test_a_comment_can_be_found_again_by_its_first_line():
    first = [render(verdict(state)).splitlines()[0] for state in ("PASS", "FAIL")]
    assert first[0] == first[1]
    other = verdict("PASS")
    other["candidate"]["decoder"] = "another"
    assert render(other).splitlines()[0] != first[0]


def test_without_a_verdict_it_shows_what_was_measured():
    row = {"metric": HOSTILE, "mean": 31.25, "low": 30.5, "high": 32.0, "count": 24, "missing": 2,
           "unit": "dB", "why": HOSTILE}  # fmt: skip
    page = Page(render(verdict("MEASURED", gates=[], metrics=[row], baseline=None)))
    head, (name, value, count, why) = page.rows
    assert head == ["metric", "mean [90 % interval]", "pictures", ""]
    assert name == why  # a code element and a sentence show the same text
    assert "evil.example" in name
    assert re.match(r"31\.\d+ \[30\.\d+, 32\.\d+\] dB", value)
    assert count == "24"
    assert not {"a", "b", "img", "em"} & set(page.tags)
    judged = Page(render(verdict("FAIL", *ROWS)))
    assert "pictures" not in judged.rows[0]  # the gates' table says it all


def test_who_decided_is_said_and_what_that_is_worth_now():
    held = Signature(
        "HOLD", "@ada", "later", "2026-11-01T00:00:00+00:00", "SHIP", "PASS", "", {}, ()
    )
    text = Page(render(verdict("PASS"))).text
    assert "proposed by the gates, not signed" in text
    text = Page(render(verdict("PASS"), signature=held)).text
    assert "HOLD signed by @ada on 2026-11-01: later" in text
    broken = replace(held, broken="verdict.json changed")
    text = Page(render(verdict("PASS"), signature=broken)).text
    assert "@ada on 2026-11-01 had signed HOLD: later, which no longer holds" in text
    assert "HOLD" in render(verdict("PASS"), signature=broken).splitlines()[6], "it stays held"


def test_power_chance_and_time_stand_beside_the_reason():
    row = gate("psnr", "INCONCLUSIVE", needs=100, p_holm=0.25)
    cost = [{"metric": "seconds_median", "value": 2.0}]
    text = Page(render(verdict("INCONCLUSIVE", row), cost=cost)).text
    seen = of(verdict("INCONCLUSIVE", row), {}).requirements[0].power
    assert f"p 0.25 (Holm); power {100 * seen:.0f} %" in text
    assert "psnr: 24 pictures, 100 pictures would settle it (10 min of decoding)" in text
