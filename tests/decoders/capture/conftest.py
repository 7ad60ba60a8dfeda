"""The tiny pipelines, written once."""

import pytest
import tiny_pipelines


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    pass


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Family → folder of its tiny pipeline."""
    root, made = tmp_path_factory.mktemp("pipelines"), {}

    def folder(family):
        if family not in made:
            made[family] = tiny_pipelines.save(family, root / family)
        return made[family]

    return folder
