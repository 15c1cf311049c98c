"""The three levels of parallelism by ablation: the same function with one level made serial.

Results first: where the serial form gives another result, no time is taken. The ratio of times then
says what computing together saves on this machine, whatever the architecture is called.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phalanx.comparison.clocks import figure, ratios, within
from phalanx.comparison.contenders import Contender
from phalanx.comparison.probes import with_heads
from phalanx.comparison.results import Level
from phalanx.comparison.work import ids
from phalanx.layers.feed_forward import FeedForward
from phalanx.mixers import Attention
from phalanx.models import Decoder, build
from phalanx.rows import Rows

LENGTH, ROWS = 128, 8
Form = Callable[[], Tensor]


@dataclass(frozen=True)
class Ablation:
    """One level of one model in two forms that must agree.

    Args:
        key: of the level, as in results.Level.
        model: whose layer it is.
        parallel: all at once.
        serial: one element after another.
    """

    key: str
    model: str
    parallel: Form
    serial: Form


def ablations(models: Sequence[Contender], device: str) -> list[Ablation]:
    """The levels that each model has, on its own fresh weights."""
    found = []
    for contender in models:
        # Branches that a preset starts at zero would make all results equal, and show nothing.
        drawn = contender.at(LENGTH).model_copy(update={"init": "glorot"})
        model = build(drawn, seed=0)
        assert isinstance(model, Decoder)
        found += _of(contender.name, model.to(device).eval(), device)
    order = ("positions", "heads", "feed_forward_positions", "batch_rows")
    return sorted(found, key=lambda ablation: order.index(ablation.key))


def measure_levels(
    found: Sequence[Ablation], seconds: float | None, device: str, repeats: int
) -> list[Level]:
    """Compare the results of each ablation, and their times where the results are equal.

    Args:
        found: what to compare.
        seconds: for all; None: results only.
        device: where.
        repeats: turns at least.
    """
    each = None if seconds is None else seconds / max(1, len(found))
    return [_measure(ablation, each, device, repeats) for ablation in found]


def _measure(ablation: Ablation, seconds: float | None, device: str, repeats: int) -> Level:
    with torch.inference_mode():
        together, alone = ablation.parallel(), ablation.serial()
        difference = float((together - alone).abs().max())
        # Sums in another order: a few roundings of the largest value.
        largest = float(together.abs().max())
        tolerance = 256 * torch.finfo(together.dtype).eps * largest
        equal = largest > 0 and difference <= tolerance
        level = Level(ablation.key, ablation.model, *(None,) * 5, difference, tolerance, equal)
        if not equal or seconds is None:
            return level
        forms = {"parallel": ablation.parallel, "serial": ablation.serial}
        times = within(forms, seconds, device, repeats=repeats)
    if times is None:
        return level
    ratio = figure(ratios(times, "serial", "parallel"))
    return Level(
        ablation.key,
        ablation.model,
        times.timings["parallel"].median,
        times.timings["serial"].median,
        ratio.median,
        ratio.low,
        ratio.high,
        difference,
        tolerance,
        equal,
    )


def _of(name: str, model: Decoder, device: str) -> list[Ablation]:
    width = model.config.width
    generator = torch.Generator().manual_seed(0)
    x_BTD = torch.randn(1, LENGTH, width, generator=generator).to(device)
    rows = Rows.full(1, LENGTH, device)
    found = []
    attention = next((m for m in model.modules() if isinstance(m, Attention)), None)
    if attention is not None:
        found += [
            Ablation("positions", name, *positions(attention, x_BTD, rows)),
            Ablation("heads", name, *heads(attention, x_BTD, rows)),
        ]
    feed_forward = next((m for m in model.modules() if isinstance(m, FeedForward)), None)
    if feed_forward is not None:
        forms = feed_forward_positions(feed_forward, x_BTD)
        found.append(Ablation("feed_forward_positions", name, *forms))
    ids_BT = ids(model, ROWS, LENGTH, device)
    found.append(Ablation("batch_rows", name, *batch_rows(model, ids_BT)))
    return found


def positions(mixer: Attention, x_BTD: Tensor, rows: Rows) -> tuple[Form, Form]:
    """All positions in one call, and one step after another against the cached keys."""

    def serial() -> Tensor:
        state = mixer.empty_state(x_BTD.shape[0], x_BTD.shape[1], x_BTD)
        outputs = []
        for x_BD in x_BTD.unbind(1):
            y_BD, after = mixer.step(x_BD, state)
            state = after  # type: ignore[assignment]  # a mixer gives back its own kind of state
            outputs.append(y_BD)
        return torch.stack(outputs, 1)

    return lambda: mixer(x_BTD, rows)[0], serial


def heads(mixer: Attention, x_BTD: Tensor, rows: Rows) -> tuple[Form, Form]:
    """All heads in one call, and each from its own slices of the weights.

    Concatenating heads and then projecting them is adding up each head's own projection.
    """
    count = mixer.query.out_features // mixer.head_width
    groups = mixer.key_value.out_features // (2 * mixer.head_width)
    alone = []
    for head in range(count):
        group = head * groups // count
        alone.append(with_heads(mixer, range(head, head + 1), range(group, group + 1)))

    def serial() -> Tensor:
        y_BTD: Tensor = alone[0](x_BTD, rows)[0]
        for one in alone[1:]:
            y_BTD = y_BTD + one(x_BTD, rows)[0]
        return y_BTD if mixer.output.bias is None else y_BTD + mixer.output.bias

    return lambda: mixer(x_BTD, rows)[0], serial


def feed_forward_positions(layer: FeedForward, x_BTD: Tensor) -> tuple[Form, Form]:
    """All positions in one product, and each position on its own."""
    return (
        lambda: layer(x_BTD),
        lambda: torch.stack([layer(x_BD) for x_BD in x_BTD.unbind(1)], 1),
    )


def batch_rows(model: Decoder, ids_BT: Tensor) -> tuple[Form, Form]:
    """The whole batch in one pass of the model, and row by row."""
    return (
        lambda: model(ids_BT),
        lambda: torch.cat([model(row_1T) for row_1T in ids_BT.split(1)]),
    )
