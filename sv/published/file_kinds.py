"""Tell files that are no checkpoint, and for what they are, by their first bytes and their members."""

import zipfile
from pathlib import Path

HEAD_BYTES = 512
DOWNLOADS = (  # first bytes of what a failed download leaves
    (b"<", "a web page, not a checkpoint; download the file itself"),
    (b"version https://git-lfs", "a pointer of Git LFS, not a checkpoint; fetch the file with git lfs pull"),
)
OTHERS = (  # first bytes of what is no checkpoint of PyTorch
    (b"\x89HDF", "an HDF5 file, not a checkpoint of PyTorch (sv convert rawnet1 reads Keras' ones)"),
    (b"\x93NUMPY", "an array of NumPy, not a checkpoint"),
    (b"\x1f\x8b", "a file compressed by gzip; unpack it first"),
    (b"BZh", "a file compressed by bzip2; unpack it first"),
    (b"\xfd7zXZ", "a file compressed by xz; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
)
TAR, TAR_OFFSET = b"ustar", 257
WEIGHTS = (".pt", ".pth", ".ckpt", ".bin", ".model", ".safetensors")


def head_of(path: str | Path) -> bytes:
    """First bytes of a file, as many as the functions below need."""
    with Path(path).open("rb") as file:
        return file.read(HEAD_BYTES)


def failed_download(head: bytes) -> str | None:
    """Say what a file is that holds nothing, or what a failed download leaves; None for any other."""
    if not head:
        return "the file is empty"
    return next((what for start, what in DOWNLOADS if head.lstrip().startswith(start)), None)


def is_safetensors(head: bytes) -> bool:
    """True for a length of eight bytes before the brace that opens a header."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32


def other_kind(path: str | Path, head: bytes) -> str | None:
    """Say what a file is that PyTorch did not write, or wrote with code; None for a checkpoint and for the unknown."""
    if what := next((what for start, what in OTHERS if head.startswith(start)), None):
        return what
    if head[TAR_OFFSET:].startswith(TAR):
        return "a tar archive; unpack it first"
    if head[:1] == b"\x08" and head[2:3] in (
        b"\x12",
        b"\x1a",
        b"\x3a",
    ):  # fields 1, then 2, 3 or 7 of ONNX's ModelProto
        return "an ONNX graph, whose weights have no names of layers; convert the checkpoint that it was made from"
    return _archive(path) if head.startswith(b"PK") else None


def _archive(path: str | Path) -> str | None:
    if not zipfile.is_zipfile(path):
        return "cut short: a zip file, as PyTorch writes, without its end; download it again"
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
    folder = next((name.removesuffix("data.pkl") for name in names if name.endswith("data.pkl")), None)
    if folder is not None:
        is_script = any(name.startswith(f"{folder}code/") for name in names)
        return "a TorchScript program; convert the checkpoint that it was made from" if is_script else None
    kind = "a Python wheel" if any(".dist-info/" in name for name in names) else "a zip archive"
    inside = next((name for name in names if name.endswith(WEIGHTS)), None)
    return f"{kind}, not a checkpoint; unpack it{f' and convert {inside}' if inside else ''}"
