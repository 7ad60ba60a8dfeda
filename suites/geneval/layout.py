"""GenEval's own files: folders of pictures, and results as JSON lines.

    DIR/00012/metadata.jsonl      one JSON object: line 13 of the prompt file
    DIR/00012/samples/0003.png    its fourth picture
    results.jsonl                 a line a picture: filename, tag, prompt, correct, reason, and as
                                  JSON in a text: metadata (the row), details (boxes that counted)

Any number of digits will do in names; sample `00012/0003` is in folder 12, picture 3. The original
passes over whatever is not there or has another name; here it is named (`problems`).

    python -m suites.geneval.layout RUN OUT

writes a run's pictures, and its results where it measured `geneval`, so that the original's own
scripts can read them. With T pictures for a prompt and seed, picture t of seed k is number k·T + t.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qa.errors import QaError, UsageError
from qa.files import read_json, write_bytes
from qa.panels import all_notes
from qa.store import RunFolder
from suites.geneval.prompts import row_of

METADATA = "metadata.jsonl"
SAMPLES = "samples"
RESULTS = "results.jsonl"
RESULT_KEYS = ("filename", "tag", "prompt", "correct", "reason", "metadata", "details")
ASKED = ("tag", "include", "exclude", "prompt")
"""Keys of a row that say what was asked for; tools put others beside them."""
PANEL = "geneval"
TAKE_DIGITS = 4
LONGEST = 80
"""Characters of a prompt that a message shows."""
_DIGITS = re.compile(r"[0-9]+")
_SAMPLE = re.compile(r"([0-9]{5,})/([0-9]{4,})")


def prompt_id(number: int) -> str:
    """The folder of a prompt: its line of the prompt file, from 0."""
    return f"{number:05d}"


def sample_id(number: int, take: int) -> str:
    """Sample of a picture: its prompt, and the number of the picture from 0."""
    return f"{prompt_id(number)}/{take:0{TAKE_DIGITS}d}"


def files(folder: Path) -> dict[str, list[Path]]:
    """Sample id → its PNG files; two where names differ in leading zeros only.

    This is what `decoders.pictures.Pictures` is given as `files`.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", "", "suite.folder=DIR")
    found: dict[str, list[Path]] = {}
    for number, places in _folders(folder).items():
        for file in sorted(file for place in places for file in (place / SAMPLES).glob("*")):
            if _DIGITS.fullmatch(file.stem) and file.suffix.lower() == ".png":
                found.setdefault(sample_id(number, int(file.stem)), []).append(file)
    return found


def problems(
    folder: Path, rows: Sequence[Mapping[str, Any]], samples: Sequence[str]
) -> dict[str, str]:
    """Sample id → why it has no picture that can be judged, for those of which that is so.

    UsageError for a folder with pictures that were not asked for, or of other prompts than `rows`.
    """
    found, folders = files(folder), _folders(folder)
    more = sorted(set(found) - set(samples))
    if more:
        raise UsageError(
            f"{folder} holds {len(more)} pictures that nobody asked for.",
            f"The first is {found[more[0]][0].relative_to(folder)}.",
            "suite.pictures=N for N pictures a prompt, numbered from 0; or take them away",
        )
    silent = {}
    for number, row in enumerate(rows):
        why = _check_metadata(folder, folders.get(number, []), number, row)
        if why:
            silent[prompt_id(number)] = why
    return {
        name: why
        for name in samples
        if (why := silent.get(name.partition("/")[0]) or _uncertain(folder, name, found))
    }


