"""The seconds of one kernel, from its record and the tables of ``Speeds``."""

from collections.abc import Callable, Mapping

from phalanx.profiling.costs.families import CREATES, GATHERS, MOVES
from phalanx.profiling.machine.tables import Table
from phalanx.profiling.tracing.graph import Kernel

# Operators that run the code of another one, or close to it. An operator in place (``sigmoid_``)
# that has no table of its own is looked up without the underscore.
_LIKE = {
    "_safe_softmax": "_softmax",
    "logsumexp": "_log_softmax",
    "_fused_rms_norm": "native_layer_norm",
    "_fused_rms_norm_backward": "native_layer_norm_backward",
    "native_group_norm": "native_layer_norm",
    "native_group_norm_backward": "native_layer_norm_backward",
    "native_batch_norm": "native_layer_norm",
    "native_batch_norm_backward": "native_layer_norm_backward",
    "stack": "cat",
    "expm1": "exp",
    "exp2": "exp",
    "log1p": "log",
    "log2": "log",
    "log_sigmoid_forward": "softplus",
    "log_sigmoid_backward": "softplus",
    "softplus_backward": "exp",
    "logcumsumexp": "cumsum",
    "cumprod": "cumsum",
    "bernoulli": "bernoulli_",
    "rand": "bernoulli_",
    "rand_like": "bernoulli_",
    "randn": "bernoulli_",
    "normal_": "bernoulli_",
    "uniform_": "bernoulli_",
    "topk": "sort",
    "argsort": "sort",
    "slice_backward": "select_backward",
    "nll_loss_backward": "zeros",
    "index_put": "embedding",
    "hardtanh_backward": "threshold_backward",
    "leaky_relu": "relu",
    "hardswish": "silu",
    "mish": "softplus",
    "elu": "exp",
}

_SIZES = {"float64": 8, "int64": 8, "bfloat16": 2, "float16": 2, "int16": 2, "bool": 1, "uint8": 1}

Lookup = Callable[[Kernel, Mapping[str, Table]], float]


def seconds(kernel: Kernel, tables: Mapping[str, Table]) -> float:
    """Seconds of a kernel called by itself, its dispatch included, its operands in the cache."""
    name = _LIKE.get(kernel.name, kernel.name)
    lookup = _LOOKUPS.get(name)
    if lookup is not None:
        return lookup(kernel, tables)
    if kernel.cost is not None and kernel.cost.product is not None:
        return _product(kernel, tables)
    return tables[_pointwise(name, tables)].at(max(1, kernel.written))


def least_seconds(kernel: Kernel, tables: Mapping[str, Table]) -> float:
    """Seconds that a kernel of its kind takes where there is nothing to do: dispatch."""
    name = _LIKE.get(kernel.name, kernel.name)
    table = tables.get(_TABLE_OF.get(name, name))
    if table is None and kernel.cost is not None and kernel.cost.product is not None:
        table = tables["mm"]
    return min((table or tables[_pointwise(name, tables)]).seconds)


def item_size(dtype: str) -> int:
    """Bytes of one element."""
    return _SIZES.get(dtype, 4)


def weight_bytes(kernel: Kernel) -> int:
    """Bytes of the larger operand of the kernel's product; a recurrent layer reads it once."""
    if kernel.cost is None or kernel.cost.product is None:
        return 0
    batch, m, n, k = kernel.cost.product
    if _LOOKUPS.get(kernel.name) is _recurrent:
        batch, m = 1, 0
    return batch * max(m, n) * k * item_size(kernel.dtype)


def _pointwise(name: str, tables: Mapping[str, Table]) -> str:
    for known in (name, name.rstrip("_")):
        if known in tables and len(tables[known].axes) == 1:
            return known
        if known in CREATES:
            return "zeros"
        if known in GATHERS:
            return "embedding"
        if known in MOVES:
            return "clone"
    return "add"


def _product(kernel: Kernel, tables: Mapping[str, Table]) -> float:
    assert kernel.cost is not None
    assert kernel.cost.product is not None
    batch, m, n, k = kernel.cost.product
    if batch > 1:
        return tables["bmm"].at(batch, m, n, k)
    if kernel.dtype in ("bfloat16", "float16"):
        return tables["mm bfloat16"].at(m, n, k)
    return tables["mm"].at(m, n, k)


def _attention(kernel: Kernel, tables: Mapping[str, Table]) -> float:
    assert kernel.cost is not None
    assert kernel.cost.product is not None
    batch, queries, keys, widths = kernel.cost.product
    return tables["attention"].at(batch, queries, keys, widths / 2)


def _attention_backward(kernel: Kernel, tables: Mapping[str, Table]) -> float:
    assert kernel.cost is not None
    assert kernel.cost.product is not None
    batch, queries, keys, widths = kernel.cost.product
    return tables["attention backward"].at(batch, (queries * keys) ** 0.5, widths / 5)


