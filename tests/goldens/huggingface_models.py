"""Small random models of transformers, saved, opened by phalanx, compared and written back."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from phalanx.data.tokenizers import Tokenizer, train_tokenizer
from phalanx.inference.generate import continue_rows
from phalanx.interop.huggingface import Opened, export_huggingface, open_huggingface
from phalanx.models import Classifier, Encoder
from phalanx.rows import Rows

CPU = torch.device("cpu")
ROWS, LONGEST = 3, 17
LENGTHS = (17, 9, 1)


def tokenizer() -> Tokenizer:
    return train_tokenizer("characters", ["abcdefgh ijk"])


def perturbed(model: Any) -> Any:
    """The model with every weight away from its default."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.float().eval()


def saved(model: Any, path: Path, **options: Any) -> Path:
    """A directory of the model, with a tokenizer."""
    model.save_pretrained(path, **options)
    tokenizer().save(path)
    return path


def opened(path: Path) -> Opened:
    return open_huggingface(path, CPU)


def inputs(vocabulary: int, types: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random tokens, the lengths of rows, and types of tokens."""
    ids_BT = torch.randint(vocabulary, (ROWS, LONGEST))
    return ids_BT, torch.tensor(LENGTHS), torch.randint(max(types, 1), (ROWS, LONGEST))


def logits(ours: Opened, theirs: Any, given: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
    """What both answer for padded rows; where there is padding, zero."""
    ids_BT, lengths_B, types_BT = given
    keep_BT = torch.arange(LONGEST) < lengths_B[:, None]
    rows = Rows.padded(lengths_B, LONGEST)
    model = ours.model
    asked: dict[str, Any] = {"attention_mask": keep_BT.long()}
    with torch.no_grad():
        if isinstance(model, Encoder):
            asked["token_type_ids"] = types_BT
            if ours.task == "embedding":
                found = model.hidden(ids_BT, rows, types_BT=types_BT)[0]
            else:
                found = model(ids_BT, rows, types_BT)
        else:
            found = model(ids_BT, rows)
        answer = theirs(ids_BT, **asked)
    wanted = answer.last_hidden_state if ours.task == "embedding" else answer.logits
    if isinstance(model, Classifier):
        return [found, wanted]
    return [torch.where(keep_BT[..., None], one, 0) for one in (found, wanted)]


def assert_equal_logits(
    theirs: Any, ours: Opened, dtype: torch.dtype, exact: float | None = None
) -> None:
    """In fp64 to ``exact``; without that no farther from ours in fp64 than theirs is (law 5)."""
    config = ours.model.config
    given = inputs(config.vocabulary, config.token_types)
    ours.model.double()
    try:
        if exact is not None:
            found, wanted = logits(ours, theirs.double(), given)
            torch.testing.assert_close(found, wanted, rtol=exact, atol=exact)
            return
        truth, _ = logits(ours, theirs.double(), given)
        ours.model.to(dtype)
        found, wanted = logits(ours, theirs.to(dtype), given)
        scale = float(truth.abs().max()) * torch.finfo(dtype).eps
        error, allowed = (float((one - truth).abs().max()) for one in (found, wanted))
        assert error <= 4 * allowed + 8 * scale
        assert allowed <= 1000 * scale  # theirs is near the truth as well
    finally:
        ours.model.float()
        theirs.float()


def assert_weights_return(theirs: Any, ours: Opened, path: Path) -> None:
    """Written by phalanx: the same tensors bit for bit, and transformers answers as before."""
    import transformers

    exported = export_huggingface(
        path, ours.model, ours.tokenizer, ours.task, ours.labels, ours.begin_ids
    )
    assert exported.architecture == type(theirs).__name__
    wanted = theirs.state_dict()
    found = load_file(path / "model.safetensors")
    repeated = wanted.keys() - found.keys()
    assert found.keys() <= wanted.keys()
    for name in repeated:  # a tensor that is tied to one that is there, or one that is not used
        assert "pooler" in name or any(torch.equal(wanted[name], one) for one in found.values())
    for name, tensor in found.items():
        assert torch.equal(tensor, wanted[name]), name
    back = getattr(transformers, exported.architecture).from_pretrained(path).eval()
    config = ours.model.config
    given = inputs(config.vocabulary, config.token_types)
    assert torch.equal(logits(ours, back, given)[1], logits(ours, theirs, given)[1])
    again = opened(path)
    assert again.model.config == config
    assert again.labels == ours.labels


def assert_greedy_alike(theirs: Any, ours: Opened, new: int = 12) -> None:
    """The same tokens from prompts of two lengths, each row by itself in transformers."""
    prompts = [torch.randint(ours.model.config.vocabulary, (length,)) for length in (5, 2)]
    rows = continue_rows(ours.model, [p.tolist() for p in prompts], [new] * len(prompts))
    for prompt, row in zip(prompts, rows, strict=True):
        expected = theirs.generate(
            prompt[None],
            attention_mask=torch.ones_like(prompt)[None],
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=None,
        )[0, len(prompt) :]
        assert row.tokens == expected.tolist()
