"""Props: things to see and to handle. Each is what physics knows of it and how it looks from all sides.

    entity, body = prop("crate", 7, (1.0, 2.0, 0.0), seed=3)
    world = world.edit(edit.add(entity, body))

A prop is painted once, in a little scene of its own and in an even light, since it may be carried
anywhere and turned. What is painted lies within what physics collides.

Positions are in the body's frame, metres; sizes are half sizes, as in MJCF. Shapes: H W a look's size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import mujoco
import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics, look
from perdure.data.painting.painter import Painter, Worn
from perdure.data.scenes.blocks import Blocks, Point, geom, limb, turned
from perdure.data.scenes.scene import MOVING, Scene, Sky, Surface, plain
from perdure.memory.appearance import acquaint, colours
from perdure.memory.track import cut_patch
from perdure.world import body as bodies
from perdure.world.body import Body
from perdure.world.identity import Entity, Patch
from perdure.world.mover import Mover

DENSITY = 170.0  # pixels a metre, as near as things are seen
FINE = 2  # a look is painted so many times finer, and its pixels are means of the prop's own colours alone
LEAST, MOST = 48, 288  # pixels of a look
AWAY = 2.6  # radii of a prop from which it is looked at

_FACES = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
_CORNERS = [(x, y, z) for x in (1, -1) for y in (1, -1) for z in (1, -1)]
SIDES = np.array([*_FACES, *_CORNERS], float)
"""Directions from which a prop is looked at: so that no side of it is missing, however it is held."""

LIGHT = Sky(
    zenith="#dfe6ee", horizon="#d8d4cc", ground="#b5ada2", clouds=0.0, sun_yaw=0.7, sun_pitch=1.1,
    sun_colour="#ffe9c8", sun_strength=0.55, fill=0.95, fog=0.0, exposure=0.95,
)  # fmt: skip

WOODS = (  # light, dark, joint
    ("#b98a58", "#9c6e44", "#4a311f"),
    ("#c9a674", "#b08d5c", "#6b4d30"),
    ("#8f6440", "#7a5234", "#38251a"),
    ("#a87a4b", "#94683f", "#4a311f"),
)
METALS = ("#c79a3e", "#3a3a42", "#a8683a")
PAINTS = ("#c2402f", "#2f6fa8", "#e0a52c", "#3f8a5a", "#8a4f9a", "#d9774a")
GLAZES = (  # body, band, foot
    ("#2f6fa8", "#f2e6c8", "#c9a24a"),
    ("#b8623c", "#2b2320", "#8f4a2c"),
    ("#3f8f7a", "#f0d99a", "#2c5f55"),
    ("#e8dfcf", "#2d5f9a", "#b7ab95"),
)
MARBLES = (("#f2eee4", "#d9d2c2", "#9a9488"), ("#cfd6d4", "#aab4b6", "#7d898c"), ("#e3cdb8", "#c9ab90", "#8f735c"))


@dataclass(frozen=True)
class _Form:
    """What a prop is made of."""

    name: str
    body: Body
    geoms: Sequence[str]
    surfaces: dict[str, Surface]
    half: Point  # of the box about it


def prop(kind: str, entity: int, at: Point, seed: int = 0, yaw: float = 0.0) -> tuple[Entity, Body]:
    """A thing that stands at `at` on its underside (a door: on the ground below its hinge), facing along `yaw`."""
    if kind not in KINDS:
        raise ValueError(f"expected a prop out of {', '.join(KINDS)}, got {kind!r}")
    return seen(kind, _form(kind, seed, entity, at, yaw), seed)


def door(
    entity: int, at: Point, seed: int = 0, yaw: float = 0.0, width: float = 0.9, height: float = 2.0
) -> tuple[Entity, Body]:
    """A door of this size; as `prop` otherwise."""
    return seen("door", _door(entity, at, yaw, _rng("door", seed), width, height), seed)


def seen(kind: str, form: _Form, seed: int) -> tuple[Entity, Body]:
    """What is known of a prop that looks like this; its material names kind and seed, so that it can be painted."""
    patches = paint(form)
    entity = Entity(form.body.entity, kind, form.name, form.body.name, patches, attributes=colours(patches))
    named = form.body.mjcf.replace(f'material="{kind}"', f'material="{kind}:{seed}"')
    return acquaint(entity), replace(form.body, mjcf=named)


def worn(body: Body) -> Worn | None:
    """How a body looks in truth, by the kind and the seed that its material names: fitted to the size it has."""
    shape = next((geom for geom in body.main.iter("geom") if geom.get("group") == str(MOVING)), None)
    kind, _, seed = ("" if shape is None else shape.get("material", "")).partition(":")
    if shape is None or kind not in {*KINDS, *PIECES} or body.mover is not None:
        return None
    sizes = tuple(float(size) for size in shape.get("size", "").split())
    return _worn(kind, int(seed) if seed.isdecimal() else body.entity, body.name, shape.get("type", ""), sizes)


@lru_cache(maxsize=64)
def _worn(kind: str, seed: int, name: str, shape: str, sizes: tuple[float, ...]) -> Worn:
    box = {"box": sizes, "sphere": sizes * 3, "cylinder": (sizes[0], sizes[0], sizes[-1])}[shape]
    if kind == "door":
        form = _door(1, (0.0, 0.0, 0.0), 0.0, _rng(kind, seed), 2 * box[0], 2 * box[2])
    else:
        form = _form(kind, seed, 1, (0.0, 0.0, 0.0), 0.0)
    model = mujoco.MjModel.from_xml_string(_scene(form.name, form.geoms, form.surfaces, form.half).xml)
    mine = np.flatnonzero(model.geom_bodyid == model.body("prop").id)
    names = [mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_MATERIAL, model.geom_matid[g]) for g in mine]
    rot = np.empty((len(mine), 9))
    for row, g in zip(rot, mine):
        mujoco.mju_quat2Mat(row, model.geom_quat[g])
    # A thing may be of another size than the one whose looks it has.
    scale = np.array(box) / form.half if kind != "door" else np.ones(3)
    kinds, size = model.geom_type[mine].astype(np.int64), model.geom_size[mine].copy()
    for i, g in enumerate(kinds):
        if g == mujoco.mjtGeom.mjGEOM_BOX or g == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
            size[i] *= scale
        else:
            size[i, 0] *= scale[0]
            size[i, 1] *= scale[2]
    surfaces = tuple(form.surfaces[material] for material in names)
    return Worn(name, kinds, size, model.geom_pos[mine] * scale, rot.reshape(-1, 3, 3), surfaces)


def _form(kind: str, seed: int, entity: int, at: Point, yaw: float) -> _Form:
    return {**KINDS, **PIECES}[kind](entity, at, yaw, _rng(kind, seed))


def _rng(kind: str, seed: int) -> np.random.Generator:
    of = "urn" if kind == "shard" else kind  # a shard has the glaze of the urn of its seed
    return np.random.default_rng([5, *of.encode(), seed])


def paint(form: _Form) -> tuple[Patch, ...]:
    """Looks from all sides, in the frame of the body; kept, for what is small is given out again and again."""
    return _painted(form.name, tuple(form.geoms), tuple(form.surfaces.items()), form.half)


@lru_cache(maxsize=64)
def _painted(
    name: str, geoms: tuple[str, ...], surfaces: tuple[tuple[str, Surface], ...], half: Point
) -> tuple[Patch, ...]:
    scene = _scene(name, geoms, dict(surfaces), half)
    model = mujoco.MjModel.from_xml_string(scene.xml)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    painter = Painter(scene, model)
    radius = float(np.linalg.norm(half))
    side = int(np.clip(2 * radius * DENSITY, LEAST, MOST))
    degrees = float(np.degrees(2 * np.arcsin(1.06 / AWAY)))
    lens = Intrinsics.from_fov(side, side, degrees)
    out: list[Patch] = []
    for way in SIDES / np.linalg.norm(SIDES, axis=1)[:, None]:
        yaw = float(np.arctan2(-way[1], -way[0])) if abs(way[2]) < 1 else 0.0
        camera = look(AWAY * radius * way, yaw, float(np.arcsin(-way[2])))
        picture = painter.paint(data, camera, lens.scaled(FINE * side, FINE * side))
        rgb, depth, mask = _coarse(picture.rgb, picture.depth, picture.entity == 1)
        patch = cut_patch(rgb, depth, mask.astype(np.uint8), 1, camera, np.eye(4), lens)
        if patch is not None:
            out.append(patch)
    return tuple(out)


def _coarse(
    rgb: NDArray[np.uint8], depth: NDArray[np.float32], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]:
    """Means over FINE x FINE pixels of what is the prop's own: nothing of what lay behind gets into its rim."""
    inner = mask.copy()
    for axis in (0, 1):
        for step in (1, -1):
            inner &= np.roll(mask, step, axis)
    size = len(mask) // FINE

    def sums(values: NDArray) -> NDArray:
        return values.reshape(size, FINE, size, FINE, *values.shape[2:]).sum((1, 3))

    weight = 1e-3 * mask + inner
    total = np.maximum(sums(weight), 1e-9)
    colour = sums(rgb * weight[..., None]) / total[..., None]
    far = sums(depth * mask.astype(np.float64)) / np.maximum(sums(mask.astype(np.float64)), 1e-9)
    return np.rint(colour).astype(np.uint8), far.astype(np.float32), sums(mask.astype(int)) * 2 > FINE * FINE


