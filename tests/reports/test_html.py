"""The report is one safe, bounded, deterministic file that names what is wrong."""

import base64
import hashlib
import re
import shutil

import pytest
import verdicts
from pages import Page
from runfolders import build, gate, judged
from stored import put_scores

from qa import files
from reports import gallery, html, wording
from reports.html import MAX_PICTURES, render, write

NASTY = "<img src=x onerror=alert(1)>"
PROMPT = 'a sign </script><script>alert(2)</script> & "quotes" \''
WORST = "photo/worst"


@pytest.fixture
def failing(tmp_path):
    ids = ["a", WORST, NASTY]
    run = build(tmp_path / "run", ids, prompts={NASTY: PROMPT})
    return judged(run, "FAIL", [gate("psnr", "FAIL", [WORST, NASTY]), gate("lpips", "PASS", ["a"])])


COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
REMOTE = re.compile(r"https?://|<script[^>]+src|<link|@import|url\((?!#)|<iframe", re.IGNORECASE)


def test_the_page_needs_nothing_from_outside(failing):
    text = COMMENT.sub("", render(failing))  # a licence may name its author's page
    assert not REMOTE.search(text)
    assert REMOTE.search(text.replace("<title>", "<link rel=stylesheet><title>"))  # can fail
    page = Page(text)
    assert all(image["src"].startswith("data:image/webp;base64,") for image in page.all("img"))
    assert len(page.all("img")) > 5
    assert len(page.all("script")) == 1


def test_the_policy_allows_exactly_the_inlined_texts(failing):
    text = render(failing)
    policy = next(m["content"] for m in Page(text).all("meta") if "http-equiv" in m)
    for tag in ("style", "script"):
        inner = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r'<[^>]+\s(style|onclick|onerror|onload)="', text)


def test_markup_in_ids_and_prompts_is_only_text(failing):
    page = Page(render(failing))
    assert NASTY in page.text
    assert "</script><script>alert(2)</script>" in page.text
    assert not [image for image in page.all("img") if image["src"] == "x" or "onerror" in image]
    planted = Page(NASTY)  # the check above can fail
    assert [image for image in planted.all("img") if image["src"] == "x"]


def test_characters_that_reorder_or_break_text_become_visible(tmp_path):
    trick = "ok\u202egnp.exe\x1b[31m"
    run = judged(build(tmp_path / "run", ["a"]), "INVALID", problems=["x"])
    files.write_json(run.verdict_file, run.verdict() | {"problems": [trick]})
    text = write(run).read_text(encoding="utf-8")
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "ok&lt;U+202E&gt;gnp.exe&lt;U+001B&gt;[31m" in text


def test_the_failing_metric_and_the_worst_picture_are_named(failing):
    page = Page(render(failing))
    assert f"worst picture: {WORST} , harm 3.2" in page.text
    assert "psnr" in page.text
    assert "visible from here on" in page.text
    assert "qa run decoder=shifted 'suite=a b'" in page.text
    alts = [image["alt"] for image in page.all("img")]
    assert f"Candidate, seed 1: {WORST}" in alts  # seed 1 scores worse by construction
    assert any(alt.startswith(f"Absolute error map of {WORST}") for alt in alts)
    assert all(alts)


def test_links_lead_to_files_of_the_run_folder(failing):
    from urllib.parse import unquote

    links = [a["href"] for a in Page(render(failing)).all("a") if not a["href"].startswith("#")]
    assert len(links) >= 9
    assert all((failing.path / unquote(link)).is_file() for link in links)


