"""Any bytes where a file is expected: an answer, or an error that says what to do. No traceback."""

from __future__ import annotations

import io
import json
import random
import shutil
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from toyruns import make_pictures, toy_overrides

import qa
from qa import images, kinds
from qa.cli import run
from qa.config import build, compose
from qa.errors import QaError, UsageError
from qa.results import load
from qa.store import RunFolder
from reports.viewer import viewer
from suites.folder import MANIFEST_KEYS, Folder

FUZZ = settings(
    deadline=None, derandomize=True, database=None, max_examples=100,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=12)
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner,
                                                                max_size=4),
    max_leaves=10,
)  # fmt: skip
PATHS = st.sampled_from(
    ["a.png", "../a.png", "/etc/passwd", "x\x00.png", "\ud800.png", "", "a" * 300, "/dev/zero",
     "/proc/self/mem", ".", "con", "a/../a.png"]
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    return folder


BOX = st.lists(st.integers(-9, 99) | st.floats() | JSON, max_size=5)
ANY_LINE = st.dictionaries(st.sampled_from(sorted(MANIFEST_KEYS)), JSON, max_size=5)
LINE = ANY_LINE | st.fixed_dictionaries(
    {"image": PATHS | JSON},
    optional={
        "id": LEAVES, "prompt": LEAVES, "tags": st.lists(LEAVES, max_size=3),
        "regions": st.lists(st.fixed_dictionaries({"text": LEAVES, "box": BOX}), max_size=2),
    },
)  # fmt: skip


def listed(folder: Path, data: bytes) -> None:
    (folder / "list.jsonl").write_bytes(data)
    try:
        samples = Folder(folder / "list.jsonl").samples()
    except QaError:
        return
    for sample in samples:
        sample.id.encode()
        assert sample.problem or sample.image is None or sample.sha256


@FUZZ
@given(st.lists(LINE, max_size=3))
def test_manifests_of_any_json(place, lines):
    listed(place, "\n".join(map(json.dumps, lines)).encode())


@FUZZ
@given(st.binary(max_size=200) | st.text(max_size=80).map(str.encode))
def test_manifests_of_any_bytes(place, data):
    listed(place, data)
    listed(place, b'{"image": "a.png", "tags": ' + data + b"}")


def test_manifests_that_are_deep_or_long(place):
    listed(place, b"[" * 100_000)
    listed(place, b'{"image": "a.png", "id": "' + b"x" * 10**6 + b'"}')
    listed(place, b'{"image": "a.png", "regions": ' + b"[" * 5000 + b"]" * 5000 + b"}")


def seed_pictures() -> list[tuple[str, bytes]]:
    values = np.arange(24 * 20 * 4, dtype=np.uint8).reshape(24, 20, 4)
    made = []
    for suffix, mode in (("png", "RGBA"), ("png", "P"), ("jpg", "RGB"), ("webp", "RGB"),
                         ("tif", "RGB"), ("tif", "LZW"), ("bmp", "RGB")):  # fmt: skip
        buffer = io.BytesIO()
        picture = Image.fromarray(values).convert("RGB" if mode == "LZW" else mode)
        options = {"compression": "tiff_lzw"} if mode == "LZW" else {}
        picture.save(buffer, {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix), **options)
        made.append((suffix, buffer.getvalue()))
    buffer = io.BytesIO()
    Image.fromarray(values[:, :, 0].astype(np.uint16) * 257).save(buffer, "png")
    return [*made, ("png", buffer.getvalue())]


SEEDS = seed_pictures()


def opened(file: Path) -> bool:
    try:
        picture = images.read(file)
    except images.ImageProblem:
        pass
        return False
    assert (picture.ndim, picture.shape[0], str(picture.dtype)) == (3, 3, "torch.uint8")
    return True


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_pictures_with_bytes_changed(number, tmp_path):
    """Bits flipped, pieces cut out, repeated and replaced by numbers that mean much."""
    suffix, data = SEEDS[number]
    file = tmp_path / f"a.{suffix}"
    file.write_bytes(data)
    assert opened(file), "negative control: as it was, it is read"
    draw = random.Random(number)
    refused = 0
    for _ in range(150):
        changed = bytearray(data)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(min(len(changed), draw.choice([64, 10**6])))
            what = draw.randrange(4)
            if what == 0:
                changed[at] ^= 1 << draw.randrange(8)
            elif what == 1:
                changed[at : at + 4] = draw.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
            elif what == 2:
                del changed[at : at + draw.randint(1, 40)]
            else:
                changed[at:at] = changed[at : at + 20]
            changed = changed or bytearray(b"\0")
        file.write_bytes(changed)
        refused += not opened(file)
    assert refused


@FUZZ
@given(st.binary(max_size=300), st.sampled_from(["png", "jpg", "webp", "tif", "bmp"]))
def test_pictures_of_any_bytes(place, data, suffix):
    file = place / f"b.{suffix}"
    for head in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\x24\0\0\0WEBP", b"II*\0",
                 b"MM\0*", b"BM", b"GIF89a", b"%!PS", b"\0\0\x01\0"):  # fmt: skip
        file.write_bytes(head + data)
        opened(file)
    file.unlink()


