"""Two complete profiles made by hand: an LSTM and a Transformer, with every optional part filled.

The figures follow closed forms (width d, 2 layers, vocabulary V, batch B), so that laws and points
agree; seconds, peaks and predictions are made up.
"""

import math
from collections.abc import Callable

from phalanx.profiling.results import (
    Figures,
    Laws,
    LengthPoint,
    Measured,
    MeasuredPoint,
    Mode,
    ModuleNode,
    Pass,
    PathStep,
    Positions,
    Prediction,
    Profile,
    Roofline,
    SpeedUp,
)
from phalanx.profiling.span import Law, WorkLaw

D, V, B, LENGTH, LAYERS = 256, 257, 8, 512, 2
LENGTHS = (64, 128, 256, 512, 1024)
SMALL = 16  # T of the matrices of hops
MACHINE = {
    "device": "cpu",
    "processor": "AMD EPYC 9R14",
    "threads": 2,
    "flops": {"float32": 188e9, "bfloat16": 611e9},
    "bandwidth": 21.4e9,
    "launch": 3.1e-6,
}

Curve = Callable[[int], float]


def sample_profiles() -> tuple[Profile, Profile]:
    """The LSTM and the Transformer."""
    return lstm(), transformer()


def lstm() -> Profile:
    def per_token(t: int) -> float:
        return LAYERS * 16 * D * D + 2 * D * V

    spans: dict[Mode, Curve] = {
        "forward": lambda t: 14 * t + 4,
        "train": lambda t: 30 * t + 9,
        "decode": lambda t: 27,
    }
    scalar: dict[Mode, Curve] = {
        "forward": lambda t: 26 * t + 30,
        "train": lambda t: 58 * t + 71,
        "decode": lambda t: 73,
    }
    passes = {
        mode: _pass(mode, per_token, spans[mode], scalar[mode], quadratic=0.0)
        for mode in ("train", "forward", "decode")
    }
    return Profile(
        name="lstm",
        kind="Decoder",
        parameters=1_184_001,
        parameter_bytes=4 * 1_184_001,
        passes=passes,  # type: ignore[arg-type]
        positions=_positions(lambda d: 2.0 * d + 5, lambda d: float(d), lambda d: 0.81**d),
        measured=_measured("lstm", slope=2.1e-4, gain=1.6),
        machine=MACHINE,
        findings=(
            "Training waits for layers.*.mixer (LSTM): 15,360 of 15,369 dependent kernels run "
            "there, 30 for every position.",
            "A batch of 64 instead of 8 is predicted to take 1.9x the time: the chain is the same.",
        ),
        assumptions=_ASSUMED,
    )


def transformer() -> Profile:
    def per_token(t: int) -> float:
        return LAYERS * (24 * D * D + 4 * t * D) + 2 * D * V

    spans: dict[Mode, Curve] = {
        "forward": lambda t: 49,
        "train": lambda t: 100,
        "decode": lambda t: 47,
    }
    scalar: dict[Mode, Curve] = {
        "forward": lambda t: 259 + 6 * math.log2(t),
        "train": lambda t: 540 + 12 * math.log2(t),
        "decode": lambda t: 201 + 4 * math.log2(t),
    }
    passes = {
        mode: _pass(mode, per_token, spans[mode], scalar[mode], quadratic=4.0 * LAYERS * D)
        for mode in ("train", "forward", "decode")
    }
    return Profile(
        name="transformer",
        kind="Decoder",
        parameters=1_645_312,
        parameter_bytes=4 * 1_645_312,
        passes=passes,  # type: ignore[arg-type]
        positions=_positions(lambda d: 11.0, lambda d: float(d > 0), lambda d: 0.3 / (1 + d)),
        measured=_measured("transformer", slope=3.4e-4, gain=1.93),
        machine=MACHINE,
        findings=(
            "The span does not grow with T: 100 dependent kernels in a training pass.",
            "61 % of a training pass goes to matrix products here: it is compute bound.",
        ),
        assumptions=_ASSUMED,
    )


_ASSUMED = (
    "One multiply-add is 2 FLOPs.",
    "A training pass is forward, loss and backward; the optimizer is not part of it.",
    "The loss is cross-entropy against random targets.",
    "Bytes are counted without caches: every kernel reads its inputs and writes its results.",
)

_RATIO = {"train": 3.0, "forward": 1.0}


