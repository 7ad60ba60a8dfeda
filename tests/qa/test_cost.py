"""What the decodes cost, from the table of decoded pictures."""

import pandas as pd
import pytest

from qa import cost

COLUMNS = ["file", "seconds", "peak_bytes", "warm", "tokens"]


def table(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def values(decoded):
    return {row["metric"]: row["value"] for row in cost.rows(decoded)}


def test_the_numbers_by_hand():
    decoded = table(
        ("a", 4.0, 100, False, 16), ("b", 1.0, 300, True, 16), ("c", 2.0, 200, True, 64),
        (None, 99.0, 900, True, 999),
    )  # fmt: skip
    found = values(decoded)
    assert found["seconds_median"] == 2
    assert found["seconds_p95"] == pytest.approx(2 + 0.9 * 2)  # 90 % of the way from 2 to 4
    assert found["seconds_warm"] == 1.5
    assert found["pictures_per_second"] == pytest.approx(3 / 7)
    assert (found["peak_bytes"], found["tokens"]) == (300, 16)


def test_what_is_not_known_says_why():
    found = {row["metric"]: row for row in cost.rows(table(("a", 1.0, None, False, None)))}
    assert found["peak_bytes"]["value"] is None
    assert found["peak_bytes"]["why"] == "the device does not tell"
    assert found["seconds_warm"]["why"] == "every picture was a first"
    assert found["tokens"]["why"] == "the decoder does not tell"
    assert found["seconds_median"]["value"] == 1


def test_nothing_decoded_costs_nothing():
    found = cost.rows(table((None, 1.0, None, False, None)))
    assert all(row["value"] is None and row["why"] for row in found)
    assert cost.line(found) == "nothing was decoded"


def test_one_line():
    line = cost.line(cost.rows(table(("a", 0.5, 2**30, True, 256), ("b", 0.5, None, True, 256))))
    assert line == (
        "0.5 s a picture (95 % within 0.5, warm 0.5), 2 pictures/s, 1.00 GiB peak, 256 tokens"
    )