def _scene(name: str, geoms: Sequence[str], surfaces: Mapping[str, Surface], half: Point) -> Scene:
    """The prop alone, far above a ground that nothing of it falls on."""
    blocks = Blocks()
    blocks.surface("ground", plain("#777777"))
    blocks.geom("plane", "ground", (0, 0, -50.0), (1.0, 1.0, 1.0))
    for material, surface in surfaces.items():
        blocks.surface(material, replace(surface, anchored=True))
    mover = Mover(0, "prop")
    blocks.creature(name, mover, [f'<body name="prop" mocap="true">{"".join(geoms)}</body>'])
    reach = max(half) + 0.6
    return blocks.finish("prop", 0, LIGHT, (0.0, 0.0, 0.0), (reach, reach, reach), name)


# What there is. A form's box is no larger than what physics collides.


def _crate(entity: int, at: Point, yaw: float, rng: np.random.Generator) -> _Form:
    """Boards in a frame of beams, with corners of metal."""
    h = float(rng.choice([0.20, 0.23, 0.26]))
    wood, beam, metal = _pick(rng, WOODS), _pick(rng, WOODS), _pick(rng, METALS)
    surfaces = {
        "boards": Surface("plank", wood, 0.45, _seed(rng)),
        "beam": Surface("plaster", (beam[1], beam[0], beam[2]), 0.3, _seed(rng)),
        "metal": plain(metal, gloss=0.5),
    }
    b = 0.12 * h
    inner, edge = h - 0.35 * b, h - b
    geoms = [_box("boards", (0, 0, 0), (inner, inner, inner))]
    for s in (1, -1):
        for t in (1, -1):
            geoms += [
                _box("beam", (0, s * edge, t * edge), (h, b, b)),
                _box("beam", (s * edge, 0, t * edge), (b, h, b)),
                _box("beam", (s * edge, t * edge, 0), (b, b, h)),
            ]
            for u in (1, -1):
                c = h - 1.3 * b
                geoms.append(_geom("box", "metal", (s * c, t * c, u * c), (1.32 * b, 1.32 * b, 1.32 * b)))
    body = bodies.crate(entity, at, (2 * h, 2 * h, 2 * h), mass=round(64 * 8 * h**3, 1), yaw=yaw)
    return _Form("crate", body, geoms, surfaces, (h, h, h))


