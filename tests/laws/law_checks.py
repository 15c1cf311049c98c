"""The laws as functions: each runs a subject in two ways and raises LawError where they differ.

The tests call them on every subject, and on subjects with a planted defect, where they must raise.
"""

import copy
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from subjects import (
    VOCABULARY,
    Batch,
    ModelSubject,
    Subject,
    built,
    make_batch,
    schedule_count,
    use_schedule,
)
from torch import Tensor, nn

from phalanx.config import TrainingConfig
from phalanx.data.batches import IGNORED
from phalanx.layers.cross_block import CrossState
from phalanx.models import Classifier, EncoderDecoder, ModelState
from phalanx.rows import Rows
from phalanx.states import KeyValueState, State, TensorState
from phalanx.tasks import classification, positions, translation
from phalanx.tasks.batch import Total, TrainingBatch
from phalanx.training.trainer import Trainer

CAPACITY = 48
RELATIVE = 1e-12  # of fp64
# A tensor that is zero but for rounding (the gradient of a key's bias) has no scale of its own:
# it is given this share of the largest one in its group (outputs, states, gradients).
FLOOR = 0.1

Results = dict[str, Tensor]


class LawError(AssertionError):
    """Two ways to compute the same thing differ."""


@dataclass(frozen=True)
class Case:
    """A module, its inputs, and the state that it starts from."""

    subject: Subject
    module: nn.Module
    batch: Batch
    start: State | None = None

    @property
    def length(self) -> int:
        return self.batch.x_BTD.shape[1]

    def to(self, dtype: torch.dtype) -> "Case":
        """The same case with everything rounded to ``dtype``."""

        def change(tensor: Tensor) -> Tensor:
            return tensor.to(dtype) if tensor.is_floating_point() else tensor

        memory_BSD = self.batch.memory_BSD
        batch = replace(
            self.batch,
            x_BTD=self.batch.x_BTD.to(dtype),
            memory_BSD=None if memory_BSD is None else memory_BSD.to(dtype),
        )
        start = None if self.start is None else map_state(self.start, change)
        return Case(self.subject, copy.deepcopy(self.module).to(dtype), batch, start)


def case(
    subject: Subject,
    kind: str,
    length: int,
    *,
    weights: str = "disturbed",
    started: bool = False,
) -> Case:
    """A case; ``started`` begins from a state that has consumed a few positions, unevenly."""
    module = built(subject, weights)
    use_schedule(module, -1)
    if not started or not subject.causal:
        return Case(subject, module, make_batch(subject, kind, length))
    before = make_batch(subject, "full", 3, seed=3)
    before = replace(before, rows=Rows.padded(torch.tensor([2, 0, 3]), 3))
    use_schedule(module, 0)
    with torch.no_grad():
        empty = subject.begin(module, before, None, CAPACITY)
        _, start = subject.call(module, before, empty)
    use_schedule(module, -1)
    assert start is not None
    return Case(subject, module, make_batch(subject, kind, length, start_B=start.length_B), start)


# States, seen from outside


def map_state(state: State, change: Callable[[Tensor], Tensor]) -> State:
    """The same state with every tensor changed."""
    if isinstance(state, ModelState):
        return ModelState(tuple(map_state(layer, change) for layer in state.layers))
    if isinstance(state, CrossState):
        return CrossState(map_state(state.own, change), map_state(state.memory, change))
    assert isinstance(state, TensorState)
    tensors = {name: value for name, value in vars(state).items() if isinstance(value, Tensor)}
    return replace(state, **{name: change(tensor) for name, tensor in tensors.items()})


