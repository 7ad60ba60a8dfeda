"""The tiny pipelines, written once."""

import pytest
import tiny_pipelines
import torch


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Layers this small are slower with more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Family → folder of its tiny pipeline."""
    root, made = tmp_path_factory.mktemp("pipelines"), {}

    def folder(family):
        if family not in made:
            made[family] = tiny_pipelines.save(family, root / family)
        return made[family]

    return folder
