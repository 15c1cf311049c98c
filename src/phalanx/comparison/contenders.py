"""Who takes part in a comparison: presets by name, configuration files, run directories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from phalanx.config import ModelConfig, RunConfig, both_ways, parse, read_yaml
from phalanx.errors import UsageError, did_you_mean
from phalanx.models import PRESETS, preset
from phalanx.models.presets import count
from phalanx.training.model_directory import find_model, read_description

TOLERANCE = 0.02  # of parameters outside the tables, between any two presets
_REACH = 0.1  # how far from the size that was asked for they may meet
_RUN_SECTIONS = ("task", "preset", "size", "data", "train", "seed", "device", "model")
_ONE_SIZE = ("gpt2", "bert-base")  # presets that are one model each


@dataclass(frozen=True)
class Form:
    """What every model of a comparison has to be.

    Args:
        kind: what the task needs.
        fields: of ModelConfig that the task decides, such as ``outputs`` and ``pooling``.
    """

    kind: Literal["decoder", "encoder"] = "decoder"
    fields: Mapping[str, Any] = field(default_factory=dict)

    def of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a model in this form.

        A decoder becomes the encoder of the same layers, which then read both ways; mixers of an
        encoder stay as they are.
        """
        given = dict(values)
        if self.kind == "encoder" and given.get("kind") == "decoder":
            given["mixers"] = tuple(both_ways(str(name)) for name in given.get("mixers", ()))
            del given["kind"]
        return {"kind": self.kind, **given, **self.fields}


LANGUAGE = Form()


@dataclass(frozen=True)
class Contender:
    """One model of a comparison.

    Args:
        name: as the report shows it; unique.
        config: its architecture, with the vocabulary that all share.
        origin: ``preset``, ``file`` or ``run``: where the architecture came from.
        preset: the preset whose learning rates it is trained with, or "" where there is none.
        parameters: all parameters, and those outside the tables of tokens, positions and outputs.
    """

    name: str
    config: ModelConfig
    origin: str
    preset: str
    parameters: tuple[int, int]

    @property
    def scaled(self) -> bool:
        """Whether it was built at the size that was asked for."""
        return self.origin == "preset" and self.preset not in _ONE_SIZE

    @property
    def mixers(self) -> tuple[str, ...]:
        """The different mixers, in the order of the layers."""
        return tuple(dict.fromkeys(self.config.mixer_names))

    def at(self, length: int) -> ModelConfig:
        """The configuration with room for ``length`` positions at least."""
        return self.config.model_copy(update={"context": max(length, self.config.context)})


def contenders(
    names: Sequence[str], vocabulary: int, context: int, size: int, form: Form = LANGUAGE
) -> tuple[Contender, ...]:
    """The models that were named.

    A preset is built at ``size``. A configuration file is a model section, or the configuration of
    a run (its ``preset``, ``size`` and ``model``); a run directory gives its architecture, which is
    trained anew. Both keep their own size; the vocabulary is the comparison's.

    Args:
        names: presets of PRESETS, YAML files, or directories made by ``phalanx train``.
        vocabulary: tokens of the tokenizer that all share.
        context: positions that a preset is built for, and any other model at least.
        size: parameters of a preset outside its tables.
        form: what the task needs each model to be.

    Raises:
        UsageError: no such preset or file, a model of another kind, or a size that a preset cannot
            have.
    """
    check_names(names)
    found = _at(names, vocabulary, context, size, form)
    scaled = [contender for contender in found if contender.scaled]
    if len(scaled) > 1 and mismatch(scaled) > TOLERANCE:
        # Whole widths are coarse steps at small sizes: meet at a size that one of them has.
        near = sorted({contender.parameters[1] for contender in scaled})
        tried = [_at(names, vocabulary, context, other, form) for other in near]
        found = min(tried, key=lambda group: mismatch([c for c in group if c.scaled]))
        scaled = [contender for contender in found if contender.scaled]
        if mismatch(scaled) > TOLERANCE:
            raise UsageError(
                f"--size {size:,}: the nearest sizes of the presets differ by "
                f"{mismatch(scaled):.1%}, more than {TOLERANCE:.0%}, because widths are whole "
                "numbers. Choose a larger size, such as 400000."
            )
    for contender in scaled:
        if abs(contender.parameters[1] / size - 1) > _REACH:
            raise UsageError(
                f"--size {size:,}: the nearest that {contender.name} comes to it is "
                f"{contender.parameters[1]:,} parameters outside its tables. Choose a larger "
                "size, such as 100000."
            )
    return found