def view_state(state: State) -> Results:
    """What a state holds, without what it merely has room for."""
    if isinstance(state, ModelState):
        layers = enumerate(state.layers)
        return {f"{i}.{n}": t for i, layer in layers for n, t in view_state(layer).items()}
    if isinstance(state, CrossState):
        return view_state(state.own)
    if isinstance(state, KeyValueState):
        slots_S = torch.arange(state.keys_BHSK.shape[2])
        filled = (slots_S < state.length_B[:, None])[:, None, :, None]
        keys = torch.where(filled, state.keys_BHSK, 0)
        values = torch.where(filled, state.values_BHSK, 0)
        segments = torch.where(filled[:, 0, :, 0], state.segments_BS, 0)
        held = {"keys": keys, "values": values, "segments": segments}
        return {"length_B": state.length_B, **held}
    names = ("length_B", "segment_B", "hidden_BD", "cell_BD")
    return {name: getattr(state, name) for name in names if hasattr(state, name)}


# Running a case: outputs, final state, and the gradients of a random sum of both

Compute = Callable[[Batch, State | None], tuple[Tensor, State | None]]


def cotangent(name: str, tensor: Tensor, row: int | None, batch: int, length: int) -> Tensor:
    """Random weights of a result, the same for a row in a batch and for that row alone."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    shape = list(tensor.shape)
    if row is not None:
        shape[0] = batch
        if name == "y":
            shape[1] = length
    full = torch.randn(shape, generator=generator, dtype=torch.float64).to(tensor.dtype)
    if row is None:
        return full
    own = full[row : row + 1]
    return own[:, : tensor.shape[1]] if name == "y" else own


def measure(
    this: Case, compute: Compute, row: int | None = None, batch: int = 0, length: int = 0
) -> Results:
    """Everything that two ways of computing must agree in."""
    leaves: Results = {"x": this.batch.x_BTD.detach().clone().requires_grad_()}
    given = replace(this.batch, x_BTD=leaves["x"])
    if this.batch.memory_BSD is not None:
        leaves["memory"] = this.batch.memory_BSD.detach().clone().requires_grad_()
        given = replace(given, memory_BSD=leaves["memory"])
    start = this.start
    if start is not None:

        def leaf(tensor: Tensor) -> Tensor:
            fresh = tensor.detach().clone()
            if fresh.is_floating_point():
                leaves[f"start.{len(leaves)}"] = fresh.requires_grad_()
            return fresh

        start = map_state(start, leaf)
    y, after = compute(given, start)
    keep_BT = given.rows.keep_BT
    results = {"y": y if keep_BT is None else torch.where(keep_BT[..., None], y, 0)}
    if after is not None:
        results |= {f"state.{name}": tensor for name, tensor in view_state(after).items()}
    total = sum(
        (tensor * cotangent(name, tensor, row, batch, length)).sum()
        for name, tensor in results.items()
        if tensor.is_floating_point()
    )
    leaves |= {f"weight.{name}": p for name, p in this.module.named_parameters()}
    gradients = torch.autograd.grad(
        total, list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    results |= {f"gradient.{n}": g for n, g in zip(leaves, gradients, strict=True)}
    return {name: tensor.detach() for name, tensor in results.items()}


def in_parallel(this: Case, cuts: Sequence[int] = (), carry: bool = True) -> Compute:
    """The parallel form, in one call or cut into several that hand their state on."""
    subject, module = this.subject, this.module

    def compute(batch: Batch, start: State | None) -> tuple[Tensor, State | None]:
        state = subject.begin(module, batch, start, CAPACITY) if carry else None
        edges = [0, *sorted(cuts), batch.x_BTD.shape[1]]
        outputs = []
        for begin, end in pairwise(edges):
            y, state = subject.call(module, batch.part(begin, end), state)
            outputs.append(y)
        return torch.cat(outputs, 1), state

    return compute


def in_steps(this: Case) -> Compute:
    """The step form, position after position; padded rows stand still."""
    subject, module = this.subject, this.module

    def compute(batch: Batch, start: State | None) -> tuple[Tensor, State | None]:
        state = subject.begin(module, batch, start, CAPACITY)
        keep_BT, outputs = batch.rows.keep_BT, []
        for t in range(batch.x_BTD.shape[1]):
            active_B = None if keep_BT is None else keep_BT[:, t]
            y, state = subject.step(module, batch.x_BTD[:, t], state, active_B)
            outputs.append(y)
        return torch.stack(outputs, 1), state

    return compute


# Equal


def _scales(results: Results) -> dict[str, float]:
    groups: dict[str, float] = {}
    for name, tensor in results.items():
        group = name.split(".")[0]
        groups[group] = max(groups.get(group, 0.0), _largest(tensor))
    return {n: max(_largest(t), FLOOR * groups[n.split(".")[0]]) for n, t in results.items()}


def _largest(tensor: Tensor) -> float:
    return float(tensor.abs().max()) if tensor.numel() else 0.0


Size = Callable[[Tensor, str], float]


def _errors(
    results: Results,
    truth: Results,
    what: str,
    size: Size = lambda error, _name: _largest(error),
) -> dict[str, float]:
    if results.keys() != truth.keys():
        raise LawError(f"{what}: results {sorted(results)} against {sorted(truth)}")
    errors = {}
    for name, expected in truth.items():
        given = results[name]
        if given.shape != expected.shape:
            raise LawError(f"{what}: {name} is {tuple(given.shape)}, not {tuple(expected.shape)}")
        if not bool(given.isfinite().all()):
            raise LawError(f"{what}: {name} is not finite")
        if not expected.is_floating_point() and not torch.equal(given, expected):
            raise LawError(f"{what}: {name} is {given.tolist()}, not {expected.tolist()}")
        errors[name] = size(given.double() - expected.double(), name)
    return errors


def equal(results: Results, truth: Results, what: str, relative: float = RELATIVE) -> None:
    """Equal in fp64: within ``relative`` of each tensor's largest entry."""
    scales = _scales(truth)
    for name, error in _errors(results, truth, what).items():
        if error > relative * scales[name]:
            raise LawError(f"{what}: {name} differs by {error:.2e}, scale {scales[name]:.2e}")


