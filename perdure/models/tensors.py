"""Tensors by name in safetensors files: read one at a time, written whole or not at all.

A file, or a folder of one file or of shards with an index. Nothing here runs what it reads: a pickle is
refused, and `models/pickled.py` is the only way to read one. Every error names the file.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from perdure.models.headers import PICKLES, check, say_pickle

INDEX = ".safetensors.index.json"
SHARD = 10_000_000_000
"""Bytes: what is larger is written as several files."""

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
CHECKED = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
"""What can hold a NaN, and be looked through for one."""


class Tensors:
    """What a checkpoint holds. Names, shapes and kinds are known at once; a tensor is read when it is asked for."""

    def __init__(self, path: Path, files: list[Path]) -> None:
        self.path = path
        self.files: dict[str, Path] = {}  # by the name of a tensor, in the order of the bytes on the disk
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, torch.dtype] = {}
        self.metadata: dict[str, str] = {}
        self._open: dict[Path, Any] = {}
        for file in files:
            held = self._open[file] = _opened(file)
            self.metadata |= held.metadata() or {}
            for name in held.offset_keys():
                if name in self.files:
                    raise ValueError(f"expected each tensor once: {name} is in {self.files[name]} and in {file}")
                piece = held.get_slice(name)
                if piece.get_dtype() not in DTYPES:
                    raise ValueError(f"{file}: {name} has numbers of a kind that is not known, {piece.get_dtype()}")
                self.files[name] = file
                self.shapes[name] = tuple(piece.get_shape())
                self.dtypes[name] = DTYPES[piece.get_dtype()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __contains__(self, name: object) -> bool:
        return name in self.files

    def __len__(self) -> int:
        return len(self.files)

    @property
    def bytes(self) -> int:
        return sum(size(shape, self.dtypes[name]) for name, shape in self.shapes.items())

    def read(self, name: str, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> Tensor:
        """A tensor on its device and, if it is of floats, in `dtype`. NaN or infinity in it is an error."""
        if name not in self.files:
            some = ", ".join(list(self.files)[:3])
            raise ValueError(f"{self.path}: expected a tensor {name}, there are {len(self)}: {some}, …")
        tensor = self._open[self.files[name]].get_tensor(name).to(device)
        if dtype is not None and tensor.is_floating_point():
            tensor = tensor.to(dtype)
        if not finite(tensor):
            raise ValueError(
                f"{self.files[name]}: expected finite numbers, {name} has NaN or infinity in it, as {tensor.dtype}: "
                "fetch the file again"
            )
        return tensor

    def close(self) -> None:
        self._open.clear()

    def __enter__(self) -> "Tensors":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_tensors(path: Path | str) -> Tensors:
    """The tensors of a safetensors file, or of a folder that has one, or shards and their index."""
    path = Path(path)
    if path.is_file():
        return Tensors(path, shards(path) if path.name.endswith(INDEX) else [path])
    if not path.is_dir():
        raise ValueError(f"expected a file or a folder of weights at {path}, there is nothing")
    indices = sorted(path.glob("*" + INDEX))
    files = sorted(path.glob("*.safetensors"))
    plain = [file for file in files if file.name.count(".") == 1 and file.name != "adapters.safetensors"]
    if len(indices) == 1:
        return Tensors(path, shards(indices[0]))
    if len(plain) == 1 or len(files) == 1:  # else the others are variants: NAME.fp16.safetensors
        return Tensors(path, plain if len(plain) == 1 else files)
    if files:
        names = ", ".join(file.name for file in [*indices, *files][:6])
        raise ValueError(f"{path}: expected one .safetensors file, or shards with one index, got {names}: name one")
    pickles = [file for file in sorted(path.iterdir()) if file.suffix in PICKLES]
    if pickles:
        raise ValueError(f"{path}: expected .safetensors files, {say_pickle(pickles[0])}")
    raise ValueError(f"{path}: expected .safetensors files, found none")


def shards(index: Path) -> list[Path]:
    """The files that an index names, each there and with the tensors that it is said to have."""
    try:
        places: dict[str, str] = json.loads(index.read_text("utf-8"))["weight_map"]
        names = sorted(set(places.values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{index}: expected an index of shards, JSON with a weight_map, got something else") from None
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(f"{index}: expected names of .safetensors files beside it, got {name!r}")
        if not (index.parent / name).exists():
            raise ValueError(f"{index}: expected {', '.join(names)} beside it, there is no {name}: fetch it")
    held = {name: set(_opened(index.parent / name).keys()) for name in names}
    for tensor, name in places.items():
        if tensor not in held[name]:
            raise ValueError(f"{index} says that {tensor} is in {name}, which does not have it: fetch both again")
    return [index.parent / name for name in names]


def _opened(file: Path) -> Any:
    check(file)
    try:
        # Read, not mapped: a mapped page stays beside the tensor that is made of it, and changes if the file does.
        return safe_open(file, "pt", device="cpu", backend="pread")
    except SafetensorError as error:
        raise ValueError(f"{file}: expected a safetensors file, got something else: {error}") from None


# Writing


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Where to write what is to be at `path`: it comes there when it is whole, and nothing is left if it is not."""
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ValueError(f"expected a new place to write to, {path} is there already: take another, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    remove(partial)  # of a run that was killed
    try:
        yield partial
        partial.replace(path)
    finally:
        remove(partial)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write(
    folder: Path,
    stem: str,
    sizes: Mapping[str, int],
    read: Callable[[str], Tensor],
    shard: int = SHARD,
) -> list[Path]:
    """Tensors into `folder`/`stem`.safetensors, or into shards and their index where they are larger than `shard`.

    `sizes` are bytes by name. `read` is asked for one shard's tensors at a time.
    """
    groups: list[list[str]] = [[]]
    room = shard
    for name, needed in sizes.items():
        if needed > room and groups[-1]:
            groups.append([])
            room = shard
        groups[-1].append(name)
        room -= needed
    count = len(groups)
    files = [
        folder / (f"{stem}-{i + 1:05d}-of-{count:05d}.safetensors" if count > 1 else f"{stem}.safetensors")
        for i in range(count)
    ]
    for file, names in zip(files, groups):
        save({name: read(name) for name in names}, file, {"format": "pt"})
    if count > 1:
        places = {name: file.name for file, names in zip(files, groups) for name in names}
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": places}
        (folder / (stem + INDEX)).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", "utf-8")
    return files


def save(tensors: Mapping[str, Tensor], file: Path, metadata: dict[str, str] | None = None) -> None:
    try:
        save_file({name: it.detach().cpu().contiguous() for name, it in tensors.items()}, file, metadata)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} could not be written: {error}") from None


def size(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    return torch.Size(shape).numel() * dtype.itemsize


def finite(tensor: Tensor) -> bool:
    """Whether no number in it is NaN or infinite."""
    return tensor.dtype not in CHECKED or not tensor.numel() or bool(torch.stack(tensor.aminmax()).isfinite().all())


def natural(name: str) -> list[str | int]:
    """A key that sorts block 2 before block 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
