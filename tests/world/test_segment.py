import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.world import segment as module
from perdure.world.segment import DamagedError, Place, Segments


def record(payload: bytes) -> tuple[bytes, bytes]:
    return hashlib.sha256(payload).digest(), payload


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payloads=st.lists(st.lists(st.binary(max_size=300), max_size=4), max_size=6))
def test_what_is_written_is_read_back_here_and_by_another(tmp_path: Path, payloads: list[list[bytes]]):
    for path in tmp_path.iterdir():
        path.unlink()
    writer, kept = Segments(tmp_path), list[tuple[Place, bytes]]()
    writer.open_to_write(0, 0)
    for batch in payloads:
        kept += zip(writer.append([record(p) for p in batch]), batch)
    reader = Segments(tmp_path)
    for place, payload in kept:
        digest, _ = record(payload)
        assert bytes(writer.read(place, digest)) == bytes(reader.read(place, digest)) == payload
        assert place.start % 64 == 0
        reader.check(place, digest)
    writer.close()


def test_segments_roll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "ROLL", 1000)
    writer = Segments(tmp_path)
    writer.open_to_write(0, 0)
    records = [record(bytes([i]) * 400) for i in range(6)]
    places = [writer.append([one])[0] for one in records]
    assert sorted({p.segment for p in places}) == [0, 1, 2]
    assert [bytes(writer.read(p, digest)) for p, (digest, _) in zip(places, records)] == [p for _, p in records]
    writer.close()


def test_what_no_row_names_is_cut_off_and_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "ROLL", 1000)
    writer = Segments(tmp_path)
    writer.open_to_write(0, 0)
    named = writer.append([record(b"named" * 100)])[0]
    for _ in range(3):
        writer.append([record(b"torn" * 200)])
    writer.close()
    again = Segments(tmp_path)
    again.open_to_write(named.segment, named.end)
    new = again.append([record(b"new")])[0]
    assert new.offset == named.end
    assert bytes(again.read(named, record(b"named" * 100)[0])) == b"named" * 100
    again.close()
    assert [path.name for path in tmp_path.iterdir()] == ["000000.segment"]
    assert (tmp_path / "000000.segment").stat().st_size == new.end


def test_arrays_outlive_the_segments_they_look_into(tmp_path: Path):
    writer = Segments(tmp_path)
    writer.open_to_write(0, 0)
    digest, payload = record(bytes(range(200)))
    array = np.frombuffer(writer.read(writer.append([(digest, payload)])[0], digest), np.uint8)
    writer.append([record(b"more" * 5000)])
    writer.close()
    assert array.tolist() == list(range(200))
    assert not array.flags.writeable


def test_damage_is_found_and_named(tmp_path: Path):
    writer = Segments(tmp_path)
    writer.open_to_write(0, 0)
    digest, payload = record(b"precious" * 100)
    place = writer.append([(digest, payload)])[0]
    writer.close()
    path = tmp_path / "000000.segment"
    whole = path.read_bytes()
    for at in (0, 9, 20, place.start, place.start + 799):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DamagedError, match=r"000000\.segment has .* record at byte 0"):
            Segments(tmp_path).check(place, digest)
    path.write_bytes(whole[:-100])
    with pytest.raises(DamagedError, match="ends within the record"):
        Segments(tmp_path).read(place, digest)
