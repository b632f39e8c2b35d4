"""JPEG: close to the frame, encoded once, quick."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from perdure.runtime.session import Frame
from perdure.server.video import KEPT, JpegEncoder
from tests.server.fake_engine import draw, fake_world


def frame(seq: int) -> Frame:
    motion = fake_world(width=256, height=144).motion
    rgb, _ = draw(motion.cameras[0], motion.intrinsics, str(seq))
    return Frame(seq, 1, 0, False, rgb, motion.cameras[0], {}, {}, 0.0)


def test_a_jpeg_is_close_to_its_frame():
    shown = frame(0)
    decoded = np.asarray(Image.open(io.BytesIO(JpegEncoder()(shown)))).astype(float)
    error = np.sqrt(((decoded - shown.rgb) ** 2).mean())
    assert 20 * np.log10(255 / error) > 35


def test_a_frame_is_encoded_once_and_the_old_are_forgotten():
    encode = JpegEncoder()
    first = frame(0)
    jpeg = encode(first)
    assert encode(first) is jpeg
    for seq in range(1, KEPT + 1):
        encode(frame(seq))
    assert encode(first) is not jpeg
    assert encode(first) == jpeg


@pytest.mark.alone
def test_encoding_takes_a_few_milliseconds_at_most():
    encode, frames = JpegEncoder(), [frame(seq) for seq in range(20)]
    took = []
    for shown in frames:
        began = time.perf_counter()
        encode(shown)
        took.append(time.perf_counter() - began)
    assert np.median(took) < 0.004


def test_a_quality_that_jpeg_has_not_is_refused():
    with pytest.raises(ValueError, match=r"1\.\.95"):
        JpegEncoder(0)
