"""A Hugging Face directory opened: its model as one of phalanx, its tokenizer, its labels.

``transformers`` is not needed, no code of the directory is run, and no pickle is read. Weights in
float16 and bfloat16 become float32, which holds each of their values exactly: that is what the
kernels of a CPU are made for, and what training needs.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from phalanx.config import ModelConfig
from phalanx.data.tokenizers import Tokenizer, load_tokenizer
from phalanx.errors import UsageError
from phalanx.inference.embedding import Sentences
from phalanx.interop.huggingface.bert import POOLER
from phalanx.interop.huggingface.families import read_config
from phalanx.interop.huggingface.family import Family
from phalanx.interop.huggingface.files import Found, Reader, check_tensors, find_tensors
from phalanx.interop.huggingface.labels import read_labels, scheme_of
from phalanx.interop.huggingface.moves import Move, moves_of
from phalanx.interop.huggingface.options import CONFIG, Options, read_object
from phalanx.interop.huggingface.sentences import read_sentences
from phalanx.interop.huggingface.tokens import begin_ids, end_ids
from phalanx.models import Decoder, Encoder, build

LABELLED = ("classification", "tagging")


@dataclass(frozen=True)
class Opened:
    """What a Hugging Face directory holds.

    Args:
        model: in evaluation mode, on its device, in float32.
        tokenizer: what it reads and writes.
        task: ``language_modelling``, ``masked_lm``, ``classification``, ``tagging`` or
            ``embedding`` (vectors of texts).
        labels: names of a classifier's or a tagger's outputs; empty for others.
        scheme: how a tagger's labels mark entities; None for others.
        begin_ids: tokens that a language model has before every text, such as <s>.
        end_ids: tokens with which it ends a text.
        sentences: how an embedding model makes a vector of a text; None for others.
        notes: what the reader should know: what was converted or left out.
    """

    model: Decoder | Encoder
    tokenizer: Tokenizer
    task: str
    labels: tuple[str, ...] = ()
    scheme: str | None = None
    begin_ids: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()
    sentences: Sentences | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Described:
    """What a config.json says: the model, and what it was trained to do."""

    family: Family
    architecture: str
    model: ModelConfig
    labels: tuple[str, ...]
    options: Options

    @property
    def task(self) -> str:
        """What the model does."""
        return self.family.architectures[self.architecture]


def is_huggingface(path: Path) -> bool:
    """Whether a directory has a config.json of Hugging Face's sort; one of phalanx has a format.

    Raises:
        UsageError: the file is there and malformed.
    """
    if not (path / CONFIG).is_file():
        return False
    values = read_object(path / CONFIG)
    return "format" not in values and "model_type" in values


def open_huggingface(path: Path, device: torch.device) -> Opened:
    """Open a directory of GPT-2, BERT, Llama, Mistral, Qwen2 or Qwen3.

    Names, shapes and dtypes of the weights are checked against config.json before any is read.

    Raises:
        UsageError: a file is missing or malformed, the files do not belong together, or the model
            is not one that phalanx computes exactly.
    """
    described = describe(path)
    tokenizer = load_tokenizer(path)
    notes = _check_tokenizer(path, tokenizer, described)
    found = find_tensors(path, described.family.prefix, described.architecture)
    model, moves = _empty(path, described, len(found))
    notes += _check(path, described, moves, found, _shapes(model))
    _fill(model, moves, found, described, device)
    task, labels = described.task, described.labels
    generates = task == "language_modelling"
    return Opened(
        model.eval(),
        tokenizer,
        task,
        labels,
        scheme_of(labels) if task == "tagging" else None,
        begin_ids(tokenizer) if generates else (),
        end_ids(path, described.options, tokenizer) if generates else (),
        read_sentences(path, described.model.context) if task == "embedding" else None,
        notes,
    )


def describe(path: Path) -> Described:
    """What the config.json of a directory says.

    Raises:
        UsageError: it is malformed, or its model is none that phalanx computes exactly.
    """
    options = Options(read_object(path / CONFIG), str(path / CONFIG))
    family, architecture, config = read_config(options)
    labels: tuple[str, ...] = ()
    if family.architectures[architecture] in LABELLED:
        labels = read_labels(options)
        config = config.model_copy(update={"outputs": len(labels)})
    return Described(family, architecture, config, labels, options)


def initial_weights(path: Path) -> dict[str, Tensor]:
    """The weights of a directory by their names here, for a model that may have another head.

    They are those of the model that ``describe`` finds; a BERT without a head also brings its
    pooler, as ``transform.dense``, where it has one.

    Raises:
        UsageError: see ``open_huggingface``.
    """
    described = describe(path)
    found = find_tensors(path, described.family.prefix, described.architecture)
    model, moves = _empty(path, described, len(found))
    shapes = _shapes(model)
    _check(path, described, moves, found, shapes)
    if described.architecture == "BertModel":
        for part, shape in ((".weight", (described.model.width,) * 2), (".bias", None)):
            pooler = POOLER.of_part(part)
            if pooler.theirs[0] in found:
                moves = [*moves, pooler]
                shapes[pooler.ours[0]] = shape or (described.model.width,)
    weights: dict[str, Tensor] = {}
    with ExitStack() as stack:
        read = Reader(found, stack)
        for move in moves:
            for name, tensor in move.to_ours(read, shapes).items():
                weights[name] = tensor.to(torch.float32).contiguous()
    return weights


def _empty(path: Path, described: Described, tensors: int) -> tuple[Decoder | Encoder, list[Move]]:
    """The model without memory for its weights, and the moves that fill it."""
    config = described.model
    if config.layers > tensors:  # each has several: more cannot be meant, and would take long
        raise UsageError(
            f"{path / CONFIG}: the model has {config.layers} layers, and the weights {tensors} "
            "tensors. The two do not belong together; copy all files again."
        )
    try:
        with torch.device("meta"):
            model = build(config)
    except (ValueError, UsageError) as error:
        raise UsageError(f"{path / CONFIG}: {error}") from None
    assert isinstance(model, (Decoder, Encoder))
    table = described.family.layout(config).table
    return model, moves_of(table, _shapes(model), config.layers)


def _check(
    path: Path,
    described: Described,
    moves: list[Move],
    found: dict[str, Found],
    shapes: dict[str, tuple[int, ...]],
) -> tuple[str, ...]:
    expected: dict[str, tuple[int, ...]] = {}
    for move in moves:
        expected |= move.their_shapes(shapes)
    layout = described.family.layout(described.model)
    unused = check_tensors(found, expected, layout.repeated, layout.ignored, path)
    notes = tuple(f"not used: {what}" for what in unused)
    halves = sorted({one.dtype for one in found.values() if one.dtype in ("F16", "BF16")})
    if halves:
        notes += (f"weights in {' and '.join(halves)} are used in float32, which holds them",)
    return notes


def _fill(
    model: nn.Module,
    moves: list[Move],
    found: dict[str, Found],
    described: Described,
    device: torch.device,
) -> None:
    shapes = _shapes(model)
    model.to_empty(device=device)
    weights = model.state_dict()
    with ExitStack() as stack:
        read = Reader(found, stack)
        for move in moves:
            for name, tensor in move.to_ours(read, shapes).items():
                weights[name].copy_(tensor)
        for repeated, first in described.family.layout(described.model).repeated.items():
            if repeated in found and not torch.equal(read(repeated), read(first)):
                raise UsageError(
                    f"{found[repeated].file}: {repeated} differs from {first}, and "
                    "tie_word_embeddings says that they are one. Expected equal tensors, or "
                    '"tie_word_embeddings": false in config.json.'
                )


def _check_tokenizer(path: Path, tokenizer: Tokenizer, described: Described) -> tuple[str, ...]:
    """A vocabulary may be padded: the model has more tokens than its tokenizer.

    Tokens that were added to the tokenizer alone do no harm as long as no text reaches them.
    """
    most = described.model.vocabulary
    if tokenizer.vocabulary < most:
        return (f"{most - tokenizer.vocabulary} ids of the model's vocabulary stand for no text",)
    added = tokenizer.library.get_added_tokens_decoder()
    beyond = range(most, tokenizer.vocabulary)
    reached = [place for place in beyond if place not in added or not added[place].special]
    if reached or tokenizer.end_id >= most:
        raise UsageError(
            f"{path}: the tokenizer has {tokenizer.vocabulary} tokens and the model {most}. "
            "Expected no more of them than the model has. The files do not belong together; copy "
            "all of them again."
        )
    return ()


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
