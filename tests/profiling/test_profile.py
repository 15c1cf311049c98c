"""phalanx.profile: known figures, laws, what is said, and the module left alone."""

import copy
import json
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from plain_models import PlainGPT, gpt_forward_flops
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import phalanx
from phalanx.errors import PhalanxError, UsageError
from phalanx.profiling.passes import lengths_for_a_law
from phalanx.profiling.profile import profile_subject
from phalanx.profiling.results import MODES, Pass, Profile
from phalanx.profiling.subjects.subject import subjects_from

WIDTH, HEADS, LAYERS, VOCABULARY = 16, 2, 2, 30


def gpt() -> PlainGPT:
    return PlainGPT(VOCABULARY, 64, WIDTH, HEADS, LAYERS)


def ids(batch: int = 1, length: int = 32) -> Tensor:
    return torch.arange(batch * length).reshape(batch, length) % VOCABULARY


def pass_of(module: nn.Module, inputs: object, mode: str, **more: object) -> Pass:
    found = phalanx.profile(module, inputs, mode, hops=False, **more)  # type: ignore[arg-type]
    return found.passes[mode]  # type: ignore[index]


def gpt2(mode: str, *lengths: int) -> Profile:
    (subject,) = subjects_from(["gpt2"])
    return profile_subject(subject, mode, lengths=lengths, hops=False)


def test_gpt2_in_a_full_pass() -> None:
    found = gpt2("forward", 32, 256, 1024)
    assert found.parameters == 124_439_808
    forward = found.passes["forward"]
    work = {point.length: point.algorithm.matmul_work for point in forward.points}
    assert work[1024] == 291_648_307_200
    assert work[256] == 65_664_319_488
    assert work[32] == 7_943_798_784
    law = forward.laws.matmul
    assert law is not None
    assert (law.quadratic, law.linear, law.constant) == (12 * 4 * 768, 247_064_064, 0)
    assert forward.executed is not None
    assert forward.executed.matmul_work == 291_648_307_200
    assert forward.fused == {"_scaled_dot_product_flash_attention_for_cpu": 12}
    assert forward.coverage == 1
    saved = (forward.algorithm.work - forward.useful_work) / (1024 * 1023 / 2)
    assert saved == forward.laws.work.quadratic  # type: ignore[union-attr]


@pytest.mark.slow
def test_gpt2_in_training_and_decoding() -> None:
    train = gpt2("train", 1024).passes["train"]
    assert train.algorithm.matmul_work == 874_944_921_600
    decode = gpt2("decode", 1024).passes["decode"]
    law = decode.laws.matmul
    assert law is not None
    # One slot of the cache more than the context takes part.
    assert (law.linear, law.constant) == (36_864, 247_064_064 + 36_864)
    assert decode.state_bytes is not None
    assert decode.state_bytes >= 1024 * 12 * 2 * 768 * 4


def test_a_recurrent_layer() -> None:
    layer = nn.LSTM(512, 512, batch_first=True)
    x = torch.empty(1, 512, 512, device="meta")
    forward = pass_of(layer, x, "forward", lengths=(4, 8, 12, 16))
    assert forward.laws.matmul is not None
    assert forward.laws.matmul.at(512) == 2**31
    assert forward.laws.matmul.exact
    assert forward.executed is not None
    assert forward.executed.matmul_work == 8 * 16 * 512 * 1024
    assert forward.fused == {"mkldnn_rnn_layer": 1}
    train = pass_of(layer, x, "train", lengths=(4, 8, 12, 16))
    assert train.laws.matmul is not None
    assert train.laws.matmul.at(512) == 5_366_611_968
    assert train.laws.span is not None
    assert train.laws.span.slope > 2 * forward.laws.span.slope > 10  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_recurrent_layer_at_its_whole_length() -> None:
    layer = nn.LSTM(512, 512, batch_first=True)
    x = torch.empty(1, 512, 512, device="meta")
    assert pass_of(layer, x, "forward").algorithm.matmul_work == 2**31
    found = phalanx.profile(layer, x, "train", hops=False)
    assert found.parameters == 2_101_248
    assert found.passes["train"].algorithm.matmul_work == 5_366_611_968


