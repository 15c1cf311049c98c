"""What profilers say that a forward pass costs, beside the truth by hand.

    python benchmarks/profilers.py [--output docs/profilers.md]

Truth: FLOPs of matrix products, 2 a multiply-add, by the closed form that stands beside each
model. Tools that count multiply-adds are doubled; some count pointwise operations too, which adds
a few per cent. A tool that is not installed says so: torchinfo, fvcore, calflops, ptflops and
deepspeed come from the package registry.
"""

import argparse
import contextlib
import datetime
import importlib.metadata
import io
import json
import logging
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from phalanx.profiling.tracing.trace import Tracer

T, D, H, F, L, V = 128, 256, 4, 1024, 2, 1000  # B = 1
MARKERS = ("<!-- table begins -->", "<!-- table ends -->")


@dataclass(frozen=True)
class Subject:
    """A model, the names of its inputs where they are token numbers, and its FLOPs by hand."""

    name: str
    build: Callable[[], nn.Module]
    ids: tuple[str, ...]
    closed_form: str
    flops: int
    train: bool = False

    def inputs(self) -> tuple[Tensor, ...]:
        return tuple(torch.ones(1, T, dtype=torch.long) for _ in self.ids) or (torch.ones(1, T, D),)


class Positional(nn.Module):
    """A model called with positional tensors alone, as every tool can do."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.names = names  # of keyword arguments; none where the model takes them by position

    def forward(self, *given: Tensor, **by_name: Tensor) -> Tensor:
        given += tuple(by_name.values())  # ptflops can hand over several inputs by name alone
        if self.names:
            out = self.model(**dict(zip(self.names, given, strict=True)))
        else:
            out = self.model(*given)
        return out if isinstance(out, Tensor) else out[0]


def _encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(D, H, F, batch_first=True)
    return nn.TransformerEncoder(layer, L, enable_nested_tensor=False)


def _hugging_face(kind: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import transformers

        transformers.logging.set_verbosity_error()
        if kind == "gpt2":
            config = transformers.GPT2Config(vocab_size=V, n_embd=D, n_layer=L, n_head=H)
            return transformers.GPT2LMHeadModel(config)
        if kind == "bert":
            config = transformers.BertConfig(
                vocab_size=V, hidden_size=D, num_hidden_layers=L, num_attention_heads=H,
                intermediate_size=F,
            )  # fmt: skip
            return transformers.BertModel(config)
        config = transformers.T5Config(
            vocab_size=V, d_model=D, d_kv=D // H, d_ff=F, num_layers=L, num_heads=H
        )
        return transformers.T5ForConditionalGeneration(config)

    return build


_BLOCK = 8 * T * D * D + 4 * T * T * D  # projections and attention
_NETWORK = 4 * T * D * F
SUBJECTS = (
    Subject("nn.LSTM", lambda: nn.LSTM(D, D, L, batch_first=True), (),
            "16 L T D^2", 16 * L * T * D * D),
    Subject("nn.GRU", lambda: nn.GRU(D, D, L, batch_first=True), (),
            "12 L T D^2", 12 * L * T * D * D),
    Subject("nn.TransformerEncoder, training mode", _encoder, (),
            "L (8 T D^2 + 4 T^2 D + 4 T D F)", L * (_BLOCK + _NETWORK), True),
    Subject("nn.TransformerEncoder, eval fast path", _encoder, (),
            "L (8 T D^2 + 4 T^2 D + 4 T D F)", L * (_BLOCK + _NETWORK)),
    Subject("Hugging Face GPT-2", _hugging_face("gpt2"), ("input_ids",),
            "L (8 T D^2 + 4 T^2 D + 4 T D F) + 2 T D V", L * (_BLOCK + _NETWORK) + 2 * T * D * V),
    Subject("Hugging Face BERT", _hugging_face("bert"), ("input_ids",),
            "L (8 T D^2 + 4 T^2 D + 4 T D F) + 2 D^2", L * (_BLOCK + _NETWORK) + 2 * D * D),
    Subject("Hugging Face T5", _hugging_face("t5"), ("input_ids", "decoder_input_ids"),
            "L (24 T D^2 + 12 T^2 D + 8 T D F) + 2 T D V",
            L * (3 * _BLOCK + 2 * _NETWORK) + 2 * T * D * V),
)  # fmt: skip


# Each tool: a model in the right mode and its inputs -> FLOPs.
Inputs = tuple[Tensor, ...]


def phalanx_algorithm(model: nn.Module, inputs: Inputs) -> float:
    return _phalanx(model, inputs, algorithm=True)


def phalanx_executed(model: nn.Module, inputs: Inputs) -> float:
    return _phalanx(model, inputs, algorithm=False)


def _phalanx(model: nn.Module, inputs: Inputs, algorithm: bool) -> float:
    with Tracer(model, inputs, algorithm=algorithm) as tracer:
        model(*inputs)
    return tracer.result().matmul_work


def flop_counter(model: nn.Module, inputs: Inputs) -> float:
    with FlopCounterMode(display=False) as counter:
        model(*inputs)
    return counter.get_total_flops()


def torchinfo(model: nn.Module, inputs: Inputs) -> float:
    from torchinfo import summary

    mode = "train" if model.training else "eval"
    return 2 * summary(model, input_data=inputs, verbose=0, mode=mode).total_mult_adds


def fvcore(model: nn.Module, inputs: Inputs) -> float:
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(model, inputs)
    return 2 * analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()


def calflops(model: nn.Module, inputs: Inputs) -> float:
    from calflops import calculate_flops

    found = calculate_flops(
        model, args=list(inputs), print_results=False, output_as_string=False
    )  # fmt: skip
    return found[0]


def ptflops(model: nn.Module, inputs: Inputs, backend: str = "pytorch") -> float:
    from ptflops import get_model_complexity_info

    named = {str(i): given for i, given in enumerate(inputs)}
    macs, _ = get_model_complexity_info(
        model, (1,), input_constructor=lambda _shape: named, as_strings=False,
        print_per_layer_stat=False, backend=backend,
    )  # fmt: skip
    return 2 * macs


def ptflops_aten(model: nn.Module, inputs: Inputs) -> float:
    return ptflops(model, inputs, "aten")


def deepspeed(model: nn.Module, inputs: Inputs) -> float:
    from deepspeed.profiling.flops_profiler import get_model_profile

    found = get_model_profile(model, args=list(inputs), print_profile=False, as_string=False)
    return found[0]


TOOLS: dict[str, tuple[Callable[[nn.Module, Inputs], float], str, str]] = {
    # what is shown: (how it counts, package, what a count is)
    "phalanx, algorithm": (phalanx_algorithm, "phalanx", "FLOPs"),
    "phalanx, executed": (phalanx_executed, "phalanx", "FLOPs"),
    "FlopCounterMode": (flop_counter, "torch", "FLOPs"),
    "torchinfo": (torchinfo, "torchinfo", "MACs x 2"),
    "fvcore": (fvcore, "fvcore", "MACs x 2"),
    "calflops": (calflops, "calflops", "FLOPs"),
    "ptflops, pytorch": (ptflops, "ptflops", "MACs x 2"),
    "ptflops, aten": (ptflops_aten, "ptflops", "MACs x 2"),
    "DeepSpeed": (deepspeed, "deepspeed", "FLOPs"),
}


def cell(tool: Callable[..., float], subject: Subject) -> str:
    """The tool's figure over the truth, or why there is none."""
    torch.manual_seed(0)
    model, said = Positional(subject.build(), subject.ids).train(subject.train), io.StringIO()
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    try:
        with (
            torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):  # fmt: skip
            warnings.simplefilter("ignore")
            found = float(tool(model, subject.inputs()))
    except ImportError:
        return "not installed"
    except Exception as error:
        logging.getLogger("profilers").error("%s: %r", subject.name, error)
        return f"fails: {type(error).__name__}"
    return "0" if found == 0 else f"{found / subject.flops:.3f}"


