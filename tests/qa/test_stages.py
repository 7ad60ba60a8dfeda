"""Stages: heard where somebody listens, and nothing otherwise."""

from __future__ import annotations

import hashlib
import threading

import pytest
import torch

from qa import stages
from qa.seeds import INITIAL_NOISE, LATENT_NOISE, noise
from qa.stages import NoiseDigests, digest, heard, mark, together

KEY = ("content", 0)


def test_marks_reach_every_listener_of_the_context_and_end_with_it():
    outer, inner = [], []
    mark("before", b"")
    with heard(lambda name, value, key: outer.append(name)):
        mark("one", b"")
        with heard(lambda name, value, key: inner.append((name, key))):
            mark("two", b"", KEY)
        mark("three", b"")
    mark("after", b"")
    assert outer == ["one", "two", "three"]
    assert inner == [("two", KEY)]


def test_a_listener_is_gone_after_a_failure():
    told = []
    with pytest.raises(ZeroDivisionError), heard(lambda name, value, key: told.append(name)):
        raise ZeroDivisionError
    mark("later", b"")
    assert told == []


def test_another_thread_is_another_context():
    told = []
    with heard(lambda name, value, key: told.append(name)):
        thread = threading.Thread(target=mark, args=("elsewhere", b""))
        thread.start()
        thread.join()
    assert told == []


def test_a_digest_is_of_values_type_and_shape_not_of_layout():
    x = torch.arange(24, dtype=torch.float32).reshape(1, 2, 3, 4)
    assert digest(x) == digest(x.contiguous(memory_format=torch.channels_last))
    assert digest(x) == digest(x.transpose(2, 3).contiguous().transpose(2, 3))
    others = [x.reshape(1, 2, 4, 3), x.double(), x.bfloat16(), x.transpose(2, 3), x + 1]
    assert len({digest(x), *map(digest, others)}) == 6


def test_one_bit_changes_a_digest():
    x = torch.ones(5)
    y = x.clone()
    y[3] = torch.nextafter(y[3], torch.tensor(2.0))
    assert digest(x) != digest(y)
    assert digest(torch.tensor(0.0)) != digest(torch.tensor(-0.0))


@pytest.mark.parametrize(
    "value", [torch.tensor(1.5), torch.ones(0, 3), torch.ones(3, dtype=torch.float16),
              torch.ones(2, dtype=torch.bool), torch.ones(2, dtype=torch.uint8)]
)  # fmt: skip
def test_every_kind_of_tensor_has_a_digest(value):
    assert len(digest(value)) == 64


def test_a_digest_of_bytes_is_their_sha256():
    assert digest(b"png") == hashlib.sha256(b"png").hexdigest()


def test_noise_tells_its_stream_and_whose_it_is():
    told = []
    with heard(lambda name, value, key: told.append((name, key, value.clone()))):
        drawn = noise(INITIAL_NOISE, "content", 0, (3, 4))
    ((name, key, value),) = told
    assert (name, key) == ("noise/initial-noise", KEY)
    assert torch.equal(value, drawn)


def test_noise_digests_are_of_each_picture_and_all_its_streams():
    listening = NoiseDigests()
    with heard(listening):
        one = noise(INITIAL_NOISE, "content", 0, (3, 4))
        two = noise(LATENT_NOISE, "content", 0, (2,))
        noise(INITIAL_NOISE, "content", 1, (3, 4))
        mark(stages.PIXELS, one, KEY)
    expected = together({INITIAL_NOISE: digest(one), LATENT_NOISE: digest(two)})
    assert listening.of(KEY) == expected
    assert listening.of(("content", 1)) not in (expected, None)
    assert listening.of(("content", 2)) is None


def test_a_decoder_may_compute_in_the_noise_it_drew():
    listening = NoiseDigests()
    with heard(listening):
        drawn = noise(INITIAL_NOISE, "content", 0, (3, 400, 400))
        expected = together({INITIAL_NOISE: digest(drawn)})
        drawn.zero_()
    assert listening.of(KEY) == expected
