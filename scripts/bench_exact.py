"""Memory and time of an AutoencoderKL, untiled and in stripes (decoders.exact).

    python scripts/bench_exact.py [--side 1024] [--rounds 3] [--threads 2] [--device cpu]
                                  [--dtype float32] [--result FILE]

FLUX.1's configuration with drawn weights: values change neither memory nor time. Each measurement
runs in a process of its own, so that its peak is its own; the variants take turns, so that a
machine that slows down slows all of them. What they compute is compared in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "measurements" / "exact-cpu.json"
VARIANTS = ("untiled", "exact")
HALVES = ("decode", "encode")
BAR = 1e-5
"""Largest difference in float32 with which a measurement is kept."""
FLUX = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}


def main() -> None:
    """Measure in turns, compare, keep the numbers, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--halves", nargs="+", default=HALVES, choices=HALVES)
    parser.add_argument("--result", type=Path, default=RESULT)
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)  # what a fresh process is told
    options = parser.parse_args()
    if options.only:
        half, variant, file = options.only
        print(json.dumps(measure(half, variant, Path(file), options)))
        return
    result = rounds(options)
    options.result.parent.mkdir(exist_ok=True)
    options.result.write_text(json.dumps(result, indent=1) + "\n")
    print(section(result))


def rounds(options: argparse.Namespace) -> dict[str, Any]:
    """Every half in both variants, in turns; how far apart what they computed is."""
    rows: dict[str, dict[str, list[Any]]] = {}
    apart: dict[str, float] = {}
    about: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for half in options.halves:
            rows[half] = {variant: [] for variant in VARIANTS}
            files = {variant: Path(folder) / f"{half}-{variant}.npy" for variant in VARIANTS}
            for turn in range(options.rounds):
                for variant in VARIANTS[:: 1 if turn % 2 else -1]:
                    found = fresh(half, variant, files[variant], options)
                    about = found.pop("about")
                    rows[half][variant].append(found)
            apart[half] = difference(*files.values())
            if options.dtype == "float32" and not apart[half] <= BAR:
                raise SystemExit(
                    f"{half}: the variants differ by {apart[half]}, so nothing is kept"
                )
    return {"about": about, "rows": rows, "apart": apart}


def fresh(half: str, variant: str, file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """`measure` in a process of its own."""
    told = {name: getattr(options, name) for name in ("side", "threads", "device", "dtype")}
    command = [sys.executable, __file__, *(f"--{name}={value}" for name, value in told.items())]
    command += ["--only", half, variant, str(file)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def difference(one: Path, other: Path) -> float:
    """Largest absolute difference of two files of values."""
    import numpy as np

    return float(np.abs(np.load(one) - np.load(other)).max())


def measure(half: str, variant: str, file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds and peak bytes of one call; what it gave goes to `file` as float32."""
    import numpy as np
    import torch

    from qa.record import environment

    torch.set_num_threads(options.threads)
    model, given = inputs(half, options)
    before = start_counting(options.device)
    start, worked = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        result = CALLS[half, variant](model, given)
        values = result.float().cpu().numpy()  # waits for a GPU as well
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    peak = peak_bytes(options.device)
    np.save(file, values)
    described = environment({})
    hardware = described["cpu"]["model"]
    if options.device != "cpu":
        hardware = torch.cuda.get_device_name(options.device)
    return {
        "about": {
            "side": options.side,
            "dtype": options.dtype,
            "device": options.device,
            "hardware": hardware,
            "threads": options.threads,
            "weights_bytes": sum(one.nbytes for one in model.parameters()),
            "torch": described["versions"]["torch"],
        },
        "seconds": round(seconds, 3),
        "cpu_seconds": round(worked, 3),
        "peak_bytes": peak,
        "before_bytes": before,
    }


def inputs(half: str, options: argparse.Namespace) -> tuple[Any, Any]:
    """The network's half that is measured, and a latent or a picture for it."""
    import torch
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    model = AutoencoderKL(**FLUX).eval().requires_grad_(False)
    dtype = getattr(torch, options.dtype)
    delattr(model, "encoder" if half == "decode" else "decoder")
    side = options.side
    shape = (1, 16, side // 8, side // 8) if half == "decode" else (1, 3, side, side)
    given = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    model, given = model.to(options.device), given.to(options.device, dtype)
    if dtype != torch.float32:
        model = model.to(dtype)
    small = given[:, :, : shape[2] // 16, : shape[3] // 16]
    with torch.inference_mode():
        CALLS[half, "exact"](model, small)  # what libraries set up once is not measured
        CALLS[half, "untiled"](model, small)
    return model, given


def start_counting(device: str) -> int:
    """Bytes in use now, from which on the peak is counted: resident, or allocated on a GPU."""
    if device != "cpu":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak is what is resident now
    return _resident("VmRSS")


def peak_bytes(device: str) -> int:
    """The largest number of bytes in use since then."""
    if device != "cpu":
        import torch

        return torch.cuda.max_memory_allocated(device)
    return _resident("VmHWM")


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _exact(name: str) -> Any:
    def call(model: Any, given: Any) -> Any:
        from decoders import exact

        return getattr(exact, name)(model, given)

    return call


CALLS = {
    ("decode", "untiled"): lambda model, z: model.decode(z).sample,
    ("encode", "untiled"): lambda model, pixels: model.encode(pixels).latent_dist.mean,
    ("decode", "exact"): _exact("decode"),
    ("encode", "exact"): _exact("encode"),
}


def section(result: dict[str, Any]) -> str:
    """Its part of docs/performance.md."""
    about, lines = result["about"], []
    for half, variants in result["rows"].items():
        untiled, exact = (variants[name] for name in VARIANTS)
        times = {name: ratio(exact, untiled, name) for name in ("seconds", "cpu_seconds")}
        memory_ratio = above(exact) / above(untiled)
        for name, rows in variants.items():
            ratios = "100% | 1 | 1"
            if name == "exact":
                ratios = " | ".join((f"{memory_ratio:.0%}", *(f"{t:.2f}" for t in times.values())))
            seconds = statistics.median(row["seconds"] for row in rows)
            lines.append(
                f"| {half}, {name} | {above(rows) / 2**30:.2f} "
                f"| {max(row['peak_bytes'] for row in rows) / 2**30:.2f} "
                f"| {seconds:.1f} | {ratios} | {result['apart'][half]:.1e} |"
            )
    table = "\n".join(lines)
    return f"""## An AutoencoderKL in stripes

`python scripts/bench_exact.py` → `docs/measurements/{RESULT.name}`: FLUX.1's configuration, drawn
weights ({about["weights_bytes"] / 2**20:.0f} MiB for one half), {about["side"]}x{about["side"]}
pixels, {about["dtype"]}; each measurement in a process of its own, in turns; largest peak and
median time. "Above" is the peak less what the process had before; CPU time is summed over threads
and says more than time on a busy machine. {about["hardware"]}, {about["threads"]} threads, torch
{about["torch"]}.

| | above GiB | peak GiB | seconds | memory | time | CPU time | largest difference |
|---|---|---|---|---|---|---|---|
{table}
"""


def ratio(rows: list[dict[str, Any]], others: list[dict[str, Any]], name: str) -> float:
    """Median of the ratios within a round."""
    pairs = zip(rows, others, strict=True)
    return statistics.median(row[name] / other[name] for row, other in pairs)


def above(rows: list[dict[str, Any]]) -> int:
    """The largest of the peaks, less what the process had before."""
    return max(row["peak_bytes"] - row["before_bytes"] for row in rows)


if __name__ == "__main__":
    main()
