"""Flat cells drawn into a camera: two passes over the cells in view, a pixel asking where it lies.

A flat cell goes from its picture to a camera by one 3x3 matrix, and back by its inverse, so each
pixel asks the cells that may cover it where in their picture it lies: inside the cell or not, how
deep, which colour. Nothing is splatted, so nothing leaves holes, and no cell spans an edge.

1. depth: the nearest surface of each pixel. A surface seen from behind hides what is behind it, but
   has nothing to show.
2. colour: every cell that agrees with that depth gives its colour, weighted steeply by how well its
   picture saw it: resolution now against then, change of viewing angle, distance from depth edges.

Shapes: H height, W width, N cells, K pictures, V cells in view; M, E as in `cells.py`.
q is 1 / depth throughout: linear across a plane, 0 for the sky, and below 0 for nothing at all.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perdure.camera import Array, Intrinsics, invert
from perdure.memory.cells import EDGE, LANE

AGREE = 0.04  # surfaces nearer than this, relative, are taken for one
SAME = 1.00001  # a surface nearer than the nearest failed the first pass, by a hair
SLACK = 0.03  # pixels of a picture that a cell reaches over its border, against cracks
STRAY = 0.004  # and so much of the parallax more, for planes that fit within `cells.FLAT`
EDGE_ON = 0.01  # a plane nearer to this camera than this part of its distance then shows nothing
BEHIND = -0.1  # and one so far on its other side is a surface seen from behind
HALF = 0.4999  # of the texels around, so much must lie on the surface; a straight edge has 1/2
SHARP = (0.1, 0.9)  # pixels of the picture for one of ours: worth nothing, worth all
ANGLE = (-0.2, 0.95)  # cosine between lines of sight: worth nothing, worth all
UNSEEN = (6.0, 3.0)  # metres of our line of sight before it enters what the picture saw: worth little, worth all
VEILED = 0.4  # what is left where a line of sight passes through much that nobody saw
LEAST = 0.06  # of a gain, so that a poor picture still shows where there is no other
STEEP = 3  # weight is quality to this power: the best picture takes nearly all
LITTLE = 0.02  # a weight below this part of what a pixel has is not worth the colour
WEIGHT = 2048  # of a colour's weights: whole numbers, so that one product serves three colours
PHASES = 64  # places between two texels that are told apart
FINE = 3.5  # a picture's pixels in one of ours (squared steps, both ways): 2 when equal; above, they are averaged


class Sight(NamedTuple):
    """How each picture lies to the camera."""

    lens_K5: Array  # 1/fx, 1/fy, -cx/fx, -cy/fy of the picture; determinant of `turn`
    side_K4: Array  # its right, left, lower and upper edge, as slopes off its axis; 0 to leave out UNSEEN
    turn_K33: Array  # its pixels (u, v, 1), times 1/q, to the camera's homogeneous pixels,
    shift_K3: Array  # to which this is added
    eye_K3: Array  # the camera's place in the picture's axes
    use_K: NDArray[np.bool_]  # draw it

    @classmethod
    def of(
        cls,
        lenses: Sequence[Intrinsics],
        poses: Sequence[Array],
        use_K: NDArray[np.bool_],
        camera: Array,
        lens: Intrinsics,
        crops: bool,
    ) -> "Sight":
        """`crops`: the pictures are cut out of larger ones, so their edges say nothing of what else was seen."""
        count = len(lenses)
        out = cls(
            np.empty((count, 5)), np.zeros((count, 4)), np.empty((count, 3, 3)), np.empty((count, 3)),
            np.empty((count, 3)), use_K,
        )  # fmt: skip
        to_pixels, from_world = lens.matrix(), invert(camera)
        for k, (its, pose) in enumerate(zip(lenses, poses)):
            to_ray = np.array([[1 / its.fx, 0, -its.cx / its.fx], [0, 1 / its.fy, -its.cy / its.fy], [0, 0, 1]])
            relative = from_world @ pose
            out.turn_K33[k] = to_pixels @ relative[:3, :3] @ to_ray
            out.shift_K3[k] = to_pixels @ relative[:3, 3]
            out.eye_K3[k] = -relative[:3, :3].T @ relative[:3, 3]
            area = lens.fx * lens.fy / (its.fx * its.fy)
            out.lens_K5[k] = to_ray[0, 0], to_ray[1, 1], to_ray[0, 2], to_ray[1, 2], area
            if not crops:
                right, lower = (its.width - its.cx) / its.fx, (its.height - its.cy) / its.fy
                out.side_K4[k] = right, its.cx / its.fx, lower, its.cy / its.fy
        return out


class Aimed(NamedTuple):
    """Cells in view of one camera. Pixel (x, y) lies at (U, V) / W in the cell's tile and has 1 / depth Q,
    where each of U, V, W, Q is r0 x + r1 y + r2."""

    rows_V12: NDArray[np.float64]  # U, V, W, Q
    rect_V4: NDArray[np.float64]  # left, top, right, bottom in the tile, with the reach
    box_V4: NDArray[np.int32]  # first and last + 1 column, first and last + 1 row that it may cover
    gain_V3: NDArray[np.float64]  # how well its picture saw it, to 1: g0 u + g1 v + g2
    seen_V: NDArray[np.bool_]  # from the front
    step_V4: NDArray[np.float64]  # how (u, v) change to the next column and row of the camera
    cell_V: NDArray[np.int32]


def room(cells: int) -> Aimed:
    """Space for so many cells."""
    return Aimed(
        np.empty((cells, 12)), np.empty((cells, 4)), np.empty((cells, 4), np.int32), np.empty((cells, 3)),
        np.empty(cells, np.bool_), np.empty((cells, 4)), np.empty(cells, np.int32),
    )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def draw(cells, sight, aimed, front_HW, sum_HW6):
    """Both passes. `front_HW` comes in as EMPTY and leaves as q; `sum_HW6` comes in as 0 and leaves with the sums of
    weight * (1, q, red, green, blue), and the greatest quality."""
    count = aim(cells, sight, front_HW.shape[1], front_HW.shape[0], aimed)
    find_depth(cells, aimed, count, front_HW)
    gather(cells, aimed, count, front_HW, sum_HW6)


@njit(nogil=True, cache=True, error_model="numpy")
def aim(cells, sight, width, height, aimed):
    """Carry every cell into the camera: fill `aimed` with those in view, and give their number."""
    lens_K5, side_K4, turn_K33, shift_K3, eye_K3, use_K = sight
    count = 0
    rows_V12 = aimed.rows_V12
    for n in range(cells.rect_N3.shape[0]):
        tile = cells.tile_N[n]
        k = cells.source_M[tile]
        if not use_K[k]:
            continue
        # Tile coordinates to homogeneous pixels of the camera: the columns of a 3x3 matrix.
        u_zero, v_zero = cells.origin_M2[tile, 0] + 0.5, cells.origin_M2[tile, 1] + 0.5
        pb, pc, pa = cells.plane_N3[n, 0], cells.plane_N3[n, 1], cells.plane_N3[n, 2]
        s0, s1, s2 = shift_K3[k, 0], shift_K3[k, 1], shift_K3[k, 2]
        g00, g01, g10, g11 = turn_K33[k, 0, 0], turn_K33[k, 0, 1], turn_K33[k, 1, 0], turn_K33[k, 1, 1]
        g20, g21 = turn_K33[k, 2, 0], turn_K33[k, 2, 1]
        a0, a1, a2 = g00 + s0 * pb, g01 + s0 * pc, g00 * u_zero + g01 * v_zero + turn_K33[k, 0, 2] + s0 * pa
        b0, b1, b2 = g10 + s1 * pb, g11 + s1 * pc, g10 * u_zero + g11 * v_zero + turn_K33[k, 1, 2] + s1 * pa
        c0, c1, c2 = g20 + s2 * pb, g21 + s2 * pc, g20 * u_zero + g21 * v_zero + turn_K33[k, 2, 2] + s2 * pa

        side = cells.rect_N3[n, 2]
        mid_u, mid_v = cells.rect_N3[n, 0] + 0.5 * side, cells.rect_N3[n, 1] + 0.5 * side
        q = pb * mid_u + pc * mid_v + pa
        # How far, in the picture's pixels, parallax moves the cell: errors of its plane grow with this.
        ex, ey, ez = q * eye_K3[k, 0], q * eye_K3[k, 1], q * eye_K3[k, 2]
        parallax = np.sqrt(ex * ex + ey * ey + ez * ez) / lens_K5[k, 0]
        reach = 0.5 if cells.rim_N[n] else min(SLACK + STRAY * parallax, 0.5)
        left, top, size = cells.rect_N3[n, 0] - reach, cells.rect_N3[n, 1] - reach, side + 2.0 * reach

        # Four corners as homogeneous pixels: out of view when all are beyond one side of the frustum.
        x0, y0, z0 = a0 * left + a1 * top + a2, b0 * left + b1 * top + b2, c0 * left + c1 * top + c2
        x1, y1, z1 = x0 + a0 * size, y0 + b0 * size, z0 + c0 * size
        x2, y2, z2 = x0 + a1 * size, y0 + b1 * size, z0 + c1 * size
        x3, y3, z3 = x1 + a1 * size, y1 + b1 * size, z1 + c1 * size
        if max(x0, x1, x2, x3) < 0.0 or max(y0, y1, y2, y3) < 0.0 or max(z0, z1, z2, z3) <= 0.0:
            continue
        if min(x0 - width * z0, x1 - width * z1, x2 - width * z2, x3 - width * z3) > 0.0:
            continue
        if min(y0 - height * z0, y1 - height * z1, y2 - height * z2, y3 - height * z3) > 0.0:
            continue

        # The inverse by cofactors; the determinant tells which side of the plane is seen.
        i00, i01, i02 = b1 * c2 - b2 * c1, a2 * c1 - a1 * c2, a1 * b2 - a2 * b1
        i10, i11, i12 = b2 * c0 - b0 * c2, a0 * c2 - a2 * c0, a2 * b0 - a0 * b2
        i20, i21, i22 = b0 * c1 - b1 * c0, a1 * c0 - a0 * c1, a0 * b1 - a1 * b0
        det = a0 * i00 + a1 * i10 + a2 * i20
        facing = det / lens_K5[k, 4]  # distance to the plane now, in its distance then
        # A cell of one pixel may be a wild guess of a slope: it hides nothing.
        if facing < EDGE_ON and (facing > BEHIND or side < 2.0):
            continue

        first_x, last_x, first_y, last_y = 0.0, width - 1.0, 0.0, height - 1.0
        if min(z0, z1, z2, z3) > 1e-9:
            x0, x1, x2, x3 = x0 / z0, x1 / z1, x2 / z2, x3 / z3
            y0, y1, y2, y3 = y0 / z0, y1 / z1, y2 / z2, y3 / z3
            first_x = max(np.ceil(min(x0, x1, x2, x3) - 0.5), first_x)
            last_x = min(np.floor(max(x0, x1, x2, x3) - 0.5), last_x)
            first_y = max(np.ceil(min(y0, y1, y2, y3) - 0.5), first_y)
            last_y = min(np.floor(max(y0, y1, y2, y3) - 0.5), last_y)
        if first_x > last_x or first_y > last_y:
            continue

        inverse = 1.0 / det
        i00, i01, i02 = i00 * inverse, i01 * inverse, i02 * inverse
        i10, i11, i12 = i10 * inverse, i11 * inverse, i12 * inverse
        i20, i21, i22 = i20 * inverse, i21 * inverse, i22 * inverse
        aimed.seen_V[count] = facing > 0.0
        if facing > 0.0:
            # Quality at the four corners, as a plane: a wall must not show its cells in the confidence.
            g_sum, g_u, g_v = 0.0, 0.0, 0.0
            corners, half = (4, 0.5 * side) if side > 1.0 else (1, 0.0)
            for corner in range(corners):
                du, dv = half if corner & 1 else -half, half if corner & 2 else -half
                u, v = mid_u + du, mid_v + dv
                z = max(c0 * u + c1 * v + c2, 1e-9)
                j00, j01 = (i00 - u * i20) * z, (i01 - u * i21) * z
                j10, j11 = (i10 - v * i20) * z, (i11 - v * i21) * z
                g = _worth(
                    j00, j01, j10, j11,
                    (u + u_zero) * lens_K5[k, 0] + lens_K5[k, 2], (v + v_zero) * lens_K5[k, 1] + lens_K5[k, 3],
                    pb * u + pc * v + pa, eye_K3[k, 0], eye_K3[k, 1], eye_K3[k, 2],
                    side_K4[k, 0], side_K4[k, 1], side_K4[k, 2], side_K4[k, 3],
                )  # fmt: skip
                g_sum, g_u, g_v = g_sum + g, g_u + g * du, g_v + g * dv
            g_u, g_v = g_u / (side * side), g_v / (side * side)
            aimed.gain_V3[count, 0], aimed.gain_V3[count, 1] = g_u, g_v
            aimed.gain_V3[count, 2] = g_sum / corners - g_u * mid_u - g_v * mid_v
            z = c0 * mid_u + c1 * mid_v + c2
            aimed.step_V4[count, 0], aimed.step_V4[count, 1] = (i00 - mid_u * i20) * z, (i10 - mid_v * i20) * z
            aimed.step_V4[count, 2], aimed.step_V4[count, 3] = (i01 - mid_u * i21) * z, (i11 - mid_v * i21) * z

        q0, q1 = pb * i00 + pc * i10 + pa * i20, pb * i01 + pc * i11 + pa * i21
        rows_V12[count, 0], rows_V12[count, 1], rows_V12[count, 2] = i00, i01, i02 + 0.5 * (i00 + i01)
        rows_V12[count, 3], rows_V12[count, 4], rows_V12[count, 5] = i10, i11, i12 + 0.5 * (i10 + i11)
        rows_V12[count, 6], rows_V12[count, 7], rows_V12[count, 8] = i20, i21, i22 + 0.5 * (i20 + i21)
        rows_V12[count, 9], rows_V12[count, 10] = q0, q1
        rows_V12[count, 11] = pb * i02 + pc * i12 + pa * i22 + 0.5 * (q0 + q1)
        aimed.rect_V4[count, 0], aimed.rect_V4[count, 1] = left, top
        aimed.rect_V4[count, 2], aimed.rect_V4[count, 3] = left + size, top + size
        aimed.box_V4[count, 0], aimed.box_V4[count, 1] = int(first_x), int(last_x) + 1
        aimed.box_V4[count, 2], aimed.box_V4[count, 3] = int(first_y), int(last_y) + 1
        aimed.cell_V[count] = n
        count += 1
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def _worth(j00, j01, j10, j11, rx, ry, q, ex, ey, ez, right, left, lower, upper):
    """Quality of what a picture saw along (rx, ry, 1) at 1 / depth q, now seen from (ex, ey, ez) in its axes."""
    # Pixels of the picture for one of ours, where that is worst: the smaller singular value of the Jacobian.
    squares, area = j00 * j00 + j01 * j01 + j10 * j10 + j11 * j11, j00 * j11 - j01 * j10
    sharp = np.sqrt(0.5 * max(squares - np.sqrt(max(squares * squares - 4.0 * area * area, 0.0)), 0.0))
    # From our eye to the point, times q: so that the sky has a direction too.
    tx, ty, tz = rx - q * ex, ry - q * ey, 1.0 - q * ez
    length = np.sqrt(tx * tx + ty * ty + tz * tz)
    cosine = (rx * tx + ry * ty + tz) / (length * np.sqrt(rx * rx + ry * ry + 1.0))
    gain = _ramp(sharp, *SHARP) * _ramp(cosine, *ANGLE)
    if right > 0.0:
        # Outside of the picture's pyramid there may be things that nobody saw. A line of sight that begins outside
        # crosses into it at the last of the four sides: each is a plane, positive inside.
        veiled = 0.0
        for from_eye, along in (
            (right * ez - ex, right * tz - tx),
            (left * ez + ex, left * tz + tx),
            (lower * ez - ey, lower * tz - ty),
            (upper * ez + ey, upper * tz + ty),
        ):
            if from_eye < 0.0:
                veiled = max(veiled, -from_eye / max(along, 1e-9))
        gain *= min(max((veiled * length - UNSEEN[0]) / (UNSEEN[1] - UNSEEN[0]), VEILED), 1.0)
    return gain


@njit(nogil=True, cache=True, error_model="numpy")
def _ramp(value, low, high):
    """From LEAST at `low` to 1 at `high`."""
    return min(max((value - low) / (high - low), LEAST), 1.0)


@njit(nogil=True, cache=True, error_model="numpy")
def _texel_at(coordinate):
    """The first of the two texels that a tile coordinate lies between."""
    return min(max(int(coordinate), 0), EDGE - 2)


@njit(nogil=True, cache=True, error_model="numpy")
def _share(cells, cell, tile, u, v):
    """Bilinear weight of the texels around (u, v) that lie on the cell's plane: 1/2 at a straight edge.

    Keeping what is above one half rounds the staircase of pixels off an edge.
    """
    i, j = _texel_at(u), _texel_at(v)
    fu, fv = u - i, v - j
    along, down = cells.plane_N3[cell, 0], cells.plane_N3[cell, 1]
    at = along * i + down * j + cells.plane_N3[cell, 2]
    total = 0.0
    if abs(cells.q_MEE[tile, j, i] - at) <= AGREE * at:
        total += (1.0 - fu) * (1.0 - fv)
    at += along
    if abs(cells.q_MEE[tile, j, i + 1] - at) <= AGREE * at:
        total += fu * (1.0 - fv)
    at += down
    if abs(cells.q_MEE[tile, j + 1, i + 1] - at) <= AGREE * at:
        total += fu * fv
    at -= along
    if abs(cells.q_MEE[tile, j + 1, i] - at) <= AGREE * at:
        total += (1.0 - fu) * fv
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def find_depth(cells, aimed, count, front_HW):
    """The first pass: the greatest q of each pixel into `front_HW`, which comes in as EMPTY."""
    rows_V12, rect_V4, box_V4 = aimed.rows_V12, aimed.rect_V4, aimed.box_V4
    for n in range(count):
        # No views of rows anywhere in the passes: making one costs more than a pixel.
        cell = aimed.cell_V[n]
        rim, tile = cells.rim_N[cell], cells.tile_N[cell]
        left, top, right, bottom = rect_V4[n, 0], rect_V4[n, 1], rect_V4[n, 2], rect_V4[n, 3]
        u0, u1, u2, v0, v1, v2 = (rows_V12[n, 0], rows_V12[n, 1], rows_V12[n, 2], rows_V12[n, 3], rows_V12[n, 4],
                                  rows_V12[n, 5])  # fmt: skip
        w0, w1, w2, q0, q1, q2 = (rows_V12[n, 6], rows_V12[n, 7], rows_V12[n, 8], rows_V12[n, 9], rows_V12[n, 10],
                                  rows_V12[n, 11])  # fmt: skip
        # A hidden side gives way to a seen one at the same depth.
        part = 1.0 if aimed.seen_V[n] else 1.0 - 2.0 * AGREE
        for y in range(box_V4[n, 2], box_V4[n, 3]):
            ru, rv, rw, rq = u1 * y + u2, v1 * y + v2, w1 * y + w2, q1 * y + q2
            for x in range(box_V4[n, 0], box_V4[n, 1]):
                q = (q0 * x + rq) * part
                w = w0 * x + rw
                if q <= front_HW[y, x] or w <= 0.0 or q < 0.0:
                    continue
                u, v = u0 * x + ru, v0 * x + rv
                if u < left * w or u > right * w or v < top * w or v > bottom * w:
                    continue
                if rim and _share(cells, cell, tile, u / w, v / w) < HALF:
                    continue
                front_HW[y, x] = q


def _cubic(total: int) -> NDArray[np.int64]:
    """(PHASES + 1, 4) Catmull-Rom's weights of four texels for places past the second, in whole parts of `total`."""
    f = np.arange(PHASES + 1)[:, None] / PHASES
    weights = 0.5 * np.concatenate(
        [f * (f * (2 - f) - 1), f * f * (3 * f - 5) + 2, f * (f * (4 - 3 * f) + 1), f * f * (f - 1)], axis=1
    )
    whole = np.round(weights * total).astype(np.int64)
    whole[np.arange(len(whole)), whole.argmax(1)] += total - whole.sum(1)
    return whole


