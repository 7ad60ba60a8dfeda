"""The table on stdout holds its numbers on 80 columns, in every state, and is plain when piped."""

import io

import pytest
import verdicts
from rich.console import Console

from reports.terminal import table


def gate(metric, state, **changes):
    return {
        "gate": "regression", "metric": metric, "state": state, "estimate": 1.0812, "low": 0.9123,
        "high": 1.2511, "margin": 1.0, "margin_why": "", "unit": "dB", "better": "higher",
        "candidate": 24.021, "baseline": 25.102, "count": 24, "missing": 0, "needs": None,
        "why": "", "worst": [],
    } | changes  # fmt: skip


def verdict(state="FAIL", **changes):
    arm = {
        "name": "run-1", "decoder": "pid_mini", "suite": "mini", "pictures": 24, "seeds": 4,
        "licence": "MIT", "limited": False, "plan": "x",
    }  # fmt: skip
    gates = [
        gate("high_frequency_energy", "PASS", estimate=-0.52, low=-0.57, high=-0.46, margin=0.05),
        gate("psnr", "FAIL"),
        gate("lpips_vgg", "INCONCLUSIVE", unit="", estimate=0.002, low=-0.001, high=0.007),
        gate("dists", "INVALID", estimate=None, low=None, high=None, baseline=None),
    ]
    metric = {
        "metric": "psnr", "better": "higher", "unit": "dB", "mean": 24.021, "low": 23.1,
        "high": 24.9, "count": 24, "missing": 0, "why": "", "fingerprint": "f",
    }  # fmt: skip
    return {
        "state": state, "exit_code": 3, "summary": "1 of 4 gates failed. Worst: psnr on page_03.",
        "candidate": arm, "baseline": arm | {"decoder": "vae_mini+bicubic"}, "use_case": "photo",
        "confidence": 0.9, "gates": gates, "metrics": [metric], "failures": [], "problems": [],
    } | changes  # fmt: skip


def printed(document, width=80, **options):
    file = io.StringIO()
    Console(file=file, width=width, **options).print(table(document))
    return file.getvalue()


def test_every_number_and_state_is_whole_on_80_columns():
    lines = printed(verdict()).splitlines()
    assert max(map(len, lines)) <= 80
    psnr = next(line for line in lines if line.startswith("psnr"))
    assert psnr.split() == "psnr dB 25.10 24.02 1.08 [0.91, 1.25] 1.00 FAIL".split()
    assert any(line.rstrip().endswith("INCONCLUSIVE") for line in lines)
    assert any("harm [90 % interval]" in line for line in lines)
    assert "…" not in printed(verdict())


