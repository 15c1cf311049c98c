"""Our encoder-decoder against torch.nn.Transformer, whole, with its weights."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch_weights import close, copy_decoder_layer, copy_encoder_layer, disturb

from phalanx.layers.cross_block import CrossBlock
from phalanx.models import EncoderDecoder, build, preset
from phalanx.rows import Rows

WIDTH, HEADS, INNER, VOCABULARY, SOURCE, TARGET = 12, 2, 20, 11, 7, 6


def ours_of(theirs: nn.Transformer) -> EncoderDecoder:
    """The preset of 2017 with the weights of theirs, which ends each stack with a norm."""
    config = preset(
        "transformer-2017",
        VOCABULARY,
        16,
        kind="encoder_decoder",
        width=WIDTH,
        layers=2,
        encoder_layers=3,
        attention={"heads": HEADS},
        feed_forward={"width": INNER},
        final_norm=True,
    )
    model = build(config, seed=0)
    assert isinstance(model, EncoderDecoder)
    disturb(model)
    model.positions.init_weights()  # the table again, now in fp64
    for layer, block in zip(theirs.encoder.layers, model.encoder_blocks, strict=True):
        copy_encoder_layer(layer, block)
    for layer, block in zip(theirs.decoder.layers, model.blocks, strict=True):
        assert isinstance(block, CrossBlock)
        copy_decoder_layer(layer, block)
    model.encoder_norm.load_state_dict(theirs.encoder.norm.state_dict())
    model.norm.load_state_dict(theirs.decoder.norm.state_dict())
    return model


def embedded(model: EncoderDecoder, ids_BT: Tensor) -> Tensor:
    """Token vectors times sqrt(width), and the paper's sines and cosines, written out."""
    x_BTD = model.embedding.weight[ids_BT] * math.sqrt(WIDTH)
    for t in range(ids_BT.shape[1]):
        for i in range(WIDTH):
            angle = t / 10000 ** (i // 2 * 2 / WIDTH)
            x_BTD[:, t, i] += math.sin(angle) if i % 2 == 0 else math.cos(angle)
    return x_BTD


@pytest.mark.parametrize("padded", [False, True])
def test_the_whole_transformer(padded: bool) -> None:
    torch.manual_seed(0)
    theirs = nn.Transformer(WIDTH, HEADS, 3, 2, INNER, 0.0, "relu", batch_first=True)
    model = ours_of(disturb(theirs))
    source_BS = torch.randint(VOCABULARY, (3, SOURCE))
    ids_BT = torch.randint(VOCABULARY, (3, TARGET))
    lengths = (torch.tensor([7, 4, 1]), torch.tensor([6, 2, 5])) if padded else (None, None)
    source_rows, rows = (
        Rows.full(3, length) if given is None else Rows.padded(given, length)
        for given, length in zip(lengths, (SOURCE, TARGET), strict=True)
    )
    missing_BS, missing_BT = (
        None if each.keep_BT is None else ~each.keep_BT for each in (source_rows, rows)
    )
    y_BTD = theirs(
        embedded(model, source_BS),
        embedded(model, ids_BT),
        tgt_mask=torch.ones(TARGET, TARGET, dtype=torch.bool).triu(1),
        src_key_padding_mask=missing_BS,
        tgt_key_padding_mask=missing_BT,
        memory_key_padding_mask=missing_BS,
    )
    expected_BTV = y_BTD @ model.embedding.weight.t()  # three-way tying, section 3.4
    scores_BTV = model(source_BS, ids_BT, source_rows, rows)
    keep_BT = torch.ones(3, TARGET, dtype=torch.bool) if missing_BT is None else ~missing_BT
    close(scores_BTV[keep_BT], expected_BTV[keep_BT])
