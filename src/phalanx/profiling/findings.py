"""What a user should know first, in sentences: what sets the span, what waits, what to try."""

from collections.abc import Iterator

from phalanx.profiling.results import Mode, ModuleNode, Pass, Profile
from phalanx.profiling.span import Law

_NAMES: dict[Mode, str] = {
    "train": "training",
    "forward": "the full pass",
    "decode": "decoding",
    "run": "the run",
}
_MOST = 2 / 3  # of the critical path: a module with more of it sets the span
_WAVEFRONT = 1.5  # times that the chain of elements is shorter, from which it is worth a sentence
_SERIAL = 1.0  # kernels a position, from which each position waits for the one before


def findings(profile: Profile, decode_is_serial: bool | None = None) -> tuple[str, ...]:
    """Facts that follow from a profile, the most telling first."""
    return tuple(_all(profile, decode_is_serial))


def _all(profile: Profile, decode_is_serial: bool | None) -> Iterator[str]:
    for mode, found in profile.passes.items():
        if mode != "decode":
            yield from _growth(found)
        yield from _setter(found)
        yield from _sums(found)
        yield from _elements(found)
        yield from _time(found)
    decode = profile.passes.get("decode")
    if decode is not None:
        yield from _decoding(decode, decode_is_serial)
    serial = [
        found
        for mode, found in profile.passes.items()
        if mode != "decode" and _verdict(found.laws.span) == "serial"
    ]
    if serial:
        yield (
            "to try: a larger batch, since rows do not wait for one another; or a mixer whose "
            "chain does not grow with T (attention) or grows slowly (a scan, such as mingru)."
        )


def verdict(law: Law | None) -> str:
    """``serial``, ``partly serial``, ``logarithmic``, ``constant``, or "" where there is no law.

    Serial: the chain grows by a kernel a position or more. Partly serial: by less, as where
    chunks of positions wait for one another.
    """
    return _verdict(law)


def _verdict(law: Law | None) -> str:
    if law is None:
        return ""
    if law.slope >= _SERIAL:
        return "serial"
    if law.slope > 0:
        return "partly serial"
    return "logarithmic" if law.logarithm > 0 else "constant"


def _growth(found: Pass) -> Iterator[str]:
    law, what = found.laws.span, _NAMES[found.mode]
    word = _verdict(law)
    if law is None:
        return
    lengths = ", ".join(str(t) for t, _ in law.points)
    rule = f"span = {law} at T = {lengths}"
    if word == "serial":
        yield (
            f"{what} is serial in T: each added position adds {_number(law.slope)} dependent "
            f"kernels ({rule}; serial means 1 or more)."
        )
    elif word == "partly serial":
        yield (
            f"{what} is partly serial in T: an added position adds {_number(law.slope)} dependent "
            f"kernels, fewer than one ({rule})."
        )
    elif word == "logarithmic":
        yield f"{what} has a chain that grows with log2 T only ({rule})."
    else:
        yield f"{what} has a chain that does not grow with T ({rule})."


def _setter(found: Pass) -> Iterator[str]:
    """The module that holds most of the critical path, and the chain that it repeats."""
    path, node = _holder(found.tree)
    if not path or not found.algorithm.span:
        return
    share = node.figures.work / found.algorithm.work if found.algorithm.work else 0.0
    law, each = found.laws.span, ""
    if _verdict(law) == "serial" and found.mode != "decode":
        each = f"about {node.on_path / found.length:,.3g} dependent kernels a position, "
    longest = max(found.path, key=lambda step: step.kernels, default=None)
    chain = ""
    if longest is not None and longest.times > 1:
        chain = f"; most of it repeats x{longest.times:,}: {' -> '.join(longest.chain)}"
    yield (
        f"{_NAMES[found.mode]}: {path} ({_kind(node)}) sets the span: {each}{node.on_path:,} of "
        f"the {found.algorithm.span:,} kernels of the critical path, with {share:.0%} of the "
        f"work{chain}."
    )


def _kind(node: ModuleNode) -> str:
    kinds = {child.kind for child in node.children}
    if len(kinds) == 1 and len(node.children) > 1:
        return f"{len(node.children)} of {kinds.pop()}"
    return node.kind


def _holder(root: ModuleNode) -> tuple[str, ModuleNode]:
    path, node = "", root
    while True:
        held = [child for child in node.children if child.on_path > _MOST * root.on_path]
        if not held or root.on_path == 0:
            return path, node
        node = held[0]
        path = f"{path}.{node.name}" if path else node.name


def _sums(found: Pass) -> Iterator[str]:
    turns = sum(step.kernels for step in found.path if step.reassociable)
    if turns > 2:
        yield (
            f"{_NAMES[found.mode]}: {turns:,} kernels of the critical path add up terms in turn "
            "(a weight's gradient over positions); a tree would need the logarithm of that."
        )


def _elements(found: Pass) -> Iterator[str]:
    depth, chain = found.laws.element_depth, found.laws.span
    if depth is None or chain is None or depth.slope <= 0:
        return
    if chain.slope < _WAVEFRONT * depth.slope:
        return
    yield (
        f"{_NAMES[found.mode]}: element by element the chain is {depth}, against {chain} of whole "
        f"kernels: layers could run as a wavefront, {chain.slope / depth.slope:.1f} times shorter."
    )


def _time(found: Pass) -> Iterator[str]:
    what = _NAMES[found.mode]
    if found.roofline is not None:
        words = {
            "compute": "arithmetic",
            "memory": "moving data",
            "dispatch": "launching small kernels",
        }
        yield f"{what}: most of the predicted time here goes to {words[found.roofline.verdict]}."
        if found.roofline.verdict == "dispatch" and found.prediction is not None:
            yield (
                f"{what}: to try: a larger batch or length, since launching kernels takes "
                f"{found.prediction.dispatch_share:.0%} of the time."
            )
    ends = [f"{axis} {value:,}" for axis, value in found.saturation.items() if value is not None]
    if ends:
        where = " and at ".join(ends)
        yield f"{what}: by prediction this machine's speed stops growing at {where}."


def _decoding(found: Pass, serial: bool | None) -> Iterator[str]:
    if serial:
        yield "decoding is serial: each traced token needs the one before it."
    law = found.laws.work
    if law is not None and law.exact:
        terms = [
            f"{float(size):,.0f}{name}"
            for size, name in ((law.quadratic, " T^2"), (law.linear, " T"), (law.constant, ""))
            if size
        ]
        grows = law.linear != 0 or law.quadratic != 0
        behind = "at a context of T." if grows else "at every context."
        yield f"decoding: a token costs {' + '.join(terms) or '0'} FLOPs {behind}"
    if found.state_bytes is not None and found.cached:
        yield (
            f"decoding: the state holds {found.state_bytes:,} bytes a row at a context of "
            f"{found.length:,}."
        )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value - round(value)) < 0.005 else f"{value:,.2f}"
