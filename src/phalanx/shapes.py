"""Axis letters, and the tensor aliases made of them.

A tensor's name ends in its axes: ``x_BTD`` has a batch, a position and a width axis.

    B  batch                T  position (of a query)    S  position (of a key)
    D  width of the model   H  heads                    K  width of a head
    V  vocabulary           F  width of a feed-forward  L  layers
    C  chunk                N  items of any other list

The aliases are plain tensors to the program and carry their axes for readers and for the tests,
which check every annotated call against them (tests/shape_check.py).
"""

from typing import Annotated

from torch import Tensor

PerRow = Annotated[Tensor, "B"]
PerPosition = Annotated[Tensor, "B T"]
Sequence = Annotated[Tensor, "B T D"]
Column = Annotated[Tensor, "B D"]
Vectors = Annotated[Tensor, "... D"]  # of both forms: a sequence or a column
Ids = Annotated[Tensor, "B T"]
SourceIds = Annotated[Tensor, "B S"]
Logits = Annotated[Tensor, "B T V"]
Scores = Annotated[Tensor, "B V"]
Mask = Annotated[Tensor, "B T S"]
Index = Annotated[Tensor, "N"]