def _at(
    names: Sequence[str], vocabulary: int, context: int, size: int, form: Form
) -> tuple[Contender, ...]:
    found: list[Contender] = []
    for given in names:
        try:
            label, origin, base, config = _resolve(given, vocabulary, context, size, form)
            # All are trained on windows of that length, whatever a file or a run was made for.
            config = config.model_copy(update={"context": max(context, config.context)})
            parameters = count(config)
        except UsageError as error:  # of several models, which one
            named = given in PRESETS or str(error).startswith(given)
            raise error if named else UsageError(f"{given}: {error}") from None
        if config.kind != form.kind:
            what = "as a language model" if form.kind == "decoder" else "on a task of labels"
            raise UsageError(
                f"{given}: a model of kind {config.kind!r} cannot be compared {what}. "
                f"Expected {'a decoder' if form.kind == 'decoder' else 'an encoder'}."
            )
        taken = {contender.name for contender in found}
        name, number = label, 2
        while name in taken:
            name, number = f"{label}-{number}", number + 1
        found.append(Contender(name, config, origin, base, parameters))
    return tuple(found)


def check_names(names: Sequence[str]) -> None:
    """Refuse names that stand for nothing, before any text is read.

    Raises:
        UsageError: no name, or one that is neither a preset nor a file or directory.
    """
    if not names:
        raise UsageError(
            "no model to compare. Expected presets, YAML files or run directories, as in "
            "`phalanx compare lstm transformer`."
        )
    for given in names:
        if given not in PRESETS and not (given and Path(given).expanduser().exists()):
            raise UsageError(
                f"{given!r} is neither a preset nor a file or directory."
                f"{did_you_mean(given, PRESETS)}"
            )


def mismatch(found: Sequence[Contender]) -> float:
    """Largest over smallest number of parameters outside the tables, less 1."""
    sizes = [contender.parameters[1] for contender in found]
    return max(sizes) / max(1, min(sizes)) - 1


def _resolve(
    given: str, vocabulary: int, context: int, size: int, form: Form
) -> tuple[str, str, str, ModelConfig]:
    path = Path(given).expanduser()
    if given in PRESETS:
        wanted = None if given in _ONE_SIZE else size
        config = preset(given, vocabulary, context, wanted, **form.of({}))
        return given, "preset", given, config
    if path.is_dir():
        described = read_description(find_model(path)).model
        own = {"vocabulary": vocabulary, "outputs": None}
        values = form.of(described.model_dump() | own)
        return path.resolve().name, "run", "", parse(ModelConfig, values, str(path))
    config, base = _from_file(path, vocabulary, context, form)
    return path.stem, "file", base, config


def _from_file(path: Path, vocabulary: int, context: int, form: Form) -> tuple[ModelConfig, str]:
    values = read_yaml(path)
    shared = {"vocabulary": vocabulary}
    if not values or any(key in values for key in _RUN_SECTIONS):
        run = parse(RunConfig, values, str(path))
        changes = {k: v for k, v in run.model.items() if k not in ("vocabulary", "context")}
        context = run.model.get("context", context)
        config = preset(run.preset, vocabulary, context, run.size, **form.of(changes))
        return config, run.preset
    return parse(ModelConfig, form.of({"context": context} | values | shared), str(path)), ""
