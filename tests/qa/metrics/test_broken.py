"""The battery rejects broken metrics, each by the check that is meant for it."""

import math
import time
from dataclasses import replace

import pytest
import torch

from qa.metrics.psnr import PSNR


class Inner(PSNR):
    """A working metric to be broken in one way."""

    def score(self, pictures, reference):
        return super().__call__(pictures, reference)


class Truncating(Inner):
    def __call__(self, pictures, reference):
        return self.score(pictures // 2 * 2, reference)


class Coupled(Inner):
    def __call__(self, pictures, reference):
        values = self.score(pictures, reference)
        return [sum(values) / len(values)] * len(values)


class Flipped(Inner):
    better = "lower"


class Contradicting(Inner):
    def __init__(self):
        super().__init__()
        self.facts = replace(self.facts, better="lower")


class Infinite(Inner):
    def __call__(self, pictures, reference):
        values = self.score(pictures, reference)
        return [math.inf if value > 90 else value for value in values]


class Swallowing(Inner):
    def __call__(self, pictures, reference):
        return self.score(pictures, pictures[0] if reference is None else reference)


class Cropping(Inner):
    def __call__(self, pictures, reference):
        if reference is not None:
            height, width = (
                min(a, b) for a, b in zip(pictures.shape[-2:], reference.shape[-2:], strict=True)
            )
            pictures, reference = pictures[..., :height, :width], reference[..., :height, :width]
        return self.score(pictures, reference)


class Guessing(Inner):
    def __call__(self, pictures, reference):
        if pictures.is_floating_point() and pictures.max() <= 1:
            pictures = (pictures * 255).round().byte()
        return self.score(pictures, reference)


class Sharing(Inner):
    def __call__(self, pictures, reference):
        self.pictures = pictures
        time.sleep(0.01)
        return self.score(self.pictures, reference)


class Writing(Inner):
    def __call__(self, pictures, reference):
        values = self.score(pictures, reference)
        pictures[:, :, 0, 0] = 0
        return values


class Seeding(Inner):
    def __call__(self, pictures, reference):
        torch.rand(1)
        return self.score(pictures, reference)


class Restless(Inner):
    calls = 0

    def __call__(self, pictures, reference):
        self.calls += 1
        return [value + self.calls * 1e-9 for value in self.score(pictures, reference)]


class Forgiving(Inner):
    def __call__(self, pictures, reference):
        return self.score(pictures, reference) if min(pictures.shape[2:]) > 1 else [0.0]


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (Truncating, "oracle"),
        (Truncating, "identity"),
        (Coupled, "split"),
        (Flipped, "order"),
        (Contradicting, "facts"),
        (Infinite, "identity"),
        (Infinite, "finite"),
        (Swallowing, "no_reference"),
        (Cropping, "sizes"),
        (Guessing, "form"),
        (Sharing, "threads"),
        (Writing, "untouched"),
        (Seeding, "untouched"),
        (Restless, "saved"),
        (Restless, "split"),
    ],
)
def test_rejected(battery, all_cases, broken, check):
    found = battery.failures(replace(all_cases["psnr"], metric=broken()))
    assert check in found, found


def test_a_size_that_is_not_refused(battery, all_cases):
    assert "least" in battery.failures(replace(all_cases["psnr"], metric=Forgiving(), least=11))


def test_the_unbroken_one(battery, all_cases):
    assert battery.failures(replace(all_cases["psnr"], metric=Inner())) == {}
