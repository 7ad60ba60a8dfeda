"""The asset table and where its files come from, with a server on this machine as the origin."""

import json
import subprocess
import sys
import threading

import pytest
from origin import COMMIT, DATA, LATER, Origin, archive, sha

from qa import assets
from qa.assets import Store, downloads
from qa.assets.catalog import parse
from qa.assets.lock import Lock
from qa.errors import AssetMissing, QaError, UsageError


@pytest.fixture
def origin(monkeypatch):
    server = Origin()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def make(tmp_path, origin):
    """Row(s) → a store with an empty cache and one mirror."""

    def build(**rows) -> Store:
        terms = {"licence": "MIT", "needed_by": ["a test"]}
        table = {name.replace("_", "."): parse(name.replace("_", "."), terms | row)
                 for name, row in rows.items()}  # fmt: skip
        (tmp_path / "mirror").mkdir(exist_ok=True)
        cache = tmp_path / "cache"
        return Store(table, (tmp_path / "mirror",), cache, Lock(tmp_path / "locks" / "assets.lock"))

    return build


def cached(store: Store) -> list[str]:
    """Every file below the cache, unfinished ones included."""
    return sorted(
        p.relative_to(store.cache).as_posix() for p in store.cache.rglob("*") if p.is_file()
    )


def test_a_download_is_kept_and_not_asked_for_again(make, origin):
    store = make(a_bin={"url": origin.url + "/a.bin", "sha256": sha(DATA), "bytes": len(DATA)})
    assert store.status("a.bin").state == "missing"
    path = store.resolve("a.bin", offline=False)
    assert path.read_bytes() == DATA
    assert cached(store) == ["a.bin"]
    assert store.status("a.bin").state == "cache"
    origin.content.clear()
    assert store.resolve("a.bin", offline=True) == path
    assert origin.asked == ["/a.bin"]


@pytest.mark.parametrize("facts", [{"sha256": sha(b"else")}, {"sha256": sha(DATA), "bytes": 5}])
def test_a_wrong_hash_or_size_is_refused_and_left_out_of_the_cache(make, origin, facts):
    store = make(a_bin={"url": origin.url + "/a.bin", **facts})
    with pytest.raises(QaError, match="not what was expected and was not kept") as caught:
        store.resolve("a.bin", offline=False)
    assert not isinstance(caught.value, UsageError)
    assert cached(store) == []
    assert not store.lock.path.exists()


def test_more_than_the_table_says_is_not_listened_to(make, origin):
    """It is stopped while it comes, and not only refused once it is here."""
    origin.content["/a.bin"] = bytes(3 * downloads.READ)
    known = {"url": origin.url + "/a.bin", "sha256": sha(origin.content["/a.bin"])}
    store = make(a_bin=known | {"bytes": 5})
    with pytest.raises(AssetMissing, match=f"more than {5 + downloads.READ} bytes"):
        store.resolve("a.bin", offline=False)
    assert cached(store) == []
    assert make(b_bin=known).resolve("b.bin", offline=False).is_file(), "negative control"


def test_offline_never_asks(make, origin):
    store = make(a_bin={"url": origin.url + "/a.bin", "sha256": sha(DATA)})
    with pytest.raises(AssetMissing, match=r"qa assets fetch a\.bin") as caught:
        store.resolve("a.bin", offline=True)
    assert "a test" in caught.value.why
    assert origin.asked == []
    store.resolve("a.bin", offline=False)
    assert origin.asked == ["/a.bin"]


def test_an_origin_that_does_not_answer_is_a_missing_asset(make, origin):
    store = make(a_bin={"url": origin.url + "/gone.bin", "sha256": sha(DATA)})
    with pytest.raises(AssetMissing, match="could not be downloaded") as caught:
        store.resolve("a.bin", offline=False)
    assert "404" in caught.value.why
    assert cached(store) == []


def test_an_unknown_hash_is_locked_on_first_use_and_enforced(make, origin):
    store = make(a_bin={"url": origin.url + "/a.bin"})
    path = store.resolve("a.bin", offline=False)
    content = json.loads(store.lock.path.read_text())
    assert content == {"version": 1, "commits": {}, "sha256": {"a.bin": sha(DATA)}}
    path.unlink()
    origin.content["/a.bin"] = b"changed"
    with pytest.raises(QaError, match="not kept"):
        store.resolve("a.bin", offline=False)
    assert cached(store) == []
    store.lock.path.unlink()  # the control: without the lock, nobody knows
    assert store.resolve("a.bin", offline=False).read_bytes() == b"changed"


