"""Run what hides its kernels so that they can be seen: fused kernels, compiled modules."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def as_algorithm() -> Iterator[None]:
    """Inside, attention, recurrent layers and encoder layers run as separate kernels.

    Changes process-wide switches of torch and puts them back.
    """
    # torch.backends.mkldnn.flags() would also set a TF32 switch that warns on most machines.
    mkldnn = torch._C._get_mkldnn_enabled()
    cudnn = torch._C._get_cudnn_enabled()
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch._C._set_mkldnn_enabled(False)
    torch._C._set_cudnn_enabled(False)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch._C._set_mkldnn_enabled(mkldnn)
        torch._C._set_cudnn_enabled(cudnn)
        torch.backends.mha.set_fastpath_enabled(fastpath)


@contextmanager
def without_compiling() -> Iterator[None]:
    """Inside, modules and functions under ``torch.compile`` run as they were written."""
    if "torch._dynamo" not in sys.modules:  # nothing has been compiled; importing it takes a second
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
