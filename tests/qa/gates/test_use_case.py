"""Margins, primary metrics, breakage and budgets: what YAML says, and what is refused."""

from __future__ import annotations

import pytest

from qa.config import compose
from qa.errors import UsageError
from qa.gates.margins import Margin, from_config, parse
from qa.gates.use_case import MOST, Level, Review, UseCase, few, load, of
from qa.gates.use_case import from_config as read
from qa.metrics.facts import direction

NAMES = ("archive", "creative", "document", "photo", "preview")
PROMPTED = {"geneval", "dpg"}
"""Primary metrics whose suites have prompts and no reference pictures."""


@pytest.mark.parametrize("name", NAMES)
def test_packaged_use_cases_give_a_reason_for_every_number(name):
    use = load(name)
    assert use.name == name
    assert 1 <= len(set(use.primary) - PROMPTED) <= MOST, "what a run with references may measure"
    assert set(use.primary) >= PROMPTED, "or their suites would have nothing to decide by"
    assert set(use.primary) <= set(use.margins)
    assert use.catastrophe is not None
    assert set(use.cost) == {"latency", "memory"}
    assert use.review is not None
    levels = (use.catastrophe, use.review.margin)
    numbers = [*use.margins.values(), *use.breakage.values(), *use.cost.values(), *levels]
    assert all(entry.why for entry in numbers)
    for metric in (*use.margins, *use.breakage):
        assert direction(metric) is not None, f"{metric} is no metric of ours"


@pytest.mark.parametrize("name", sorted({*NAMES} - {"creative"}))
def test_metrics_that_run_by_default_decide(name):
    use = load(name).measured({"psnr", "ssim", "ms_ssim", "gmsd"})
    assert {"psnr", "ssim"} <= set(use.primary)
    assert set(use.breakage) >= {"psnr", "ssim"}


def test_a_breakage_level_is_far_beyond_the_margin():
    for name in NAMES:
        use = load(name)
        for metric, level in use.breakage.items():
            margin = use.margins[metric]
            assert margin.relative or level.value > 3 * margin.value, (name, metric)


def test_what_nobody_measured_is_left_out():
    use = load("photo").measured({"psnr", "gmsd"})
    assert (use.primary, use.secondary) == (("psnr",), ("gmsd",))
    assert set(use.breakage) == {"psnr"}


def test_a_margin_that_somebody_asks_for_is_primary():
    use = load("photo").measured({"psnr", "gmsd"}).asking({"gmsd": Margin(0.1)})
    assert use.primary == ("psnr", "gmsd")
    assert use.margins["gmsd"].value == 0.1
    seven = {f"m{i}": Margin(1) for i in range(7)}
    with pytest.raises(UsageError, match="7 metrics are primary; at most 6"):
        of(seven)
    with pytest.raises(UsageError, match="at most 6"):
        UseCase().asking(seven).checked()
    few(list(seven)[:6])


def test_an_own_file_is_read(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "margins: {psnr: {margin: 0.3, why: x}, fid: {relative: 0.03}, ssim: 0.01}\n"
        "primary: [psnr]\n"
        "catastrophe: 0.02\n"
        "drift: {budget: 2}\n"
    )
    use = load(str(file))
    assert (use.name, use.primary, use.secondary) == ("mine", ("psnr",), ("fid", "ssim"))
    assert use.margins["fid"] == Margin(0.03, relative=True)
    assert use.catastrophe == Level(0.02)
    assert use.budget == 2
    assert read({"margins": {"psnr": 0.3}}).primary == ("psnr",), "without a list, all of them"


