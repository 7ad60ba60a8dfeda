"""Every kernel compiles for sm_80, sm_90 and sm_100 as it is launched at released sizes; no GPU.

What a launcher would start is caught and compiled; its tensors are on the meta device.
"""

from unittest import mock

import pytest
import torch

triton = pytest.importorskip("triton")

HALF, SINGLE = torch.bfloat16, torch.float32
SHARED = {80: 163 * 1024, 90: 227 * 1024, 100: 227 * 1024}
"""Bytes of shared memory that a program may use."""
KINDS = {SINGLE: "*fp32", HALF: "*bf16", torch.float16: "*fp16"}
N, D, A = 1000, 1536, 1152


def meta(*shape, dtype=HALF):
    return torch.empty(shape, dtype=dtype, device="meta")


def norm_modulate():
    """PiD's residual stream, float32, with bfloat16 modulation and result."""
    from decoders.kernels.norm import triton as norm

    x, weight, row = meta(2, N, D, dtype=SINGLE), meta(D, dtype=SINGLE), meta(2, 1, D)
    norm.norm_modulate(x, weight, 1e-6, row, row, dtype=HALF)


def gated_add():
    from decoders.kernels.norm import triton as norm

    norm.gated_add(meta(2, N, D, dtype=SINGLE), meta(2, 1, D), meta(2, N, D))


def post_norm():
    """L2P's residual behind a norm."""
    from decoders.kernels.norm import triton as norm

    x, row = meta(N, 3840), meta(1, 3840)
    norm.norm_modulate(x, meta(3840), 1e-5, row, x, once=True)


def norm_rotate():
    from decoders.kernels.rotary import triton as rotary

    q = meta(2, N, 3, 16, 72).permute(2, 0, 3, 1, 4)[0]
    rotary.norm_rotate(q, meta(72, dtype=SINGLE), 1e-6, meta(N, 36, dtype=SINGLE), HALF)


def norm_turn():
    from decoders.kernels.rotary import triton as rotary

    rotary.norm_turn(meta(N, 30, 128), meta(128), 1e-5, meta(N, 64, dtype=torch.complex64), True)


def sigma_gate(contents=D):
    from decoders.kernels.gate import triton as gate

    s, one = meta(2, N, D, dtype=SINGLE), meta(1, dtype=SINGLE)[0]
    gate.sigma_gate(s, meta(2, N, contents), meta(2, N, D), one, meta(2, dtype=SINGLE))


def token_gate():
    sigma_gate(1)


def group_norm_silu():
    from decoders.kernels.group_norm import triton as group_norm

    row = meta(512, dtype=SINGLE)
    group_norm.group_norm_silu(meta(2, 512, 128, 128), 4, row, row, 1e-5, HALF)


def conv_silu():
    from decoders.kernels.conv import triton as conv

    x = meta(1, 16, 256, 256)
    conv.conv_silu([x, x], meta(16, 32, 3, 3), meta(16))


def first_conv():
    from decoders.kernels.conv import triton as conv

    conv.conv_silu([meta(1, 3, 256, 256)], meta(64, 3, 3, 3), meta(64))


def up_conv():
    from decoders.kernels.conv import triton as conv

    conv.up_conv(meta(1, 32, 256, 256), meta(32, 32, 3, 3), meta(32))


def modulated(kind=HALF):
    from decoders.kernels.pixels import triton as pixels

    u, s = meta(1, N, 256, 16, dtype=kind), meta(1, N, D, dtype=kind)
    weight, bias = meta(256 * 96, D, dtype=kind), meta(256 * 96, dtype=kind)
    pixels.modulated(u, s, weight, bias, meta(16, dtype=SINGLE), 1e-6)


def mixed(kind=HALF):
    from decoders.kernels.pixels import triton as pixels

    u, s = meta(1, N, 256, 16, dtype=kind), meta(1, N, D, dtype=kind)
    weight, bias = meta(256 * 96, D, dtype=kind), meta(256 * 96, dtype=kind)
    mlp = [meta(*shape, dtype=kind) for shape in ((64, 16), (64,), (16, 64), (16,))]
    expanded = meta(1, N, 4096, dtype=kind)
    pixels.mixed(u, s, weight, bias, meta(16, dtype=SINGLE), 1e-6, expanded, *mlp)


LAUNCHES = [
    norm_modulate, gated_add, post_norm, norm_rotate, norm_turn, sigma_gate, token_gate,
    group_norm_silu, conv_silu, first_conv, up_conv, modulated, mixed,
]  # fmt: skip


def caught(launch):
    """(kernel, arguments by name) of everything that `launch` starts."""
    seen = []

    def run(self, *args, grid, warmup, **named):
        seen.append((self, dict(zip(self.arg_names, args, strict=False)) | named))

    with mock.patch.object(triton.runtime.jit.JITFunction, "run", run):
        launch()
    return seen


def compiled(kernel, arguments, capability):
    """The kernel for these arguments, specialised as the launcher's own compilation would."""
    from triton.backends.compiler import GPUTarget

    signature, constants, attributes = {}, {}, {}
    for place, parameter in enumerate(kernel.params):
        name, value = parameter.name, arguments.pop(parameter.name)
        if torch.is_tensor(value):
            signature[name] = KINDS[value.dtype]
        elif parameter.is_constexpr or value is None or value == 1:
            signature[name], constants[name] = "constexpr", value
        else:
            signature[name] = "fp32" if isinstance(value, float) else "i32"
        if torch.is_tensor(value) or (signature[name] == "i32" and value % 16 == 0):
            attributes[(place,)] = [["tt.divisibility", 16]]
    source = triton.compiler.ASTSource(kernel, signature, constants, attributes)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=arguments)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))


@pytest.mark.parametrize("capability", SHARED)
@pytest.mark.parametrize("launch", LAUNCHES, ids=lambda launch: launch.__name__)
def test_it_compiles(launch, capability):
    kernels = caught(launch)
    assert kernels
    for kernel, arguments in kernels:
        done = compiled(kernel, arguments, capability)
        assert f".target sm_{capability}" in done.asm["ptx"]
        assert done.asm["cubin"].startswith(b"\x7fELF")
        assert done.metadata.shared <= SHARED[capability]