def equal_rounded(
    results: Results, steps: Results, oracle: Results, dtype: torch.dtype, what: str
) -> None:
    """Equal in a rounded dtype: no further from the fp64 oracle than 4 times the step form."""

    def size(error: Tensor, name: str) -> float:
        # One unit that rounds to the other side of ReLU's kink changes a whole row of a gradient:
        # gradients are judged by their mean square.
        if name.startswith("gradient") and error.numel():
            return float(error.square().mean().sqrt())
        return _largest(error)

    scales, allowed = _scales(oracle), _errors(steps, oracle, what, size)
    for name, error in _errors(results, oracle, what, size).items():
        limit = 4 * allowed[name] + 8 * torch.finfo(dtype).eps * scales[name]
        if error > limit:
            raise LawError(f"{what}: {name} is off by {error:.2e}, allowed {limit:.2e}")


def same(given: Tensor, expected: Tensor, what: str, relative: float = RELATIVE) -> None:
    """Two tensors equal in fp64."""
    equal({"y": given.detach()}, {"y": expected.detach()}, what, relative)


# The laws


def two_forms(
    subject: Subject,
    kind: str = "full",
    length: int = 9,
    *,
    dtype: torch.dtype = torch.float64,
    started: bool = False,
    schedule: int = -1,
) -> None:
    """Law 1: the parallel form over T positions = T steps; outputs, final state, gradients."""
    this = case(subject, kind, length, started=started)
    if dtype != torch.float64:
        this = this.to(dtype)
    steps = measure(this, in_steps(this))
    use_schedule(this.module, schedule)
    parallel = measure(this, in_parallel(this))
    if dtype != torch.float64:
        oracle = this.to(torch.float64)
        equal_rounded(parallel, steps, measure(oracle, in_steps(oracle)), dtype, "law 1")
        return
    equal(parallel, steps, "law 1")
    if not started:
        stateless = measure(this, in_parallel(this, carry=False))
        same(stateless["y"], steps["y"], "law 1, without a state")


def split(
    subject: Subject,
    cuts: Sequence[int],
    kind: str = "full",
    length: int = 9,
    *,
    started: bool = False,
) -> None:
    """Law 2: several calls that hand their state on = one call; gradients flow through."""
    this = case(subject, kind, length, started=started)
    whole = measure(this, in_parallel(this))
    equal(measure(this, in_parallel(this, cuts)), whole, f"law 2, cuts {list(cuts)}")


