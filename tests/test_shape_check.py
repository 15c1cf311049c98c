"""The checker of shapes catches wrong annotations and wrong calls, and lets right ones pass."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from phalanx.mixers import GRU
from phalanx.rows import Rows
from phalanx.shapes import Column, Logits, PerRow, Sequence, Vectors
from shape_check import ShapeError, checked, install, modules


@dataclass
class Pair:
    length_B: PerRow
    anything: Tensor | None = None


class Layer(nn.Module):
    """Annotated rightly and wrongly; not wrapped by the fixture."""

    @checked
    def right(self, x_BTD: Sequence, pair: Pair | None = None) -> tuple[Sequence, Pair | None]:
        return x_BTD * 2, pair

    @checked
    def wrong_result(self, x_BTD: Sequence) -> Column:
        return x_BTD

    @checked
    def wider_result(self, x_BTD: Sequence) -> Sequence:
        return torch.cat([x_BTD, x_BTD], -1)

    @checked
    def logits(self, x_BTD: Sequence) -> Logits:
        return torch.cat([x_BTD, x_BTD], -1)

    @checked
    def any_leading_axes(self, x: Vectors) -> Vectors:
        return x


def test_right_calls_pass() -> None:
    layer, x_BTD = Layer(), torch.zeros(2, 3, 4)
    layer.right(x_BTD)
    layer.right(x_BTD, pair=Pair(torch.zeros(2)))
    layer.right(torch.zeros(5, 0, 1))
    layer.logits(x_BTD)
    for shape in ((4,), (3, 4), (2, 3, 4), (1, 2, 3, 4)):
        layer.any_leading_axes(torch.zeros(shape))


def test_planted_wrong_annotations_are_caught() -> None:
    layer, x_BTD = Layer(), torch.zeros(2, 3, 4)
    with pytest.raises(ShapeError, match=r"result has shape \(2, 3, 4\); expected axes 'B D'"):
        layer.wrong_result(x_BTD)
    with pytest.raises(ShapeError, match=r"axis D is 8; .*x_BTD made it 4"):
        layer.wider_result(x_BTD)


def test_wrong_arguments_are_caught() -> None:
    layer, x_BTD = Layer(), torch.zeros(2, 3, 4)
    with pytest.raises(ShapeError, match="expected axes 'B T D'"):
        layer.right(x_BTD[0])
    with pytest.raises(ShapeError, match=r"pair\.length_B: axis B is 3"):
        layer.right(x_BTD, Pair(torch.zeros(3)))


def test_layers_are_checked_in_every_test() -> None:
    mixer = GRU(4)
    with pytest.raises(ShapeError, match="positions_BT: axis T is 5"):
        mixer(torch.zeros(2, 3, 4), Rows.full(2, 5))
    with pytest.raises(ShapeError, match=r"forward: x_BTD has shape \(3, 4\)"):
        mixer(torch.zeros(3, 4), Rows.full(2, 3))


def test_every_layer_is_found() -> None:
    wrapped: list[str] = []
    install(lambda kind, name, _function: wrapped.append(f"{kind.__name__}.{name}"))
    for expected in (
        "_Attention.forward",
        "Attention.step",
        "RecurrentMixer.step",
        "FeedForward.forward",
        "CrossBlock.step",
        "SteppingModel.step",
        "SequenceModel.hidden",
        "CrossAttention.remember",
        "Bidirectional.forward",
    ):
        assert expected in wrapped  # fmt: skip
    assert len(list(modules())) > 15
