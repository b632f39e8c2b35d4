"""Exported graphs on disk: a gzipped NAME.xml.gz for each, and one `weights.bin` for all. No torch is needed."""

import gzip
import tempfile
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import openvino as ov


def read(folder: Path, names: Iterable[str]) -> dict[str, ov.Model]:
    core, weights = ov.Core(), (folder / "weights.bin").read_bytes()
    return {
        name: core.read_model(model=gzip.decompress((folder / f"{name}.xml.gz").read_bytes()), weights=weights)
        for name in names
    }


def write(models: Iterable[tuple[str, ov.Model]], folder: Path) -> None:
    """In half precision, but for what is in fewer bits already.

    Graphs share weights, so constants are kept once: each graph's are pointed at the first equal bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pool = bytearray()
    offsets: dict[bytes, int] = {}
    for name, model in models:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "graph.xml"
            ov.save_model(model, path, compress_to_fp16=True)
            tree = ElementTree.parse(path)
            constants = path.with_suffix(".bin").read_bytes()
        for data in tree.iter("data"):
            if "offset" not in data.attrib:
                continue
            start = int(data.attrib["offset"])
            payload = constants[start : start + int(data.attrib["size"])]
            if payload not in offsets:
                pool.extend(bytes(-len(pool) % 64))  # aligned, as OpenVINO writes them
                offsets[payload] = len(pool)
                pool.extend(payload)
            data.attrib["offset"] = str(offsets[payload])
        text = ElementTree.tostring(tree.getroot(), encoding="utf-8")
        (folder / f"{name}.xml.gz").write_bytes(gzip.compress(text, mtime=0))
    (folder / "weights.bin").write_bytes(pool)
