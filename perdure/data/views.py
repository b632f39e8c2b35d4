"""Views: through whose eyes a world is seen, or over whose shoulder, and the body that the player then has.

    first     the player's own eyes
    third     a camera that follows a body on two legs
    animal    eyes half a metre above the ground; with an avatar, a camera that follows a beast
    vehicle   a camera that follows a cart, which is fast and turns only as it rolls

The player's body is a creature of entity 0 that goes where the player goes (`world/troupe.py`).
"""

import re
from dataclasses import replace
from xml.etree import ElementTree

from perdure.data.scenes import creatures
from perdure.data.scenes.scene import Scene
from perdure.world.action import Rates
from perdure.world.follow import CART, ON_FOOT, QUADRUPED, Mount
from perdure.world.state import World

VIEWS = ("first", "third", "animal", "vehicle")
AVATARS = {"third": "knight", "vehicle": "cart"}
"""Who one is where nobody else was asked for."""

BIPEDS = ("knight", "mage")
LOW = 0.5  # metres: an animal's eye
BROAD = {"cart": 0.5, "strider": 0.45, "golem": 0.45}
"""Metres: half as wide as the player then is to walls."""

HARDY = 4.0  # the health of a player's own body, so that it outlives a clip
WHEELS = {"walk": 3.6, "turn": 1.4}
"""Metres and radians a second that a cart goes and turns."""


def embodied(scene: Scene, view: str, avatar: str, seed: int, rates: Rates) -> tuple[Scene, Mount | None, Rates]:
    """The scene with the player's body in it, how the camera follows that, and how fast it goes."""
    if view not in VIEWS:
        raise ValueError(f"expected a view out of {', '.join(VIEWS)}, got {view!r}")
    avatar = "knight" if avatar == "biped" else avatar or AVATARS.get(view, "")
    if view == "first" and avatar:
        raise ValueError(f"expected no avatar in first person, where it is not seen, got {avatar!r}")
    if (view == "vehicle") != (avatar == "cart") or (view == "animal" and avatar in BIPEDS):
        raise ValueError(f"expected another avatar for the view {view!r}: a cart is a vehicle, got {avatar!r}")
    if view == "first":
        return scene, None, rates
    if not avatar:
        return replace(scene, xml=_eye(scene.xml, LOW)), None, rates
    if view == "vehicle":
        rates = replace(rates, **WHEELS)
    return _with_body(scene, avatar, seed), _mount(view, avatar, seed), rates


def view_of(world: World) -> str:
    """Through whose eyes a world is seen."""
    mechanism = world.physics.mechanism
    if mechanism.mount is None:
        return "animal" if mechanism.compiled.eye < 1.0 else "first"
    if mechanism.mount.rolls:
        return "vehicle"
    return "third" if any(m.entity == 0 and m.kind in BIPEDS for m in mechanism.creatures) else "animal"


def _mount(view: str, avatar: str, seed: int) -> Mount:
    if view == "vehicle":
        return CART
    if view == "third":
        return replace(ON_FOOT, distance=2.9, rise=0.4)
    tall = creatures.KINDS[avatar].height * creatures.figure(avatar, seed).scale
    return replace(QUADRUPED, middle=0.5 * tall, height=0.8 * tall, distance=1.2 + 1.1 * tall, rise=0.2 + 0.2 * tall)


def _with_body(scene: Scene, avatar: str, seed: int) -> Scene:
    mover, bodies = creatures.built(avatar, seed, 0, "avatar", scene.spawn[:2], 1.0)
    mover = replace(mover, health=HARDY)
    root = ElementTree.fromstring(scene.xml)
    stage, assets = root.find("worldbody"), root.find("asset")
    assert stage is not None and assets is not None
    stage.extend(ElementTree.fromstring(f"<all>{''.join(bodies)}</all>"))
    surfaces = dict(scene.surfaces)
    for material, surface in creatures.surfaces(avatar, seed).items():
        if material not in surfaces:
            surfaces[material] = surface
            ElementTree.SubElement(assets, "material", name=material)
    for geom in root.iter("geom"):
        if geom.get("name") == "player" and avatar in BROAD:
            radius, half = (float(size) for size in geom.attrib["size"].split())
            geom.set("size", f"{BROAD[avatar]:.5g} {radius + half - BROAD[avatar]:.5g}")  # as tall as it was
    xml = ElementTree.tostring(root, "unicode")
    movers, names = (*scene.movers, mover), {**scene.names, 0: "you"}
    return replace(scene, xml=xml, movers=movers, names=names, surfaces=surfaces)


def _eye(xml: str, height: float) -> str:
    """The scene with the player's eye so high."""
    low, count = re.subn(r'(<site name="eye" pos="\S+ \S+ )[^"]+"', rf'\g<1>{height}"', xml)
    if count != 1:
        raise ValueError(f"expected one site 'eye' in the scene's XML, got {count}")
    return low
