import hashlib

import numpy as np
import pytest

from perdure.camera import look
from perdure.world.anchor import Anchor
from perdure.world.geometry import Geometry

GATE = Anchor("the gate", look(np.array([1.0, 2, 3]), 0.4, 0.1), "where the road begins")
HAND = Anchor("its hand", np.eye(4), entity=3)


@pytest.mark.parametrize("anchor", [GATE, HAND])
def test_bytes_come_back_as_the_anchor(anchor: Anchor) -> None:
    payload = anchor.to_bytes()
    assert anchor.digest == hashlib.sha256(payload).digest()
    for again in (Anchor.from_bytes(payload), Anchor.from_bytes(payload, anchor.digest)):
        assert (again.name, again.text, again.entity) == (anchor.name, anchor.text, anchor.entity)
        np.testing.assert_array_equal(again.pose, anchor.pose)
        assert (again.digest, again.to_bytes()) == (anchor.digest, payload)


def test_what_is_no_anchor_is_refused() -> None:
    for name in ("", "a/b"):
        with pytest.raises(ValueError, match="without a slash"):
            Anchor(name, np.eye(4))
    with pytest.raises(ValueError, match="rotation"):
        Anchor("x", 2 * np.eye(4))


def test_geometry_holds_anchors_by_name_and_forgets_them_without_a_trace() -> None:
    none = Geometry()
    one = none.with_anchor("the gate", GATE)
    two = one.with_anchor("its hand", HAND)
    assert two.anchors == (HAND, GATE) and two.anchor("the gate") is GATE and none.anchor("the gate") is None
    assert two.with_anchor("its hand", None).anchors == one.anchors
    assert none.with_anchor("its hand", HAND).with_anchor("the gate", GATE).anchors == two.anchors
    with pytest.raises(ValueError, match="named 'x'"):
        none.with_anchor("x", GATE)
