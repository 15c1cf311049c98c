"""``phalanx generate``: what it prints, and a trace that can come out otherwise."""

import io
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from phalanx import runs
from phalanx.cli.call_trace import trace_generation
from phalanx.cli.main import main
from phalanx.cli.trace_output import describe, shorten, show
from phalanx.data.tokenizers import load_tokenizer, train_tokenizer
from phalanx.inference import Chooser, Decoding, Greedy, Penalized, Sampler, generate
from phalanx.models import Decoder, ModelState, build, preset
from phalanx.training.model_directory import Description, save_model

TOKENIZER = train_tokenizer("bytes", [])
CONTEXT = 24


def small(name: str, kind: type[Decoder] = Decoder) -> Decoder:
    config = preset(name, TOKENIZER.vocabulary, CONTEXT, width=32)
    torch.manual_seed(1)
    model = kind(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model.eval()


def put_on_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    # A locale without UTF-8: what a user pipes in is UTF-8 all the same.
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "mine"
    model = small("transformer")
    save_model(path, model, TOKENIZER, Description(model=model.config))
    return path


def test_text_goes_to_stdout_behind_its_prompt(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", str(directory), "--prompt", "Hello", "--seed", "3"]
    assert main([*words, "--max-new-tokens", "9"]) == 0
    expected = runs.load(directory).generate("Hello", max_new_tokens=9, seed=3)
    assert capsys.readouterr().out == expected + "\n"
    assert expected.startswith("Hello")


def test_greedy_is_temperature_zero(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", str(directory), "--prompt", "Hello"]
    assert main([*words, "--greedy"]) == 0
    greedy = capsys.readouterr().out
    assert main([*words, "--temperature", "0", "--seed", "8"]) == 0
    assert capsys.readouterr().out == greedy
    assert main([*words, "--seed", "8"]) == 0
    assert capsys.readouterr().out != greedy


def test_a_prompt_is_read_from_stdin(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_stdin(monkeypatch, b"Hello")
    assert main(["generate", str(directory), "--prompt", "-", "--greedy"]) == 0
    from_stdin = capsys.readouterr().out
    assert main(["generate", str(directory), "--prompt", "Hello", "--greedy"]) == 0
    assert capsys.readouterr().out == from_stdin


def test_a_prompt_on_stdin_that_is_no_text_is_refused(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_stdin(monkeypatch, b"a\nb\xff")
    assert main(["generate", str(directory), "--prompt", "-"]) == 2
    assert "stdin:2: not UTF-8 text, byte 0xff" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", None)
    assert main(["generate", str(directory), "--prompt", "-"]) == 2
    assert "stdin is closed" in capsys.readouterr().err


def test_an_option_that_changes_nothing_is_warned_of(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", str(directory), "--greedy", "--max-new-tokens", "2"]
    for option in ("--top-k", "--top-p", "--min-p"):
        assert main([*words, option, "1"]) == 0
        assert "warning: --top-k, --top-p and --min-p change nothing" in capsys.readouterr().err
    assert main(words) == 0
    assert capsys.readouterr().err == ""


def test_json_holds_every_sample(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", str(directory), "--prompt", "Hi", "--samples", "3", "--json"]
    assert main([*words, "--max-new-tokens", "6"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["prompt"] == "Hi"
    assert data["prompt_tokens"] == list(b"Hi")
    assert len({tuple(sample["tokens"]) for sample in data["samples"]}) == 3
    for sample in data["samples"]:
        assert sample["text"] == TOKENIZER.decode(sample["tokens"])
        assert sample["ended"] == ("end" if TOKENIZER.end_id in sample["tokens"] else "length")
    # The first of several samples is the one that is streamed when it is alone.
    assert main(["generate", str(directory), "--prompt", "Hi", "--max-new-tokens", "6"]) == 0
    assert capsys.readouterr().out == "Hi" + data["samples"][0]["text"] + "\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-new-tokens", "999"], f"at most {CONTEXT}"),
        (["--prompt", "x" * 99], "Shorten the prompt"),
        (["--n", "0"], "--n 0"),
        (["--samples", "-1"], "--n -1"),
        (["--batch-size", "0"], "--batch-size 0"),
        (["--min-p", "1.5"], "min_p 1.5"),
        (["--repetition-penalty", "0"], "repetition_penalty 0.0"),
        (["--stop", ""], "stop string is empty"),
        (["--when-full", "panic"], "panic"),
        (["--prompts", "nowhere.txt"], "nowhere.txt: No such file"),
        (["--prompts", "a.txt", "--prompt", "b"], "--prompt with --prompts"),
        (["--output", "a.jsonl", "--json"], "--json with --output"),
        (["--trace", "--max-new-tokens", "1000000000"], "shows at most 256"),
        (["--trace", "--stop", "a"], "--stop with --trace"),
        (["--trace", "--when-full", "slide"], "--when-full slide with --trace"),
        (["--top-p", "2"], "top_p 2.0"),
        (["--device", "abacus"], "abacus"),
        (["--prompt", "a\udcffb"], "lone surrogate"),
        (["--trace", "--max-new-tokens", "0"], "at least 1"),
        (["--trace", "--samples", "2"], "--n 2 with --trace"),
        (["--greedy", "--top-p", "2"], "top_p 2.0"),
        (["--greedy", "--temperature", "-3"], "temperature -3.0"),
        (["--temperature", "0", "--top-k", "0"], "top_k 0"),
    ],
)
def test_what_cannot_be_done_is_said_and_stdout_stays_empty(
    directory: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["generate", str(directory), *options]) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""


def test_characters_that_the_model_does_not_know_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = train_tokenizer("characters", ["abc"])
    model = build(preset("rnn", tokenizer.vocabulary, CONTEXT, width=16))
    save_model(tmp_path / "abc", model, tokenizer, Description(model=model.config))
    words = ["generate", str(tmp_path / "abc"), "--max-new-tokens", "3"]
    assert main([*words, "--prompt", "aXbY"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("aXbY")
    assert err == "warning: characters of the prompt that the model does not know: 2\n"
    assert main([*words, "--prompt", "ab"]) == 0
    assert capsys.readouterr().err == ""


def test_a_word_piece_tokenizer_counts_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "the", "fox")
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    tokenizer = load_tokenizer(tmp_path)
    model = build(preset("rnn", tokenizer.vocabulary, CONTEXT, width=16))
    save_model(tmp_path / "bert", model, tokenizer, Description(model=model.config))
    command = ["generate", str(tmp_path / "bert"), "--max-new-tokens", "1"]
    assert main([*command, "--prompt", "the purple fox"]) == 0
    assert "warning: words of the prompt that the model does not know: 1" in capsys.readouterr().err


def test_a_missing_model_is_a_wrong_argument(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err


def test_a_tagger_does_not_generate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = build(
        preset(
            "transformer",
            TOKENIZER.vocabulary,
            CONTEXT,
            width=32,
            kind="encoder",
            outputs=2,
            tied=False,
        )
    )
    described = Description(task="tagging", model=model.config, labels=("a", "b"))
    save_model(tmp_path / "tagger", model, TOKENIZER, described)
    assert main(["generate", str(tmp_path / "tagger")]) == 2
    assert "tagging does not generate" in capsys.readouterr().err


class Deaf(Decoder):
    """The counterexample: its scores ignore the token that it reads, so nothing has to wait."""

    def step(
        self, ids_B: Tensor, state: ModelState, active_B: Tensor | None = None
    ) -> tuple[Tensor, ModelState]:
        _, state = super().step(ids_B, state, active_B)
        return self.embedding.weight.sum(1)[None], state


def traced(model: Decoder, sampler: Chooser, count: int = 5) -> list[tuple[int, ...]]:
    prompt = list(b"Hello")
    with torch.inference_mode():
        decoding = Decoding(model, [prompt], len(prompt) + count, chooser=sampler, seed=2)
    trace = trace_generation(decoding, prompt, count)
    assert [call.chosen for call in trace.calls[1:]] == [
        call.read[0] for call in trace.calls[2:]
    ] + [trace.calls[-1].chosen]
    return [call.needs for call in trace.calls]


SAMPLERS = {"greedy": Greedy(), "sampled": Sampler(), "penalized": Penalized(Greedy(), 1.2)}


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
@pytest.mark.parametrize("name", ["rnn", "lstm", "mingru", "transformer"])
def test_every_call_needs_the_choices_of_all_before(name: str, sampler: Chooser) -> None:
    assert traced(small(name), sampler) == [tuple(range(n)) for n in range(5)]


def test_a_model_that_ignores_what_it_reads_has_no_chain() -> None:
    assert traced(small("lstm", Deaf), Greedy()) == [()] * 5
    # A penalty for what was chosen makes it wait all the same.
    chained = [tuple(range(n)) for n in range(5)]
    assert traced(small("lstm", Deaf), Penalized(Greedy(), 1.2)) == chained


def test_the_trace_runs_the_real_generation() -> None:
    model, prompt = small("transformer"), list(b"Hello")
    decoding = Decoding(model, [prompt], 20, chooser=Sampler(), seed=2)
    trace = trace_generation(decoding, prompt, 6)
    written = generate(model, [prompt], max_new_tokens=6, sampler=Sampler(), seed=2)
    assert [call.chosen for call in trace.calls] == written[0]
    assert trace.dependent_calls == 6
    assert [call.read for call in trace.calls] == [tuple(prompt), *((t,) for t in written[0][:-1])]
    depths = [call.depth for call in trace.calls]
    assert depths == sorted(set(depths))


def test_the_trace_is_told_in_words() -> None:
    prompt = list(b"Hello")
    model = small("lstm")
    lines = describe(trace_generation(Decoding(model, [prompt], 20), prompt, 3), TOKENIZER)
    assert '"Hello" (5 tokens at once)' in lines[1]
    assert "the prompt alone" in lines[1]
    assert "calls 0-1" in lines[3]
    assert lines[5].count("->") == 3
    assert "3 calls, of which 3 form a chain" in lines[-1]
    deaf = small("lstm", Deaf)
    lines = describe(trace_generation(Decoding(deaf, [prompt], 20), prompt, 3), TOKENIZER)
    assert "no earlier call" in lines[2]
    assert lines[5].count("->") == 1
    assert "3 calls, of which 1 form a chain" in lines[-1]


def test_trace_as_json(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", str(directory), "--prompt", "Hi", "--trace", "--json"]
    assert main([*words, "--max-new-tokens", "3"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["dependent_calls"] == 3
    assert [call["needs_choices_of_calls"] for call in data["calls"]] == [[], [0], [0, 1]]
    assert data["calls"][0]["read"] == list(b"Hi")


@pytest.mark.parametrize(
    ("ids", "shown"),
    [
        (list(b"a\nb"), '"a\\nb"'),
        (list("漢".encode())[:2], '"\\xe6\\xbc"'),
        (list(b"\x1b[2J"), '"\\x1b[2J"'),
        ([TOKENIZER.end_id], "<end of document>"),
    ],
)
def test_tokens_are_shown_so_that_they_can_be_read(ids: list[int], shown: str) -> None:
    assert show(TOKENIZER, ids) == shown


def test_long_texts_are_shown_by_their_ends() -> None:
    assert shorten("a" * 40) == "a" * 40
    assert shorten("a" * 50 + "b" * 50) == "a" * 18 + "..." + "b" * 18


def test_a_tokenizer_comes_back_with_the_model(directory: Path) -> None:
    assert load_tokenizer(directory).digest == TOKENIZER.digest


def test_a_broken_model_is_said_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = small("gru")
    torch.nn.init.constant_(model.embedding.weight, torch.nan)
    save_model(tmp_path / "broken", model, TOKENIZER, Description(model=model.config))
    out = tmp_path / "out.jsonl"
    for form in ([], ["--json"], ["--trace"], ["-o", str(out)]):
        assert main(["generate", str(tmp_path / "broken"), *form]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert "scores are not numbers" in said.err
    assert not out.exists()
