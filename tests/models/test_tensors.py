"""Files of tensors: read as they are, and every way in which they can be wrong is told with its file."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from perdure.models.headers import is_pickle
from perdure.models.tensors import INDEX, beside, natural, open_tensors, save, size, write
from tests.cli.desk import full_disk

KINDS = (torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.uint8, torch.float8_e4m3fn)


def made(count: int = 6) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {f"layer.{i}.weight": torch.randn(4, 8 + i, generator=draw) for i in range(count)}


def sharded(folder: Path, tensors: dict[str, Tensor], shard: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    return write(
        folder, "model", {k: size(tuple(v.shape), v.dtype) for k, v in tensors.items()}, tensors.__getitem__, shard
    )


@settings(max_examples=25, deadline=None)
@given(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6), shard=st.integers(1, 1000))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, kinds: list[torch.dtype], shard: int):
    tensors = {f"t{i}": torch.arange(12 * i, dtype=torch.float32).reshape(-1, 3).to(k) for i, k in enumerate(kinds)}
    folder = tmp_path_factory.mktemp("tensors")
    sharded(folder, tensors, shard)
    with open_tensors(folder) as found:
        assert set(found) == set(tensors)
        assert found.bytes == sum(t.numel() * t.itemsize for t in tensors.values())
        for name, tensor in tensors.items():
            got = found.read(name)
            assert got.dtype == tensor.dtype == found.dtypes[name] and tuple(got.shape) == found.shapes[name]
            assert got.contiguous().view(torch.uint8).equal(tensor.contiguous().view(torch.uint8))


def test_shards_are_full_and_named_by_their_index(tmp_path: Path):
    files = sharded(tmp_path, made(), 400)
    assert len(files) > 1 and all(file.stat().st_size < 400 + 500 for file in files)  # and a header
    index = json.loads((tmp_path / f"model{INDEX}").read_text())
    assert index["metadata"]["total_size"] == sum(t.numel() * 4 for t in made().values())
    for file in files:  # a peer finds in each what the index says
        assert {k for k, v in index["weight_map"].items() if v == file.name} == set(load_file(file))
    with open_tensors(tmp_path / f"model{INDEX}") as found:
        assert set(found) == set(made())


def test_a_tensor_comes_in_the_kind_that_is_asked_for(tmp_path: Path):
    save({"a": torch.full((3,), 1.5), "n": torch.arange(3)}, tmp_path / "x.safetensors")
    with open_tensors(tmp_path) as found:
        assert found.read("a", dtype=torch.bfloat16).dtype == torch.bfloat16
        assert found.read("n", dtype=torch.bfloat16).dtype == torch.int64, "whole numbers stay whole"


def test_one_without_a_variant_is_meant(tmp_path: Path):
    save({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    save({"a": torch.ones(1)}, tmp_path / "model.fp16.safetensors")
    assert open_tensors(tmp_path).read("a") == 0
    save({"b": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"model\.fp16\.safetensors, model\.safetensors, other\.safetensors: name one"):
        open_tensors(tmp_path)


def bad_index(folder: Path, text: str) -> None:
    sharded(folder, made(), 400)
    (folder / f"model{INDEX}").write_text(text)


def cut(folder: Path, keep: int) -> None:
    save(made(), folder / "x.safetensors")
    (folder / "x.safetensors").write_bytes((folder / "x.safetensors").read_bytes()[:keep])


def lacking(folder: Path) -> None:
    first = sharded(folder, made(), 400)[0]
    held = load_file(first)
    save_file({name: it for name, it in held.items() if name != "layer.0.weight"} | {"z": torch.zeros(1)}, first)


def twice(folder: Path) -> None:
    first, second = sharded(folder, made(), 400)[:2]
    save_file(load_file(first) | load_file(second), first)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda at: at.rmdir(), "expected a file or a folder of weights at .*, there is nothing"),
    "an empty folder": (lambda at: None, "expected .safetensors files, found none"),
    "a pickle": (
        lambda at: torch.save(made(), at / "x.pth"),
        r"got a pickle, which can run code when it is read: perdure weights convert .*x\.pth OUT",
    ),
    "a pickle in disguise": (lambda at: torch.save(made(), at / "x.safetensors"), "got a pickle"),
    "a plain pickle": (lambda at: (at / "x.safetensors").write_bytes(pickle.dumps([1])), "got a pickle"),
    "a pointer": (
        lambda at: (at / "x.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "a pointer of Git LFS",
    ),
    "a page": (lambda at: (at / "x.safetensors").write_text("<!DOCTYPE html>\n<html>"), "a web page"),
    "GGUF": (lambda at: (at / "x.safetensors").write_bytes(b"GGUF" + bytes(99)), "got GGUF"),
    "a picture": (lambda at: (at / "x.safetensors").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)), "something else"),
    "an empty file": (lambda at: (at / "x.safetensors").touch(), "it ends after 0 bytes"),
    "half a header": (lambda at: cut(at, 50), "expected a whole safetensors file, it ends after 50 bytes"),
    "the last byte gone": (lambda at: cut(at, -1), r"x\.safetensors: expected \d+ bytes, the last 1 are missing"),
    "no index at all": (lambda at: bad_index(at, "[]"), "expected an index of shards"),
    "an index that leads away": (
        lambda at: bad_index(at, '{"weight_map": {"a": "../../etc/x.safetensors"}}'),
        "expected names of .safetensors files beside it",
    ),
    "a shard not there": (
        lambda at: sharded(at, made(), 400)[1].unlink(),
        r"there is no model-00002-of-0000\d\.safetensors: fetch it",
    ),
    "a tensor not there": (lacking, r"says that layer\.0\.weight is in model-00001.*, which does not have it"),
    "a tensor in two": (twice, "expected each tensor once"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_is_told_with_its_file(tmp_path: Path, what: str):
    at = tmp_path / "weights"
    at.mkdir()
    make, says = BROKEN[what]
    make(at)
    with pytest.raises(ValueError, match=says) as told:
        open_tensors(at)
    assert "\n" not in str(told.value) and str(at) in str(told.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_one_bad_number_is_found(tmp_path: Path, value: float, kind: torch.dtype):
    tensor = torch.randn(50, 50).to(kind)
    tensor[17, 31] = value
    save({"fine": torch.ones(3), "bad": tensor}, tmp_path / "x.safetensors")
    with open_tensors(tmp_path) as found:
        assert found.read("fine").sum() == 3
        with pytest.raises(ValueError, match=r"x\.safetensors: expected finite numbers, bad has NaN or infinity"):
            found.read("bad")


def test_what_does_not_fit_its_new_kind_is_found(tmp_path: Path):
    save({"large": torch.full((2,), 1e6)}, tmp_path / "x.safetensors")
    with open_tensors(tmp_path) as found:
        assert found.read("large", dtype=torch.bfloat16).isfinite().all()
        with pytest.raises(ValueError, match=r"large has NaN or infinity in it, as torch\.float16"):
            found.read("large", dtype=torch.float16)


def test_a_name_that_is_not_there(tmp_path: Path):
    save(made(), tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"expected a tensor decoder\.0, there are 6: layer\.0\.weight"):
        open_tensors(tmp_path).read("decoder.0")


def test_half_a_file_is_never_left(tmp_path: Path):
    (tmp_path / "out.partial").write_text("of a run that was killed")

    def stopped() -> None:
        with beside(tmp_path / "out") as partial:
            partial.mkdir()
            (partial / "model.safetensors").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not list(tmp_path.iterdir())
    with beside(tmp_path / "out") as partial:
        partial.write_text("whole")
    assert (tmp_path / "out").read_text() == "whole" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ValueError, match="out is there already"), beside(tmp_path / "out"):
        raise AssertionError("what is there is not touched")


def test_a_full_disk_is_told(tmp_path: Path):
    def written() -> None:
        with beside(tmp_path / "x") as partial:
            partial.mkdir()
            save(made(60), partial / "x.safetensors")

    with full_disk(1000), pytest.raises(ValueError, match=r"x\.safetensors could not be written"):
        written()
    assert not list(tmp_path.iterdir())


def test_small_things():
    assert sorted(["b.10", "b.2", "a.3"], key=natural) == ["a.3", "b.2", "b.10"]
    assert is_pickle(pickle.dumps(1, 4)) and not is_pickle(b"\x08\0\0\0")
