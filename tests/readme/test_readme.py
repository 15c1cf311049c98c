"""The commands and the code of both READMEs run as they stand."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")


def blocks(name: str, language: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def brief(words: list[str]) -> list[str]:
    """The same command, made short: fewer steps, small lengths, and structure alone."""
    if words[0] == "train" and "--resume" not in words:
        # The model that training starts from brings its own size.
        small = [] if "--init" in words else ["--model.width", "32", "--model.layers", "1"]
        return [*words, "--train.steps", "3", *small]
    if words[0] == "compare":
        return [*words, "--only", "structure", "--size", "5000"]
    if words[0] == "profile":
        return [*words, "--no-predict", "--mode", "forward", "--seq-len", "4,6,8,10"]
    if words[0] == "generate":
        return [*words, "--max-new-tokens", "4"]
    return words


def write_labelled_files(folder: Path) -> None:
    intents = [(f"I lost my card {n}", "card") for n in range(30)]
    intents += [(f"what is my balance {n}", "balance") for n in range(30)]
    rows = "".join(f"{text},{label}\n" for text, label in intents)
    (folder / "intents.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    sentence = "{} B-PER\nflew O\nto O\n{} B-LOC\n\n"
    sentences = [sentence.format(f"Alice{n}", f"Paris{n}") for n in range(40)]
    (folder / "entities.conll").write_text("".join(sentences), encoding="utf-8")
    pairs = [f"good day {n}\tguten Tag {n}\n" for n in range(60)]
    (folder / "pairs.tsv").write_text("".join(pairs), encoding="utf-8")


def commands_of(name: str) -> list[str]:
    lines = "".join(blocks(name, "sh")).splitlines()
    return [line for line in lines if line.startswith("phalanx ")]


def test_the_chinese_readme_has_commands_of_the_english_one() -> None:
    """Which run below; the language of a report is tested where reports are."""
    chinese = [command.replace(" --lang zh", "") for command in commands_of(READMES[1])]
    assert len(chinese) >= 6
    assert set(chinese) <= set(commands_of(READMES[0]))


def test_the_shell_commands_run(tmp_path: Path) -> None:
    text = "def add(a, b):\n    return a + b\n\nHello, other text.\n" * 60
    (tmp_path / "my.txt").write_text(text, encoding="utf-8")
    (tmp_path / "other.txt").write_text(text[:300], encoding="utf-8")
    write_labelled_files(tmp_path)
    commands = [shlex.split(line) for line in commands_of(READMES[0])]
    assert len(commands) >= 6
    for _, *words in commands:
        done = subprocess.run(
            [sys.executable, "-m", "phalanx", *brief(words)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr)
        # What a model of three steps translates may be empty: lines, but nothing in them.
        assert done.stdout or words[0] == "train"


def test_the_python_code_runs(tmp_path: Path) -> None:
    (code,) = blocks("README.md", "python")
    (tmp_path / "my.txt").write_text("to be or not to be, " * 100, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_links_of_the_readmes_lead_somewhere() -> None:
    for name in (*READMES, "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert link.startswith("http") or (ROOT / link).exists(), (name, link)
