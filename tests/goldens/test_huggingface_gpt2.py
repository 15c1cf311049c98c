"""Our Decoder with the weights of Hugging Face's GPT-2: the same logits and the same tokens."""

from typing import Any

import pytest
import torch

from phalanx.errors import UsageError
from phalanx.interop.huggingface import decoder_weights, gpt2_config, gpt2_weights
from phalanx.models import Decoder, build, count, preset

transformers: Any = pytest.importorskip(
    "transformers", reason="Hugging Face transformers is not installed"
)

PROMPT, NEW = 5, 12


def theirs(**changes: object) -> Any:
    """A small random GPT-2 in fp64, with every weight away from its default."""
    sizes = {"vocab_size": 101, "n_positions": 32, "n_embd": 24, "n_layer": 3, "n_head": 4}
    config = transformers.GPT2Config(**(sizes | {"bos_token_id": 0, "eos_token_id": 0} | changes))
    model = transformers.GPT2LMHeadModel(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def ours(model: Any) -> Decoder:
    decoder = build(gpt2_config(model.config.to_dict())).double()
    decoder.load_state_dict(decoder_weights(model.state_dict()))
    assert isinstance(decoder, Decoder)
    return decoder


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_logits(dtype: torch.dtype) -> None:
    model = theirs()
    decoder = ours(model).to(dtype)
    ids_BT = torch.randint(101, (3, 17))
    with torch.no_grad():
        exact = model(ids_BT).logits
        found = decoder(ids_BT)
        if dtype == torch.float64:
            torch.testing.assert_close(found, exact, rtol=1e-12, atol=1e-12)
            return
        rounded = model.to(dtype)(ids_BT).logits
    scale = float(exact.abs().max()) * torch.finfo(dtype).eps
    assert (found - exact).abs().max() <= 4 * (rounded - exact).abs().max() + 8 * scale


def test_greedy_tokens() -> None:
    model = theirs()
    decoder, ids_BT = ours(model), torch.randint(101, (2, PROMPT))
    with torch.inference_mode():
        expected = model.generate(
            ids_BT,
            attention_mask=torch.ones_like(ids_BT),
            max_new_tokens=NEW,
            min_new_tokens=NEW,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=None,
        )
        y_BTD, state = decoder.hidden(ids_BT, None, decoder.empty_state(2, PROMPT + NEW))
        scores_BV, tokens = decoder.head(y_BTD[:, -1]), [ids_BT]
        for _ in range(NEW):
            tokens.append(scores_BV.argmax(-1, keepdim=True))
            scores_BV, state = decoder.step(tokens[-1][:, 0], state)
    assert torch.equal(torch.cat(tokens, 1), expected)


def test_weights_move_back() -> None:
    model = theirs()
    weights = gpt2_weights(ours(model).state_dict())
    assert weights.keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(weights[name], tensor), name


def test_an_output_of_its_own() -> None:
    model = theirs(tie_word_embeddings=False)
    decoder, ids_BT = ours(model), torch.randint(101, (1, 9))
    assert decoder.output is not None
    torch.testing.assert_close(decoder(ids_BT), model(ids_BT).logits, rtol=1e-12, atol=1e-12)


def test_a_feed_forward_of_another_width() -> None:
    model = theirs(n_inner=40, activation_function="relu")
    decoder, ids_BT = ours(model), torch.randint(101, (1, 9))
    torch.testing.assert_close(decoder(ids_BT), model(ids_BT).logits, rtol=1e-12, atol=1e-12)


def test_the_124m_model() -> None:
    config = preset("gpt2", 50257, 1024)
    assert count(config)[0] == 124_439_808
    assert gpt2_config(transformers.GPT2Config().to_dict()) == config
    with torch.device("meta"):
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config())
        names = build(config).state_dict()
    assert sum(parameter.numel() for parameter in model.parameters()) == 124_439_808
    assert gpt2_weights(names).keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ({"activation_function": "silu"}, "activation_function"),
        ({"model_type": "llama"}, "expected 'gpt2'"),
    ],
)
def test_options_that_a_decoder_does_not_have(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gpt2_config(transformers.GPT2Config().to_dict() | change)


def test_weights_that_do_not_fit() -> None:
    weights = theirs().state_dict()
    del weights["transformer.wpe.weight"]
    with pytest.raises(UsageError, match=r"wpe\.weight"):
        decoder_weights(weights)
    with pytest.raises(UsageError, match=r"no GPT-2 has: extra"):
        decoder_weights(theirs().state_dict() | {"extra": torch.zeros(1)})
    with pytest.raises(UsageError, match="no place for: extra"):
        gpt2_weights(ours(theirs()).state_dict() | {"extra": torch.zeros(1)})
