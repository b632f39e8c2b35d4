"""Frames as JPEG: 0.2 ms for 256x144, so each is encoded once, when the first viewer is ready for it.

Shapes: H height, W width.
"""

import io
from collections import OrderedDict

from PIL import Image

from perdure.runtime.session import Frame

QUALITY = 88  # 80 shows blocks on smooth walls once the page has scaled them up; this is 4 KB a frame more
KEPT = 8  # frames whose bytes are remembered for the other viewers


class JpegEncoder:
    """The JPEGs of one session's frames."""

    def __init__(self, quality: int = QUALITY) -> None:
        if not 1 <= quality <= 95:
            raise ValueError(f"expected a JPEG quality in 1..95, got {quality}")
        self._quality = quality
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def __call__(self, frame: Frame) -> bytes:
        """The JPEG of `frame.rgb` (H, W, 3) uint8."""
        if frame.seq not in self._kept:
            out = io.BytesIO()
            Image.fromarray(frame.rgb).save(out, "JPEG", quality=self._quality, subsampling=0)
            self._kept[frame.seq] = out.getvalue()
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return self._kept[frame.seq]
