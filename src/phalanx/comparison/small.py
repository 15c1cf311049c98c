"""Small copies of the contenders: the same layers at a width at which seconds of training do."""

from phalanx.config import ModelConfig

WIDTH = 64


def small(config: ModelConfig, vocabulary: int, context: int) -> ModelConfig:
    """A copy with each of the configuration's mixers once, WIDTH wide or nearly so.

    Args:
        config: of a decoder or an encoder.
        vocabulary: tokens of the task.
        context: positions of the task.
    """
    pattern = tuple(dict.fromkeys(config.mixer_names))
    heads = config.attention.heads
    # Heads need a width that they divide into even parts, for rotary positions.
    step = 2 * heads if "attention" in pattern else 2
    width = max(step, WIDTH // step * step)
    changes: dict[str, object] = {
        "vocabulary": vocabulary,
        "outputs": None,
        "context": max(context, config.context),
        "width": width,
        "layers": len(pattern),
        "mixers": pattern,
        "dropout": 0.0,
        "mingru": config.mingru.model_copy(update={"inner": None}),
    }
    if config.feed_forward is not None:
        inner = max(8, round(config.feed_forward.width * width / config.width))
        changes["feed_forward"] = config.feed_forward.model_copy(update={"width": inner})
    return config.model_copy(update=changes)
