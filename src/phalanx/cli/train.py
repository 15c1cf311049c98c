"""``phalanx train``: train a model on text, or on text with labels."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from phalanx.cli.common import Json, Overrides, TaskName, note, print_json
from phalanx.cli.interruption import interruption
from phalanx.cli.train_configuration import Asked, resolve

if TYPE_CHECKING:
    from phalanx.training.run import Prepared

_REACH = 0.1  # how far from the size that was asked for nothing needs to be said


def train(
    *texts: str,
    task: TaskName | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    preset: str | None = None,
    size: int | None = None,
    tokenizer: str | None = None,
    init: str | None = None,
    validation: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    text_column: str | None = None,
    label_column: str | None = None,
    pair_column: str | None = None,
    source_column: str | None = None,
    target_column: str | None = None,
    tag_column: str | None = None,
    encoding_errors: Literal["strict", "replace"] | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    resume: str | None = None,
    tensorboard: Annotated[bool, Parameter(negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
    overrides: Overrides = (),
) -> int:
    """Train a language model, or a model for another task. Nothing needs to be configured;
    everything can be.

    Any setting of the configuration can be given as a dotted option, such as --train.batch_size 32
    or --model.width 64; --dry-run shows them all. Ctrl-C ends the run after the step under way and
    saves it, a second one ends it at once; --resume goes on where it was, to the same weights bit
    for bit as if it had never been interrupted (on one machine, with one number of threads, unless
    --seconds ends it: then the clock decides how far it gets).

    Parameters
    ----------
    texts
        Text files, directories, globs, or stdlib (source of Python's standard library).
        Default: what the configuration names, or stdlib. For classification CSV, TSV, JSONL or
        Parquet with columns text and label; for tagging CoNLL columns or JSONL with tokens and
        tags; for translation a TSV or JSONL of pairs, or two files, source and target.
    task
        What to learn. Default: language-modelling.
    output
        The run directory to make. Default: runs/ and the name of the text.
    config
        A YAML file, such as one of recipes/, or the config.yaml of an earlier run.
    preset
        The architecture: transformer, transformer-2017, gpt2, rnn, lstm, gru or mingru.
    size
        About how many parameters outside the embeddings.
    tokenizer
        characters, bytes or bpe, or the path of an existing one: a tokenizer.json, GPT-2's
        vocab.json and merges.txt, BERT's vocab.txt, or a directory that holds them. words and
        wordpiece can be trained too.
    init
        A run or model directory, or one of Hugging Face, whose weights and tokenizer to start from.
    validation
        Files, directories or globs to validate on, named last. Default: a tenth of the text, held
        out.
    text_column
        The column of CSV, TSV, JSONL and Parquet that holds the text: its name, or its number
        from 1 in a file without a header.
    label_column
        The column of the label, for classification.
    pair_column
        The column of a second text, for classification of pairs.
    source_column
        The column of the text to translate.
    target_column
        The column of its translation.
    tag_column
        The column of the tags, for tagging. Default: the last.
    encoding_errors
        What to do about bytes that are not UTF-8: strict refuses, replace goes on.
    steps
        Optimizer steps, the same as --train.steps.
    seconds
        Training time after which to stop, the same as --train.seconds.
    seed
        Fixes the weights at the start and the order of the text.
    device
        Where to compute: auto, cpu or cuda.
    resume
        A run directory: go on with that run as it is configured. Or auto: give the same command
        again, which starts the run or goes on with it.
    tensorboard
        Write the curves for TensorBoard too, into the run directory.
    dry_run
        Show parameters, FLOPs, memory, steps and the resolved configuration, and train nothing.
    json
        Print what happens as JSON on stdout, one object a line, the summary last.
    """
    flags = {
        "task": task,
        "init": init,
        "preset": preset,
        "size": size,
        "data.tokenizer": tokenizer,
        "data.validation_paths": validation,
        "data.text_column": text_column,
        "data.label_column": label_column,
        "data.pair_column": pair_column,
        "data.source_column": source_column,
        "data.target_column": target_column,
        "data.tag_column": tag_column,
        "data.encoding_errors": encoding_errors,
        "train.steps": steps,
        "train.seconds": seconds,
        "seed": seed,
        "device": device,
    }
    asked = Asked(texts, config, flags, overrides)
    path, wanted, saved = resolve(asked, output, resume)
    from phalanx.training.resume import changes
    from phalanx.training.run import prepare
    from phalanx.training.run_directory import check_free, check_not_in_use

    if not dry_run:
        check_not_in_use(path)
        if saved is None:
            check_free(path)
    prepared = prepare(wanted)
    for change in changes(saved, prepared.config) if saved is not None else ():
        note(f"changed: {change}")
    _describe(prepared, wanted.size)
    return (
        _estimate(prepared, json) if dry_run else _train(prepared, path, resume, tensorboard, json)
    )


def _describe(prepared: "Prepared", size: int | None) -> None:
    from phalanx.models import count
    from phalanx.training.ignored import ignored

    config = prepared.config
    total, outside = count(prepared.model_config)
    for line in prepared.described():
        note(line)
    for text in (*prepared.facts.notes, *ignored(config)):
        note(f"warning: {text}")
    origin = config.init or config.preset
    note(
        f"model: {origin}, {total:,} parameters ({outside:,} outside the embeddings), "
        f"{config.train.precision} on {config.device}"
    )
    if size is not None and abs(outside / size - 1) > _REACH:
        note(f"warning: {size:,} parameters were asked for; this is the nearest to it")


def _estimate(prepared: "Prepared", json: bool) -> int:
    from dataclasses import asdict

    from phalanx.config import to_yaml
    from phalanx.training.estimate import estimate
    from phalanx.training.precision import choose_device

    config = prepared.config
    cost = estimate(
        prepared.model_config,
        config.train,
        prepared.shapes(),
        device=choose_device(config.device),
    )
    if json:
        resolved = config.model_dump(mode="json")
        print_json({**asdict(cost), "steps": config.train.steps, "config": resolved})
        return 0
    tokens = cost.tokens_per_step * config.train.steps
    seconds = config.train.seconds
    work = cost.flops_per_step / 1e9
    ours, others = cost.memory_bytes / 2**20, cost.baseline_bytes / 2**20
    budget = f", or {seconds:g} seconds if they end first" if seconds else ""
    epochs = tokens / prepared.epoch_tokens
    print(
        f"parameters       {cost.parameters:,} "
        f"({cost.non_embedding_parameters:,} outside the embeddings)\n"
        f"work a step      {work:,.{2 if work > 0.1 else 5}f} GFLOP in matrix products "
        "(2 a multiply-add, forward and backward)\n"
        f"memory           about {ours + others:,.0f} MiB at the peak: {ours:,.0f} for the "
        f"training, {others:,.0f} for torch and the program\n"
        f"steps            {config.train.steps:,}{budget}\n"
        f"tokens           {cost.tokens_per_step:,} a step, {tokens:,} in all "
        f"({epochs:.1f} times the text)\n"
    )
    print(to_yaml(config), end="")
    return 0


def _train(
    prepared: "Prepared", path: Path, resume: str | None, tensorboard: bool, json: bool
) -> int:
    from phalanx.jsonable import dumps
    from phalanx.training.events import Resume
    from phalanx.training.metrics import JsonLines, MetricsLog
    from phalanx.training.progress import make_progress
    from phalanx.training.run import make_trainer
    from phalanx.training.run_directory import RunDirectory, check_free, is_run
    from phalanx.training.session import Record, ValidationLeft, summary, train

    with ExitStack() as stack:
        directory = stack.enter_context(RunDirectory(path, prepared))
        begun = is_run(path)
        if resume is None or not begun:
            check_free(path)  # once more: another process may have been faster
        trainer = make_trainer(prepared, say=note)
        resumed = directory.resume(trainer) if resume is not None else None
        for text in resumed.notes if resumed else ():
            note(f"warning: {text}")
        if begun and not resumed:
            note(f"{path}: no checkpoint yet; the run begins at its first step")
        directory.write_config()
        at = trainer.steps if resume is not None else None
        log = stack.enter_context(MetricsLog(path, at, trainer.validated))
        lines = JsonLines(trainer.stop)
        others: list[Record] = [lines] if json else []
        if tensorboard:
            from phalanx.training.tensorboard import TensorBoardLog

            others.append(stack.enter_context(TensorBoardLog(path, at)))
        if resumed:
            note(f"going on from {resumed.path}, step {trainer.steps:,}")
            for record in (log, *others):
                record.write(Resume(trainer.steps, trainer.tokens, trainer.seconds))
        progress = make_progress(trainer, lambda: prepared.validation_seconds(trainer.model))

        def stop() -> None:
            trainer.stop()
            # A validation may take long and leaves the weights alone: nothing is lost.
            if trainer.validating:
                raise ValidationLeft

        with interruption(stop) as interrupted:
            outcome = train(trainer, directory, log, progress, others)
        result = summary(trainer, directory, outcome)
    if lines.closed:  # the run is kept, and can go on; for `| head` it ends here
        _say_how_to_go_on(path, trainer.steps, "nobody reads stdout any more")
        raise BrokenPipeError
    if json:
        print(dumps({"kind": "summary", **result}))
    else:
        best = result["best"]
        figures = f"{_figures(best)} at step {best['step']}" if best else "not validated"
        print(f"{path}: {figures}; {trainer.steps} steps in {trainer.seconds:.1f} s")
        print(f"Next: {prepared.next_command(path)}")
    if interrupted.signal is not None:
        _say_how_to_go_on(path, trainer.steps, interrupted.signal.name)
    return interrupted.exit_code


def _say_how_to_go_on(path: Path, steps: int, why: str) -> None:
    saved = f"saved {path / 'last'}" if steps else "nothing to save"
    note(f"phalanx: {why} after step {steps}; {saved}")
    note(f"Go on with: phalanx train --resume {path}")


def _figures(best: "dict[str, Any]") -> str:
    """Scores of a validation in words."""
    words = {"loss": "validation loss"}
    return ", ".join(
        f"{words.get(name, name.replace('_', ' '))} {value:.4f}"
        for name, value in best.items()
        if name != "step" and value is not None
    )
