"""Splats drawn on a processor: each Gaussian becomes an ellipse in the picture, mixed from the front to the back.

The usual arithmetic of 3D Gaussian splatting: a Gaussian is projected by the linear part of the camera
at its middle, widened by a little so that none falls between pixels, and mixed into what is left of each
pixel. The picture is cut into tiles of 16 pixels, each with a list of what touches it, nearest first; a
tile is closed when nothing behind could be seen. Tiles are drawn on several threads, but each by one
alone, so the bytes are the same however many there are. `tests/memory/test_gaussians.py` has the plain twin.

Shapes: N Gaussians, F frames of reference (0 is the world, the others bodies), M Gaussians in view,
H W picture, K harmonics.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perdure.camera import FAR, Array, Intrinsics, check_pose, invert, quaternion, rotation, unproject
from perdure.memory.view import View
from perdure.world.geometry import Keyframe
from perdure.world.splats import NOBODY, Rows, Splats, blank

F32 = NDArray[np.float32]

TILE = 16
NEAREST = 0.1  # metres; what is nearer than this is not drawn
WIDER = 0.3  # square pixels by which every Gaussian is blurred
FRAME = 1.3  # beyond this many half pictures from the axis, the linear part is taken at that angle
FAINT = 1 / 255  # less than this hides nothing
SOLID = 0.99  # and nothing hides more
CLOSED = 1e-4  # of a pixel left: what is behind is not seen
LOOK = 32  # Gaussians after which a tile is asked whether anything can still be seen
BEFORE = 0.98  # of the depth that the view knows: a splat that is nearer stands before it
FLAKE = 0.5  # deviation of a flake made of a pixel, in pixels
THIN = 0.1  # its thickness, in widths
STEEPEST = 6.0  # a neighbour that is farther away, in widths of a pixel, lies on another surface
BASE = 0.28209479177387814  # the harmonic of degree 0


@dataclass(frozen=True, eq=False)
class Gaussians:
    """Splats made ready to be drawn."""

    mean_N3: Array
    shape_N6: Array  # covariance: xx, xy, xz, yy, yz, zz
    opacity_N: Array  # 0..1
    colour_N3: F32  # of degree 0, 0..1 as a screen shows it, neither end clipped
    harmonics_NK3: F32
    frame_N: NDArray[np.int32]  # whose frame it lies in: index into `entities`, or 0 for the world
    entities: tuple[int, ...]  # NOBODY first


@dataclass(frozen=True, eq=False)
class Layer:
    """A picture of splats alone."""

    rgb: F32  # (H, W, 3) 0..1, times alpha
    depth: F32  # (H, W) metres along z, times alpha
    alpha: F32  # (H, W)


_ready: WeakKeyDictionary[Splats, Gaussians] = WeakKeyDictionary()


def ready(splats: Splats) -> Gaussians:
    """The splats made ready to be drawn; kept as long as they are, because splats never change."""
    found = _ready.get(splats)
    if found is None:
        rows = splats.rows
        axes = rotation(rows["rotation"].astype(np.float64)) * np.exp(rows["scale"].astype(np.float64))[:, None, :]
        shape = axes @ axes.transpose(0, 2, 1)
        entities = (NOBODY, *np.unique(rows["entity"][rows["entity"] != NOBODY]).tolist())
        found = _ready[splats] = Gaussians(
            rows["mean"].astype(np.float64),
            shape[:, (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)].copy(),
            1 / (1 + np.exp(-rows["opacity"].astype(np.float64))),
            (0.5 + np.float32(BASE) * rows["colour"]).astype(np.float32),
            np.ascontiguousarray(rows["harmonics"]),
            np.searchsorted(entities, rows["entity"]).astype(np.int32),
            entities,
        )
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def shaded(base, harmonics_K3, x, y, z):
    """A colour's channels as seen along a direction, by its harmonics up to degree 3; not below 0."""
    red, green, blue = base[0], base[1], base[2]
    count = len(harmonics_K3)
    for k in range(count):
        if k == 0:
            part = -0.4886025119029199 * y
        elif k == 1:
            part = 0.4886025119029199 * z
        elif k == 2:
            part = -0.4886025119029199 * x
        elif k == 3:
            part = 1.0925484305920792 * x * y
        elif k == 4:
            part = -1.0925484305920792 * y * z
        elif k == 5:
            part = 0.31539156525252005 * (2.0 * z * z - x * x - y * y)
        elif k == 6:
            part = -1.0925484305920792 * x * z
        elif k == 7:
            part = 0.5462742152960396 * (x * x - y * y)
        elif k == 8:
            part = -0.5900435899266435 * y * (3.0 * x * x - y * y)
        elif k == 9:
            part = 2.890611442640554 * x * y * z
        elif k == 10:
            part = -0.4570457994644658 * y * (4.0 * z * z - x * x - y * y)
        elif k == 11:
            part = 0.3731763325901154 * z * (2.0 * z * z - 3.0 * x * x - 3.0 * y * y)
        elif k == 12:
            part = -0.4570457994644658 * x * (4.0 * z * z - x * x - y * y)
        elif k == 13:
            part = 1.445305721320277 * z * (x * x - y * y)
        else:
            part = -0.5900435899266435 * x * (x * x - 3.0 * y * y)
        red += part * harmonics_K3[k, 0]
        green += part * harmonics_K3[k, 1]
        blue += part * harmonics_K3[k, 2]
    return max(red, 0.0), max(green, 0.0), max(blue, 0.0)


