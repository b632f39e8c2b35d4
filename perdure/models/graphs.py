"""Exported graphs on disk: a gzipped NAME.xml.gz for each, and one `weights.bin` for all. No torch is needed.

Shapes: T frames a chunk, H W frame size, C h w latent, M memory slots.
"""

import gzip
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from perdure.models.config import TransformerConfig
from perdure.models.context import PROXY_CHANNELS
from perdure.models.words import pack

Shapes = Mapping[str, Mapping[str, tuple[int, ...]]]  # by graph, then by input

OUTPUTS = {
    "encode": ("latent",),
    "remember": ("keys", "values"),
    "denoise": ("velocity",),
    "decode": ("frames", "depth", "unsure", "moving"),
}


def read(folder: Path, names: Iterable[str]) -> dict[str, ov.Model]:
    core, weights = ov.Core(), (folder / "weights.bin").read_bytes()
    found: dict[str, ov.Model] = {}
    for name in names:
        path = folder / f"{name}.xml.gz"
        try:
            found[name] = core.read_model(model=gzip.decompress(path.read_bytes()), weights=weights)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: expected a gzipped graph, it is cut short or damaged: {error}: {ANEW}") from None
        except RuntimeError:  # whose own words name lines of its source
            size = len(weights)
            raise ValueError(
                f"{path}: expected a graph of OpenVINO whose constants are in weights.bin ({size} bytes), got another, "
                f"or weights.bin is cut short or of another export: {ANEW}"
            ) from None
        made = [names_of(port) for port in found[name].outputs]
        if sorted(made) != sorted(OUTPUTS.get(name, made)):
            raise ValueError(
                f"{path}: expected the graph {name!r}, which makes {', '.join(OUTPUTS[name])}, got one that makes "
                f"{', '.join(made)}: {ANEW}"
            )
    return found


ANEW = "install Perdure again, or export all of them again"


def names_of(port: ov.ConstOutput) -> str:
    """A port may carry a number beside its name: the tracer's own."""
    return next((name for name in port.get_names() if not name.isdigit()), "")


def inputs(dit: TransformerConfig, latent: tuple[int, int, int], frames: tuple[int, int, int]) -> Shapes:
    """The shapes of what goes into each graph, for latents (C, h, w) and frames (T, H, W)."""
    c, h, w = latent
    m, (_, rows, columns) = dit.memories, dit.patch
    kept = m, len(dit.memory_layers), (h // rows) * (w // columns), dit.heads, dit.head_dim
    proxy, action = (PROXY_CHANNELS, h, w), (dit.adapters.key_features,)
    return {
        "encode": {"frames": (*frames, 3)},
        "remember": {"latent": latent, "sigma": (1,), "action": action},
        "denoise": {
            "noisy": latent,
            "sigma": (1,),
            "view": (c, h, w),
            "coverage": (1, h, w),
            "proxy": proxy,
            "to_clip": (4, 4),
            "from_clip": (4, 4),
            "action": action,
            "keys": kept,
            "values": kept,
            "present": (m,),
            "ages": (m,),
            "cameras": (m, 4, 4),
            **{name: it.shape for name, it in untold(dit).items()},
        },
        "decode": {
            "latent": latent,
            "view": (*frames, 3),
            "confidence": frames,
            "view_depth": frames,
            "proxy": proxy,
        },
    }


def untold(dit: TransformerConfig) -> dict[str, NDArray[Any]]:
    """What a transformer asks for besides what every one does: the setting, as worlds begin, and what of
    `models.words.Words` it hears, with nobody told anything.
    """
    on = dit.adapters
    setting = {"setting": np.zeros(on.setting, np.float32)} if on.setting else {}
    if not on.words:
        return setting
    silence = pack((), *on.told, on.word_dim)
    asked = ("kinds", "deeds") if on.words in ("index", "factors") else ("tokens", "heard")
    return setting | {name: getattr(silence, name) for name in (*asked, "anchors")}


def check(shapes: Shapes, wanted: Shapes, whose: str) -> None:
    """Raise `ValueError` unless graphs take what a preset gives them."""
    for graph, inputs in shapes.items():
        for name in (*wanted[graph], *inputs):
            asked, got = wanted[graph].get(name), inputs.get(name)
            if asked != got:
                raise ValueError(
                    f"expected graphs of the preset {whose}, of which {graph!r} takes {name} of shape "
                    f"{asked or 'none'}, got graphs that take {got or 'none'}: name the preset that they are of, or "
                    "export them for this one"
                )


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
