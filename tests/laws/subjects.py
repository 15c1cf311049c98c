"""What the laws are tested on: every mixer, the cross blocks, and whole models.

A new mixer costs one line in MIXERS.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from phalanx.layers.block import BLOCKS
from phalanx.layers.cross_block import CrossBlock, CrossState
from phalanx.layers.feed_forward import FeedForward
from phalanx.mixers import (
    GRU,
    LSTM,
    RNN,
    Attention,
    Bidirectional,
    BidirectionalAttention,
    MinGRU,
    Mixer,
)
from phalanx.mixers.cross_attention import CrossAttention, LuongAttention, MemoryState
from phalanx.models import Memory, ModelState, build, preset
from phalanx.rows import Rows
from phalanx.states import State

BATCH = 3
WIDTH = 8
VOCABULARY = 11


@dataclass(frozen=True)
class Batch:
    """Inputs of one call: vectors, which of them are real, and a memory where one is read."""

    x_BTD: Tensor
    rows: Rows
    memory_BSD: Tensor | None = None
    memory_rows: Rows | None = None

    def part(self, begin: int, end: int) -> "Batch":
        """Positions [begin, end) of every row."""
        rows, lengths_B = self.rows, self.rows.lengths_B
        segments_BT = rows.segments_BT
        cut = Rows(
            rows.positions_BT[:, begin:end],
            None if lengths_B is None else (lengths_B - begin).clamp(0, end - begin),
            None if segments_BT is None else segments_BT[:, begin:end],
        )
        return replace(self, x_BTD=self.x_BTD[:, begin:end], rows=cut)

    def row(self, index: int) -> "Batch":
        """One row, without its padding."""
        length = int(self.rows.consumed_B()[index])
        at = slice(index, index + 1)
        segments_BT, memory_BSD, memory_rows = self.rows.segments_BT, None, None
        if self.memory_BSD is not None and self.memory_rows is not None:
            memory_length = int(self.memory_rows.consumed_B()[index])
            memory_BSD = self.memory_BSD[at, :memory_length]
            memory_rows = Rows.full(1, memory_length)
        rows = Rows(
            self.rows.positions_BT[at, :length],
            None,
            None if segments_BT is None else segments_BT[at, :length],
        )
        return Batch(self.x_BTD[at, :length], rows, memory_BSD, memory_rows)


@dataclass(frozen=True)
class Subject:
    """A module under test, and how its two forms are called.

    ``reach`` is how many positions back it may look, None for all; ``chunk`` is the C of its
    schedules, about which odd lengths are chosen.
    """

    name: str
    make: Callable[[], nn.Module]
    causal: bool = True
    reach: int | None = None
    chunk: int = 4
    width: int = WIDTH
    zero_at_padding: bool = True

    def begin(self, module: nn.Module, batch: Batch, start: State | None, capacity: int) -> State:
        """The state to start from: ``start``, or the empty one."""
        if start is not None:
            return start
        return module.empty_state(batch.x_BTD.shape[0], capacity, batch.x_BTD)

    def call(
        self, module: nn.Module, batch: Batch, state: State | None, undo: int = 0
    ) -> tuple[Tensor, State | None]:
        """The parallel form."""
        return module(batch.x_BTD, batch.rows, state, undo=undo)

    def step(
        self, module: nn.Module, x_BD: Tensor, state: State, active_B: Tensor | None
    ) -> tuple[Tensor, State]:
        """The step form."""
        return module.step(x_BD, state, active_B)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class ModelSubject(Subject):
    """A model; vectors are added to its embeddings, so that inputs have gradients."""

    width: int = 16
    zero_at_padding: bool = False

    def begin(self, module: nn.Module, batch: Batch, start: State | None, capacity: int) -> State:
        return module.empty_state(batch.x_BTD.shape[0], capacity) if start is None else start

    def call(
        self, module: nn.Module, batch: Batch, state: State | None, undo: int = 0
    ) -> tuple[Tensor, State | None]:
        with _added(module.embedding, batch.x_BTD):
            y_BTD, after = module.hidden(_ids(batch.x_BTD), batch.rows, state, undo=undo)
        return module.head(y_BTD), after

    def step(
        self, module: nn.Module, x_BD: Tensor, state: State, active_B: Tensor | None
    ) -> tuple[Tensor, State]:
        with _added(module.embedding, x_BD[:, None]):
            return module.step(_ids(x_BD), state, active_B)


def _ids(x: Tensor) -> Tensor:
    """Some token for every vector, the same in every dtype and in every call."""
    return (x[..., 0].detach().double() * 64).long() % VOCABULARY


@contextmanager
def _added(embedding: nn.Module, x_BTD: Tensor) -> Iterator[None]:
    handle = embedding.register_forward_hook(lambda _module, _arguments, out: out + x_BTD)
    try:
        yield
    finally:
        handle.remove()


@dataclass(frozen=True)
class CrossSubject(Subject):
    """A decoder layer, which reads a memory beside its own past."""

    zero_at_padding: bool = False

    def begin(self, module: nn.Module, batch: Batch, start: State | None, capacity: int) -> State:
        memory = self._memory(module, batch)
        empty = module.empty_state(memory, capacity, batch.x_BTD)
        return empty if start is None else CrossState(start.own, memory)

    def call(
        self, module: nn.Module, batch: Batch, state: State | None, undo: int = 0
    ) -> tuple[Tensor, State | None]:
        if state is None:
            return module(batch.x_BTD, batch.rows, self._memory(module, batch), undo=undo)
        y_BTD, own = module(batch.x_BTD, batch.rows, state.memory, state.own, undo=undo)
        return y_BTD, CrossState(own, state.memory)

    def _memory(self, module: nn.Module, batch: Batch) -> MemoryState:
        return module.cross.remember(batch.memory_BSD, batch.memory_rows)


@dataclass(frozen=True)
class EncoderDecoderSubject(ModelSubject):
    """An encoder-decoder; vectors are added to the embeddings of source and target alike."""

    def begin(self, module: nn.Module, batch: Batch, start: State | None, capacity: int) -> State:
        empty = module.empty_state(self._memory(module, batch), capacity)
        if start is None:
            return empty
        layers = zip(start.layers, empty.layers, strict=True)
        return ModelState(tuple(CrossState(old.own, new.memory) for old, new in layers))

    def call(
        self, module: nn.Module, batch: Batch, state: State | None, undo: int = 0
    ) -> tuple[Tensor, State | None]:
        memory = self._memory(module, batch) if state is None else None
        with _added(module.embedding, batch.x_BTD):
            y_BTD, after = module.hidden(
                _ids(batch.x_BTD), batch.rows, state, memory=memory, undo=undo
            )
        return module.head(y_BTD), after

    def _memory(self, module: nn.Module, batch: Batch) -> Memory:
        with _added(module.embedding, batch.memory_BSD):
            return module.encode(_ids(batch.memory_BSD), batch.memory_rows)


def mixer(name: str, make: Callable[[], Mixer], **facts: object) -> Subject:
    return Subject(name, make, **facts)


def model(name: str, preset_name: str, reach: int | None = None, **changes: object) -> Subject:
    """A small model of a preset, with changed fields."""
    fields = {"width": 16, "layers": 2} | changes
    config = preset(preset_name, VOCABULARY, 64, **fields)
    kind = EncoderDecoderSubject if config.kind == "encoder_decoder" else ModelSubject
    causal = config.kind != "encoder"
    return kind(name, lambda: build(config, seed=0), causal=causal, reach=reach)


MIXERS = [
    mixer("attention", lambda: Attention(WIDTH, 2)),
    mixer("attention-grouped", lambda: Attention(WIDTH, 4, key_value_heads=2)),
    mixer("attention-rotary", lambda: Attention(WIDTH, 2, rotary=True)),
    mixer("attention-norm", lambda: Attention(WIDTH, 2, query_key_norm=True, bias=False)),
    mixer("attention-window", lambda: Attention(WIDTH, 2, window=3, rotary=True), reach=2),
    mixer("both-ways", lambda: BidirectionalAttention(WIDTH, 2, rotary=True), causal=False),
    mixer(
        "both-ways-window",
        lambda: BidirectionalAttention(WIDTH, 2, window=2),
        causal=False,
        reach=1,
    ),
    mixer("rnn", lambda: RNN(WIDTH)),
    mixer("rnn-relu", lambda: RNN(WIDTH, "relu")),
    mixer("lstm", lambda: LSTM(WIDTH)),
    mixer("gru", lambda: GRU(WIDTH)),
    mixer("mingru", lambda: MinGRU(WIDTH, inner=12, chunk=4)),
    mixer("mingru-16", lambda: MinGRU(WIDTH, chunk=16), chunk=16),
    mixer("lstm+gru", lambda: Bidirectional(WIDTH, LSTM(WIDTH), GRU(WIDTH)), causal=False),
    mixer(
        "mingru+attention",
        lambda: Bidirectional(WIDTH, MinGRU(WIDTH, chunk=4), Attention(WIDTH, 2, rotary=True)),
        causal=False,
    ),
]


def cross_block(
    style: str, own: Callable[[], Mixer], cross: type[CrossAttention] = CrossAttention
) -> CrossSubject:
    """A decoder layer of that style around the mixer of its own past."""

    def make() -> nn.Module:
        def norm() -> nn.Module:
            return nn.LayerNorm(WIDTH)

        kind = BLOCKS[style]
        reading = kind(cross(WIDTH, 2), FeedForward(WIDTH, 12), norm)
        return CrossBlock(kind(own(), None, norm), reading)

    return CrossSubject(f"cross-block-{style}", make)


CROSS = [
    cross_block("post", lambda: Attention(WIDTH, 2)),
    cross_block("pre", lambda: MinGRU(WIDTH, inner=12, chunk=4)),
    cross_block("plain", lambda: GRU(WIDTH), LuongAttention),
]

MODELS = [
    model("model-rnn", "rnn"),
    model("model-lstm", "lstm"),
    model("model-gru", "gru"),
    model("model-mingru", "mingru", mingru={"inner": 24, "chunk": 4}),
    model("model-transformer", "transformer"),
    model("model-transformer-2017", "transformer-2017"),
    model("model-gpt2", "gpt2", attention={"heads": 4}, feed_forward={"width": 24}),
    model("model-window", "transformer", reach=4, attention={"window": 3}),
    model("model-hybrid", "transformer", mixers=("gru", "attention")),
    model("encoder", "transformer", kind="encoder"),
    model("encoder-lstm+lstm", "lstm", kind="encoder", mixers=("lstm+lstm",)),
]

ENCODER_DECODERS = [
    model(f"encoder-decoder-{name}", name, kind="encoder_decoder")
    for name in ("transformer", "transformer-2017", "lstm", "gru", "mingru")
]

# What answers once a row is held to the laws of whole rows alone.
CLASSIFIERS = [
    model(f"classifier-{pooling}-{name}", name, kind="encoder", pooling=pooling, outputs=3)
    for pooling, name in (("first", "transformer"), ("mean", "lstm"), ("max", "gru"))
]

ALL = MIXERS + CROSS + MODELS + ENCODER_DECODERS
CAUSAL = [subject for subject in ALL if subject.causal]
BY_NAME = {subject.name: subject for subject in ALL}


def built(subject: Subject, weights: str = "disturbed") -> nn.Module:
    """The module in fp64 with ``fresh``, ``disturbed`` or ``trained`` weights.

    Fresh biases are zero and fresh norms are one, which hides mistakes: the laws are tested with
    every parameter disturbed, and schedules on trained weights too.
    """
    torch.manual_seed(1)
    module = subject.make().double()
    if weights == "fresh":
        return module
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return _trained(subject, module) if weights == "trained" else module


def _trained(subject: Subject, module: nn.Module) -> nn.Module:
    batch = make_batch(subject, "full", 7, seed=5)
    target = torch.randn_like(subject.call(module, batch, None)[0]).detach()
    for _ in range(8):
        loss = (subject.call(module, batch, None)[0] - target).square().mean()
        gradients = torch.autograd.grad(loss, list(module.parameters()), materialize_grads=True)
        with torch.no_grad():
            for parameter, gradient in zip(module.parameters(), gradients, strict=True):
                parameter.sub_(gradient.clamp(-0.2, 0.2))
    return module


def schedule_count(module: nn.Module) -> int:
    """The most schedules that a mixer inside has."""
    return max(len(part.schedules) for part in _mixing(module))


def use_schedule(module: nn.Module, index: int) -> None:
    """Compute by the schedule of that number in every mixer inside, by its last where it has
    fewer; 0 is the reference, -1 the last."""
    for part in _mixing(module):
        names = list(part.schedules)
        part.schedule = names[min(index, len(names) - 1)]


def _mixing(module: nn.Module) -> list[Mixer]:
    return [part for part in module.modules() if isinstance(part, Mixer)]


def make_batch(
    subject: Subject,
    kind: str,
    length: int,
    *,
    seed: int = 0,
    start_B: Tensor | None = None,
    batch: int = BATCH,
) -> Batch:
    """Random inputs: ``full`` rows, ``ragged`` ones (one is empty), or ``packed`` documents."""
    generator = torch.Generator().manual_seed(seed)
    x_BTD = torch.randn(batch, length, subject.width, generator=generator, dtype=torch.float64)
    if kind == "full":
        rows = Rows.full(batch, length, start_B=start_B)
    elif kind == "ragged":
        lengths_B = torch.tensor([length, (length + 1) // 2, 0])[:batch]
        rows = Rows.padded(lengths_B, length, start_B)
    else:
        rows = _packed(length, start_B, batch)
    if not isinstance(subject, (CrossSubject, EncoderDecoderSubject)):
        return Batch(x_BTD, rows)
    memory_BSD = torch.randn(batch, 5, subject.width, generator=generator, dtype=torch.float64)
    memory_rows = Rows.padded(torch.tensor([5, 3, 0])[:batch], 5)
    return Batch(x_BTD, rows, memory_BSD, memory_rows)


def _packed(length: int, start_B: Tensor | None, batch: int) -> Rows:
    """Documents 0, 1, ... a row; document 0 continues what came before the call."""
    begins = [[length // 3, 2 * length // 3], [1], []][:batch]
    lengths_B = torch.tensor([length, length, max(length - 2, 0)])[:batch]
    segments_BT = torch.zeros(batch, length, dtype=torch.int64)
    positions_BT = Rows.full(batch, length, start_B=start_B).positions_BT.clone()
    for row, starts in enumerate(begins):
        for begin in starts:
            segments_BT[row, begin:] += 1
            positions_BT[row, begin:] = torch.arange(length - begin)
    slots_T = torch.arange(length)
    segments_BT[slots_T >= lengths_B[:, None]] = 99  # padding belongs to no document
    return Rows(positions_BT, lengths_B, segments_BT)