def test_a_known_hash_needs_no_lock(make, origin):
    store = make(a_bin={"url": origin.url + "/a.bin", "sha256": sha(DATA)})
    store.resolve("a.bin", offline=False)
    assert not store.lock.path.exists()


def test_a_damaged_cache_is_seen_and_fetched_again(make, origin):
    store = make(a_bin={"url": origin.url + "/a.bin", "sha256": sha(DATA)})
    path = store.resolve("a.bin", offline=False)
    path.write_bytes(b"x" * len(DATA))
    status = store.status("a.bin")
    assert status.state == "damaged"
    assert "SHA-256" in status.why
    with pytest.raises(AssetMissing, match="refused"):
        store.resolve("a.bin", offline=True)
    assert store.resolve("a.bin", offline=False).read_bytes() == DATA


def test_the_mirror_comes_first_at_any_depth_and_the_hash_decides(make, origin):
    store = make(a_bin={"url": origin.url + "/a.bin", "sha256": sha(DATA)})
    (mirror,) = store.mirrors
    for folder, data in (("a", b"another file of that name"), ("b/c", DATA)):
        (mirror / folder).mkdir(parents=True)
        (mirror / folder / "a.bin").write_bytes(data)
    assert store.resolve("a.bin", offline=True) == mirror / "b" / "c" / "a.bin"
    assert store.status("a.bin").state == "mirror"
    assert not store.cache.exists()
    (mirror / "b" / "c" / "a.bin").unlink()
    with pytest.raises(AssetMissing, match="was refused"):
        store.resolve("a.bin", offline=True)


def test_a_mirrored_file_of_unknown_hash_is_locked_too(make, origin):
    store = make(a_bin={"url": origin.url + "/a.bin"})
    file = store.mirrors[0] / "a.bin"
    file.write_bytes(DATA)
    store.resolve("a.bin", offline=True)
    assert store.lock.hash_of("a.bin") == sha(DATA)
    file.write_bytes(b"changed since")
    with pytest.raises(AssetMissing, match="refused"):
        store.resolve("a.bin", offline=True)


FOLDER = {"config.json": {}, "w.bin": {"sha256": sha(DATA)}}


def test_a_repository_at_a_pinned_commit(make, origin):
    store = make(model={"repo": "org/model", "revision": COMMIT, "files": FOLDER})
    folder = store.resolve("model", offline=False)
    assert cached(store) == ["model/config.json", "model/w.bin"]
    assert (folder / "w.bin").read_bytes() == DATA
    assert {path.split("/")[4] for path in origin.asked} == {COMMIT}
    assert store.lock.hash_of("model/config.json") == sha(b"{}")
    assert store.lock.commit_of("model") == COMMIT
    assert store.resolve("model", offline=True) == folder


def test_a_branch_is_locked_to_the_commit_of_its_first_use(make, origin):
    store = make(model={"repo": "org/model", "revision": "main", "files": FOLDER})
    folder = store.resolve("model", offline=False)
    assert store.lock.commit_of("model") == COMMIT
    origin.commit = LATER
    origin.asked.clear()
    for file in folder.iterdir():
        file.unlink()
    store.resolve("model", offline=False)
    assert {path.split("/")[4] for path in origin.asked} == {COMMIT}


def test_one_wrong_file_refuses_the_whole_folder(make, origin):
    wrong = {"config.json": {}, "w.bin": {"sha256": sha(b"else")}}
    store = make(model={"repo": "org/model", "revision": COMMIT, "files": wrong})
    with pytest.raises(QaError, match=r"W\.bin has SHA-256"):
        store.resolve("model", offline=False)
    assert cached(store) == []


@pytest.mark.parametrize("name", ["model", "deep/model", COMMIT])
def test_a_mirrored_folder_counts_when_it_is_complete(make, origin, name):
    store = make(model={"repo": "org/model", "revision": COMMIT, "files": FOLDER})
    folder = store.mirrors[0] / name
    folder.mkdir(parents=True)
    (folder / "w.bin").write_bytes(DATA)
    with pytest.raises(AssetMissing, match=r"config\.json is missing"):
        store.resolve("model", offline=True)
    (folder / "config.json").write_bytes(b"{}")
    assert store.resolve("model", offline=True) == folder
    assert origin.asked == []


