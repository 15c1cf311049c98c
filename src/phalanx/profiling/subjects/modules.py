"""Subjects of any ``nn.Module`` with example inputs: a user's own, torch's, another library's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isnan
from typing import Any

import torch
from torch import Tensor, nn

from phalanx.errors import PhalanxError, UsageError
from phalanx.profiling.elements.gradients import causality
from phalanx.profiling.subjects.answers import loss_of, output_of, own_loss
from phalanx.profiling.subjects.blame import blame
from phalanx.profiling.subjects.decoding import (
    Driver,
    RecurrentSteps,
    Scores,
    Undecodable,
    WholePrefix,
)
from phalanx.profiling.subjects.examples import Example, sequence_axis
from phalanx.profiling.subjects.fake import on_meta, sharing, written
from phalanx.profiling.subjects.huggingface_steps import (
    declared_causal,
    driver_of,
    is_of_transformers,
)
from phalanx.profiling.subjects.subject import Inputs, Probe, Subject, seeded
from phalanx.profiling.tracing.algorithm import as_algorithm

Loss = Callable[[Any], Tensor]
Make = Callable[[str], nn.Module]
Give = Callable[[int, int, str], Inputs]

LARGEST_CHECK = 20_000_000  # parameters of a module that is run on real numbers to look at it
LARGEST_RUN = 300_000_000  # of one that is run on real numbers because meta will not do
_CAUSALITY_LENGTH = 8


def module_subject(
    module: nn.Module,
    example_inputs: object,
    *,
    name: str = "",
    loss: Loss | None = None,
    seq_dim: int | None = None,
) -> Subject:
    """The subject of a module in Python; the module itself is never run or changed.

    Args:
        module: any ``nn.Module``.
        example_inputs: a tensor, a tuple of arguments or a dict of keyword arguments.
        name: of the subject; the class name by default.
        loss: ``loss(answer)``, a scalar; None: see ``answers.loss_of``.
        seq_dim: the axis of positions; None: 1, or 0 for torch's own layers that say so.

    Raises:
        UsageError: no module, or inputs that are no tensors.
        PhalanxError: the module cannot be copied, or raises when it is called.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"module: given {type(module).__name__}. Expected a torch.nn.Module, not a function "
            "or a class; for a function use phalanx.profiling.record."
        )
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError(
            f"{type(module).__name__} is a TorchScript module, whose kernels run outside Python. "
            "Give the module that it was made from."
        )
    inner = written(module)
    example = Example.of(example_inputs, sequence_axis(inner) if seq_dim is None else seq_dim)
    said = []
    if inner is not module or any(written(part) is not part for part in module.modules()):
        said.append("the module is compiled: it is profiled as written, without that compiler.")
    devices = {p.device.type for p in (*inner.parameters(), *inner.buffers())}
    unreal = "the module is on the meta device and holds no numbers." if "meta" in devices else ""

    def make(device: str) -> nn.Module:
        return on_meta(inner) if device == "meta" else sharing(inner, device)

    return subject_of(
        name or type(inner).__name__, make, example, loss, why_not_real=unreal, said=tuple(said)
    )


