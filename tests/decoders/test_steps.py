"""Steps as graphs and compiled. On the CPU a stand-in replays; `--device cuda` records for real."""

from __future__ import annotations

import types
import weakref
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import pytest
import tiny_pid
import torch
from l2p_reference import tiny, weights_of
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from decoders import steps
from decoders.l2p.network import L2PNetwork
from decoders.mini.l2p import L2PMini
from decoders.steps import MOST, WARM_UPS, Steps
from decoders.weights import load_strict, on_meta
from qa import numerics
from qa.errors import UsageError
from qa.numerics import Numerics
from qa.types import DecodeRequest, Knobs


@dataclass(frozen=True)
class Inner:
    parts: tuple[torch.Tensor, ...]
    nothing: None = None


@dataclass(frozen=True)
class Condition:
    text: torch.Tensor
    inner: Inner
    rows: int = 1


class Toy(nn.Module):
    def __init__(self, device="cpu"):
        super().__init__()
        self.calls = 0
        self.layer = nn.Linear(8, 8, device=device).requires_grad_(False)

    def forward(self, x, t, condition):
        self.calls += 1
        rest = sum(condition.inner.parts) * condition.rows
        return self.layer(x).tanh() * t + condition.text + rest


class Replayed:
    """torch.cuda.CUDAGraph as far as one can go on a CPU: the call again, into the same memory."""

    made = 0

    def __init__(self, call, device, pool):
        type(self).made += 1
        self.call, self.place, self.memory = call, call(), pool or object()

    def replay(self):
        self.place.copy_(self.call())

    def pool(self):
        return self.memory


@pytest.fixture
def made(device, monkeypatch):
    """How many recordings there are; graphs are allowed on every device."""
    kind = type("Counted", (Replayed,), {"made": 0})

    def record(call, place, pool):
        if device == "cpu":
            graph = kind(call, place, pool)
            return graph, graph.place
        kind.made += 1
        return real(call, place, pool)

    real = steps.capture
    monkeypatch.setattr(steps, "capture", record)
    monkeypatch.setattr(steps, "way_on", lambda device: numerics.steps())
    with numerics.applied(Numerics(steps="graph", threads=1)), torch.inference_mode():
        yield lambda: kind.made


def condition(seed=0, device="cpu", rows=1, length=4):
    a, b, c = torch.randn(3, length, 8, generator=torch.Generator().manual_seed(seed)).to(device)
    return Condition(a, Inner((b, c)), rows)


def state(seed=0, device="cpu", length=4):
    x = torch.randn(length, 8, generator=torch.Generator().manual_seed(100 + seed))
    return x.to(device), torch.tensor(0.1 + seed, device=device)


def test_a_graph_gives_eagers_bits_for_every_state_and_time(made, device):
    toy, given = Toy(device), condition(device=device)
    fast = Steps(toy, toy)
    for seed in range(4):
        x, t = state(seed, device)
        assert torch.equal(fast(x, t, given), toy(x, t, given))
    assert made() == 1


def test_what_a_step_returned_is_not_overwritten_by_the_next(made, device):
    toy, given = Toy(device), condition(device=device)
    fast = Steps(toy, toy)
    first = fast(*state(0, device), given)
    kept = first.clone()
    assert not torch.equal(fast(*state(1, device), given), kept)
    assert torch.equal(first, kept)


def test_conditions_alternate_and_share_what_they_have_in_common(made, device):
    toy, one = Toy(device), condition(device=device)
    other = replace(one, text=condition(1, device).text)
    fast = Steps(toy, toy)
    for seed in range(3):
        x, t = state(seed, device)
        for given in (one, other, one, condition(2 + seed, device)):
            assert torch.equal(fast(x, t, given), toy(x, t, given))
    assert made() == 1
    x, t = state(0, device)
    fast(x, t, one)
    before = fast(x, t, other)
    one.inner.parts[0].add_(1)  # nobody may: here it shows that what is shared is not copied again
    fast(x, t, one)
    assert torch.equal(fast(x, t, other), before)


