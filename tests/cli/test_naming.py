"""How worlds, forks and points in time are named."""

from pathlib import Path

import pytest

from perdure.cli.naming import folder_of, open_point, open_store
from perdure.world.store import Store


@pytest.mark.parametrize(
    ("named", "branch", "step", "event"),
    [
        ("yard", "main", None, None),
        ("yard/", "main", None, None),
        ("yard/left", "left", None, None),
        ("yard@4", "main", 4, None),
        ("yard/left@4", "left", 4, None),
        ("yard@e12", "main", None, 12),
        ("yard/left@e12", "left", None, 12),
        ("yard/main@10", "main@10", None, None),  # what was left by going back, and not step 10 of main
        ("yard/main@10@4", "main@10", 4, None),
        ("yard/main@4", "main", 4, None),
    ],
)
def test_a_name_is_a_point_in_time(yard: Path, named: str, branch: str, step: int | None, event: int | None) -> None:
    store, world = open_point(named)
    with store:
        if event is not None:
            expected = store.world_at_event(event, branch)
        else:
            expected = store.world(branch) if step is None else store.world_at(step, branch)
    assert (world.branch, world.state, world.head) == (branch, expected.state, expected.head)


def test_a_point_may_be_said_apart(yard: Path) -> None:
    for options in ({"step": 4}, {"event": 12}):
        store, world = open_point("yard/left", **options)
        with store:
            assert world.state == open_point("yard/left@4" if "step" in options else "yard/left@e12")[1].state


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("yard@", "garden@120"),
        ("yard@x", "garden@120"),
        ("yard@-3", "garden@120"),
        ("yard@99", "a step in 0..9"),
        ("yard@e999", "an event in 0"),
        ("yard/nobody@3", "no branch 'nobody'"),
        ("nowhere@3", "no world at"),
        ("../yard", "letters, digits"),
        ("", "letters, digits"),
    ],
)
def test_what_is_no_point_in_time_is_told(yard: Path, named: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        open_point(named)
    Store.open(yard).close()  # nothing is held


def test_a_world_is_not_a_fork_nor_a_point_in_time(yard: Path) -> None:
    assert folder_of("yard") == yard
    for named in ("yard/left", "yard@3"):
        with pytest.raises(ValueError, match="say yard"):
            folder_of(named)
    with pytest.raises(ValueError, match="point in time"):
        open_store("yard@3")
    with pytest.raises(ValueError, match="got both"):
        open_point("yard", 3, 4)
    with pytest.raises(ValueError, match="one point in time"):
        open_point("yard@3", event=4)
