"""A comparison's page and table: all arms named, what differs marked, nothing printed can act."""

import base64
import hashlib
import io
import re
from dataclasses import replace
from urllib.parse import unquote

import pandas as pd
import pytest
from markupsafe import Markup
from pages import Page
from rich.console import Console
from sidebyside import IDS, USE, compared, made
from verdicts import HOSTILE

from qa import files
from qa.results import load
from reports import compare
from reports.compare import render, write
from reports.comparing import lines, table

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
"""Where a licence may name its author's page."""
REMOTE = re.compile(r"https?://|<script[^>]+src|<link|@import|url\((?!#)|<iframe", re.IGNORECASE)


@pytest.fixture
def arms(tmp_path):
    """A, a better one, and a worse one."""
    biases = {"pid": 1.0, "vae": 0.0, "jpeg": 2.0}
    return [made(tmp_path / name, bias=bias) for name, bias in biases.items()]


def page_of(*arms, home=None):
    document = compared(*arms)
    return Page(render(document, arms, home or arms[0].folder.path))


def printed(document, width=80, **options):
    file = io.StringIO()
    Console(file=file, width=width, **options).print(table(document))
    return file.getvalue()


def test_the_page_needs_nothing_from_outside_and_allows_only_its_own_texts(arms):
    text = render(compared(*arms), arms, arms[0].folder.path)
    assert not REMOTE.search(COMMENT.sub("", text))
    assert REMOTE.search(text.replace("<title>", "<link rel=stylesheet><title>"))  # can fail
    page = Page(text)
    assert all(image["src"].startswith("data:image/webp;base64,") for image in page.all("img"))
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    for tag in ("style", "script"):
        inner = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r'<[^>]+\s(style|onclick|onerror|onload)="', text)
    names = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(names) == len(set(names))


def test_every_arm_and_every_verdict_is_named(arms):
    page = page_of(*arms)
    assert [tag["id"] for tag in page.all("h3") if tag.get("id", "").startswith("against")] == [
        "against-B", "against-C",
    ]  # fmt: skip
    for said in ("A pid against B vae", "A pid against C jpeg", "run mini-pid", "Apache-2.0"):
        assert said in page.text
    document = compared(*arms)
    assert [verdict["state"] for verdict in document["verdicts"]] == ["FAIL", "IMPROVED"]
    for verdict in document["verdicts"]:
        assert verdict["summary"] in page.text
    assert page.all("section")[0]["class"] == "verdict FAIL"
    forests = [f for f in page.all("figure") if f.get("aria-label", "").startswith("Forest plot")]
    assert len(forests) == 2


def cells(text):
    """Rows of the table of metrics: name and what its cells say."""
    table = text[text.index('id="metrics"') :].partition("</table>")[0]
    rows = [Page(row) for row in table.split("<tr")[2:]]
    return {row.texts[1]: [Page(cell) for cell in part.split("<td")[1:]]
            for row, part in zip(rows, table.split("<tr")[2:], strict=True)}  # fmt: skip


def test_the_best_value_is_marked_by_more_than_colour(arms):
    found = cells(render(compared(*arms), arms, arms[0].folder.path))
    best = {name: ["▸" in cell.text for cell in row] for name, row in found.items()}
    assert best == {"psnr": [False, True, False], "lpips": [False, True, False]}
    turned = cells(render(compared(*arms[::-1]), arms[::-1], arms[0].folder.path))
    assert ["▸" in cell.text for cell in turned["psnr"]] == [False, True, False]
    same = cells(render(compared(arms[0], arms[0]), [arms[0]] * 2, arms[0].folder.path))
    assert not any("▸" in cell.text for row in same.values() for cell in row)


def other_protocol(arm, metric):
    record = arm.folder.record()
    record["facts"][metric]["fingerprint"] = "0" * 16
    files.write_json(arm.folder.record_file, record)
    return load(arm.folder.path)


def test_values_of_another_protocol_are_marked_and_never_the_best(arms):
    pid, vae, jpeg = arms
    document = compared(pid, other_protocol(vae, "psnr"), jpeg)
    text = render(document, arms, pid.folder.path)
    found = cells(text)
    assert ["≠" in cell.text for cell in found["psnr"]] == [False, True, False]
    assert ["▸" in cell.text for cell in found["psnr"]] == [True, False, False]
    assert not any("≠" in cell.text for cell in found["lpips"])
    assert "fingerprint of psnr" in Page(text).text
    assert "≠ B fingerprint of psnr" in " ".join(printed(document).split())
    alike = cells(render(compared(pid, jpeg), [pid, jpeg], pid.folder.path))
    assert not any("≠" in cell.text for row in alike.values() for cell in row)


