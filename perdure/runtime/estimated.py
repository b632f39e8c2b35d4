"""A larger estimator of the user's own, in the place of the model's own guess at depth.

A backend like any other: it asks the one that it stands before, and for a decoded chunk puts what the estimator says
where the small observer's depth was. An estimator may say depth or its inverse, in whatever unit: it is fitted to what
the state knows in this very view, and how far it is off there says how sure it is. Where the view knows too little, the
model's own guess stands.

Shapes: T frames a chunk, H W frame size.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.camera import FAR
from perdure.data.video import ports
from perdure.memory.notice import KNOWN, SKY, enlarged
from perdure.models.graphs import Shapes
from perdure.runtime.backends import Backend

F32 = NDArray[np.float32]
CELL = 16  # pixels along the side of what one error is measured over
LEAST = 0.1  # of the picture: fitted to less than that, nothing is said
FEWEST = 16  # known pixels of a cell
"""Below that a cell takes the error of the whole picture."""


class Estimated:
    def __init__(self, backend: Backend, estimate: Callable[[NDArray[np.uint8]], F32], name: str) -> None:
        """`estimate` takes a picture (H, W, 3) and gives (H, W); `name` goes into the fingerprint."""
        self.backend, self.estimate, self.name = backend, estimate, name

    def __call__(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        made = self.backend(graph, inputs)
        if graph != "decode":
            return made
        known = inputs["view_depth"][-1]
        trusted = (inputs["confidence"][-1] > KNOWN) & (made["moving"] < 0.3) & (known > 0) & (known < SKY)
        if trusted.mean() < LEAST:
            return made
        depth, unsure = measured(self.estimate(made["frames"][-1]), known, trusted)
        return made | {"depth": depth, "unsure": unsure}

    def fingerprint(self) -> dict[str, str]:
        return self.backend.fingerprint() | {"estimator": self.name}

    def shapes(self) -> Shapes:
        return self.backend.shapes()


def measured(raw: F32, known: F32, trusted: NDArray[np.bool_]) -> tuple[F32, F32]:
    """Metres (H, W), and the relative error to expect, by what is known where it is trusted."""
    rows, columns = np.nonzero(trusted)
    pixels = np.stack([columns, rows], 1).astype(np.float64)
    depth = np.minimum(ports.fitted(raw, pixels, known[trusted].astype(np.float64)), np.float32(FAR))
    h, w = depth.shape
    off = np.where(trusted, np.abs(np.log(np.maximum(depth, 1e-3) / np.maximum(known, 1e-3))), 0)
    tall, wide = -(-h // CELL), -(-w // CELL)
    room = ((0, tall * CELL - h), (0, wide * CELL - w))
    total, count = (
        np.pad(it.astype(np.float64), room).reshape(tall, CELL, wide, CELL).sum((1, 3)) for it in (off, trusted)
    )
    cells = np.where(count >= FEWEST, total / np.maximum(count, 1), off.sum() / trusted.sum())
    return depth, enlarged(cells.astype(np.float32), tall * CELL, wide * CELL)[:h, :w].astype(np.float32)


def estimated(backend: Backend, folder: Path) -> Estimated:
    """A model of depth in a folder as transformers saves it, before `backend`."""
    estimate = ports.depth(folder)
    digest = hashlib.sha256()
    for file in sorted(path for path in Path(folder).iterdir() if path.is_file()):
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return Estimated(backend, estimate, digest.hexdigest()[:16])
