"""Other people's models followed element by element, against their exact gradients."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from plain_models import PlainGPT
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from phalanx.profiling.elements.depth import element_depth
from phalanx.profiling.elements.gradients import gradients
from phalanx.profiling.elements.paths import paths
from phalanx.profiling.elements.positions import positions

T, D = 8, 8


class ScanByChannels(nn.Module):
    """A selective state space as Mamba's slow path runs it: gates by the input, a loop over T."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(D, 2 * D)
        self.conv = nn.Conv1d(D, D, 3, groups=D, padding=2)
        self.parameters_of_x = nn.Linear(D, 4 + 4 + D)
        self.decay = nn.Parameter(torch.rand(D, 4))
        self.outer = nn.Linear(D, D)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.inner(x).chunk(2, -1)
        x = F.silu(self.conv(x.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)
        b, c, step = self.parameters_of_x(x).split([4, 4, D], -1)
        step = F.softplus(step)
        kept = torch.exp(torch.einsum("btd,dn->btdn", step, -self.decay))
        added = torch.einsum("btd,btn,btd->btdn", step, b, x)
        h, outputs = torch.zeros(x.shape[0], D, 4), []
        for t in range(x.shape[1]):
            h = kept[:, t] * h + added[:, t]
            outputs.append(torch.einsum("bdn,bn->bd", h, c[:, t]))
        return self.outer(torch.stack(outputs, 1) * F.silu(gate))


class TimeMixing(nn.Module):
    """RWKV's attention: a shift by one token, and a numerically safe recurrence from -1e38."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.ZeroPad2d((0, 0, 1, -1))
        self.mix = nn.Parameter(torch.rand(D))
        self.decay, self.first = nn.Parameter(torch.rand(D)), nn.Parameter(torch.rand(D))
        self.key, self.value, self.gate = (nn.Linear(D, D, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        mixed = x * self.mix + self.shift(x) * (1 - self.mix)
        key, value, gate = self.key(mixed), self.value(mixed), self.gate(mixed).sigmoid()
        top, low, high = torch.zeros(1, D), torch.zeros(1, D), torch.full((1, D), -1e38)
        outputs = []
        for t in range(x.shape[1]):
            k, v = key[:, t], value[:, t]
            most = torch.maximum(high, k + self.first)
            old, new = torch.exp(high - most), torch.exp(k + self.first - most)
            outputs.append((old * top + new * v) / (old * low + new))
            most = torch.maximum(high - self.decay.exp(), k)
            old, new = torch.exp(high - self.decay.exp() - most), torch.exp(k - most)
            top, low, high = old * top + new * v, old * low + new, most
        return gate * torch.stack(outputs, 1)


class Rotary(nn.Module):
    """Llama's attention: complex rotary positions, grouped heads, an additive finfo.min mask."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.kv, self.o = nn.Linear(D, D), nn.Linear(D, D), nn.Linear(D, D)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        angle = torch.outer(torch.arange(float(length)), torch.tensor([1.0, 0.1]))
        turn = torch.polar(torch.ones_like(angle), angle)[None, :, None]
        q = self.q(x).reshape(1, length, 2, 4)
        k, v = self.kv(x).reshape(1, length, 1, 8).split(4, -1)
        q, k = (_turned(part, turn) for part in (q, k))
        k, v = (part.expand(1, length, 2, 4) for part in (k, v))
        mask = torch.full((length, length), torch.finfo(torch.float32).min).triu(1)
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / 2 + mask
        return self.o(torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v).flatten(2))


def _turned(x: Tensor, turn: Tensor) -> Tensor:
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turn).flatten(3)


def _sequence(*layers: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x)
        return x

    return run


def _decoder() -> Callable[[Tensor], Tensor]:
    layer = nn.TransformerDecoderLayer(D, 2, 16, batch_first=True).eval()
    mask = nn.Transformer.generate_square_subsequent_mask(T)
    return lambda x: layer(x, x[:, :2], tgt_mask=mask)


