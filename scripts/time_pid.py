"""Time PiD's forward pass at a middle size.

    python scripts/time_pid.py [--threads 2] [--rounds 15]

Random weights, float32, on the CPU: values do not change the time. The variants take turns in every
round, so that a machine that slows down slows all of them, and ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from decoders.pid.adapter import AdapterConfig
from decoders.pid.network import PiDConfig, PiDNetwork
from qa.record import environment

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "measurements" / "pid-cpu.json"
SIDE = 512
SIZES = {"hidden": 384, "heads": 6, "depth": 6, "pixel_width": 288, "pixel_heads": 4}
ADAPTERS = {
    "v1": AdapterConfig(16, 8, 4, 128, "channel", "zeros"),
    "v1.5": AdapterConfig(16, 8, 4, 256, "token", "replicate", pixel_stage=True),
}


def main() -> None:
    """Measure and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = measure(options.rounds) | {"threads": options.threads}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(section(result))


@torch.inference_mode()
def measure(rounds: int) -> dict[str, object]:
    """Seconds of `condition` (once a picture) and `forward` (once a step), round by round."""
    generator = torch.Generator().manual_seed(0)
    networks = {name: _network(adapter) for name, adapter in ADAPTERS.items()}
    x = torch.randn(1, 3, SIDE, SIDE, generator=generator)
    text = torch.randn(1, 300, 2304, generator=generator)
    latent = torch.randn(1, 16, SIDE // 32, SIDE // 32, generator=generator)
    t, sigma = torch.tensor([866.0]), torch.tensor([0.2])
    seconds: dict[str, list[float]] = {}
    for turn in range(rounds + 2):  # two to warm up
        for name, network in networks.items():
            start = time.perf_counter()
            condition = network.condition(text, SIDE, SIDE, latent, sigma)
            middle = time.perf_counter()
            network(x, t, condition)
            end = time.perf_counter()
            if turn >= 2:
                seconds.setdefault(f"{name} condition", []).append(middle - start)
                seconds.setdefault(f"{name} forward", []).append(end - middle)
    described = environment({})
    return {
        "what": f"PiD at D={SIZES['hidden']}, {SIZES['depth']} joint and 2 pixel blocks, "
        f"{SIDE}x{SIDE} output, 300 text tokens, float32, one picture",
        "sizes": SIZES,
        "parameters": {
            name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()
        },
        "cpu": described["cpu"],
        "versions": {key: described["versions"][key] for key in ("torch", "numpy")},
        "python": described["python"],
        "seconds": seconds,
    }


def section(result: dict) -> str:
    """Its part of docs/performance.md."""
    rows = "\n".join(
        f"| {name} | {_spread([1000 * s for s in values], '.0f')} |"
        for name, values in result["seconds"].items()
    )
    ratio = [
        late / early
        for late, early in zip(
            result["seconds"]["v1.5 forward"], result["seconds"]["v1 forward"], strict=True
        )
    ]
    saved = [
        (c + f) / f
        for c, f in zip(
            result["seconds"]["v1 condition"], result["seconds"]["v1 forward"], strict=True
        )
    ]
    return f"""## PiD on a CPU

`python scripts/time_pid.py` → `docs/measurements/{RESULT.name}`: {result["what"]}.
{result["cpu"]["model"]}, {result["threads"]} threads, torch {result["versions"]["torch"]}.

| | ms, median [20th, 80th percentile] of {len(ratio)} |
|---|---|
{rows}

`condition` (latent adapter, text embedding, positions) runs once a picture, `forward` once a step.
Both at every step would take {_spread(saved, ".2f")} times as long as `forward` alone (v1).
`forward` of v1.5 takes {_spread(ratio, ".2f")} times that of v1.
"""


def _network(adapter: AdapterConfig) -> PiDNetwork:
    torch.manual_seed(0)
    return PiDNetwork(PiDConfig(adapter, (1024, 1024), **SIZES)).eval()


def _spread(values: list[float], form: str) -> str:
    low, *_, high = statistics.quantiles(values, n=5)
    return f"{statistics.median(values):{form}} [{low:{form}}, {high:{form}}]"


if __name__ == "__main__":
    main()