KEYS = ["seeds", "decoder", "decoder._target_", "suite", "metric", "knobs.sigma", "gate", "report",
        "tracking", "hydra.searchpath", "hydra", "use_case", "_target_", "trust", "defaults",
        "suite.path", "numerics", "executor.batch", "looks"]  # fmt: skip
VALUES = st.text(max_size=20) | st.sampled_from(
    ["null", "[]", "{}", "${seeds}", "${oc.env:HOME}", "${", "[1,[2", "{a:1}", "'", "\\", "???",
     "${decoder}", "1e999", "nan", "[flat]", "{_target_: os.system, command: 'exit 3'}",
     "${oc.decode:'${x}'}", "file:///", "pkg://os"]
)  # fmt: skip
WORD = st.builds("{}{}={}".format, st.sampled_from(["", "+", "++", "~"]), st.sampled_from(KEYS),
                 VALUES) | st.text(max_size=15)  # fmt: skip


def tried(words: list[str], config_dir: Path | None = None) -> None:
    """Compose and build a decoder: both may refuse, nothing else."""
    with suppress(QaError):
        config = compose(words, config_dir)
        config.resolved()
        build(config.group("decoder"), "decoder")


@settings(FUZZ, max_examples=40)
@given(st.lists(WORD, min_size=1, max_size=3))
def test_words_of_the_command_line(words):
    tried(["decoder=flat", *words])


YAML = st.recursive(
    LEAVES | VALUES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["decoder", "_target_", "_args_", "_partial_", "suite", "seeds",
                             "hydra", "defaults", "trust", "knobs"]) | st.text(max_size=4),
            inner, max_size=4,
        )
    ),
    max_leaves=8,
)  # fmt: skip


@settings(FUZZ, max_examples=25)
@given(YAML, st.booleans())
def test_configurations_of_any_yaml(place, content, whole):
    folder = place / "conf"
    (folder / "decoder").mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(content, allow_unicode=True)
    (folder / "decoder" / "mine.yaml").write_text(
        ("# @package _global_\n" if whole else "") + text, encoding="utf-8"
    )
    tried(["decoder=mine"], folder)


@settings(FUZZ, max_examples=25)
@given(st.binary(max_size=120) | st.text(max_size=60).map(str.encode))
def test_configurations_of_any_bytes(place, data):
    folder = place / "conf"
    (folder / "decoder").mkdir(parents=True, exist_ok=True)
    (folder / "decoder" / "mine.yaml").write_bytes(data)
    tried(["decoder=mine"], folder)


CELLS = st.text(alphabet='0123456789.,;"\n-naif\x00 eE+sample', max_size=60)


