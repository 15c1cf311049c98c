"""`phalanx profile`: every kind of target, every wrong word, what stays when something fails."""

import json
from pathlib import Path

import pytest

from phalanx.cli.main import main
from phalanx.cli.profile_options import lengths
from phalanx.cli.profile_work import Work
from phalanx.errors import UsageError

Capture = pytest.CaptureFixture[str]

FILE = """
import torch
from torch import nn

def build(batch=1, seq_len=16):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU()), torch.randn(batch, seq_len, 4)

def recurrent(batch=1, seq_len=16):
    return nn.LSTM(4, 8, batch_first=True), torch.randn(batch, seq_len, 4)

def raises():
    raise KeyError("weights")

def nothing():
    return None

class Odd(nn.Module):
    def forward(self, x):
        return x @ torch.zeros(5, 5)

def fails(batch=1, seq_len=16):
    return Odd(), torch.randn(batch, seq_len, 4)

def needs(width):
    return nn.Linear(4, width), torch.randn(1, 8, 4)

def ends():
    raise SystemExit(0)

def strings():
    return nn.Linear(4, 4), "to be"

class Says(nn.Module):
    def forward(self, x):
        return "x"

def says():
    return Says(), torch.randn(1, 8, 4)

def scripted():
    return torch.jit.script(nn.Linear(4, 4)), torch.randn(1, 8, 4)

def speaks(batch=1, seq_len=16):
    print("here I am")
    return build(batch, seq_len)

class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scores = nn.Linear(4, 3)

    def forward(self, x):
        return self.scores(x.mean(1))

def pooled(batch=1, seq_len=16):
    return Pooled(), torch.randn(batch, seq_len, 4)

class OneWay(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x + 1

    @staticmethod
    def backward(ctx, gradient):
        raise NotImplementedError("one way")

class Unlearnable(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(4, 4)

    def forward(self, x):
        return OneWay.apply(self.map(x))

def unlearnable(batch=1, seq_len=16):
    return Unlearnable(), torch.randn(batch, seq_len, 4)
"""

SHORT = ["--seq-len", "4,8,12,16", "--no-predict"]


