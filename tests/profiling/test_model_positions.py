"""Positions of whole models: golden hops, causality both ways, what is said when one fails."""

import pytest
import torch
from plain_models import PlainGPT, window_mask
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from phalanx.profiling.elements import positions as module
from phalanx.profiling.elements.paths import Paths
from phalanx.profiling.elements.positions import positions
from phalanx.profiling.subjects.fake import without_zeros


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _vectors(length: int, width: int = 6) -> Tensor:
    return torch.randn(1, length, width)


def test_a_lstm_of_two_layers_has_two_hops_a_position() -> None:
    layer = nn.LSTM(6, 6, 2, batch_first=True)
    found = positions(lambda x: layer(x)[0], _vectors(24), at=None)
    hops = {d: found.hops_ij[0][d] for d in (4, 8, 16, 23)}
    assert hops == {4: 19, 8: 27, 16: 43, 23: 57}
    assert found.hops_law is not None
    assert found.hops_law.last_slope == 2
    assert found.exchanges_law is not None
    assert (found.exchanges_law.slope, found.exchanges_law.exact) == (1, True)
    assert (found.causal_by_shadow, found.causal_by_gradient, found.leak) == (True, True, 0.0)
    assert found.receptive_field == 23
    assert found.hops_ij[1][0] is None
    assert len(found.gradient_by_distance) == 24
    assert found.gradient_by_distance[0] > 100 * found.gradient_by_distance[23] > 0
    assert found.why_not == ""


def test_gpt_2_has_as_many_hops_at_every_distance() -> None:
    model = PlainGPT(20, 32, 16, 2, 2)
    found = positions(model, torch.randint(20, (1, 12)), at=model.tokens)
    assert {found.hops_ij[i][j] for i in range(12) for j in range(i + 1, 12)} == {11}
    assert (found.causal_by_shadow, found.causal_by_gradient) == (True, True)
    assert str(found.hops_law) == "11"
    assert str(found.exchanges_law) == "1"
    assert found.why_not == ""


def test_an_encoder_is_not_causal() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    found = positions(model, _vectors(6, 8), at=None)
    assert {found.hops_ij[i][j] for i in range(6) for j in range(6) if i != j} == {8}
    assert (found.causal_by_shadow, found.causal_by_gradient) == (False, False)
    assert found.leak > 0
    assert found.why_not == ""


def test_a_window_has_a_receptive_field_and_no_law_beyond_it() -> None:
    def local(x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x, attn_mask=window_mask(12, 4))

    found = positions(local, _vectors(12), at=None)
    assert found.receptive_field == 3
    assert found.gradient_by_distance[4:] == (0.0,) * 8


def test_a_pooled_classifier_is_one_position_at_the_end() -> None:
    layer, head = nn.GRU(6, 6, batch_first=True), nn.Linear(6, 3)
    found = positions(lambda x: head(layer(x)[0][:, -1]), _vectors(8), at=None)
    assert len(found.hops_ij) == 8
    assert len(found.hops_ij[0]) == 1
    assert found.exchanges_ij[0] == (7,)
    assert (found.causal_by_shadow, found.causal_by_gradient) == (None, None)
    assert found.receptive_field == 7
    assert "one position" in found.why_not


def test_without_a_rule_the_gradients_still_answer() -> None:
    def by_matrix(x: Tensor) -> Tensor:
        mixed: Tensor = torch.linalg.inv(torch.eye(6) * 3 + torch.ones(6, 6).tril()) @ x
        return mixed + torch.linalg.inv(x)

    found = positions(by_matrix, _vectors(6), at=None)
    assert found.hops_ij == ()
    assert found.causal_by_shadow is None
    assert found.causal_by_gradient is False
    assert found.receptive_field == 5
    assert "linalg_inv" in found.why_not


def test_ids_without_their_embedding_have_paths_alone() -> None:
    model = PlainGPT(20, 32, 16, 2, 1)
    found = positions(model, torch.randint(20, (1, 5)), at=None)
    assert found.causal_by_shadow is True
    assert found.causal_by_gradient is None
    assert "which module embeds them" in found.why_not


def test_a_host_read_of_ids_is_no_obstacle_behind_their_embedding() -> None:
    model = PlainGPT(20, 32, 16, 2, 1)

    def warns_of_padding(ids: Tensor) -> Tensor:
        assert 0 not in ids.tolist()
        assert not (ids == 0).any()
        return model(ids)

    ids = torch.randint(1, 20, (1, 5))
    assert positions(warns_of_padding, ids, at=model.tokens).why_not == ""
    refused = positions(warns_of_padding, ids, at=None)
    assert "the host reads" in refused.why_not


def test_a_module_that_raises_is_a_sentence() -> None:
    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("weights are missing")

    found = positions(broken, _vectors(4), at=None)
    assert found.hops_ij == ()
    assert found.receptive_field is None
    assert "weights are missing" in found.why_not
    assert "tuple" in positions(lambda x: (x, x), _vectors(4), at=None).why_not  # type: ignore[arg-type,return-value]


def test_another_number_of_positions_has_no_distances() -> None:
    found = positions(lambda x: x[:, ::2], _vectors(8), at=None)
    assert len(found.hops_ij[0]) == 4
    assert (found.causal_by_shadow, found.hops_law, found.receptive_field) == (None, None, None)
    assert "8 positions give 4" in found.why_not


def test_disagreement_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = nn.Parameter(torch.zeros(1))  # a path that carries a number that is zero just now
    found = positions(lambda x: x.cumsum(1) + weight * x.flip(1), _vectors(4), at=None)
    assert (found.causal_by_shadow, found.causal_by_gradient) == (False, True)
    assert "is not causal" in found.why_not

    def blind(*_: object, **__: object) -> Paths:
        alone = torch.where(torch.eye(4) > 0, 1.0, torch.inf).double().numpy()
        return Paths(alone, alone)

    monkeypatch.setattr(module, "paths", blind)
    missed = positions(lambda x: x.cumsum(1), _vectors(4), at=None)
    assert "6 pairs" in missed.why_not


def test_weights_of_zero_say_nothing_of_causality() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True).eval()
    nn.init.zeros_(layer.self_attn.out_proj.weight)
    found = positions(layer, _vectors(6, 8), at=None)
    assert (found.causal_by_shadow, found.causal_by_gradient) == (False, None)
    assert "gradients say nothing of causality" in found.why_not
    disturbed, count = without_zeros(layer)
    assert count == 1
    assert not layer.self_attn.out_proj.weight.any()
    assert positions(disturbed, _vectors(6, 8), at=None).causal_by_gradient is False


def test_positions_that_do_not_meet_are_causal_by_zero_gradients() -> None:
    found = positions(nn.Linear(6, 6), _vectors(6), at=None)
    assert (found.causal_by_shadow, found.causal_by_gradient) == (True, True)
    assert found.receptive_field == 0
    assert found.why_not == ""


def test_a_module_that_gives_positions_first_cannot_stand_for_the_input() -> None:
    class PositionsFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(20, 8)
            self.mix = nn.MultiheadAttention(8, 2)

        def forward(self, ids_BT: Tensor) -> Tensor:
            x_TBD = self.tokens(ids_BT.T)
            y_TBD: Tensor = self.mix(x_TBD, x_TBD, x_TBD)[0]
            return y_TBD.transpose(0, 1)

    model = PositionsFirst()
    found = positions(model, torch.randint(20, (1, 12)), at=model.tokens)
    assert (found.causal_by_shadow, found.causal_by_gradient) == (None, None)
    assert "no gradients: `at` gave (12, 1, 8)" in found.why_not
