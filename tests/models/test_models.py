"""Decoders, encoders and presets; what they compute is for the laws and the goldens."""

import pytest
import torch

from phalanx.errors import UsageError
from phalanx.models import (
    PRESETS,
    Classifier,
    Decoder,
    Encoder,
    EncoderDecoder,
    build,
    count,
    preset,
)
from phalanx.models.presets import Kind
from phalanx.rows import Rows

OF_ONE_SIZE = ("gpt2", "bert-base")
SIZED = [name for name in PRESETS if name not in OF_ONE_SIZE]
DECODERS = [name for name in PRESETS if name != "bert-base"]


def small(name: str, **changes: object) -> Decoder:
    fields: dict[str, object] = {"width": 16, "layers": 2} | changes
    if name == "gpt2":
        fields |= {"attention": {"heads": 4}, "feed_forward": {"width": 24}}
    model = build(preset(name, 11, 12, **fields), seed=0)
    assert isinstance(model, Decoder)
    return model


@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize("kind", ["decoder", "encoder", "encoder_decoder"])
@pytest.mark.parametrize("size", [120_000, 800_000])
def test_presets_meet_a_size(name: str, kind: Kind, size: int) -> None:
    total, inner = count(preset(name, 64, 32, size, kind=kind))
    # Recurrences have no feed-forward network to even out what whole widths leave.
    assert inner == pytest.approx(size, rel=0.02 if kind == "decoder" else 0.035)
    assert total > inner


@pytest.mark.parametrize("name", DECODERS)
def test_presets_build_and_count(name: str) -> None:
    model = small(name)
    ids_BT = torch.randint(11, (2, 5))
    assert model(ids_BT).shape == (2, 5, 11)
    total, inner = model.parameter_counts()
    assert (total, inner) == count(model.config)
    assert total == sum(parameter.numel() for parameter in model.parameters())


def test_what_presets_refuse() -> None:
    with pytest.raises(UsageError, match=r"'transfromer' is not known.*'transformer'"):
        preset("transfromer", 9, 8)
    with pytest.raises(UsageError, match="124M"):
        preset("gpt2", 9, 8, size=1000)
    with pytest.raises(UsageError, match="gpt2 is the 124M model, made as decoder"):
        preset("gpt2", 9, 8, kind="encoder")
    with pytest.raises(UsageError, match="bert-base is the 110M model, made as encoder"):
        preset("bert-base", 9, 8, kind="decoder")
    with pytest.raises(UsageError, match=r"widht: unknown key.*'width'"):
        preset("gru", 9, 8, widht=4)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("decoder", "pooling", "mean"),
        ("encoder_decoder", "pooling", "mean"),
        ("decoder", "token_types", 2),
        ("encoder", "encoder_layers", 2),
        ("decoder", "encoder_mixers", ["gru"]),
    ],
)
def test_fields_of_another_kind_are_refused(kind: Kind, field: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"{field} is .* and kind {kind}: expected kind"):
        preset("transformer", 9, 8, kind=kind, width=16, **{field: value})


def test_the_pattern_of_an_encoder_divides_its_layers() -> None:
    given = {"kind": "encoder_decoder", "width": 16, "layers": 4, "encoder_layers": 3}
    assert preset("transformer", 9, 8, **given).encoder_mixer_names == ("attention",) * 3
    with pytest.raises(UsageError, match="the encoder has 3 layers and a pattern of 2 mixers"):
        preset("transformer", 9, 8, **given, encoder_mixers=["gru+gru", "attention"])


def test_encoders_read_both_ways_unless_told_otherwise() -> None:
    names = lambda **c: preset("lstm", 9, 8, width=8, layers=2, **c).mixer_names  # noqa: E731
    assert names(kind="encoder") == ("lstm+lstm",) * 2
    assert names(kind="encoder", mixers=("lstm",)) == ("lstm",) * 2
    assert names(kind="encoder_decoder") == ("lstm",) * 2


def test_changes_keep_the_rest_of_a_section() -> None:
    config = preset("transformer", 9, 8, width=32, attention={"window": 4})
    assert config.attention.window == 4
    assert config.attention.query_key_norm


