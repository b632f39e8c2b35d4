"""Cells: flat things are few and large, edges are kept, and colours are the picture's own."""

import numpy as np
import pytest
from numpy.typing import NDArray

from perdure.camera import FAR, Intrinsics, look
from perdure.memory.cells import APRON, LANE, TILE, TRUST, Cells, cut, join
from perdure.world.geometry import MILLIMETRES, Keyframe

LENS = Intrinsics.from_fov(64, 40, 75.0)
Y, X = np.mgrid[: LENS.height, : LENS.width]


def keyframe(depth: NDArray, mask: NDArray | None = None, rgb: NDArray | None = None) -> Keyframe:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (*depth.shape, 3), dtype=np.uint8) if rgb is None else rgb
    millimetres = np.rint(depth * MILLIMETRES).astype(np.uint16)
    whole = np.ones(depth.shape, np.bool_) if mask is None else mask
    return Keyframe(-1, look(np.zeros(3), 0.0, 0.0), LENS, colours, millimetres, whole)


def held(cells: Cells) -> NDArray:
    """(H, W) how often each pixel belongs to a cell."""
    out = np.zeros((LENS.height, LENS.width), int)
    for (left, top, side), tile in zip(cells.rect_N3, cells.tile_N):
        x, y = (cells.origin_M2[tile] + 0.5 + (left, top)).round().astype(int)
        out[y : y + int(side), x : x + int(side)] += 1
    return out


def plane_at(cells: Cells, n: int, x: float, y: float) -> float:
    """q of the cell's plane at the middle of a pixel."""
    u, v = np.array([x, y]) - cells.origin_M2[cells.tile_N[n]]
    return float(cells.plane_N3[n] @ [u, v, 1])


def test_a_wall_takes_one_cell_a_tile_however_steeply_it_is_seen() -> None:
    for slope in (0.0, 0.002, 0.02):
        cells = cut(keyframe(1 / (0.1 + slope * X + 0.5 * slope * Y)))
        assert (cells.rect_N3[:, 2] == TILE).all()
        assert len(cells.tile_N) == LENS.width * LENS.height // TILE**2
        for n in (0, 7, len(cells.tile_N) - 1):
            x, y = cells.origin_M2[cells.tile_N[n]] + APRON + 3
            assert plane_at(cells, n, x, y) == pytest.approx(0.1 + slope * x + 0.5 * slope * y, rel=1e-3)


def test_valid_pixels_are_in_one_cell_each() -> None:
    rng = np.random.default_rng(1)
    depth = 3 + np.sin(X / 7.0) + np.where((X > 20) & (X < 33) & (Y > 11), -1.5, 0)
    depth[Y < 6] = FAR
    mask = rng.random(depth.shape) < 0.8
    found = held(cut(keyframe(depth, mask)))
    assert (found <= mask).all()
    assert (found == mask).mean() > 0.998  # all but a few smears across an edge


def test_no_cell_spans_an_edge() -> None:
    near = (X >= 21) & (X < 43) & (Y >= 13)
    cells = cut(keyframe(np.where(near, 2.0, 5.0)))
    for n, ((left, top, side), tile) in enumerate(zip(cells.rect_N3, cells.tile_N)):
        x, y = (cells.origin_M2[tile] + 0.5 + (left, top)).round().astype(int)
        inside = near[y : y + int(side), x : x + int(side)]
        assert inside.all() or not inside.any()
        assert plane_at(cells, n, x, y) == pytest.approx(0.5 if inside.all() else 0.2, rel=1e-3)


def test_pixels_at_an_edge_are_trusted_less() -> None:
    cells = cut(keyframe(np.where(X < 32, 2.0, 5.0)))
    trust = {int(x): set() for x in range(29, 35)}
    for tile, (left, top) in enumerate(cells.origin_M2):
        for x, found in trust.items():
            if 0 <= x - left - APRON < TILE and 8 <= top + APRON < 24:
                found |= set(cells.trust_MEE[tile, APRON : APRON + TILE, x - left].tolist())
    assert trust == {29: {TRUST[2]}, 30: {TRUST[1]}, 31: {TRUST[0]}, 32: {TRUST[0]}, 33: {TRUST[1]}, 34: {TRUST[2]}}


def test_a_soft_edge_goes_to_the_side_whose_colour_it_has() -> None:
    rng = np.random.default_rng(2)
    q = np.where(X < 30, 0.5, 0.2)
    q = np.where(X == 30, 0.4, np.where(X == 31, 0.28, q)) * (1 + 0.002 * rng.standard_normal(X.shape))
    rgb = np.where(X[..., None] < 31, [200, 40, 40], [40, 40, 200]).astype(np.uint8)
    cells = cut(keyframe(1 / q, rgb=rgb))
    for (left, top, side), tile, plane in zip(cells.rect_N3, cells.tile_N, cells.plane_N3):
        x = round(cells.origin_M2[tile][0] + 0.5 + left)
        at = plane @ [left + side / 2, top + side / 2, 1]
        assert at == pytest.approx(0.5 if x < 31 else 0.2, rel=0.05)


def test_tiles_hold_the_pictures_own_colours() -> None:
    frame = keyframe(np.full(X.shape, 3.0))
    cells = cut(frame)
    inside = slice(APRON, APRON + TILE)
    for n, (left, top) in enumerate(cells.origin_M2 + APRON):
        lanes = np.stack([cells.texel_MEE[n, inside, inside] >> (LANE * c) & 255 for c in range(3)], -1)
        np.testing.assert_array_equal(lanes, frame.rgb[top : top + TILE, left : left + TILE])


def test_cost_follows_what_a_picture_says() -> None:
    mask = np.zeros(X.shape, np.bool_)
    mask[3:9, 40:50] = True
    cells = cut(keyframe(np.full(X.shape, 3.0), mask))
    assert len(cells.origin_M2) <= 6
    assert len(cut(keyframe(np.full(X.shape, 3.0), np.zeros(X.shape, np.bool_))).tile_N) == 0


def test_joined_pictures_keep_their_tiles() -> None:
    frames = (keyframe(np.full(X.shape, 3.0)), keyframe(np.where(X < 32, 2.0, 5.0)))
    one, two, both = cut(frames[0]), cut(frames[1]), join(frames)
    assert len(both.tile_N) == len(one.tile_N) + len(two.tile_N)
    np.testing.assert_array_equal(both.source_M, np.repeat([0, 1], [len(one.source_M), len(two.source_M)]))
    last = both.tile_N[-1]
    np.testing.assert_array_equal(both.texel_MEE[last], two.texel_MEE[two.tile_N[-1]])
    assert len(join(()).tile_N) == 0
