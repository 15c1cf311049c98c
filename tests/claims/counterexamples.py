"""For each claim: an ordinary model, a planted one, and the verdict that each must get."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import planted
import torch
from torch import nn

from phalanx.comparison import rules
from phalanx.comparison.claims import STRUCTURE
from phalanx.comparison.figures import Figures
from phalanx.comparison.reach import decades_per_position
from phalanx.comparison.results import Verdict
from phalanx.comparison.subjects import Subject
from phalanx.models import build
from phalanx.profiling.elements.gradients import gradient_by_distance

Make = Callable[[], Subject]


@dataclass(frozen=True)
class Counterexample:
    claim: str
    ordinary: str
    expected: str
    make: Make
    planted: str
    turned: str
    make_planted: Make

    def verdicts(self) -> tuple[Verdict, Verdict]:
        judge = STRUCTURE[self.claim]
        return judge(_figures(self.make)), judge(_figures(self.make_planted))


@cache
def _figures(make: Make) -> Figures:
    return Figures(make())


def _transformer(**changes: object) -> Make:
    return lambda: planted.subject("transformer", **changes)


def _encoder(**changes: object) -> Make:
    return lambda: planted.subject("transformer", kind="encoder", layers=1, **changes)


def _changed(label: str, change: Callable[..., None], **changes: object) -> Make:
    return lambda: planted.with_change(label, change, "transformer", **changes)


_ONE, _ONE_ENCODER = _transformer(layers=1), _encoder()

COUNTEREXAMPLES = [
    Counterexample(
        *("C1", "rnn", "serial", lambda: planted.subject("rnn")),
        *("minGRU", "chunked", lambda: planted.subject("mingru")),
    ),
    Counterexample(
        *("C2", "rnn", "linear", lambda: planted.subject("rnn", layers=1)),
        *("attention", "one_step", _ONE),
    ),
    Counterexample(
        *("C3", "attention", "parallel", _ONE),
        *("attention to earlier outputs", "serial"),
        _changed("feedback", planted.as_attention(planted.FeedbackAttention), layers=1),
    ),
    Counterexample(
        *("C3", "attention", "parallel", _ONE),
        *("softmax key by key", "serial"),
        _changed("running", planted.as_attention(planted.RunningSoftmaxAttention), layers=1),
    ),
    Counterexample(
        *("C4", "attention", "independent", _ONE),
        *("heads mixed before the softmax", "dependent"),
        _changed("mixed heads", planted.as_attention(planted.MixedHeads), layers=1),
    ),
    Counterexample(
        *("C5", "feed-forward", "independent", _ONE),
        *("convolutional feed-forward", "dependent"),
        _changed("convolution", planted.replace_feed_forward(planted.Convolution), layers=1),
    ),
    Counterexample(
        *("C5", "feed-forward", "independent", _ONE),
        *("adds the mean over positions", "dependent"),
        _changed("mean", planted.replace_feed_forward(planted.AddsTheMean), layers=1),
    ),
    Counterexample(
        *("C6", "transformer", "independent", _ONE),
        *("norm over the batch", "dependent"),
        _changed("batch norm", planted.normalize_over_the_batch, layers=1),
    ),
    Counterexample(
        *("C7", "transformer", "yes", _ONE),
        *("decoder that looks both ways", "fails"),
        _changed("both ways", planted.look_both_ways, layers=1),
    ),
    Counterexample(
        *("C8", "transformer", "serial", _ONE),
        *("does not read its own tokens", "parallel"),
        _changed("blind", planted.become(planted.BlindDecoder), layers=1),
    ),
    Counterexample(
        *("C9", "encoder", "yes", _ONE_ENCODER),
        *("bidirectional LSTM", "no"),
        lambda: planted.subject("lstm", kind="encoder", mixers=("lstm+lstm",)),
    ),
    Counterexample(
        *("C9", "encoder", "yes", _ONE_ENCODER),
        *("encoder applied T times", "no"),
        _changed("iterated", planted.become(planted.IteratedEncoder), **planted.BARE_ENCODER),
    ),
    Counterexample(
        *("C10", "attention", "one_step", _ONE),
        *("attention with a window", "out_of_reach"),
        _transformer(layers=2, attention={"window": 8}),
    ),
    Counterexample(
        *("C11", "transformer", "high", lambda: planted.subject("transformer", width=128)),
        *("pooling, no products", "low"),
        _changed("no products", planted.without_products, width=64, layers=1),
    ),
    Counterexample(
        *("C12", "transformer", "holds", lambda: planted.subject("transformer")),
        *("grows by narrow layers", "fails"),
        lambda: planted.growing_by_layers("transformer"),
    ),
    Counterexample(
        *("C12", "transformer", "holds", lambda: planted.subject("transformer")),
        *("rnn, one row", "fails", lambda: planted.subject("rnn")),
    ),
    Counterexample(
        *("B1", "minGRU", "holds", lambda: planted.subject("mingru", layers=1)),
        *("GRU", "fails", lambda: planted.subject("gru", layers=1)),
    ),
]


@dataclass(frozen=True)
class Dynamics:
    """A plain RNN whose recurrent weights are scaled (C2, measured part)."""

    label: str
    expected: str
    radius: float
    nonlinearity: str = "tanh"
    identity: bool = False
    inputs: float = 1e-3

    def verdict(self) -> Verdict:
        config = planted.config(
            "rnn", layers=1, recurrence={"nonlinearity": self.nonlinearity, "schedule": "serial"}
        )
        model = build(config.model_copy(update={"width": 16}), seed=0).double()
        mixer = model.blocks[0].mixer
        with torch.no_grad():
            if self.identity:
                nn.init.eye_(mixer.weight_hh_l0)
                nn.init.eye_(mixer.weight_ih_l0)
                model.embedding.weight.abs_()  # inside the half where relu is the identity
            mixer.weight_hh_l0.mul_(self.radius)  # orthogonal: every eigenvalue has radius 1
            model.embedding.weight.mul_(self.inputs)
        generator = torch.Generator().manual_seed(0)
        ids_BT = torch.randint(64, (4, 33), generator=generator)
        norms = gradient_by_distance(lambda x: model.hidden(x)[0], ids_BT, at=model.embedding)
        figure = decades_per_position(dict(enumerate(norms)))
        return rules.GRADIENT.judge(figure, how=self.label)


DYNAMICS = [
    Dynamics("rnn, recurrent radius 0.5", "vanishes", 0.5),
    # Small enough inputs that 1.5^32 does not reach the bend of tanh.
    Dynamics("rnn, recurrent radius 1.5", "explodes", 1.5, inputs=1e-8),
    Dynamics("relu rnn, identity weights", "stable", 1.0, "relu", identity=True),
]
