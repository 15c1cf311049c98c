"""Batches: cut into parts, moved, packed; answers that are smoothed for training alone."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812  # torch's own customary name

from phalanx.data.batches import IGNORED
from phalanx.models import build, preset
from phalanx.rows import Rows
from phalanx.tasks import positions
from phalanx.tasks.positions import Batch


def whole_batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(9, (5, 7), generator=generator)
    return Batch(
        ids_BT,
        ids_BT.roll(-1, 1),
        torch.tensor([7, 3, 5, 0, 6]),
        torch.tensor([[0, 0, 1, 1, 1, 2, 2]] * 5),
        torch.arange(5) * 100,
    )


def test_parts_of_a_batch_carry_every_field() -> None:
    batch = whole_batch()
    parts = batch.split(2)
    assert [len(part.inputs_BT) for part in parts] == [2, 2, 1]
    for name in vars(batch):
        joined = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(joined, getattr(batch, name)), name
    assert vars(batch.to(torch.device("meta"))).keys() == vars(batch).keys()
    assert all(t.device.type == "meta" for t in vars(batch.to(torch.device("meta"))).values())
    bare = Batch(batch.inputs_BT, batch.targets_BT).split(3)[1]
    assert bare.lengths_B is bare.segments_BT is bare.samples_B is None


def test_positions_begin_again_in_each_packed_document() -> None:
    batch = whole_batch()
    rows = batch.rows
    assert rows is not None
    assert rows.positions_BT[0].tolist() == [0, 1, 0, 1, 2, 0, 1]
    assert rows.positions_BT[1].tolist() == [0, 1, 0, 0, 0, 0, 0]  # padding stands at 0
    assert torch.equal(rows.segments_BT, batch.segments_BT)
    assert torch.equal(rows.lengths_B, batch.lengths_B)
    one = Rows.packed(torch.full((2, 4), 3))
    assert one.positions_BT.tolist() == [[0, 1, 2, 3]] * 2
    assert one.lengths_B is None


@pytest.mark.parametrize("chunk", [2**24, 40], ids=["whole", "chunked"])
def test_smoothing_spreads_a_share_of_each_answer(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(positions, "CHUNK_SCORES", chunk)
    model = build(preset("gru", 9, 8, width=16, layers=1, init="glorot"), 0).double()
    ids_BT = torch.randint(9, (3, 8))
    targets_BT = ids_BT.roll(-1, 1)
    targets_BT[1, 4:] = IGNORED
    batch = Batch(ids_BT, targets_BT)
    logs_NV = F.log_softmax(model(ids_BT), -1)[targets_BT != IGNORED]
    answers_N = targets_BT[targets_BT != IGNORED]
    wanted_NV = 0.9 * F.one_hot(answers_N, 9) + 0.1 / 9
    found = positions.total(model, batch, 0.1)
    torch.testing.assert_close(found.nats, -(wanted_NV * logs_NV).sum())
    assert int(found.answers) == len(answers_N)
    plain = -logs_NV.gather(-1, answers_N[:, None]).sum()
    torch.testing.assert_close(positions.total(model, batch).nats, plain)