def test_a_stale_condition_is_seen(made, device):
    """Negative control: a graph that copies no other condition in differs from eager."""
    toy, one, other = Toy(device), condition(device=device), condition(1, device)
    fast, (x, t) = Steps(toy, toy), state(0, device)
    fast(x, t, one)
    (graph,) = fast._made.values()
    graph._seen = [weakref.ref(tensor) for tensor in steps._tensors(other)]
    assert torch.equal(fast(x, t, other), toy(x, t, one))
    assert not torch.equal(fast(x, t, other), toy(x, t, other))


def test_a_picture_ends_and_its_condition_is_not_kept_alive(made, device):
    toy, given = Toy(device), condition(device=device)
    fast, (x, t) = Steps(toy, toy), state(0, device)
    fast(x, t, given)
    gone = weakref.ref(given.text)
    del given
    assert gone() is None
    for seed in range(3):  # new tensors may lie where the old ones lay
        given = condition(seed, device)
        assert torch.equal(fast(x, t, given), toy(x, t, given))


def test_whatever_decides_kernels_makes_another_graph(made, device):
    toy, given, (x, t) = Toy(device), condition(device=device), state(0, device)
    fast = Steps(toy, toy)

    def more(*inputs) -> int:
        before = made()
        assert torch.equal(fast(*inputs), toy(*inputs))
        return made() - before

    kind = torch.device(device).type
    assert [more(x, t, given), more(x + 1, t, condition(1, device))] == [1, 0]
    assert more(*state(0, device, 5), condition(device=device, length=5)) == 1
    assert more(x.T.contiguous().T, t, given) == 1
    assert more(x, t.double(), given) == 1
    assert more(x, t, replace(given, rows=2)) == 1
    with torch.autocast(kind, torch.bfloat16):
        assert more(x, t, given) == 1
        with numerics.applied(Numerics(steps="graph", kernels="triton")):
            assert more(x, t, given) == 1
    with numerics.applied(Numerics(steps="graph", threads=1, tf32=True)):
        assert more(x, t, given) == 1
    toy.layer.weight.data = toy.layer.weight.data.T.contiguous().T  # as channels_last does
    assert more(x, t, given) == 1
    toy.layer.weight.copy_(2 * toy.layer.weight)
    assert more(x, t, given) == 0


def test_the_form_used_longest_ago_makes_room(made, device):
    toy, fast = Toy(device), None
    fast = Steps(toy, toy)
    forms = [(*state(0, device, n), condition(0, device, length=n)) for n in range(1, MOST + 2)]
    for inputs in forms[:MOST]:
        fast(*inputs)
    fast(*forms[0])
    kept = list(fast._made.values())
    assert len({graph.pool() for graph in kept}) == 1, "one pool of memory"
    second = weakref.ref(kept[0])
    del kept
    fast(*forms[MOST])  # in the place of the second form: the first was used again
    assert second() is None, "its memory is free at once, without the collector"
    assert made() == MOST + 1
    fast(*forms[0])
    assert made() == MOST + 1
    assert torch.equal(fast(*forms[1]), toy(*forms[1]))
    assert made() == MOST + 2


def test_a_watched_network_runs_eagerly(made, device):
    toy, given, told = Toy(device), condition(device=device), []
    fast = Steps(toy, toy)
    watching = toy.layer.register_forward_hook(lambda *call: told.append(call[-1]))
    fast(*state(0, device), given)
    assert (len(told), made()) == (1, 0)
    watching.remove()
    fast(*state(0, device), given)
    assert (len(told), made()) == (1, 1)


def test_without_being_asked_and_on_a_cpu_nothing_is_recorded(monkeypatch):
    def never(*args):
        raise AssertionError

    monkeypatch.setattr(steps, "capture", never)
    toy, given, inputs = Toy(), condition(), state()
    fast = Steps(toy, toy)
    for way in ("eager", "graph"):
        with numerics.applied(Numerics(steps=way)):
            assert torch.equal(fast(*inputs, given), toy(*inputs, given))
    assert not fast._made