@pytest.mark.parametrize("width", [79, 60, 46])
def test_numbers_and_names_stay_whole_on_narrow_screens(width):
    text = printed(verdict(), width=width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for words in ("1.08 [0.91, 1.25]", "lpips_vgg", "INCONCLUSIVE", "high_frequency_energy"):
        assert words in text or width == 79


def test_the_last_line_is_the_verdict():
    lines = printed(verdict()).rstrip().splitlines()
    assert lines[-1] == "FAIL  1 of 4 gates failed. Worst: psnr on page_03."


def test_a_long_metric_name_wraps_and_nothing_is_lost():
    name = "confidently_wrong_words_by_reader_agreement"
    text = printed(verdict(gates=[gate(name, "FAIL")]))
    first = "".join(line.split(" ")[0] for line in text.splitlines()[2:])
    assert name in first
    assert "1.08 [0.91, 1.25]" in text


def test_piped_output_has_no_colour_codes_and_a_terminal_has():
    assert "\x1b" not in printed(verdict())
    assert "\x1b[" in printed(verdict(), force_terminal=True, color_system="standard")


def test_missing_numbers_are_dashes():
    line = next(line for line in printed(verdict()).splitlines() if line.startswith("dists"))
    assert line.split() == "dists dB – 24.0 – 1.0 INVALID".split()


def test_measured_shows_means_and_counts():
    row = verdict()["metrics"][0] | {"metric": "piqe", "unit": "", "missing": 2, "why": "too dark"}
    document = verdict(
        "MEASURED", baseline=None, gates=[], metrics=[verdict()["metrics"][0], row], summary="ok"
    )
    text = printed(document)
    assert "mean [90 % interval]" in text
    assert "24.0 [23.1, 24.9]" in text
    assert "2 missing: too dark" in text
    assert "margin" not in text


def test_problems_are_listed_and_bounded():
    problems = [f"seeds: problem {number}" for number in range(9)]
    text = printed(verdict("INVALID", problems=problems))
    assert "! seeds: problem 4" in text
    assert "problem 5" not in text
    assert "and 4 more" in text


@pytest.mark.parametrize("text", ["[red]x[/red]", "a\x1b[31mb", "a\u202eb", "[/]"])
def test_texts_cannot_colour_reorder_or_break_the_terminal(text):
    shown = printed(verdict(summary=text, gates=[gate(text, "FAIL", unit=text)], problems=[text]))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    if text.startswith("["):
        assert shown.count(text) >= 3


def test_summary_that_starts_with_the_state_is_not_doubled():
    assert printed(verdict(summary="FAIL: one gate")).rstrip().endswith("\nFAIL  one gate")


def v2(state, *gates, **changes):
    return verdicts.verdict(state, *gates, **changes)


def test_what_does_not_count_stands_in_brackets_below_what_counts():
    text = printed(v2("PASS", verdicts.secondary(), verdicts.gate("psnr"), verdicts.tail()))
    lines = text.splitlines()
    assert [line.split()[-1] for line in lines[2:5]] == ["PASS", "(FAIL)", "(INCONCLUSIVE)"]
    assert max(map(len, lines)) <= 80
    assert "(…) secondary: shown, does not count" in text
    assert "note    tail INCONCLUSIVE does not count: 0 of 24 broken" in text
    alone = printed(v2("PASS", verdicts.gate("psnr")))
    assert "(…)" not in alone


@pytest.mark.parametrize("state", ["IMPROVED", "PASS-DRIFT"])
def test_the_finer_states_are_shown_and_coloured(state):
    document = v2(state, verdicts.gate("psnr", state))
    assert any(line.rstrip().endswith(f"1.00  {state}") for line in printed(document).splitlines())
    coloured = printed(document, force_terminal=True, color_system="standard")
    assert f"m{state}\x1b[0m" in coloured


@pytest.mark.parametrize("width", [80, 120])
def test_look_drift_waivers_and_warnings_are_said_before_the_verdict(width):
    look = {"number": 2, "of": 3, "pictures": 96, "planned": 192, "alpha": 0.0138,
            "spent": 0.0143, "next": 192,
            "history": [{"number": 1, "pictures": 48, "state": "INCONCLUSIVE"}]}  # fmt: skip
    drift = {"psnr": {"before": 0.03, "now": 0.02, "spent": 0.05, "budget": 0.2}}
    document = v2(
        "PASS-DRIFT", verdicts.gate("psnr", "PASS-DRIFT"), verdicts.waived(), look=look,
        drift=drift, warnings=["the environment class differs: " + "word " * 30], policy="release",
    )  # fmt: skip
    text = printed(document, width=width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    joined = " ".join(text.split())
    assert "policy release" in joined
    assert "look 2 of 3: 96 of 192 pictures, one-sided alpha 0.0138 (0.0143 spent so far)" in joined
    assert "before: 48 pictures INCONCLUSIVE" in joined
    assert "drift 0" not in joined
    assert "drift psnr 0.05 of 0.20 dB spent" in joined
    assert "waived gmsd FAIL, waived until 2027-01-31 by Ada: known, mended in 2.1" in joined
    assert "warning the environment class differs: word" in joined
    assert lines[-1] == "PASS-DRIFT  summary of PASS-DRIFT."
    follow = lines[lines.index(next(x for x in lines if x.startswith("warning"))) + 1]
    assert follow.startswith("        word")


def test_a_threshold_shows_its_limit():
    row = verdicts.gate("psnr", gate="threshold", margin=0.0, limit=30.0, role="")
    line = next(x for x in printed(v2("PASS", row)).splitlines() if x.startswith("threshold"))
    assert "≥ 30.00" in line
    lower = dict(row, better="lower")
    assert "≤ 30.00" in printed(v2("PASS", lower))


def test_a_level_without_numbers_is_a_row_of_dashes():
    row = verdicts.gate(
        "level", gate="reproducibility", role="", estimate=None, low=None, high=None, margin=None,
        unit="", candidate=None, baseline=None,
    )  # fmt: skip
    line = next(x for x in printed(v2("PASS", row)).splitlines() if x.startswith("reprod"))
    assert line.split()[1:] == ["–", "–", "–", "–", "PASS"] or "–" in line
