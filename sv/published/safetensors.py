"""Read safetensors: a length of 8 bytes, a header in JSON, then the values of all tensors (huggingface/safetensors)."""

import json
import math
from pathlib import Path

import torch
from torch import Tensor

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """Read every tensor by its name; what the header says beside them is dropped.

    Raises
    ------
    ValueError
        If the header is damaged, or names values that the file does not hold.
    """
    content = Path(path).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8:start])
        return {name: _tensor(content, start, entry) for name, entry in header.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError("a safetensors file, but damaged or cut short") from error


def _tensor(content: bytes, start: int, entry: dict) -> Tensor:
    dtype, shape = DTYPES[entry["dtype"]], [int(size) for size in entry["shape"]]
    first, last = entry["data_offsets"]
    if not 0 <= first <= last <= len(content) - start or min(shape, default=0) < 0:
        raise ValueError("values lie outside the file")
    values = content[start + first : start + last]
    if len(values) != math.prod(shape) * dtype.itemsize:
        raise ValueError("values do not fill their shape")
    return (
        torch.frombuffer(bytearray(values), dtype=dtype).reshape(shape) if values else torch.zeros(shape, dtype=dtype)
    )
