"""A finished run folder made by hand, and what an MLflow store knows of its copy."""

import hashlib
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pytest
from PIL import Image

from qa.files import write_bytes, write_json
from qa.reduce import reduce
from qa.store import RunFolder, UnitResult
from qa.types import Decoded, Score

SAMPLES = ("a", "b/ü", "c")
PSNR = {"a": 30.123456789012345, "b/ü": 1 / 3, "c": 48.1308036086791}
SUITE_DIGEST = hashlib.sha256(b"suite").hexdigest()
RECORD = {
    "schema": "decoder-qa/record/1",
    "suite": "mini", "decoder": "vae_mini", "use_case": "photo",
    "plan": hashlib.sha256(b"plan").hexdigest(), "suite_digest": SUITE_DIGEST,
    "decoder_digest": hashlib.sha256(b"weights").hexdigest(), "latents_digest": None,
    "inputs": {"digest": hashlib.sha256(b"inputs").hexdigest()},
    "seeds": 1, "pictures": 3, "limited": False, "space": "mini (4 channels, /8, z)",
    "knobs": {"steps": None, "sigma": 0.1, "capture": None, "cfg": None, "shift": None},
    "licence": "Apache-2.0",
    "facts": {"psnr": {"name": "psnr", "fingerprint": "f00d" * 4}},
    "unavailable": {"piqe": "pyiqa is not installed"},
    "environment": {
        "class": "c1a55", "gpu": None, "git": {"commit": "0" * 40, "dirty": True},
    },
    "started": "2026-01-02T03:04:05+00:00", "finished": "2026-01-02T03:05:05+00:00",
}  # fmt: skip
STARTED = 1767323045000
VERDICT = {
    "schema": "decoder-qa/verdict/2", "state": "FAIL", "exit_code": 3,
    "summary": "psnr is worse than the baseline by more than its margin",
    "baseline": {"name": "base", "plan": "b" * 64}, "use_case": "photo", "confidence": 0.9,
    "gates": [{
        "gate": "regression", "metric": "psnr", "state": "FAIL", "estimate": 0.1 + 0.2,
        "low": 1e-17, "high": 0.7, "margin": 0.05, "count": 2, "missing": 0, "why": "worse",
        "worst": [{"sample": "c", "harm": 0.5}, {"sample": "a", "harm": 0.1}],
    }],
    "metrics": [
        {"metric": "psnr", "better": "higher", "mean": 26.2, "low": -1.5, "high": 1e300,
         "count": 2, "missing": 1, "why": "no picture"},
        {"metric": "lpips", "better": "lower", "mean": None, "low": None, "high": None,
         "count": 0, "missing": 3, "why": "no weights"},
    ],
    "failures": [{"sample": "b/ü", "seed": 0, "why": "NaN"}],
    "problems": [],
}  # fmt: skip


ROW = {
    "gate": "regression", "metric": "", "state": "PASS", "role": "primary", "counts": True,
    "estimate": None, "low": None, "high": None, "margin": None, "margin_why": "", "unit": "",
    "better": "higher", "candidate": None, "baseline": None, "count": 3, "missing": 0,
    "needs": None, "p": None, "p_holm": None, "q": None, "method": "", "why": "", "worst": [],
    "warning": "", "waiver": None,
}  # fmt: skip
WAIVER = {"gate": "lpips", "by": "Ada", "why": "known since May", "until": "2031-01-31"}
JUDGED = {
    **VERDICT, "policy": "release", "summary": "psnr is worse",
    "baseline": {"name": "base", "plan": "b" * 64, "content": "c" * 64, "environment": "c1a55",
                 "by": "Ada", "why": "release 3", "until": "2031-06-30"},
    "look": {"number": 1, "of": 3, "pictures": 3, "planned": 12, "sizes": [3, 6, 12],
             "scheme": "pocock", "alpha": 0.0221, "spent": 0.0221, "next": 6, "history": []},
    "drift": {"psnr": {"before": 0.01, "now": 0.02, "spent": 0.03, "budget": 0.2}},
    "warnings": ["the environment classes differ: threads"],
    "gates": [
        {**ROW, "metric": "dists", "state": "PASS-DRIFT", "estimate": 0.001, "low": 0.0005,
         "high": 0.002, "margin": 0.006, "p": 0.01, "p_holm": 0.03},
        {**ROW, "metric": "lpips", "state": "FAIL", "counts": False, "estimate": 0.02, "low": 0.01,
         "high": 0.03, "margin": 0.006, "waiver": WAIVER},
        {**ROW, "metric": "ssim", "state": "INCONCLUSIVE", "role": "secondary", "counts": False,
         "estimate": 0.0, "low": -1.0, "high": 1.0, "margin": 0.1, "q": 0.4},
        {**ROW, "gate": "anchor", "metric": "psnr", "role": "", "estimate": -0.5, "low": -0.6,
         "high": -0.4, "margin": 0.3, "state": "IMPROVED", "unit": "dB"},
        {**ROW, "metric": "psnr", "state": "FAIL", "estimate": 0.5, "low": 0.4, "high": 0.6,
         "margin": 0.2, "unit": "dB", "p": 1e-5, "p_holm": 3e-5, "why": "worse",
         "worst": [{"sample": "c", "harm": 0.5}]},
        {**ROW, "gate": "tail", "metric": "catastrophe", "role": "", "state": "INCONCLUSIVE",
         "estimate": 0.0, "low": 0.0, "high": 0.6, "margin": 0.01, "needs": 299},
        {**ROW, "gate": "reproducibility", "metric": "level", "role": "", "why": "R4 holds"},
    ],
}  # fmt: skip
"""Every kind of row at once, as docs/formats.md describes them."""