def padding(
    subject: Subject, length: int = 9, *, started: bool = False, kind: str = "ragged"
) -> None:
    """Law 3: a padded row = that row alone, and padding is never read."""
    this = case(subject, kind, length, started=started)
    padded = measure(this, in_parallel(this, carry=subject.causal))
    alone = _rows_alone(this, padded)
    equal(padded, alone, "law 3, alone")
    for value in (float("nan"), 1e3):
        if value != value and not subject.zero_at_padding:
            continue
        poisoned = replace(this, batch=_poisoned(this.subject, this.batch, value))
        again = measure(poisoned, in_parallel(poisoned, carry=subject.causal))
        equal(again, padded, f"law 3, {value} at padding", 0.0 if value != value else RELATIVE)
    if subject.zero_at_padding:
        y, _ = in_parallel(this, carry=subject.causal)(this.batch, this.start)
        keep_BT = this.batch.rows.keep_BT
        assert keep_BT is not None
        if bool(y[~keep_BT].ne(0).any()):
            raise LawError("law 3: outputs at padding are not zero")


def _rows_alone(this: Case, padded: Results) -> Results:
    """Each row without its padding, in a batch of its own; weight gradients added up."""
    truth = {name: torch.zeros_like(tensor) for name, tensor in padded.items()}
    batch, length = this.batch.x_BTD.shape[:2]
    for row, own_length in enumerate(this.batch.rows.consumed_B().tolist()):
        index = torch.tensor([row])
        start = None if this.start is None else this.start.select(index)
        own = Case(this.subject, this.module, this.batch.row(row), start)
        if own_length == 0 and start is None:
            continue
        compute = in_parallel(own, carry=this.subject.causal)
        for name, tensor in measure(own, compute, row, batch, length).items():
            if name.startswith("gradient.weight."):
                truth[name] += tensor
            elif name.startswith(("y", "gradient.x", "gradient.memory")):
                truth[name][row, : tensor.shape[1]] = tensor[0]
            else:
                truth[name][row] = tensor[0]
    return truth


def _poisoned(subject: Subject, batch: Batch, value: float) -> Batch:
    keep_BT = batch.rows.keep_BT
    assert keep_BT is not None
    changed = replace(batch, x_BTD=torch.where(keep_BT[..., None], batch.x_BTD, value))
    if batch.memory_BSD is not None and batch.memory_rows is not None:
        keep_BS = batch.memory_rows.keep_BT
        assert keep_BS is not None
        # A model's source is padded by tokens; what a block reads may be anything there.
        other = value if isinstance(subject, ModelSubject) else float("nan")
        poison = torch.where(keep_BS[..., None], batch.memory_BSD, other)
        changed = replace(changed, memory_BSD=poison)
    return changed


def documents(subject: Subject, length: int = 9, *, schedule: int = -1) -> None:
    """Laws 3 and 5 for packed rows: a packed document = that document alone."""
    this = case(subject, "packed", length)
    use_schedule(this.module, schedule)
    batch, rows = this.batch, this.batch.rows
    packed, _ = subject.call(this.module, batch, None)
    assert rows.segments_BT is not None
    for row, own_length in enumerate(rows.consumed_B().tolist()):
        segments_T = rows.segments_BT[row, :own_length]
        for segment in segments_T.unique().tolist():
            places = (segments_T == segment).nonzero()[:, 0]
            x_BTD = batch.x_BTD[row : row + 1, places]
            alone = replace(batch.row(row), x_BTD=x_BTD, rows=Rows.full(1, len(places)))
            y, _ = subject.call(this.module, alone, None)
            same(packed[row : row + 1, places], y, f"document {segment} of row {row}")