def test_a_folder_named_like_a_branch_is_not_the_asset(make, origin):
    store = make(model={"repo": "org/model", "revision": "main", "files": {"config.json": {}}})
    for name, expected in (("main", "missing"), ("model", "mirror")):
        (store.mirrors[0] / name).mkdir()
        (store.mirrors[0] / name / "config.json").write_bytes(b"{}")
        assert store.status("model").state == expected


def test_a_folder_out_of_an_archive(make, origin, tmp_path):
    origin.content["/repo.tar.gz"] = archive(prompts__1=b"a cat", prompts__2=b"a dog", other=b"x")
    wanted = tmp_path / "wanted"
    wanted.mkdir()
    (wanted / "1").write_bytes(b"a cat")
    (wanted / "2").write_bytes(b"a dog")
    lines = f"{sha(b'a cat')}  1\n{sha(b'a dog')}  2\n"
    tree = downloads.tree_sha256(wanted)
    assert tree == sha(lines.encode())

    row = {"archive": origin.url + "/repo.tar.gz", "member": "prompts", "tree": tree}
    store = make(prompts=row)
    folder = store.resolve("prompts", offline=False)
    assert cached(store) == ["prompts/1", "prompts/2"]
    assert store.resolve("prompts", offline=True) == folder

    (folder / "2").write_bytes(b"a cow")
    assert store.status("prompts").state == "damaged"
    origin.content["/repo.tar.gz"] = archive(prompts__1=b"a cat")
    with pytest.raises(QaError, match="not kept"):
        store.resolve("prompts", offline=False)


def test_a_lock_that_is_no_lock_is_not_overwritten(make, origin):
    store = make(a_bin={"url": origin.url + "/a.bin"})
    store.lock.path.parent.mkdir()
    store.lock.path.write_text("{}")
    with pytest.raises(QaError, match="no lock of hashes"):
        store.resolve("a.bin", offline=False)
    assert store.lock.path.read_text() == "{}"


def test_entries_of_a_lock_never_change(tmp_path):
    lock = Lock(tmp_path / "assets.lock")
    lock.add({"a": "1"}, {"m": COMMIT})
    lock.add({"a": "2", "b": "3"}, {"m": LATER})
    assert (lock.hash_of("a"), lock.hash_of("b"), lock.commit_of("m")) == ("1", "3", COMMIT)
    assert [file.name for file in tmp_path.iterdir()] == ["assets.lock"]


def test_an_unknown_name_suggests_the_nearest(make):
    with pytest.raises(UsageError, match=r"Near: taef2_decoder\.pth"):
        assets.find("taef2_decoder.pt")


def test_the_environment_names_the_places(monkeypatch, tmp_path):
    monkeypatch.setenv("QA_ASSETS", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    monkeypatch.setenv("QA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("QA_ASSETS_LOCK", raising=False)
    store = assets.store()
    assert store.mirrors == (tmp_path / "one", tmp_path / "two")
    assert store.lock.path == tmp_path / "cache" / "assets.lock"
    monkeypatch.setenv("QA_ASSETS_LOCK", str(tmp_path / "kept.lock"))
    assert assets.store().lock.path == tmp_path / "kept.lock"


def test_offline_is_a_variable_or_a_block_that_ends(monkeypatch):
    monkeypatch.delenv("QA_OFFLINE", raising=False)
    assert not assets.offline()

    def fails():
        with assets.without_network(), assets.without_network(False):
            assert assets.offline()
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert not assets.offline(), "also after an error"
    with assets.without_network(False):
        assert not assets.offline()
        monkeypatch.setenv("QA_OFFLINE", "1")
        assert assets.offline()


def test_verify_reports_every_asset(monkeypatch, tmp_path):
    monkeypatch.setenv("QA_ASSETS", str(tmp_path))
    monkeypatch.setenv("QA_CACHE", str(tmp_path / "cache"))
    statuses = assets.verify()
    assert [status.asset.name for status in statuses] == sorted(assets.table())
    assert {status.state for status in statuses} == {"missing"}
    (tmp_path / "taef2_decoder.pth").write_bytes(b"rubbish")
    (status,) = assets.verify(["taef2_decoder.pth"])
    assert status.state == "missing"
    assert "refused" in status.why


def test_importing_assets_imports_no_downloader_and_no_torch():
    heavy = "{'torch', 'pooch', 'huggingface_hub', 'requests', 'yaml'}"
    code = f"import sys, qa.assets; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
