"""The gate that knows the noise level against its naive twin."""

import pytest
import torch
from kernel_battery import Case, changed, check, without_tail

from decoders.kernels.gate import naive

HALF = torch.bfloat16


def gate():
    from decoders.kernels.gate import triton

    return triton.sigma_gate


def inputs(rows, channels, contents, kind=torch.float32, held=torch.float32):
    def draw_them(draw):
        log_alpha, sigma = draw(1, mean=1.6)[0], draw(3, mean=0.5, std=0.2)
        return {"s": draw(3, rows, channels, dtype=kind),
                "content": draw(3, rows, contents, dtype=held, mean=2),
                "latent": draw(3, rows, channels, dtype=held),
                "log_alpha": log_alpha, "sigma": sigma}  # fmt: skip

    return draw_them


BATCH = ("s", "content", "latent", "sigma")
FAULTS = {
    "sigma with the other sign": changed(sigma=lambda sigma: -sigma),
    "another's sigma": changed(sigma=lambda sigma: sigma.roll(1)),
    "alpha for its logarithm": changed(log_alpha=lambda alpha: alpha.exp()),
    "s and latent swapped": lambda f, a: f(**{**a, "s": a["latent"], "latent": a["s"]}),
    "tail": without_tail,
}
CASES = [
    Case("channels", naive.sigma_gate, gate, inputs(37, 100, 100), BATCH, FAULTS),
    Case("tokens", naive.sigma_gate, gate, inputs(37, 100, 1), BATCH, FAULTS),
    Case("one value", naive.sigma_gate, gate, inputs(1, 1, 1), BATCH),
    Case("as wide as PiD", naive.sigma_gate, gate, inputs(3, 1536, 1536), BATCH, FAULTS),
    Case("under autocast", naive.sigma_gate, gate, inputs(9, 65, 65, torch.float32, HALF), BATCH),
    Case("in the first block", naive.sigma_gate, gate, inputs(9, 65, 1, HALF, HALF), BATCH),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_equals_its_naive_twin(case, found, device):
    check(found[case.name], device)