def causality(subject: Subject, kind: str = "full", length: int = 8) -> None:
    """Law 4: outputs do not depend on later inputs, on other documents, or beyond the window.

    Exactly: those gradients are zero. The gradients that may differ from zero do.
    """
    this = case(subject, kind, length)
    x_BTD = this.batch.x_BTD.clone().requires_grad_()
    y, _ = subject.call(this.module, replace(this.batch, x_BTD=x_BTD), None)
    rows = this.batch.rows
    lengths = rows.consumed_B().tolist()
    weights = cotangent("y", y, None, 0, 0)
    for t in range(length):
        total = (y[:, t] * weights[:, t]).sum()
        (gradient,) = torch.autograd.grad(total, x_BTD, retain_graph=True)
        for row, own_length in enumerate(lengths):
            if t >= own_length:
                continue
            found_T = gradient[row].ne(0).any(-1).tolist()
            for s in range(length):
                allowed = s < own_length and _may_see(subject, rows, row, t, s)
                if found_T[s] and not allowed:
                    raise LawError(f"law 4: row {row}, output {t} depends on input {s}")
                if s == t and not found_T[s]:
                    raise LawError(f"law 4: row {row}, output {t} does not see its own input")


def _may_see(subject: Subject, rows: Rows, row: int, t: int, s: int) -> bool:
    if subject.causal and s > t:
        return False
    if subject.reach is not None and abs(t - s) > subject.reach:
        return False
    segments_BT = rows.segments_BT
    return segments_BT is None or bool(segments_BT[row, t] == segments_BT[row, s])


def reading(subject: Subject, length: int = 4) -> None:
    """Law 4 of what reads a memory: every position sees all of its row's memory, and nothing of its
    padding or of another row's. Exactly: those gradients are zero."""
    this = case(subject, "full", length)
    memory_BSD, memory_rows = this.batch.memory_BSD, this.batch.memory_rows
    assert memory_BSD is not None
    assert memory_rows is not None
    memory_BSD = memory_BSD.clone().requires_grad_()
    y, _ = subject.call(this.module, replace(this.batch, memory_BSD=memory_BSD), None)
    weights = cotangent("y", y, None, 0, 0)
    lengths = memory_rows.consumed_B().tolist()
    for row in range(len(lengths)):
        for t in range(length):
            total = (y[row, t] * weights[row, t]).sum()
            (gradient,) = torch.autograd.grad(total, memory_BSD, retain_graph=True)
            found = [places.nonzero()[:, 0].tolist() for places in gradient.ne(0).any(-1)]
            expected = [list(range(n)) if r == row else [] for r, n in enumerate(lengths)]
            if found != expected:
                raise LawError(f"law 4: output {t} of row {row} sees {found}, not {expected}")


def far_sight(subject: Subject, length: int = 8) -> None:
    """The converse of law 4: the last output does see every input within its reach."""
    this = case(subject, "full", length)
    x_BTD = this.batch.x_BTD.clone().requires_grad_()
    y, _ = subject.call(this.module, replace(this.batch, x_BTD=x_BTD), None)
    (gradient,) = torch.autograd.grad(y[:, -1].square().sum(), x_BTD)
    first = 0 if subject.reach is None else length - 1 - subject.reach
    if not bool(gradient[:, first:].ne(0).any(-1).all()):
        raise LawError("law 4, converse: the last output misses an input within its reach")


def schedules(
    subject: Subject,
    kind: str = "full",
    length: int = 9,
    *,
    weights: str = "disturbed",
    started: bool = False,
) -> None:
    """Law 5: every schedule = the reference; outputs, final state and every gradient."""
    this = case(subject, kind, length, weights=weights, started=started)
    use_schedule(this.module, 0)
    truth = measure(this, in_parallel(this, carry=subject.causal))
    for index in range(1, schedule_count(this.module)):
        use_schedule(this.module, index)
        found = measure(this, in_parallel(this, carry=subject.causal))
        equal(found, truth, f"law 5, schedule {index}, length {length}")