def subject_of(
    name: str,
    make: Make,
    example: Example,
    loss: Loss | None = None,
    *,
    give: Give | None = None,
    driver: Driver | Undecodable | None = None,
    context: int | None = None,
    why_not_real: str = "",
    said: tuple[str, ...] = (),
) -> Subject:
    """The subject of whatever ``make`` builds: it is tried once to see what it answers.

    Args:
        name, make, context, why_not_real: see ``Subject``.
        example: what it is called with.
        loss: ``loss(answer)``; None: see ``answers.loss_of``.
        give: the inputs at other sizes; None: the example's, repeated or cut.
        driver: of decoding; None: to be found out.
        said: assumptions made so far.

    Raises:
        PhalanxError: the module raises, on meta and on real tensors alike.
    """
    give = give or example.resized
    tried = _try(name, make, example, give, why_not_real)
    classified = _classified(example, tried.output)
    causal = None  # as its class declares it, where no small run can tell
    if driver is None and is_of_transformers(tried.module) and example.is_ids:
        driver = driver_of(tried.module, example)
        causal = declared_causal(tried.module)

    def training_loss(module: nn.Module, given: Inputs) -> Tensor:
        answer = given.into(module)
        if loss is not None:
            return loss(answer)
        targets = example.ids_like(given, output_of(answer).shape[:2]) if classified else None
        return loss_of(answer, targets)

    subject = Subject(
        name=name,
        kind=type(tried.module).__name__,
        make=make,
        give=give,
        loss=training_loss,
        driver=driver or Undecodable(""),
        probe=_Prober(example, give),
        batch=example.batch,
        length=example.length,
        context=context,
        why_not_meta=tried.why_not_meta,
        why_not_real=why_not_real,
        assumptions=(
            *said,
            _said_of_loss(loss, own_loss(tried.answer), classified),
            "other lengths and batch sizes repeat or cut the example inputs along those axes.",
        ),
    )
    checked = _causal(subject, tried.module)
    subject = replace(subject, causal=causal if checked is None else checked)
    if driver is not None:
        return subject
    return replace(subject, driver=_driver(subject, tried.module, example, tried.output))


def _classified(example: Example, output: Tensor) -> bool:
    """Whether the output scores a vocabulary that the ids of the input are of."""
    ids = example.ids_like(example.given, output.shape[:2])
    if ids is None or output.dim() != 3:
        return False
    if ids.device.type == "meta" or not ids.numel():
        return True
    return int(ids.min()) >= 0 and int(ids.max()) < output.shape[-1]


def _said_of_loss(given: Loss | None, own: Tensor | None, classified: bool) -> str:
    if given is not None:
        return "loss: the function that was given."
    if own is not None:
        return "loss: the one that the module itself returns."
    if classified:
        return "loss: the mean cross entropy of the output against the ids of the input."
    return "loss: the mean of the output's squares."


@dataclass(frozen=True)
class _Tried:
    module: nn.Module
    answer: object
    output: Tensor
    why_not_meta: str


def _try(name: str, make: Make, example: Example, give: Give, why_not_real: str) -> _Tried:
    why_not_meta, size = "", 0
    for device in ("meta", "cpu"):
        if device == "cpu" and (why_not_real or size > LARGEST_RUN):
            break
        try:
            module = make(device)
            size = sum(parameter.numel() for parameter in module.parameters())
            module.eval()
            given = give(example.batch, example.length, device)
            with torch.no_grad(), as_algorithm(), seeded():
                answer = given.into(module)
            return _Tried(module, answer, output_of(answer), why_not_meta)
        except PhalanxError:
            raise
        except Exception as error:
            why_not_meta, last = why_not_meta or blame(error), error
    shapes = ", ".join(
        str(tuple(v.shape))
        for v in (*example.given.args, *example.given.kwargs.values())
        if isinstance(v, Tensor)
    )
    raise PhalanxError(
        f"{name}: the module raised {blame(last)} when it was called with the example inputs "
        f"(shapes {shapes}). Call it with them yourself first."
    ) from last


def _causal(subject: Subject, tried: nn.Module) -> bool | None:
    """By exact zero gradients of noisy weights at a small length; None where it cannot be run."""
    if subject.why_not_real or sum(p.numel() for p in tried.parameters()) > LARGEST_CHECK:
        return None
    try:
        module = subject.make("cpu")
        with torch.no_grad(), seeded():
            for parameter in module.parameters():  # weights of zero would hide a dependence
                if parameter.is_floating_point():
                    parameter.data = parameter + 0.1 * torch.randn_like(parameter)
        probe = subject.probe(module, min(_CAUSALITY_LENGTH, subject.length))
        if isinstance(probe, str):
            return None
        with seeded():
            y = probe.fn(probe.x)
            if y.dim() < 3 or y.shape[1] != probe.x.shape[1]:
                return None  # what is causal, is so from position to position
            found = causality(probe.fn, probe.x, at=probe.at)
            if isnan(found.leak):
                return None
            return found.causal and _blind_to_later(probe)
    except Exception:
        return None  # it runs at its own length alone, or has operators without gradients