def _ball(entity: int, at: Point, yaw: float, rng: np.random.Generator) -> _Form:
    """Striped, with a button at either pole."""
    r = float(rng.choice([0.13, 0.15, 0.18]))
    a, b = rng.permutation(len(PAINTS))[:2]
    surfaces = {
        "skin": Surface("stripe", (PAINTS[a], "#f4ead6", PAINTS[b]), 0.62 * r, _seed(rng), gloss=0.35),
        "button": plain("#f4ead6", gloss=0.35),
    }
    geoms = [_geom("sphere", "skin", (0, 0, 0), (r,))]
    return _Form("ball", bodies.ball(entity, at, r, mass=round(150 * r**3, 2)), geoms, surfaces, (r, r, r))


def _plank(entity: int, at: Point, yaw: float, rng: np.random.Generator) -> _Form:
    """A board with iron about its ends."""
    length = float(rng.choice([1.4, 1.6, 1.8]))
    surfaces = {"board": Surface("plank", _pick(rng, WOODS), 0.4, _seed(rng)), "iron": plain("#3a3a42", gloss=0.4)}
    geoms = [_box("board", (0, 0, 0), (0.5 * length, 0.099, 0.0195))]
    geoms += [_box("iron", (s * (0.5 * length - 0.07), 0, 0), (0.03, 0.1, 0.02)) for s in (1, -1)]
    body = bodies.plank(entity, at, length, mass=round(3 * length, 1), yaw=yaw)
    return _Form("plank", body, geoms, surfaces, (0.5 * length, 0.1, 0.02))


