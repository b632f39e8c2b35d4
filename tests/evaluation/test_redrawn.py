"""Redrawn clips show something, and nothing that was learnt from."""

from perdure.data.directing.schedule import direct
from perdure.data.scenes import KINDS
from perdure.evaluation.redrawn import SEED, eventful
from perdure.recipes import nano


def test_something_happens_in_a_clip_of_each_kind_that_no_recipe_learns_from():
    assert nano.SEED != SEED
    for turn, kind in enumerate(KINDS):
        direction = direct(eventful(kind, 8.0, turn))
        assert direction.scene == kind and direction.cast and direction.view == "first"
        assert any(at < 6.0 for at, _ in direction.events)