def _pass(mode: Mode, per_token: Curve, span: Curve, scalar: Curve, *, quadratic: float) -> Pass:
    def figures(t: int, *, fused: bool = False) -> Figures:
        tokens = B if mode == "decode" else B * t
        matmul = round(_RATIO.get(mode, 1.0) * tokens * per_token(t))
        kernels = round(span(t) * (1.4 if mode == "train" else 1.1))
        recurrent = fused and not quadratic
        return Figures(
            kernels=38 if recurrent else kernels,
            span=25 if recurrent else round(span(t)),
            scalar_span=round(scalar(t)),
            schedule_span=round(span(t) * 1.2),
            work=matmul + 40 * D * tokens,
            matmul_work=matmul,
            bytes_moved=round(matmul / (4 if mode == "decode" else 21)),
            peak_bytes=40 * D * tokens,
            syncs=0,
        )

    causal = bool(quadratic)
    tokens = 1 if mode == "decode" else LENGTH
    useful = figures(LENGTH).work * (0.93 if causal and tokens > 1 else 1.0)
    points = tuple(
        LengthPoint(
            t,
            figures(t),
            figures(t).work * (0.93 if causal else 1.0),
            element_depth=7.0 * t + 7 if not causal and t <= 128 else None,
            predicted_seconds=3e-6 * figures(t).kernels + figures(t).work / 120e9,
        )
        for t in LENGTHS
    )
    law = WorkLaw.through({p.length: p.algorithm.matmul_work for p in points})
    work = WorkLaw.through({p.length: p.algorithm.work for p in points})
    seconds = points[LENGTHS.index(LENGTH)].predicted_seconds or 0.0
    dispatch = 0.7 if not causal else 0.1
    return Pass(
        mode=mode,
        batch=B,
        length=LENGTH,
        algorithm=figures(LENGTH),
        executed=figures(LENGTH, fused=True),
        useful_work=useful,
        fused={}
        if mode == "train" and causal
        else {"aten.mkldnn_rnn_layer": 2}
        if not causal
        else {"aten._scaled_dot_product_flash_attention_for_cpu": 2},
        coverage=1.0 if mode != "train" else 0.996,
        unknown={} if mode != "train" else {"aten.special_op": 3},
        orphans={},
        element_depth=None if causal else 7.0 * 64 + 7,
        element_length=None if causal else 64,
        tree=_tree(figures(LENGTH), causal),
        path=_path(mode, causal),
        laws=Laws(
            work=work,
            matmul=law,
            useful=work,
            span=Law.fit({t: round(span(t)) for t in LENGTHS}),
            scalar_span=Law.fit({t: scalar(t) for t in LENGTHS}),
            element_depth=None if causal else Law.fit({t: 7.0 * t + 7 for t in (8, 16, 32)}),
        ),
        points=points,
        traced_on="meta",
        state_bytes=None if mode != "decode" else (2 * LAYERS * D * 4 * (LENGTH if causal else 1)),
        cached=True if mode == "decode" else None,
        roofline=Roofline(
            intensity=figures(LENGTH).intensity,
            ridge=8.8,
            verdict="compute" if causal and mode != "decode" else "dispatch",
            attainable=min(188e9, 21.4e9 * figures(LENGTH).intensity),
        ),
        prediction=Prediction(
            seconds, 0.8 * seconds, 1.25 * seconds, dispatch, 0.2, 0.8 - dispatch
        ),
        what_if=(
            Prediction(
                1.9 * seconds, 1.5 * seconds, 2.4 * seconds, 0.3, 0.2, 0.5, setting="batch=64"
            ),
            Prediction(
                4.1 * seconds, 3.2 * seconds, 5.2 * seconds, 0.7, 0.1, 0.2, setting="seq-len=2048"
            ),
        ),
        saturation={"batch": 64 if not causal else 4, "length": None if not causal else 256},
    )


def _part(figures: Figures, share: float, span: int) -> Figures:
    return Figures(
        kernels=round(figures.kernels * share),
        span=span,
        scalar_span=round(figures.scalar_span * share),
        schedule_span=0,
        work=round(figures.work * share),
        matmul_work=round(figures.matmul_work * share),
        bytes_moved=round(figures.bytes_moved * share),
        peak_bytes=0,
        syncs=0,
    )


def _tree(whole: Figures, causal: bool) -> ModuleNode:
    def node(
        name: str, kind: str, share: float, parameters: int, *children: ModuleNode
    ) -> ModuleNode:
        span = max(round(whole.span * share), 1)
        return ModuleNode(
            name, kind, parameters, _part(whole, share, span), span, 1, tuple(children)
        )

    def layer(number: int) -> ModuleNode:
        if causal:
            children = (
                node("norm", "RMSNorm", 0.01, 256),
                node("mixer", "Attention", 0.15, 262_144),
                node("feed_forward_norm", "RMSNorm", 0.01, 256),
                node("feed_forward", "FeedForward", 0.28, 524_288),
            )
            return node(str(number), "Block", 0.45, 786_944, *children)
        mixer = node("mixer", "LSTM", 0.46, 526_336)
        return node(str(number), "Block", 0.47, 526_592, node("norm", "RMSNorm", 0.01, 256), mixer)

    layers = node("layers", "ModuleList", 0.9, 2 * 786_944, layer(0), layer(1))
    embedding, head = (
        node("embedding", "Embedding", 0.02, D * V),
        node("head", "Linear", 0.06, D * V),
    )
    return ModuleNode("", "Decoder", 1_184_001, whole, whole.span, 1, (embedding, layers, head))


