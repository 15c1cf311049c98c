"""GPT-2 (Radford et al. 2019). There, queries, keys and values are one matrix, ``c_attn``."""

from typing import Any

from phalanx.config import ModelConfig, parse
from phalanx.interop.huggingface.family import (
    ACTIVATIONS,
    Family,
    Layout,
    Need,
    activation_written,
    epsilon_read,
    epsilon_written,
)
from phalanx.interop.huggingface.moves import Move, same
from phalanx.interop.huggingface.options import Options

_BLOCK, _LAYER = "blocks.{}", "h.{}"


def _read(options: Options, architecture: str) -> ModelConfig:
    for name, value in (
        ("scale_attn_weights", True),
        ("scale_attn_by_inverse_layer_idx", False),
        ("add_cross_attention", False),
    ):
        options.only(name, (value,))
    width = options.integer("n_embd")
    activation = options.choice("activation_function", "gelu_new", ACTIVATIONS)
    values = {
        "vocabulary": options.integer("vocab_size"),
        "context": options.integer("n_positions"),
        "width": width,
        "layers": options.integer("n_layer"),
        "mixers": ["attention"],
        "norm_epsilon": epsilon_read("layer", options.number("layer_norm_epsilon", 1e-5)),
        "positions": "learned",
        "attention": {"heads": options.integer("n_head")},
        "feed_forward": {
            "width": options.integer("n_inner", 4 * width),
            "activation": activation,
        },
        "tied": options.flag("tie_word_embeddings", True),
        "init": "gpt2",
    }
    return parse(ModelConfig, values, options.source)


def _write(config: ModelConfig, architecture: str) -> dict[str, Any]:
    assert config.feed_forward is not None
    return {
        "vocab_size": config.vocabulary,
        "n_positions": config.context,
        "n_embd": config.width,
        "n_layer": config.layers,
        "n_head": config.attention.heads,
        "n_inner": config.feed_forward.width,
        "activation_function": activation_written(config),
        "layer_norm_epsilon": epsilon_written(config),
        "tie_word_embeddings": config.tied,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": 0.0,
    }


_TABLE = (
    same("embedding", "wte"),
    same("positions", "wpe"),
    same(f"{_BLOCK}.mixer_norm", f"{_LAYER}.ln_1"),
    Move(
        (f"{_BLOCK}.mixer.query", f"{_BLOCK}.mixer.key_value"),
        (f"{_LAYER}.attn.c_attn",),
        transposed=True,
    ),
    same(f"{_BLOCK}.mixer.output", f"{_LAYER}.attn.c_proj", transposed=True),
    same(f"{_BLOCK}.feed_forward_norm", f"{_LAYER}.ln_2"),
    same(f"{_BLOCK}.feed_forward.input", f"{_LAYER}.mlp.c_fc", transposed=True),
    same(f"{_BLOCK}.feed_forward.output", f"{_LAYER}.mlp.c_proj", transposed=True),
    same("norm", "ln_f"),
    same("output", "lm_head", outside=True),
)


def _layout(config: ModelConfig) -> Layout:
    return Layout(
        _TABLE,
        {"lm_head.weight": "wte.weight"} if config.tied else {},
        {r"h\.\d+\.attn\.(masked_)?bias": "masks that old versions stored"},
    )


GPT2 = Family(
    model_type="gpt2",
    prefix="transformer.",
    architectures={"GPT2LMHeadModel": "language_modelling", "GPT2Model": "language_modelling"},
    read=_read,
    write=_write,
    layout=_layout,
    needs=(
        Need("mixers", (["attention"],)),
        Need("block", ("pre",)),
        Need("norm", ("layer",)),
        Need("norm_bias", (True,)),
        Need("final_norm", (True,)),
        Need("embedding_norm", (False,)),
        Need("token_types", (0,)),
        Need("positions", ("learned",)),
        Need("attention.key_value_heads", (None,)),
        Need("attention.head_width", (None,)),
        Need("attention.window", (None,)),
        Need("attention.query_key_norm", (False,)),
        Need("attention.bias", (True,)),
        Need("attention.output_bias", (None, True)),
        Need("feed_forward.activation", ("gelu_tanh", *ACTIVATIONS.values())),
        Need("feed_forward.bias", (True,)),
        Need("scale_embedding", (False,)),
        Need("output_bias", (False,)),
        Need("head", ("linear",)),
    ),
)