def accumulation(
    subject: Subject, kind: str = "ragged", trainer_type: type[Trainer] = Trainer
) -> None:
    """Law 6: gradients of a batch in micro-batches = in one piece, whatever each has of answers."""
    whole = built(subject)
    batch, total = uneven_batch(whole, kind)
    mean = total(whole, batch, 0.0).nats / batch.answers
    names = [name for name, _ in whole.named_parameters()]
    gradients = torch.autograd.grad(mean, list(whole.parameters()), materialize_grads=True)
    truth = {"loss": mean.detach()}
    truth |= {f"gradient.{n}": g for n, g in zip(names, gradients, strict=True)}
    config = TrainingConfig(precision="float32")
    for rows in (1, 2, 3, 7):
        model = built(subject)
        trainer = trainer_type(model, config, lambda step: batch, total=total)
        trainer.micro_batch = rows
        results = {"loss": trainer.gradients(batch, trainer.micro_batch).sum()}
        for name, parameter in model.named_parameters():
            results[f"gradient.{name}"] = (
                torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            )
        equal(results, truth, f"law 6, {kind}, {rows} rows at a time")


Totalled = tuple[TrainingBatch, Callable[[nn.Module, TrainingBatch, float], Total]]


def uneven_batch(model: nn.Module, kind: str) -> Totalled:
    """Seven rows with different numbers of answers, some with none: ``full``, ``ragged``,
    ``packed``; as the model's task has them."""
    generator = torch.Generator().manual_seed(4)
    inputs_BT = torch.randint(VOCABULARY, (7, 9), generator=generator)
    targets_BT = torch.randint(VOCABULARY, (7, 9), generator=generator)
    targets_BT[torch.rand((7, 9), generator=generator) < 0.3] = IGNORED
    targets_BT[2:4] = IGNORED
    lengths_B = sources_B = segments_BT = None
    if kind != "full":
        lengths_B = torch.tensor([9, 4, 0, 6, 1, 9, 3])
        sources_B = torch.tensor([1, 5, 5, 2, 4, 0, 3])
        targets_BT[torch.arange(9) >= lengths_B[:, None]] = IGNORED
    if kind == "packed":
        segments_BT = (torch.rand((7, 9), generator=generator) < 0.3).cumsum(1)
    if isinstance(model, EncoderDecoder):
        source_BS = torch.randint(VOCABULARY, (7, 5), generator=generator)
        pairs = translation.Batch(source_BS, inputs_BT, targets_BT, sources_B, lengths_B)
        return pairs, translation.total
    if isinstance(model, Classifier):
        labels_B = torch.randint(model.config.outputs, (7,), generator=generator)
        return classification.Batch(inputs_BT, labels_B, lengths_B), classification.total
    return positions.Batch(inputs_BT, targets_BT, lengths_B, segments_BT), positions.total


def batching(subject: Subject, length: int = 9) -> None:
    """Law 9: a row's output does not depend on what shares its batch."""
    this = case(subject, "ragged", length)
    y, _ = subject.call(this.module, this.batch, None)
    order = torch.tensor([2, 0, 1])
    x_BTD = this.batch.x_BTD.clone()
    x_BTD[1:] = 3 * torch.randn_like(x_BTD[1:])
    with_others = replace(this.batch, x_BTD=x_BTD)
    if this.batch.memory_BSD is not None:
        memory_BSD = this.batch.memory_BSD.clone()
        memory_BSD[1:] = 3 * torch.randn_like(memory_BSD[1:])
        with_others = replace(with_others, memory_BSD=memory_BSD)
    y_others, _ = subject.call(this.module, with_others, None)
    same(y_others[0], y[0], "law 9, other companions")
    rows, memory_rows = this.batch.rows, this.batch.memory_rows
    assert rows.lengths_B is not None
    shuffled = replace(
        this.batch,
        x_BTD=this.batch.x_BTD[order],
        rows=Rows(rows.positions_BT[order], rows.lengths_B[order]),
    )
    if this.batch.memory_BSD is not None and memory_rows is not None:
        memory_lengths_B = memory_rows.consumed_B()[order]
        shuffled = replace(
            shuffled,
            memory_BSD=this.batch.memory_BSD[order],
            memory_rows=Rows(memory_rows.positions_BT[order], memory_lengths_B),
        )
    y_shuffled, _ = subject.call(this.module, shuffled, None)
    same(y_shuffled[1, :length], y[0], "law 9, other places")
    y_alone, _ = subject.call(this.module, this.batch.row(0), None)
    same(y_alone[0], y[0], "law 9, alone")


