import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.world.body import Body
from perdure.world.deed import Curve, Deed, Stroke, at
from perdure.world.mover import Mover, Part

ARM = Part("arm", (0, 0.3, 0), (0, 1, 0), 0.5, label="arm")
FIST = Part("fist", (0, 0, -0.4), (0, 1, 0), 0.0, parent="arm", label="fist")
SLAM = Deed(
    "slam",
    ("slam", "pound"),
    1.0,
    parts={"fist": ((0, 0, 0, 0), (1, 0, 1, 0)), "arm": ((0, 0, 0, 0), (0.5, 0, -2, 0), (1, 0, 0, 0))},
    strokes=(Stroke(0.5, 0.7, 1.2, 0.6),),
)
GIANT = Mover(4, "giant", (ARM, FIST), kind="giant", deeds=(SLAM,), grip="fist")

values = st.floats(-3, 3).map(lambda value: round(value, 6))


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    shares = sorted(draw(st.sets(st.integers(0, 100), min_size=1, max_size=7)))
    return tuple((share / 100, draw(values), draw(values), draw(values)) for share in shares)


@settings(deadline=None, max_examples=60)
@given(curves(), st.floats(0, 1), st.booleans())
def test_a_curve_goes_through_its_keys_and_never_beyond_them(curve: Curve, share: float, loops: bool):
    wrapped = loops and curve[0][0] == 0 and curve[-1][0] == 1
    for key in curve:
        np.testing.assert_allclose(at(curve, key[0], loops), key[1:], atol=1e-9)
    keys = np.array(curve)[:, 1:]
    if not wrapped:
        assert (np.array(at(curve, share, loops)) <= keys.max(0) + 1e-9).all()
        assert (np.array(at(curve, share, loops)) >= keys.min(0) - 1e-9).all()


def test_along_keys_on_a_line_a_curve_is_that_line():
    line: Curve = tuple((t, 3 * t - 1, 0.0, 0.0) for t in (0.0, 0.1, 0.3, 0.8, 1.0))
    for t in np.linspace(0.1, 0.8, 15):
        assert at(line, float(t))[0] == pytest.approx(3 * t - 1)


def test_a_loop_goes_on_without_a_jolt_and_a_wheel_turns_evenly():
    swing: Curve = ((0.1, 1.0, 0, 0), (0.6, -1.0, 0, 0))
    ends = at(swing, 0.999, True)[0] - at(swing, 0.998, True)[0], at(swing, 0.002, True)[0] - at(swing, 0.001, True)[0]
    assert ends[0] == pytest.approx(ends[1], abs=1e-4) and at(swing, 0.0, True) == pytest.approx(at(swing, 1.0, True))
    wheel: Curve = ((0.0, 0.0, 0.0, 0.0), (1.0, 0.0, math.tau, 0.0))
    for t in np.linspace(0, 1, 11):
        assert at(wheel, float(t), True)[1] == pytest.approx(math.tau * t)


def test_equal_deeds_have_equal_bytes_and_are_read_back():
    backwards = replace(SLAM, parts=dict(reversed(list(SLAM.parts.items()))))
    giant = Body.from_bytes(Body(4, "<body/>", GIANT).to_bytes()).mover
    other = Body(4, "<body/>", replace(GIANT, deeds=(backwards,)))
    assert giant == GIANT
    assert hash(giant) == hash(GIANT)
    assert other.to_bytes() == Body(4, "<body/>", GIANT).to_bytes()
    assert list(backwards.parts) == ["arm", "fist"]


def test_a_creature_without_deeds_is_written_as_it_always_was():
    mover = Mover(1, "beast", (Part("leg", (0.2, 0.1, -0.1), (0, 1, 0), 0.5),), home=(-2.0, 1.0))
    said = msgspec.msgpack.decode(msgspec.msgpack.encode(mover.said()))
    assert list(said) == ["entity", "body", "parts", "speed", "stride", "hover", "bob", "home", "radius"]
    assert list(said["parts"][0]) == ["body", "pivot", "axis", "swing", "phase"]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Deed("", (), 1.0), "a name"),
        (lambda: Deed("x", (), 1.0, parts={"a": ((0.5, 0, 0, 0), (0.5, 1, 0, 0))}), "rising shares"),
        (lambda: Deed("x", (), 1.0, parts={"a": ((0, 0, 0),)}), r"1 \+ 3 finite"),
        (lambda: Deed("x", (), 1.0, pace=1.0), "to loop"),
        (lambda: Deed("x", (), 1.0, True, root=((0, 0, 0, 0, 0, 0, 0), (1, 1, 0, 0, 0, 0, 0))), "use pace"),
        (lambda: Stroke(0.5, 0.5, 1.0, 1.0), "start < end"),
        (lambda: replace(GIANT, grip="tail"), "grip"),
        (lambda: replace(GIANT, parts=(ARM,), grip=""), "moves fist"),
        (lambda: replace(GIANT, parts=(FIST, ARM)), "before its part"),
        (lambda: replace(GIANT, deeds=(SLAM, SLAM)), "different names"),
    ],
)
def test_what_makes_no_sense_is_refused(make, why):
    with pytest.raises(ValueError, match=why):
        make()
