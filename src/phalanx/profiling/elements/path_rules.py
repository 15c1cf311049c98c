"""The rule of each operator: which elements of its inputs each element of its result reads.

An operator without a rule raises: a path that was not followed would make a wrong figure.
"""

import torch

from phalanx.profiling.elements.elements import Elements
from phalanx.profiling.elements.rules import (
    along,
    losses,
    moves,
    pointwise,
    products,
    sums,
    windows,
)
from phalanx.profiling.elements.rules.call import Call, Rule, UnfollowedOperatorError

__all__ = ["Call", "UnfollowedOperatorError", "follow"]

_RULES: dict[str, Rule] = {
    **pointwise.RULES,
    **along.RULES,
    **products.RULES,
    **windows.RULES,
    **moves.RULES,
    **sums.RULES,
    **losses.RULES,
    "histc": Call.everything,
}


def follow(call: Call) -> list[Elements]:
    """The elements of each result of ``call``.

    Raises:
        UnfollowedOperatorError: no rule is known for the operator.
    """
    inputs = call.inputs
    if all(item.all_fixed and not item.reached for item in inputs):
        return [call.constant(out, call.name not in pointwise.RANDOM) for out in call.outs]
    rule = _RULES.get(call.name)
    if rule is None and torch.Tag.pointwise in call.func.tags:
        rule = pointwise.pointwise
    if rule is not None:
        return rule(call)
    if any(item.reached for item in inputs):
        raise UnfollowedOperatorError(str(call.func))
    return [call.constant(out, fixed=False) for out in call.outs]
