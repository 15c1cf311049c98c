"""A run directory that is not as it was left: gone on with exactly, or refused, never silently."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from lives import result
from small_commands import TEXT, begun, checkpoints, in_peace, newest, steps_of, train, write_text

import phalanx
from phalanx import durable
from phalanx.cli.main import main
from phalanx.errors import PhalanxError

Capture = pytest.CaptureFixture[str]
Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A run that has begun, and what it would come to."""
    folder = tmp_path_factory.mktemp("originals")
    write_text(folder)
    return begun(folder), in_peace(folder)


@pytest.fixture
def expected(originals: tuple[Path, dict[str, object]]) -> dict[str, object]:
    return originals[1]


@pytest.fixture
def run(originals: tuple[Path, dict[str, object]], tmp_path: Path) -> Path:
    """A copy of the run that has begun, and its text where it was."""
    copy = tmp_path / "run"
    shutil.copytree(originals[0], copy, symlinks=True)
    return copy


def resume(run: Path, *more: str) -> int:
    return main(["train", "--resume", str(run), *more])


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 8
    file.write_bytes(data)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def test_a_run_that_was_moved_goes_on(run: Path, expected: dict[str, object]) -> None:
    assert checkpoints(run) == [f"step-{step:08}" for step in (4, 5, 8, 9)]
    assert resume(run) == 0
    assert result(run) == expected


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("model.safetensors", flip),
        ("model.safetensors", truncate),
        ("training.safetensors", flip),
        ("training.safetensors", empty),
        ("training.json", flip),
        ("training.json", Path.unlink),
        ("tokenizer.json", truncate),
        ("config.json", empty),
        ("README.md", flip),
        ("manifest.json", truncate),
        ("manifest.json", Path.unlink),
    ],
)
def test_a_damaged_newest_checkpoint_is_passed_over_loudly(
    file: str, damage: Damage, run: Path, expected: dict[str, object], capsys: Capture
) -> None:
    damage(newest(run) / file)
    assert resume(run) == 0
    said = capsys.readouterr().err
    assert "warning" in said
    assert f"step-00000009/{file}" in said
    assert "Passed over" in said
    assert "step-00000008, step 8" in said
    assert result(run) == expected
    assert "damaged-step-00000009" in checkpoints(run)


def test_two_damaged_checkpoints_are_both_passed_over(
    run: Path, expected: dict[str, object], capsys: Capture
) -> None:
    for step in (8, 9):
        flip(run / f"checkpoints/step-{step:08}/model.safetensors")
    assert resume(run) == 0
    assert capsys.readouterr().err.count("Passed over") == 2
    assert result(run) == expected


@pytest.mark.parametrize("auto", [False, True])
def test_no_whole_checkpoint_is_an_error_each_time(
    auto: bool, run: Path, originals: tuple[Path, object], capsys: Capture
) -> None:
    for path in (run / "checkpoints").iterdir():
        flip(path / "training.safetensors")
    before = checkpoints(run)
    metrics = (run / "metrics.jsonl").read_bytes()
    for _ in range(2):
        text = originals[0].parent / "text.txt"
        code = train(text, run, "--resume", "auto") if auto else resume(run)
        assert code == 1
        said = capsys.readouterr().err
        assert "no checkpoint is whole" in said
        assert said.count("training.safetensors: its content has changed") == 4
        assert "Restore one from a copy" in said
        assert checkpoints(run) == before
        assert (run / "metrics.jsonl").read_bytes() == metrics


def test_another_text_is_refused(tmp_path: Path, capsys: Capture) -> None:
    text = write_text(tmp_path)
    run = begun(tmp_path)
    text.write_text(TEXT + "And more.")
    for again in (lambda: resume(run), lambda: train(text, run, "--resume", "auto")):
        assert again() == 2
        assert "the text is not the one" in capsys.readouterr().err
    text.write_text(TEXT)
    assert resume(run) == 0


def test_another_tokenizer_is_refused(run: Path, capsys: Capture) -> None:
    assert resume(run, "--tokenizer", "bytes") == 2
    assert "its tokenizer is not the one" in capsys.readouterr().err