@pytest.mark.parametrize("state", ["PASS", "FAIL", "INCONCLUSIVE", "INVALID", "MEASURED"])
def test_every_state_renders(tmp_path, state):
    run = build(tmp_path / "run", ["a", "b"], failed={("a", 0)})
    empty = dict.fromkeys(("estimate", "low", "high", "candidate", "baseline", "margin"))
    gates = [] if state == "MEASURED" else [
        gate("psnr", state, ["a"], needs=140),
        gate("lpips", state, [], **empty, count=0, missing=2, why="nothing was compared"),
    ]  # fmt: skip
    failures = [{"sample": "a", "seed": 0, "why": "out of memory"}]
    problems = ["seeds: [0] against [0, 1]"] if state == "INVALID" else []
    page = Page(render(judged(run, state, gates, failures, problems)))
    assert page.all("section")[0]["class"] == f"verdict {state}"
    assert f"summary of {state}" in page.text
    assert "out of memory" in page.text
    assert ("seeds: [0] against [0, 1]" in page.text) == (state == "INVALID")
    assert ("140 needed" in page.text) == (state != "MEASURED")


def test_without_references_there_is_no_error_map(tmp_path):
    with_them = judged(build(tmp_path / "a", ["a"]), "MEASURED")
    without = judged(build(tmp_path / "b", ["a"], references=False), "MEASURED")
    assert "Absolute error map of a" in render(with_them)
    text = render(without)
    assert "Absolute error map of a" not in text
    assert "There is no reference picture to compare with." in text


def test_missing_and_damaged_files_do_not_stop_the_report(failing):
    failing.picture_file(WORST, 1).unlink()
    failing.reference_file(NASTY).write_bytes(b"\x89PNG no")
    page = Page(render(failing))
    assert "There is no picture of seed 1: its file is missing or damaged" in page.text
    assert "There is no reference picture to compare with." in page.text


def test_a_run_that_ended_before_any_score_still_reports(tmp_path):
    run = judged(build(tmp_path / "run", ["a"]), "INVALID", problems=["nothing was scored"])
    shutil.rmtree(run.scores_folder.path)
    assert "nothing was scored" in render(run)


def test_the_baseline_adds_its_picture_and_every_harm(tmp_path):
    ids = ["a", "b", "c"]
    base = build(tmp_path / "base", ids)
    run = build(tmp_path / "run", ids, bias=2.0)
    judged(run, "FAIL", [gate("psnr", "FAIL", ["b"])])
    alone, both = Page(render(run)), Page(render(run, base))
    assert "Baseline, seed 1: b" not in [image["alt"] for image in alone.all("img")]
    assert "Baseline, seed 1: b" in [image["alt"] for image in both.all("img")]
    in_table = '<span class="sub">harm 2.0'
    assert render(run, base).count(in_table) == 3
    assert render(run).count(in_table) == 0


def test_licences_and_notes_of_both_arms_are_shown(failing):
    verdict = failing.verdict()
    assert "Apache-2.0" in html.render(failing)
    verdict["candidate"] |= {"licence": "MIT <b>", "notes": ["text features: none", "bfloat16"]}
    verdict["baseline"] |= {"licence": "NSCLv1: NON-COMMERCIAL", "notes": ["4 steps"]}
    files.write_json(failing.verdict_file, verdict)
    page = html.render(failing)
    for said in ("MIT &lt;b&gt;", "NSCLv1: NON-COMMERCIAL", "text features: none", "4 steps"):
        assert said in page


def test_the_dial_that_set_the_knobs_is_named(failing):
    assert "pid_mini-document.yaml" not in render(failing)
    dial = {"file": "pid_mini-document.yaml", "use_case": "document"}
    files.write_json(failing.record_file, failing.record() | {"dial": dial})
    assert "dial.file pid_mini-document.yaml dial.use_case document" in Page(render(failing)).text


def test_the_table_is_sorted_by_harm_and_missing_comes_first(tmp_path):
    ids = ["a", "b", "c"]
    run = build(tmp_path / "run", ids, failed={("b", 1)})
    base = build(tmp_path / "base", ids)
    scores = base.scores()
    scores.loc[(scores["sample"] == "c") & (scores["metric"] == "psnr"), "value"] += 9
    put_scores(base, scores)
    judged(run, "INVALID", [gate("psnr", "INVALID", ["c"])])
    heads = [th["data-key"] for th in Page(render(run, base)).all("th") if "data-key" in th]
    assert heads == ["b", "c", "a"]
    keys = [td["data-key"] for td in Page(render(run, base)).all("td") if "data-key" in td]
    assert keys[:2] == ["Infinity", "Infinity"]  # as JavaScript spells it
    assert max(map(float, keys[2:])) < 10