def _path(mode: Mode, causal: bool) -> tuple[PathStep, ...]:
    times = 1 if mode == "decode" else LENGTH
    backward = mode == "train"
    if causal:
        chain = ("addmm", "bmm", "softmax", "bmm", "addmm", "add", "rms_norm", "addmm", "gelu")
        steps = [
            PathStep(1, "embedding", "Embedding", "forward", ("embedding",), 1),
            PathStep(2, "layers.*", "Block", "forward", (*chain, "addmm", "add"), 22),
            PathStep(1, "head", "Linear", "forward", ("mm",), 1),
        ]
        if backward:
            steps += [
                PathStep(1, "", "", "forward", ("log_softmax", "nll_loss"), 2),
                PathStep(
                    2, "layers.*", "Block", "backward", ("mm", "(x24: mul -> mm)", "bmm"), 100
                ),
            ]
        return tuple(steps)
    chain = ("addmm", "sigmoid", "mul", "mul", "add", "tanh", "mul")
    steps = [
        PathStep(1, "embedding", "Embedding", "forward", ("embedding",), 1),
        PathStep(times, "layers.0.mixer", "LSTM", "forward", chain, 7 * times),
        PathStep(times, "layers.1.mixer", "LSTM", "forward", chain, 7 * times),
        PathStep(1, "head", "Linear", "forward", ("rms_norm", "mm", "add"), 3),
    ]
    if backward:
        steps += [
            PathStep(1, "", "", "forward", ("log_softmax", "nll_loss"), 2),
            PathStep(
                times,
                "layers.*.mixer",
                "LSTM",
                "backward",
                ("mul", "(x3: mul -> add)", "sigmoid_backward", "mm", "mul", "(x5: add)", "cat"),
                15 * times,
            ),
            PathStep(
                times, "layers.0.mixer", "LSTM", "backward", ("add",), times, reassociable=True
            ),
            PathStep(1, "embedding", "Embedding", "backward", ("mul", "embedding_dense"), 3),
        ]
    return tuple(steps)


def _positions(hops: Curve, exchanges: Curve, gradient: Curve) -> Positions:
    def matrix(value: Curve) -> tuple[tuple[float | None, ...], ...]:
        return tuple(
            tuple(value(j - i) if j >= i else None for j in range(SMALL)) for i in range(SMALL)
        )

    distances = range(1, SMALL)
    return Positions(
        length=SMALL,
        hops_ij=matrix(hops),
        exchanges_ij=matrix(exchanges),
        causal_by_shadow=True,
        causal_by_gradient=True,
        leak=0.0,
        receptive_field=SMALL - 1,
        gradient_by_distance=tuple(gradient(d) for d in range(SMALL)),
        hops_law=Law.fit({d: hops(d) for d in distances}),
        exchanges_law=Law.fit({d: exchanges(d) for d in distances}),
    )


def _measured(name: str, *, slope: float, gain: float) -> Measured:
    def point(axis: str, value: int, seconds: float, predicted: float) -> MeasuredPoint:
        return MeasuredPoint(
            "train",
            axis,  # type: ignore[arg-type]
            value,
            seconds,
            0.95 * seconds,
            1.1 * seconds,
            predicted,
        )

    points = (
        *(point("length", t, slope * t, 0.9 * slope * t) for t in LENGTHS),
        *(point("batch", b, slope * 300 * b**0.6, slope * 330 * b**0.55) for b in (1, 2, 4, 8)),
        point("threads", 1, gain * slope * LENGTH, gain * slope * LENGTH * 0.92),
        point("threads", 2, slope * LENGTH, slope * LENGTH * 1.1),
    )
    workers = (1, 2, 4, 8, 16)
    speed_up = SpeedUp(
        mode="train",
        workers=workers,
        perfect=tuple(map(float, workers)),
        brent_low=tuple(1 / (1 / p + 0.01) for p in workers),
        brent_high=tuple(min(float(p), 90.0) for p in workers),
        burdened=tuple(1 / (1 / p + 0.06 * (p > 1)) for p in workers),
        realisable=tuple(1 / (1 / p + (1 - 1 / p) * (2 / gain - 1)) for p in workers),
        measured={1: (1.0, 0.97, 1.04), 2: (gain, gain * 0.96, gain * 1.05)},
    )
    return Measured(
        points=points,
        speed_up=(speed_up,),
        inconclusive=None
        if name == "lstm"
        else "The times are inconclusive: the control kernel varied 1.9x",
        control={"length": 1.08, "batch": 1.05, "threads": 1.9 if name != "lstm" else 1.1},
        sentences=(f"Training reaches {gain}x with 2 threads; Brent allows 2.0x.",),
    )
