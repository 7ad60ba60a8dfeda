"""The contact sheet: which pictures, and where."""

import numpy as np
from PIL import Image
from tracked import VERDICT, make_run

from qa.reduce import reduce
from qa.store import UnitResult
from qa.tracking.sheet import SEVERITY, contact_sheet, worst_samples
from qa.tracking.summary import summarise
from qa.tracking.values import MISSING
from qa.types import Decoded


def test_the_sheet_shows_failures_and_failed_gates_first(tmp_path):
    folder = make_run(tmp_path / "x")
    scores = folder.scores_folder.of
    assert worst_samples(VERDICT, scores, 12) == ["b/ü", "c", "a"]
    assert worst_samples(VERDICT, scores, 2) == ["b/ü", "c"]
    measured = {**VERDICT, "gates": [], "failures": []}
    assert worst_samples(measured, scores, 12) == ["a", "c"]
    gates = [
        {"state": state, "worst": [{"sample": state, "harm": 1.0}]} for state in SEVERITY[::-1]
    ]
    assert worst_samples({"gates": gates}, scores, 12) == list(SEVERITY)


def test_the_sheet_pairs_reference_and_candidate(tmp_path):
    folder = make_run(tmp_path / "x")
    for file, level in ((folder.reference_file("c"), 255), (folder.picture_file("c", 0), 7)):
        Image.fromarray(np.full((64, 64, 3), level, np.uint8)).save(file)
    png = contact_sheet(folder)
    assert contact_sheet(folder) == png
    (tmp_path / "s.png").write_bytes(png)
    with Image.open(tmp_path / "s.png") as sheet:
        pixels = np.asarray(sheet)
    # The second of three pairs: the failed picture comes first.
    centre = 8 + 520 + 128, 8 + 18 + 32
    assert (pixels[centre[1], centre[0]] == 255).all()
    assert (pixels[centre[1], centre[0] + 256] == 7).all()


def test_a_run_without_pictures_has_no_sheet(tmp_path):
    folder = make_run(tmp_path / "x")
    folder.store(UnitResult("u", (Decoded("a", 0, None, None, 0, 0.0, None, "bad"),), (), {}))
    reduce(folder, ["u"], [])
    assert contact_sheet(folder) is None
    assert summarise(folder).tags[MISSING + "decode/seconds_median"] == "nothing was decoded"
