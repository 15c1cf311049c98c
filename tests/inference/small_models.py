"""A small model of every causal kind, in a precision in which rounding decides nothing."""

import torch

from phalanx.models import Decoder, build, preset

VOCABULARY, CONTEXT = 29, 24

CHANGES: dict[str, tuple[str, dict[str, object]]] = {
    "rnn": ("rnn", {}),
    "lstm": ("lstm", {}),
    "gru": ("gru", {}),
    "mingru": ("mingru", {}),
    "transformer": ("transformer", {}),
    "transformer-2017": ("transformer-2017", {}),
    "gpt2": (
        "gpt2",
        {"width": 16, "layers": 2, "attention": {"heads": 2}, "feed_forward": {"width": 32}},
    ),
    "hybrid": ("transformer", {"mixers": ("gru", "attention")}),
    "windowed": ("transformer", {"attention": {"window": 5}}),
    "grouped queries": ("transformer", {"attention": {"key_value_heads": 1}}),
}
KINDS = tuple(CHANGES)


def small(kind: str, dtype: torch.dtype = torch.float64) -> Decoder:
    """A model of that kind with large random weights, so that its text varies with its past."""
    name, changes = CHANGES[kind]
    # With tied weights an untrained model repeats its last token.
    changes = {"width": 32, "tied": False, **changes}
    model = build(preset(name, VOCABULARY, CONTEXT, **changes))
    assert isinstance(model, Decoder)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                # A strong feed-forward network would draw every position to the same token.
                scale = 0.5 if "feed_forward" in name else 2.0
                parameter.normal_(std=scale * parameter.shape[1] ** -0.5, generator=generator)
    return model.to(dtype).eval()
