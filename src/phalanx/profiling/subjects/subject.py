"""What is profiled: a module, inputs at any length, a loss, and how it decodes.

However a model was named (a preset, a directory, a file of the user's own, a module in Python),
the rest of the profiler sees a Subject.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from phalanx.errors import UsageError
from phalanx.profiling.results import Mode
from phalanx.profiling.subjects.decoding import Driver, Undecodable
from phalanx.profiling.subjects.fake import Fake

Call = Callable[[], object]


@dataclass(frozen=True)
class Inputs:
    """What a module is called with: ``module(*args, **kwargs)``."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def into(self, module: nn.Module) -> Any:
        """The module's answer to them."""
        return module(*self.args, **self.kwargs)

    def differentiable(self) -> "Inputs":
        """The same, where tensors of numbers ask for a gradient; one given twice stays one."""
        made: dict[int, Tensor] = {}

        def ask(value: Any) -> Any:
            if isinstance(value, Tensor) and value.is_floating_point():
                return made.setdefault(id(value), value.detach().requires_grad_())
            return value

        kwargs = {name: ask(value) for name, value in self.kwargs.items()}
        return Inputs(tuple(ask(value) for value in self.args), kwargs)


@dataclass(frozen=True)
class Probe:
    """A model as one function from positions to positions, for paths and causality.

    Args:
        fn: (B, T) ids or (B, T, D) vectors -> (B, T, ...), in evaluation mode, on real numbers.
        x: an input of it, one row.
        at: the module whose output stands for the input where ``x`` is ids: their embedding.
    """

    fn: Callable[[Tensor], Tensor]
    x: Tensor
    at: nn.Module | None