def _recurrent(kernel: Kernel, tables: Mapping[str, Table]) -> float:
    assert kernel.cost is not None
    assert kernel.cost.product is not None
    steps, rows, gates, joined = kernel.cost.product
    backward = kernel.name.endswith("_backward")
    table = tables["mkldnn_rnn_layer_backward" if backward else "mkldnn_rnn_layer"]
    return table.at(steps / 2 if backward else steps, rows, gates * joined)


def _encoder(kernel: Kernel, tables: Mapping[str, Table]) -> float:
    # A whole layer in one kernel: what is inside follows from its FLOPs (cost_products.py).
    assert kernel.cost is not None
    assert kernel.cost.product is not None
    batch, length, n, width = kernel.cost.product
    inner = max(0, (n - 2 * length - 4 * width) // 2)
    rows, mm = batch * length, tables["mm"].at
    each = (23 * width + 2 * inner) if inner else 4 * width
    scores = max(1, (kernel.cost.other - rows * each) // 6)
    heads = max(1, round(scores / (rows * length)))
    inside = mm(rows, 3 * width, width) + mm(rows, width, width)
    inside += tables["bmm"].at(batch * heads, length, length, width / heads)
    inside += tables["bmm"].at(batch * heads, length, width / heads, length)
    inside += tables["_softmax"].at(scores, length) + 4 * tables["clone"].at(rows * width)
    if inner:
        inside += mm(rows, inner, width) + mm(rows, width, inner)
        inside += 2 * tables["native_layer_norm"].at(rows * width, width)
        inside += tables["relu"].at(rows * inner) + 2 * tables["add"].at(rows * width)
    return inside


def _convolution(kernel: Kernel, tables: Mapping[str, Table]) -> float:
    assert kernel.cost is not None
    assert kernel.cost.product is not None
    groups, m, n, k = kernel.cost.product
    return tables["depthwise"].at(m, groups, k) if groups > 1 else tables["convolution"].at(m, n, k)


def _convolution_backward(kernel: Kernel, tables: Mapping[str, Table]) -> float:
    assert kernel.cost is not None
    assert kernel.cost.product is not None
    groups, m, k, n = kernel.cost.product
    if groups > 2:
        return tables["depthwise backward"].at(m, groups / 2, k)
    return tables["convolution_backward"].at(m, n, k)


def _rows(beside: int, each: int) -> Lookup:
    # The length of a row follows from the depth: ``beside`` + ``each`` log2 of it.
    def lookup(kernel: Kernel, tables: Mapping[str, Table]) -> float:
        depth = kernel.cost.depth if kernel.cost else beside
        name = _LIKE.get(kernel.name, kernel.name)
        table, width = tables[name], 2 ** ((depth - beside) / each)
        return table.at(max(1, kernel.written), table.held(1, width))

    return lookup


def _reduction(kernel: Kernel, tables: Mapping[str, Table]) -> float:
    read = kernel.bytes_moved / item_size(kernel.dtype)
    table = tables["sum"]
    return table.at(max(1, read), table.held(1, kernel.written))


def _scatter(kernel: Kernel, tables: Mapping[str, Table]) -> float:
    count = kernel.cost.other if kernel.cost else 1
    return tables["embedding_dense_backward"].at(max(1, kernel.written), max(1, count))


_REDUCTIONS = (
    "sum", "mean", "amax", "amin", "max", "min", "argmax", "argmin", "any", "all", "prod", "var",
    "std", "var_mean", "linalg_vector_norm", "norm", "equal", "mse_loss", "aminmax",
)  # fmt: skip
_LOOKUPS: dict[str, Lookup] = {
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
    "mkldnn_rnn_layer": _recurrent,
    "mkldnn_rnn_layer_backward": _recurrent,
    "_transformer_encoder_layer_fwd": _encoder,
    "_native_multi_head_attention": _encoder,
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
    "_softmax": _rows(3, 2),
    "_log_softmax": _rows(3, 2),
    "_softmax_backward_data": _rows(3, 1),
    "_log_softmax_backward_data": _rows(3, 1),
    "native_layer_norm": _rows(8, 2),
    "native_layer_norm_backward": _rows(8, 2),
    "embedding_dense_backward": _scatter,
    "index_add": _scatter,
    "scatter_add": _scatter,
    **dict.fromkeys(_REDUCTIONS, _reduction),
}
_TABLE_OF = {
    "_scaled_dot_product_flash_attention_for_cpu": "attention",
    "_scaled_dot_product_flash_attention_for_cpu_backward": "attention backward",
    "index_add": "embedding_dense_backward",
    "scatter_add": "embedding_dense_backward",
    **dict.fromkeys(_REDUCTIONS, "sum"),
}