def test_size_is_bounded_for_many_pictures(tmp_path):
    ids = [f"sample {number:03d}" for number in range(300)]
    run = build(tmp_path / "run", ids, seeds=1, size=64)
    judged(run, "FAIL", [gate("psnr", "FAIL", ids[:5]), gate("lpips", "FAIL", ids[5:10])])
    text = render(run, run)
    page = Page(text)
    assert 30 < len(page.all("img")) <= MAX_PICTURES + 4 * gallery.MOST
    assert len([th for th in page.all("th") if "data-key" in th]) == 300
    assert len(text) < 2_000_000


def test_the_limit_on_pictures_holds_whatever_asks(failing, monkeypatch):
    thumbnails = len(failing.samples())  # of the gallery, which has a limit of its own
    assert len(Page(render(failing)).all("img")) > 3 + thumbnails
    monkeypatch.setattr(html, "MAX_PICTURES", 3)
    assert len(Page(render(failing)).all("img")) == 3 + thumbnails


def test_equal_folders_give_equal_bytes_and_writing_is_atomic(failing):
    first = write(failing).read_bytes()
    assert write(failing.path).read_bytes() == first
    assert not list(failing.path.glob(".part-*"))
    verdict = failing.verdict() | {"summary": "something else"}
    files.write_json(failing.verdict_file, verdict)
    assert write(failing).read_bytes() != first


def test_values_survive_without_intervals_or_unknown_direction(tmp_path):
    run = judged(build(tmp_path / "run", ["only"], seeds=1), "INCONCLUSIVE", [
        gate("psnr", "INCONCLUSIVE", ["only"], low=None, high=None, needs=2)])  # fmt: skip
    verdict = run.verdict()
    verdict["metrics"][0] |= {"better": None, "low": None, "high": None, "fingerprint": None}
    files.write_json(run.verdict_file, verdict)
    assert "2 needed" in Page(render(run)).text


def test_rendering_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, reports.html; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def finer(state, *gates, **changes):
    """A verdict of the second schema over the pictures of a built run."""
    return verdicts.verdict(state, *gates, **changes)


@pytest.mark.parametrize("state", ["IMPROVED", "PASS-DRIFT"])
def test_the_finer_states_have_their_own_shape(tmp_path, state):
    run = build(tmp_path / "run", ["a"])
    files.write_json(run.verdict_file, finer(state, verdicts.gate("psnr", state, worst=[])))
    text = render(run)
    assert Page(text).all("section")[0]["class"] == f"verdict {state}"
    icons = re.findall(r'<svg class="icon ([A-Z-]+)".*?</svg>', text, re.DOTALL)
    assert state in icons
    shapes = {
        name: html._environment().from_string(
            '{% import "_parts.html.j2" as parts %}{{ parts.icon(name) }}'
        ).render(name=name).split(">", 1)[1]
        for name in (*wording.SEVERITY, "MEASURED")
    }  # fmt: skip
    assert len(set(shapes.values())) == len(shapes), "shapes differ, not only colours"


def test_what_does_not_count_is_faded_and_said(tmp_path):
    run = build(tmp_path / "run", ["a", "b"])
    worst = [{"sample": "a", "harm": None, "metric": "psnr", "why": "out of memory"}]
    rows = [
        verdicts.gate("psnr", worst=[]), verdicts.secondary("lpips", worst=[]),
        verdicts.waived("gmsd", worst=[]), dict(verdicts.tail(), worst=worst),
    ]  # fmt: skip
    files.write_json(run.verdict_file, finer("PASS", *rows, warnings=["<b>another</b> class"]))
    page = Page(render(run))
    assert len([tr for tr in page.all("tr") if tr.get("class") == "aside"]) == 3
    assert "waived until 2027-01-31 by Ada: known, mended in 2.1" in page.text
    assert "Waivers, notes and warnings" in page.text
    assert "note tail INCONCLUSIVE does not count: 0 of 24 broken" in page.text
    assert "<b>another</b> class" in page.text
    assert "worst picture: a , out of memory" in page.text
    assert "q 0.04" in page.text
    assert "p 0.02 (Holm)" in page.text
    files.write_json(run.verdict_file, finer("PASS", verdicts.gate("psnr", worst=[])))
    plain = Page(render(run))
    assert not [tr for tr in plain.all("tr") if tr.get("class") == "aside"]
    assert "and warnings" not in plain.text


