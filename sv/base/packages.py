"""Packages that not every use needs: which extra brings them, and which runtimes they are; known without loading any."""

from importlib.util import find_spec

from sv.base.config import ConfigError

DISTRIBUTION = (
    "noise-robust-sv"  # name of the project where packages are installed from; it is imported, and run, as sv
)
# Runtimes, each the name of its package, and their extras.
PACKAGES = {"onnxruntime": "onnx", "openvino": "openvino", "mnn": "mnn"}
RUNTIMES = ("torch", *PACKAGES)
FLOAT32_ONLY = ("onnxruntime", "mnn")
EXPORTERS = ("onnx", "onnx_ir", "onnxscript")


def lacking(what: str, extra: str, *modules: str) -> str:
    """One line that says which modules something needs, and which extra brings them; empty if all of them are there."""
    missing = [name.replace("_", "-") for name in modules if find_spec(name) is None]
    return f"{what} needs {', '.join(missing)}: pip install '{DISTRIBUTION}[{extra}]'" if missing else ""


def require(what: str, extra: str, *modules: str) -> None:
    """Raise ConfigError with the line of `lacking` if a module is not installed."""
    if problem := lacking(what, extra, *modules):
        raise ConfigError(problem)


def check_packages(runtime: str, precision: str) -> None:
    """Raise ConfigError, in terms of the options, if a runtime is not installed or does not compute in a precision."""
    if runtime not in PACKAGES:
        return
    require(f"--runtime {runtime}", PACKAGES[runtime], module_of(runtime), *EXPORTERS)
    if runtime in FLOAT32_ONLY and precision == "bf16":
        raise ConfigError(f"--runtime {runtime} computes in float32 only; for bf16 choose openvino or torch")


def module_of(runtime: str) -> str:
    """Name that a runtime is imported by."""
    return {"mnn": "MNN"}.get(runtime, runtime)
