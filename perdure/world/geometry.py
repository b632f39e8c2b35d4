"""G, the geometry: keyframes in the order in which they were seen, splats, and anchors by name.

Worlds share what they have in common. Shapes: see `keyframe.py`.
"""

from dataclasses import dataclass, replace

from perdure.world.anchor import Anchor
from perdure.world.keyframe import MILLIMETRES, SAMPLES, Keyframe
from perdure.world.seen import Seen
from perdure.world.splats import Splats

__all__ = ["MILLIMETRES", "SAMPLES", "Geometry", "Keyframe"]


def news(keyframe: Keyframe, seen: Seen) -> Keyframe:
    """A keyframe without the pixels that show what is covered well from there already."""
    flat, points = keyframe.points()
    full = seen.full(points, keyframe.pose[:3, 3])
    if not full.any():
        return keyframe
    mask = keyframe.mask.copy()
    mask.reshape(-1)[flat[full]] = False
    return keyframe.masked(mask)


@dataclass(frozen=True, eq=False)
class Geometry:
    keyframes: tuple[Keyframe, ...] = ()
    splats: Splats = Splats()
    anchors: tuple[Anchor, ...] = ()
    _sorted: tuple[tuple[Keyframe, ...], Seen] | None = None  # what `seen` gives, and of which keyframes

    @property
    def seen(self) -> Seen:
        """Which keyframes show what; made when it is first asked for, and then carried on."""
        if self._sorted is None or self._sorted[0] is not self.keyframes:
            seen = Seen.of([(keyframe.surface[0], keyframe.pose[:3, 3]) for keyframe in self.keyframes])
            object.__setattr__(self, "_sorted", (self.keyframes, seen))
        assert self._sorted is not None
        return self._sorted[1]

    def append(self, *keyframes: Keyframe) -> "Geometry":
        """With what of these shows a place from where it was not yet seen often enough."""
        grown = self
        for keyframe in keyframes:
            new = news(keyframe, grown.seen)
            if len(new.surface[0]):
                seen = grown.seen.add(len(grown.keyframes), new.surface[0], new.pose[:3, 3])
                more = (*grown.keyframes, new)
                grown = replace(grown, keyframes=more, _sorted=(more, seen))
        return grown

    def anchor(self, name: str) -> Anchor | None:
        return next((anchor for anchor in self.anchors if anchor.name == name), None)

    def with_anchor(self, name: str, anchor: Anchor | None) -> "Geometry":
        """With this anchor under its name, or with none."""
        if anchor is not None and anchor.name != name:
            raise ValueError(f"expected an anchor named {name!r}, got one named {anchor.name!r}")
        anchors = {held.name: held for held in self.anchors if held.name != name}
        if anchor is not None:
            anchors[name] = anchor
        return replace(self, anchors=tuple(anchors[name] for name in sorted(anchors)))

    @property
    def pages(self) -> tuple[bytes, ...]:
        """Digests of the keyframes."""
        return tuple(keyframe.digest for keyframe in self.keyframes)
