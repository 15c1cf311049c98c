"""``phalanx train``: train a language model on text."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from phalanx.cli.common import Json, Overrides, note, print_json

if TYPE_CHECKING:
    from phalanx.config import RunConfig
    from phalanx.training.run import Prepared
    from phalanx.training.trainer import Trainer

_REACH = 0.1  # how far from the size that was asked for nothing needs to be said
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def train(
    *texts: str,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    preset: str | None = None,
    size: int | None = None,
    tokenizer: str | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
    overrides: Overrides = (),
) -> int:
    """Train a language model on text. Nothing needs to be configured; everything can be.

    Any setting of the configuration can be given as a dotted option, such as --train.batch_size 32
    or --model.width 64; --dry-run shows them all. Ctrl-C ends the run after the step under way and
    saves the model.

    Parameters
    ----------
    texts
        Text files, directories, globs, or stdlib (source of Python's standard library).
        Default: what the configuration names, or stdlib.
    output
        The run directory to make. Default: runs/ and the name of the text.
    config
        A YAML file, such as one of recipes/, or the config.yaml of an earlier run.
    preset
        The architecture: transformer, transformer-2017, gpt2, rnn, lstm, gru or mingru.
    size
        About how many parameters outside the embeddings.
    tokenizer
        characters, bytes or bpe.
    steps
        Optimizer steps, the same as --train.steps.
    seconds
        Training time after which to stop, the same as --train.seconds.
    seed
        Fixes the weights at the start and the order of the text.
    device
        Where to compute: auto, cpu or cuda.
    dry_run
        Show parameters, FLOPs, memory, steps and the resolved configuration, and train nothing.
    """
    flags = {
        "preset": preset,
        "size": size,
        "data.tokenizer": tokenizer,
        "train.steps": steps,
        "train.seconds": seconds,
        "seed": seed,
        "device": device,
    }
    wanted = _configure(config, texts, flags, overrides)
    path = output or Path("runs") / _name(wanted.data.paths[0])
    from phalanx.training.run import check_free, prepare

    if not dry_run:
        check_free(path)
    prepared = prepare(wanted)
    _describe(prepared, wanted.size)
    return _estimate(prepared, json) if dry_run else _train(prepared, path, json)


def _configure(
    file: Path | None,
    texts: tuple[str, ...],
    flags: dict[str, Any],
    overrides: tuple[tuple[str, str], ...],
) -> "RunConfig":
    from phalanx.config import RunConfig, override, parse, put, read_yaml

    values = override(read_yaml(file) if file else {}, ())
    for key, value in flags.items():
        if value is not None:
            put(values, key, value)
    if texts:
        put(values, "data.paths", list(texts))
    source = str(file) if file else "configuration"
    return parse(RunConfig, override(values, overrides), source)


def _name(text: str) -> str:
    parts = [part for part in Path(text).parts if part not in ("/", ".", "..")]
    plain = [part for part in parts if not set(part) & set("*?[")]
    return Path(plain[-1]).stem if plain else "run"


def _describe(prepared: "Prepared", size: int | None) -> None:
    from phalanx.models import count

    corpus, config = prepared.corpus, prepared.config
    total, outside = count(prepared.model_config)
    files = "1 file" if corpus.files == 1 else f"{corpus.files} files"
    note(
        f"text: {corpus.name}, {files}, {corpus.bytes:,} bytes, split {corpus.split}; "
        f"{len(prepared.tokens):,} tokens to train on, "
        f"{prepared.validation.windows.positions:,} to validate on "
        f"({prepared.tokenizer.kind}, vocabulary {prepared.tokenizer.vocabulary}); "
        f"sha256 {corpus.digest[:12]}"
    )
    note(
        f"model: {config.preset}, {total:,} parameters ({outside:,} outside the embeddings), "
        f"{config.train.precision} on {config.device}"
    )
    if size is not None and abs(outside / size - 1) > _REACH:
        note(f"warning: {size:,} parameters were asked for; this is the nearest to it")
    if prepared.validation.unknown:
        note(
            f"warning: {prepared.validation.unknown:,} characters of the validation text do not "
            "occur in the training text and count as unknown; --tokenizer bytes knows them all"
        )


def _estimate(prepared: "Prepared", json: bool) -> int:
    from dataclasses import asdict

    from phalanx.config import to_yaml
    from phalanx.training.estimate import estimate

    config = prepared.config
    cost = estimate(prepared.model_config, config.train)
    if json:
        resolved = config.model_dump(mode="json")
        print_json({**asdict(cost), "steps": config.train.steps, "config": resolved})
        return 0
    tokens = cost.tokens_per_step * config.train.steps
    seconds = config.train.seconds
    budget = f", or {seconds:g} seconds if they end first" if seconds else ""
    epochs = tokens / len(prepared.tokens)
    print(
        f"parameters       {cost.parameters:,} "
        f"({cost.non_embedding_parameters:,} outside the embeddings)\n"
        f"work a step      {cost.flops_per_step / 1e9:,.2f} GFLOP in matrix products "
        "(2 a multiply-add, forward and backward)\n"
        f"memory           about {cost.memory_bytes / 2**20:,.0f} MiB beside torch and the text\n"
        f"steps            {config.train.steps:,}{budget}\n"
        f"tokens           {cost.tokens_per_step:,} a step, {tokens:,} in all "
        f"({epochs:.1f} times the text)\n"
    )
    print(to_yaml(config), end="")
    return 0


def _train(prepared: "Prepared", path: Path, json: bool) -> int:
    from phalanx.training.progress import make_progress
    from phalanx.training.run import RunDirectory, make_trainer, summary, train

    directory = RunDirectory(path, prepared)
    trainer = make_trainer(prepared)
    with _stopping(trainer) as stopped_by:
        outcome = train(trainer, directory, make_progress(trainer))
    result = summary(prepared, trainer, outcome, path)
    if json:
        print_json(result)
    else:
        best = result["best"]
        figures = (
            f"validation loss {best['loss']:.4f}, perplexity {best['perplexity']:.3f}, "
            f"{best['bits_per_byte']:.4f} bits per byte at step {best['step']}"
            if best
            else "not validated"
        )
        print(f"{path}: {figures}; {trainer.steps} steps in {trainer.seconds:.1f} s")
        print(f'Next: phalanx generate {path} --prompt "..."')
    if stopped_by:
        note(f"phalanx: {stopped_by[0].name} after step {trainer.steps}; saved {path / 'last'}")
        return EXIT_CODES[stopped_by[0]]
    return 0


@contextmanager
def _stopping(trainer: "Trainer") -> Iterator[list[signal.Signals]]:
    """Let Ctrl-C and SIGTERM end the run after the step under way; a second one ends it at once."""
    received: list[signal.Signals] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # signals are somebody else's
        return

    def stop(number: int, frame: FrameType | None) -> None:
        again = bool(received)
        received.append(signal.Signals(number))
        trainer.stop()
        # A validation may take long and leaves the weights alone: nothing is lost by leaving it.
        if again or trainer.validating:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in EXIT_CODES}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
