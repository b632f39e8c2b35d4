"""Roofs: of what stands in a scene, not of what its planes are; tests/data/test_scenery.py holds it to the painter."""

from perdure.world.mechanism import Mechanism
from tests.world import yard

ROOF = '<geom name="roof" type="box" size="6 6 .1" pos="0 0 3.1"/>'
BARE = f"""<mujoco><option timestep="{1 / 96!r}"/><worldbody><geom type="plane" size="9 9 .1"/><body name="player">
<joint name="player_x" type="slide" axis="1 0 0"/><joint name="player_y" type="slide" axis="0 1 0"/>
<geom type="capsule" fromto="0 0 .3 0 0 1.4" size=".3" mass="70"/></body></worldbody></mujoco>"""


def housed(xml: str) -> bool:
    return Mechanism.found(xml, (), 0, yard.SMALL).compiled.housed


def test_a_yard_is_out_of_doors_until_it_is_roofed() -> None:
    xml = yard.XML.replace('<body name="beast"', '<body name="other"')
    assert not housed(xml) and housed(xml.replace("<body", ROOF + "<body", 1))
    assert not housed(BARE)
