"""Casting: a scene with other creatures in it, each at a place of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from xml.etree import ElementTree

from perdure.data.ground import Point
from perdure.data.scenes import creatures
from perdure.data.scenes.scene import Scene

ROAM = 3.0  # metres about its home that a creature wanders


@dataclass(frozen=True)
class Part:
    """Who plays: a kind of creature, and the seed of its looks."""

    kind: str
    seed: int

    @property
    def name(self) -> str:
        return creatures.name(self.kind, self.seed)


def recast(scene: Scene, cast: Sequence[Part], homes: Sequence[Point], grounds: Sequence[float] = ()) -> Scene:
    """The same scene with these creatures in place of its own; entity ids from 1. `grounds` are the heights of the
    floors at their homes; 0 unless said."""
    if len(cast) != len(homes):
        raise ValueError(f"expected a home for each creature, got {len(homes)} for {len(cast)}")
    root = ElementTree.fromstring(scene.xml)
    stage, assets = root.find("worldbody"), root.find("asset")
    assert stage is not None and assets is not None
    gone = {name for mover in scene.movers for name in mover.bodies}
    for body in [body for body in stage.findall("body") if body.get("name") in gone]:
        stage.remove(body)
    movers, names, surfaces = [], {}, dict(scene.surfaces)
    places = zip(cast, homes, grounds or [0.0] * len(homes), strict=True)
    for entity, (part, home, ground) in enumerate(places, 1):
        label = f"creature{entity - 1}"
        mover, bodies = creatures.built(part.kind, part.seed, entity, label, home, ROAM, ground)
        movers.append(mover)
        names[entity] = part.name
        stage.extend(ElementTree.fromstring(f"<all>{''.join(bodies)}</all>"))
        for material, surface in creatures.surfaces(part.kind, part.seed).items():
            if material not in surfaces:
                surfaces[material] = surface
                ElementTree.SubElement(assets, "material", name=material)
    xml = ElementTree.tostring(root, "unicode")
    return replace(scene, xml=xml, movers=tuple(movers), names=names, surfaces=surfaces)
