"""BERT (Devlin et al. 2019): without a head, and with those for masked tokens, texts and tokens."""

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

_BLOCK, _LAYER = "blocks.{}", "encoder.layer.{}"
_HEADS: dict[str, dict[str, Any]] = {
    "BertModel": {},
    "BertForMaskedLM": {"head": "masked", "output_bias": True},
    "BertForPreTraining": {"head": "masked", "output_bias": True},
    "BertForSequenceClassification": {"head": "pooler", "pooling": "first", "output_bias": True},
    "BertForTokenClassification": {"output_bias": True},
}
LABELLED = ("BertForSequenceClassification", "BertForTokenClassification")


def _read(options: Options, architecture: str) -> ModelConfig:
    options.only("position_embedding_type", ("absolute",))
    for name in ("is_decoder", "add_cross_attention"):
        options.only(name, (False,))
    activation = options.choice("hidden_act", "gelu", ACTIVATIONS)
    head = _HEADS[architecture]
    tied = architecture not in LABELLED and options.flag("tie_word_embeddings", True)
    if head.get("head") == "masked" and activation != "gelu":
        raise options.wrong("hidden_act", '"gelu", in a head for masked tokens')
    width = options.integer("hidden_size")
    values = {
        "kind": "encoder",
        "vocabulary": options.integer("vocab_size"),
        "context": options.integer("max_position_embeddings"),
        "width": width,
        "layers": options.integer("num_hidden_layers"),
        "mixers": ["attention"],
        "block": "post",
        "norm_epsilon": epsilon_read("layer", options.number("layer_norm_eps", 1e-12)),
        "final_norm": False,
        "embedding_norm": True,
        "token_types": options.integer("type_vocab_size"),
        "positions": "learned",
        "attention": {"heads": options.integer("num_attention_heads")},
        "feed_forward": {
            "width": options.integer("intermediate_size"),
            "activation": activation,
        },
        # A model without a head answers with vectors: the tied scores are there and not used.
        "tied": tied or architecture == "BertModel",
        "init": "gpt2",
        **head,
    }
    return parse(ModelConfig, values, options.source)


def _write(config: ModelConfig, architecture: str) -> dict[str, Any]:
    assert config.feed_forward is not None
    return {
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.attention.heads,
        "intermediate_size": config.feed_forward.width,
        "hidden_act": activation_written(config),
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": 0.0,
        "max_position_embeddings": config.context,
        "type_vocab_size": config.token_types,
        "layer_norm_eps": epsilon_written(config),
        "position_embedding_type": "absolute",
        # Only a head for masked tokens has something to tie.
        "tie_word_embeddings": config.tied or architecture in LABELLED,
    }


_BASE = (
    same("embedding", "embeddings.word_embeddings"),
    same("types", "embeddings.token_type_embeddings"),
    same("positions", "embeddings.position_embeddings"),
    same("embedding_norm", "embeddings.LayerNorm"),
    same(f"{_BLOCK}.mixer.query", f"{_LAYER}.attention.self.query"),
    Move(
        (f"{_BLOCK}.mixer.key_value",),
        (f"{_LAYER}.attention.self.key", f"{_LAYER}.attention.self.value"),
    ),
    same(f"{_BLOCK}.mixer.output", f"{_LAYER}.attention.output.dense"),
    same(f"{_BLOCK}.mixer_norm", f"{_LAYER}.attention.output.LayerNorm"),
    same(f"{_BLOCK}.feed_forward.input", f"{_LAYER}.intermediate.dense"),
    same(f"{_BLOCK}.feed_forward.output", f"{_LAYER}.output.dense"),
    same(f"{_BLOCK}.feed_forward_norm", f"{_LAYER}.output.LayerNorm"),
)
_CLASSIFIER = same("output", "classifier", outside=True)
POOLER = same("transform.dense", "pooler.dense")
_GUESS = "cls.predictions"
_MASKED = (
    same("transform.dense", f"{_GUESS}.transform.dense", outside=True),
    same("transform.norm", f"{_GUESS}.transform.LayerNorm", outside=True),
    same("output_bias", f"{_GUESS}.bias", outside=True),
    same("output", f"{_GUESS}.decoder", outside=True),
)
_REPEATED = {
    f"{_GUESS}.decoder.weight": "embeddings.word_embeddings.weight",
    f"{_GUESS}.decoder.bias": f"{_GUESS}.bias",
}


def _layout(config: ModelConfig) -> Layout:
    ignored = {r"embeddings\.position_ids": "the numbers of the positions"}
    if config.head == "pooler":
        return Layout((*_BASE, POOLER, _CLASSIFIER), {}, ignored)
    ignored |= {r"pooler\..*": "the pooler, which only a classifier of texts reads"}
    if config.head == "linear":
        return Layout((*_BASE, _CLASSIFIER), {}, ignored)
    ignored |= {r"cls\.seq_relationship\..*": "the head for next sentences"}
    if not config.tied:  # the bias beside a decoder with one of its own is added to nothing
        ignored |= {r"cls\.predictions\.bias": "a second bias"}
    return Layout((*_BASE, *_MASKED), _REPEATED if config.tied else {}, ignored)


BERT = Family(
    model_type="bert",
    prefix="bert.",
    architectures={
        "BertModel": "embedding",
        "BertForMaskedLM": "masked_lm",
        "BertForPreTraining": "masked_lm",
        "BertForSequenceClassification": "classification",
        "BertForTokenClassification": "tagging",
    },
    read=_read,
    write=_write,
    layout=_layout,
    needs=(
        Need("mixers", (["attention"],)),
        Need("block", ("post",)),
        Need("norm", ("layer",)),
        Need("norm_bias", (True,)),
        Need("final_norm", (False,)),
        Need("embedding_norm", (True,)),
        Need("token_types", (2, *range(1, 1001))),
        Need("positions", ("learned",)),
        Need("attention.key_value_heads", (None,)),
        Need("attention.head_width", (None,)),
        Need("attention.window", (None,)),
        Need("attention.query_key_norm", (False,)),
        Need("attention.bias", (True,)),
        Need("attention.output_bias", (None, True)),
        Need("feed_forward.activation", tuple(ACTIVATIONS.values())),
        Need("feed_forward.bias", (True,)),
        Need("scale_embedding", (False,)),
    ),
)


def head_needs(task: str) -> tuple[Need, ...]:
    """What the head of a model must be like, for the task that it was trained for."""
    if task == "embedding":  # written without its head
        return ()
    head = {"head": "linear", "pooling": None, **_HEADS[BERT.architecture_of(task)]}
    needs = tuple(Need(key, (value,)) for key, value in head.items())
    if task == "masked_lm":
        return (*needs, Need("feed_forward.activation", ("gelu",)))
    return (*needs, Need("tied", (False,)))
