import numpy as np

from perdure.camera import Intrinsics
from perdure.world.identity import Entity, Patch
from tests.world import yard


def entity(name: str = "the red knight", seed: int = 1) -> Entity:
    patch = Patch(np.eye(4), yard.SMALL, *yard.picture(0, seed))
    return Entity(4, "creature", name, "knight", (patch, patch))


def test_bytes_round_trip():
    one = entity()
    two = Entity.from_bytes(one.to_bytes(), one.digest)
    assert (two.id, two.kind, two.name, two.body, two.digest) == (one.id, one.kind, one.name, one.body, one.digest)
    for a, b in zip(one.patches, two.patches, strict=True):
        assert a.intrinsics == b.intrinsics
        for name in ("pose", "rgb", "depth", "mask"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert two.to_bytes() == one.to_bytes()


def test_whole_numbers_given_for_fractions_come_back_as_the_same_entity():
    rgb, depth, mask = yard.picture(0, 1)
    whole = Intrinsics(yard.SMALL.width, yard.SMALL.height, 10, 10, 8, 6)
    one = Entity(1, "creature", "n", "b", (Patch(np.eye(4), whole, rgb, depth, mask),))
    assert Entity.from_bytes(one.to_bytes(), one.digest).digest == one.digest


def test_the_digest_sees_name_and_look():
    assert len({entity().digest, entity("the blue knight").digest, entity(seed=2).digest}) == 3
    assert entity().digest == entity().digest