def test_the_box_says_which_gates_stop_the_run_and_by_how_much(tmp_path):
    run = build(tmp_path / "run", ["a"])
    rows = [verdicts.gate("psnr", "FAIL"), verdicts.gate("ssim"), verdicts.secondary("lpips")]
    files.write_json(run.verdict_file, finer("FAIL", *rows))
    box, _ = render(run).split('id="scope"')
    assert "harm 1.08 [0.91, 1.25], 1.1 × its margin of 1.00" in Page(box).text
    assert box.count("its margin of") == 1
    files.write_json(run.verdict_file, finer("PASS", rows[1]))
    assert "its margin of" not in render(run).split('id="scope"')[0]


def test_look_drift_policy_and_approval_are_shown(tmp_path):
    run = build(tmp_path / "run", ["a"])
    look = {"number": 1, "of": 2, "pictures": 1, "planned": 2, "alpha": 0.0293, "spent": 0.0293,
            "next": 2, "history": []}  # fmt: skip
    drift = {"psnr": {"before": 0.125, "now": 0.25, "spent": 0.375, "budget": 1.0},
             "lpips": {"before": 0.0, "now": 0.0, "spent": 0.0, "budget": 0.5}}  # fmt: skip
    document = finer("PASS-DRIFT", verdicts.gate("psnr", "PASS-DRIFT", worst=[]), look=look,
                     drift=drift, policy="release")  # fmt: skip
    files.write_json(run.verdict_file, document)
    page = Page(render(run))
    assert "1 of 2: 1 of 2 pictures, one-sided alpha 0.0293" in page.text
    assert "extend=2 continues this run" in page.text
    assert (
        "approved by Grace : release 2.0" in page.text or "approved by Grace: release" in page.text
    )
    assert "policy release" in page.text
    assert "Drift from the anchor" in page.text
    heads = [text for text in page.texts if text == "lpips"]
    assert len(heads) < len([text for text in page.texts if text == "psnr"])


def test_gates_without_pictures_take_no_column_of_the_picture_table(tmp_path):
    run = build(tmp_path / "run", ["a", "b"])
    rows = [
        verdicts.gate("psnr", worst=[]), verdicts.tail(),
        verdicts.gate("latency_p95", gate="cost", worst=[]),
        verdicts.gate("level", gate="reproducibility", estimate=None, low=None, high=None,
                      margin=None, candidate=None, baseline=None, worst=[]),
    ]  # fmt: skip
    document = finer("PASS", *rows)
    files.write_json(run.verdict_file, document)
    page = Page(render(run))
    assert [th["data-key"] for th in page.all("th") if "data-key" in th] == ["b", "a"]
    assert "Infinity" not in [td["data-key"] for td in page.all("td") if "data-key" in td]
    assert "latency_p95" in page.text
    assert "reproducibility" not in [svg.get("aria-label") for svg in page.all("svg")]


def test_the_page_may_lie_elsewhere_and_its_links_still_lead_to_the_pictures(failing, tmp_path):
    from urllib.parse import unquote

    file = write(failing, out=tmp_path / "site" / "pages" / "index.html")
    links = [a["href"] for a in Page(file.read_text()).all("a") if not a["href"].startswith("#")]
    assert len(links) >= 9
    assert all((file.parent / unquote(link)).is_file() for link in links)
    assert not failing.report_file.exists()