def rewinding(subject: Subject, kind: str = "full", length: int = 6, undo: int = 3) -> None:
    """Rewinding k positions, row by row = never having taken them."""
    this = case(subject, kind, length, started=True)
    module, batch = this.module, this.batch
    consumed_B = batch.rows.consumed_B()
    count_B = torch.tensor([undo, 1, 2]).clamp(max=undo).minimum(consumed_B)
    assert this.start is not None
    kept_B = consumed_B - count_B
    shorter = replace(batch, rows=replace(batch.rows, lengths_B=kept_B))
    before = subject.begin(module, batch, map_state(this.start, Tensor.clone), CAPACITY)
    _, expected = subject.call(module, shorter, before)
    before = subject.begin(module, batch, map_state(this.start, Tensor.clone), CAPACITY)
    _, whole = subject.call(module, batch, before, undo=undo)
    assert whole is not None
    assert expected is not None
    same_future(this, whole.rewind(count_B), expected, "rewind")


def same_future(this: Case, state: State, expected: State, what: str, steps: int = 3) -> None:
    """Two states that hold the same, and from which the next steps give the same."""
    equal(_detached(view_state(state)), _detached(view_state(expected)), what)
    batch = int(state.length_B.shape[0])
    following = make_batch(this.subject, "full", steps, seed=9, batch=batch)
    for t in range(steps):
        y, state = this.subject.step(this.module, following.x_BTD[:, t], state, None)
        truth, expected = this.subject.step(this.module, following.x_BTD[:, t], expected, None)
        same(y, truth, f"{what}, step {t}")


def _detached(results: Results) -> Results:
    return {name: tensor.detach() for name, tensor in results.items()}


def moving(subject: Subject) -> None:
    """select and put: a row's state goes where it is sent, and the others stay."""
    this = case(subject, "ragged", 6, started=True)
    batch = this.batch

    def after(x_BTD: Tensor) -> State:
        start = subject.begin(this.module, batch, this.start, CAPACITY)
        _, state = subject.call(this.module, replace(batch, x_BTD=x_BTD), start)
        assert state is not None
        return state

    one, other = after(batch.x_BTD), after(batch.x_BTD.flip(1).neg())
    order = torch.tensor([2, 0])
    chosen = one.select(order)
    merged = one.put(order, other.select(torch.tensor([0, 1])))
    following = make_batch(subject, "full", 1, seed=9).x_BTD[:, 0]
    y_one, _ = subject.step(this.module, following, one, None)
    y_chosen, _ = subject.step(this.module, following[order], chosen, None)
    same(y_chosen, y_one[order], "select")
    # Row 2 now continues the other batch's row 0, and row 0 its row 1; row 1 stays.
    sources = [(2, other, 0), (0, other, 1), (1, one, 1)]
    y_merged, _ = subject.step(this.module, following, merged, None)
    for slot, source, row in sources:
        alone = source.select(torch.tensor([row]))
        y, _ = subject.step(this.module, following[slot : slot + 1], alone, None)
        same(y_merged[slot : slot + 1], y, f"put into {slot}")


def in_place(subject: Subject, length: int = 6) -> None:
    """Under inference mode, where buffers are written in place, both forms give the same."""
    this = case(subject, "ragged", length)
    truth = measure(this, in_steps(this))
    with torch.inference_mode():
        for compute in (in_steps(this), in_parallel(this), in_parallel(this, (2, 3))):
            y, after = compute(this.batch, None)
            keep_BT = this.batch.rows.keep_BT
            assert keep_BT is not None
            assert after is not None
            found = {"y": torch.where(keep_BT[..., None], y, 0)}
            found |= {f"state.{name}": tensor for name, tensor in view_state(after).items()}
            equal(found, {name: truth[name] for name in found}, "inference mode")
