"""`python -m decoders.bench`, end to end and with little installed."""

from __future__ import annotations

import json
import subprocess
import sys

ABSENT = ["hydra", "omegaconf", "diffusers", "mlflow", "rich", "pandas", "transformers", "PIL"]


def test_it_runs_where_nothing_but_torch_is_installed(tmp_path):
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({ABSENT}))\n"
        "from decoders.bench import measure\n"
        "measure.SIDES, measure.COPIED = {'cpu': 64}, {'cpu': 2**16}\n"
        "from decoders.bench.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    asked = ["--systems", "vae_mini", "--sizes", "64", "--rounds", "2", "--no-operations"]
    asked += ["--device", "cpu", "--threads", "1", "--out", "bench.json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *asked], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "vae_mini  64" in done.stdout
    assert done.stderr.startswith("0/1 vae_mini")
    (row,) = json.loads((tmp_path / "bench.json").read_text())["rows"].values()
    assert row["above_bytes"] is None or row["above_bytes"] > 0  # from a process of its own
