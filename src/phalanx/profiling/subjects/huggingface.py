"""Subjects of ``hf:DIR``: a directory with the config.json of a Hugging Face model.

Only the configuration is read, never the network, and no code that came with the model is run.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from phalanx.errors import PhalanxError, UsageError
from phalanx.profiling.subjects.blame import blame
from phalanx.profiling.subjects.examples import Example
from phalanx.profiling.subjects.modules import subject_of
from phalanx.profiling.subjects.subject import Subject, seeded

HUGGINGFACE = "hf:"
LENGTH = 512
_LONGEST = 300  # characters of what transformers says


def huggingface_subject(word: str) -> Subject:
    """The subject of ``hf:DIR``, with fresh weights.

    Raises:
        UsageError: transformers is not installed, or DIR holds no configuration that it knows.
        PhalanxError: the model cannot be built, or does not run on ids.
    """
    path = Path(word.removeprefix(HUGGINGFACE))
    path = path.parent if path.name == "config.json" else path
    if not (path / "config.json").is_file():
        raise UsageError(
            f"{word}: {path} holds no config.json. Expected a directory of a Hugging Face model "
            "on this machine; nothing is downloaded."
        )
    try:
        import transformers
    except ImportError:
        raise UsageError(
            f"{word} needs transformers. Install it with: pip install 'phalanx[huggingface]'."
        ) from None
    transformers.logging.set_verbosity_error()  # of token ids that no profile needs
    try:
        config = transformers.AutoConfig.from_pretrained(
            str(path), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise UsageError(
                f"{path / 'config.json'}: the model comes with code of its own, which is not run. "
                "Profile it from a file of yours: FILE.py:FUNCTION."
            ) from None
        said = " ".join(str(error).split()).split(". ")[0]
        raise UsageError(
            f"{path / 'config.json'}: transformers {transformers.__version__} does not read it: "
            f"{type(error).__name__}: {said.rstrip('.')[:_LONGEST]}."
        ) from None
    return config_subject(word, config)


def config_subject(name: str, config: Any) -> Subject:
    """The subject of a configuration of transformers; its class is the one that it names.

    Raises:
        PhalanxError: the model cannot be built, or does not run on ids.
    """
    text = config.get_text_config()
    vocabulary = getattr(text, "vocab_size", None)
    if not vocabulary:
        raise UsageError(
            f"{name}: a {config.model_type} has no vocabulary of tokens. Expected a model of text; "
            "others can be profiled in Python, with example inputs."
        )

    def make(device: str) -> nn.Module:
        try:
            with seeded(), torch.device("meta" if device == "meta" else "cpu"):
                made: nn.Module = _built(config).to(device)
                return made
        except Exception as error:
            raise PhalanxError(f"{name}: the model cannot be built: {blame(error)}.") from error

    module: Any = make("meta")
    context = getattr(text, "max_position_embeddings", None) or getattr(text, "n_positions", None)
    length = min(LENGTH, context or LENGTH)
    generator = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(vocabulary, (1, length), generator=generator)
    inputs: dict[str, Any] = {"input_ids": ids_BT}
    both = bool(getattr(config, "is_encoder_decoder", False))
    if both:
        inputs["decoder_input_ids"] = ids_BT.roll(1, 1)
    said = ["weights are fresh: only the configuration is read."]
    named = _classes(config)
    if named and type(module).__name__ not in named:
        said.append(
            f"config.json names {', '.join(named)}, which is no class of transformers "
            f"for this configuration: {type(module).__name__} is profiled instead."
        )
    if both:
        said.append("the source and the target have the same length.")

    def subject(inputs: dict[str, Any], *more: str) -> Subject:
        example = Example.of(inputs, 1)
        return subject_of(
            name,
            make,
            example,
            context=context,
            said=(*said, *more),
        )

    if not hasattr(text, "use_cache"):
        return subject(inputs)
    try:
        made = subject({**inputs, "use_cache": False})
        why = made.why_not_meta
    except PhalanxError:
        why = "it is too large for real tensors"
    if not why:
        return made
    # Without a cache some models look whether several documents are packed, which meta cannot
    # tell; with one they do not ask.
    return subject(
        {**inputs, "use_cache": True},
        "passes fill a cache of keys and values, as the model does unless told otherwise: one "
        "copy of each a layer.",
    )


def _classes(config: Any) -> list[str]:
    """The classes that the configuration names: a list, or one by hand."""
    named = config.architectures or []
    return [named] if isinstance(named, str) else [str(name) for name in named]


def _built(config: Any) -> Any:
    import transformers

    for name in _classes(config):
        kind = getattr(transformers, name, None)
        # The name is data: only a model of just this configuration is taken from it.
        if not isinstance(kind, type) or not issubclass(kind, transformers.PreTrainedModel):
            continue
        if kind.config_class is not None and isinstance(config, kind.config_class):
            return kind(config)
    return transformers.AutoModel.from_config(config, trust_remote_code=False)
