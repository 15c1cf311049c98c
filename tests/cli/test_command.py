"""The command as such: what it prints, what it returns, and what it must not import."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import tomllib
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import phalanx
from phalanx.cli import main as command
from phalanx.cli.common import Overrides, print_json, split_overrides
from phalanx.cli.main import main
from phalanx.errors import PhalanxError, UsageError

Install = Callable[[Callable[..., object]], None]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a function the verb ``try``."""

    def install(function: Callable[..., object]) -> None:
        module = types.ModuleType("phalanx.cli.try")
        setattr(module, "try", function)
        monkeypatch.setitem(sys.modules, "phalanx.cli.try", module)
        monkeypatch.setattr(command, "VERBS", {"try": "A test."})

    return install


def fails_with(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PhalanxError("no room"), 1, "phalanx: no room\n"),
        (UsageError("3 is wrong"), 2, "phalanx: 3 is wrong\n"),
        (KeyboardInterrupt(), 130, "phalanx: interrupted\n"),
        (FileNotFoundError(2, "No such file", "a.txt"), 1, "phalanx: a.txt: No such file\n"),
        (SystemExit(7), 7, ""),
        (SystemExit("stop"), 1, ""),
        (SystemExit(), 0, ""),
    ],
)
def test_what_happens_becomes_a_code_and_a_line(
    verb: Install, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    verb(fails_with(error))
    assert main(["try"]) == code
    assert capsys.readouterr().err == said


def test_an_unexpected_error_shows_its_traceback_on_demand_only(
    verb: Install, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verb(fails_with(IndexError("list index out of range\nand more")))
    monkeypatch.delenv("PHALANX_DEBUG", raising=False)
    assert main(["try"]) == 1
    said = capsys.readouterr().err
    assert "unexpected IndexError: list index out of range" in said
    assert "PHALANX_DEBUG=1" in said
    assert "Traceback" not in said
    monkeypatch.setenv("PHALANX_DEBUG", "1")
    assert main(["try"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_termination_unwinds_the_verb(verb: Install) -> None:
    cleaned = []

    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned.append(True)

    verb(work)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["try"]) == 143
    assert cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_verb_may_choose_its_code(verb: Install) -> None:
    verb(lambda: 1)
    assert main(["try"]) == 1
    verb(lambda: "text")
    assert main(["try"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "'trian' is not a command of phalanx. Did you mean 'train'?"),
        (["--hepl"], "'--hepl' is not an option of phalanx. Did you mean '--help'?"),
        (["generate", "m", "--sead", "1"], "Unknown option: --sead. Did you mean --seed?"),
        (["generate", "m", "--seed", "x"], "--seed: expected a whole number (given 'x')."),
        (["train", "--steps", "1.5"], "--steps: expected a whole number (given '1.5')."),
        (["generate", "m", "--seed"], "--seed requires an argument"),
        (["generate", "m", "n"], "Unused Tokens: ['n']"),
        (["generate"], "MODEL"),
        (["generate", "m", "--train.steps", "5"], "--train.steps: `phalanx generate` takes no"),
        (["generate", "m", "--train.steps"], "--train.steps has no value"),
    ],
)
def test_wrong_words_are_explained_in_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""
    assert err.startswith("phalanx: ")
    assert err.count("\n") == 1


def test_overrides_reach_a_verb_that_takes_them(verb: Install) -> None:
    seen: list[object] = []

    def run(paths: list[str], /, *, steps: int = 1, overrides: Overrides = ()) -> None:
        seen.extend((paths, steps, overrides))

    verb(run)
    words = ["try", "a", "--train.steps", "500", "b", "--steps", "3", "--model.width=64"]
    assert main(words) == 0
    assert seen == [["a", "b"], 3, (("train.steps", "500"), ("model.width", "64"))]


@pytest.mark.parametrize(
    ("words", "others", "overrides"),
    [
        (["--a.b", "-1", "c"], ["c"], [("a.b", "-1")]),
        (["--a.b=", "--c.d=e=f"], [], [("a.b", ""), ("c.d", "e=f")]),
        (["--a.b.c", "1", "--a.b.c", "2"], [], [("a.b.c", "1"), ("a.b.c", "2")]),
        (["-a.b", "--ab", "a.b", "--.a", "--a..b"], ["-a.b", "--ab", "a.b", "--.a", "--a..b"], []),
        (["--", "--a.b", "1"], ["--", "--a.b", "1"], []),
        (["--a.b-c", "1"], [], [("a.b_c", "1")]),
        (["--prompt=--a.b"], ["--prompt=--a.b"], []),
    ],
)
def test_overrides_are_told_from_other_words(
    words: list[str], others: list[str], overrides: list[tuple[str, str]]
) -> None:
    assert split_overrides(words) == (others, overrides)


def run_python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    source = str(Path(phalanx.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )


def test_help_waits_for_nothing_heavy() -> None:
    code = """
import sys
from phalanx.cli.main import VERBS, main
for words in (["--help"], ["--version"], [], *([verb, "--help"] for verb in VERBS)):
    assert main(words) == 0, words
    heavy = {"torch", "pydantic", "numpy", "yaml", "tokenizers", "matplotlib"} & set(sys.modules)
    assert not heavy, (words, heavy)
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert phalanx.__version__ in done.stdout


def test_a_verb_explains_itself_at_length(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "--resume" not in capsys.readouterr().out
    assert main(["train", "--help"]) == 0
    assert "goes on where it was" in capsys.readouterr().out  # from the docstring


def test_help_obeys_no_color() -> None:
    code = "from phalanx.cli.main import main; main(['generate', '--help'])"
    coloured = run_python(code, FORCE_COLOR="1").stdout
    plain = run_python(code, FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b[3" in coloured
    assert "\x1b[3" not in plain


def test_a_reader_that_leaves_early_sees_no_traceback() -> None:
    code = """
import sys, types
from phalanx.cli import main as command
module = types.ModuleType("phalanx.cli.flood")
module.flood = lambda: print("x" * 10_000_000)
sys.modules["phalanx.cli.flood"] = module
command.VERBS["flood"] = "A test."
sys.exit(command.main(["flood"]))
"""
    source = str(Path(phalanx.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": source},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1


def test_an_output_that_is_closed_from_the_start_is_no_error(
    verb: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    verb(lambda: print("unheard"))
    monkeypatch.setattr("sys.stdout", None)
    assert main(["try"]) == 0


def test_figures_that_are_not_finite_are_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [1.5, {"c": float("inf")}]})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.5, {"c": None}]}


def test_a_terminal_without_the_characters_gets_question_marks() -> None:
    code = """
import sys, types
from phalanx.cli import main as command
module = types.ModuleType("phalanx.cli.say")
module.say = lambda: print("caf\\u00e9")
sys.modules["phalanx.cli.say"] = module
command.VERBS["say"] = "A test."
sys.exit(command.main(["say"]))
"""
    done = run_python(code, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "caf?\n")


def test_the_module_is_the_command() -> None:
    source = str(Path(phalanx.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "phalanx", "nonsense"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("phalanx: 'nonsense' is not a command")


def test_the_package_is_light_and_complete() -> None:
    code = """
import sys
import phalanx
assert "torch" not in sys.modules
import json
print(json.dumps([name for name in phalanx.__all__ if getattr(phalanx, name) is None]))
assert set(phalanx.__all__) <= set(dir(phalanx))
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        phalanx.nonsense  # noqa: B018  # reading it is the test


def test_the_version_is_that_of_the_project() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    assert phalanx.__version__ == tomllib.loads(project.read_text())["project"]["version"]
    try:
        installed = importlib.metadata.version("phalanx")
    except importlib.metadata.PackageNotFoundError:
        return
    assert phalanx.__version__ == installed


def test_a_warning_is_a_line_without_the_code_that_gave_it(tmp_path: Path) -> None:
    code = (
        "import warnings; from phalanx.cli.main import main; main(['runs', '.']);"
        "warnings.warn('not used: the pooler')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stderr.splitlines()[-1] == "warning: not used: the pooler"