def _dilated() -> Callable[[Tensor], Tensor]:
    layers = [nn.Conv1d(D, D, 2, dilation=2**n) for n in range(2)]

    def run(x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        for n, layer in enumerate(layers):
            x = layer(F.pad(x, (2**n, 0))).relu() + x
        return x.transpose(1, 2)

    return run


PLAIN: dict[str, tuple[Callable[[], Callable[[Tensor], Tensor]], bool]] = {
    "state space": (ScanByChannels, True),
    "time mixing": (TimeMixing, True),
    "rotary": (Rotary, True),
    "stack": (lambda: _sequence(TimeMixing(), Rotary(), ScanByChannels()), True),
    "decoder": (_decoder, False),
    "dilated convolutions": (_dilated, True),
    "fourier": (lambda: lambda x: torch.fft.fft(torch.fft.fft(x), dim=1).real, False),
}


@pytest.mark.parametrize("name", PLAIN)
def test_the_shadow_agrees_with_exact_gradients(name: str) -> None:
    torch.manual_seed(0)
    build, causal = PLAIN[name]
    model = build()
    found = positions(model, torch.randn(1, T, D), at=None)
    assert found.why_not == ""
    assert found.causal_by_shadow is found.causal_by_gradient is causal
    slopes = gradients(model, torch.randn(1, T, D))
    depends = (slopes.transpose(1, 2).flatten(2).abs().amax(-1) != 0).T
    assert [[v is not None for v in row] for row in found.hops_ij] == depends.tolist()


@pytest.mark.parametrize("name", ["state space", "time mixing", "rotary"])
def test_training_them_has_no_barriers(name: str) -> None:
    torch.manual_seed(0)
    model, x = PLAIN[name][0](), torch.randn(1, 4, D)
    found = element_depth(lambda: model(x).square().mean().backward())
    assert found.barriers == {}
    assert found.depth > 10


def test_a_wide_layer_takes_no_memory_for_each_weight() -> None:
    model = nn.Sequential(nn.LayerNorm(768), nn.Linear(768, 3072), nn.GELU(), nn.Linear(3072, 768))
    x = torch.randn(1, 8, 768)
    paths(model, x)  # imports, caches
    tracemalloc.start()
    try:
        assert paths(model, x).kernels_ij[3, 3] == 4
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4e6  # (M, N, K) would be 900 MB, a number for each weight 9 MB


@pytest.mark.slow
def test_gpt_2_as_published_is_followed() -> None:
    model = PlainGPT(50257, 1024, 768, 12, 12)
    ids = torch.arange(8)[None]
    tracemalloc.start()
    try:
        found = paths(model, ids)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.causal
    assert set(found.kernels_ij[0, 1:]) == {1 + 4 + 2 * 12 + 2}
    assert peak < 1e8


def _huggingface() -> dict[str, Callable[[Any], Any]]:
    size: dict[str, Any] = {
        "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24,
    }  # fmt: skip
    state = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4}
    old = {"vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2}
    t5 = {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    return {
        "gpt2": lambda tf: tf.GPT2LMHeadModel(tf.GPT2Config(**old)),
        "gpt2, eager": lambda tf: tf.GPT2LMHeadModel(
            tf.GPT2Config(**old, attn_implementation="eager")
        ),
        "gptj": lambda tf: tf.GPTJForCausalLM(tf.GPTJConfig(**old, rotary_dim=4)),
        "bert": lambda tf: tf.BertModel(tf.BertConfig(**size)),
        "deberta": lambda tf: tf.DebertaV2Model(
            tf.DebertaV2Config(**size, relative_attention=True, pos_att_type=["p2c", "c2p"])
        ),
        "longformer": lambda tf: tf.LongformerModel(
            tf.LongformerConfig(**size, attention_window=4)
        ),
        "convbert": lambda tf: tf.ConvBertModel(
            tf.ConvBertConfig(**size, embedding_size=16, head_ratio=1)
        ),
        "fnet": lambda tf: tf.FNetModel(tf.FNetConfig(**size)),
        "t5": lambda tf: tf.T5EncoderModel(tf.T5Config(**t5)).encoder,
        "llama": lambda tf: tf.LlamaForCausalLM(tf.LlamaConfig(**size, num_key_value_heads=1)),
        "mistral": lambda tf: tf.MistralForCausalLM(
            tf.MistralConfig(**size, num_key_value_heads=1, sliding_window=3)
        ),
        "bloom": lambda tf: tf.BloomForCausalLM(
            tf.BloomConfig(vocab_size=50, hidden_size=16, n_layer=2, n_head=2)
        ),
        "mamba": lambda tf: tf.MambaForCausalLM(tf.MambaConfig(**state)),
        "recurrent gemma": lambda tf: tf.RecurrentGemmaForCausalLM(
            tf.RecurrentGemmaConfig(
                **size, num_key_value_heads=1, lru_width=16, attention_window_size=4,
                block_types=["recurrent", "attention"],
            )
        ),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", _huggingface())
def test_a_model_of_huggingface_agrees_with_its_gradients(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = _huggingface()[name](transformers).eval()
    ids, at = torch.randint(1, 50, (1, T)), model.get_input_embeddings()
    found = positions(lambda ids: model(ids)[0], ids, at=at)
    assert found.why_not == ""
    depends = gradients(lambda ids: model(ids)[0], ids, at=at)
    joined = (depends.transpose(1, 2).flatten(2).abs().amax(-1) != 0).T
    assert [[v is not None for v in row] for row in found.hops_ij] == joined.tolist()
