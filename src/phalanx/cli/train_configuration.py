"""The configuration of ``phalanx train``: a file or a run, the options, then dotted overrides."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phalanx.errors import UsageError

if TYPE_CHECKING:
    from phalanx.config import RunConfig


@dataclass(frozen=True)
class Asked:
    """What the command line says of the configuration."""

    texts: tuple[str, ...]
    file: Path | None
    flags: dict[str, Any]
    overrides: tuple[tuple[str, str], ...]

    def __bool__(self) -> bool:
        given = any(value is not None for value in self.flags.values())
        return bool(self.texts or self.file or self.overrides) or given


def resolve(
    asked: Asked, output: Path | None, resume: str | None
) -> tuple[Path, "RunConfig", "RunConfig | None"]:
    """The run directory, the configuration, and that of the run to go on with, if there is one."""
    from phalanx.training.resume import adopt
    from phalanx.training.run_directory import is_run, read_config

    if resume is None or resume == "auto":
        wanted = _configure(asked, {})
        path = output or Path("runs") / _name(wanted.data.paths[0])
        if resume is None or not is_run(path):
            return path, wanted, None
        saved = read_config(path)
        return path, adopt(wanted, saved) if asked else saved, saved
    path = Path(resume)
    if asked.file is not None or output not in (None, path):
        raise UsageError(
            f"--resume {resume} goes on with that run as it is configured. Expected neither "
            "--config nor another --output. Leave them out, or say --resume auto."
        )
    if not is_run(path):
        raise UsageError(
            f"{path}: no run to go on with: it has no config.yaml. Expected a run directory of "
            f"`phalanx train`, or auto. {_nearby(path)}"
        )
    saved = read_config(path)
    return path, _configure(asked, saved.model_dump(mode="json")), saved


def _nearby(path: Path) -> str:
    """What to do about a path that is no run: a checkpoint lies inside of one."""
    from phalanx.training.run_directory import is_run

    runs = [parent for parent in path.parents[:2] if is_run(parent)]
    return f"Did you mean the run it lies in, {runs[0]}?" if runs else "Check the path."


def _configure(asked: Asked, base: dict[str, Any]) -> "RunConfig":
    from phalanx.config import RunConfig, override, parse, put, read_yaml

    values = override(read_yaml(asked.file) if asked.file else base, ())
    for key, value in asked.flags.items():
        if value is not None:
            put(values, key, value)
    if asked.texts:
        put(values, "data.paths", list(asked.texts))
    options = asked.overrides or any(value is not None for value in asked.flags.values())
    source = "configuration"
    if asked.file:
        source = f"{asked.file} and the options given" if options else str(asked.file)
    return parse(RunConfig, override(values, asked.overrides), source)


def _name(text: str) -> str:
    parts = [part for part in Path(text).parts if part not in ("/", ".", "..")]
    plain = [part for part in parts if not set(part) & set("*?[")]
    return Path(plain[-1]).stem if plain else "run"
