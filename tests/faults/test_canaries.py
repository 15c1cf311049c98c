"""Files that would run code where they are unpickled or given to a careless YAML loader."""

import ast
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_commands import begun, newest, write_text

import phalanx
from phalanx import durable
from phalanx.cli.main import main
from phalanx.config import read_yaml
from phalanx.errors import UsageError

SOURCE = Path(phalanx.__file__).parent
FILES = (
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "training.json",
    "training.safetensors",
    "run.yaml",
)


class Payload:
    """Writes a file when it is unpickled: the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.write_text, (self.canary, "unpickled"))


def plain(canary: Path, file: Path) -> None:
    file.write_bytes(pickle.dumps(Payload(canary)))


def of_torch(canary: Path, file: Path) -> None:
    torch.save({"weights": Payload(canary)}, file)


def old_of_torch(canary: Path, file: Path) -> None:
    torch.save({"weights": Payload(canary)}, file, _use_new_zipfile_serialization=False)


def zipped(canary: Path, file: Path) -> None:
    """A few kilobytes that unfold to 64 MiB, and a pickle among them."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload(canary)))
        archive.writestr("archive/data/0", b"\0" * 2**26)


def yaml_tag(canary: Path, file: Path) -> None:
    file.write_text(f'!!python/object/apply:os.system ["touch {canary}"]\n')


PAYLOADS = (plain, of_torch, old_of_torch, zipped, yaml_tag)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("canaries")
    write_text(folder)
    return begun(folder, train__keep=1)


def test_the_canaries_sing(tmp_path: Path) -> None:
    """Where somebody does unpickle them: the payloads work."""
    for number, payload in enumerate((plain, old_of_torch, of_torch)):
        canary = tmp_path / f"canary-{number}"
        payload(canary, tmp_path / "file")
        if payload is plain:
            pickle.loads((tmp_path / "file").read_bytes())  # noqa: S301  # our own
        else:
            torch.load(tmp_path / "file", weights_only=False)
        assert canary.exists()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_runs(
    payload: Callable[[Path, Path], None],
    name: str,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint, canary = newest(run), tmp_path / "canary"
    before = {file: (checkpoint / file).read_bytes() for file in (name, durable.MANIFEST)}
    try:
        payload(canary, checkpoint / name)
        (checkpoint / durable.MANIFEST).unlink()
        if not name.startswith(("training", "run")):
            with pytest.raises(UsageError, match=name):
                phalanx.load(checkpoint)
        durable.seal(checkpoint)  # an attacker seals what he has made
        assert main(["train", "--resume", str(run)]) == 2
        assert name in capsys.readouterr().err
    finally:
        for file, data in before.items():
            (checkpoint / file).write_bytes(data)
    assert not canary.exists()


TAGS = {
    "!!python/object/apply:os.system [touch {canary}]": "could not determine a constructor",
    "!!python/object/new:subprocess.Popen [[touch, {canary}]]": "could not determine",
    "!!python/name:os.system": "could not determine",
    "!!python/module:os": "could not determine",
    "!!python/tuple [1]": "could not determine",
    "!<tag:yaml.org,2002:python/object/apply:os.system> [touch {canary}]": "could not determine",
    "!!bool maybe": "maybe",
    "!!int ''": "not valid YAML",
    "!!float ''": "not valid YAML",
    "!!timestamp soon": "not valid YAML",
    "!!binary aGk=": "no plain data",
    "!!set {{a}}": "no plain data",
    "2020-01-01": "no plain data",
    "1:" * 300 + "1.5": "not valid YAML",
    "9" * 5000: "not valid YAML",
    "[" * 1500: "not valid YAML",
    "\n" + "".join(" " * n + "- \n" for n in range(1500)): "not valid YAML",
    "{{[a]: b}}": "unhashable",
    "&a [*a]": "no plain data",
    "*nobody": "undefined alias",
    "'\0'": "not valid YAML",
    "{{<<: {{b: 1}}}}": "it merges",
}


@pytest.mark.parametrize("value", TAGS)
def test_yaml_is_data(value: str, tmp_path: Path) -> None:
    file, canary = tmp_path / "config.yaml", tmp_path / "canary"
    file.write_text("x: " + value.format(canary=canary) + "\n")
    with pytest.raises(UsageError, match=TAGS[value]) as caught:
        read_yaml(file)
    assert str(file) in str(caught.value)
    assert not canary.exists()


def laughs(line: str) -> str:
    """A billion of them, in a kilobyte."""
    return "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} " + line.format(", ".join([f"*a{n - 1}"] * 10)) + "\n" for n in range(1, 10)
    )