@pytest.mark.parametrize(
    "content",
    [
        {"margin": {}},
        {"margin": {}, 3: {}},
        {"cost": {"power": 1, 3: 1}},
        "text",
        {"margins": {"psnr": 0.1}, "primary": ["ssim"]},
        {"catastrophe": {"rate": 2}},
        {"catastrophe": {"rate": -0.1}},
        {"breakage": {"psnr": {"harm": "much"}}},
        {"drift": {"budget": 0}},
        {"cost": {"latency": {"margin": 0.1}}},
        {"cost": {"power": {"relative": 0.1}}},
        None,
        {"margins": ["psnr", "ssim"]},
        {"margins": "psnr"},
        {"margins": {"psnr": 0.2}, "primary": "psnr"},
        {"margins": {"psnr": 0.2}, "primary": 3},
        {"margins": {"psnr": 0.2}, "primary": {"psnr": 0.2}},
        {"breakage": 3},
        {"breakage": ["psnr"]},
        {"breakage": {"psnr": {"harm": float("inf")}}},
        {"breakage": {"psnr": {"harm": 3, "wy": "x"}}},
        {"breakage": {"psnr": None}},
        {"cost": 0.05},
        {"catastrophe": 0},
        {"catastrophe": [0.01]},
        {"catastrophe": {"rate": 0.01, "harm": 3}},
        {"drift": 0},
        {"drift": {}},
        {"drift": {"budget": float("inf")}},
        {"margins": {"psnr": 10**400}},
        {"margins": {"psnr": 1e101}},
        {"margins": {"psnr": {"margin": 1, "underpowered": "no"}}},
        {"review": 0.1},
        {"review": {}},
        {"review": {"questions": ["overall"]}},
        {"review": {"questions": [], "margin": 0.1}},
        {"review": {"questions": "overall", "margin": 0.1}},
        {"review": {"questions": ["overall", "overall"], "margin": 0.1}},
        {"review": {"questions": ["overall", " "], "margin": 0.1}},
        {"review": {"questions": ["overall"], "margin": 0}},
        {"review": {"questions": ["overall"], "margin": 0.5}},
        {"review": {"questions": ["overall"], "margin": True}},
        {"review": {"questions": ["overall"], "margin": 0.1, "wy": "x"}},
    ],
)
def test_what_is_not_understood_is_refused(content):
    with pytest.raises(UsageError):
        read(content)


def test_a_review_is_asked_by_name_and_judges_no_other_run_differently():
    asked = {"questions": ["overall", "text"], "margin": 0.1, "why": "x"}
    use, without = (read({"margins": {"psnr": 0.2}, "review": part}) for part in (asked, None))
    assert use.review == Review(("overall", "text"), Level(0.1, "x"))
    assert without.review is None
    assert use.digest == without.digest, "the margin that judges stands in the review's plan"
    assert use.digest != read({"margins": {"psnr": 0.3}}).digest, "control"


def test_a_review_is_understood_on_the_command_line(tmp_path):
    words = ["use_case.review.margin=0.2", "use_case.review.questions=[mine]"]
    use = read(compose(words).group("use_case"), "photo")
    assert (use.review.questions, use.review.margin.value) == (("mine",), 0.2)


def test_what_is_refused_is_named():
    for content, said in (
        ({"margins": ["psnr"]}, r"margins is not understood: \['psnr'\]"),
        ({"margins": {"psnr": 1}, "primary": "psnr"}, "primary is not understood: psnr"),
        ({"cost": 0.05}, "cost is not understood: 0.05"),
        ({"catastrophe": 0}, "catastrophe is not understood"),
        ({"drift": 0}, "drift is not understood"),
        ({"review": 0.1}, "review is not understood: 0.1"),
    ):
        with pytest.raises(UsageError, match=said):
            read(content)


def test_leaving_out_is_not_asking_for_nothing():
    use = read({"margins": {"psnr": 0.2}, "primary": None, "catastrophe": None, "drift": None})
    assert (use.primary, use.catastrophe, use.budget) == (("psnr",), None, 1.0)
    assert read({"margins": {"psnr": 0.2}, "primary": []}).primary == (), "none of them decides"


