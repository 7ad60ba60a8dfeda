"""The cards of small networks are filled in from their numbers: `scripts/mini_cards.py`."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

CARD = (
    "# small\n\n| what | much |\n| --- | --- |\n| red | 1 |\n| blue | 2 |\n\n| a | b |\n|---|---|\n"
)


@pytest.fixture
def cards(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("mini_cards")


def test_a_table_is_found_by_its_head_and_the_rest_stays(cards: ModuleType) -> None:
    new = cards.table(("what", "much"), ("green", "3"))
    assert cards.filled(CARD, [new]) == CARD.replace("| red | 1 |\n| blue | 2 |", "| green | 3 |")
    with pytest.raises(ValueError, match=r"0 tables begin with '\| who \| much \|'"):
        cards.filled(CARD, [cards.table(("who", "much"))])
    with pytest.raises(ValueError, match="2 tables"):
        cards.filled(2 * CARD, [new])


def test_the_command_keeps_what_it_measured_and_fills_in_the_card(
    cards: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cards, "FOLDER", tmp_path)
    numbers, card = tmp_path / "small.json", tmp_path / "small.md"
    numbers.write_text('{"steps": 5, "red": 1}')
    card.write_text(CARD)
    asked = []

    def measure(work: Path, more: str) -> dict[str, int]:
        asked.append(more)
        return {"red": 7}

    def tables(known: dict[str, int]) -> list[str]:
        return [cards.table(("what", "much"), ("red", str(known["red"])))]

    def run(*words: str) -> None:
        monkeypatch.setattr("sys.argv", ["score", *words])
        cards.main("", "small", ("pages", 16), measure, tables)

    run("--card")
    assert asked == []
    assert json.loads(numbers.read_text()) == {"steps": 5, "red": 1}
    assert "| red | 1 |\n\n" in card.read_text()
    run()
    run("--pages", "2")
    assert asked == ["suite.pages=16", "suite.pages=2"]
    assert json.loads(numbers.read_text()) == {"steps": 5, "red": 7, "pages": 2}
    assert "| red | 7 |\n\n" in card.read_text()
