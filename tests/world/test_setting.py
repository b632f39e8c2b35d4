"""The setting: what is not there is not written, so that worlds without it keep their digests."""

import math
from dataclasses import dataclass, replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.world.rules import Rule
from perdure.world.setting import FEATURES, SPECTACLES, WORDS, Environment, Onset, Setting, Spectacle

PLAIN = Setting(Environment(19.5, "snow", caption="x"), (Rule("a", "speed", limit=2.5),))


@dataclass(frozen=True)
class _First:
    """The fields that a setting had in the first releases, which wrote them like this."""

    environment: Environment
    rules: tuple[Rule, ...]


spectacles = st.builds(
    Spectacle,
    st.sampled_from(["one", "two", "three"]),
    st.sampled_from(SPECTACLES),
    st.tuples(*[st.floats(-50, 50)] * 3),
    st.integers(0, 10**6),
    st.floats(0.1, 100) | st.just(math.inf),
    st.integers(0, 2**31 - 1),
)
onsets = st.builds(Onset, st.integers(0, 10**6), st.sampled_from(["", "clear", "pixel"]) | st.floats(0, 23.9))


def test_a_setting_with_nothing_new_has_the_bytes_of_before() -> None:
    """Those of the fields that the first releases had, in their order."""
    for setting in (Setting(), PLAIN):
        before = msgspec.msgpack.encode(_First(setting.environment, setting.rules), order="deterministic")
        assert setting.to_bytes() == before
        assert Setting.from_bytes(before, b"") == setting


@given(st.lists(spectacles, max_size=4), st.dictionaries(st.sampled_from(["hour", "weather", "style"]), onsets))
def test_what_is_written_is_read_back_and_order_does_not_matter(
    shown: list[Spectacle], since: dict[str, Onset]
) -> None:
    one = two = PLAIN
    for spectacle in {s.name: s for s in shown}.values():
        one = one.with_spectacle(spectacle.name, spectacle)
    for spectacle in reversed({s.name: s for s in shown}.values()):
        two = two.with_spectacle(spectacle.name, spectacle)
    for field in since:
        one = one.with_onset(field, since[field])
    for field in reversed(since):
        two = two.with_onset(field, since[field])
    assert one == two and one.digest == two.digest
    assert Setting.from_bytes(one.to_bytes(), one.digest) == one
    for spectacle in shown:
        one = one.with_spectacle(spectacle.name, None)
    for field in since:
        one = one.with_onset(field, None)
    assert one.to_bytes() == PLAIN.to_bytes()


def test_a_spectacle_is_over_when_its_time_has_passed() -> None:
    birds = Spectacle("birds", "birds", (0, 0, 3), 240, 2.0)
    assert [birds.over(tick) for tick in (0, 240, 287, 288)] == [False, False, False, True]
    assert not Spectacle("fire", "fire", (0, 0, 0), 0).over(10**9)


def test_mistakes_are_named() -> None:
    for wrong, why in [
        ({"kind": "war"}, "out of fireworks, birds, fish, fire, got 'war'"),
        ({"name": "a/b"}, "without slashes"),
        ({"place": (0, math.nan, 0)}, "somewhere"),
        ({"seconds": 0.0}, "to last"),
    ]:
        with pytest.raises(ValueError, match=why):
            Spectacle(**{"name": "f", "kind": "fire", "place": (0, 0, 0), "start": 0, **wrong})
    with pytest.raises(ValueError, match="expected a spectacle named 'a' in this slot, got 'b'"):
        Setting().with_spectacle("a", Spectacle("b", "fire", (0, 0, 0), 0))
    with pytest.raises(ValueError, match="of the environment"):
        Setting().with_onset("mood", Onset(0, ""))


@given(st.builds(Setting, st.builds(Environment, caption=st.text()), spectacles=st.just(()), onsets=st.just(())))
def test_a_world_as_it_begins_tells_a_model_nothing(setting: Setting) -> None:
    assert not setting.features(7).any() and setting.features(7).shape == (FEATURES,)


def test_every_word_that_is_shown_is_told_apart() -> None:
    told = [
        Setting(replace(Environment(), **{field: word})).features(0).tolist()
        for field, words in WORDS.items()
        for word in words
    ]
    assert sorted(told, reverse=True) == told and {sum(row) for row in told} == {1.0}
    assert not Setting(Environment(style="woodcut", weather="frogs")).features(0).any()


@given(st.floats(0, 23.99), st.floats(0, 23.99))
def test_hours_are_told_as_they_lie_round_the_clock(one: float, other: float) -> None:
    a, b = (Setting(Environment(hour)).features(0)[:4] for hour in (one, other))
    apart = abs(one - other) % 24
    apart = min(apart, 24 - apart)
    assert (float(abs(a[:2] - b[:2]).max()) < 1e-3) or apart > 0.001
    assert math.hypot(*(a[:2] - b[:2])) == pytest.approx(2 * math.sin(math.pi * apart / 24), abs=1e-5)


def test_what_sets_in_is_told_softly() -> None:
    dusk = (
        Setting(Environment(18.0, "rain"))
        .with_onset("weather", Onset(100, "snow"))
        .with_onset("hour", Onset(100, 12.0))
    )
    before, half, after = (dusk.features(tick) for tick in (100, 124, 148))
    assert before.tolist() == Setting(Environment(weather="snow")).features(0).tolist()
    assert after.tolist() == Setting(Environment(18.0, "rain")).features(0).tolist()
    assert half == pytest.approx((before + after) / 2)
