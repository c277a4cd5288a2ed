"""Runtimes that may compute a network, and the packages that they need; known without loading any."""

from importlib.util import find_spec

from sv.base.config import ConfigError

PACKAGES = {"onnxruntime": "onnx", "openvino": "openvino"}  # runtimes, each the name of its package, and their extras
RUNTIMES = ("torch", *PACKAGES)
EXPORTERS = ("onnx", "onnxscript")


def check_packages(runtime: str, precision: str) -> None:
    """Raise ConfigError, in terms of the options, if a runtime is not installed or does not compute in a precision."""
    if runtime not in PACKAGES:
        return
    if missing := [name for name in (runtime, *EXPORTERS) if find_spec(name) is None]:
        raise ConfigError(f"--runtime {runtime} needs {', '.join(missing)}: pip install 'sv[{PACKAGES[runtime]}]'")
    if (runtime, precision) == ("onnxruntime", "bf16"):
        raise ConfigError("--runtime onnxruntime computes in float32 only; for bf16 choose openvino or torch")
