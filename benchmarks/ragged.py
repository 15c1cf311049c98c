"""Encoding texts of uneven length: length batches here, padded batches in Hugging Face.

    python benchmarks/ragged.py [--threads N] [--texts N] [--rounds N] [--cpu-clock] [--json FILE]

A BERT of 4 layers, 256 wide, with random weights reads texts of 5 to 200 random tokens, in
inference, in float32. Both models have the same weights, moved as `phalanx.load` moves them; first
their last hidden states are compared at every real position, and where they differ no time is
printed. Then each way reads all texts in turn, round by round, and what is printed is the median
over the rounds of real (not padding) tokens per second, and of the ratio of two neighbours in a
round. The ways:

- ours: batches as in training and evaluation (`data/length_batches.py`), by tokens;
- ours, full rows: as many batches of the same shapes in which every position is real: what the
  padding and its masks cost is 1 - ours / this;
- Hugging Face, as they come: 32 texts at a time, padded to the longest of them;
- Hugging Face, sorted: our batches, padded and masked as it needs.

`--cpu-clock` counts the process's own time instead of the clock's, for a machine that others use.
2 to 4 minutes.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phalanx.data.length_batches import in_order, padded
from phalanx.data.tokenizers import train_tokenizer
from phalanx.interop.huggingface import open_huggingface
from phalanx.models import Encoder
from phalanx.rows import Rows

LAYERS, WIDTH, HEADS, VOCABULARY = 4, 256, 4, 8192
SHORTEST, LONGEST = 5, 200
ROWS = 32  # of a batch as the texts come
POSITIONS = 4096  # of a length batch, padding included: about as many as the others have
TOLERANCE = 2e-5  # of hidden states of unit variance, in float32

Batch = tuple[Tensor, Tensor]  # ids_BT, lengths_B
Batches = Sequence[Batch]


def texts_of(count: int) -> list[NDArray[np.int64]]:
    random = np.random.default_rng(0)
    lengths = random.integers(SHORTEST, LONGEST + 1, count)
    return [random.integers(5, VOCABULARY, length) for length in lengths]


def models(directory: Path) -> tuple[Encoder, torch.nn.Module]:
    """A BertModel with random weights, and ours with the same."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    theirs = BertModel(
        BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
            max_position_embeddings=LONGEST,
        ),
        add_pooling_layer=False,
    ).eval()
    theirs.save_pretrained(directory)
    train_tokenizer("wordpiece", ["any text"], 20).save(directory)
    ours = open_huggingface(directory, torch.device("cpu")).model
    assert isinstance(ours, Encoder)
    return ours, theirs


def run_ours(model: Encoder, batch: Batch) -> Tensor:
    ids_BT, lengths_B = batch
    full = bool((lengths_B == ids_BT.shape[1]).all())
    rows = None if full else Rows.padded(lengths_B, ids_BT.shape[1])
    return model.hidden(ids_BT, rows)[0]


def run_theirs(model: torch.nn.Module, batch: Batch) -> Tensor:
    ids_BT, lengths_B = batch
    mask_BT = (torch.arange(ids_BT.shape[1]) < lengths_B[:, None]).long()
    y_BTD: Tensor = model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
    return y_BTD


def largest_difference(ours: Encoder, theirs: torch.nn.Module, batches: Batches) -> float:
    worst = []
    for batch in batches:
        keep_BT = torch.arange(batch[0].shape[1]) < batch[1][:, None]
        apart_BTD = (run_ours(ours, batch) - run_theirs(theirs, batch)).abs()
        worst.append(apart_BTD[keep_BT].max())
    return float(torch.stack(worst).max())  # NaN where one is


def padding(batches: Batches) -> float:
    positions = sum(ids_BT.numel() for ids_BT, _ in batches)
    return 1 - sum(int(lengths_B.sum()) for _, lengths_B in batches) / positions


def timed(
    ways: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Seconds of each way in each round; the first round, which warms up, is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            began = clock()
            way()
            if number:
                seconds[name].append(clock() - began)
    return seconds


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cpu-clock", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    texts = texts_of(asked.texts)
    lengths = np.array([len(text) for text in texts])
    tokens = int(lengths.sum())
    ordered = [padded([texts[i] for i in rows]) for rows in in_order(lengths, POSITIONS)]
    coming = [padded(texts[at : at + ROWS]) for at in range(0, len(texts), ROWS)]
    full = [(ids_BT, torch.full_like(lengths_B, ids_BT.shape[1])) for ids_BT, lengths_B in ordered]
    with tempfile.TemporaryDirectory() as directory:
        ours, theirs = models(Path(directory))
    apart = max(largest_difference(ours, theirs, batches) for batches in (ordered, coming))
    print(f"largest difference of hidden states at real positions: {apart:.1e}")
    if not apart < TOLERANCE:
        raise SystemExit(f"the models differ by more than {TOLERANCE}: no times")

    seconds = timed(
        {
            "ours": lambda: [run_ours(ours, batch) for batch in ordered],
            "ours, full rows": lambda: [run_ours(ours, batch) for batch in full],
            "Hugging Face, as they come": lambda: [run_theirs(theirs, batch) for batch in coming],
            "Hugging Face, sorted": lambda: [run_theirs(theirs, batch) for batch in ordered],
        },
        asked.rounds,
        time.process_time if asked.cpu_clock else time.perf_counter,
    )
    batches = [ordered, full, coming, ordered]
    real = [tokens, sum(ids_BT.numel() for ids_BT, _ in full), tokens, tokens]
    results = []
    for (name, each), made, count in zip(seconds.items(), batches, real, strict=True):
        speed = statistics.median(count / one for one in each)
        pairs = [
            (tokens / mine) / (count / one) for mine, one in zip(seconds["ours"], each, strict=True)
        ]
        result = {"way": name, "tokens_per_second": speed, "padding": padding(made)}
        result |= {"ours_to_it": statistics.median(pairs), "pairs": sorted(pairs)}
        results.append(result)
        print(
            f"{name:28} {speed:10,.0f} tokens/s  padding {padding(made):5.1%}  ours is "
            f"{result['ours_to_it']:.2f} times as fast ({min(pairs):.2f} to {max(pairs):.2f})"
        )
    cost = 1 - results[1]["ours_to_it"]
    print(f"padding and its masks cost {cost:.1%} of the throughput of full rows")
    if asked.json:
        facts = {"threads": asked.threads, "texts": len(texts), "tokens": tokens}
        facts |= {"rounds": asked.rounds, "cpu_clock": asked.cpu_clock, "apart": apart}
        asked.json.write_text(json.dumps({**facts, "cost": cost, "ways": results}, indent=1))


if __name__ == "__main__":
    main()
