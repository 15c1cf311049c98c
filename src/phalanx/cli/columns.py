"""Which options name columns of which task's files: one of another task would do nothing."""

from collections.abc import Iterable

from phalanx.errors import UsageError

_TASKS = {
    "label_column": ("classification",),
    "pair_column": ("classification",),
    "source_column": ("translation",),
    "target_column": ("translation",),
    "tag_column": ("tagging",),
    "text_column": ("classification", "language_modelling", "masked_lm", "tagging"),
}


def check_columns(task: str, given: Iterable[str]) -> None:
    """Refuse an option that names a column which the files of a task do not have.

    Args:
        task: as in the configuration, ``language_modelling``.
        given: names of options, ``label_column``; others than columns pass.

    Raises:
        UsageError: the first of them that does nothing.
    """
    for name in given:
        if task not in _TASKS.get(name, (task,)):
            usable = [
                f"--{key.replace('_', '-')}" for key, tasks in _TASKS.items() if task in tasks
            ]
            raise UsageError(
                f"--{name.replace('_', '-')}: {task.replace('_', ' ')} has no such column. Leave "
                f"it out; there are {' and '.join(usable)}."
            )