@njit(nogil=True, cache=True, error_model="numpy")
def _project(first, last, mean_N3, shape_N6, opacity_N, colour_N3, harmonics_NK3, frame_N, turn_F33, shift_F3, eye_F3,
             there_F, lens, depth_N, ellipse_N7, box_N4, shown_N3):  # fmt: skip
    """Each Gaussian as an ellipse: middle, inverse covariance, greatest power that counts, opacity.

    `box_N4` is the pixels that it touches, first and last column and row; empty where it is not seen.
    """
    fx, fy, cx, cy, width, height = lens
    most_x, most_y = FRAME * 0.5 * width / fx, FRAME * 0.5 * height / fy
    for n in range(first, last):
        box_N4[n, 0], box_N4[n, 1] = 0, -1
        f = frame_N[n]
        if not there_F[f] or opacity_N[n] < FAINT:
            continue
        r = turn_F33[f]
        mx, my, mz = mean_N3[n, 0], mean_N3[n, 1], mean_N3[n, 2]
        z = r[2, 0] * mx + r[2, 1] * my + r[2, 2] * mz + shift_F3[f, 2]
        if z < NEAREST:
            continue
        x = r[0, 0] * mx + r[0, 1] * my + r[0, 2] * mz + shift_F3[f, 0]
        y = r[1, 0] * mx + r[1, 1] * my + r[1, 2] * mz + shift_F3[f, 1]
        at_x, at_y = min(max(x / z, -most_x), most_x), min(max(y / z, -most_y), most_y)
        # The two rows that take a step in space to a step in the picture.
        sx, sy = fx / z, fy / z
        ux, uy, uz = sx * (r[0, 0] - at_x * r[2, 0]), sx * (r[0, 1] - at_x * r[2, 1]), sx * (r[0, 2] - at_x * r[2, 2])
        vx, vy, vz = sy * (r[1, 0] - at_y * r[2, 0]), sy * (r[1, 1] - at_y * r[2, 1]), sy * (r[1, 2] - at_y * r[2, 2])
        xx, xy, xz, yy, yz, zz = shape_N6[n]
        ax, ay, az = xx * ux + xy * uy + xz * uz, xy * ux + yy * uy + yz * uz, xz * ux + yz * uy + zz * uz
        bx, by, bz = xx * vx + xy * vy + xz * vz, xy * vx + yy * vy + yz * vz, xz * vx + yz * vy + zz * vz
        uu = ux * ax + uy * ay + uz * az + WIDER
        uv = ux * bx + uy * by + uz * bz
        vv = vx * bx + vy * by + vz * bz + WIDER
        area = uu * vv - uv * uv
        if not area > 0.0:
            continue
        power = 2.0 * np.log(opacity_N[n] / FAINT)
        u, v = x / z * fx + cx, y / z * fy + cy
        half_u, half_v = np.sqrt(power * uu), np.sqrt(power * vv)
        left, right = max(u - half_u, 0.0), min(u + half_u, width)
        top, bottom = max(v - half_v, 0.0), min(v + half_v, height)
        if not (left < right and top < bottom):
            continue
        depth_N[n] = z
        ellipse = ellipse_N7[n]
        ellipse[0], ellipse[1] = u, v
        ellipse[2], ellipse[3], ellipse[4] = vv / area, -uv / area, uu / area
        ellipse[5], ellipse[6] = power, opacity_N[n]
        box_N4[n, 0], box_N4[n, 1] = int(left), min(int(right), int(width) - 1)
        box_N4[n, 2], box_N4[n, 3] = int(top), min(int(bottom), int(height) - 1)
        dx, dy, dz = mx - eye_F3[f, 0], my - eye_F3[f, 1], mz - eye_F3[f, 2]
        away = 1.0 / np.sqrt(dx * dx + dy * dy + dz * dz)
        shown_N3[n] = shaded(colour_N3[n], harmonics_NK3[n], dx * away, dy * away, dz * away)


