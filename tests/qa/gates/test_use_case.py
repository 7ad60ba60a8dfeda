"""Margins, primary metrics, breakage and budgets: what YAML says, and what is refused."""

from __future__ import annotations

import pytest

from qa.errors import UsageError
from qa.gates.margins import Margin, from_config, parse
from qa.gates.use_case import MOST, Level, UseCase, few, load, of
from qa.gates.use_case import from_config as read
from qa.metrics.facts import direction

NAMES = ("archive", "creative", "document", "photo", "preview")


@pytest.mark.parametrize("name", NAMES)
def test_packaged_use_cases_give_a_reason_for_every_number(name):
    use = load(name)
    assert use.name == name
    assert 1 <= len(use.primary) <= MOST
    assert set(use.primary) <= set(use.margins)
    assert use.catastrophe is not None
    assert set(use.cost) == {"latency", "memory"}
    numbers = [*use.margins.values(), *use.breakage.values(), *use.cost.values(), use.catastrophe]
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
        "text",
        {"margins": {"psnr": 0.1}, "primary": ["ssim"]},
        {"margins": {f"m{i}": 1 for i in range(7)}, "primary": [f"m{i}" for i in range(7)]},
        {"catastrophe": {"rate": 2}},
        {"catastrophe": {"rate": -0.1}},
        {"breakage": {"psnr": {"harm": "much"}}},
        {"drift": {"budget": 0}},
        {"cost": {"latency": {"margin": 0.1}}},
        {"cost": {"power": {"relative": 0.1}}},
    ],
)
def test_what_is_not_understood_is_refused(content):
    with pytest.raises(UsageError):
        read(content)


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
        lambda: from_config({"psnr": {"margin": 1, "reason": ""}}),
        lambda: from_config({"psnr": {"margin": 1, "relative": 1}}),
        lambda: from_config({"psnr": True}),
        lambda: from_config({"psnr": {"why": "x"}}),
    ):
        with pytest.raises(UsageError):
            wrong()
