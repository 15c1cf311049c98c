"""Published models, counted by hand: FLOPs, spans, and kernels for each generated token."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from plain_models import PlainGPT, gpt_forward_flops
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from phalanx.profiling.span import Law
from phalanx.profiling.tracing.calls import trace_calls
from phalanx.profiling.tracing.trace import Tracer, trace

transformers = pytest.importorskip("transformers")


def _bert_flops(width: int, layers: int, length: int, pooler: bool) -> int:
    layer = 24 * length * width**2 + 4 * length**2 * width
    return layers * layer + (2 * width**2 if pooler else 0)


def test_bert_base_exactly() -> None:
    with torch.device("meta"), torch.no_grad():
        model = transformers.BertModel(transformers.BertConfig()).eval()
        ids = torch.zeros(1, 512, dtype=torch.long)
        assert sum(p.numel() for p in model.parameters()) == 109_482_240
        assert _bert_flops(768, 12, 512, True) == 96_637_943_808
        assert trace(model, ids).matmul_work == 96_637_943_808
        encoder = trace(model, ids[:, :128]).matmul_work - 2 * 768**2
        assert encoder == _bert_flops(768, 12, 128, False) == 22_347_251_712


@pytest.mark.parametrize(("length", "flops"), [(32, 7_943_798_784), (256, 65_664_319_488)])
def test_gpt2_of_hugging_face_exactly(length: int, flops: int) -> None:
    with torch.device("meta"), torch.no_grad():
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()
        ids = torch.zeros(1, length, dtype=torch.long)
        assert sum(p.numel() for p in model.parameters()) == 124_439_808
        assert trace(model, ids).matmul_work == flops == gpt_forward_flops(50_257, 768, 12, length)


@pytest.mark.parametrize("context", [1, 32, 1024])
def test_cached_decode_grows_with_the_context(context: int) -> None:
    with torch.device("meta"), torch.no_grad():
        model = PlainGPT(50_257, 1024, 768, 12, 12)
        past = [torch.empty(1, 12, context - 1, 64) for _ in range(24)]
        cache = list(zip(past[::2], past[1::2], strict=True))
        ids = torch.zeros(1, 1, dtype=torch.long)
        found = trace(model, ids, cache, context - 1).matmul_work
    assert found == 247_064_064 + 36_864 * context
    assert context != 1024 or found == 284_812_800


def _small_gpt2(width: int) -> Any:
    config = transformers.GPT2Config(
        vocab_size=64, n_embd=width, n_layer=2, n_head=4, attn_implementation="eager",
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    config.loss_type = "ForCausalLM"
    return transformers.GPT2LMHeadModel(config)


@pytest.mark.parametrize("length", [32, 64, 128])
def test_spans_of_gpt2_at_every_length(length: int) -> None:
    model, ids = _small_gpt2(256), torch.zeros(1, length, dtype=torch.long)
    with torch.no_grad():
        forward = trace(model.eval(), ids)
    training = trace(lambda: model.train()(ids, labels=ids).loss.backward())
    assert forward.span == 49
    doublings = (length // 32).bit_length() - 1
    # Two layers: a maximum, a sum and a weighted sum over T each.
    assert forward.scalar_span == 289 + 6 * doublings
    assert training.span == 99  # transformers shifts the labels; a plain loss takes one more


@pytest.mark.parametrize(
    ("kind", "forward", "training"),
    [(nn.RNN, "6T + 4", "12T + 10"), (nn.LSTM, "14T + 4", "30T + 8"),
     (nn.GRU, "18T + 4", "36T + 10")],
)  # fmt: skip
def test_spans_of_two_recurrent_layers(kind: type[nn.RNNBase], forward: str, training: str) -> None:
    with torch.device("meta"):
        table, head = nn.Embedding(9, 256), nn.Linear(256, 9)
        layer = kind(256, 256, 2, batch_first=True)
    model = nn.ModuleList([table, layer, head])

    def run(length: int, train: bool) -> Callable[[], object]:
        ids_1T = torch.zeros(1, length, dtype=torch.long, device="meta")

        def at() -> object:
            model.zero_grad(set_to_none=True)
            with torch.set_grad_enabled(train):
                y = head(layer(table(ids_1T))[0])
                return F.cross_entropy(y.flatten(0, 1), ids_1T[0]).backward() if train else y

        return at

    laws = [Law.fit({t: trace(run(t, train)).span for t in (4, 8, 16)}) for train in (False, True)]
    assert [str(law) for law in laws] == [forward, training]


def test_kernels_of_a_generated_token() -> None:
    model = _small_gpt2(64).eval()
    prompt = torch.zeros(1, 16, dtype=torch.long)
    with torch.no_grad():
        held = [model(prompt).past_key_values]

        def cached(t: int, token: Tensor) -> Tensor:
            out = model(token[:, None], past_key_values=held[0])
            held[0] = out.past_key_values
            return out.logits[:, -1].argmax(-1)

        sequence = [prompt]

        def again(t: int, token: Tensor) -> Tensor:
            sequence[0] = torch.cat([sequence[0], token[:, None]], 1)
            return model(sequence[0]).logits[:, -1].argmax(-1)

        first = torch.zeros(1, dtype=torch.long)
        assert trace_calls(cached, first, 4, held).kernels_per_call == 47
        assert trace_calls(again, first, 4, sequence).kernels_per_call == 50


# Fused kernels do the work of what they fuse.


def _work(run: Callable[[], object], *known: object, algorithm: bool) -> tuple[int, set[str]]:
    with Tracer(run, known, algorithm=algorithm) as tracer:
        run()
    return tracer.result().matmul_work, {kernel.name for kernel in tracer.kernels()}


@pytest.mark.parametrize(("layers", "both"), [(1, False), (2, False), (1, True)])
def test_a_fused_lstm_does_the_work_of_its_steps(layers: int, both: bool) -> None:
    layer = nn.LSTM(6, 8, layers, batch_first=True, bidirectional=both)
    x = torch.ones(3, 5, 6)
    with torch.no_grad():
        whole, names = _work(lambda: layer(x), algorithm=False)
        steps, _ = _work(lambda: layer(x), algorithm=True)
    assert "mkldnn_rnn_layer" in names
    assert whole == steps
    # Its backward kernel gives the gradients of x and of the initial state too.
    fused, names = _work(lambda: layer(x)[0].sum().backward(), algorithm=False)
    plain, _ = _work(lambda: layer(x)[0].sum().backward(), algorithm=True)
    unneeded = (1 + both) * (8 * 3 * 5 * 8 * 6 + layers * 8 * 3 * 8 * 8)
    assert "mkldnn_rnn_layer_backward" in names
    assert fused == 3 * whole
    assert fused - plain == unneeded


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_fused_encoder_layer_does_the_work_of_its_parts(
    norm_first: bool, activation: str
) -> None:
    layer = nn.TransformerEncoderLayer(
        16, 2, 24, batch_first=True, norm_first=norm_first, activation=activation
    ).eval()
    x = torch.ones(3, 5, 16)
    with torch.no_grad():
        whole, names = _work(lambda: layer(x), algorithm=False)
        parts, _ = _work(lambda: layer(x), algorithm=True)
    assert names == {"_transformer_encoder_layer_fwd"}
    assert whole == parts == 3 * (8 * 5 * 16**2 + 4 * 5**2 * 16 + 4 * 5 * 16 * 24)


def test_fused_self_attention_does_the_work_of_its_parts() -> None:
    layer, x = nn.MultiheadAttention(16, 2, batch_first=True).eval(), torch.ones(3, 5, 16)
    with torch.no_grad():
        whole, names = _work(lambda: layer(x, x, x), algorithm=False)
        parts, _ = _work(lambda: layer(x, x, x), algorithm=True)
    assert names == {"_native_multi_head_attention"}
    assert whole == parts == 3 * (8 * 5 * 16**2 + 4 * 5**2 * 16)


def test_every_product_has_its_shape() -> None:
    def shapes(run: Callable[[], object]) -> list[tuple[int, int, int, int]]:
        with Tracer(run) as tracer:
            run()
        costs = [kernel.cost for kernel in tracer.kernels() if kernel.cost is not None]
        return [cost.product for cost in costs if cost.product is not None]

    a, b = torch.ones(3, 4, 5), torch.ones(3, 5, 6)
    assert shapes(lambda: a @ b) == [(3, 4, 6, 5)]
    assert shapes(lambda: nn.functional.linear(a, torch.ones(7, 5), torch.ones(7))) == [
        (1, 12, 7, 5)
    ]
    assert shapes(lambda: torch.mv(a[0], a[0, 0])) == [(1, 4, 1, 5)]
    layer = nn.Conv1d(4, 6, 3, groups=2)
    assert shapes(lambda: layer(torch.ones(5, 4, 9))) == [(2, 5 * 7, 3, 2 * 3)]
    turned = nn.ConvTranspose1d(4, 6, 3, groups=2)
    assert shapes(lambda: turned(torch.ones(5, 4, 9))) == [(2, 5 * 9, 2, 3 * 3)]