@pytest.mark.parametrize("name", DECODERS)
def test_weights_are_a_function_of_the_seed(name: str) -> None:
    first, second = small(name), small(name)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_models_build_on_meta() -> None:
    config = preset("transformer-2017", 11, 12, width=16, layers=2)
    with torch.device("meta"):
        empty = build(config)
    model = empty.to_empty(device="cpu")
    model.init_weights(torch.Generator().manual_seed(0))
    ids_BT = torch.randint(11, (2, 5))
    assert torch.equal(model(ids_BT), build(config, seed=0)(ids_BT))


def test_gpt2_scales_the_ends_of_its_branches() -> None:
    model = small("gpt2", width=64, layers=8)
    inside = torch.stack([block.mixer.query.weight for block in model.blocks])
    ends = torch.stack([block.mixer.output.weight for block in model.blocks])
    assert float(inside.detach().std()) == pytest.approx(0.02, rel=0.05)
    assert float(ends.detach().std()) == pytest.approx(0.02 / 4, rel=0.05)


def test_kinds_are_not_confused() -> None:
    decoder, encoder = preset("gru", 9, 8, width=8), preset("gru", 9, 8, width=8, kind="encoder")
    with pytest.raises(UsageError, match="needs kind: decoder"):
        Decoder(encoder)
    with pytest.raises(UsageError, match="needs kind: encoder"):
        Encoder(decoder)
    with pytest.raises(UsageError, match="needs kind: encoder_decoder"):
        EncoderDecoder(decoder)
    with pytest.raises(UsageError, match="Classifier: pooling is None; expected one of first"):
        Classifier(encoder)
    with pytest.raises(UsageError, match="Encoder: pooling is 'mean'; expected none"):
        Encoder(preset("gru", 9, 8, width=8, kind="encoder", pooling="mean"))
    assert isinstance(build(encoder), Encoder)
    with pytest.raises(UsageError, match="no causal mixer"):
        build(preset("gru", 9, 8, width=8, mixers=("gru+gru",)))


def test_an_encoder_answers_other_outputs_than_its_tokens() -> None:
    config = preset("lstm", 9, 8, width=8, kind="encoder", mixers=("lstm+lstm",), outputs=5)
    assert build(config)(torch.zeros(2, 3, dtype=torch.int64)).shape == (2, 3, 5)


@pytest.mark.parametrize("name", ["gpt2", "transformer-2017"])
def test_rows_that_wait_at_the_end_of_the_context(name: str) -> None:
    """A full row has no next position; while it waits, the others go on."""
    model, ids_BT = small(name), torch.randint(11, (2, 12))
    rows = Rows.padded(torch.tensor([12, 10]), 12)
    with torch.inference_mode():
        _, state = model.hidden(ids_BT, rows, model.empty_state(2, 12))
        active_B = torch.tensor([False, True])
        for t in (10, 11):
            scores_BV, state = model.step(ids_BT[:, t], state, active_B)
        assert state.length_B.tolist() == [12, 12]
        torch.testing.assert_close(scores_BV[1], model(ids_BT)[1, -1])


@pytest.mark.parametrize("name", DECODERS)
def test_lowered_precision_warns_of_nothing(name: str) -> None:
    model, ids_BT = small(name), torch.randint(11, (2, 5))
    with torch.autocast("cpu", torch.bfloat16):
        model(ids_BT).float().square().mean().backward()
        _, state = model.hidden(ids_BT, None, model.empty_state(2, 8))
        model.step(ids_BT[:, 0], state)


def test_a_state_is_carried_without_rows() -> None:
    model, ids_BT = small("transformer").double(), torch.randint(11, (2, 9))
    state = model.empty_state(2, 9)
    first, state = model.hidden(ids_BT[:, :4], None, state)
    second, _ = model.hidden(ids_BT[:, 4:], None, state)
    whole, none = model.hidden(ids_BT)
    assert none is None
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=1e-12, atol=1e-12)
