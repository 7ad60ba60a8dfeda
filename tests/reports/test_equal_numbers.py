"""One verdict, five forms: HTML, Markdown, JUnit, MLflow and verdict.json say the same numbers."""

from __future__ import annotations

import html as entities
import json
import re
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as xml

import mlflow
import pytest

from qa.commands.report import compared
from qa.run import evaluate
from reports import html, junit, markdown
from reports.view import view

KEYS = ("harm", "low", "high", "margin", "baseline", "candidate")
NUMBER = re.compile(r"[−-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A toy run judged against another, tracked in a store of its own."""
    from toyruns import make_pictures, toy_overrides

    folder = tmp_path_factory.mktemp("equal")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        make_pictures(folder / "pictures", 12)

        def run(name, *more):
            words = toy_overrides(folder / "pictures", "Sampler", "metric=[psnr,ssim,gmsd]", *more)
            return evaluate(*words, f"out={folder / name}").folder

        base = run("base")
        store = ["tracking=mlflow", f"tracking.uri=sqlite:///{folder}/t.db"]
        yield run("worse", *store, f"baseline={base.path}", "+decoder.noise=0.06"), folder


def exact(run):
    """Gate → its numbers, from verdict.json."""
    rows = json.loads(run.verdict_file.read_text(encoding="utf-8"))["gates"]
    assert len(rows) >= 3
    return {
        row["metric"]: {"harm": row["estimate"], **{key: row[key] for key in KEYS[1:]}}
        for row in rows
        if row["gate"] == "regression"
    }


def in_junit(text):
    found = {}
    for case in xml.fromstring(text.encode()).iter("testcase"):
        values = {p.get("name"): p.get("value") for p in case.iter("property")}
        if values.get("gate") == "regression":
            found[case.get("name")] = {key: float(values[key]) for key in KEYS}
    return found


def in_mlflow(folder, run):
    client = mlflow.MlflowClient(f"sqlite:///{folder}/t.db")
    experiment = client.get_experiment_by_name("decoder-qa").experiment_id
    (found,) = [
        one for one in client.search_runs([experiment]) if one.data.tags.get("qa.run") == run.name
    ]
    numbers = found.data.metrics
    names = {key.split("/")[1] for key in numbers if re.fullmatch(r"gate/[^/]+/harm", key)}
    return {
        name: {key: numbers[f"gate/{name}/{key}"] for key in KEYS[:4]}
        for name in names - {"catastrophe"}
    }


def cells(row):
    """The texts of a table's row."""
    found = re.findall(r"<t[dh]\b[^>]*>(.*?)</t[dh]>", row, re.DOTALL)
    return [entities.unescape(re.sub(r"<[^>]+>", " ", cell)) for cell in found]


def in_html(text):
    """Gate → (numbers for machines, numbers as they are shown)."""
    found = {}
    for row in re.findall(r'<tr id="R\d+".*?</tr>', text, re.DOTALL):
        shown = cells(row)
        if "regression" not in shown[1]:
            continue
        baseline, candidate, harm = map(float, re.findall(r'<data value="([^"]+)">', row))
        marked = {"baseline": baseline, "candidate": candidate, "harm": harm}
        values = NUMBER.findall(shown[4])[:3]
        told = [*values, NUMBER.findall(shown[5])[0], shown[2].strip(), shown[3].strip()]
        found[shown[1].split()[0]] = marked, dict(zip(KEYS, told, strict=True))
    return found


def in_markdown(text):
    found = {}
    for line in text.splitlines():
        parts = [entities.unescape(re.sub(r"<[^>]+>", "", part)) for part in line.split("|")]
        if len(parts) == 9 and re.search("PASS|FAIL|IMPROVED|INCONCLUSIVE", parts[1]):
            told = [*NUMBER.findall(parts[5])[:3], NUMBER.findall(parts[6])[0], parts[3], parts[4]]
            found[parts[2].strip()] = dict(zip(KEYS, map(str.strip, told), strict=True))
    return found


def differs(shown, value):
    """Whether a number as it is shown is anything but the value, rounded to its digits."""
    told = Decimal(shown.replace("−", "-"))
    half = Decimal(1).scaleb(told.as_tuple().exponent) / 2
    return abs(told - Decimal(value)) > half * (1 + Decimal("1e-9"))


def test_every_form_says_the_numbers_of_the_verdict(runs):
    run, folder = runs
    wanted = exact(run)
    assert set(wanted) >= {"psnr", "ssim", "gmsd"}
    base, history = compared(run)
    seen = view(run, base)
    assert in_junit(junit.render(seen)) == wanted
    assert in_mlflow(folder, run) == {
        name: {key: row[key] for key in KEYS[:4]} for name, row in wanted.items()
    }
    marked = in_html(html.render(run, base, history=history))
    printed = in_markdown(markdown.render(seen))
    for name, row in wanted.items():
        machine, shown = marked[name]
        assert machine == {key: row[key] for key in machine}
        for key in KEYS:
            assert not differs(shown[key], row[key]), (name, key)
            assert not differs(printed[name][key], row[key]), (name, key)
    document = seen.document()
    assert {key: document[key] for key in run.verdict()} == run.verdict()


def test_a_form_that_says_another_number_is_seen(runs):
    run, _ = runs
    row = exact(run)["psnr"]
    text = html.render(run)
    planted = text.replace(f'<data value="{row["harm"]!r}">', '<data value="0.5">', 1)
    assert planted != text
    assert in_html(planted)["psnr"][0]["harm"] != row["harm"]
    shown = in_html(text)["psnr"][1]["harm"]
    digits = len(shown.partition(".")[2])
    assert differs(shown, row["harm"] + 2 * 10.0**-digits)
    other = junit.render(view(run)).replace(str(row["harm"]), "0.5")
    assert in_junit(other)["psnr"]["harm"] == 0.5


def test_the_page_lies_where_the_run_says(runs):
    run, _ = runs
    assert Path(html.write(run)) == run.report_file
