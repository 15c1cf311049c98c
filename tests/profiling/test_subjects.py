"""What is profiled: inputs, passes and steps of every kind of module, and the module untouched."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from plain_models import PlainGPT
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from phalanx.errors import PhalanxError, UsageError
from phalanx.profiling.executed import executed_kernels
from phalanx.profiling.subjects.decoding import RecurrentSteps, WholePrefix
from phalanx.profiling.subjects.modules import module_subject
from phalanx.profiling.subjects.subject import Subject, subjects_from
from phalanx.profiling.tracing.trace import Tracer, trace


class Recurrent(nn.Module):
    def __init__(self, vocabulary: int = 30, width: int = 8) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, width)
        self.layer = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, ids: Tensor) -> Tensor:
        y: Tensor = self.head(self.layer(self.table(ids))[0])
        return y


def ids(batch: int = 2, length: int = 16, vocabulary: int = 30) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(vocabulary, (batch, length), generator=generator)


def preset(name: str) -> Subject:
    (subject,) = subjects_from([name], size=20_000, vocabulary=20)
    return subject


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "lstm preset": lambda: preset("lstm"),
    "mingru preset": lambda: preset("mingru"),
    "transformer preset": lambda: preset("transformer"),
    "plain GPT": lambda: module_subject(PlainGPT(30, 32, 16, 2, 1), ids()),
    "recurrent": lambda: module_subject(Recurrent(), ids()),
    "nn.LSTM": lambda: module_subject(nn.LSTM(8, 8), torch.randn(16, 2, 8)),
    "nn.GRU": lambda: module_subject(nn.GRU(8, 6, batch_first=True), torch.randn(2, 16, 8)),
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_passes_run_alike_again_and_on_meta(name: str) -> None:
    subject = SUBJECTS[name]()
    assert subject.modes() == ("train", "forward", "decode")
    for mode in subject.modes():
        call = subject.call(mode, 2, 12, "cpu")
        first, second, meta = (trace(c) for c in (call, call, subject.call(mode, 2, 12, "meta")))
        assert first == second
        assert first.matmul_work == meta.matmul_work > 0
        # On the CPU torch takes the inputs' products of a recurrent layer out of its loop.
        assert abs(first.span - meta.span) <= 2
        assert first.orphans == meta.orphans == {}


@pytest.mark.parametrize("name", SUBJECTS)
def test_inputs_do_not_change(name: str) -> None:
    subject = SUBJECTS[name]()
    (args, kwargs), (again, _) = (subject.inputs(3, 10, "cpu") for _ in range(2))
    assert not kwargs
    torch.testing.assert_close(args, again)
    (on_meta,), _ = subject.inputs(3, 10, "meta")
    assert on_meta.shape == args[0].shape
    assert on_meta.device.type == "meta"


@pytest.mark.parametrize("name", ["transformer preset", "plain GPT", "recurrent", "mingru preset"])
def test_a_step_of_decoding_is_the_pass_at_its_end(name: str) -> None:
    subject = SUBJECTS[name]()
    for context in (1, 2, 9):
        token, _ = subject.call("decode", 2, context, "cpu")()  # type: ignore[misc]
        scores: Tensor = subject.call("forward", 2, context, "cpu")()  # type: ignore[assignment]
        torch.testing.assert_close(token, scores[:, -1].argmax(-1))
        again = subject.call("decode", 2, context, "cpu")
        again()
        torch.testing.assert_close(again()[0], token)  # type: ignore[index]


def test_which_decoding() -> None:
    assert preset("lstm").decodes == "cached"
    recurrent = module_subject(Recurrent(), ids())
    assert (recurrent.decodes, recurrent.causal) == ("uncached", True)
    assert isinstance(recurrent.driver, WholePrefix)
    fed, not_fed = (module_subject(nn.GRU(8, w), torch.randn(5, 1, 8)) for w in (8, 6))
    assert isinstance(fed.driver, RecurrentSteps)
    assert fed.driver.feeds_back
    assert isinstance(not_fed.driver, RecurrentSteps)
    assert not not_fed.driver.feeds_back


def test_why_something_does_not_decode() -> None:
    class Mean(Recurrent):
        def forward(self, ids: Tensor) -> Tensor:
            y = super().forward(ids)
            return y + y.mean(1, keepdim=True)

    both = module_subject(nn.GRU(8, 8, bidirectional=True), torch.randn(5, 1, 8))
    seeing = module_subject(Mean(), ids())
    vectors = module_subject(nn.TransformerEncoderLayer(8, 2), torch.randn(5, 1, 8))
    for subject, why in ((both, "both directions"), (seeing, "later inputs"), (vectors, "vectors")):
        assert subject.decodes is None
        assert subject.modes() == ("train", "forward")
        assert why in subject.why_not_decoded
        with pytest.raises(UsageError, match=why):
            subject.call("decode", 1, 4, "cpu")
    assert (seeing.causal, vectors.causal) == (False, False)


def test_a_mask_decides_causality_however_fresh_the_weights() -> None:
    class Silent(Recurrent):
        """Its head starts at zero, which hides what an output depends on."""

        def __init__(self, back: bool) -> None:
            super().__init__()
            self.back = back
            nn.init.zeros_(self.head.weight)

        def forward(self, ids: Tensor) -> Tensor:
            x = self.table(ids)
            y = self.layer(x.flip(1))[0].flip(1) if self.back else self.layer(x)[0]
            scores: Tensor = self.head(y)
            return scores

    assert module_subject(Silent(False), ids()).causal is True
    assert module_subject(Silent(True), ids()).causal is False


def test_queries_keys_and_values_that_are_one_tensor_move_together() -> None:
    x = torch.randn(8, 1, 16)
    assert module_subject(nn.MultiheadAttention(16, 2), (x, x, x)).causal is False


def test_the_module_is_left_as_it_was() -> None:
    module = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
    model = nn.Sequential(module, module[0])  # tied
    module[1].eval()
    x = torch.randn(4, 8, 8, requires_grad=True)
    before = copy.deepcopy(model.state_dict())
    held = {name: id(tensor) for name, tensor in model.state_dict(keep_vars=True).items()}
    subject = module_subject(model, x)
    for mode in ("train", "forward"):
        subject.call(mode, 2, 8, "cpu")()
        trace(subject.call(mode, 2, 8, "meta"))
        executed_kernels(subject, mode, 2, 8)
    assert {n: id(t) for n, t in model.state_dict(keep_vars=True).items()} == held
    torch.testing.assert_close(model.state_dict(), before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert x.grad is None
    assert [part.training for part in model.modules()] == [True, True, True, False, True]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    copied = subject.build("meta")
    assert isinstance(copied, nn.Sequential)
    assert copied[1] is copied[0][0]  # type: ignore[index]


def test_the_loss() -> None:
    def said(module: nn.Module, inputs: object, **more: object) -> str:
        subject = module_subject(module, inputs, **more)  # type: ignore[arg-type]
        return next(s for s in subject.assumptions if s.startswith("loss"))

    assert "cross entropy" in said(Recurrent(), ids())
    assert "squares" in said(nn.LSTM(8, 8), torch.randn(5, 1, 8))
    assert "squares" in said(nn.Embedding(40, 8), ids())  # 8 outputs do not score ids up to 29
    assert "given" in said(Recurrent(), ids(), loss=lambda y: y.sum())

    class Own(Recurrent):
        def forward(self, ids: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
            y = super().forward(ids)
            return {"loss": y.square().sum(), "logits": y}

    assert "itself" in said(Own(), ids())
    subject = module_subject(Own(), ids())
    logits = subject.call("forward", 1, 4, "cpu")()["logits"]  # type: ignore[index]
    torch.testing.assert_close(subject.call("train", 1, 4, "cpu")(), logits.square().sum())


def test_without_parameters_the_inputs_learn() -> None:
    softmax = module_subject(nn.Softmax(-1), torch.randn(1, 8, 4))
    assert trace(softmax.call("train", 1, 8, "meta")).span > 1
    one_hot = module_subject(_OneHot(), ids())
    assert one_hot.modes() == ("forward",)
    with pytest.raises(UsageError, match="no parameter and no input"):
        one_hot.call("train", 1, 8, "cpu")()


class _OneHot(nn.Module):
    def forward(self, ids: Tensor) -> Tensor:
        return (ids[..., None] == torch.arange(30, device=ids.device)).float()


def test_masks_and_positions_follow_the_length() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, batch_first=True)
    mask = torch.ones(6, 6, dtype=torch.bool).triu(1)
    subject = module_subject(layer, {"src": torch.randn(2, 6, 8), "src_mask": mask})
    _, given = subject.inputs(3, 4)
    assert given["src"].shape == (3, 4, 8)
    assert given["src_mask"].shape == (4, 4)
    assert subject.causal is True


@pytest.mark.parametrize(
    ("module", "inputs", "words"),
    [
        (torch.relu, torch.ones(1, 2, 3), "Expected a torch.nn.Module"),
        (nn.LSTM, torch.ones(1, 2, 3), "Expected a torch.nn.Module"),
        (nn.Linear(3, 3), "text", "Expected a tensor"),
        (nn.Linear(3, 3), [1, 2], "no tensor among them"),
        (nn.Linear(3, 3), (), "no tensor among them"),
        (nn.Linear(3, 3), torch.ones(1, 2, 3).numpy(), "given ndarray"),
        (nn.Linear(3, 3), (torch.ones(1, 2, 3).numpy(),), "from_numpy"),
        (nn.Linear(3, 3), torch.ones(3), "seq_dim"),
    ],
)
def test_what_cannot_be_profiled(module: nn.Module, inputs: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        module_subject(module, inputs)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_refused() -> None:
    scripted = torch.jit.trace(nn.Linear(3, 3), torch.ones(1, 3))
    with pytest.raises(UsageError, match="TorchScript"):
        module_subject(scripted, torch.ones(1, 2, 3))


def test_a_module_that_raises() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ValueError("an odd\nwidth")

    with pytest.raises(PhalanxError, match=r"ValueError: an odd width .*test_subjects.py, line"):
        module_subject(Odd(), torch.ones(1, 2, 3))
    with pytest.raises(PhalanxError, match="RuntimeError: mat1 and mat2"):
        module_subject(nn.Linear(4, 4), torch.ones(1, 2, 3))


def test_a_module_that_cannot_be_copied() -> None:
    module = nn.Linear(3, 3)
    module.stream = (x for x in ())  # type: ignore[assignment]
    with pytest.raises(PhalanxError, match="cannot be copied"):
        module_subject(module, torch.ones(1, 2, 3))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_compiled_module_is_profiled_as_written() -> None:
    plain = Recurrent()
    compiled = torch.compile(plain)
    subject = module_subject(compiled, ids())  # type: ignore[arg-type]
    assert subject.kind == "Recurrent"
    assert any("compiled" in s for s in subject.assumptions)
    expected = module_subject(plain, ids()).call("train", 1, 8, "meta")
    assert trace(subject.call("train", 1, 8, "meta")) == trace(expected)


def test_a_module_on_meta_stays_there() -> None:
    with torch.device("meta"):
        module = Recurrent()
    subject = module_subject(module, ids())
    assert "meta" in subject.why_not_real
    assert subject.causal is None
    assert trace(subject.call("train", 1, 8, "meta")).matmul_work > 0


FILE = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.layer = nn.Embedding(50, 8), nn.RNN(8, 50, batch_first=True)
    def forward(self, ids):
        return self.layer(self.table(ids))[0]

class Looking(Model):
    def forward(self, ids):
        if ids.sum().item() > 0:
            ids = ids.clone()
        return super().forward(ids)

def build():
    return Model(), torch.randint(50, (2, 16))

def sized(batch=2, seq_len=16):
    return Model(), torch.full((batch, seq_len), seq_len)

def looking():
    return Looking(), torch.randint(50, (1, 16))

def raises():
    raise KeyError("width")

def nothing():
    return None

number = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize("function", ["build", "sized", "looking"])
def test_a_file_of_the_users_own(file: Path, function: str) -> None:
    (subject,) = subjects_from([f"{file}:{function}"])
    assert (subject.decodes, subject.causal, subject.length) == ("uncached", True, 16)
    (given,), _ = subject.inputs(3, 9, "cpu")
    assert given.shape == (3, 9)
    if function == "sized":
        assert int(given[0, 0]) == 9
    device = "cpu" if function == "looking" else "meta"
    assert (subject.why_not_meta == "") == (device == "meta")
    assert trace(subject.call("train", 1, 8, device)).matmul_work > 0


@pytest.mark.parametrize(
    ("word", "kind", "words"),
    [
        (":raises", PhalanxError, r"KeyError: 'width' \(.*model.py, line 28, in raises"),
        (":nothing", UsageError, "returned NoneType"),
        (":number", UsageError, "not callable"),
        (":bild", UsageError, "Did you mean 'build'"),
        ("", UsageError, "no function is named"),
        (":", UsageError, "no function is named"),
    ],
)
def test_a_file_that_is_wrong(file: Path, word: str, kind: type[PhalanxError], words: str) -> None:
    with pytest.raises(kind, match=words):
        subjects_from([f"{file}{word}"])


def test_a_file_that_does_not_import(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    for text, words in (("x = (", "SyntaxError"), ("import nowhere_at_all", "nowhere_at_all")):
        path.write_text(text)
        with pytest.raises(PhalanxError, match=words):
            subjects_from([f"{path}:build"])
    with pytest.raises(UsageError, match="no such file"):
        subjects_from([f"{tmp_path / 'other.py'}:build"])


def test_words_that_mean_nothing(tmp_path: Path) -> None:
    for word, words in (
        ("lstn", "Did you mean 'lstm'"),
        (str(tmp_path), "holds no config.json"),
        (f"hf:{tmp_path}", "holds no config.json"),
        (__file__.removesuffix(".py") + ".pyc", "no such file or directory"),
    ):
        with pytest.raises(UsageError, match=words):
            subjects_from([word])


def test_a_length_beyond_the_context() -> None:
    (gpt2,) = subjects_from(["gpt2"])
    with pytest.raises(UsageError, match="takes 1 to 1024"):
        gpt2.call("forward", 1, 1025, "meta")
    (longer,) = subjects_from(["transformer"], longest=4096)
    assert longer.context == 4096


class Detached(nn.Module):
    """Causal but for a scale of all positions that no gradient passes through."""

    def __init__(self, ahead: bool) -> None:
        super().__init__()
        self.ahead = ahead
        self.tokens = nn.Embedding(9, 6)
        self.mix = nn.GRU(6, 6, batch_first=True)
        self.head = nn.Linear(6, 9)

    def forward(self, ids_BT: Tensor) -> Tensor:
        x_BTD = self.tokens(ids_BT)
        if self.ahead:
            x_BTD = x_BTD / x_BTD.detach().abs().sum((1, 2), keepdim=True)
        scores_BTV: Tensor = self.head(self.mix(x_BTD)[0])
        return scores_BTV


@pytest.mark.parametrize("ahead", [True, False])
def test_what_later_inputs_change_without_a_gradient_is_not_causal(ahead: bool) -> None:
    torch.manual_seed(0)
    subject = module_subject(Detached(ahead), torch.randint(9, (1, 8)))
    assert subject.causal is not ahead
    assert subject.decodes == (None if ahead else "uncached")


def test_one_tensor_given_as_query_key_and_value_stays_one() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.ones(1, 8, 8)
    subject = module_subject(layer, (x, x, x))
    (query, key, value), _ = subject.inputs(2, 16)
    assert query is key is value
    frozen = module_subject(layer.requires_grad_(False), (x, x, x))
    with Tracer(call := frozen.call("train", 2, 16, "meta")) as tracer:
        call()
    # One product projects all three; three would if the layer took them for different ones.
    names = [k.name for k in tracer.kernels() if k.phase == "forward"]
    assert sum(name in {"mm", "bmm", "addmm"} for name in names) == 4  # scores, values, the output


def test_what_is_executed_is_the_same_the_first_time() -> None:
    # torch remembers what fake kernels answer, and answers otherwise from memory: it gives the two
    # bias gradients of the fused LSTM as one tensor at first.
    FakeTensorMode.cache_clear()
    lengths = [len(executed_kernels(_layer(), "train", 1, 8) or ()) for _ in range(2)]
    assert lengths[0] == lengths[1] > 0


def _layer() -> Subject:
    return module_subject(nn.LSTM(4, 4), torch.randn(8, 1, 4))
