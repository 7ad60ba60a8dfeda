"""The page about error rates says what its committed files hold, and what the bars allow."""

import json


def test_the_page_is_what_the_measurements_say(script, monkeypatch, tmp_path):
    validation, gates = script("validation"), script("validate_gates")
    page = validation.PAGE.read_text(encoding="utf-8")
    assert page == validation.page()
    result = json.loads(gates.RESULT.read_text())
    result["figures"]["grid normal 50 4 0.6"] = [0.5, 0.5]
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(result))
    monkeypatch.setattr(gates, "RESULT", changed)
    assert page != validation.page()
    assert "grid normal 50 4 0.6" in validation.page()  # a cell that misses its bar is named


def test_a_measurement_that_was_not_made_has_no_section(script, monkeypatch, tmp_path):
    validation, gates = script("validation"), script("validate_gates")
    monkeypatch.setattr(gates, "RESULT", tmp_path / "nowhere.json")
    assert "## Error rates" not in validation.page()


def test_every_planned_experiment_is_in_the_file(script):
    gates = script("validate_gates")
    result = json.loads(gates.RESULT.read_text())
    assert list(result["figures"]) == list(gates.experiments(gates.SUITES))
    assert result["suites"] == gates.SUITES
    assert gates.RESULT.read_text() == gates.written(result)


def test_every_cell_with_a_bar_keeps_it(script):
    """The promise, on the committed file; and seeds taken for pictures break it everywhere."""
    from qa.stats.validation import bar

    gates = script("validate_gates")
    figures = json.loads(gates.RESULT.read_text())["figures"]
    counted = 0
    for name, errors in figures.items():
        kind, _, rest = name.partition(" ")
        if kind in {"grid", "unbalanced"}:
            shape, pictures = rest.split()[:2]
            limit = bar(shape, int(pictures))
            if limit:
                counted += 1
                assert max(errors) <= limit, name
        elif name.startswith("per row"):
            limit = bar(name.split()[2], int(name.split()[3]))
            assert limit is None or max(errors) > limit, name
    assert counted == (4 + 4 + 3) * (16 + 1)


def test_shares_of_few_words_keep_their_bar_and_a_plain_mean_does_not(script):
    from qa.stats.validation import SHARES_BAR

    gates = script("validate_gates")
    figures = json.loads(gates.RESULT.read_text())["figures"]
    cells = {name: errors for name, errors in figures.items() if name.startswith("share ")}
    kept = [
        name
        for name, errors in cells.items()
        if name.endswith(" gate") and max(errors) <= SHARES_BAR[name.split()[3]]
    ]
    assert len(kept) == len(gates.SHARES) * len(gates.SHARED) == len(cells) / 2
    assert cells["share 0.0 0.0025 even 24 mean"][1] > 0.3


def test_an_experiment_gives_the_same_figures_again(script):
    """The smallest, from scratch, on another number of workers."""
    gates = script("validate_gates")
    chosen = {
        name: gates.experiments(50)[name]
        for name in ("grid normal 50 1 0.0", "rate 0.9 0.05 1 24 gate")
    }
    expected = {name: list(one()) for name, one in chosen.items()}
    assert dict(gates.measured(chosen, 1, 60)) == expected
    assert dict(gates.measured(chosen, 1, -1)) == {}