def make_run(path, verdict=VERDICT, **record):
    """A finished run of three pictures, the second of which failed."""
    folder = RunFolder(path)
    write_json(folder.record_file, {**RECORD, **record})
    write_json(folder.verdict_file, verdict)
    folder.write_samples({"id": sample} for sample in SAMPLES)
    write_bytes(folder.config_file, b"seeds: 1\n")
    write_bytes(folder.report_file, "<p>größer</p>".encode())
    for index, sample in enumerate(SAMPLES):
        picture = np.full((9 + index, 300, 3), 60 * index, np.uint8)
        for file in (folder.reference_file(sample), folder.picture_file(sample, 0)):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(file)
        failed = sample == "b/ü"
        name = folder.picture_file(sample, 0).relative_to(path).as_posix()
        folder.store(UnitResult(
            f"u{index}",
            (Decoded(sample, 0, None if failed else name, None, 2, 0.25, None),),
            (Score(sample, 0, "psnr", None if failed else PSNR[sample], "failed" * failed),),
            {},
        ))  # fmt: skip
    reduce(folder, ["u0", "u1", "u2"], ["psnr"])
    return folder


def client_of(uri):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def snapshot(uri, experiment="decoder-qa"):
    """All that a store knows about an experiment, with the times at which files were written."""
    client = client_of(uri)
    found = client.get_experiment_by_name(experiment)
    runs = {}
    for listed in client.search_runs([found.experiment_id], max_results=1000):
        run_id = listed.info.run_id
        run = client.get_run(run_id)
        runs[run_id] = {
            "info": (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time),
            "params": run.data.params,
            "tags": run.data.tags,
            "metrics": {
                key: [
                    (m.value, m.timestamp, m.step) for m in client.get_metric_history(run_id, key)
                ]
                for key in run.data.metrics
            },
            "inputs": [(i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs],
            "models": [i.model_id for i in run.inputs.model_inputs],
            "files": [(item.path, item.file_size) for item in client.list_artifacts(run_id)],
        }
    models = {
        model.model_id: (
            model.name, str(model.status), model.tags, model.params,
            sorted((m.key, m.value, m.timestamp, m.step, m.run_id) for m in model.metrics or []),
        )
        for model in client.search_logged_models([found.experiment_id])
    }  # fmt: skip
    stored = local(found.artifact_location).rglob("*")
    written = {str(file): file.stat().st_ctime_ns for file in stored if file.is_file()}
    return {"runs": runs, "models": models, "written": written}


def local(location):
    """The path of a file URI."""
    return Path(url2pathname(urlsplit(location).path))


def run_of(uri, folder, experiment="decoder-qa"):
    """The copy of a run folder."""
    client = client_of(uri)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs(
        [found.experiment_id], filter_string=f"tags.`qa.run` = '{folder.name}'"
    )
    assert len(runs) == 1
    return client.get_run(runs[0].info.run_id)  # a search leaves models out


def table_of(uri, run, name):
    """An artifact as MLflow reads its own tables: by a function that asks the user's store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        return client_of(uri).load_table(run.info.experiment_id, name, [run.info.run_id])


def tree(path):
    """Names, bytes and write times below a folder."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {str(f): (f.stat().st_ctime_ns, f.read_bytes()) for f in files}


def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
