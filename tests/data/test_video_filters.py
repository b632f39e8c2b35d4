"""Each filter drops what it is there for, says which number it was, and lets good film pass."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.data.video.filters import ALIKE, Limits, copies, fingerprint, motion, profile, shifts, small, verdict
from perdure.data.video.reading import frames
from tests.data.films import Frames, sliding, stroll, write

LIMITS = Limits(seconds=1.0)


@pytest.fixture(scope="module")
def walk() -> Frames:
    return stroll("court").rgb


def test_a_walk_passes(walk: Frames):
    it = profile(walk, 144)
    assert verdict(it, LIMITS) is None
    assert set(it.tags()) >= {"brightness", "sharpness", "motion", "bars", "overlay"}


def bars(f: Frames) -> Frames:
    f = f.copy()
    f[:, :16] = f[:, -16:] = 8
    return f


def logo(f: Frames) -> Frames:
    f, mark = f.copy(), np.zeros((20, 40, 3), np.uint8)
    mark[::4] = 255
    f[:, 8:28, 8:48] = mark
    return f


def blurred(f: Frames) -> Frames:
    low = f.reshape(len(f), 9, 16, 16, 16, 3).mean((2, 4))
    i, j = np.linspace(0, 8, 144), np.linspace(0, 15, 256)
    a, b = np.minimum(i.astype(int), 7), np.minimum(j.astype(int), 14)
    u, v = (i - a)[:, None, None], (j - b)[:, None]
    rows = low[:, a] * (1 - u) + low[:, a + 1] * u
    return (rows[:, :, b] * (1 - v) + rows[:, :, b + 1] * v).astype(np.uint8)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda f: (f * 0.05).astype(np.uint8), "brightness"),
        (lambda f: 255 - ((255 - f) * 0.05).astype(np.uint8), "brightness"),
        (blurred, "sharpness"),
        (lambda f: np.repeat(f[:1], len(f), 0), "motion"),
        (lambda f: f[:16], "length"),
        (bars, "bars"),
        (logo, "static overlay: edges"),
    ],
)
def test_what_is_spoilt_is_dropped_for_what_it_is(walk: Frames, spoil, why: str):
    assert why in (verdict(profile(spoil(walk), 144), LIMITS) or "")


def test_resolution_is_that_of_the_source(walk: Frames):
    it = profile(walk, 90)
    assert "resolution: 90 rows" in (verdict(it, LIMITS) or "")
    assert "cropping leaves 32%" in (verdict(replace(it, height=1920, kept=0.316), LIMITS) or "")


@settings(max_examples=15, deadline=None)
@given(st.integers(-7, 7), st.integers(-7, 7), st.integers(0, 99))
def test_blocks_are_found_where_they_went(right: int, down: int, seed: int):
    """Short of a quarter of a block; from there on a window shares too little with itself for every block to be sure:
    at 8 pixels one canvas in fifty has less than four blocks of five."""
    random = np.random.default_rng(seed)
    canvas = np.kron(random.uniform(0, 255, (40, 60)), np.ones((3, 3))).astype(np.float32)
    moved, sure = shifts(canvas[20:92, 20:148], canvas[20 - down : 92 - down, 20 - right : 148 - right])
    assert sure.mean() > 0.9
    assert (moved[sure] == (right, down)).all(1).mean() > 0.85
    assert np.median(moved[sure], 0).tolist() == [right, down]


def test_motion_is_that_of_the_texture():
    pixels = 2.0  # a frame, of 256
    assert motion(sliding(48, pixels=pixels)) == pytest.approx(24 * pixels / 256, rel=0.1)
    assert motion(np.repeat(sliding(1), 20, 0)) == 0
    assert small(sliding(2)).shape == (2, 72, 128)


def test_copies_are_known_in_another_size_and_codec(tmp_path: Path, walk: Frames):
    path = write(tmp_path / "a.webm", walk, codec="libvpx-vp9")
    marks = [fingerprint(frame) for frame in walk[[8, 24, 40]]]
    again = [fingerprint(frame) for frame in frames(path, (128, 72))[[8, 24, 40]]]
    assert all((a ^ b).bit_count() <= ALIKE for a, b in zip(marks, again)) and copies(marks, again)
    other = [fingerprint(frame) for frame in stroll("hall").rgb[[8, 24, 40]]]
    assert not copies(marks, other) and not copies(marks, [])