def test_a_text_that_was_moved_is_named_again(tmp_path: Path, capsys: Capture) -> None:
    text = write_text(tmp_path)
    expected = in_peace(tmp_path)
    run = begun(tmp_path)
    moved = text.rename(tmp_path / "moved.txt")
    assert resume(run) == 2
    assert "text.txt" in capsys.readouterr().err
    assert main(["train", str(moved), "--resume", str(run)]) == 0
    assert result(run) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.learning_rate", "0.5"),
        ("train.batch_size", "8"),
        ("train.average", "0.5"),
        ("model.dropout", "0.5"),
        ("seed", "1"),
        ("data.validation_fraction", "0.2"),
    ],
)
def test_another_configuration_is_refused_by_key(
    key: str, value: str, run: Path, originals: tuple[Path, object], capsys: Capture
) -> None:
    text = originals[0].parent / "text.txt"
    before = (run / "config.yaml").read_bytes()
    for more in (["--resume", str(run)], [str(text), "-o", str(run), "--resume", "auto"]):
        assert main(["train", *more, f"--{key}", value]) == 2
        assert key in capsys.readouterr().err
        assert (run / "config.yaml").read_bytes() == before


def test_what_may_change_is_said(run: Path, capsys: Capture) -> None:
    assert resume(run, "--train.steps", "13", "--train.keep", "1") == 0
    said = capsys.readouterr().err
    assert "changed: train.steps 12 -> 13" in said
    assert "changed: train.keep 9 -> 1" in said
    assert steps_of(newest(run)) == 13


def test_an_edited_configuration_is_refused_by_key(run: Path, capsys: Capture) -> None:
    file = run / "config.yaml"
    good = file.read_text()
    for old, new, said in (
        ("dropout: 0.2", "dropout: 0.1", "model.dropout 0.2 -> 0.1"),
        ("learning_rate: 0.003", "learning_rate: 0.3", "train.learning_rate 0.003 -> 0.3"),
        ("seed: 0", "seed: 1", "seed 0 -> 1"),
        ("seed: 0", "sede: 0", "Did you mean 'seed'"),
        ("seed: 0", "seed: [", "not valid YAML"),
        ("seed: 0", "seed: !!python/name:os.system", "not valid YAML"),
    ):
        assert old in good
        file.write_text(good.replace(old, new))
        assert resume(run) == 2
        assert said in capsys.readouterr().err
    file.write_text(good)
    assert resume(run) == 0


def test_a_configuration_that_is_gone_is_missed(
    run: Path, originals: tuple[Path, object], capsys: Capture
) -> None:
    (run / "config.yaml").unlink()
    before = checkpoints(run)
    assert resume(run) == 2
    assert "it has no config.yaml" in capsys.readouterr().err
    assert train(originals[0].parent / "text.txt", run, "--resume", "auto") == 2
    assert "exists already" in capsys.readouterr().err
    assert checkpoints(run) == before


def test_a_state_that_was_edited_is_passed_over(
    run: Path, expected: dict[str, object], capsys: Capture
) -> None:
    file = newest(run) / "training.json"
    file.write_text(file.read_text().replace('"steps": 9', '"steps": 8'))
    assert resume(run) == 0
    assert "training.json: its content has changed" in capsys.readouterr().err
    assert result(run) == expected


def test_a_state_that_was_edited_and_sealed_again_is_still_read_with_care(
    run: Path, capsys: Capture
) -> None:
    path = newest(run)
    values = json.loads((path / "training.json").read_text())
    for key, value, said in (
        ("seed", 7, "it belongs to another one"),
        ("steps", -1, "steps: Input should be greater"),
        ("best_loss", float("nan"), "best_loss: Input should be a finite number"),
        ("format", 2, "format 2 is not known"),
    ):
        (path / "training.json").write_text(json.dumps({**values, key: value}))
        (path / "manifest.json").unlink()
        durable.seal(path)
        assert resume(run) == 2
        assert said in capsys.readouterr().err