@njit(nogil=True, cache=True, error_model="numpy")
def _by_depth(bits_N, box_N4):
    """Those in view, nearest first; equals in the order in which they came. A radix sort, so it is so everywhere."""
    count = 0
    for n in range(len(bits_N)):
        count += box_N4[n, 1] >= box_N4[n, 0]
    order, other = np.empty(count, np.int32), np.empty(count, np.int32)
    at = 0
    for n in range(len(bits_N)):
        if box_N4[n, 1] >= box_N4[n, 0]:
            order[at] = n
            at += 1
    start = np.empty(2048, np.int64)
    for shift in (0, 11, 22):  # the bits of positive floats are in the order of the floats
        start[:] = 0
        for i in range(count):
            start[(bits_N[order[i]] >> shift) & 2047] += 1
        total = 0
        for digit in range(2048):
            here = start[digit]
            start[digit] = total
            total += here
        for i in range(count):
            digit = (bits_N[order[i]] >> shift) & 2047
            other[start[digit]] = order[i]
            start[digit] += 1
        order, other = other, order
    return order


@njit(nogil=True, cache=True, error_model="numpy")
def _to_tiles(order_M, box_N4, columns, rows):
    """For each tile, what touches it, nearest first: a list of all lists, and where each begins."""
    start = np.zeros(columns * rows + 1, np.int64)
    for n in order_M:
        for j in range(box_N4[n, 2] // TILE, box_N4[n, 3] // TILE + 1):
            for i in range(box_N4[n, 0] // TILE, box_N4[n, 1] // TILE + 1):
                start[j * columns + i + 1] += 1
    for tile in range(columns * rows):
        start[tile + 1] += start[tile]
    at, listed = start[:-1].copy(), np.empty(start[-1], np.int32)
    for n in order_M:
        for j in range(box_N4[n, 2] // TILE, box_N4[n, 3] // TILE + 1):
            for i in range(box_N4[n, 0] // TILE, box_N4[n, 1] // TILE + 1):
                listed[at[j * columns + i]] = n
                at[j * columns + i] += 1
    return start, listed


@njit(nogil=True, cache=True, error_model="numpy")
def _mix(first, step, columns, rows, start, listed, depth_N, ellipse_N7, shown_N3, wall_HW, out_HW5):
    """Draw every `step`-th tile from `first` on: red, green, blue and depth times alpha, and alpha.

    A row of a tile is always worked through from end to end: without a branch it goes several pixels at once.
    """
    height, width = wall_HW.shape
    left_TT, wall_TT, u_T = np.empty((TILE, TILE)), np.empty((TILE, TILE)), np.empty(TILE)
    red_TT, green_TT = np.empty((TILE, TILE)), np.empty((TILE, TILE))
    blue_TT, far_TT = np.empty((TILE, TILE)), np.empty((TILE, TILE))
    for tile in range(first, columns * rows, step):
        x0, y0 = tile % columns * TILE, tile // columns * TILE
        x1, y1 = min(x0 + TILE, width), min(y0 + TILE, height)
        left_TT[:], wall_TT[:] = 1.0, -1.0  # beyond the picture nothing is ever seen
        red_TT[:], green_TT[:], blue_TT[:], far_TT[:] = 0.0, 0.0, 0.0, 0.0
        for y in range(y0, y1):
            for x in range(x0, x1):
                wall_TT[y - y0, x - x0] = wall_HW[y, x]
        for x in range(TILE):
            u_T[x] = x0 + x + 0.5
        for at in range(start[tile], start[tile + 1]):
            n = listed[at]
            z = depth_N[n]
            if (at - start[tile]) % LOOK == LOOK - 1:
                open_ = 0
                for y in range(TILE):
                    for x in range(TILE):
                        open_ += (left_TT[y, x] >= CLOSED) & (wall_TT[y, x] >= z)
                if open_ == 0:
                    break
            u, v, a, b, c, power, opacity = ellipse_N7[n]
            red, green, blue = shown_N3[n, 0], shown_N3[n, 1], shown_N3[n, 2]
            reach = np.sqrt(power * a / (a * c - b * b))  # rows above and below the middle
            for y in range(max(y0, int(np.ceil(v - reach - 0.5))), min(y1, int(np.floor(v + reach + 0.5)))):
                dy = y + 0.5 - v
                row = y - y0
                slope, rest = 2.0 * b * dy, c * dy * dy
                for x in range(TILE):
                    dx = u_T[x] - u
                    away = (a * dx + slope) * dx + rest
                    # The exponential: its series for a sixteenth of the power, to the sixteenth.
                    t = min(away, power) * (-0.5 / 16.0)
                    e = 1 / 24 + t * (1 / 120 + t * (1 / 720 + t * (1 / 5040)))
                    e = 1.0 + t * (1.0 + t * (1 / 2 + t * (1 / 6 + t * e)))
                    e *= e
                    e *= e
                    e *= e
                    e *= e
                    alpha = min(opacity * e, SOLID)
                    left = left_TT[row, x]
                    seen = (away <= power) & (left >= CLOSED) & (wall_TT[row, x] >= z)
                    part = alpha * left if seen else 0.0
                    red_TT[row, x] += part * red
                    green_TT[row, x] += part * green
                    blue_TT[row, x] += part * blue
                    far_TT[row, x] += part * z
                    left_TT[row, x] = left - part
        for y in range(y0, y1):
            for x in range(x0, x1):
                i, j = x - x0, y - y0
                out_HW5[y, x, 0], out_HW5[y, x, 1], out_HW5[y, x, 2] = red_TT[j, i], green_TT[j, i], blue_TT[j, i]
                out_HW5[y, x, 3], out_HW5[y, x, 4] = far_TT[j, i], 1.0 - left_TT[j, i]


THREADS = min(4, os.cpu_count() or 1)
_pool = ThreadPoolExecutor(THREADS, "gaussians")  # numba's own threads may not be called from two at once


def draw(
    splats: Splats,
    camera: Array,
    intrinsics: Intrinsics,
    bodies: Mapping[int, Array] | None = None,
    wall: F32 | None = None,
    threads: int = THREADS,
) -> Layer:
    """Splats as a camera (4, 4) sees them.

    `bodies` are poses (4, 4) of entities; the splats of one that is not there are not drawn. `wall` (H, W)
    is the depth of what hides splats, infinite where nothing does.
    """
    check_pose(camera)
    size = intrinsics.height, intrinsics.width
    wall = np.full(size, np.inf, np.float32) if wall is None else np.ascontiguousarray(wall, np.float32)
    if wall.shape != size:
        raise ValueError(f"expected the depth of what hides splats in the picture's size {size}, got {wall.shape}")
    it = ready(splats)
    bodies = bodies or {}
    to_camera = invert(camera)
    poses = [to_camera if e == NOBODY else to_camera @ bodies[e] if e in bodies else np.eye(4) for e in it.entities]
    place_F44 = np.array(poses)
    there_F = np.array([e == NOBODY or e in bodies for e in it.entities])
    turn_F33, shift_F3 = place_F44[:, :3, :3].copy(), place_F44[:, :3, 3].copy()
    eye_F3 = -(shift_F3[:, None, :] @ turn_F33)[:, 0]
    i = intrinsics
    lens = i.fx, i.fy, i.cx, i.cy, float(i.width), float(i.height)
    count = len(it.opacity_N)
    depth_N, ellipse_N7 = np.empty(count, np.float32), np.empty((count, 7))
    box_N4, shown_N3 = np.empty((count, 4), np.int32), np.empty((count, 3))

    def project(part: int) -> None:
        _project(count * part // threads, count * (part + 1) // threads, it.mean_N3, it.shape_N6, it.opacity_N,
                 it.colour_N3, it.harmonics_NK3, it.frame_N, turn_F33, shift_F3, eye_F3, there_F, lens, depth_N,
                 ellipse_N7, box_N4, shown_N3)  # fmt: skip

    list(_pool.map(project, range(threads)))
    columns, rows = -(-i.width // TILE), -(-i.height // TILE)
    start, listed = _to_tiles(_by_depth(depth_N.view(np.uint32), box_N4), box_N4, columns, rows)
    out_HW5 = np.empty((*size, 5), np.float32)

    def mix(part: int) -> None:
        _mix(part, 4 * threads, columns, rows, start, listed, depth_N, ellipse_N7, shown_N3, wall, out_HW5)

    list(_pool.map(mix, range(4 * threads)))
    return Layer(out_HW5[..., :3], out_HW5[..., 3], out_HW5[..., 4])


def from_keyframe(keyframe: Keyframe, stride: int = 1, first: int = 0) -> Rows:
    """What a keyframe saw as splats, one for each `stride`-th pixel either way, numbered from `first`.

    Each is a flake as wide as its pixels, that lies in the surface as far as the neighbours tell. The sky is left out.
    """
    height, width = keyframe.mask.shape
    depth = keyframe.metres.astype(np.float64)
    solid = keyframe.mask & (depth > NEAREST) & (depth < 0.995 * FAR)
    point_HW3 = unproject(depth, keyframe.intrinsics, keyframe.pose)
    picked = np.zeros_like(solid)
    picked[stride // 2 :: stride, stride // 2 :: stride] = True
    at = np.nonzero(picked & solid)
    sides: list[Array] = []
    for axis, focal in ((1, keyframe.intrinsics.fx), (0, keyframe.intrinsics.fy)):
        across = keyframe.pose[:3, 1 - axis] * (depth[at] / focal)[:, None]  # a pixel's width, square to the view
        best = np.full(len(across), np.inf)
        side = across
        for way in (-1, 1):
            j, i = at[0] + way * (axis == 0), at[1] + way * (axis == 1)
            inside = (j >= 0) & (j < height) & (i >= 0) & (i < width)
            j, i = np.clip(j, 0, height - 1), np.clip(i, 0, width - 1)
            gap = np.where(inside & solid[j, i], np.abs(depth[j, i] - depth[at]), np.inf)
            step = way * (point_HW3[j, i] - point_HW3[at])
            flat = (gap < best) & (np.linalg.norm(step, axis=1) < STEEPEST * np.linalg.norm(across, axis=1))
            side = np.where(flat[:, None], step, side)
            best = np.where(flat, gap, best)
        sides.append(stride * side)
    one, other = sides
    square = [s[:, :, None] * s[:, None, :] for s in (one, other)]
    # The deviation is a good half of the distance, so that neighbours leave no gap; across the surface it is thin.
    values, axes = np.linalg.eigh(FLAKE**2 * (square[0] + square[1]))
    axes[:, :, 0] *= np.sign(np.linalg.det(axes))[:, None]
    values = np.maximum(values, (THIN**2 * values[:, 2])[:, None])
    rows = blank(len(at[0]), first)
    rows["mean"] = point_HW3[at]
    rows["rotation"] = quaternion(axes)
    rows["scale"] = 0.5 * np.log(values)
    rows["opacity"] = np.log(SOLID / (1 - SOLID))
    rows["colour"] = (keyframe.rgb[at] / 255 - 0.5) / BASE
    return rows


def lay_over(view: View, splats: Splats, cameras: Array, intrinsics: Intrinsics, bodies: Mapping[int, Array]) -> View:
    """A view with splats before it and where nothing was known. `bodies` are poses (T, 4, 4) of entities.

    What the view knows hides the splats behind it, and those that lie in the same surface.
    """
    rgb, confidence, depth = view.rgb.copy(), view.confidence.copy(), view.depth.copy()
    for t, camera in enumerate(cameras):
        known = confidence[t] > 0
        wall = np.where(known, np.float32(BEFORE) * depth[t], np.float32(np.inf))
        layer = draw(splats, camera, intrinsics, {entity: poses[t] for entity, poses in bodies.items()}, wall)
        behind = (1 - layer.alpha) * known  # how much of each pixel the view still shows
        total = layer.alpha + behind
        shown = total > FAINT
        share = np.where(shown, 1 / np.maximum(total, FAINT), 0)[..., None]
        mixed = (255 * layer.rgb + behind[..., None] * rgb[t]) * share
        touched = layer.alpha > FAINT
        rgb[t][touched] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)[touched]
        sure = np.rint(255 * layer.alpha + behind * confidence[t])
        confidence[t][touched] = np.clip(sure, 1, 255).astype(np.uint8)[touched]
        nearer = touched & (~known | (layer.alpha > 0.5))
        depth[t][nearer] = np.minimum(layer.depth / np.maximum(layer.alpha, FAINT), FAR)[nearer]
    return replace(view, rgb=rgb, confidence=confidence, depth=depth)