def test_a_file_that_says_something_twice_is_refused(tmp_path):
    file = tmp_path / "twice.yaml"
    for text in (
        "margins: {psnr: 0.2, psnr: 5}\n",
        "margins: {psnr: 0.2}\nmargins: {psnr: 5}\n",
        "margins: {psnr: {margin: 0.2, margin: 5}}\n",
    ):
        file.write_text(text)
        with pytest.raises(UsageError, match=r"not readable(.|\n)*duplicate key"):
            load(str(file))
        group = tmp_path / "use_case"
        group.mkdir(exist_ok=True)
        (group / "twice.yaml").write_text(text)
        with pytest.raises(UsageError, match="duplicate key"):
            compose([f"hydra.searchpath=[file://{tmp_path}]", "use_case=twice"])


def test_a_file_is_read_as_qa_run_reads_it(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("margins: {psnr: {margin: 2e-1}}\n")
    assert load(str(file)).margins["psnr"].value == 0.2
    for text in ("text", "[1]", "margins: ${nowhere}", "margins: !!python/name:os.system"):
        file.write_text(text)
        with pytest.raises(UsageError):
            load(str(file))


def test_a_use_case_of_ones_own_means_the_same_under_qa_run(tmp_path):
    """What it leaves out is left out, not asked for with nothing in it."""
    group = tmp_path / "use_case"
    group.mkdir()
    file = group / "mine.yaml"
    file.write_text("margins: {psnr: {margin: 0.3, why: x}}\n")
    config = compose([f"hydra.searchpath=[file://{tmp_path}]", "use_case=mine"])
    use = read(config.group("use_case"), "mine")
    assert use == load(str(file))
    assert (use.primary, use.catastrophe, use.budget) == (("psnr",), None, 1.0)


def test_only_what_was_measured_counts_as_primary():
    names = [f"m{i}" for i in range(7)]
    use = read({"margins": dict.fromkeys(names, 1), "primary": names})
    assert len(use.measured(names[1:]).checked().primary) == MOST
    with pytest.raises(UsageError, match="7 metrics are primary; at most 6"):
        use.measured(names).checked()


def test_unknown_names_and_files_are_refused(tmp_path):
    for name in ("none", str(tmp_path / "no.yaml")):
        with pytest.raises(UsageError, match="archive, creative, document, photo, preview"):
            load(name)
    (tmp_path / "bad.yaml").write_text("margins: {")
    with pytest.raises(UsageError, match="not readable"):
        load(str(tmp_path / "bad.yaml"))


def test_margins_on_the_command_line():
    assert parse(["psnr=0.5"])["psnr"] == Margin(0.5, "given on the command line")
    share = parse(["patch_fid=3%"])["patch_fid"]
    assert (share.value, share.relative) == (0.03, True)
    assert share.at(40.0) == pytest.approx(1.2)
    assert share.at(-40.0) == pytest.approx(1.2)
    assert share.at(None) is None
    assert share.at(0.0) is None
    assert Margin(0.5).at(None) == 0.5


def test_margins_that_are_not_understood():
    assert from_config({"psnr": 0.5})["psnr"] == Margin(0.5)
    assert from_config({"psnr": {"margin": 1, "underpowered": True}})["psnr"].underpowered
    for wrong in (
        lambda: parse(["psnr"]),
        lambda: parse(["psnr=-1"]),
        lambda: parse(["psnr=much"]),
        lambda: parse(["psnr=nan"]),
        lambda: parse(["psnr=1e101"]),
        lambda: parse(["psnr=0.2", "psnr=9"]),
        lambda: parse(["=0.2"]),
        lambda: from_config({"psnr": {"margin": 1, "reason": ""}}),
        lambda: from_config({"psnr": {"margin": 1, "relative": 1}}),
        lambda: from_config({"psnr": True}),
        lambda: from_config({"psnr": {"why": "x"}}),
    ):
        with pytest.raises(UsageError):
            wrong()