@pytest.fixture
def module(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(FILE, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to profile is named"),
        (["lstn"], "Did you mean 'lstm'?"),
        (["nowhere.py:build"], "nowhere.py: no such file"),
        (["nowhere.py"], "no function is named"),
        (["hf:nowhere"], "holds no config.json"),
        (["lstm", "--seq-len", "64,many"], "--seq-len many: expected whole numbers"),
        (["lstm", "--seq-len", "64,,128"], "--seq-len 64,,128: expected whole numbers"),
        (["lstm", "--seq-len", "0"], "--seq-len 0: expected whole numbers of 1 or more"),
        (["lstm", "--seq-len", "-5"], "--seq-len -5"),
        (["lstm", "--batch", "0"], "--batch 0: expected 1 or more"),
        (["lstm", "--batch", "two"], "expected a whole number (given 'two')"),
        (["lstm", "--depth", "-1"], "--depth -1: expected 0 or more"),
        (["lstm", "--size", "0"], "--size 0: expected 1 or more"),
        (["lstm", "--mode", "training"], "--mode"),
        (["lstm", "--device", "gpu"], "--device"),
        (["lstm", "--what-if", "batch"], "such as batch=64"),
        (["lstm", "--what-if", "batch=many"], "'many' is no positive whole number"),
        (["lstm", "--what-if", "bach=64"], "Did you mean 'batch'?"),
        (["lstm", "--what-if", "batch=2", "--no-predict"], "--what-if with --no-predict"),
        (["lstm", "--budget", "60"], "--budget 60 is for --measure"),
        (["lstm", "--measure", "--budget", "soon"], "budget 'soon'"),
        (["lstm", "--html", "."], "is a directory"),
        (["lstm", "--what-if", "threads=100000"], "--what-if threads=100000: this machine has"),
        (["gpt2", "--seq-len", "2048", "--no-predict"], "1 to 1024 positions"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(words: list[str], said: str, capsys: Capture) -> None:
    assert main(["profile", *words]) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert out == ""
    assert "Traceback" not in err


def test_lengths_are_a_list_or_repeated_in_any_order() -> None:
    assert lengths(("64,128", "32", "64")) == (32, 64, 128)
    assert lengths(()) is None
    with pytest.raises(UsageError, match="x"):
        lengths(("64", "x"))


def test_cuda_without_a_gpu_is_refused(
    module: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["profile", f"{module}:build", "--device", "cuda"]) == 2
    assert "torch sees no GPU" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_refused_first(module: str, capsys: Capture) -> None:
    assert main(["profile", f"{module}:build", "--html", f"{module}/below/a.html"]) == 2
    out, err = capsys.readouterr()
    assert "cannot write into" in err
    assert "tracing" not in err
    assert out == ""


@pytest.mark.parametrize(
    ("function", "code", "said"),
    [
        ("biuld", 2, "Did you mean 'build'?"),
        ("raises", 1, "KeyError"),
        ("nothing", 2, "NoneType"),
        ("fails", 1, "mine.py"),
        ("needs", 2, "needs: the function needs width."),
        ("ends", 1, "ends: its code ended the program: sys.exit(0)."),
        ("strings", 2, "mine.py:strings: example_inputs: given str"),
        ("says", 2, "mine.py:says: the module returned str"),
        ("scripted", 2, "whose kernels run outside Python"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    module: str, capsys: Capture, function: str, code: int, said: str
) -> None:
    assert main(["profile", f"{module}:{function}", *SHORT]) == code
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_a_file_that_raises_is_named_with_its_line(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "broken.py"
    path.write_text("x = 1\ny = x / 0\n", encoding="utf-8")
    assert main(["profile", f"{path}:build"]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err
    assert f"{path}" in err
    assert "line 2" in err or ":2" in err


def test_a_module_of_the_users_own(module: str, capsys: Capture) -> None:
    assert main(["profile", f"{module}:recurrent", *SHORT, "--mode", "forward"]) == 0
    out, err = capsys.readouterr()
    assert "LSTM" in out
    assert "Critical path" in out
    assert "tracing" in err


def test_the_example_file_is_profiled(capsys: Capture) -> None:
    path = Path(__file__).parents[2] / "recipes" / "my_module.py"
    assert main(["profile", f"{path}:build", *SHORT, "--mode", "forward"]) == 0
    assert "convolution Conv1d" in capsys.readouterr().out


def test_no_times_are_predicted_for_a_gpu(
    module: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    monkeypatch.setattr(Work, "do", lambda self, *_, **__: given.append(self._request.predict))
    assert main(["profile", f"{module}:build", "--device", "cuda"]) == 0
    assert given == [False]
    assert "no times are predicted for a GPU" in capsys.readouterr().err


def test_the_lengths_of_a_what_if_make_room_in_a_preset(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []

    def stop(words: object, *, longest: int | None, size: object) -> None:
        asked.append(longest)
        raise UsageError("enough")

    monkeypatch.setattr("phalanx.profiling.subjects.subject.subjects_from", stop)
    monkeypatch.setattr("phalanx.cli.profile_work._speeds", lambda: None)
    assert main(["profile", "lstm", "--seq-len", "8", "--what-if", "seq-len=2048"]) == 2
    assert asked == [2048]


def test_a_page_is_written(module: str, tmp_path: Path, capsys: Capture) -> None:
    page = tmp_path / "new" / "profile.html"
    words = ["profile", f"{module}:build", *SHORT, "--mode", "forward", "--html", str(page)]
    assert main(words) == 0
    assert "Sequential" in page.read_text(encoding="utf-8")
    assert f"page: {page}" in capsys.readouterr().err


def test_json_is_alone_on_stdout(module: str, capsys: Capture) -> None:
    words = ["profile", f"{module}:build", f"{module}:recurrent", *SHORT, "--mode", "train"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["failed"] == {}
    assert [one["kind"] for one in found["profiles"]] == ["Sequential", "LSTM"]
    # Two linear maps forward, one backward for the weight: the input needs no gradient.
    work = found["profiles"][0]["passes"]["train"]["algorithm"]["matmul_work"]
    assert work == 2 * (2 * 16 * 4 * 8)


def test_one_that_fails_leaves_the_others(module: str, capsys: Capture) -> None:
    words = ["profile", "lstn", f"{module}:build", *SHORT, "--mode", "forward"]
    assert main([*words, "--json"]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert [one["kind"] for one in found["profiles"]] == ["Sequential"]
    assert "lstn" in found["failed"]
    assert "Did you mean 'lstm'?" in err


def test_one_that_fails_in_any_way_leaves_the_others(
    module: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    do = Work._do

    def broken(self: Work, target: str) -> None:
        if target == "lstm":
            raise ZeroDivisionError("a defect of ours")
        do(self, target)

    monkeypatch.setattr(Work, "_do", broken)
    words = ["lstm", f"{module}:ends", f"{module}:build", *SHORT, "--mode", "forward", "--json"]
    assert main(["profile", *words]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["kind"] for one in found["profiles"]] == ["Sequential"]
    assert "ZeroDivisionError: a defect of ours" in found["failed"]["lstm"]
    assert "sys.exit(0)" in found["failed"][f"{module}:ends"]


def test_what_the_code_prints_is_not_among_the_results(module: str, capsys: Capture) -> None:
    words = [f"{module}:speaks", *SHORT, "--mode", "forward", "--json"]
    assert main(["profile", *words]) == 0
    out, err = capsys.readouterr()
    assert list(json.loads(out)) == ["profiles", "failed"]
    assert "here I am" in err


def test_an_output_that_is_pooled_has_a_map_of_one_column(module: str, capsys: Capture) -> None:
    assert main(["profile", f"{module}:pooled", *SHORT, "--mode", "forward"]) == 0
    text = capsys.readouterr().out
    assert "Kernels from input position" in text
    assert len(text.split("Kernels from input position")[1].splitlines()[2].split()) == 2


def test_a_pass_that_fails_leaves_the_other_passes(module: str, capsys: Capture) -> None:
    assert main(["profile", f"{module}:unlearnable", *SHORT, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["profiles"]
    assert list(found["passes"]) == ["forward"]
    assert any(said.startswith("train: left out:") for said in found["assumptions"])
    assert main(["profile", f"{module}:unlearnable", *SHORT, "--mode", "train"]) == 1


def test_decoding_of_what_does_not_decode_is_refused_with_why(module: str, capsys: Capture) -> None:
    assert main(["profile", f"{module}:build", *SHORT, "--mode", "decode"]) == 2
    assert "decode" in capsys.readouterr().err


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_an_interruption_shows_what_is_done(
    module: str,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    stop: BaseException,
    code: int,
) -> None:
    do = Work.do

    def once(self: Work, target: str, *, alone: bool) -> None:
        if self.done:
            raise stop
        do(self, target, alone=alone)

    monkeypatch.setattr(Work, "do", once)
    words = ["profile", f"{module}:build", "lstm", *SHORT, "--mode", "forward"]
    assert main(words) == code
    out, err = capsys.readouterr()
    assert "Sequential" in out
    assert "interrupted" in err