def _urn(entity: int, at: Point, yaw: float, rng: np.random.Generator) -> _Form:
    """A glazed pot with a foot, a banded belly, a neck and two handles."""
    glaze, band, foot = _pick(rng, GLAZES)
    h, r = float(rng.uniform(0.22, 0.28)), float(rng.uniform(0.15, 0.18))
    surfaces = {
        "glaze": plain(glaze, gloss=0.45),
        "band": Surface("stripe", (band, band, glaze), 0.07, _seed(rng), gloss=0.4),
        "foot": plain(foot, gloss=0.4),
        "dark": plain("#1c1815"),
    }
    belly = -0.12 * h
    geoms = [
        _geom("cylinder", "foot", (0, 0, -0.93 * h), (0.55 * r, 0.07 * h)),
        _geom("ellipsoid", "glaze", (0, 0, belly), (0.97 * r, 0.97 * r, 0.78 * h)),
        _geom("cylinder", "band", (0, 0, belly), (0.985 * r, 0.13 * h)),
        _geom("cylinder", "foot", (0, 0, belly + 0.15 * h), (0.99 * r, 0.02 * h)),
        _geom("cylinder", "foot", (0, 0, belly - 0.15 * h), (0.99 * r, 0.02 * h)),
        _geom("cylinder", "glaze", (0, 0, 0.72 * h), (0.42 * r, 0.22 * h)),
        _geom("cylinder", "foot", (0, 0, 0.95 * h), (0.58 * r, 0.05 * h)),
        _geom("cylinder", "dark", (0, 0, 0.955 * h), (0.44 * r, 0.05 * h)),
    ]
    for s in (1, -1):
        out = (0, s * 0.92 * r, 0.62 * h)
        geoms.append(limb("foot", (0, s * 0.45 * r, 0.8 * h), out, 0.07 * r))
        geoms.append(limb("foot", out, (0, s * 0.8 * r, 0.3 * h), 0.07 * r))
    return _Form("urn", bodies.urn(entity, at, 2 * h, r, mass=6.0, yaw=yaw), geoms, surfaces, (r, r, h))


def _statue(entity: int, at: Point, yaw: float, rng: np.random.Generator) -> _Form:
    """A bust on a pedestal."""
    stone = _pick(rng, MARBLES)
    figure = plain(str(rng.choice(["#5f8a78", "#8a6a3e", "#e8e2d4", "#4a4f58"])), gloss=0.4)
    surfaces = {
        "stone": Surface("marble", stone, 0.7, _seed(rng), gloss=0.1),
        "edge": plain(stone[1]),
        "figure": figure,
        "plate": plain("#c79a3e", gloss=0.6),
    }
    geoms = [
        _box("edge", (0, 0, -0.56), (0.25, 0.25, 0.04)),
        _box("stone", (0, 0, -0.26), (0.2, 0.2, 0.27)),
        _box("edge", (0, 0, 0.03), (0.24, 0.24, 0.03)),
        _box("plate", (0.2, 0, -0.22), (0.006, 0.1, 0.06)),
        _geom("cylinder", "edge", (0, 0, 0.09), (0.1, 0.04)),
        _geom("ellipsoid", "figure", (0, 0, 0.2), (0.13, 0.22, 0.12)),
        _geom("cylinder", "figure", (0, 0, 0.32), (0.06, 0.07)),
        _geom("ellipsoid", "figure", (0.01, 0, 0.45), (0.105, 0.09, 0.13)),
        _geom("ellipsoid", "figure", (0.11, 0, 0.435), (0.025, 0.02, 0.04)),
        _geom("ellipsoid", "figure", (-0.025, 0, 0.5), (0.105, 0.1, 0.1)),
    ]
    body = bodies.statue(entity, at, (0.5, 0.5, 1.2), yaw=yaw)
    return _Form("statue", body, geoms, surfaces, (0.25, 0.25, 0.6))