@pytest.mark.parametrize("line", ["[{}]", "{{<<: [{}]}}"])
def test_a_billion_laughs_take_no_memory(line: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(laughs(line))
    with pytest.raises(UsageError, match=r"unfold to more than 1 MiB|it merges"):
        read_yaml(file)
    file.write_text("x: " + "y" * 2**20)
    with pytest.raises(UsageError, match="more than 1 MiB"):
        read_yaml(file)


def test_anchors_that_stay_small_are_welcome(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("train: {betas: &b [0.9, 0.95]}\nother: *b\n")
    assert read_yaml(file)["other"] == [0.9, 0.95]


OPTIMISED = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from test_canaries import PAYLOADS, UsageError, durable, main, phalanx
assert False, "python -O leaves assertions out"
run, canary = Path(sys.argv[1]), Path(sys.argv[2])
checkpoint = (run / "last").resolve()
refused = 0
for name in ("model.safetensors", "tokenizer.json", "training.safetensors", "run.yaml"):
    before = {file: (checkpoint / file).read_bytes() for file in (name, durable.MANIFEST)}
    for payload in PAYLOADS:
        payload(canary, checkpoint / name)
        (checkpoint / durable.MANIFEST).unlink()
        durable.seal(checkpoint)
        refused += main(["train", "--resume", str(run)]) == 2
        try:
            phalanx.load(checkpoint)
            refused += name.startswith(("training", "run"))
        except UsageError:
            refused += 1
    for file, data in before.items():
        (checkpoint / file).write_bytes(data)
print(refused, canary.exists())
"""


@pytest.mark.slow
def test_no_payload_runs_where_assertions_are_left_out(run: Path, tmp_path: Path) -> None:
    here = [str(Path(__file__).parent), str(SOURCE.parent)]
    command = [sys.executable, "-O", "-c", OPTIMISED, str(run), str(tmp_path / "canary"), *here]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["40 False"], done.stderr


FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal"}
FORBIDDEN_MODULES |= {"shelve", "runpy", "code", "imp"}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {
    *("torch.load", "torch.save", "yaml.load", "yaml.load_all", "yaml.unsafe_load"),
    *("yaml.full_load", "os.system", "os.popen", "np.save", "importlib.import_module"),
}


def dangers(source: str) -> list[str]:
    """What in a module could run what a file says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module or ""] if node.module in FORBIDDEN_MODULES else []
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            forbidden = called in FORBIDDEN_NAMES or called in FORBIDDEN_CALLS
            named = {keyword.arg for keyword in node.keywords}
            found += [called] if forbidden or named & {"allow_pickle", "shell"} else []
    return found


def test_nothing_in_the_source_runs_what_a_file_says() -> None:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 100
    found = {str(file): dangers(file.read_text()) for file in files}
    assert {file: names for file, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import torch; torch.load(path)",
        "eval('1')",
        "exec(text)",
        "yaml.load(text, Loader=L)",
        "np.load(path, allow_pickle=True)",
        "__import__('os')",
    ],
)
def test_the_scan_sees(line: str) -> None:
    assert dangers(line)
    assert not dangers("model.eval(); re.compile(x); torch.compile(model)")
