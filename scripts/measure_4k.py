"""Score one 4096x4096 picture with each metric and keep how much memory and time it took.

    python scripts/measure_4k.py [--threads 2] [--side 4096] [--metrics psnr ssim ...]

Each metric runs in a process of its own, on a drawn picture and a noisy copy, so that its peak is
its own. Networks have drawn weights: values do not change memory or time. What was measured before
stays in docs/measurements/memory-4k-cpu.json unless it is measured again.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "measurements" / "memory-4k-cpu.json"
DEFAULT = ("psnr", "ssim", "ms_ssim", "gmsd")
"""What `qa run` measures unasked (conf/run.yaml)."""
TOGETHER = "default"
METRICS = (
    f"{TOGETHER} "
    "psnr ssim ms_ssim gmsd lpips_alex lpips_vgg dists psnr_y ssim_y ms_ssim_y fsim fsimc vif "
    "ciede2000 colour_drift colour_cast flip"
).split()


def main() -> None:
    """Measure each metric in a fresh process, keep the numbers, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--metrics", nargs="+", default=METRICS)
    parser.add_argument("--only", help=argparse.SUPPRESS)  # what the fresh process is told
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only, options.side, options.threads)))
        return
    result = json.loads(RESULT.read_text()) if RESULT.exists() else {"metrics": {}}
    for name in options.metrics:
        result = add(result, name, fresh(name, options.side, options.threads))
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


def fresh(name: str, side: int, threads: int) -> dict[str, Any]:
    """`measure` in a process of its own."""
    # This process imports no torch: on Linux a child's peak begins at its parent's size.
    command = [sys.executable, __file__, f"--only={name}", f"--side={side}", f"--threads={threads}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def add(result: dict[str, Any], name: str, found: dict[str, Any]) -> dict[str, Any]:
    """The result with one more metric. SystemExit if it was measured on another setup."""
    about = found["about"]
    if result["metrics"] and result["about"] != about:
        raise SystemExit(f"measured before on another setup: {result['about']}, now {about}")
    return {"about": about, "metrics": result["metrics"] | {name: found["row"]}}


def measure(name: str, side: int, threads: int) -> dict[str, Any]:
    """Peak resident bytes and seconds of one metric on one pair; what the process began with."""
    import torch

    from qa.record import environment

    torch.set_num_threads(threads)
    reference, picture = pair(side)
    metric = build(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.perf_counter()
    value = metric(picture[None], reference)[0]
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    described = environment({})
    return {
        "about": {
            "what": f"one {side}x{side} picture, drawn, against a noisy copy",
            "threads": threads,
            "cpu": described["cpu"],
            "python": described["python"],
            "versions": {key: described["versions"][key] for key in ("torch", "numpy")},
        },
        "row": {
            "peak_bytes": peak,
            "before_bytes": before,
            "seconds": round(seconds, 3),
            "value": value,
        },
    }


def build(name: str) -> Any:
    """A metric as its YAML file describes it, on networks with drawn weights, on the CPU.

    `default`: those of a run that asks for none, in one pass.
    """
    if name == TOGETHER:
        from qa.metrics.engine import Engine

        engine = Engine({one: build(one) for one in DEFAULT})
        return lambda pictures, reference: _all(engine.measure(pictures, reference, ""))["psnr"]
    for module in ("qa.metrics.lpips", "qa.metrics.dists"):
        import_module(module).load_trunk = drawn_trunk
    file = files("qa.conf") / "metric" / f"{name}.yaml"
    arguments = dict(yaml.safe_load(file.read_text(encoding="utf-8"))[name])
    if "device" in arguments:
        arguments["device"] = "cpu"
    module, _, cls = arguments.pop("_target_").rpartition(".")
    return getattr(import_module(module), cls)(**arguments)


def _all(found: Any) -> Any:
    """The values, if nothing was lost: a metric that fails is cheap."""
    if found.lost:
        raise RuntimeError(str(found.lost))
    return found.values


def drawn_trunk(asset: str) -> Any:
    """AlexNet's or VGG16's convolutions with weights that keep the size of activations."""
    import torch
    from torchvision import models

    from qa.metrics.trunk import Trunk

    with torch.device("meta"):
        network = getattr(models, asset.partition("-")[0])(weights=None)
    generator = torch.Generator().manual_seed(0)
    tensors = {
        key: torch.randn(t.shape, generator=generator) * (2 / max(1, t[0].numel())) ** 0.5
        for key, t in network.state_dict().items()
        if key.startswith("features.")
    }
    return Trunk(asset, "0" * 64, tensors)


def pair(side: int) -> tuple[Any, Any]:
    """A reference uint8 [3,side,side] with gradients and texture, and it with noise."""
    import torch

    generator = torch.Generator().manual_seed(0)
    reference = torch.empty((3, side, side), dtype=torch.uint8)
    picture = torch.empty_like(reference)
    x = torch.arange(side, dtype=torch.float32)
    for channel in range(3):
        for row in range(side):
            shade = 60 + 60 * x / side + 60 * row / side
            shade += 20 * torch.sin(x / (5 + channel) + row / 9)
            noise = torch.randn(side, generator=generator) * 8
            reference[channel, row] = shade.round().clamp(0, 255).to(torch.uint8)
            picture[channel, row] = (shade + noise).round().clamp(0, 255).to(torch.uint8)
    return reference, picture


def section(result: dict[str, Any]) -> str:
    """Its part of docs/performance.md."""
    about = result["about"]
    return f"""## Memory of metrics at 4096x4096

`python scripts/measure_4k.py` → `docs/measurements/{RESULT.name}`: {about["what"]}, each metric in
a process of its own; `{TOGETHER}` is {", ".join(DEFAULT)} in one pass. "Before" is the process with
both pictures and the network, "peak" with the scoring. Drawn weights.
{about["cpu"]["model"]}, {about["threads"]} threads, torch {about["versions"]["torch"]}.

{table(result)}
"""


def table(result: dict[str, Any]) -> str:
    """The measurements as a Markdown table, in the order of the metrics above."""
    rows = [
        f"| `{name}` | {row['peak_bytes'] / 1e9:.2f} | {row['before_bytes'] / 1e9:.2f} "
        f"| {row['seconds']:.1f} |"
        for name, row in sorted(result["metrics"].items(), key=lambda item: _place(item[0]))
    ]
    return "\n".join(["| metric | peak GB | before GB | seconds |", "|---|---|---|---|", *rows])


def _place(name: str) -> int:
    return METRICS.index(name) if name in METRICS else len(METRICS)


if __name__ == "__main__":
    main()