def test_all_modes_of_a_small_model() -> None:
    model = gpt()
    found = phalanx.profile(model, ids(), "all", name="small")
    assert (found.name, found.kind) == ("small", "PlainGPT")
    assert tuple(found.passes) == MODES
    assert found.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert found.parameter_bytes == 4 * found.parameters
    forward, train, decode = (found.passes[mode] for mode in ("forward", "train", "decode"))
    assert forward.algorithm.matmul_work == gpt_forward_flops(VOCABULARY, WIDTH, LAYERS, 32)
    assert train.algorithm.matmul_work == 3 * forward.algorithm.matmul_work
    assert decode.cached is False
    assert decode.algorithm.matmul_work == forward.algorithm.matmul_work
    for one in found.passes.values():
        assert one.traced_on == "meta"
        assert (one.batch, one.length) == (1, 32)
        assert [point.length for point in one.points] == [4, 8, 16, 32]
        assert one.points[-1].algorithm == one.algorithm
        assert one.laws.work is not None
        assert one.laws.work.exact
        assert one.laws.span is not None
        assert (one.laws.span.slope, one.laws.span.exact) == (0, True)
        assert one.tree.figures.kernels <= one.algorithm.kernels
        assert sum(step.kernels for step in one.path) == one.algorithm.span
        assert one.element_depth is not None
        assert one.element_depth <= one.algorithm.span
        assert one.executed is not None
        assert one.executed.kernels < one.algorithm.kernels
        assert (one.coverage, one.unknown, one.orphans) == (1, {}, {})
    reach = found.positions
    assert reach is not None
    assert (reach.causal_by_shadow, reach.causal_by_gradient) == (True, True)
    assert reach.receptive_field == reach.length - 1
    assert json.loads(found.to_json())["passes"]["train"]["length"] == 32
    text = "\n".join(found.findings)
    assert "Training pass: not serial, its chain does not grow with T." in text
    assert "One token: waits for the one before it; costs more with a longer context." in text


def test_a_serial_model_says_what_sets_its_span() -> None:
    layers = nn.LSTM(8, 8, 2, batch_first=True)
    found = phalanx.profile(
        nn.Sequential(nn.Linear(8, 8), layers), torch.randn(2, 32, 8), hops=False
    )
    train = found.passes["train"]
    assert train.laws.span is not None
    assert train.laws.span.slope > 14
    assert train.laws.element_depth is not None
    assert train.laws.element_depth.slope < 0.6 * train.laws.span.slope
    first, second, *_ = found.findings
    assert first == "Training pass: serial in T, 30 dependent kernels for each position."
    assert second.startswith("Training pass: 1 (LSTM) sets the span")
    assert f"of {train.algorithm.span:,} dependent kernels" in second
    assert "wavefront" in " ".join(found.findings)
    assert found.findings[-1].startswith("To try")
    assert len(found.findings) <= 6
    executed = train.executed
    assert executed is not None
    assert executed.kernels < 0.1 * train.algorithm.kernels