@dataclass(frozen=True)
class Subject:
    """A model that can be built on any device and run at any length.

    Args:
        name: as the user named it.
        kind: class name of the module.
        make: ``make(device)``, a module of the caller's own on ``meta``, ``cpu`` or ``cuda``; on
            the same device it always has the same weights. It shares no gradient, buffer, hook or
            flag with the user's module, though it may share the memory of its parameters.
        give: ``give(batch, length, device)``, the inputs of a pass; always the same ones.
        loss: ``loss(module, inputs)``, a scalar to be differentiated; runs the forward pass.
        driver: how one step of decoding is made, or why there is none.
        probe: ``probe(module, length)`` with a module of ``make("cpu")``, or why there is none.
        batch, length: what is profiled where nothing else is asked for.
        context: the greatest length that the model takes; None: any.
        causal: known to be causal, or not to be; None: it could not be found out.
        why_not_meta: why it runs on real tensors alone, in a sentence; "" where meta will do.
        why_not_real: why it runs on meta alone, in a sentence; "" where real tensors will do.
        assumptions: what was assumed about it, in sentences.
        executed: its passes as this machine executes them, where they were asked for already:
            see ``phalanx.profiling.executed``.
    """

    name: str
    kind: str
    make: Callable[[str], nn.Module]
    give: Callable[[int, int, str], Inputs]
    loss: Callable[[nn.Module, Inputs], Tensor]
    driver: Driver | Undecodable
    probe: Callable[[nn.Module, int], Probe | str]
    batch: int = 1
    length: int = 512
    context: int | None = None
    causal: bool | None = None
    why_not_meta: str = ""
    why_not_real: str = ""
    assumptions: tuple[str, ...] = ()
    _built: dict[str, nn.Module] = field(default_factory=dict, compare=False, repr=False)
    _fake: list[Fake] = field(default_factory=list, compare=False, repr=False)
    executed: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def build(self, device: str = "meta") -> nn.Module:
        """The module on a device; made once, so that calls at several lengths share it."""
        if device not in self._built:
            # All of it in one mode, so that a look at the root tells (see _in_training).
            self._built[device] = self.make(device).train()
        return self._built[device]

    def fake(self) -> Fake:
        """The module without numbers, as this machine's CPU would run it; made once."""
        if not self._fake:
            self._fake.append(Fake(self.shape))
        return self._fake[0]

    @property
    def shape(self) -> nn.Module:
        """The module where it costs least: on meta, or on the CPU if meta will not do."""
        return self.build("cpu" if self.why_not_meta else "meta")

    @property
    def size(self) -> int:
        """Its parameters, shared ones once."""
        return sum(parameter.numel() for parameter in self.shape.parameters())

    def inputs(
        self, batch: int, length: int, device: str = "meta"
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments and keyword arguments of a pass; always the same ones.

        Raises:
            UsageError: the model takes no such length.
        """
        given = self.give(batch, self.checked(length), device)
        return given.args, given.kwargs

    def checked(self, length: int) -> int:
        """``length``, if the model takes it.

        Raises:
            UsageError: it does not.
        """
        if length < 1 or (self.context is not None and length > self.context):
            most = f"1 to {self.context}" if self.context else "1 or more"
            raise UsageError(
                f"{self.name}: length {length}: the model takes {most} positions. Choose another "
                "--seq-len (lengths= in Python)."
            )
        return length

    @property
    def decodes(self) -> str | None:
        """``cached``, ``uncached`` or None; see ``why_not_decoded``."""
        if isinstance(self.driver, Undecodable):
            return None
        return "cached" if self.driver.cached else "uncached"

    @property
    def why_not_decoded(self) -> str:
        """Why there is no step of decoding, in a sentence; "" where there is one."""
        return self.driver.why if isinstance(self.driver, Undecodable) else ""

    @property
    def learns(self) -> bool:
        """Whether there is anything to differentiate by: a parameter, or an input of numbers."""
        if any(parameter.requires_grad for parameter in self.shape.parameters()):
            return True
        args, kwargs = self.inputs(1, self.length, "cpu" if self.why_not_meta else "meta")
        values = (*args, *kwargs.values())
        return any(isinstance(v, Tensor) and v.is_floating_point() for v in values)

    def modes(self) -> tuple[Mode, ...]:
        """The modes that this model has."""
        has: dict[Mode, bool] = {
            "train": self.learns,
            "forward": True,
            "decode": self.decodes is not None,
        }
        return tuple(mode for mode, there in has.items() if there)

    def call(
        self,
        mode: Mode,
        batch: int,
        length: int,
        device: str = "cpu",
        *,
        module: nn.Module | None = None,
    ) -> Call:
        """A pass, ready to run any number of times, alike each time.

        train: forward, loss, backward, gradients cleared to None before. forward: evaluation
        mode, no gradients. decode: one token behind a context of ``length`` tokens, itself the
        last of them; what came before has run already.

        Args:
            mode: which pass.
            batch: rows.
            length: positions; in decode the context.
            device: ``meta``, ``cpu`` or ``cuda``.
            module: to run another copy of the module, such as one of fake tensors.

        Raises:
            UsageError: the model takes no such length, or does not decode.
        """
        built = self.build(device) if module is None else module
        if mode == "decode":
            return self._decode(built, batch, self.checked(length), device)
        given = self.give(batch, self.checked(length), device)
        return self._train(built, given) if mode == "train" else _forward(built, given)

    def _train(self, module: nn.Module, given: Inputs) -> Call:
        parameters = list(module.parameters())
        if not any(parameter.requires_grad for parameter in parameters):
            given = given.differentiable()

        def train() -> object:
            _in_training(module, True)
            for parameter in parameters:
                parameter.grad = None
            with torch.enable_grad():
                loss = self.loss(module, given)
                if not loss.requires_grad:
                    raise UsageError(
                        f"{self.name}: no parameter and no input needs a gradient, so there is no "
                        "training pass. Choose --mode forward, or unfreeze a parameter."
                    )
                loss.backward()
            return loss

        return train

    def _decode(self, module: nn.Module, batch: int, context: int, device: str) -> "DecodeStep":
        if isinstance(self.driver, Undecodable):
            raise UsageError(f"{self.name} does not decode: {self.driver.why}")
        _in_training(module, False)
        with self.driver.no_gradients():
            token, state = self.driver.start(module, batch, context, device)
        return DecodeStep(self.driver, module, token, state)


@dataclass(frozen=True)
class DecodeStep:
    """One step of decoding, ready to run any number of times."""

    driver: Driver
    module: nn.Module
    token: Tensor
    state: Any

    def __call__(self) -> tuple[Tensor, Any]:
        """The next token and the state after it."""
        _in_training(self.module, False)
        with self.driver.no_gradients():
            return self.driver.step(self.module, self.token, self.state)

    def state_bytes(self) -> int:
        """Bytes of the state after the step, of all rows; runs it."""
        return self.driver.state_bytes(self()[1])


def _forward(module: nn.Module, given: Inputs) -> Call:
    def forward() -> object:
        _in_training(module, False)
        with torch.no_grad():
            return given.into(module)

    return forward


def _in_training(module: nn.Module, wanted: bool) -> None:
    # Walking over all submodules takes as long as a small step, so only when it has to change.
    if module.training is not wanted:
        module.train(wanted)


@contextmanager
def seeded() -> Iterator[None]:
    """Inside, torch draws from seed 0; afterwards it goes on as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def subjects_from(
    words: Sequence[str],
    *,
    longest: int | None = None,
    size: int | None = None,
    vocabulary: int | None = None,
) -> list[Subject]:
    """The subjects that words on a command line stand for.

    Args:
        words: preset names, run or model directories, ``path/file.py:build``, ``hf:DIR``.
        longest: the greatest length that will be asked for; a preset is given that context.
        size: parameters of a preset outside its tables; None: its own size.
        vocabulary: of presets; None: their own.

    Raises:
        UsageError: a word stands for nothing, or for something that cannot be opened.
        PhalanxError: the user's own code failed.
    """
    from phalanx.profiling.subjects.files import file_subject, is_file_target
    from phalanx.profiling.subjects.huggingface import HUGGINGFACE, huggingface_subject
    from phalanx.profiling.subjects.presets import named_subject

    found = []
    for word in words:
        if word.startswith(HUGGINGFACE):
            found.append(huggingface_subject(word))
        elif is_file_target(word):
            found.append(file_subject(word))
        else:
            found.append(named_subject(word, longest=longest, size=size, vocabulary=vocabulary))
    return found
