"""Number formats that networks compute in: float32, or bfloat16 where nothing is summed over a whole utterance."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sv.models.blocks import FoldedBlock
from sv.models.folding import ChannelAffine
from sv.models.frame_layers import FrameConv
from sv.models.rawnet.sincnet import FrozenSincFilters, FrozenSincPairs, SincFilters

Precision = Literal["float32", "bf16"]
PRECISIONS = ("float32", "bf16")
NARROW = {"bf16": torch.bfloat16, "fp16": torch.float16}  # the last for training on GPUs alone
ASKED = (*PRECISIONS, "auto")  # of a user
KEPT = (SincFilters, FrozenSincFilters, FrozenSincPairs)  # a waveform's filters, outside autocast as in training
# Their weights are only ever multiplied with maps, which autocast gives them in the same format.
MULTIPLYING = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear, FrameConv, ChannelAffine)
PRODUCTS = {  # of those that autocast narrows, the ones that networks here use
    *(F.conv1d, F.conv2d, F.conv_transpose1d, F.conv_transpose2d, F.linear),
    *(torch.matmul, torch.mm, torch.bmm, torch.addmm, torch.baddbmm),
    *(Tensor.matmul, Tensor.__matmul__, Tensor.mm, Tensor.bmm, Tensor.addmm, Tensor.baddbmm),
}


def choose_precision(asked: str, device: torch.device | str = "cpu") -> tuple[Precision, str]:
    """Choose what "auto" leaves to the processor.

    Parameters
    ----------
    asked : "float32", "bf16" or "auto"
    device : torch.device or str
        That computes.

    Returns
    -------
    str
        "float32" or "bf16".
    str
        One line for the user that says why; empty if there is nothing to say.

    Raises
    ------
    ValueError
        For another precision.
    """
    if asked not in ASKED:
        raise ValueError(f"precision must be {', '.join(ASKED[:-1])} or {ASKED[-1]}, got {asked!r}")
    unit = bf16_unit(torch.device(device))
    if asked == "auto":
        if unit:
            return "bf16", f"precision auto: bf16, this processor has {unit}"
        return "float32", "precision auto: float32, this processor has no instructions for bf16"
    if asked == "bf16" and not unit:
        return "bf16", "precision bf16: this processor has no instructions for it, float32 is faster here"
    return asked, ""


def bf16_unit(device: torch.device) -> str:
    """Name of what multiplies bfloat16 numbers in a device, or an empty string without."""
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"CUDA capability {major}.{minor}" if major >= 8 and torch.cuda.is_bf16_supported() else ""
    if device.type != "cpu":
        return ""
    has = _capabilities()
    units = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16", "bf16": "Arm's bfloat16"}
    return next((name for key, name in units.items() if has.get(key)), "")


def _capabilities() -> dict[str, bool]:
    """Tell what the processor can do, as torch's own kernels ask for it; older torch, as 2.9, has a function for each."""
    if hasattr(torch.cpu, "get_capabilities"):
        return torch.cpu.get_capabilities()
    return {"amx_bf16": torch.cpu._is_amx_tile_supported(), "avx512_bf16": torch.cpu._is_avx512_bf16_supported()}


@contextmanager
def autocast(device: torch.device | str, precision: str) -> Iterator[None]:
    """Compute the multiplications of a network in "float32", "bf16" or "fp16".

    On a processor without instructions for bfloat16 `RoundedProducts` compute them.
    """
    device = torch.device(device)
    lacking = precision == "bf16" and device.type == "cpu" and not bf16_unit(device)
    with (
        torch.autocast(device.type, dtype=NARROW.get(precision), enabled=precision in NARROW),
        RoundedProducts() if lacking else nullcontext(),
    ):
        yield


class RoundedProducts(TorchFunctionMode):
    """Products in bfloat16 of processors without instructions for them.

    Operands are rounded, multiplied and added in float32, and the result is rounded: autocast's numbers but for the order of
    sums, in about the time of float32; PyTorch's own kernels take ten times as long there.
    """

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of PyTorch, rounding if it is a product that autocast would narrow."""
        kwargs = kwargs or {}
        if function not in PRODUCTS or not torch.is_autocast_enabled("cpu"):
            return function(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            wide = function(*map(_rounded, args), **{name: _rounded(value) for name, value in kwargs.items()})
        return wide.bfloat16()


def _rounded(value: Any) -> Any:
    """Value with the digits of bfloat16, in float32; anything but a tensor as it is."""
    return value.bfloat16().float() if isinstance(value, Tensor) else value


def narrowed(model: nn.Module) -> nn.Module:
    """Return a copy of a network for inference, to run in `autocast`, whose weights need no rounding at every pass.

    Norms keep float32 parameters, and statistics over frames widen their values themselves.
    """
    model = copy.deepcopy(model)
    _narrow(model)
    return model


def _narrow(module: nn.Module) -> None:
    if isinstance(module, KEPT):
        return
    if isinstance(module, MULTIPLYING):
        module.to(torch.bfloat16)
    elif isinstance(module, FoldedBlock):
        module.floor = module.floor.bfloat16()
    for part in module.children():
        _narrow(part)