def test_a_torn_line_of_the_record_is_cut(run: Path, expected: dict[str, object]) -> None:
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'{"kind": "step", "step": 10, "lo')
    assert resume(run) == 0
    assert result(run) == expected


def test_a_record_damaged_in_its_middle_is_refused_by_line(
    run: Path, expected: dict[str, object], capsys: Capture
) -> None:
    file = run / "metrics.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b"\0nonsense\n", *lines[2:]]))
    assert resume(run) == 2
    assert "metrics.jsonl:3: not a JSON object" in capsys.readouterr().err
    file.write_bytes(b"".join(lines))
    assert resume(run) == 0
    assert result(run) == expected


def test_a_lost_record_changes_no_weights(run: Path, expected: dict[str, object]) -> None:
    (run / "metrics.jsonl").unlink()
    assert resume(run) == 0
    found = result(run)
    assert found.pop("record") != expected["record"]
    assert found.items() <= expected.items()


@pytest.mark.parametrize("names", [["last"], ["best"], ["last", "best"]])
@pytest.mark.parametrize("dangling", [False, True])
def test_links_are_not_needed(
    names: list[str], dangling: bool, run: Path, expected: dict[str, object]
) -> None:
    for name in names:
        (run / name).unlink()
        if dangling:
            (run / name).symlink_to("checkpoints/step-00000777")
    assert resume(run) == 0
    assert result(run) == expected


def test_a_copy_that_followed_links_says_so(
    run: Path, tmp_path: Path, expected: dict[str, object], capsys: Capture
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy, symlinks=False)
    assert resume(copy) == 1
    said = capsys.readouterr().err
    assert f"{copy}/last: cannot be written" in said
    assert "delete it" in said
    for name in ("last", "best"):
        shutil.rmtree(copy / name)
    assert resume(copy) == 0
    assert result(copy) == expected


def test_other_things_among_the_checkpoints_are_left_alone(
    run: Path, expected: dict[str, object], capsys: Capture
) -> None:
    folder = run / "checkpoints"
    (folder / "notes.txt").write_text("mine")
    (folder / "step-soon").mkdir()
    (folder / ".DS_Store").write_text("")
    (folder / "step-00000099").write_text("no directory")
    assert resume(run) == 0
    assert "step-00000099/manifest.json: not a directory" in capsys.readouterr().err
    assert result(run) == expected
    assert {"notes.txt", "step-soon", ".DS_Store"} <= set(checkpoints(run))


def test_a_checkpoint_that_cannot_be_read_is_passed_over(
    run: Path, expected: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """A bad sector: reading fails, though name and size are right."""
    digest = durable._digest

    def read(file: Path) -> str:
        if file.parent.name == "step-00000009" and file.name == "model.safetensors":
            raise OSError(5, "Input/output error")
        return digest(file)

    with monkeypatch.context() as patch:
        patch.setattr(durable, "_digest", read)
        assert resume(run) == 0
    assert "step-00000009/model.safetensors: input/output error" in capsys.readouterr().err
    assert result(run) == expected


def test_a_damaged_best_is_not_used(run: Path, capsys: Capture) -> None:
    flip((run / "best").resolve() / "model.safetensors")
    with pytest.raises(PhalanxError, match=r"model\.safetensors: its content has changed"):
        phalanx.load(run)


def test_a_run_without_checkpoints_begins_and_says_so(
    run: Path, expected: dict[str, object], capsys: Capture
) -> None:
    shutil.rmtree(run / "checkpoints")
    assert resume(run) == 0
    assert "no checkpoint yet; the run begins at its first step" in capsys.readouterr().err
    assert result(run) == expected


def test_a_directory_of_others_is_not_trained_in(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for more in ((), ("--resume", "auto")):
        assert train(write_text(tmp_path), tmp_path / "mine", *more) == 2
        assert "exists already" in capsys.readouterr().err
    assert [entry.name for entry in (tmp_path / "mine").iterdir()] == ["notes.txt"]
