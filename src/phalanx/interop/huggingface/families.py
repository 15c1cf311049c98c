"""The families of Hugging Face models that phalanx knows; a new one is one line here."""

from phalanx.config import ModelConfig
from phalanx.errors import UsageError
from phalanx.interop.huggingface.bert import BERT
from phalanx.interop.huggingface.family import Family
from phalanx.interop.huggingface.gpt2 import GPT2
from phalanx.interop.huggingface.llama import LLAMA, MISTRAL, QWEN2, QWEN3
from phalanx.interop.huggingface.options import Options

FAMILIES: dict[str, Family] = {
    family.model_type: family for family in (GPT2, BERT, LLAMA, MISTRAL, QWEN2, QWEN3)
}
# Near relatives that compute something else.
_DIFFERENT = {
    "roberta": "RoBERTa numbers its positions from 2 and wraps texts otherwise",
    "distilbert": "DistilBERT's heads are not BERT's",
    "albert": "ALBERT shares one layer's weights among all",
    "gemma": "Gemma scales its embedding and its norms otherwise",
    "mixtral": "Mixtral chooses among experts",
    "phi3": "Phi-3 turns only a part of each head",
}


def family_of(options: Options) -> Family:
    """The family of a configuration.

    Raises:
        UsageError: it is of none, brings code of its own, or has quantized weights.
    """
    if options.values.get("auto_map"):
        raise UsageError(
            f"{options.source}: auto_map asks for code from the model's directory, which phalanx "
            f"never runs. Expected a model of {', '.join(sorted(FAMILIES))}, without auto_map."
        )
    if options.values.get("quantization_config"):
        raise UsageError(
            f"{options.source}: the weights are quantized (quantization_config). Expected them in "
            "float32, float16 or bfloat16. Use the model that they were quantized from."
        )
    kind = str(options.values.get("model_type"))
    if kind not in FAMILIES:
        why = f" ({_DIFFERENT[kind]})" if kind in _DIFFERENT else ""
        raise UsageError(
            f"{options.source}: model_type is {kind[:60]!r}, which phalanx does not "
            f"know{why}. Expected one of {', '.join(sorted(FAMILIES))}."
        )
    return FAMILIES[kind]


def architecture_in(options: Options, family: Family) -> str:
    """The class that a configuration names.

    Raises:
        UsageError: it names none, or one that is not supported.
    """
    named = options.values.get("architectures")
    if not isinstance(named, list) or len(named) != 1 or named[0] not in family.architectures:
        known = " or ".join(family.architectures)
        raise options.wrong("architectures", f"a list with {known}")
    return str(named[0])


def read_config(options: Options) -> tuple[Family, str, ModelConfig]:
    """The family, the architecture and the configuration here of a configuration there.

    Raises:
        UsageError: it has an option that changes what the model computes and that phalanx lacks.
    """
    family = family_of(options)
    architecture = architecture_in(options, family)
    return family, architecture, family.read(options, architecture)
