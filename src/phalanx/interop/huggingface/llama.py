"""Llama (Touvron et al. 2023; Grattafiori et al. 2024) and its like: Mistral, Qwen2 and Qwen3."""

from collections.abc import Callable
from typing import Any

from phalanx.config import ModelConfig, parse
from phalanx.interop.huggingface.family import (
    Family,
    Layout,
    Need,
    epsilon_read,
    epsilon_written,
)
from phalanx.interop.huggingface.moves import Move, same
from phalanx.interop.huggingface.options import Options

_BLOCK, _LAYER = "blocks.{}", "layers.{}"
_TABLE = (
    same("embedding", "embed_tokens"),
    same(f"{_BLOCK}.mixer_norm", f"{_LAYER}.input_layernorm"),
    same(f"{_BLOCK}.mixer.query", f"{_LAYER}.self_attn.q_proj"),
    Move(
        (f"{_BLOCK}.mixer.key_value",),
        (f"{_LAYER}.self_attn.k_proj", f"{_LAYER}.self_attn.v_proj"),
    ),
    same(f"{_BLOCK}.mixer.query_norm", f"{_LAYER}.self_attn.q_norm"),
    same(f"{_BLOCK}.mixer.key_norm", f"{_LAYER}.self_attn.k_norm"),
    same(f"{_BLOCK}.mixer.output", f"{_LAYER}.self_attn.o_proj"),
    same(f"{_BLOCK}.feed_forward_norm", f"{_LAYER}.post_attention_layernorm"),
    same(f"{_BLOCK}.feed_forward.gate", f"{_LAYER}.mlp.gate_proj"),
    same(f"{_BLOCK}.feed_forward.input", f"{_LAYER}.mlp.up_proj"),
    same(f"{_BLOCK}.feed_forward.output", f"{_LAYER}.mlp.down_proj"),
    same("norm", "norm"),
    same("output", "lm_head", outside=True),
)


