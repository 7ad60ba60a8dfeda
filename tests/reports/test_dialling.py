"""What `qa dial` prints holds on narrow and wide screens, and says what its page says."""

import io

import dials
import pytest
import verdicts
from rich.console import Console

from reports.dialling import MAX_LINES, limits, said, table


def printed(document, width=80):
    file = io.StringIO()
    Console(file=file, width=width).print(table(document))
    return file.getvalue()


def lines(document, start):
    return [" ".join(x.split()) for x in printed(document).splitlines() if x.startswith(start)]


def test_a_line_a_setting_on_80_columns():
    document = dials.dial()
    text = printed(document)
    assert max(map(len, text.splitlines())) <= 80
    assert lines(document, "default") == ["default – – 0.50 reference, front"]
    # gmsd: upper end 0.0005 + 0.0005 of 0.002; psnr: 0.15 of 0.2 is worse
    assert lines(document, "sigma=0.1") == ["sigma=0.1 psnr 0.75 4.0 [3.0, 5.0] 0.25 picked, front"]
    assert lines(document, "sigma=0.4") == ["sigma=0.4 psnr 4.75 9.0 [8.0, 10.0] 0.25 front"]
    assert "24 + 24 pictures, 4 seeds" in text


def test_the_worst_limit_is_the_largest_share_of_its_own_margin():
    document = dials.dial()
    row = document["settings"][1]
    assert [limit.metric for limit in limits(document, row)] == ["psnr", "gmsd"]
    row["metrics"]["gmsd"] = dials.figures(0.0018, 0.0001, 0.002)
    assert limits(document, row)[0].metric == "gmsd"
    assert limits(document, row)[0].used == pytest.approx(0.95)
    row["metrics"]["gmsd"]["margin"] = 0.001  # a relative margin has a value of its own
    assert limits(document, row)[0].used == pytest.approx(1.9)
    assert limits(document, dials.setting("x", None)) == []


def test_the_confirmation_and_the_outcome_end_it():
    rows = [dials.row("psnr", "PASS"), dials.row("piqe", "INCONCLUSIVE", None)]
    document = dials.dial(
        "INCONCLUSIVE", confirmation=dials.confirmation("INCONCLUSIVE", *rows), notes=["a note"]
    )
    assert lines(document, "psnr dB") == ["psnr dB 0.10 [0.05, 0.15] 0.20 PASS"]
    assert lines(document, "piqe") == ["piqe – – INCONCLUSIVE"]
    assert lines(document, "note") == ["note a note"]
    assert printed(document).splitlines()[-1].startswith("INCONCLUSIVE  ")
    assert "others" not in printed(dials.dial("FAIL", confirmation=None))


@pytest.mark.parametrize("width", [40, 50, 66, 80, 120])
def test_no_number_is_cut_on_any_screen(width):
    row = dials.setting("sigma=0.25 steps=20 cfg=3.5", 0.1, 123.25)
    row["metrics"]["gmsd"] = dials.figures(0.0018, 0.0001, 0.002)
    rows = [dials.row("psnr", "INCONCLUSIVE"), dials.row("gmsd", "FAIL", 0.0045)]
    document = dials.dial("FAIL", dials.reference(), row, picked=row["name"],
                          confirmation=dials.confirmation("FAIL", *rows))  # fmt: skip
    text = printed(document, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for number in ("gmsd 0.95", "123.2 [122.2, 124.2]", "[0.05, 0.15]", "INCONCLUSIVE"):
        assert number in text


def test_what_numbers_do_not_show_is_a_note():
    row = dials.setting("x", 0.1, 1.0, feasible=False, why="2 of 24 pictures broke")
    assert lines(dials.dial("FAIL", dials.reference(), row), "note") == [
        "note x: 2 of 24 pictures broke"
    ]
    assert not lines(dials.dial(), "note"), "psnr 4.75 says it"


def test_of_many_settings_those_that_matter_are_printed():
    rows = [dials.setting(f"s{k:03d}", 0.1, 1.0, front=k == 90) for k in range(100)]
    rows += [dials.reference(front=False)]
    document = dials.dial("FAIL", *rows, picked="s080", reference="default")
    text = printed(document)
    for name in ("s080", "s090", "default", "s000"):
        assert name in text
    assert "s070" not in text
    assert f"and {101 - MAX_LINES} more settings" in text
    assert "more settings" not in printed(dials.dial())


def test_words_say_what_a_setting_is():
    document = dials.dial()
    assert [said(document, row) for row in document["settings"]] == [
        "reference, front", "picked, front", "front"]  # fmt: skip
    own = dials.dial(picked="default")
    assert said(own, own["settings"][0]) == "picked, reference, front"
    assert said(document, document["settings"][2], why=True) == "front, psnr is not kept"


def test_names_cannot_colour_the_terminal():
    row = dials.setting("a\x1b[31m[red]", 0.1, 1.0, why=verdicts.HOSTILE, feasible=False)
    text = printed(dials.dial("FAIL", dials.reference(), row, notes=["\x1b[0m"], decoder="\x1b"))
    assert "\x1b" not in text
    assert "[red]" in text
