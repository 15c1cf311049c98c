"""Models of transformers by their configuration alone: passes, and a cache that is carried."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from phalanx.errors import UsageError
from phalanx.profiling.executed import executed_kernels
from phalanx.profiling.profile import profile_subject
from phalanx.profiling.subjects.subject import Subject, subjects_from
from phalanx.profiling.tracing.trace import trace

transformers = pytest.importorskip("transformers")

WIDTH, LAYERS, VOCABULARY = 32, 2, 96
CONFIGS: dict[str, Any] = {
    "gpt2": lambda: transformers.GPT2Config(
        n_embd=WIDTH, n_layer=LAYERS, n_head=2, vocab_size=VOCABULARY, n_positions=64,
        bos_token_id=0, eos_token_id=0, architectures=["GPT2LMHeadModel"],
    ),
    "llama": lambda: transformers.LlamaConfig(
        hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=LAYERS, vocab_size=VOCABULARY,
        num_attention_heads=4, num_key_value_heads=2, architectures=["LlamaForCausalLM"],
    ),
    "t5": lambda: transformers.T5Config(
        d_model=WIDTH, d_kv=16, d_ff=64, num_layers=LAYERS, num_heads=2, vocab_size=VOCABULARY,
        architectures=["T5ForConditionalGeneration"],
    ),
    "bert": lambda: transformers.BertConfig(
        hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=LAYERS, vocab_size=VOCABULARY,
        num_attention_heads=2, max_position_embeddings=64,
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet() -> None:
    transformers.logging.set_verbosity_error()


def subject_of(name: str, path: Path) -> Subject:
    CONFIGS[name]().save_pretrained(path)
    (subject,) = subjects_from([f"hf:{path}"])
    return subject


@pytest.mark.parametrize("name", CONFIGS)
def test_passes_on_meta_and_for_real(name: str, tmp_path: Path) -> None:
    subject = subject_of(name, tmp_path)
    assert subject.why_not_meta == ""
    assert subject.decodes == (None if name == "bert" else "cached")
    assert subject.causal == (name in ("gpt2", "llama"))
    for mode in subject.modes():
        meta, real = (trace(subject.call(mode, 2, 12, device)) for device in ("meta", "cpu"))
        assert meta.matmul_work == real.matmul_work > 0
        executed = executed_kernels(subject, mode, 2, 12)
        assert sum(kernel.cost.matmul for kernel in executed if kernel.cost) >= meta.matmul_work
        if mode != "train":
            assert any("scaled_dot_product" in kernel.name for kernel in executed)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_cached_step_is_the_pass_at_its_end(name: str, tmp_path: Path) -> None:
    subject = subject_of(name, tmp_path)
    for context in (1, 2, 9):
        step = subject.call("decode", 2, context, "cpu")
        token, _ = step()  # type: ignore[misc]
        scores = subject.call("forward", 2, context, "cpu")().logits  # type: ignore[attr-defined]
        torch.testing.assert_close(token, scores[:, -1].argmax(-1))
        torch.testing.assert_close(step()[0], token)  # type: ignore[index]


def test_decoding_against_context(tmp_path: Path) -> None:
    decode = profile_subject(subject_of("gpt2", tmp_path), "decode", hops=False).passes["decode"]
    assert (decode.cached, decode.length) == (True, 64)
    assert decode.state_bytes == 64 * LAYERS * 2 * WIDTH * 4
    law = decode.laws.matmul
    assert law is not None
    per_token = LAYERS * 24 * WIDTH**2 + 2 * WIDTH * VOCABULARY
    assert (law.constant, law.linear, law.quadratic) == (per_token, LAYERS * 4 * WIDTH, 0)


def test_an_encoder_and_decoder(tmp_path: Path) -> None:
    found = profile_subject(subject_of("t5", tmp_path), "all", lengths=(4, 8, 12, 16), hops=False)
    assert found.passes["decode"].cached
    assert any("the encoder has read it before" in said for said in found.assumptions)
    assert "One token: waits for the one before it" in found.findings[0]


def test_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "of_tomorrow"}')
    with pytest.raises(UsageError, match="does not read it"):
        subjects_from([f"hf:{tmp_path}"])
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UsageError, match="does not read it"):
        subjects_from([f"hf:{tmp_path}"])
    (tmp_path / "config.json").write_text(
        '{"model_type": "of_tomorrow", "auto_map": {"AutoConfig": "configuration_x.Config"}}'
    )
    with pytest.raises(UsageError, match="code of its own, which is not run"):
        subjects_from([f"hf:{tmp_path}"])
    transformers.ViTConfig().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="no vocabulary of tokens"):
        subjects_from([f"hf:{tmp_path}"])
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"pip install 'phalanx\[huggingface\]'"):
        subjects_from([f"hf:{tmp_path}"])


@pytest.mark.parametrize("named", ["pipeline", "BertModel", "Nonesuch"])
def test_only_a_model_of_its_configuration_is_taken_by_name(named: str, tmp_path: Path) -> None:
    config = transformers.GPT2Config(
        n_layer=1, n_embd=8, n_head=2, vocab_size=11, architectures=[named]
    )
    config.save_pretrained(tmp_path)
    (subject,) = subjects_from([f"hf:{tmp_path / 'config.json'}"])
    assert subject.kind == "GPT2Model"
    assert any(f"config.json names {named}" in said for said in subject.assumptions)