def test_an_arm_of_other_pictures_is_marked_everywhere_and_has_no_scatter(arms, tmp_path):
    cut = made(tmp_path / "cut", IDS[:4])
    text = render(compared(arms[0], cut, arms[1]), [arms[0], cut, arms[1]], arms[0].folder.path)
    for row in cells(text).values():
        assert ["≠" in cell.text for cell in row] == [False, True, False]
    scatters = text[text.index('<h2 id="scatter"') :].partition('<h2 id="worst"')[0]
    assert "against C vae" in scatters.replace("<bdi>", "").replace("</bdi>", "")
    assert "against B cut" not in scatters.replace("<bdi>", "").replace("</bdi>", "")
    assert "samples: 2 only in the candidate" in Page(text).text


def test_texts_of_others_are_only_texts(tmp_path):
    ids = [HOSTILE, "b", "c"]
    record = {"licence": HOSTILE, "suite": HOSTILE, "notes": [HOSTILE]}
    arms = [
        made(tmp_path / "x", ids, HOSTILE, bias=1.0, prompts={HOSTILE: HOSTILE}, record=record),
        made(tmp_path / "y", ids, HOSTILE + "2", record=record),
    ]
    text = render(compared(*arms), arms, tmp_path / "x")
    page = Page(text)
    assert "<b>|`*_[x](y)" in page.text
    assert HOSTILE[:5] not in text, "markup is escaped"
    assert HOSTILE[:5] in render(  # can fail
        compared(*arms) | {"use_case": Markup(HOSTILE)}, arms, tmp_path / "x"
    )
    for unseen in ("\x1b", "\u202e"):
        assert unseen in HOSTILE
        assert unseen not in text
        assert unseen not in printed(compared(*arms))
    assert "<U+202E>" in page.text


def test_the_worst_pictures_stand_in_all_arms_at_one_seed(arms):
    page = page_of(*arms)
    panes = [f for f in page.all("figure") if f.get("class") == "pane"]
    assert [pane["data-kind"] for pane in panes[:4]] == ["reference", "candidate", "arm-B", "arm-C"]
    alts = [image["alt"] for image in page.all("img")]
    assert len(set(alts)) == len(alts)
    worst = next(alt for alt in alts if alt.startswith("A pid"))
    seed, sample = re.match(r"A pid, seed (\d): (.)", worst).groups()
    assert seed == "1", "by construction the last seed is the worst"
    assert {f"B vae, seed 1: {sample}", f"C jpeg, seed 1: {sample}"} <= set(alts)


def test_pictures_are_few_however_many_there_are(tmp_path, monkeypatch):
    ids = [f"p{number:02d}" for number in range(40)]
    arms = [made(tmp_path / name, ids, seeds=1, bias=bias) for name, bias in (("x", 1.0), ("y", 0))]
    page = page_of(*arms)
    whole = len(page.all("article"))
    assert 2 < whole <= compare.MAX_CASES
    assert len(page.all("img")) <= 2 * 3 * compare.MAX_CASES
    monkeypatch.setattr(compare, "MAX_CASES", 2)
    page = page_of(*arms)
    assert len(page.all("article")) == 2
    assert len(page.all("img")) == 2 * 2 * 3, "reference and two arms, whole and their windows"


def test_a_missing_picture_is_named_with_its_reason(arms, tmp_path):
    before = page_of(*arms)
    assert "has no picture" not in before.text
    lost = made(tmp_path / "lost", failed={(name, 1) for name in IDS})
    gone = arms[1]
    for name in IDS:
        gone.folder.picture_file(name, 1).unlink()
    page = page_of(arms[0], gone, lost)
    assert "B has no picture of seed 1: its file is missing or damaged" in page.text
    assert "C has no picture of seed 1: out of memory" in page.text


def test_tables_have_no_pictures_and_no_cost(arms, tmp_path):
    bare = []
    for arm in arms:
        arm.stored.scores().to_csv(tmp_path / f"{arm.name}.csv", index=False)
        bare.append(load(tmp_path / f"{arm.name}.csv"))
    page = page_of(*bare, home=tmp_path)
    assert page.all("img") == []
    assert "Cost of the decodes" not in page.text
    assert "a table of scores" in page.text
    mixed = page_of(bare[0], arms[1], home=tmp_path)
    assert "A has no picture of seed 1" in mixed.text
    assert "Cost of the decodes" in mixed.text


