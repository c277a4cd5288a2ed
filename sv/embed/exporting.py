"""PyTorch's ONNX exporter, kept from printing."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import torch

TALKATIVE = ("torch.onnx._internal.exporter._registration", "torch.fx.experimental.symbolic_shapes")  # loggers


@contextmanager
def export_quietly() -> Iterator[None]:
    """Swallow what the exporter prints within: pages of code beside the error that it raises."""
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    with (
        torch.no_grad(),
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