def row(name: str) -> list[str]:
    """A tool's row, made in a process of its own: some leave torch's functions patched."""
    command = [sys.executable, __file__, "--tool", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    _, package, unit = TOOLS[name]
    cells = json.loads(done.stdout.splitlines()[-1])
    return [f"{name}{_version(package)}", unit, *cells, "yes" if package == "phalanx" else "no"]


def table() -> str:
    """The Markdown table, a row a tool."""
    head = ["tool", "counts", *(subject.name for subject in SUBJECTS), "span"]
    truth = ["**truth, GFLOPs**", "FLOPs", *(f"{s.flops / 1e9:.4f}" for s in SUBJECTS), ""]
    rows = [head, ["---"] * len(head), truth, *(row(name) for name in TOOLS)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _version(package: str) -> str:
    try:
        return f" {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return ""


def forms() -> str:
    """The closed forms, a line each."""
    return "\n".join(f"- {s.name}: {s.closed_form} = {s.flops:,}" for s in SUBJECTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="a Markdown file with the two markers")
    parser.add_argument("--tool", choices=TOOLS, help="one tool's figures alone, as JSON")
    given = parser.parse_args()
    if given.tool is not None:
        print(json.dumps([cell(TOOLS[given.tool][0], subject) for subject in SUBJECTS]))
        return
    output = given.output
    sizes = f"B = 1, T = {T}, D = {D}, {H} heads, F = {F}, L = {L} layers, V = {V}"
    made = f"{datetime.date.today().isoformat()}, torch {torch.__version__}, on the CPU; {sizes}."
    text = f"{made}\n\n{table()}\n\nTruth by hand:\n\n{forms()}"
    print(text)
    if output is not None:
        page = output.read_text(encoding="utf-8")
        pattern = re.compile(f"({re.escape(MARKERS[0])}).*({re.escape(MARKERS[1])})", re.DOTALL)
        if not pattern.search(page):
            raise SystemExit(f"{output} lacks the markers {MARKERS[0]} and {MARKERS[1]}.")
        output.write_text(
            pattern.sub(lambda found: f"{found[1]}\n{text}\n{found[2]}", page), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