def pretend(monkeypatch, end):
    """CUDA's part of a recording does nothing; `end` is what happens at its end."""

    @contextmanager
    def graph(recorded, pool, stream, capture_error_mode):
        assert capture_error_mode == "thread_local"
        yield
        end()

    stream = types.SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    for name in ("device", "stream"):
        monkeypatch.setattr(torch.cuda, name, lambda which: nullcontext())
    monkeypatch.setattr(steps, "_side", lambda device: stream)


def test_calls_warm_up_and_autocast_keeps_no_weights_in_a_graph(monkeypatch):
    pretend(monkeypatch, lambda: None)
    seen = []

    def call():
        seen.append((torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()))
        return torch.ones(1)

    with torch.autocast("cpu", torch.bfloat16):
        steps.capture(call, torch.device("cpu"), None)
        assert torch.is_autocast_cache_enabled()
    steps.capture(call, torch.device("cpu"), None)
    calls = WARM_UPS + 1
    assert seen == [(True, False)] * calls + [(False, False)] * calls


def test_what_cannot_be_recorded_says_what_to_do(monkeypatch):
    def fail():
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    pretend(monkeypatch, fail)
    with pytest.raises(UsageError, match="cannot be recorded") as raised:
        steps.capture(lambda: torch.ones(1), torch.device("cpu"), None)
    assert raised.value.fix == "numerics.steps=eager"
    assert raised.value.why.endswith("not permitted when stream is capturing.")


def test_a_real_recording_refuses_a_step_that_waits_for_the_gpu(device):
    if device == "cpu":
        pytest.skip("needs --device cuda")
    toy = Toy(device)
    fast = Steps(toy, lambda x, t, given: toy(x, t, given) * t.item())
    with numerics.applied(Numerics(steps="graph")), pytest.raises(UsageError, match="recorded"):
        fast(*state(0, device), condition(device=device))


# ------------------------------------------------------------------------------------ the networks


