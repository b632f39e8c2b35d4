import hashlib
import threading

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.world.action import Action
from perdure.world.history import GENESIS, LATENT, Event, History, Memory
from perdure.world.index import Index
from tests.world import yard


def memory(step: int, latent: float = 0.0, action: Action | None = None) -> Memory:
    pose = np.eye(4)
    pose[0, 3] = step
    return Memory.of(step, np.full(LATENT, latent, np.float16), pose, yard.SMALL, action or Action())


def event(seq: int, kind: str = "tick") -> Event:
    return Event(seq, seq / 24, "engine", kind, (1, 2), {"b": 1, "a": 0.5})


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), max_size=40))
def test_any_tree_of_appends_is_as_if_each_value_were_alone(moves: list[tuple[int, int]]):
    """Against plain tuples: each value keeps its own past, whoever it shares a tape with."""
    values: list[History] = [History()]
    plain: list[tuple[tuple[Memory, ...], tuple[Event, ...]]] = [((), ())]
    for pick, count in moves:
        base = pick % len(values)
        new = [memory(len(plain)) for _ in range(count)]
        said = [event(len(plain), str(len(plain)))]
        values.append(values[base].append(new, said))
        plain.append((plain[base][0] + tuple(new), plain[base][1] + tuple(said)))
    for value, (memories, events) in zip(values, plain):
        assert tuple(value.memories) == memories
        assert tuple(value.events) == events
        trail = Index()
        for number, one in enumerate(memories):
            trail = trail.add(number, one.pose)
        assert value.trail.to_bytes() == trail.to_bytes()
        head = GENESIS
        for one in events:
            head = hashlib.sha256(head + one.to_bytes()).digest()
        assert value.head == head


def test_growing_copies_nothing_and_divergence_does():
    base = History().append([memory(1)], [event(0)])
    one = base.append([memory(2)], [event(1)])
    assert one.memories._items is base.memories._items
    two = base.append([memory(2)], [event(1, "other")])
    assert two.memories._items is not base.memories._items
    assert one.head != two.head
    assert (len(base), len(one), len(two)) == (1, 2, 2)


def test_two_threads_that_append_to_one_value_part():
    base = History().append([memory(0)], [event(0)])
    out: list[History] = []
    barrier = threading.Barrier(2)

    def grow(kind: str) -> None:
        value = base
        barrier.wait()
        for i in range(1, 200):
            value = value.append([memory(i)], [event(i, kind)])
        out.append(value)

    threads = [threading.Thread(target=grow, args=(kind,)) for kind in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for value in out:
        assert len({e.kind for e in value.events[1:]}) == 1
        assert len(value.events) == len(value) == 200


def test_indices_are_within_the_value_not_the_tape():
    base = History().append([memory(1), memory(2)], [])
    base.append([memory(3)], [])
    assert base.memories[-1].step == 2
    assert [m.step for m in base.memories[-5:]] == [1, 2]
    with pytest.raises(IndexError):
        base.memories[2]


def test_the_chain_sees_every_field():
    plain = event(3)
    heads = {plain.chained(GENESIS)}
    changed = {"seq": 4, "time": 1.0, "actor": "x", "kind": "x", "targets": (1,), "args": {"a": 0.5}, "seed": 1}
    changed |= {"before": "x", "after": "x", "verdict": "rejected"}
    assert set(changed) == set(Event.__struct_fields__)
    for name, value in changed.items():
        heads.add(msgspec.structs.replace(plain, **{name: value}).chained(GENESIS))
    heads.add(plain.chained(hashlib.sha256(b"another past").digest()))
    assert len(heads) == len(changed) + 2


def test_equal_events_have_equal_bytes_and_come_back_from_them():
    one, two = (Event(1, 0.1, "a", "k", args=args) for args in ({"x": 1, "y": 2.5}, {"y": 2.5, "x": 1}))
    assert one.to_bytes() == two.to_bytes()
    assert msgspec.json.decode(one.to_bytes(), type=Event) == one


def test_the_key_of_a_memory_is_all_that_its_keys_and_values_depend_on():
    assert memory(1).key == memory(2).key  # neither its place in time nor in space
    assert len({memory(1).key, memory(1, latent=0.5).key, memory(1, action=Action(1)).key}) == 3