def _blind_to_later(probe: Probe) -> bool:
    """Whether the first half of the outputs stays when the second half of the inputs changes.

    Gradients do not see what passes through an argmax, a count or ``detach``.
    """
    x, half = probe.x, probe.x.shape[1] // 2
    changed = x.clone()
    if isinstance(probe.at, nn.Embedding):
        changed[:, half:] = (x[:, half:] + 1) % probe.at.num_embeddings
    else:
        changed[:, half:] += 3 * torch.randn_like(x[:, half:])
    with torch.no_grad():
        before, after = probe.fn(x)[:, :half], probe.fn(changed)[:, :half]
    return torch.allclose(before, after, rtol=1e-3, atol=1e-5, equal_nan=True)


def _driver(
    subject: Subject, module: nn.Module, example: Example, output: Tensor
) -> Driver | Undecodable:
    if isinstance(module, nn.RNNBase):
        if module.bidirectional:
            return Undecodable("it reads in both directions, so it cannot go on from its past.")
        width = module.proj_size or module.hidden_size
        return RecurrentSteps(feeds_back=width == module.input_size)
    if not example.is_ids or not example.batched or example.seq_dim != 1:
        return Undecodable("it takes vectors, not (B, T) ids: what comes out is no next input.")
    if output.dim() != 3 or output.shape[:2] != example.tensor.shape[:2]:
        return Undecodable("it gives no scores (B, T, V) at each position.")
    if subject.causal is None:
        return Undecodable("whether it is causal could not be found out.")
    if not subject.causal:
        return Undecodable("its outputs depend on later inputs, so it does not generate.")

    def ids(batch: int, length: int, device: str) -> Tensor:
        return example.main_of(subject.give(batch, length, device))

    def scores(batch: int, length: int, device: str) -> Scores:
        given = subject.give(batch, length, device)
        return lambda module, ids_BT: output_of(example.replaced(given, ids_BT).into(module))

    return WholePrefix(ids, scores)


@dataclass(frozen=True)
class _Prober:
    """The probe of a module: positions on axis 1 of both, the rest of the inputs as given."""

    example: Example
    give: Give

    def __call__(self, module: nn.Module, length: int) -> Probe | str:
        example = self.example
        given = self.give(1, length, "cpu")
        x = example.main_of(given)
        axis = example.seq_dim

        def fn(x: Tensor) -> Tensor:
            placed = x.transpose(0, 1) if axis == 0 and example.batched else x
            placed = placed if example.batched else placed.squeeze(0)
            y = output_of(example.replaced(given, placed).into(module))
            y = y if example.batched else y.unsqueeze(0)
            return y.transpose(0, 1) if axis == 0 and example.batched else y

        x = x if example.batched else x.unsqueeze(0)
        x = x.transpose(0, 1) if axis == 0 and example.batched else x
        module.eval()
        with torch.no_grad(), seeded(), _embeddings_watched(module, x) as seen:
            y = fn(x)
        if y.dim() < 2:
            return f"the output has the shape {tuple(y.shape)}: no axis of positions in it."
        if x.is_floating_point():
            return Probe(fn, x, None)
        if len(seen) != 1:
            return (
                f"the ids go through {len(seen)} calls of an nn.Embedding, where one is expected "
                "to stand for the input."
            )
        return Probe(fn, x, seen[0])


@contextmanager
def _embeddings_watched(module: nn.Module, ids: Tensor) -> Iterator[list[nn.Module]]:
    """The embeddings that are called with just these ids, once for each call."""
    seen: list[nn.Module] = []

    def note(part: nn.Module, args: tuple[Any, ...]) -> None:
        given = args[0] if args else None
        if isinstance(given, Tensor) and given.shape == ids.shape and torch.equal(given, ids):
            seen.append(part)

    parts = [part for part in module.modules() if isinstance(part, nn.Embedding)]
    handles = [part.register_forward_pre_hook(note) for part in parts]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