def test_twice_the_same_and_nothing_left_behind() -> None:
    model = nn.Sequential(nn.Embedding(VOCABULARY, 8), nn.Dropout(0.5), nn.BatchNorm1d(32))
    model.add_module("head", nn.Linear(8, VOCABULARY))
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    first, second = (phalanx.profile(model, ids(), "all", lengths=(32,)) for _ in range(2))
    assert first.to_json() == second.to_json()
    torch.testing.assert_close(torch.get_rng_state(), state)
    torch.testing.assert_close(model.state_dict(), before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(part.training for part in model.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_length_that_the_module_refuses() -> None:
    model = nn.Sequential(nn.Embedding(VOCABULARY, 8), nn.Flatten(), nn.Linear(8 * 32, 3))
    found = phalanx.profile(model, ids(), "forward")
    assert found.passes["forward"].laws.work is None
    assert [point.length for point in found.passes["forward"].points] == [32]
    assert any("refuses T = 4" in said for said in found.assumptions)
    assert any("no law of the work" in said for said in found.assumptions)
    with pytest.raises(PhalanxError, match="at T = 64 the module raised RuntimeError: mat1"):
        phalanx.profile(model, ids(), "forward", lengths=(64,))


class Looking(nn.Module):
    """Reads a value on the host, which meta tensors do not have."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = gpt()

    def forward(self, ids: Tensor) -> Tensor:
        y: Tensor = self.inner(ids)
        return y * 2 if ids.sum().item() > 0 else y


def test_where_meta_fails_real_tensors_at_small_lengths() -> None:
    found = phalanx.profile(Looking(), ids(length=64), "forward", lengths=(32, 64))
    forward = found.passes["forward"]
    assert (forward.traced_on, forward.length) == ("cpu", 64)
    assert forward.algorithm.syncs == 1
    assert forward.algorithm.matmul_work == gpt_forward_flops(VOCABULARY, WIDTH, LAYERS, 64)
    assert any("meta tensors do not do" in said and "item" in said for said in found.assumptions)
    assert forward.executed is not None
    with torch.device("meta"):
        module = Looking()
    with pytest.raises(PhalanxError, match="item"):
        phalanx.profile(module, ids(), "forward")


def test_an_unknown_operator_is_named() -> None:
    library = torch.library.Library("phalanx_profiled", "DEF")
    library.define("odd(Tensor x) -> Tensor")
    library.impl("odd", lambda x: x + 1, "CompositeExplicitAutograd")

    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = torch.ops.phalanx_profiled.odd(x)
            return y

    found = phalanx.profile(Odd(), torch.ones(1, 8, 4), "forward")
    forward = found.passes["forward"]
    assert forward.unknown == {"phalanx_profiled::odd": 1}
    assert forward.coverage == 0
    assert any("odd" in said and "cost formula" in said for said in found.assumptions)
    library._destroy()


def test_quantised_weights() -> None:
    class Quantised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            weight = torch.randint(-8, 8, (6, 8), dtype=torch.int8)
            self.register_buffer("weight", weight)

        def forward(self, x: Tensor) -> Tensor:
            return x @ (self.get_buffer("weight").float() * 0.1).T

    found = phalanx.profile(Quantised(), torch.randn(1, 8, 8), "forward")
    assert found.passes["forward"].algorithm.matmul_work == 2 * 8 * 8 * 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "trian"}, "Did you mean 'train'"),
        ({"device": "tpu"}, "expected one of meta, cpu, cuda"),
        ({"lengths": ()}, "given none"),
        ({"lengths": (0, 4)}, "length 0"),
        ({"batch": 0}, "batch 0: expected 1 or more"),
        ({"what_if": ("batch=64",)}, "without speeds"),
    ],
)
def test_wrong_options(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        phalanx.profile(gpt(), ids(), **options)  # type: ignore[arg-type]


def test_a_mode_that_there_is_not() -> None:
    layer, x = nn.GRU(4, 4, bidirectional=True), torch.randn(8, 1, 4)
    with pytest.raises(UsageError, match="does not decode: it reads in both directions"):
        phalanx.profile(layer, x, "decode")
    found = phalanx.profile(layer, x, "all", hops=False)
    assert tuple(found.passes) == ("train", "forward")
    assert any("decode: left out: it reads in both" in said for said in found.assumptions)


def test_a_loss_of_ones_own() -> None:
    model = gpt()
    own = pass_of(model, ids(), "train", loss=lambda y: y.sum())
    usual = pass_of(model, ids(), "train")
    assert own.algorithm.matmul_work == usual.algorithm.matmul_work
    assert own.algorithm.kernels < usual.algorithm.kernels


def test_on_real_tensors() -> None:
    meta, real = (pass_of(gpt(), ids(), "train", device=device) for device in ("meta", "cpu"))
    assert real.traced_on == "cpu"
    assert real.algorithm.matmul_work == meta.algorithm.matmul_work
    assert real.algorithm.span == meta.algorithm.span
    assert replace(real.algorithm, peak_bytes=0) == replace(meta.algorithm, peak_bytes=0)


def test_batches_multiply_the_work_and_not_the_span() -> None:
    two, four = (pass_of(gpt(), ids(), "train", batch=batch) for batch in (2, 4))
    assert four.algorithm.matmul_work == 2 * two.algorithm.matmul_work
    assert four.algorithm.span == two.algorithm.span


def test_lengths_for_a_law() -> None:
    assert lengths_for_a_law([512]) == [64, 128, 256, 512]
    assert lengths_for_a_law([64, 128, 256, 512]) == [64, 128, 256, 512]
    assert lengths_for_a_law([12]) == [3, 6, 9, 12]
    assert lengths_for_a_law([2]) == [1, 2]
    assert len(lengths_for_a_law([5])) == 4


def test_a_whole_run_inside_a_context() -> None:
    layer, x = nn.LSTM(8, 8), torch.randn(5, 1, 8)
    with phalanx.record(layer, x, module=layer, name="mine") as recording:
        with pytest.raises(RuntimeError, match="once the block"):
            recording.profile  # noqa: B018
        layer(x)[0].sum().backward()
    found = recording.profile
    run = found.passes["run"]
    assert (found.name, found.kind, run.traced_on) == ("mine", "LSTM", "cpu")
    assert run.algorithm.matmul_work == 3 * 8 * 5 * 8 * 16 - 8 * 5 * 8 * 8 - 8 * 8 * 8
    assert sum(step.kernels for step in run.path) == run.algorithm.span
    assert run.tree.kind == "LSTM"
    assert layer.weight_hh_l0.grad is not None  # it ran as it would without
    with phalanx.record(layer, x, column="executed") as recording:
        layer(x)
    assert recording.profile.passes["run"].fused == {"mkldnn_rnn_layer": 1}


def test_useful_work_of_a_law() -> None:
    found = pass_of(gpt(), ids(), "forward")
    work, useful = found.laws.work, found.laws.useful
    assert work is not None
    assert useful is not None
    assert useful.quadratic == work.quadratic / 2
    assert useful.linear == work.linear + Fraction(work.quadratic, 2)
    assert useful.points[-1] == (32, found.useful_work)


class PaddedToPowersOfTwo(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(4, 4, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        length = x_BTD.shape[1]
        padded = 1 << (length - 1).bit_length()
        y_BTD: Tensor = self.mix(F.pad(x_BTD, (0, 0, 0, padded - length)))
        return y_BTD[:, :length]


def test_work_that_grows_in_steps_is_no_law_at_round_lengths_alone() -> None:
    x_BTD = torch.ones(1, 64, 4)
    found = phalanx.profile(PaddedToPowersOfTwo(), x_BTD, "forward", hops=False)
    assert str(found.passes["forward"].laws.work) == "32T"
    (said,) = [sentence for sentence in found.assumptions if "in steps" in sentence]
    assert "at T = 11 the work is 512, +45.45% off it" in said
    honest = phalanx.profile(nn.Linear(4, 4), x_BTD, "forward", hops=False)
    assert not any("in steps" in sentence for sentence in honest.assumptions)


@pytest.mark.parametrize("name", ["transformer", "mingru", "lstm"])
def test_a_decoded_token_is_told_by_module(name: str) -> None:
    (subject,) = subjects_from([name], size=100_000)
    made = profile_subject(subject, "decode", lengths=[8], hops=False)
    found = made.passes["decode"]
    assert found.algorithm.kernels - found.tree.figures.kernels == 1  # the choice of the token
    assert "decode: steps run in inference mode." in made.assumptions
    mixers = [node for path, node in found.tree.walk() if path.endswith(".mixer")]
    assert mixers
    assert all(node.figures.kernels for node in mixers)
    assert [step.module for step in found.path if not step.module][1:] == []


@pytest.mark.parametrize("name", ["transformer", "mingru"])
def test_weights_that_begin_at_zero_do_not_hide_distance(name: str) -> None:
    (subject,) = subjects_from([name], size=100_000)
    found = profile_subject(subject, "forward", lengths=[8])
    assert found.positions is not None
    assert found.positions.causal_by_gradient
    assert min(found.positions.gradient_by_distance) > 0
    assert any("weights that are all zero" in sentence for sentence in found.assumptions)
