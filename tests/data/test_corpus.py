"""The golden text is what its script writes."""

import ast
import sys
from pathlib import Path

GOLDENS = Path(__file__).parents[1] / "goldens"


def test_script_and_file_agree() -> None:
    sys.path.insert(0, str(GOLDENS))
    try:
        import make_corpus
    finally:
        sys.path.remove(str(GOLDENS))
    data = (GOLDENS / "corpus.txt").read_bytes()
    assert data == make_corpus.make_corpus().encode()
    assert 100_000 <= len(data) < 101_000
    assert make_corpus.make_corpus(seed=1, size=2000) != make_corpus.make_corpus(size=2000)


def test_the_text_has_something_of_everything() -> None:
    text = (GOLDENS / "corpus.txt").read_text(encoding="utf-8")
    assert len(set(text.split())) > 1000
    for part in ("é", "Ł", "在", "🌊", "🏛️", "€", "\t", "def ", "neither "):
        assert part in text
    code = [part for part in text.split("\n\n") if part.startswith("def ")]
    assert len(code) > 20
    for part in code:
        ast.parse(part)
