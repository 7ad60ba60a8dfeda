"""What `qa plan` prints holds on narrow and wide screens and says what is not known."""

import io

import pytest
from rich.console import Console

from reports.planning import table


def row(metric="psnr", **changes):
    return {
        "metric": metric, "role": "primary", "unit": "dB", "margin": 0.2, "margin_why": "",
        "pictures": 48, "seeds": 2, "lost": 0, "between": 0.31, "within": 0.11, "icc": 0.888,
        "design_effect": 1.888, "smallest": 0.1134, "needed": {"2": [15, 21], "4": [15, 20]},
        "best_seeds": 1, "why": "", "underpowered": False,
    } | changes  # fmt: skip


def printed(*rows, width=80, **changes):
    arm = {"name": "run", "decoder": "shifted"}
    plan = {
        "candidate": arm, "baseline": arm | {"decoder": "vae_mini"}, "use_case": "photo",
        "pictures": 48, "seeds": [2], "metrics": list(rows), "tail": None, "warnings": [],
    } | changes  # fmt: skip
    file = io.StringIO()
    Console(file=file, width=width).print(table(plan))
    return file.getvalue()


def test_a_line_a_margin_on_80_columns():
    weak = row("lpips_vgg", unit="", margin=0.009, smallest=0.0213, underpowered=True,
               between=0.0593, within=0.02, needed={"2": [269, 372]})  # fmt: skip
    lines = printed(row(), weak).splitlines()
    assert max(map(len, lines)) <= 80
    psnr = next(line for line in lines if line.startswith("psnr"))
    assert psnr.split() == "psnr dB 0.20 0.31 0.11 0.89 1.9 0.11 yes 15 / 21 1".split()
    assert "no" in next(line for line in lines if line.startswith("lpips_vgg")).split()
    assert "48 pictures × 2 seeds do not resolve lpips_vgg: 269 pictures would" in " ".join(lines)


@pytest.mark.parametrize("width", [46, 60, 79, 120])
def test_nothing_is_cut_on_any_screen(width):
    text = printed(row("confidently_wrong_words", needed={"2": [123456, 234567]}), width=width)
    assert "…" not in text
    assert "123456 / 234567" in text
    assert max(map(len, text.splitlines())) <= width


def test_several_seed_counts_have_a_table_of_their_own():
    text = printed(row(), seeds=[2, 4])
    assert "pictures for 80 / 90 % with" in " ".join(text.split())
    assert "15 / 20" in text
    assert "15 / 20" not in printed(row())


def test_what_is_not_known_is_a_dash_with_its_reason():
    blank = row("fid", smallest=None, between=None, within=None, icc=None, design_effect=None,
                needed={}, best_seeds=None, why="one value for all pictures", unit="")  # fmt: skip
    text = printed(blank)
    assert "–" in text
    assert "fid: one value for all pictures" in text
    assert "No primary margin could be planned" in text


def test_tail_and_warnings_are_said():
    text = " ".join(
        printed(row(), tail={"rate": 0.01, "needed": 299}, warnings=["too small"]).split()
    )
    assert (
        "299 pictures without a broken one bound their share below 1 %; 48 are not enough" in text
    )
    assert "warning too small" in text


def test_names_cannot_colour_the_terminal():
    assert "\x1b" not in printed(row("a\x1b[31m"), warnings=["[red]x\x1b[0m"])


def test_a_number_that_is_out_of_reach_is_said():
    weak = row(margin=1e-12, underpowered=True, needed={"2": [None, None]})
    text = " ".join(printed(weak).split())
    assert ">1e6 / >1e6" in text
    assert "do not resolve psnr: no feasible number of pictures would; take larger" in text
    both = " ".join(printed(weak, row("ssim", underpowered=True)).split())
    assert "do not resolve psnr, ssim: no feasible number" in both
