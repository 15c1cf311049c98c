"""``phalanx export``: write a trained model in another format."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from phalanx.cli.common import Json, note, print_json
from phalanx.errors import UsageError


def export(
    model: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    format: Literal["huggingface"] = "huggingface",
    json: Json = False,
) -> None:
    """Write a trained model as a directory that `transformers` opens, with equal logits.

    Decoders that are built as GPT-2, Llama, Mistral, Qwen2 or Qwen3 are, and encoders as BERT. Any
    other is refused, with the settings that train one that fits.

    Parameters
    ----------
    model
        A run directory, or a model directory.
    output
        The directory to make; one that exists is refused.
    format
        huggingface: config.json, model.safetensors and the tokenizer's files.
    """
    from phalanx.interop.huggingface import export_huggingface, opened_by
    from phalanx.runs import load
    from phalanx.training.run_directory import check_free

    if output.exists():
        raise UsageError(f"{output} exists already. Expected a new directory. Choose another.")
    check_free(output)
    run = load(model, "cpu")
    written = export_huggingface(
        output, run.model, run.tokenizer, run.task, run.labels, run.begin_ids
    )
    opener = opened_by(written.architecture)
    if json:
        print_json({"path": str(output), "architecture": written.architecture, "opened_by": opener})
        return
    print(f"{output}: a {written.architecture}, in the format of Hugging Face")
    note(f"open it with: transformers.{opener}.from_pretrained({str(output)!r})")