ACROSS, DOWN = _cubic(64), _cubic(WEIGHT // 64)


@njit(nogil=True, cache=True, error_model="numpy")
def _sharp(texel_MEE, tile, u, v):
    """The colours of 4 x 4 texels around (u, v), in lanes, WEIGHT times as great."""
    i, j = min(max(int(u), 1), EDGE - 3), min(max(int(v), 1), EDGE - 3)
    m = min(max(int((u - i) * PHASES + 0.5), 0), PHASES)
    n = min(max(int((v - j) * PHASES + 0.5), 0), PHASES)
    a, b, c, d = ACROSS[m, 0], ACROSS[m, 1], ACROSS[m, 2], ACROSS[m, 3]
    i -= 1
    lanes = 0
    for k in range(4):
        y = j + k - 1
        line = a * texel_MEE[tile, y, i] + b * texel_MEE[tile, y, i + 1]
        lanes += DOWN[n, k] * (line + c * texel_MEE[tile, y, i + 2] + d * texel_MEE[tile, y, i + 3])
    return lanes


@njit(nogil=True, cache=True, error_model="numpy")
def _smooth(texel_MEE, tile, u, v, u_x, v_x, u_y, v_y):
    """The same of four bilinear looks, half a pixel of ours apart each way: for a picture finer than ours."""
    lanes = 0
    for k in range(4):
        dx, dy = (0.25 if k & 1 else -0.25), (0.25 if k & 2 else -0.25)
        at_u = min(max(u + dx * u_x + dy * u_y, 0.0), EDGE - 1.001)
        at_v = min(max(v + dx * v_x + dy * v_y, 0.0), EDGE - 1.001)
        i, j = int(at_u), int(at_v)
        m, n = int((at_u - i) * 32.0 + 0.5), int((at_v - j) * 16.0 + 0.5)
        lanes += (16 - n) * ((32 - m) * texel_MEE[tile, j, i] + m * texel_MEE[tile, j, i + 1])
        lanes += n * ((32 - m) * texel_MEE[tile, j + 1, i] + m * texel_MEE[tile, j + 1, i + 1])
    return lanes


@njit(nogil=True, cache=True, error_model="numpy")
def _on_plane(cells, cell, tile, u, v):
    """(the same of those of two by two texels that lie on the cell's plane, their weight, their trust)."""
    i, j = _texel_at(u), _texel_at(v)
    fu, fv = u - i, v - j
    lanes, weights, trusts = 0, 0, 0
    for k in range(4):
        di, dj = k & 1, k >> 1
        at = cells.plane_N3[cell, 0] * (i + di) + cells.plane_N3[cell, 1] * (j + dj) + cells.plane_N3[cell, 2]
        if abs(cells.q_MEE[tile, j + dj, i + di] - at) <= AGREE * at:
            weight = int((fu if di else 1.0 - fu) * (fv if dj else 1.0 - fv) * WEIGHT)
            weights += weight
            lanes += weight * cells.texel_MEE[tile, j + dj, i + di]
            trusts += weight * cells.trust_MEE[tile, j + dj, i + di]
    return lanes, weights, trusts / (255.0 * max(weights, 1))


@njit(nogil=True, cache=True, error_model="numpy")
def gather(cells, aimed, count, front_HW, sum_HW6):
    """The second pass: every cell that agrees with the depth adds weight * (1, q, r, g, b), and its quality counts."""
    rows_V12, rect_V4, box_V4, step_V4 = aimed.rows_V12, aimed.rect_V4, aimed.box_V4, aimed.step_V4
    lane, half = (1 << LANE) - 1, 1 << (LANE - 1)
    for n in range(count):
        if not aimed.seen_V[n]:
            continue
        cell = aimed.cell_V[n]
        rim, tile = cells.rim_N[cell], cells.tile_N[cell]
        left, top, right, bottom = rect_V4[n, 0], rect_V4[n, 1], rect_V4[n, 2], rect_V4[n, 3]
        u0, u1, u2, v0, v1, v2 = (rows_V12[n, 0], rows_V12[n, 1], rows_V12[n, 2], rows_V12[n, 3], rows_V12[n, 4],
                                  rows_V12[n, 5])  # fmt: skip
        w0, w1, w2, q0, q1, q2 = (rows_V12[n, 6], rows_V12[n, 7], rows_V12[n, 8], rows_V12[n, 9], rows_V12[n, 10],
                                  rows_V12[n, 11])  # fmt: skip
        g0, g1, g2 = aimed.gain_V3[n, 0], aimed.gain_V3[n, 1], aimed.gain_V3[n, 2]
        u_x, v_x, u_y, v_y = step_V4[n, 0], step_V4[n, 1], step_V4[n, 2], step_V4[n, 3]
        fine = u_x * u_x + v_x * v_x + u_y * u_y + v_y * v_y > FINE
        for y in range(box_V4[n, 2], box_V4[n, 3]):
            ru, rv, rw, rq = u1 * y + u2, v1 * y + v2, w1 * y + w2, q1 * y + q2
            for x in range(box_V4[n, 0], box_V4[n, 1]):
                q = q0 * x + rq
                w = w0 * x + rw
                front = front_HW[y, x]
                if q < front * (1.0 - AGREE) or q > front * SAME or w <= 0.0 or q < 0.0:
                    continue
                u, v = u0 * x + ru, v0 * x + rv
                if u < left * w or u > right * w or v < top * w or v > bottom * w:
                    continue
                u, v = u / w, v / w
                quality = max(g0 * u + g1 * v + g2, LEAST * LEAST)
                if front > 0.0:
                    quality *= max(1.0 - (front - q) / (AGREE * front), 0.0)
                if quality**STEEP < LITTLE * sum_HW6[y, x, 0]:
                    continue
                lanes, weights = 0, WEIGHT
                if rim:
                    lanes, weights, trust = _on_plane(cells, cell, tile, u, v)
                    # A little less than the first pass asks: a pixel that has a depth must get a colour.
                    if weights < int(0.98 * HALF * WEIGHT):
                        continue
                    quality *= trust
                elif fine:
                    lanes = _smooth(cells.texel_MEE, tile, u, v, u_x, v_x, u_y, v_y)
                else:
                    lanes = _sharp(cells.texel_MEE, tile, u, v)
                weight = quality**STEEP
                part = weight / weights
                red = lanes & lane
                red -= (red & half) << 1
                lanes = (lanes - red) >> LANE
                green = lanes & lane
                green -= (green & half) << 1
                blue = (lanes - green) >> LANE
                sum_HW6[y, x, 0] += weight
                sum_HW6[y, x, 1] += weight * q
                sum_HW6[y, x, 2] += part * red
                sum_HW6[y, x, 3] += part * green
                sum_HW6[y, x, 4] += part * blue
                sum_HW6[y, x, 5] = max(sum_HW6[y, x, 5], quality)