def _layout(config: ModelConfig) -> Layout:
    return Layout(
        _TABLE,
        {"lm_head.weight": "embed_tokens.weight"} if config.tied else {},
        {r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq": "the frequencies of rotary positions"},
    )


def _rotary(options: Options) -> dict[str, Any]:
    """Base and scaling: of ``rope_parameters``, or of ``rope_theta`` and ``rope_scaling``."""
    given = options.section("rope_parameters") or options.section("rope_scaling")
    base = options.number("rope_theta", 10_000.0)
    if given is None:
        return {"rotary_base": base}
    base = given.number("rope_theta", base)
    given.only("partial_rotary_factor", (1.0, 1, None))
    name = "rope_type" if "rope_type" in given.values else "type"
    known = {"default": None, "linear": "linear", "llama3": "llama3"}
    kind = given.choice(name, "default", known)
    if kind is None:
        return {"rotary_base": base}
    scaling: dict[str, Any] = {"kind": kind, "factor": given.number("factor")}
    if kind == "llama3":
        scaling |= {
            "low_frequency_factor": given.number("low_freq_factor"),
            "high_frequency_factor": given.number("high_freq_factor"),
            "original_context": given.integer("original_max_position_embeddings"),
        }
    return {"rotary_base": base, "rotary_scaling": scaling}


def _read(
    options: Options,
    attention: dict[str, Any],
    missing_groups: int | None = None,
    missing_head_width: int | None = None,
) -> ModelConfig:
    """What all of them share; ``attention`` is what they differ in, as is what may be missing."""
    options.only("hidden_act", ("silu",))
    options.only("partial_rotary_factor", (1.0, 1, None))
    if any(kind != "full_attention" for kind in options.values.get("layer_types") or ()):
        raise options.wrong("layer_types", "full_attention in every layer")
    width, heads = options.integer("hidden_size"), options.integer("num_attention_heads")
    if "num_key_value_heads" not in options.values:
        groups = missing_groups or heads
    else:
        groups = options.integer("num_key_value_heads", heads)
    head_width = missing_head_width
    if options.values.get("head_dim") is not None:
        head_width = options.integer("head_dim")
    values = {
        "vocabulary": options.integer("vocab_size"),
        "context": options.integer("max_position_embeddings"),
        "width": width,
        "layers": options.integer("num_hidden_layers"),
        "mixers": ["attention"],
        "norm": "rms",
        "norm_epsilon": epsilon_read("rms", options.number("rms_norm_eps", 1e-6)),
        "positions": "rotary",
        "attention": {
            "heads": heads,
            "key_value_heads": None if groups == heads else groups,
            "head_width": None if head_width == width / heads else head_width,
            **_rotary(options),
            **attention,
        },
        "feed_forward": {
            "width": options.integer("intermediate_size"),
            "activation": "swiglu",
            "bias": options.flag("mlp_bias", False),
        },
        "tied": options.flag("tie_word_embeddings", False),
        "init": "gpt2",
    }
    return parse(ModelConfig, values, options.source)


def _read_llama(options: Options, architecture: str) -> ModelConfig:
    options.only("sliding_window", (None,))
    return _read(options, {"bias": options.flag("attention_bias", False)})


def _read_mistral(options: Options, architecture: str) -> ModelConfig:
    window = options.values.get("sliding_window", 4096)
    if window is not None:
        window = options.integer("sliding_window", 4096)
    return _read(options, {"bias": False, "window": window}, missing_groups=8)


def _read_qwen2(options: Options, architecture: str) -> ModelConfig:
    options.only("use_sliding_window", (False,))
    return _read(options, {"bias": True, "output_bias": False}, missing_groups=32)


def _read_qwen3(options: Options, architecture: str) -> ModelConfig:
    options.only("use_sliding_window", (False,))
    attention = {"bias": options.flag("attention_bias", False), "query_key_norm": True}
    return _read(options, attention, missing_groups=32, missing_head_width=128)


def _write(config: ModelConfig, architecture: str) -> dict[str, Any]:
    chosen, feed_forward = config.attention, config.feed_forward
    assert feed_forward is not None
    values = {
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "intermediate_size": feed_forward.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": chosen.heads,
        "num_key_value_heads": chosen.key_value_heads or chosen.heads,
        "head_dim": chosen.head_width or config.width // chosen.heads,
        "hidden_act": "silu",
        "max_position_embeddings": config.context,
        "rms_norm_eps": epsilon_written(config),
        "tie_word_embeddings": config.tied,
        "rope_theta": chosen.rotary_base,
        "rope_scaling": _scaling_written(config),
        "attention_dropout": 0.0,
    }
    if architecture == "LlamaForCausalLM":
        return {**values, "attention_bias": chosen.bias, "mlp_bias": feed_forward.bias}
    if architecture == "MistralForCausalLM":
        return {**values, "sliding_window": chosen.window}
    values |= {"use_sliding_window": False}
    if architecture == "Qwen3ForCausalLM":
        values |= {"attention_bias": chosen.bias}
    return values


def _scaling_written(config: ModelConfig) -> dict[str, Any] | None:
    scaling = config.attention.rotary_scaling
    if scaling is None:
        return None
    values: dict[str, Any] = {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind == "llama3":
        values |= {
            "low_freq_factor": scaling.low_frequency_factor,
            "high_freq_factor": scaling.high_frequency_factor,
            "original_max_position_embeddings": scaling.original_context,
        }
    return values


def _needs(*own: Need, normed: bool) -> tuple[Need, ...]:
    return (
        *own,
        Need("mixers", (["attention"],)),
        Need("block", ("pre",)),
        Need("norm", ("rms",)),
        Need("final_norm", (True,)),
        Need("embedding_norm", (False,)),
        Need("token_types", (0,)),
        Need("positions", ("rotary",)),
        Need("attention.query_key_norm", (normed,)),
        Need("feed_forward.activation", ("swiglu",)),
        Need("scale_embedding", (False,)),
        Need("output_bias", (False,)),
        Need("head", ("linear",)),
    )


def _family(
    name: str, read: Callable[[Options, str], ModelConfig], needs: tuple[Need, ...]
) -> Family:
    return Family(
        model_type=name.lower(),
        prefix="model.",
        architectures={f"{name}ForCausalLM": "language_modelling"},
        read=read,
        write=_write,
        layout=_layout,
        needs=needs,
    )


_ANY = (False, True)
_NO_WINDOW = Need("attention.window", (None,))
_NO_INNER = Need("feed_forward.bias", (False,))
_SAME_OUTPUT = Need("attention.output_bias", (None,))

LLAMA = _family(
    "Llama",
    _read_llama,
    _needs(
        Need("attention.bias", _ANY),
        _SAME_OUTPUT,
        Need("feed_forward.bias", _ANY),
        _NO_WINDOW,
        normed=False,
    ),
)
MISTRAL = _family(
    "Mistral",
    _read_mistral,
    _needs(
        Need("attention.bias", (False,)),
        Need("attention.output_bias", (None, False)),
        _NO_INNER,
        normed=False,
    ),
)
QWEN2 = _family(
    "Qwen2",
    _read_qwen2,
    _needs(
        Need("attention.bias", (True,)),
        Need("attention.output_bias", (False,)),
        _NO_INNER,
        _NO_WINDOW,
        normed=False,
    ),
)
QWEN3 = _family(
    "Qwen3",
    _read_qwen3,
    _needs(Need("attention.bias", _ANY), _SAME_OUTPUT, _NO_INNER, _NO_WINDOW, normed=True),
)
