"""MNN as a runtime: 3 x 3 convolutions in float32 by Winograd's algorithm, at up to twice the rate of matrix products.

Source: https://github.com/alibaba/MNN; Jiang et al., "MNN: a universal and efficient inference engine" (MLSys 2020).
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sv.embed.computing import Computing

# In a process of its own, which it ends on graphs that it does not expect; not by MNN.tools.mnnconvert, which sends what it
# does to MNN's makers.
CONVERT = "import sys; from _tools import mnnconvert; mnnconvert(sys.argv[1:])"


class MnnNetwork:
    """A graph that MNN computes on the CPU, in float32.

    Parameters
    ----------
    graph : path
        An .onnx file; its translation is kept beside it, for this version of MNN.
    computing : Computing

    Raises
    ------
    ValueError
        If MNN cannot translate the graph.
    """

    device = torch.device("cpu")

    def __init__(self, graph: Path, computing: Computing) -> None:
        with silence():
            import MNN

            self.expressions, self.computing = MNN.expr, computing
            options = {"backend": "CPU", "precision": "high", "numThread": torch.get_num_threads()}
            self.runtime = MNN.nn.create_runtime_manager((options,))  # lives as long as what it computes
            self.module: Any = MNN.nn.load_module_from_file(
                str(translated(graph)), ["features"], ["embeddings"], runtime_manager=self.runtime, shape_mutable=True
            )

    def embed(self, features: Tensor) -> Tensor:
        """Embed (batch, mels, frames): (batch, embedding_dim)."""
        form, kind = self.expressions.NCHW, self.expressions.float
        given = self.expressions.const(np.ascontiguousarray(features.numpy()), list(features.shape), form, kind)
        found = self.module.forward(given)
        return torch.from_numpy(np.array(found.read()))  # its memory is used again


def translated(graph: Path) -> Path:
    """Path of a graph in MNN's format, translated if it is not there; raises ValueError if MNN cannot."""
    path = graph.with_suffix(f".{version('mnn')}.mnn")
    if not path.is_file():
        with TemporaryDirectory(dir=path.parent) as folder:
            made = Path(folder) / path.name
            options = {"-f": "ONNX", "--modelFile": str(graph), "--MNNModel": str(made), "--bizCode": "sv"}
            words = ["mnnconvert", *(part for option in options.items() for part in option), "--keepInputFormat"]
            subprocess.run([sys.executable, "-c", CONVERT, *words], capture_output=True, check=False)
            if not made.is_file():  # whether it has said so or was killed
                raise ValueError("its converter does not take the graph")
            made.replace(path)  # of processes that start together all make the same
    return path


@contextmanager
def silence() -> Iterator[None]:
    """Keep standard output for results: MNN's own code writes there whatever Python's `sys.stdout` is."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
