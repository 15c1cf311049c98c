"""Values that JSON can say: NaN and the infinities are no JSON, and become null."""

import json
import math
from collections.abc import Mapping
from typing import Any


def finite(value: Any) -> Any:
    """``value`` with None in place of every float, however deep, that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


def dumps(value: Any) -> str:
    """``value`` as one line of JSON."""
    return json.dumps(finite(value), ensure_ascii=False, allow_nan=False)
