"""Families of operators, by their names in torch's ``aten`` library."""

# Read and write one place each, but carry no such tag in torch.
POINTWISE = frozenset({
    "_fused_dropout", "_prelu_kernel", "bernoulli", "bucketize", "complex",
    "cross", "elu_backward", "floor_divide", "glu", "glu_backward", "hardtanh_backward",
    "imag", "isin", "leaky_relu_backward", "log_sigmoid_backward", "log_sigmoid_forward",
    "masked_fill", "mse_loss_backward", "nan_to_num", "native_dropout",
    "native_dropout_backward", "nll_loss_backward", "normal", "polar", "prelu", "real",
    "remainder", "rsub", "searchsorted", "smooth_l1_loss", "softplus_backward",
})  # fmt: skip

# Move data and compute nothing.
MOVES = frozenset({
    "_local_scalar_dense", "_pack_padded_sequence", "_to_copy", "_unique2", "_unsafe_index",
    "as_strided_scatter", "cat", "channel_shuffle", "clone", "col2im",
    "constant_pad_nd", "copy", "diag_embed", "diagonal_backward", "embedding", "expand_copy",
    "flip", "gather", "im2col", "index", "index_copy", "index_fill",
    "index_select", "masked_scatter", "masked_select", "nonzero", "one_hot", "permute_copy",
    "pixel_shuffle", "reflection_pad1d", "repeat", "repeat_interleave", "replication_pad1d",
    "roll", "scatter", "scatter_value", "select_backward", "select_copy", "select_scatter",
    "slice_backward", "slice_copy", "slice_scatter", "split_copy", "split_with_sizes_copy",
    "stack", "take", "tril", "triu", "unbind_copy", "unique_consecutive",
    "unique_dim", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "view_copy",
})  # fmt: skip

# Hold nothing that was computed: a size, a constant, noise.
CREATES = frozenset({
    "arange", "eye", "full", "full_like", "hann_window", "linspace", "logspace", "new_full",
    "new_ones", "new_zeros", "ones", "ones_like", "rand", "rand_like", "randint",
    "randint_like", "randn", "randn_like", "randperm", "scalar_tensor", "tril_indices",
    "triu_indices", "zeros", "zeros_like",
})  # fmt: skip

# Only reserve memory: no kernel runs.
ALLOCATES = frozenset({
    "empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided",
    "resize", "resize_",
})  # fmt: skip

# In place; write every element of their target and read none of it.
OVERWRITES = frozenset({
    "_foreach_copy_", "_foreach_zero_", "bernoulli_", "cauchy_", "copy_", "exponential_",
    "fill_", "geometric_", "log_normal_", "normal_", "random_", "uniform_", "zero_",
})  # fmt: skip

# Pick elements by an index: read what they pick, not the whole table.
GATHERS = frozenset({
    "_unsafe_index", "embedding", "gather", "index", "index_select", "take",
})  # fmt: skip