def read_results(file: Path) -> list[dict[str, Any]]:
    """Lines of official results, `metadata` and `details` parsed; QaError for other lines."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines if line.strip()]
        return [{**row, **{key: json.loads(row[key]) for key in RESULT_KEYS[-2:]}} for row in found]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise QaError(
            f"{file} holds no GenEval results.",
            f"{type(error).__name__}: {error}.",
            "write it again",
        ) from error


def write_results(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """The opposite of `read_results`."""
    lines = []
    for row in rows:
        told = {key: row[key] for key in RESULT_KEYS[:-2]}
        told |= {key: json.dumps(row[key]) for key in RESULT_KEYS[-2:]}
        lines.append(json.dumps(told) + "\n")
    write_bytes(file, "".join(lines).encode())


def write(run: RunFolder, out: Path) -> tuple[int, int]:
    """A run's pictures, and its results if there are any, in the official layout.

    Returns how many pictures and results were written. UsageError for a run of another suite,
    QaError where one of its pictures is missing: the original would not notice.
    """
    samples = {row["id"]: row for row in run.samples()}
    strange = [name for name in samples if not _SAMPLE.fullmatch(name)]
    if strange:
        raise UsageError(
            f"{run.path} is no run of GenEval.",
            f"It has a sample {strange[0]!r}.",
            "name a run with suite=geneval",
        )
    names = _names(run, list(samples))
    for name, row in samples.items():
        asked = json.dumps(row_of(row["asks"]))
        write_bytes(out / name.partition("/")[0] / METADATA, f"{asked}\n".encode())
    for (name, seed), place in names.items():
        write_bytes(out / place, run.picture_file(name, seed).read_bytes())
    notes = all_notes(run, PANEL, samples)
    if notes:
        lines = [{**note, "filename": names[note["sample"], note["seed"]]} for note in notes]
        write_results(out / RESULTS, sorted(lines, key=lambda line: line["filename"]))
    return len(names), len(notes)


def _names(run: RunFolder, samples: Sequence[str]) -> dict[tuple[str, int], str]:
    """(sample, seed) → path of its picture in the layout."""
    decoded = run.decoded(("sample", "seed", "file", "why"))
    lost = decoded[decoded["file"].isna()]
    if len(lost):
        raise QaError(
            f"{len(lost)} pictures of {run.path} are missing.",
            f"The first is {lost.iloc[0]['sample']}: {lost.iloc[0]['why']}.",
            "run the same `qa run` command again: a stopped run continues",
        )
    takes = {name: int(name.partition("/")[2]) for name in samples}
    each = 1 + max(takes.values(), default=0)
    return {
        (name, seed): f"{name.partition('/')[0]}/{SAMPLES}/{seed * each + takes[name]:04d}.png"
        for name, seed in zip(decoded["sample"], map(int, decoded["seed"]), strict=True)
    }


def _folders(folder: Path) -> dict[int, list[Path]]:
    """Number → the folders of that number."""
    found: dict[int, list[Path]] = {}
    for place in sorted(folder.iterdir()):
        if _DIGITS.fullmatch(place.name) and place.is_dir():
            found.setdefault(int(place.name), []).append(place)
    return found


def _uncertain(folder: Path, name: str, found: Mapping[str, Sequence[Path]]) -> str:
    """Why a sample has not just one picture, or ""."""
    known = [str(file.relative_to(folder)) for file in found.get(name, ())]
    if len(known) > 1:
        return f"several pictures stand for it: {', '.join(known)}"
    number, _, take = name.partition("/")
    return "" if known else f"there is no picture {number}/{SAMPLES}/{take}.png"


def _check_metadata(
    folder: Path, places: Sequence[Path], number: int, row: Mapping[str, Any]
) -> str:
    """Why a prompt's folder does not say what it was asked for, or "".

    UsageError if it was asked for something else: then the whole folder is of other prompts.
    """
    for file in (place / METADATA for place in places):
        if not file.is_file():
            return f"there is no {file.relative_to(folder)}, so nothing says what was asked for"
        known = read_json(file)
        if not isinstance(known, dict) or any(known.get(k) != row.get(k) for k in ASKED):
            asked = known.get("prompt") if isinstance(known, dict) else known
            raise UsageError(
                f"{file} is not line {number + 1} of these prompts.",
                f"It asks for {_short(asked)!r}, the line for {_short(row['prompt'])!r}.",
                "suite.prompts=official, rewritten, or custom with suite.path=FILE",
            )
    return "" if places else f"there is no folder {number:05d}"


def _short(prompt: Any) -> str:
    text = str(prompt)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a run in the official layout; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m suites.geneval.layout",
        description="Write a run's pictures and results as GenEval's own scripts expect them.",
    )
    parser.add_argument("run", type=Path, help="a folder under runs/")
    parser.add_argument("out", type=Path, help="where to write")
    options = parser.parse_args(arguments)
    try:
        pictures, results = write(RunFolder.open(options.run), options.out)
    except QaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{pictures} pictures, {results} results  →  {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
