"""The module tree: what each module does in each mode; equal siblings are one line."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from phalanx.pages.figures import NOTHING, bytes_, many
from phalanx.profiling.report.words import MODE_NAMES, heading, make_table, printable, whole
from phalanx.profiling.results import ModuleNode, Pass

DEPTH = 3

Show = Callable[[ModuleNode], str]

_FEW: dict[str, Show] = {
    "work": lambda n: many(n.figures.work),
    "span": lambda n: whole(n.figures.span),
}
_FIRST: dict[str, Show] = {**_FEW, "on path": lambda n: whole(n.on_path)}
_ALL: dict[str, Show] = {
    "work": _FEW["work"],
    "bytes": lambda n: bytes_(n.figures.bytes_moved),
    "kernels": lambda n: whole(n.figures.kernels),
    "span": _FEW["span"],
    "scalar": lambda n: whole(n.figures.scalar_span),
    "on path": _FIRST["on path"],
    "calls": lambda n: whole(n.calls),
}

_FIRST_WIDTH, _MODE_WIDTH = 58, 17  # columns of the terminal: names and first mode, each other
_WIDE = 96  # columns of a terminal that shows all figures of one mode


@dataclass(frozen=True)
class Branch:
    """A module in every mode, with its children; ``nodes`` has None where a mode runs nothing.

    Args:
        name: attribute names of the siblings that it stands for: ``0-5``.
        times: how many those are.
        nodes: the module's node in each mode.
        children: below it, folded too.
    """

    name: str
    times: int
    nodes: tuple[ModuleNode | None, ...]
    children: tuple["Branch", ...]

    @property
    def some(self) -> ModuleNode:
        """The node of the first mode that has one."""
        return next(node for node in self.nodes if node is not None)


def print_tree(passes: Sequence[Pass], console: Console, depth: int = DEPTH) -> None:
    """Print the modules of all modes side by side, down to ``depth`` below the root."""
    heading(
        console,
        "By module",
        "Span: longest chain among a module's kernels. On path: its kernels on the critical path.",
    )
    first = _ALL if len(passes) == 1 and console.width >= _WIDE else _FIRST
    fitting = max(1 + (console.width - _FIRST_WIDTH) // _MODE_WIDTH, 1)
    for start in range(0, len(passes), fitting):
        console.print(_table(passes[start : start + fitting], first, depth))


def _table(passes: Sequence[Pass], first: dict[str, Show], depth: int) -> Table:
    columns = [first, *[_FEW] * (len(passes) - 1)]
    table = make_table()
    table.add_column("\nmodule", overflow="fold", min_width=20)
    table.add_column("\nparams", justify="right", no_wrap=True)
    for one, shown in zip(passes, columns, strict=True):
        for place, name in enumerate(shown):
            title = MODE_NAMES[one.mode].removesuffix(" pass") if place == 0 else ""
            table.add_column(f"{title}\n{name}", justify="right", no_wrap=True)
    for level, branch in _walk(join([one.tree for one in passes]), depth):
        cells = [
            NOTHING if node is None else show(node)
            for node, shown in zip(branch.nodes, columns, strict=True)
            for show in shown.values()
        ]
        table.add_row(_name(branch, level), many(branch.some.parameters), *cells)
    return table


def join(trees: Sequence[ModuleNode | None]) -> Branch:
    """The trees of several modes as one, with equal neighbours folded."""
    found: dict[str, None] = {}
    for tree in trees:
        if tree is not None:
            found.update(dict.fromkeys(child.name for child in tree.children))
    children = [join([_child(tree, name) for tree in trees]) for name in found]
    some = next(tree for tree in trees if tree is not None)
    return Branch(some.name, 1, tuple(trees), tuple(_folded(children)))


def _child(tree: ModuleNode | None, name: str) -> ModuleNode | None:
    children = () if tree is None else tree.children
    return next((child for child in children if child.name == name), None)


def _folded(branches: Sequence[Branch]) -> Iterator[Branch]:
    start = 0
    while start < len(branches):
        end = start + 1
        while end < len(branches) and _alike(branches[start]) == _alike(branches[end]):
            end += 1
        first, last = branches[start], branches[end - 1]
        name = first.name if end == start + 1 else f"{first.name}-{_numbered(last.name)[1]}"
        yield replace(first, name=name, times=end - start)
        start = end


def _alike(branch: Branch) -> object:
    """What two siblings must have in common to be one line.

    All but the numbers in their names, and the critical path of any mode but the first: two equal
    layers may differ in where the path enters them.
    """
    stem, number = _numbered(branch.name)
    nodes = [node and replace(node, name="") for node in branch.nodes]
    return stem, number != "", nodes[0], tuple(node and _off_path(node) for node in nodes[1:])


def _off_path(node: ModuleNode) -> ModuleNode:
    return replace(node, on_path=0, children=tuple(map(_off_path, node.children)))


def _numbered(name: str) -> tuple[str, str]:
    """A name and the number at its end apart: ``norm``, ``1``."""
    stem = name.rstrip("0123456789")
    return stem, name[len(stem) :]


def _walk(branch: Branch, depth: int, level: int = 0) -> Iterator[tuple[int, Branch]]:
    yield level, branch
    if level < depth:
        for child in branch.children:
            yield from _walk(child, depth, level + 1)


def _name(branch: Branch, level: int) -> Text:
    indent = "  " * level
    kind = printable(branch.some.kind)
    if level == 0:
        return Text(kind)
    text = Text(f"{indent}{printable(branch.name)}")
    text.append(f" {kind}", style="dim")
    if branch.times > 1:
        text.append(f" (x{branch.times}, each)", style="cyan")
    return text
