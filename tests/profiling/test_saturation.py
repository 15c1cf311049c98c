from collections.abc import Callable

import pytest
import torch
from sample_speeds import kernel, product, speeds
from torch import nn

from phalanx.errors import UsageError
from phalanx.profiling.executed import executed_kernels
from phalanx.profiling.machine import saturation as under_test
from phalanx.profiling.machine.predict import predict
from phalanx.profiling.machine.resizing import resized, same_sequence, through
from phalanx.profiling.machine.saturation import parse_setting, saturates, saturation, what_if
from phalanx.profiling.subjects.modules import module_subject
from phalanx.profiling.subjects.subject import Subject

HERE = speeds()


def test_a_polynomial_is_continued_exactly() -> None:
    assert through((2, 4), (7, 11), 100) == pytest.approx(203)  # 3 + 2 n
    assert through((16, 32, 64), [5 * n * n + n for n in (16, 32, 64)], 1000) == 5_001_000


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (lambda n: 100 + n, 512),  # 2 (100 + n) / (100 + 2 n) < 1.1 from n = 450
        (lambda n: n, 1),
        (lambda n: 1, None),
        (lambda n: n if n < 64 else n / 4, 64),  # what gains again had not saturated
    ],
)
def test_saturation_is_where_a_doubling_stops_to_pay(
    seconds: Callable[[int], float], expected: int | None
) -> None:
    assert saturates(seconds, 1024) == expected


def test_nothing_saturates_where_nothing_can_double() -> None:
    assert saturates(lambda n: n, 1) is None


def encoder() -> Subject:
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dropout=0.0)
    return module_subject(layer, torch.zeros(1, 8, 32))


@pytest.mark.parametrize("mode", ["train", "forward"])
def test_kernels_at_another_size_are_those_that_are_traced_there(mode: str) -> None:
    subject = encoder()
    by_batch = [executed_kernels(subject, mode, size, 16) for size in (2, 4)]
    by_length = [executed_kernels(subject, mode, 2, size) for size in (16, 32, 64)]
    assert same_sequence(by_batch)
    assert same_sequence(by_length)
    for found, traced in (
        (resized(by_batch, (2, 4), 32), executed_kernels(subject, mode, 32, 16)),
        (resized(by_length, (16, 32, 64), 128), executed_kernels(subject, mode, 2, 128)),
    ):
        assert [(k.written, k.bytes_moved) for k in found] == [
            (k.written, k.bytes_moved) for k in traced
        ]
        assert [k.cost and (k.cost.product, k.cost.matmul, k.cost.other) for k in found] == [
            k.cost and (k.cost.product, k.cost.matmul, k.cost.other) for k in traced
        ]


def test_other_operators_or_modules_are_another_sequence() -> None:
    one = [kernel("add", 8, "a"), product(2, 2, 2)]
    assert same_sequence([one, [kernel("add", 16, "a"), product(4, 2, 2)]])
    assert not same_sequence([one, [kernel("mul", 8, "a"), product(2, 2, 2)]])
    assert not same_sequence([one, [kernel("add", 8, "b"), product(2, 2, 2)]])
    assert not same_sequence([one, one[:1]])


def test_a_pass_of_launches_saturates_later_than_one_of_products() -> None:
    small = module_subject(nn.Linear(4, 4), torch.zeros(1, 8, 4))
    large = module_subject(nn.Linear(2048, 2048), torch.zeros(1, 8, 2048))
    few, many = (saturation(one, "forward", HERE) for one in (large, small))
    assert few.keys() == many.keys() == {"batch", "length"}
    assert few["batch"] is not None
    assert many["batch"] is None or many["batch"] > few["batch"]


def test_a_loop_over_positions_is_continued_by_its_time() -> None:
    subject = module_subject(nn.RNN(8, 8, batch_first=True), torch.zeros(1, 8, 8))
    found = saturation(subject, "forward", HERE)
    # Each position costs the same launches, so that no length pays more than another...
    assert found["length"] is not None
    assert found["length"] <= 64
    # ...but rows share them.
    assert found["batch"] is None or found["batch"] > found["length"]


def test_settings_are_parsed() -> None:
    assert parse_setting("batch=64") == ("batch", 64)
    assert parse_setting("seq-len=2048") == ("length", 2048)
    assert parse_setting("threads=1") == ("threads", 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bach=64", "'bach' is no setting. Did you mean 'batch'"),
        ("", "'' is no setting"),
        ("batch", "'' is no positive whole number"),
        ("batch=0", "'0' is no positive whole number"),
        ("seq-len=-3", "'-3' is no positive whole number"),
        ("batch=1.5", "'1.5' is no positive whole number"),
        ("threads=two", "'two' is no positive whole number"),
    ],
)
def test_what_is_no_setting_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_setting(text)
    with pytest.raises(UsageError):
        what_if(encoder(), "forward", text, HERE)


def test_a_what_if_is_the_prediction_of_that_setting() -> None:
    subject = encoder()
    found = what_if(subject, "train", "batch=16", HERE, length=24)
    traced = predict(executed_kernels(subject, "train", 16, 24), HERE)
    assert found.setting == "batch=16"
    assert found.seconds == traced.seconds
    longer = what_if(subject, "train", {"length": 24}, HERE, batch=16)
    assert (longer.setting, longer.seconds) == ("seq-len=24", traced.seconds)


@pytest.mark.parametrize("setting", [{"lenght": 3}, {"batch": 0}])
def test_a_mapping_that_is_no_setting_is_refused(setting: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        what_if(encoder(), "forward", setting, HERE)


def test_other_threads_take_other_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = speeds(threads=2)
    slow.tables["mm"] = type(slow.tables["mm"])(
        slow.tables["mm"].axes, tuple(3 * time for time in slow.tables["mm"].seconds)
    )
    monkeypatch.setattr(under_test, "speeds", lambda device, threads: slow)
    subject = encoder()
    one = what_if(subject, "train", "threads=1", HERE)
    two = what_if(subject, "train", "threads=2", HERE)
    assert one.seconds == what_if(subject, "train", "batch=1", HERE).seconds
    assert two.seconds > one.seconds
