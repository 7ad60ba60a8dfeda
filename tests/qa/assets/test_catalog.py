"""The packaged table of downloadable files."""

from pathlib import Path

from qa import assets


def test_every_row_of_the_table_is_whole():
    table = assets.table()
    assert len(table) > 20
    for name, asset in table.items():
        assert asset.name == name
        assert asset.licence
        assert asset.needed_by
        assert asset.files or (asset.archive and len(asset.tree) == 64)
        if asset.repo:
            pinned = len(asset.revision) == 40
            assert pinned or asset.revision == "main"
            assert pinned or "not pinned" in asset.note
        for file in asset.files:
            assert file.sha256 is None or len(bytes.fromhex(file.sha256)) == 32
            assert asset.repo or file.origin.startswith("https://")
            assert ".." not in Path(file.path).parts
