"""``phalanx profile``: work, span and parallelism of any sequence model, and what sets them."""

import json as json_text
import os
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from phalanx.cli import profile_options as options
from phalanx.cli.common import TERMINATED, note, print_json
from phalanx.cli.profile_work import Request, Work
from phalanx.errors import UsageError


def profile(
    *targets: str,
    seq_len: options.SeqLen = (),
    batch: options.Batch = None,
    mode: options.Mode = "all",
    device: options.Device = "meta",
    size: options.Size = None,
    predict: options.Predict = True,
    what_if: options.WhatIf = (),
    measure: options.Measure = False,
    budget: options.Budget = None,
    json: options.Json = False,
    html: options.Html = None,
    lang: options.Lang = "en",
    depth: options.Depth = 3,
) -> int:
    """Say how parallel a model is, and which chain of operations sets the limit.

    A target is one of:
      a preset       rnn, lstm, gru, mingru, transformer, transformer-2017, gpt2
      a directory    of a run or a model of phalanx
      hf:DIR         a directory with the config.json of a Hugging Face model
      FILE.py:NAME   your own function: returns (module, example_inputs), and
                     may take batch and seq_len. THE FILE IS IMPORTED AND THE
                     FUNCTION RUN: it is your own code, with all that it does.

    Nothing is run where it can be traced without memory; --measure runs it.
    Several targets are compared side by side; one that fails leaves the others,
    and exit code 1. Ctrl-C shows what is done.

    Parameters
    ----------
    targets
        What to profile.
    """
    if not targets:
        raise UsageError(
            "nothing to profile is named. Expected presets, run directories, FILE.py:FUNCTION or "
            "hf:DIRECTORY, as in `phalanx profile lstm transformer`."
        )
    options.check_numbers(batch, size, depth)
    if device == "cuda" and predict:
        predict = False
        note("no times are predicted for a GPU yet; --measure takes them")
    request = Request(
        lengths=options.lengths(seq_len),
        batch=batch,
        mode=mode,
        device=device,
        size=size,
        predict=predict,
        what_if=options.settings(what_if, predict),
        measured_seconds=options.seconds(budget, measure),
    )
    if html is not None:
        _writable(html)
    work = Work(request)
    try:
        with redirect_stdout(sys.stderr):  # what the targets' own code prints is not the result
            for target in targets:
                work.do(target, alone=len(targets) == 1)
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != TERMINATED:
            raise  # nobody reads on
        if work.done:
            note("interrupted: what is done so far")
        _show(work, json, html, lang, depth)
        raise
    _show(work, json, html, lang, depth)
    return 1 if work.failed else 0


def _writable(page: Path) -> None:
    """Refuse a file that cannot be written now, before any work."""
    if page.is_dir():
        raise UsageError(f"--html {page} is a directory. Expected a file, such as profile.html.")
    if page.exists() and not os.access(page, os.W_OK):
        raise UsageError(f"--html {page}: the file is read-only. Choose another name.")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=page.parent):
            pass
    except OSError as error:
        raise UsageError(
            f"--html {page}: cannot write into {page.parent}: {error.strerror}. Choose another "
            "directory."
        ) from None


def _show(work: Work, json: bool, html: Path | None, lang: str, depth: int) -> None:
    if json:
        found = [json_text.loads(one.to_json()) for one in work.done]
        print_json({"profiles": found, "failed": work.failed})
    elif work.done:
        from phalanx.pages.console import make_console
        from phalanx.profiling.report.terminal import print_profiles

        print_profiles(work.done, make_console(), depth)
    if html is not None and work.done:
        from phalanx.durable import replace
        from phalanx.profiling.report.page import render_profiles

        page = render_profiles(work.done, lang)
        if html.exists() and not html.is_file():
            html.write_text(page, encoding="utf-8")  # a pipe or a terminal
        else:
            replace(html, page.encode())
        note(f"page: {html}")
