"""How well times are predicted: a pass of many modules, predicted and measured.

    python benchmarks/prediction.py [--threads N] [--cpu-clock] [--json FILE]

The machine is calibrated at once (20 s), then modules of torch, Hugging Face transformers and this
library are run at two or three sizes: a forward pass, a training pass, and a step of decoding where
there is one. Each time is the least of several runs; a control kernel runs beside them, and where
its time scatters or differs from its time at calibration, that is said. Prints the median and the
quartiles of the relative error abs(predicted / measured - 1), of predicted / measured the 10th and
90th of 100 (LOW and HIGH of predict.py are one over them), the share of pairs put into the right
order, and the worst cases. 3 to 5 minutes.
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor, nn

from phalanx.profiling.executed import executed_kernels
from phalanx.profiling.machine.calibration import Speeds, key_of, measure_speeds, speeds
from phalanx.profiling.machine.predict import predict
from phalanx.profiling.machine.probes import control_product
from phalanx.profiling.machine.timing import spread, unsteady
from phalanx.profiling.results import MODES, Mode
from phalanx.profiling.subjects.modules import module_subject
from phalanx.profiling.subjects.subject import Subject, subjects_from

Sizes = tuple[tuple[int, int], ...]
Make = Callable[[], nn.Module]
SMALL: Sizes = ((1, 32), (4, 64), (8, 128))
Clock = Callable[[], float]
_RUNS = 3
_PRODUCT = control_product()


class CellLoop(nn.Module):
    """A recurrent cell in a loop of Python, as many write it."""

    def __init__(self, cell: nn.RNNCellBase) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x_BTD: Tensor) -> Tensor:
        state, outs = None, []
        for t in range(x_BTD.shape[1]):
            state = self.cell(x_BTD[:, t], state)
            outs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outs, 1)


class Convolutions(nn.Module):
    def __init__(self, width: int, layers: int = 4) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for _ in range(layers):
            parts += nn.Conv1d(width, width, 3, padding=1), nn.ReLU(), nn.BatchNorm1d(width)
        self.layers = nn.Sequential(*parts)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.layers(x_BTD.transpose(1, 2)).transpose(1, 2)


class SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.attention(x_BTD, x_BTD, x_BTD, need_weights=False)[0]


def _encoder(width: int, heads: int, layers: int, **kwargs: object) -> Make:
    def make() -> nn.Module:
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, batch_first=True, **kwargs)
        return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    return make


def _mlp(width: int) -> nn.Module:
    return nn.Sequential(*(m for _ in range(4) for m in (nn.Linear(width, width), nn.GELU())))


VECTORS: tuple[tuple[str, int, Make, Sizes], ...] = (
    ("nn.RNN 64", 64, lambda: nn.RNN(64, 64, batch_first=True), ((1, 32), (16, 64))),
    ("nn.RNN 256x2", 256, lambda: nn.RNN(256, 256, 2, batch_first=True), ((2, 32), (16, 64))),
    ("nn.LSTM 64", 64, lambda: nn.LSTM(64, 64, batch_first=True), ((1, 32), (16, 128))),
    ("nn.LSTM 256x2", 256, lambda: nn.LSTM(256, 256, 2, batch_first=True), ((1, 64), (16, 64))),
    (
        "nn.LSTM 512 both ways", 512,
        lambda: nn.LSTM(512, 512, batch_first=True, bidirectional=True), ((1, 64), (8, 64)),
    ),
    ("nn.GRU 128", 128, lambda: nn.GRU(128, 128, batch_first=True), ((1, 32), (16, 64))),
    ("nn.GRU 384x2", 384, lambda: nn.GRU(384, 384, 2, batch_first=True), ((4, 32), (32, 32))),
    ("nn.GRUCell 96, loop", 96, lambda: CellLoop(nn.GRUCell(96, 96)), ((1, 32), (16, 64))),
    ("nn.LSTMCell 192, loop", 192, lambda: CellLoop(nn.LSTMCell(192, 192)), ((1, 32), (16, 64))),
    ("nn.TransformerEncoder 64x2", 64, _encoder(64, 4, 2, dropout=0.0), SMALL),
    ("nn.TransformerEncoder 256x4", 256, _encoder(256, 8, 4), SMALL),
    (
        "nn.TransformerEncoder 512x2, pre-norm", 512,
        _encoder(512, 8, 2, activation="gelu", norm_first=True), ((1, 128), (4, 128)),
    ),
    ("nn.MultiheadAttention 256", 256, lambda: SelfAttention(256, 4), ((1, 64), (4, 512))),
    ("MLP 512", 512, lambda: _mlp(512), ((1, 16), (8, 128), (16, 256))),
    ("nn.Conv1d 64", 64, lambda: Convolutions(64), ((1, 64), (8, 256))),
    ("nn.Conv1d 256", 256, lambda: Convolutions(256), ((2, 128), (8, 128))),
)  # fmt: skip
# Name, vocabulary, model class, configuration class and its settings.
HUGGING_FACE: tuple[tuple[str, int, str, str, dict[str, object], Sizes], ...] = (
    ("HF GPT-2 64x2", 500, "GPT2LMHeadModel", "GPT2Config",
     {"n_embd": 64, "n_layer": 2, "n_head": 4}, SMALL),
    ("HF GPT-2 384x6", 5000, "GPT2LMHeadModel", "GPT2Config",
     {"n_embd": 384, "n_layer": 6, "n_head": 6}, ((1, 64), (4, 128))),
    ("HF BERT 128x2", 1000, "BertModel", "BertConfig",
     {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
      "intermediate_size": 512}, SMALL),
    ("HF BERT 512x4", 4000, "BertModel", "BertConfig",
     {"hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8,
      "intermediate_size": 2048}, ((1, 64), (2, 256))),
    ("HF Llama 128x2", 1000, "LlamaForCausalLM", "LlamaConfig",
     {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
      "intermediate_size": 384}, SMALL),
    ("HF Llama 512x4", 4000, "LlamaForCausalLM", "LlamaConfig",
     {"hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8,
      "intermediate_size": 1408}, ((1, 64), (4, 128))),
    ("HF T5 encoder 256x3", 1000, "T5EncoderModel", "T5Config",
     {"d_model": 256, "d_kv": 32, "d_ff": 1024, "num_layers": 3, "num_heads": 8},
     ((1, 64), (4, 128))),
)  # fmt: skip
PRESETS = ("transformer", "lstm", "gru", "rnn", "mingru")


@dataclass(frozen=True)
class Case:
    """One pass: seconds predicted, and the least of those measured."""

    name: str
    mode: Mode
    batch: int
    length: int
    predicted: float
    measured: float
    dispatch: float

    @property
    def ratio(self) -> float:
        return self.predicted / self.measured


def subjects() -> Iterator[tuple[Subject, Sizes]]:
    for name, width, make, sizes in VECTORS:
        yield module_subject(make(), torch.zeros(1, 16, width), name=name), sizes
    for word in PRESETS:
        (subject,) = subjects_from([word])
        yield subject, ((1, 32), (4, 64)) if word in ("gru", "rnn") else SMALL
    try:
        import transformers
    except ImportError:
        print("transformers is not installed: its models are left out.")
        return
    transformers.logging.set_verbosity_error()
    for name, vocabulary, kind, config, settings, sizes in HUGGING_FACE:
        settings = {**settings, "vocab_size": vocabulary, "bos_token_id": 1, "eos_token_id": 1}
        model = getattr(transformers, kind)(getattr(transformers, config)(**settings))
        ids_BT = torch.randint(vocabulary, (1, 16))
        yield module_subject(model, {"input_ids": ids_BT}, name=name), sizes


def measured(run: Callable[[], object], seconds: float, clock: Clock) -> float:
    """The least of several runs: what disturbs makes them longer."""
    for _ in range(2):
        run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _RUNS or time.perf_counter() < end:
        start = clock()
        run()
        times.append(clock() - start)
    return min(times)


def control() -> None:
    for _ in range(10):
        _PRODUCT()


def run_all(found: Speeds, seconds: float, clock: Clock) -> tuple[list[Case], list[float]]:
    cases, controls = [], []
    for subject, sizes in subjects():
        for mode in subject.modes():
            for batch, length in sizes:
                kernels = executed_kernels(subject, mode, batch, length)
                call = subject.call(mode, batch, length, "cpu")
                start = clock()
                control()
                controls.append(clock() - start)
                least = measured(call, seconds, clock)
                guess = predict(kernels, found)
                share = guess.dispatch_share
                case = Case(subject.name, mode, batch, length, guess.seconds, least, share)
                cases.append(case)
                print(shown(case), flush=True)
    return cases, controls


def shown(case: Case) -> str:
    size = f"{case.batch}x{case.length}"
    return (
        f"{case.name:38} {case.mode:8} {size:>7} predicted {case.predicted * 1e3:9.3f} ms, "
        f"measured {case.measured * 1e3:9.3f} ms, ratio {case.ratio:5.2f}, "
        f"dispatch {case.dispatch:4.0%}"
    )


def ordered(cases: Sequence[Case], within: float) -> float:
    """Share of pairs, whose measured times differ by a factor up to ``within``, put in order."""
    right = []
    for a, b in combinations(cases, 2):
        if max(a.measured, b.measured) <= within * min(a.measured, b.measured):
            right.append((a.measured < b.measured) == (a.predicted < b.predicted))
    return statistics.mean(right) if right else 1.0


def summary(cases: Sequence[Case]) -> dict[str, float]:
    errors = sorted(abs(case.ratio - 1) for case in cases)
    ratios = sorted(case.ratio for case in cases)
    return {
        "cases": len(cases),
        "median error": statistics.median(errors),
        "lower quartile": errors[len(errors) // 4],
        "upper quartile": errors[3 * len(errors) // 4],
        "ratio, 10th of 100": ratios[len(ratios) // 10],
        "ratio, median": statistics.median(ratios),
        "ratio, 90th of 100": ratios[-1 - len(ratios) // 10],
        "pairs in order": ordered(cases, float("inf")),
        "pairs within 2x in order": ordered(cases, 2.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=0.15, help="of each measurement")
    parser.add_argument("--keep-speeds", action="store_true", help="use those in the cache")
    parser.add_argument(
        "--cpu-clock",
        action="store_true",
        help="count processor seconds: with one thread, what a quiet machine would take",
    )
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.cpu_clock and chosen.threads > 1:
        parser.error("--cpu-clock adds up the seconds of all threads: only with --threads 1.")
    clock = time.process_time if chosen.cpu_clock else time.perf_counter
    warnings.simplefilter("ignore")
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    found = speeds() if chosen.keep_speeds else measure_speeds(key_of(), clock=clock)
    print(f"calibrated: {found.key}, control's spread {found.spread:.2f}")
    before = measured(control, 0.5, clock)
    began = time.perf_counter(), time.process_time()
    cases, controls = run_all(found, chosen.seconds, clock)
    had = (time.process_time() - began[1]) / (time.perf_counter() - began[0])
    slower = statistics.median(controls) / before
    groups = {"all": cases, **{m: [c for c in cases if c.mode == m] for m in MODES}}
    table = {name: summary(group) for name, group in groups.items() if group}
    print("\nworst:")
    for case in sorted(cases, key=lambda c: abs(c.ratio - 1), reverse=True)[:12]:
        print(shown(case))
    for name, figures in table.items():
        print(f"\n{name}")
        for title, value in figures.items():
            print(f"  {title:26} {value:.3f}")
    print(
        f"\ncontrol: spread {spread(controls):.2f}, {slower:.2f} times its least time before; "
        f"{had:.2f} processors had (1 or more where nobody else wants them)"
        f"\nmachine: {unsteady(controls) or 'quiet'}; calibration: {found.unsteady or 'quiet'}"
    )
    if chosen.json:
        machine = {
            "key": found.key, "calibration": found.unsteady, "measurement": unsteady(controls),
            "processors": had, "spread": spread(controls), "slower": slower,
        }  # fmt: skip
        data = {"machine": machine, "summary": table, "cases": [asdict(case) for case in cases]}
        chosen.json.write_text(json.dumps(data, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
