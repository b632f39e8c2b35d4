"""What `perdure bench physics` measures is what it says, and it would tell a replay that differs."""

from perdure.bench import physics
from perdure.world.physics import Physics


def test_a_short_run_says_what_it_found():
    found = physics.run(chunks=24, puts=3)
    assert found["things"] == physics.THINGS
    assert found["replay_bitwise"] is True
    assert found["restore_bitwise"] is True
    assert found["left_a_trace"] == [] and found["passed"]
    assert found["restored"] >= 2 * (physics.THINGS + 2)
    assert 0 < found["ticks_per_s"] < found["bare_ticks_per_s"] * 2
    assert found["add_body_ms"] > 0


def test_a_replay_that_differs_is_told(monkeypatch):
    monkeypatch.setattr(physics, "replayed", lambda *_: "something else")
    true = Physics.with_body

    def careless(self: Physics, entity: int, payload: bytes | None) -> Physics:
        done = true(self, entity, payload)
        if payload is None and entity == physics.FIRST:
            held = done.pose(0)
            assert held is not None
            done = done.advance(physics.Action())[0]
        return done

    monkeypatch.setattr(Physics, "with_body", careless)
    found = physics.run(chunks=8, puts=1)
    assert found["replay_bitwise"] is False
    assert found["restore_bitwise"] is False and not found["passed"]
    assert found["left_a_trace"] == [f"entity {physics.FIRST}, taken out and put back"]