def _door(
    entity: int, at: Point, yaw: float, rng: np.random.Generator, width: float = 0.9, height: float = 2.0
) -> _Form:
    """A panelled leaf with iron bands and a knob on either side; it hangs at its left."""
    wood, paint, metal = _pick(rng, WOODS), _pick(rng, PAINTS), _pick(rng, METALS)
    leaf = (paint, paint, "#2a211a") if rng.random() < 0.4 else wood
    surfaces = {
        "panel": Surface("panel", leaf, 1.0, _seed(rng)),
        "stile": Surface("plaster", (leaf[1], leaf[0], leaf[2]), 0.4, _seed(rng)),
        "metal": plain(metal, gloss=0.6),
    }
    w, h, t = 0.5 * width, 0.5 * height, 0.02
    geoms = [_box("panel", (0, 0, z * h), (w, 0.012, (1 - abs(z)) * h)) for z in (0.47, -0.53)]
    for s in (1, -1):
        geoms.append(_box("stile", (s * (w - 0.05), 0, 0), (0.05, t, h)))
        geoms.append(_box("stile", (0, 0, s * (h - 0.06)), (w, t, 0.06)))
        geoms.append(_box("metal", (-w + 0.2 * width, 0, s * 0.9 * h), (0.2 * width, t + 0.004, 0.025)))
        geoms.append(_geom("cylinder", "metal", (w - 0.05, 0, -0.06), (0.03, t + 0.004)))
        geoms.append(_geom("sphere", "metal", (w - 0.06, s * 0.055, -0.06), (0.04,)))
    geoms.append(_box("stile", (0, 0, -0.06), (w, t, 0.06)))
    body = bodies.door(entity, at, yaw, width, height, frame=None)
    return _Form("door", body, geoms, surfaces, (w, 0.05, h))


def _shard(entity: int, at: Point, yaw: float, rng: np.random.Generator) -> _Form:
    """A piece of an urn: its glaze on one side, its clay on the other, a rest of its band across."""
    glaze, band, foot = _pick(rng, GLAZES)
    w, t, h = 0.075, 0.012, 0.065
    surfaces = {"glaze": plain(glaze, gloss=0.45), "clay": plain(foot), "band": plain(band, gloss=0.4)}
    geoms = [
        _box("glaze", (0, -0.5 * t, 0), (w, 0.5 * t, h)),
        _box("clay", (0, 0.5 * t, 0), (w, 0.5 * t, h)),
        _box("band", (0, -0.51 * t, 0.3 * h), (w, 0.49 * t, 0.22 * h)),
    ]
    body = bodies.shard(entity, at, (2 * w, 2 * t, 2 * h), yaw=yaw)
    return _Form("shard", body, geoms, surfaces, (w, t, h))


KINDS: dict[str, Callable[[int, Point, float, np.random.Generator], _Form]] = {
    "crate": _crate,
    "ball": _ball,
    "plank": _plank,
    "urn": _urn,
    "statue": _statue,
    "door": _door,
}

PIECES = {"shard": _shard}
"""Of what broke: not to be had by themselves, but painted where they are."""


def _pick(rng: np.random.Generator, choices: Sequence) -> ...:
    return choices[int(rng.integers(len(choices)))]


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 16))


def _geom(kind: str, material: str, pos: Point, size: tuple[float, ...]) -> str:
    return geom(kind, material, pos, size, turned(0.0), MOVING)


def _box(material: str, pos: Point, half: Point) -> str:
    return _geom("box", material, pos, half)
