"""Hidden tokens: BERT's shares, keyed by sample and position, and never a special one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import SMALL, words, wrap
from torch import Tensor

from phalanx.data.batches import IGNORED
from phalanx.data.masking import Masked, chosen_at_most, drop_tokens, is_text, mask_tokens
from phalanx.data.tokenizers import Tokenizer, train_tokenizer
from phalanx.data.tokenizers.files import bert_description
from phalanx.errors import UsageError

BERT, WORDS = SMALL["bert"], SMALL["words"]


def masked(
    ids_BT: Tensor, lengths_B: Tensor | None = None, fraction: float = 0.15, **keys: object
) -> Masked:
    settings = {"seed": 1, "epoch": 2, "samples_B": torch.arange(len(ids_BT)), **keys}
    return mask_tokens(ids_BT, lengths_B, BERT, fraction, **settings)  # type: ignore[arg-type]


def rows(tokenizer: Tokenizer, batch: int, length: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(
        np.random.default_rng(seed).integers(0, tokenizer.vocabulary, (batch, length))
    )


@given(st.integers(0, 5), st.integers(1, 6), st.integers(1, 40), st.floats(0.01, 0.95), st.data())
@settings(max_examples=60, deadline=None)
def test_so_many_of_each_rows_words_are_to_be_guessed(
    seed: int, batch: int, length: int, fraction: float, data: st.DataObject
) -> None:
    ids_BT = rows(BERT, batch, length, seed)
    lengths = data.draw(st.lists(st.integers(0, length), min_size=batch, max_size=batch))
    found = masked(ids_BT, torch.tensor(lengths), fraction, seed=seed)
    assert found.chosen_BK.shape == (batch, chosen_at_most(length, fraction))
    special = {0, 1, 2, 3, 4}  # [PAD] [UNK] [CLS] [SEP] [MASK]
    for row in range(batch):
        before, after = ids_BT[row].tolist(), found.inputs_BT[row].tolist()
        may = {t for t in range(lengths[row]) if before[t] not in special}
        pairs = zip(found.chosen_BK[row].tolist(), found.targets_BK[row].tolist(), strict=True)
        chosen = {place: target for place, target in pairs if target != IGNORED}
        wanted = max(1, int(fraction * len(may) + 0.5)) if may else 0
        assert len(chosen) == wanted
        assert chosen.keys() <= may
        assert all(before[place] == target for place, target in chosen.items())
        changed = {t for t in range(length) if before[t] != after[t]}
        assert changed <= chosen.keys()
        assert not {after[t] for t in changed} & (special - {4})


def test_four_fifths_are_hidden_a_tenth_is_another_and_a_tenth_stands() -> None:
    ids_BT = torch.full((400, 100), 20)
    found = masked(ids_BT, fraction=0.5)
    shown = found.inputs_BT.gather(1, found.chosen_BK)
    assert shown.shape == (400, 50)
    shares = {
        "mask": float((shown == 4).double().mean()),
        "stands": float((shown == 20).double().mean()),
    }
    assert shares["mask"] == pytest.approx(0.8, abs=0.01)
    assert shares["stands"] == pytest.approx(0.1, abs=0.01)
    others = shown[(shown != 4) & (shown != 20)].unique()
    assert len(others) > 0.95 * (BERT.vocabulary - 6), "any other token"


def test_places_are_chosen_evenly() -> None:
    found = masked(torch.full((4000, 20), 20), fraction=0.15)
    counts = torch.bincount(found.chosen_BK.flatten(), minlength=20)
    assert counts.sum() == 12000
    assert counts.min() > 500
    assert counts.max() < 700


def test_what_is_hidden_does_not_depend_on_the_batch() -> None:
    ids_BT, samples_B = rows(BERT, 12, 30), torch.arange(100, 112)
    lengths_B = torch.arange(30, 6, -2)
    whole = masked(ids_BT, lengths_B, samples_B=samples_B)
    part = torch.tensor([7, 3])
    few = masked(ids_BT[part], lengths_B[part], samples_B=samples_B[part])
    for one, other in zip(whole, few, strict=True):
        assert torch.equal(one[part], other)
    # Nor on how far the rows of the batch are padded.
    short = masked(ids_BT[9:, :12], lengths_B[9:], samples_B=samples_B[9:])
    assert torch.equal(short.inputs_BT, whole.inputs_BT[9:, :12])
    drop = {"seed": 1, "epoch": 0}
    dropped = drop_tokens(ids_BT, lengths_B, BERT, 0.3, samples_B=samples_B, **drop)
    few_dropped = drop_tokens(
        ids_BT[part], lengths_B[part], BERT, 0.3, samples_B=samples_B[part], **drop
    )
    assert torch.equal(dropped[part], few_dropped)


def test_each_epoch_each_seed_and_each_sample_has_masks_of_its_own() -> None:
    ids_BT = torch.full((1, 200), 20)
    first = masked(ids_BT).inputs_BT
    for change in ({"epoch": 3}, {"seed": 9}, {"samples_B": torch.tensor([5])}):
        assert not torch.equal(masked(ids_BT, **change).inputs_BT, first)  # type: ignore[arg-type]
    both = masked(ids_BT.expand(2, -1), samples_B=torch.tensor([0, 0]), epoch=np.array([2, 3]))
    assert torch.equal(both.inputs_BT[:1], first)
    assert torch.equal(both.inputs_BT[1:], masked(ids_BT, epoch=3).inputs_BT)


def test_a_tokenizer_without_a_mask_is_refused() -> None:
    ids_BT = torch.zeros(1, 3, dtype=torch.int64)
    with pytest.raises(UsageError, match="no token for a hidden word"):
        mask_tokens(
            ids_BT, None, SMALL["bytes"], 0.15, seed=0, epoch=0, samples_B=torch.tensor([0])
        )


def test_a_share_of_the_words_is_dropped_and_no_special_one() -> None:
    ids_BT = rows(BERT, 200, 50)
    lengths_B = torch.full((200,), 40)
    keys = {"seed": 0, "epoch": 0, "samples_B": torch.arange(200)}
    dropped = drop_tokens(ids_BT, lengths_B, BERT, 0.25, **keys)  # type: ignore[arg-type]
    changed = dropped != ids_BT
    assert not changed[:, 40:].any()
    assert not changed[ids_BT < 5].any()
    assert set(dropped[changed].tolist()) == {4}
    text = torch.from_numpy(is_text(BERT))[ids_BT[:, :40]]
    assert float(changed[:, :40][text].double().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.equal(drop_tokens(ids_BT, None, BERT, 0.0, **keys), ids_BT)  # type: ignore[arg-type]


def test_a_dropped_token_becomes_the_mask_else_the_unknown_else_the_end() -> None:
    unmasked = wrap(bert_description(words().replace("[MASK]\n", "")))
    without = train_tokenizer("words", ["a b"])
    expected = {
        WORDS: WORDS.special_ids["mask"],
        without: without.unknown_id,
        unmasked: unmasked.unknown_id,
        SMALL["bytes"]: 256,
    }
    for tokenizer, token in expected.items():
        ids_BT = torch.from_numpy(np.flatnonzero(is_text(tokenizer))[None])
        dropped = drop_tokens(
            ids_BT, None, tokenizer, 0.999, seed=0, epoch=0, samples_B=torch.tensor([0])
        )
        assert set(dropped[dropped != ids_BT].tolist()) == {token}
