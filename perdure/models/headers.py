"""What a file of weights is, by how it begins: whole safetensors, or what else. No torch is needed."""

import json
from pathlib import Path

PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl")


def check(file: Path) -> None:
    """Say what a file is that is no whole safetensors file."""
    length = file.stat().st_size
    with file.open("rb") as raw:
        head = raw.read(64)
        if is_pickle(head):
            raise ValueError(f"{file}: expected safetensors, {say_pickle(file)}")
        if head.startswith(b"version https://git-lfs"):
            raise ValueError(f"{file}: expected safetensors, got a pointer of Git LFS: fetch the file: git lfs pull")
        if head.startswith(b"GGUF"):
            raise ValueError(f"{file}: expected safetensors, got GGUF, which is not read: take bf16 or fp16 weights")
        if head.lstrip()[:5].lower() in (b"<!doc", b"<html"):
            raise ValueError(f"{file}: expected safetensors, got a web page: the file was not fetched, sign in first")
        header = int.from_bytes(head[:8], "little")
        if length < 8 or (header < 100_000_000 and head[8:9] == b"{" and length < 8 + header):
            raise ValueError(f"{file}: expected a whole safetensors file, it ends after {length} bytes: fetch it again")
        if header > 100_000_000 or head[8:9] != b"{":
            raise ValueError(f"{file}: expected a safetensors file, got something else: it begins with {head[:8]!r}")
        raw.seek(8)
        try:
            told = json.loads(raw.read(header))
            end = max((it["data_offsets"][1] for key, it in told.items() if key != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise ValueError(f"{file}: expected safetensors, its header cannot be read: fetch it again") from None
    if length < 8 + header + end:
        missing = 8 + header + end - length
        raise ValueError(f"{file}: expected {8 + header + end} bytes, the last {missing} are missing: fetch it again")


def is_pickle(head: bytes) -> bool:
    """Whether a file begins as torch.save or pickle write it."""
    return head.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"))


def begins_as_pickle(file: Path) -> bool:
    with file.open("rb") as raw:
        return is_pickle(raw.read(8))


def say_pickle(file: Path) -> str:
    return f"got a pickle, which can run code when it is read: perdure weights convert {file} OUT"
