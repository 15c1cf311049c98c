"""FLOPs of a model's passes at any length, counted by the tracer and extended exactly."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.config import ModelConfig
from phalanx.models import Decoder, SequenceModel, build, count
from phalanx.profiling.span import WorkLaw, trace_lengths
from phalanx.rows import Rows
from phalanx.tasks.language_modelling import Batch, loss

# Four lengths: three determine a law of T and T squared, the fourth checks it.
LENGTHS = (4, 8, 12, 16)


@dataclass(frozen=True)
class Work:
    """FLOPs in matrix products, 2 for each multiply-add, of one row of T positions.

    Rows are independent, so that a batch costs as many times as much. Attention is counted as it
    is executed: all pairs of positions, the masked ones too.

    Args:
        mixers: of the mixers alone, forward.
        forward: of the whole model.
        train: of forward, loss and backward.
    """

    mixers: WorkLaw
    forward: WorkLaw
    train: WorkLaw


_LARGE = 20_000_000  # parameters


def count_work(config: ModelConfig) -> Work:
    """Trace a model's passes over a few positions.

    Real tensors are traced several times faster than meta tensors, whose kernels are Python; a
    large model is traced on meta all the same, where it takes no memory.
    """
    device = "meta" if count(config)[0] > _LARGE else "cpu"
    with torch.device(device):
        model = build(config.model_copy(update={"dropout": 0.0}))
    assert isinstance(model, SequenceModel)

    def law(call: Callable[[int], Callable[[], object]]) -> WorkLaw:
        traces = trace_lengths(call, LENGTHS)
        return WorkLaw.through({length: traces[length].matmul_work for length in LENGTHS})

    return Work(
        law(lambda length: mixers_call(model, 1, length, device)),
        law(lambda length: forward_call(model, ids(model, 1, length, device))),
        law(lambda length: train_call(model, ids(model, 1, length, device))),
    )


def ids(model: SequenceModel, batch: int, length: int, device: str) -> torch.Tensor:
    """Random tokens (B, T), the same for every model of one vocabulary."""
    if device == "meta":
        return torch.zeros(batch, length, dtype=torch.int64, device="meta")
    generator = torch.Generator().manual_seed(batch * length)
    drawn = torch.randint(0, model.config.vocabulary, (batch * length,), generator=generator)
    return drawn.reshape(batch, length).to(device)


def mixers_call(model: SequenceModel, batch: int, length: int, device: str) -> Callable[[], object]:
    """All mixers of a model on inputs of their own, one after another, without gradients."""
    mixers = [block.mixer for block in model.blocks]
    x_BTD = torch.zeros(batch, length, model.config.width, device=device)
    if device != "meta":
        x_BTD.copy_(torch.randn(x_BTD.shape, generator=torch.Generator().manual_seed(0)))
    rows = Rows.full(batch, length, device)

    def call() -> object:
        with torch.no_grad():
            return [mixer(x_BTD, rows)[0] for mixer in mixers]  # type: ignore[operator]  # modules

    return call


def forward_call(model: SequenceModel, ids_BT: torch.Tensor) -> Callable[[], object]:
    """One pass with scores at every position, without gradients."""

    def call() -> object:
        with torch.no_grad():
            return model(ids_BT)

    return call


def train_call(model: SequenceModel, ids_BT: torch.Tensor) -> Callable[[], object]:
    """Forward, loss and backward: under teacher forcing, or of an encoder's labels."""
    batch = Batch(ids_BT, ids_BT.roll(-1, 1))

    def decoder_loss() -> torch.Tensor:
        return loss(model, batch)

    def encoder_loss() -> torch.Tensor:
        scores_NC = model(ids_BT).flatten(0, -2)
        return F.cross_entropy(scores_NC, ids_BT.new_zeros(len(scores_NC)))

    made = decoder_loss if isinstance(model, Decoder) else encoder_loss

    def call() -> object:
        model.zero_grad(set_to_none=True)
        made().backward()
        return None

    return call
