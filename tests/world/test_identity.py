"""Entities come back as they were stored, also those of the first release, and are edited field by field."""

import hashlib
from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.camera import Intrinsics
from perdure.world.bank import Look, kept
from perdure.world.identity import LENGTH, UNKNOWN, WORDS, Entity, Patch, Seen, field_bytes, stranger
from tests.world import yard


def entity(name: str = "the red knight", seed: int = 1) -> Entity:
    patch = Patch(np.eye(4), yard.SMALL, *yard.picture(0, seed))
    return Entity(4, "creature", name, "knight", (patch, patch))


def look(seed: int, step: int = 3, azimuth: int = 10) -> Look:
    code = np.random.default_rng(seed).standard_normal(6).astype("<f2").tobytes()
    return Look("plain", code, azimuth, 5, 6, step)


def full(seed: int = 1) -> Entity:
    """One that has everything."""
    return replace(
        entity(seed=seed),
        aliases=("Ser Bo",),
        merged=(9, 12),
        attributes=("red", "tall"),
        tags=("guard",),
        parts=("head", "arm"),
        exemplar=look(1),
        bank=kept([look(1), look(2, 5), look(3, 4, 200)]),
        seen=Seen((1.0, 2.0, 0.5), 3.25, 2.0),
    )


def same(one: Entity, two: Entity) -> None:
    for field in fields(Entity):
        if field.name != "patches":
            assert getattr(one, field.name) == getattr(two, field.name)
    for a, b in zip(one.patches, two.patches, strict=True):
        assert a.intrinsics == b.intrinsics
        for name in ("pose", "rgb", "depth", "mask"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("one", [entity(), full(), Entity(0, "player", "you", "player")])
def test_bytes_round_trip(one: Entity) -> None:
    two = Entity.from_bytes(one.to_bytes(), one.digest)
    same(one, two)
    assert two.digest == one.digest
    assert two.to_bytes() == one.to_bytes()
    assert hashlib.sha256(one.to_bytes()).digest() == one.digest == Entity.from_bytes(one.to_bytes()).digest


def test_an_entity_of_the_first_release_is_read_and_written_as_it_was() -> None:
    one = entity()
    looks = [
        (p.pose.tobytes(), p.intrinsics, p.rgb.tobytes(), p.depth.tobytes(), p.mask.tobytes()) for p in one.patches
    ]
    first = msgspec.msgpack.encode((4, "creature", "the red knight", "knight", looks))
    read = Entity.from_bytes(first, b"its own digest")
    same(read, one)
    assert read.digest == b"its own digest"
    assert read.to_bytes() == first


def test_a_row_may_stop_early() -> None:
    """So that what later releases add at the end changes nothing for those that lack it."""
    one = replace(entity(), aliases=("Bo",))
    row = msgspec.msgpack.decode(one.to_bytes())
    assert len(row) == 6
    same(Entity.from_bytes(msgspec.msgpack.encode([*row, [], [], []])), one)


def test_whole_numbers_given_for_fractions_come_back_as_the_same_entity() -> None:
    rgb, depth, mask = yard.picture(0, 1)
    whole = Intrinsics(yard.SMALL.width, yard.SMALL.height, 10, 10, 8, 6)
    one = Entity(1, "creature", "n", "b", (Patch(np.eye(4), whole, rgb, depth, mask),))
    assert Entity.from_bytes(one.to_bytes(), one.digest).digest == one.digest


def test_the_digest_sees_every_field() -> None:
    assert len({entity().digest, entity("the blue knight").digest, entity(seed=2).digest}) == 3
    assert entity().digest == entity().digest
    assert full().digest == full().digest
    empty = entity()
    digests = [full().digest]
    for name in ("aliases", "merged", "attributes", "tags", "parts", "exemplar", "bank", "seen"):
        digests.append(replace(full(), **{name: getattr(empty, name)}).digest)
    assert len(set(digests)) == 9


EDITABLE = ("kind", "name", "body", "patches", "aliases", "merged", "attributes", "tags", "parts", "bank", "seen")


@pytest.mark.parametrize("name", EDITABLE)
def test_a_field_written_over_and_back_restores_the_entity(name: str) -> None:
    one, other = full(), full(seed=8)
    other = replace(
        other, kind="statue", name="Ada", body="ada", aliases=("a",), merged=(3,), attributes=("b",), tags=("c",),
        parts=("d",), bank=kept([look(7)]), seen=Seen((0.0, 0.0, 0.0), 0.0, 1.0),
    )  # fmt: skip
    value = other.field(name)
    assert value == field_bytes(name, getattr(other, name))
    changed = one.with_field(name, value)
    assert changed.field(name) == value
    assert changed.digest not in (one.digest, other.digest)
    assert changed.with_field(name, one.field(name)).digest == one.digest
    if name != "name":
        emptied = one.with_field(name, None)
        assert emptied.field(name) is None
        assert emptied.with_field(name, one.field(name)).digest == one.digest


def test_the_exemplar_never_changes() -> None:
    one = full()
    assert msgspec.msgpack.decode(one.field("exemplar") or b"", type=Look) == one.exemplar
    for value in (None, one.field("exemplar"), msgspec.msgpack.encode(look(5))):
        with pytest.raises(ValueError, match="exemplar of entity 4 never changes"):
            one.with_field("exemplar", value)


@given(st.sampled_from(EDITABLE), st.binary(max_size=40))
def test_a_field_takes_only_what_it_would_give(name: str, value: bytes) -> None:
    """Else an edit would find that the slot no longer holds what it wrote."""
    try:
        changed = full().with_field(name, value)
    except ValueError:
        return
    assert changed.field(name) == value


def test_a_bank_that_is_out_of_order_is_refused() -> None:
    bank = full().bank
    for wrong in (bank[::-1], bank + bank[:1]):
        with pytest.raises(ValueError, match=r"bank.kept"):
            full().with_field("bank", msgspec.msgpack.encode(wrong))


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="expected a field of an entity out of"):
        full().field("colour")
    with pytest.raises(ValueError, match="to have a name"):
        full().with_field("name", None)
    with pytest.raises(ValueError, match="at most"):
        replace(full(), tags=("x",) * (WORDS + 1))
    with pytest.raises(ValueError, match="characters"):
        replace(full(), name="x" * (LENGTH + 1))
    with pytest.raises(ValueError, match="expected an entity in bytes"):
        Entity.from_bytes(b"\x93\x01\x02\x03")
    with pytest.raises(ValueError, match="0 or more"):
        replace(full(), id=-1)


def test_strangers_are_not_known_until_they_have_a_name() -> None:
    assert full().known
    one = replace(full(), kind=UNKNOWN, name=stranger(4))
    assert not one.known
    assert one.with_field("name", b"Ada").known
