"""Takes of a prompt."""

import pytest

from qa.errors import UsageError
from qa.types import Sample
from suites.prompted import checked, takes


def test_takes_are_one_group_with_noise_of_their_own():
    prompt = Sample("dog", prompt="a dog", tags=("animals",))
    first, second = takes(prompt, 2, digits=3)
    assert (first.id, second.id) == ("dog/000", "dog/001")
    assert (first.group, second.group) == ("dog", "dog")
    assert (first.take, second.take) == (0, 1)
    assert (second.prompt, second.tags) == ("a dog", ("animals",))
    assert [sample.id for sample in takes(prompt, 11)][-1] == "dog/10"


def test_no_picture_is_nothing_to_ask_for():
    assert checked(1) == 1
    with pytest.raises(UsageError, match=r"suite.pictures=0"):
        checked(0)
