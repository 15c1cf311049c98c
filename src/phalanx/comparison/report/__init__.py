"""How a study is shown: tables for the terminal, JSON, one self-contained page, one picture.

Everything here reads a :class:`phalanx.comparison.results.Study` and computes no result of its own.
"""

from phalanx.comparison.report.five_rows import print_structure, print_summary
from phalanx.comparison.report.page import render_json, render_page
from phalanx.comparison.report.picture import draw_picture
from phalanx.comparison.report.table import (
    print_levels,
    print_samples,
    print_tables,
    print_training,
)
from phalanx.comparison.report.terminal import print_contract

__all__ = [
    "draw_picture",
    "print_contract",
    "print_levels",
    "print_samples",
    "print_structure",
    "print_summary",
    "print_tables",
    "print_training",
    "render_json",
    "render_page",
]