def test_links_lead_to_pictures_of_the_first_arm_wherever_the_page_lies(arms, tmp_path):
    file = write(compared(*arms), arms, tmp_path / "pages" / "x.html")
    links = [a["href"] for a in Page(file.read_text()).all("a") if not a["href"].startswith("#")]
    assert len(links) >= 4
    own = arms[0].folder.path.resolve()
    for link in links:
        target = (file.parent / unquote(link)).resolve()
        assert target.is_file()
        assert own in target.parents


def test_fronts_are_drawn_and_said(arms):
    text = render(compared(*arms), arms, arms[0].folder.path)
    page = Page(text)
    assert "On the front: B. Beaten: A, C." in page.text
    assert "psnr , dB : higher is better" in page.text
    assert "lpips : lower is better, so lower values stand higher" in page.text
    assert "seconds a picture: lower is better" in page.text
    marks = re.findall(r'class="p-mark( hollow)?"', text[text.index('id="fronts"') :])
    assert (marks.count(""), marks.count(" hollow")) == (1 + 2, 1 + 4), "the legend has one of each"


def test_equal_arms_give_equal_bytes(arms):
    document = compared(*arms)
    home = arms[0].folder.path
    assert render(document, arms, home) == render(document, arms, home)
    assert render(document, arms, home) != render(compared(*arms[:2]), arms[:2], home)


def test_the_table_has_what_counts_first_and_every_number_whole(arms):
    document = compared(*arms)
    text = printed(document)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text.replace("(…)", "")
    rows = lines(document)
    assert [row.name for row in rows] == ["psnr", "lpips"]
    assert [row.judged for row in rows] == [True, False]
    psnr, harm = text[text.index("psnr dB") :].splitlines()[:2]
    assert psnr.split() == "psnr dB 28.475 29.475 FAIL 27.475 IMPROVED".split()
    estimates = [gate["estimate"] for verdict in document["verdicts"] for gate in verdict["gates"]
                 if gate["metric"] == "psnr"]  # fmt: skip
    assert [
        float(word) for word in harm.split() if not word.startswith("[") and "]" not in word
    ] == (pytest.approx(estimates, abs=0.01))
    last = text.rstrip().splitlines()[-2:]
    for line, letter, verdict in zip(last, "BC", document["verdicts"], strict=True):
        assert line == f"{letter}  {verdict['state']}  {verdict['summary']}"


@pytest.mark.parametrize("width", [79, 60, 44])
def test_the_table_stays_whole_on_narrow_screens(arms, width):
    text = printed(compared(*arms), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text.replace("(…)", "")
    for word in ("28.475", "29.475", "27.475", "FAIL", "IMPROVED"):
        assert word in text


def test_piped_output_has_no_colour_codes_and_a_terminal_has(arms):
    document = compared(*arms)
    assert "\x1b" not in printed(document)
    assert "\x1b[" in printed(document, force_terminal=True, color_system="standard")


def test_a_gate_that_is_no_metric_has_a_line_of_its_own(arms):
    document = compared(*arms)
    tail = dict(document["verdicts"][0]["gates"][0], gate="tail", metric="catastrophe",
                candidate=0.25, baseline=None)  # fmt: skip
    cost = dict(tail, gate="cost", metric="latency_median", candidate=0.5, baseline=0.25)
    for verdict in document["verdicts"]:
        verdict["gates"] = [*verdict["gates"], tail, cost]
    values = {row.name: [cell.value for cell in row.cells] for row in lines(document)}
    assert values["tail"] == [None, None, None], "a share against one arm is no arm's own"
    assert values["cost latency_median"] == [0.5, 0.25, 0.25]
    document["verdicts"][1]["gates"][-1] = cost | {"candidate": 0.6}
    values = {row.name: [cell.value for cell in row.cells] for row in lines(document)}
    assert values["cost latency_median"] == [None, 0.25, 0.25]


def test_a_metric_of_one_arm_alone_is_shown(arms):
    extra = arms[1]
    scores = extra.stored.scores()
    own = scores[scores["metric"] == "psnr"].assign(metric="own")
    both = replace(extra, scores=pd.concat([scores, own]))
    document = compared(arms[0], both, use=USE)
    line = next(row for row in lines(document) if row.name == "own")
    assert [cell.value is None for cell in line.cells] == [True, False]
    assert not any(cell.best for cell in line.cells)


def test_rendering_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, reports.compare; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
