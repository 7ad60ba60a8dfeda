"""A device's file: names, merging, and what its tables say."""

from __future__ import annotations

import pytest

from decoders.bench import document, published, table
from qa.errors import UsageError

CPU = {"kind": "cpu", "name": "a CPU", "threads": 2, "slug": "a-cpu-2-threads"}
GPU = {"kind": "cuda", "name": "a GPU", "slug": "a-gpu"}


def row(system="pid_v1", **more):
    """A row that was measured."""
    return {
        "system": system, "side": 2048, "batch": 1, "dtype": "bfloat16", "kernels": "torch",
        "steps": "eager", "memory": "untiled", "outcome": "measured", "sampler_steps": 4,
        "parity": {"difference": 1e-3, "tolerance": 0.125, "passed": True, "side": 128,
                   "equal_alone": None},
        "seconds": {"median": 0.8, "p20": 0.75, "p80": 1.0, "rounds": 5},
        "above_bytes": 3 * 10**9, "weights_bytes": 5 * 10**9, "flops": 180 * 10**12,
        "share": 0.25, "software": {"torch": "2.15"}, **more,
    }  # fmt: skip


def of(device, rows=None, operations=None):
    return {"schema": 1, "device": device, "rows": rows or {}, "operations": operations or {}}


def untimed(why):
    found = row(outcome=why)
    del found["seconds"], found["share"]
    return found


@pytest.mark.parametrize(
    ("name", "slug"),
    [("AMD EPYC 2 threads", "amd-epyc-2-threads"),
     ("NVIDIA H100 80GB HBM3", "nvidia-h100-80gb-hbm3"),
     ("Intel(R) Xeon(R) @ 2.20GHz", "intel-r-xeon-r-2-20ghz")],
)  # fmt: skip
def test_a_device_names_its_file(name, slug):
    assert document.slug(name) == slug
    file = document.file_of({"device": {"slug": slug}})
    assert file.as_posix() == f"docs/measurements/bench-{slug}.json"
    assert document.file_of({"device": {"slug": slug}}, "x.json").name == "x.json"


def test_a_later_run_replaces_its_rows_and_keeps_the_others():
    before = of(CPU, {"a": row(side=1), "b": row(side=2)}, {"o": {"x": 1}})
    now = of(CPU, {"b": row(side=3), "c": row(side=4)}, {"p": {"x": 2}})
    found = document.merged(before, now)
    assert {key: one["side"] for key, one in found["rows"].items()} == {"a": 1, "b": 3, "c": 4}
    assert found["operations"] == {"o": {"x": 1}, "p": {"x": 2}}
    assert document.merged(None, now) == now


@pytest.mark.parametrize("other", [of(GPU), of(CPU) | {"schema": 0}])
def test_another_device_or_form_is_not_merged(other):
    with pytest.raises(UsageError, match="another device or form"):
        document.merged(other, of(CPU))


def cells(found, head, body, place=0):
    return dict(zip(head, body[place], strict=True))[found]


def test_a_row_in_words():
    head, body = table.rows(of(CPU, {"a": row()}))
    assert cells("seconds [p20, p80]", head, body) == "0.8 [0.75, 1]"
    assert cells("ms a step", head, body) == "200"
    assert cells("above GB", head, body) == "3"
    assert cells("with weights GB", head, body) == "8"
    assert cells("TFLOP", head, body) == "180"
    assert cells("of matmul", head, body) == "25%"
    assert "published" not in head  # not beside a CPU


def test_what_was_not_timed_says_why():
    for why in ("differs by 0.3, allowed 0.0001", "out of memory"):
        head, body = table.rows(of(GPU, {"a": untimed(why)}))
        assert cells("seconds [p20, p80]", head, body) == f"not timed: {why}"
        assert cells("of matmul", head, body) == "–"


def test_memory_that_nobody_told_is_not_measured():
    head, body = table.rows(of(CPU, {"a": row(above_bytes=None)}))
    assert cells("above GB", head, body) == "not measured"


def test_published_figures_stand_beside_rows_of_their_size_and_way():
    rows = {"a": row(), "b": row(steps="compile"), "c": row(kernels="triton"), "d": row(side=1536),
            "e": row("flux_vae", side=4096), "f": row("pid_v1pt5")}  # fmt: skip
    assert {key: published.beside(one) for key, one in rows.items()} == {
        "a": "797.0 ms", "b": "446.0 ms, 13.0 GB", "c": "", "d": "", "e": "out of memory", "f": "",
    }  # fmt: skip
    head, _ = table.rows(of(GPU, rows))
    assert head[-1] == "published"
    assert published.SOURCE in table.text(of(GPU, rows))
    assert published.SOURCE not in table.text(of(CPU, rows))


def operation(kernels, median):
    return {
        "operation": "gated_add", "side": 64, "dtype": "float32", "kernels": kernels,
        "shape": [1, 2, 3], "bytes": 10**6, "copy_share": 0.5, "outcome": "measured",
        "seconds": {"median": median, "p20": median, "p80": median, "rounds": 3},
    }  # fmt: skip


def test_an_operation_has_its_kernel_beside_it():
    both = {"a": operation("torch", 3e-3), "b": operation("triton", 2e-3)}
    head, body = table.operations(of(GPU, operations=both))
    assert body[0][-1] == "1.50"
    head, body = table.operations(of(CPU, operations={"a": both["a"]}))
    assert cells("triton ms", head, body) == "none on a CPU"
    assert body[0][-1] == "–"


def test_the_page_says_not_measured_until_a_gpu_has_a_file(script, monkeypatch, tmp_path):
    performance, page = script("performance"), script("bench_page")
    monkeypatch.setattr(page, "MEASUREMENTS", tmp_path)

    def keep(name, found):
        document.write(tmp_path / f"bench-{name}.json", found)

    assert performance.page().endswith(performance.FOOT)
    keep("a-cpu", of(CPU, {"a": row()}, {"a": operation("torch", 3e-3)}))
    assert "## Decoders on a CPU, 2 threads" in performance.page()
    assert performance.page().endswith(performance.FOOT)
    keep("a-gpu", of(GPU, {"a": row(), "b": untimed("out of memory")}))
    whole = performance.page()
    assert "## Decoders on a GPU" in whole
    assert "not timed: out of memory" in whole
    assert performance.FOOT not in whole
    keep("broken-kind", of(CPU | {"slug": "b"}))
    assert performance.FOOT not in performance.page()
