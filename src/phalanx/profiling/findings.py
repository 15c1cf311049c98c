"""What a user should know first: what waits, what sets the span, what limits, what to try."""

from collections.abc import Iterator

from phalanx.profiling.results import MODE_NAMES, ModuleNode, Pass, Profile
from phalanx.profiling.span import Law

_MOST = 2 / 3  # of the critical path: a module with more of it sets the span
_WAVEFRONT = 1.5  # times that the chain of elements is shorter, from which it is worth a sentence
_SERIAL = 1.0  # kernels a position, from which each position waits for the one before
_WORTH = 0.25  # of the span, from which a chain that need not be one is worth a sentence
_ROUNDS = 3  # from which a chain is said to repeat
_LIMITS = {
    "compute": "arithmetic",
    "memory": "moving data",
    "dispatch": "launching small kernels",
}


def findings(profile: Profile, decode_is_serial: bool | None = None) -> tuple[str, ...]:
    """At most six facts that follow from a profile and are not in its tables, the first first.

    All but the first speak of one pass, the most telling: training, else forward, else one token.
    """
    if not profile.passes:
        return ()
    main = next(iter(profile.passes.values()))  # in the order of MODES
    growth = " ".join(_growth(profile, decode_is_serial))
    rest = (*_setter(main), *_elements(main), *_sums(main), *_time(main), *_to_try(main))
    return (growth, *rest) if growth else rest


def verdict(law: Law | None) -> str:
    """``serial``, ``partly serial``, ``logarithmic``, ``constant``, or "" where there is no law.

    Serial: the chain grows by a kernel a position or more. Partly serial: by less, as where
    chunks of positions wait for one another.
    """
    if law is None:
        return ""
    if law.slope >= _SERIAL:
        return "serial"
    if law.slope > 0:
        return "partly serial"
    return "logarithmic" if law.logarithm > 0 else "constant"


def _growth(profile: Profile, decode_is_serial: bool | None) -> Iterator[str]:
    """What is serial in each mode and what is not."""
    for found in profile.passes.values():
        name, law = _name(found), found.laws.span
        if found.mode == "decode":
            yield from _decoding(found, decode_is_serial)
        elif law is not None:
            each = f"{_number(law.slope)} dependent kernels for each position"
            yield {
                "serial": f"{name}: serial in T, {each}.",
                "partly serial": f"{name}: partly serial in T, {each} (serial: 1 or more).",
                "logarithmic": f"{name}: not serial, its chain grows with log2 T only.",
                "constant": f"{name}: not serial, its chain does not grow with T.",
            }[verdict(law)]


def _decoding(found: Pass, serial: bool | None) -> Iterator[str]:
    waits = "waits for the one before it" if serial else ""
    law, costs = found.laws.work, ""
    if law is not None and law.exact:
        grows = law.linear != 0 or law.quadratic != 0
        costs = f"costs {'more with a longer context' if grows else 'the same at every context'}"
    said = "; ".join(part for part in (waits, costs) if part)
    if said:
        yield f"One token: {said}."


def _setter(found: Pass) -> Iterator[str]:
    """The module that holds most of the critical path, and the chain that it repeats."""
    path, node = _holder(found.tree)
    span = found.algorithm.span
    if not path or not span:
        return
    share = node.figures.work / found.algorithm.work if found.algorithm.work else 0.0
    longest = max(found.path, key=lambda step: step.kernels, default=None)
    chain = ""
    if longest is not None and longest.times >= _ROUNDS:
        chain = f"; x{longest.times:,}: {' -> '.join(longest.chain)}"
    yield (
        f"{_name(found)}: {path} ({_kind(node)}) sets the span: {node.on_path:,} of {span:,} "
        f"dependent kernels, {share:.0%} of the work{chain}."
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


def _elements(found: Pass) -> Iterator[str]:
    depth, chain = found.laws.element_depth, found.laws.span
    if depth is None or chain is None or depth.slope <= 0:
        return
    if chain.slope < _WAVEFRONT * depth.slope:
        return
    yield (
        f"{_name(found)}: {depth} by elements, against {chain} by kernels: layers could overlap "
        f"as a wavefront, {chain.slope / depth.slope:.1f} times shorter."
    )


def _sums(found: Pass) -> Iterator[str]:
    turns = sum(step.kernels for step in found.path if step.reassociable)
    if turns > max(_WORTH * found.algorithm.span, _ROUNDS):
        yield (
            f"{_name(found)}: {turns:,} dependent kernels add up terms in turn (a weight's "
            "gradient over positions); a tree would need the logarithm of that."
        )


def _time(found: Pass) -> Iterator[str]:
    if found.roofline is not None and found.prediction is not None:
        shares = {
            "compute": found.prediction.compute_share,
            "memory": found.prediction.memory_share,
            "dispatch": found.prediction.dispatch_share,
        }
        limit = found.roofline.verdict
        yield (
            f"{_name(found)}: {shares[limit]:.0%} of the predicted time here goes to "
            f"{_LIMITS[limit]}."
        )
    ends = [f"{axis} {value:,}" for axis, value in found.saturation.items() if value is not None]
    if ends:
        yield (
            f"{_name(found)}: by prediction this machine's speed stops growing at "
            f"{' and at '.join(ends)}."
        )


def _to_try(main: Pass) -> Iterator[str]:
    limit = main.roofline.verdict if main.roofline is not None else ""
    if main.mode != "decode" and verdict(main.laws.span) == "serial":
        yield (
            "To try: a larger batch, since rows do not wait for one another; or a mixer whose "
            "chain does not grow with T (attention) or grows slowly (a scan, such as mingru)."
        )
    elif main.mode == "decode" and limit:
        yield "To try: more rows at once, which share each launch and each read of the weights."
    elif limit == "dispatch":
        yield "To try: a larger batch or length, whose kernels are as many and larger."


def _name(found: Pass) -> str:
    return MODE_NAMES[found.mode].capitalize()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value - round(value)) < 0.005 else f"{value:,.2f}"
