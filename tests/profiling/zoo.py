"""Sequence models that nobody here wrote, built small from their configuration, without weights.

An entry says how to build a module of some width, how to call it on an input of length T, and what
its paper says: whether an output may depend on later inputs, and how its longest chain grows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

WIDTH, HEAD_WIDTH, LAYERS, VOCABULARY = 16, 8, 2, 50
LENGTHS = (8, 16, 24, 32, 40, 56)  # multiples of every chunk; four for a law, two to check it
FEW = (2, 3, 5, 8, 10, 13)  # for chains that grow with every position
Call = Callable[[Any, Tensor], Tensor]
Growth = Literal["none", "logarithmic", "linear"]


@dataclass(frozen=True)
class Entry:
    """A model of the zoo.

    Args:
        name: library and model.
        build: width -> module, on the default device.
        call: (module, input) -> outputs (B, T, ...).
        causal: whether output t depends on inputs up to t alone.
        growth: of the chain of dependent kernels with T, as its implementation has it.
        ids: the input is (B, T) token numbers; otherwise (B, T, width) vectors.
        lengths: where its laws are taken: whole chunks, of a model that cuts T into them.
        not_on_meta: why it does not run without memory; "" where it does.
        package: what has to be installed.
    """

    name: str
    build: Callable[[int], nn.Module]
    call: Call
    causal: bool
    growth: Growth = "none"
    ids: bool = False
    lengths: tuple[int, ...] = LENGTHS
    not_on_meta: str = ""
    package: str = "torch"

    @property
    def device(self) -> str:
        """Where it is traced: without memory where it can be."""
        return "cpu" if self.not_on_meta else "meta"

    def module(self, device: str, train: bool = False, width: int = WIDTH) -> nn.Module:
        """Built alike every time, and without dropout."""
        pytest.importorskip(self.package)
        with torch.random.fork_rng(), torch.device(device):
            torch.manual_seed(0)
            module = self.build(width)
        for part in module.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
        return module.train(train)

    def inputs(self, length: int, device: str, width: int = WIDTH) -> Tensor:
        """One row of that length."""
        generator = torch.Generator().manual_seed(length)
        if self.ids:
            return torch.randint(1, VOCABULARY, (1, length), generator=generator).to(device)
        return torch.randn(1, length, width, generator=generator).to(device)

    def ready(self, module: nn.Module, x: Tensor, train: bool) -> Callable[[], object]:
        """A forward pass without gradients, or one with a loss and its backward pass."""

        def run() -> object:
            with torch.device(x.device), torch.set_grad_enabled(train):
                y = self.call(module, x)
                return y.float().square().mean().backward() if train else y

        return run

    def embedding(self, module: nn.Module) -> nn.Module | None:
        """The module whose output stands for the input; None where the input is vectors."""
        return (
            next(p for p in module.modules() if isinstance(p, nn.Embedding)) if self.ids else None
        )

    def __str__(self) -> str:
        return self.name


def _first(module: Any, x: Tensor) -> Tensor:
    """Of a module that returns outputs and a state."""
    y: Tensor = module(x)[0]
    return y


def _only(module: Any, x: Tensor) -> Tensor:
    y: Tensor = module(x)
    return y


def _channels_first(module: Any, x: Tensor) -> Tensor:
    y: Tensor = module(x.mT).mT
    return y


# -- torch -------------------------------------------------------------------------------------


def _recurrent(kind: type[nn.RNNBase], **options: Any) -> Callable[[int], nn.Module]:
    return lambda width: kind(width, width, LAYERS, batch_first=True, **options)


def _of_torch(kind: type[nn.Module], width: int) -> nn.Module:
    return kind(width, width // HEAD_WIDTH, 2 * width, dropout=0.0, batch_first=True)


def _decode(module: Any, x: Tensor) -> Tensor:
    mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
    y: Tensor = module(x, torch.ones_like(x), tgt_mask=mask, tgt_is_causal=True)
    return y


def _translate(module: Any, x: Tensor) -> Tensor:
    mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
    y: Tensor = module(torch.ones_like(x), x, tgt_mask=mask, tgt_is_causal=True)
    return y


def _convolutions(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(width, width, 3, padding=1), nn.BatchNorm1d(width), nn.ReLU(),
        nn.Conv1d(width, 2 * width, 3, padding=2, dilation=2), nn.GLU(1), nn.GroupNorm(2, width),
        nn.Conv1d(width, width, 3, padding=1, groups=width), nn.GELU(), nn.AvgPool1d(3, 1, 1),
        nn.ConvTranspose1d(width, width, 3, padding=1), nn.SiLU(),
    )  # fmt: skip


def _attend(module: Any, x: Tensor) -> Tensor:
    y: Tensor = module(x, x, x)[0]
    return y


_TORCH = [
    Entry("torch RNN", _recurrent(nn.RNN), _first, True, "linear", lengths=FEW),
    Entry("torch LSTM", _recurrent(nn.LSTM), _first, True, "linear", lengths=FEW),
    Entry("torch GRU", _recurrent(nn.GRU), _first, True, "linear", lengths=FEW),
    Entry("torch LSTM, projected", _recurrent(nn.LSTM, proj_size=8), _first, True, "linear",
          lengths=FEW),
    Entry("torch LSTM, both ways", _recurrent(nn.LSTM, bidirectional=True), _first, False,
          "linear", lengths=FEW),
    Entry("torch MultiheadAttention",
          lambda w: nn.MultiheadAttention(w, w // HEAD_WIDTH, batch_first=True), _attend, False),
    Entry("torch TransformerEncoder",
          lambda w: nn.TransformerEncoder(_of_torch(nn.TransformerEncoderLayer, w), LAYERS,
                                          enable_nested_tensor=False), _only, False),
    Entry("torch TransformerDecoder",
          lambda w: nn.TransformerDecoder(_of_torch(nn.TransformerDecoderLayer, w), LAYERS),
          _decode, True),
    Entry("torch Transformer",
          lambda w: nn.Transformer(w, w // HEAD_WIDTH, LAYERS, LAYERS, 2 * w, 0.0,
                                   batch_first=True), _translate, True),
    Entry("torch Conv1d stack", _convolutions, _channels_first, False),
]  # fmt: skip


# -- transformers ------------------------------------------------------------------------------

_GROUPED = "torch's grouped product has no fp32 form without memory"


def _of_hugging_face(kind: str, **sizes: Any) -> Callable[[int], nn.Module]:
    """A model of that kind; a size given as a fraction is a share of the width."""

    def build(width: int) -> nn.Module:
        from transformers import AutoConfig, AutoModel

        chosen = {k: int(v * width) if isinstance(v, float) else v for k, v in sizes.items()}
        for name in ("num_attention_heads", "n_head", "n_heads", "encoder_attention_heads",
                     "decoder_attention_heads", "num_heads"):  # fmt: skip
            if name in chosen:
                chosen[name] = width // HEAD_WIDTH
        config = AutoConfig.for_model(kind, vocab_size=VOCABULARY, **chosen)
        for name in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
            if getattr(config, name, None) is not None:
                setattr(config, name, 0)
        model: nn.Module = AutoModel.from_config(config)
        return model

    return build


def _encode_decode(module: Any, x: Tensor) -> Tensor:
    y: Tensor = module(inputs_embeds=torch.ones_like(x), decoder_inputs_embeds=x)[0]
    return y


def _hear(module: Any, x: Tensor) -> Tensor:
    features = torch.ones(1, 80, 16, device=x.device)
    y: Tensor = module(input_features=features, decoder_inputs_embeds=x)[0]
    return y


_SIZES: dict[str, Any] = {
    "hidden_size": 1.0, "num_attention_heads": 0, "num_hidden_layers": LAYERS,
    "intermediate_size": 2.0,
}  # fmt: skip
_BERT = _SIZES | {"max_position_embeddings": 64}
_LLAMA = _SIZES | {"num_key_value_heads": 1, "head_dim": HEAD_WIDTH}
_EXPERTS = _LLAMA | {"num_experts_per_tok": 2}
_SEQ2SEQ = {
    "d_model": 1.0, "encoder_layers": LAYERS, "decoder_layers": LAYERS,
    "encoder_attention_heads": 0, "decoder_attention_heads": 0, "encoder_ffn_dim": 2.0,
    "decoder_ffn_dim": 2.0,
}  # fmt: skip


def _hugging_face(
    kind: str, sizes: dict[str, Any], causal: bool, growth: Growth = "none", **more: Any
) -> Entry:
    build = _of_hugging_face(kind, **sizes)
    given = {"call": _first, "ids": True, "package": "transformers"} | more
    return Entry(f"transformers {kind}", build=build, causal=causal, growth=growth, **given)


_HUGGING_FACE = [
    _hugging_face("gpt2", {"n_embd": 1.0, "n_head": 0, "n_layer": LAYERS, "n_positions": 64}, True),
    _hugging_face("bert", _BERT, False),
    _hugging_face("electra", _BERT | {"embedding_size": 1.0}, False),
    _hugging_face("deberta-v2", _BERT | {
        "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 4,
    }, False, not_on_meta="it reads a size from a tensor"),
    _hugging_face("modernbert", _SIZES | {"local_attention": 4}, False),
    _hugging_face("fnet", _BERT, False),
    _hugging_face("xlnet", {"d_model": 1.0, "n_head": 0, "n_layer": LAYERS, "d_inner": 2.0}, False,
                  call=lambda module, x: module(inputs_embeds=x)[0], ids=False,
                  not_on_meta="it makes tensors on the CPU"),
    _hugging_face("llama", _LLAMA, True),
    _hugging_face("mistral", _LLAMA | {"sliding_window": 4}, True),
    _hugging_face("qwen3", _LLAMA, True),
    _hugging_face("gemma2", _LLAMA | {"sliding_window": 4}, True),
    _hugging_face("gpt_neox", _SIZES, True),
    _hugging_face("falcon", _SIZES | {"alibi": False}, True,
                  not_on_meta="an index by a list makes a tensor there that torch does not show"),
    _hugging_face("bloom", {"hidden_size": 1.0, "n_head": 0, "n_layer": LAYERS}, True),
    _hugging_face("opt", _SIZES | {
        "ffn_dim": 2.0, "word_embed_proj_dim": 1.0, "max_position_embeddings": 64,
    }, True),
    _hugging_face("mixtral", _EXPERTS | {"num_local_experts": 4}, True, not_on_meta=_GROUPED),
    _hugging_face("qwen3_moe", _EXPERTS | {"num_experts": 4, "moe_intermediate_size": 0.5}, True,
                  not_on_meta=_GROUPED),
    _hugging_face("mamba", {
        "hidden_size": 1.0, "num_hidden_layers": LAYERS, "state_size": 4, "time_step_rank": 2,
    }, True, "linear", lengths=(4, 6, 8, 10, 12, 16)),
    _hugging_face("mamba2", {
        "hidden_size": 1.0, "num_hidden_layers": LAYERS, "state_size": 4, "num_heads": 0,
        "head_dim": 2 * HEAD_WIDTH, "n_groups": 1, "chunk_size": 8,
    }, True, lengths=(16, 24, 32, 40, 48, 56)),  # one chunk alone has no carry
    _hugging_face("rwkv", {
        "hidden_size": 1.0, "num_hidden_layers": LAYERS, "attention_hidden_size": 1.0,
        "intermediate_size": 2.0,
    }, True, "linear", lengths=FEW),
    _hugging_face("recurrent_gemma", _LLAMA | {
        "num_hidden_layers": 3, "lru_width": 1.0, "attention_window_size": 8,
    }, True, "linear"),
    _hugging_face("xlstm", {
        "hidden_size": 1.0, "embedding_dim": 1.0, "num_hidden_layers": LAYERS,
        "num_blocks": LAYERS, "num_heads": 0, "chunk_size": 8,
    }, True, "linear", call=lambda module, x: module(x, use_cache=False)[0]),
    _hugging_face("qwen3_next", _EXPERTS | {
        "linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 8,
        "linear_value_head_dim": 8, "num_experts": 4, "moe_intermediate_size": 0.5,
        "shared_expert_intermediate_size": 0.5, "layer_types": ["linear_attention",
                                                                "full_attention"],
    }, True, "linear", not_on_meta=_GROUPED, lengths=(64, 128, 192, 256, 320, 448)),
    _hugging_face("lfm2", _LLAMA | {"layer_types": ["conv", "full_attention"]}, True),
    _hugging_face("t5", {
        "d_model": 1.0, "num_heads": 0, "d_kv": HEAD_WIDTH, "num_layers": LAYERS, "d_ff": 2.0,
    }, True, call=_encode_decode, ids=False),
    _hugging_face("bart", _SEQ2SEQ | {"max_position_embeddings": 64}, True, call=_encode_decode,
                  ids=False, not_on_meta="it asks whether a mask is all true"),
    _hugging_face("whisper", _SEQ2SEQ | {
        "max_source_positions": 8, "max_target_positions": 64,
    }, True, call=_hear, ids=False),
]  # fmt: skip


# -- smaller packages --------------------------------------------------------------------------


def _of(package: str, kind: str, *given: Any, **options: Any) -> Callable[[int], nn.Module]:
    """``package.kind(*given, width, **options)``; imported when it is built."""

    def build(width: int) -> nn.Module:
        module: nn.Module = getattr(import_module(package), kind)(*given, **options, dim=width)
        return module

    return build


def _x_transformers(kind: str, **options: Any) -> Callable[[int], nn.Module]:
    sizes = {"depth": LAYERS, "heads": 2, "attn_dim_head": HEAD_WIDTH}
    return _of("x_transformers", kind, **sizes, **options)


def _mamba(scan: bool) -> Callable[[int], nn.Module]:
    def build(width: int) -> nn.Module:
        library = import_module("mambapy.mamba")
        config = library.MambaConfig(d_model=width, n_layers=LAYERS, d_state=4, pscan=scan)
        module: nn.Module = library.Mamba(config)
        return module

    return build


def _temporal(width: int) -> nn.Module:
    library = import_module("pytorch_tcn")
    module: nn.Module = library.TCN(width, [width, width], kernel_size=3, causal=True)
    return module


_X = "x_transformers"
_OTHERS = [
    Entry("x-transformers rotary decoder",
          _x_transformers("Decoder", rotary_pos_emb=True, rotary_emb_dim=HEAD_WIDTH), _only, True,
          not_on_meta="autocast does not know meta", package=_X),
    Entry("x-transformers ALiBi decoder",
          _x_transformers("Decoder", alibi_pos_bias=True, ff_glu=True, use_rmsnorm=True,
                          attn_qk_norm=True), _only, True,
          not_on_meta="it makes tensors on the CPU", package=_X),
    Entry("x-transformers relative encoder",
          _x_transformers("Encoder", rel_pos_bias=True, attn_num_mem_kv=2), _only, False,
          package=_X),
    Entry("mambapy Mamba, scan", _mamba(True), _only, True, "logarithmic", package="mambapy"),
    Entry("mambapy Mamba, serial", _mamba(False), _only, True, "linear", package="mambapy"),
    Entry("minGRU-pytorch minGRU", _of("minGRU_pytorch", "minGRU"), _only, True,
          package="minGRU_pytorch"),
    Entry("minGRU-pytorch language model",
          _of("minGRU_pytorch.minLM", "minLM", num_tokens=VOCABULARY, depth=LAYERS), _only, True,
          ids=True, package="minGRU_pytorch"),
    Entry("local-attention transformer",
          _of("local_attention", "LocalTransformer", num_tokens=VOCABULARY, depth=LAYERS, heads=2,
              dim_head=HEAD_WIDTH, max_seq_len=64, local_attn_window_size=4, causal=True),
          _only, True, ids=True, package="local_attention"),
    Entry("performer-pytorch Performer",
          _of("performer_pytorch", "Performer", depth=LAYERS, heads=2, dim_head=HEAD_WIDTH),
          _only, False, not_on_meta="it copies its projections to the CPU",
          package="performer_pytorch"),
    Entry("pytorch-tcn TCN", _temporal, _channels_first, True, package="pytorch_tcn"),
]  # fmt: skip

ZOO = [*_TORCH, *_HUGGING_FACE, *_OTHERS]
BY_NAME = {entry.name: entry for entry in ZOO}