@FUZZ
@given(st.binary(max_size=120) | CELLS.map(str.encode))
def test_tables_of_any_bytes(place, data):
    for name, head in (("t.csv", b""), ("t.csv", b"sample,seed,metric,value\n"), ("t.parquet", b""),
                       ("t.parquet", b"PAR1")):  # fmt: skip
        (place / name).write_bytes(head + data)
        with suppress(QaError):
            load(place / name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run folder that was judged against another one beside it, at a look."""
    place = tmp_path_factory.mktemp("run")
    words = toy_overrides(make_pictures(place / "p", 2), "Sampler", "seeds=1", "report=null")
    qa.evaluate(*words, f"out={place / 'base'}")
    words += [f"baseline={place / 'base'}", "looks=[2]", f"out={place / 'made'}"]
    return qa.evaluate(*words).folder.path


COMMANDS = (
    ["report", "RUN", "--format", "md"], ["judge", "RUN", "--baseline", "RUN"],
    ["signoff", "RUN", "--decision", "hold", "--why", "x", "--by", "me"],
)  # fmt: skip
DOCUMENTS = ("verdict.json", "record.json", "config.yaml", "sets.json", "signoff.json")


@pytest.fixture
def again(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "run"))


BROKEN = [b"[" * 100_000, b"{}", b'{"schema": "decoder-qa/verdict/1"}', b"", b"null",
          b"[1]", b"3", b"\xff\xfe", b"{", b"NaN", b'{"schema": ["decoder-qa"]}',
          b"!!python/object/apply:os.system [touch ran]"]  # fmt: skip
CODE = (
    b'{"use_case": 3, "gate": {"x": {"_target_": "os.system", "command": "touch ran"}},'
    b' "tracking": {"_target_": "os.system", "command": "touch ran"}}'
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_of_a_run_that_are_something_else(document, again, monkeypatch, capsys):
    """Every command that reads a run says what is wrong with it, exit code 1 to 5."""
    monkeypatch.chdir(again.parent)
    whole = {name: (again / name).read_bytes() for name in DOCUMENTS if (again / name).is_file()}
    found = []
    yaml_only = [*BROKEN[:-2], BROKEN[-1], CODE]
    for data in yaml_only if document == "config.yaml" else BROKEN:
        for command in COMMANDS:
            for name, before in whole.items():
                (again / name).write_bytes(before)
            (again / document).write_bytes(data)
            words = [str(again) if word == "RUN" else word for word in command]
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the command prints them as lines
                    run(words)
            except Exception as error:
                found.append((document, data[:40], command[0], f"{type(error).__name__}: {error}"))
    assert found == []
    assert "Traceback" not in capsys.readouterr().err
    assert not list(again.parent.glob("**/ran"))


def test_negative_control_the_commands_work_on_the_run_as_it_was(again, monkeypatch, capsys):
    monkeypatch.chdir(again.parent)
    for command in COMMANDS[:2]:
        assert run([str(again) if word == "RUN" else word for word in command]) < 6
    with pytest.raises(UsageError):
        load(again / "nothing.csv")


Place = tuple[str | int, ...]
HOSTILE = (
    "null", "{}", "[]", '"x"', "-1", "1" + "0" * 400, "NaN", '"\\ud800"', "[" * 900 + "]" * 900,
    "true", "1e308", "9223372036854775807", "[null]", '{"a": 1}',
)  # fmt: skip
"""JSON that somebody may put where something else was."""
NEEDED = {("state",), ("gates",), ("problems",), ("metrics", 0, "mean"), ("metrics", 0, "metric")}
"""Places of a verdict that may not be left out either."""
PARQUET = {
    "null": pa.null(), "bytes": pa.binary(), "texts": pa.string(), "whole": pa.int64(),
    "real": pa.float64(), "lists": pa.list_(pa.int64()), "times": pa.timestamp("ns"),
    "categories": pa.dictionary(pa.int32(), pa.string()),
    "objects": pa.struct([("a", pa.string())]),
}  # fmt: skip
"""Types that somebody may give a column."""
QUICK = (
    "report RUN --format md", "report RUN --format junit", "judge RUN --baseline BASE",
    "judge RUN", "plan RUN --baseline BASE", "signoff RUN --decision hold --why x --by me",
    "signoff RUN --decision ship --by me", "baseline promote RUN --by me",
)  # fmt: skip
READERS = (
    *QUICK, "report RUN --baseline BASE --out page.html", "report RUN --format json",
    "compare RUN BASE --out compare.html", "compare BASE RUN --out compare.html",
)  # fmt: skip
"""What reads a run beside the viewer; pages take a second each."""


def places(value: object, at: Place = ()) -> list[Place]:
    """Where something stands in a document, of lists the first entry only; not the document."""
    inner: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value[:1]))
    return [place for key, one in inner for place in ((*at, key), *places(one, (*at, key)))]


def replaced(document: object, place: Place, text: str) -> str:
    """The document's JSON with this text at a place; "" takes out what is there."""
    document = json.loads(json.dumps(document))
    whole = at = {"": document}
    *way, last = ("", *place)
    for key in way:
        at = at[key]
    if not text:
        del at[last]
        return json.dumps(whole[""])
    at[last] = "@here@"
    return json.dumps(whole[""]).replace('"@here@"', text)


def changed(name: str, data: bytes, place: Place, text: str) -> bytes:
    """A document of a run with something else at a place; of samples.jsonl in its first line."""
    if name == "samples.jsonl":
        first, _, rest = data.decode().partition("\n")
        return f"{replaced(json.loads(first), place, text)}\n{rest}".encode()
    known = yaml.safe_load(data) if name == "config.yaml" else json.loads(data)
    return replaced(known, place, text).encode()


def retyped(file: Path, column: str, kind: str) -> None:
    """The same table with a column of another type, of the values that this type can have."""
    table = pq.read_table(file)
    at, rows = table.column_names.index(column), table.num_rows
    values = {
        "bytes": [b"\xff\x00"] * rows, "texts": ["x\x00"] * rows, "whole": [2**62] * rows,
        "real": [float("nan")] * rows, "lists": [[1]] * rows, "times": [10**18] * rows,
        "categories": ["x"] * rows, "objects": [{"a": "x"}] * rows, "null": [None] * rows,
    }[kind]  # fmt: skip
    pq.write_table(table.set_column(at, column, pa.array(values, PARQUET[kind])), file)


def view(path: Path) -> None:
    """What the viewer's first page and its first picture ask for."""
    for bases in ((), (RunFolder(path.parent / "base"),)):
        site = viewer(RunFolder(path), bases)
        for address in ("", "picture/0/0"):
            site(address)


def shown(path: Path, commands: Sequence[str] = READERS) -> list[str]:
    """What every command and the viewer raise over a run that is no QaError, and their codes."""
    told = []
    for command in (*commands, "view"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the command prints them as lines
                if command == "view":
                    with suppress(QaError):
                        view(path)
                    continue
                names = {"RUN": str(path), "BASE": str(path.parent / "base")}
                code = run([names.get(word, word) for word in command.split()])
            if code not in range(6):
                told.append(f"{command}: exit code {code}")
        except Exception as error:
            told.append(f"{command}: {type(error).__name__}: {str(error)[:100]}")
        finally:
            (path / "signoff.json").unlink(missing_ok=True)
            shutil.rmtree("baselines", ignore_errors=True)
    return told


def cases(path: Path, name: str) -> list[tuple[Place, str]]:
    """Every place of a document with every hostile value, in an order drawn by lot."""
    data = (path / name).read_bytes()
    if name == "samples.jsonl":
        data = data.partition(b"\n")[0]
    known = yaml.safe_load(data) if name == "config.yaml" else json.loads(data)
    found = [(place, text) for place in places(known) for text in HOSTILE]
    found += [(place, "") for place in places(known) if name == "verdict.json" and place in NEEDED]
    random.Random(name).shuffle(found)
    return found


@pytest.fixture
def beside(finished, tmp_path, monkeypatch) -> Path:
    """A copy of the run with the one that it was judged against beside it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished.parent / "base", tmp_path / "base")
    return Path(shutil.copytree(finished, tmp_path / "made"))


def tried_over(path: Path, name: str, tries: Sequence[tuple[Place, str]], every: int) -> list[str]:
    """What any command raises over any of these changes of a document.

    Only every so many of them is shown as a page, too.
    """
    before, found = (path / name).read_bytes(), []
    for number, (place, text) in enumerate(tries):
        (path / name).write_bytes(changed(name, before, place, text))
        at = f"{name} {'.'.join(map(str, place))} = {text[:20] or 'nothing'}"
        commands = READERS if number % every == every - 1 else QUICK
        found += [f"{at}: {told}" for told in shown(path, commands)]
    (path / name).write_bytes(before)
    return found


JSON_FILES = {"verdict.json": 20, "record.json": 20, "samples.jsonl": 10, "config.yaml": 10}
"""Document → how many of its cases are tried in every run of the tests."""


@pytest.mark.parametrize("name", JSON_FILES)
def test_documents_with_something_else_at_a_place(name, beside, capsys):
    """Every command reads it, or refuses it with a sentence and an exit code of its own."""
    assert shown(beside) == [], "negative control: nothing is wrong with the run itself"
    assert tried_over(beside, name, cases(beside, name)[: JSON_FILES[name]], 5) == []
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.grid
@pytest.mark.parametrize("name", JSON_FILES)
def test_documents_with_something_else_at_any_place(name, beside):
    assert tried_over(beside, name, cases(beside, name), 5) == []


PLANTED = [
    ("verdict.json", ("metrics", 0), "null"), ("verdict.json", ("metrics", 0, "low"), '{"a": 1}'),
    ("verdict.json", ("gates",), ""), ("verdict.json", ("state",), ""),
    ("verdict.json", ("look",), "3"), ("verdict.json", ("confidence",), '"x"'),
    ("verdict.json", ("failures",), "[1]"), ("verdict.json", ("drift",), '{"a": 1}'),
    ("verdict.json", ("metrics", 0, "mean"), "1" + "0" * 400),
    ("verdict.json", ("use_case",), '"\\ud800"'),
    ("record.json", ("seeds",), '"x"'), ("record.json", ("facts",), '{"a": 1}'),
    ("record.json", ("notes",), "-1"), ("record.json", ("look",), "1" + "0" * 400),
    ("record.json", ("environment", "class"), "[]"), ("record.json", ("dial",), '"x"'),
    ("config.yaml", ("gate",), '"x"'), ("config.yaml", ("baselines",), "3"),
    ("samples.jsonl", ("width",), '"x"'), ("samples.jsonl", (), "[" * 100_000),
]  # fmt: skip
"""Cases that once ended in a traceback."""


@pytest.mark.parametrize(("name", "place", "text"), PLANTED)
def test_negative_control_unchecked_documents_end_in_tracebacks(
    name, place, text, beside, monkeypatch
):
    tries = [(place, text)]
    assert tried_over(beside, name, tries, 2) == []
    monkeypatch.setattr(kinds, "check", lambda value, kind: None)
    monkeypatch.setattr(kinds, "sample", json.loads)
    assert tried_over(beside, name, tries, 2) != []


TABLES = {
    "decoded.parquet": ("sample", "seed", "file", "why", "seconds"),
    "scores/metric=psnr/part-00000.parquet": ("sample", "seed", "value", "why"),
}


@pytest.mark.parametrize(
    ("name", "column"), [(name, column) for name in TABLES for column in TABLES[name]]
)
def test_columns_of_another_type(name, column, beside):
    found = []
    for kind in PARQUET:
        before = (beside / name).read_bytes()
        retyped(beside / name, column, kind)
        commands = READERS if kind in ("null", "real") else QUICK[:3]
        found += [f"{column} of {kind}: {told}" for told in shown(beside, commands)]
        (beside / name).write_bytes(before)
    assert found == []