class OnTheCPU(TorchDispatchMode):
    """Names of the operations whose result lies on the CPU."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.device.type == "cpu":
            self.names.append(str(function))
        return result


def moved(condition, device):
    return steps._mapped(condition, lambda tensor: tensor.to(device))


def pid_inputs(model, text=0):
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(text))
    given = model.condition(
        draw(1, 7, 12), 32, 32, draw(1, 16, 1, 1), torch.tensor([0.3])
    )  # fmt: skip
    return draw(1, 3, 32, 32), torch.tensor([700.0]), given


def l2p():
    config = tiny("1k")
    network = on_meta(lambda: L2PNetwork(config))
    load_strict(network, weights_of(config), what="n", source="here", dtype=torch.float32)
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(1))
    image, text = draw(3, 64, 128), draw(5, config.cap_feat_dim)
    return network, (image, network.waves(0.4), network.condition(text, 64, 128)), text


@torch.inference_mode()
def test_steps_of_the_networks_compute_nothing_on_the_cpu():
    """Elsewhere stands a device without values: a transfer or a table would show."""
    model = tiny_pid.network()
    x, t, given = pid_inputs(model)
    network, inputs, text = l2p()
    with OnTheCPU() as seen:
        model.to("meta")(x.to("meta"), t.to("meta"), moved(given, "meta"))
        network.to("meta").step(*(moved(part, "meta") for part in inputs))
        assert seen.names == []
        network.velocity(inputs[0], 0.4, text)  # negative control: it makes its tables
        assert seen.names


def test_guidance_of_pid_with_graphs_is_eagers_to_the_bit(made, device):
    model = tiny_pid.network(tiny_pid.V15).to(device)
    x, t, given = (moved(part, device) for part in pid_inputs(tiny_pid.network(tiny_pid.V15)))
    null = model.with_text(given, torch.zeros(1, 7, 12, device=device))
    fast = Steps(model, model)
    for k in range(3):
        for towards in (given, null):
            assert torch.equal(fast(x + k, t - k, towards), model(x + k, t - k, towards))
    assert made() == 1


def test_the_decoder_l2p_draws_the_same_with_graphs(made, device):
    decoder = L2PMini(device=device)
    asked = DecodeRequest("s", 0, "c", 64, 64, prompt="a red circle", knobs=Knobs(steps=3))
    (fast,) = decoder.decode([asked])
    assert made() == 1
    with numerics.applied(Numerics(threads=1)):
        (plain,) = decoder.decode([asked])
    assert made() == 1
    assert torch.equal(fast, plain)


# ----------------------------------------------------------------------------------------- compile


@pytest.fixture
def traced(monkeypatch):
    """Compile without a compiler: what was traced runs operation by operation."""
    real = torch.compile

    def plain(function, *, fullgraph, dynamic, options):
        assert options == {"deterministic": True}
        return real(function, fullgraph=fullgraph, dynamic=dynamic, backend="eager")

    monkeypatch.setattr(torch, "compile", plain)
    with numerics.applied(Numerics(steps="compile", threads=1)), torch.inference_mode():
        yield
    torch._dynamo.reset()


def calm(x, t, given):
    return (x * t).tanh() + given.text + sum(given.inner.parts) * given.rows


def test_many_sizes_are_compiled_each_for_itself(traced, monkeypatch):
    forms = [(*state(n, length=n), condition(n, length=n)) for n in range(2, 14)]
    fast = Steps(Toy(), calm)
    for inputs in forms:
        assert torch.equal(fast(*inputs), calm(*inputs))
    assert len(fast._made) == MOST
    codes = []

    def one_code(code, *rest, **named):
        codes.append(code)
        return types.FunctionType(codes[0], *rest, **named)

    monkeypatch.setattr(steps, "FunctionType", one_code)
    fast = Steps(Toy(), calm)
    for inputs in forms[:8]:
        fast(*inputs)
    with pytest.raises(UsageError, match="cannot be compiled"):  # negative control: PyTorch's limit
        fast(*forms[8])


def test_the_networks_are_traced_whole(traced):
    model = tiny_pid.network(depth=1, pixel_depth=1)
    network, inputs, _ = l2p()
    for own, step, given in (
        (model, model, pid_inputs(model)), (network, network.step, inputs)
    ):  # fmt: skip
        assert torch.equal(Steps(own, step)(*given), step(*given))
    given = pid_inputs(model)
    with torch.autocast("cpu", torch.bfloat16):
        rough = Steps(model, model)(*given)
        assert torch.equal(rough, model(*given))
    assert not torch.equal(rough, model(*given))


def test_what_cannot_be_compiled_says_what_to_do(traced):
    fast = Steps(Toy(), lambda x, t, given: x * t.item() if x.sum() > 0 else x)
    with pytest.raises(UsageError, match="cannot be compiled") as raised:
        fast(*state(), condition())
    assert raised.value.fix == "numerics.steps=eager"


def test_a_cpu_without_a_compiler_cannot_compile(traced, monkeypatch):
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def none():
        raise InvalidCxxCompiler

    made_before = Steps(Toy(), calm)
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    with pytest.raises(UsageError, match="steps=compile cannot work here"):
        made_before(*state(), condition())
    with pytest.raises(UsageError, match="steps=compile cannot work here") as raised:
        Steps(Toy(), calm)
    assert "numerics.steps=eager" in raised.value.fix


@pytest.mark.slow
def test_compiled_steps_are_eagers_but_for_rounding(device):
    from torch._inductor import cpp_builder

    try:
        cpp_builder.get_cpp_compiler()
    except RuntimeError:
        pytest.skip("there is no C++ compiler")
    toy, given = Toy(device), condition(device=device)
    fast, (x, t) = Steps(toy, toy), state(0, device)
    with numerics.applied(Numerics(steps="compile", threads=1)), torch.inference_mode():
        assert (fast(x, t, given) - toy(x, t, given)).abs().max() < 1e-4
        assert not torch.equal(fast(x + 1, t, given), toy(x, t, given))
        with torch.autocast(device, torch.bfloat16):
            rough, plain = fast(x, t, given), toy(x, t, given)
    assert rough.dtype == plain.dtype
    assert (rough - plain).abs().max() < 0.05
    assert len(fast._made) == 2
