"""Splats in files: exact in `.ply`, within its steps in `.spz`, and read alike by another library."""

import gzip
import struct
from pathlib import Path
from typing import Any

import gsply
import numpy as np
import pytest

from perdure.camera import rotation
from perdure.memory.gaussians import shaded
from perdure.world.cloud import OF_PLY, basis, from_ply, from_spz, placed, read, to_ply, to_spz, write
from perdure.world.splats import HARMONICS, Rows, blank

FIELDS = "mean", "rotation", "scale", "opacity", "colour", "harmonics"


def cloud(count: int = 300, harmonics: int = 15, seed: int = 0) -> Rows:
    random = np.random.default_rng(seed)
    rows = blank(count, harmonics=harmonics)
    rows["mean"], rows["rotation"] = random.normal(0, 4, (count, 3)), random.normal(size=(count, 4))
    rows["rotation"] /= np.linalg.norm(rows["rotation"], axis=1, keepdims=True)
    rows["scale"], rows["opacity"] = random.uniform(-7, 0, (count, 3)), random.normal(0, 3, count)
    rows["colour"] = random.uniform(-1.7, 1.7, (count, 3))
    rows["harmonics"] = random.uniform(-0.9, 0.9, rows["harmonics"].shape)
    return rows


def differ(one: Rows, other: Rows) -> dict[str, float]:
    """The largest difference of each field, of opacity after the sigmoid, and of rotations as turns in radians."""
    out = {name: float(np.abs(one[name] - other[name]).max(initial=0)) for name in FIELDS}
    seen = [1 / (1 + np.exp(-it["opacity"].astype(float))) for it in (one, other)]
    out["opacity"] = float(np.abs(seen[0] - seen[1]).max())
    cosine = np.abs((one["rotation"].astype(float) * other["rotation"]).sum(1))
    lengths = np.linalg.norm(one["rotation"], axis=1) * np.linalg.norm(other["rotation"], axis=1)
    out["rotation"] = float(2 * np.arccos(np.minimum(cosine / lengths, 1)).max())
    return out


def of_theirs(data: gsply.GSData) -> Rows:
    harmonics = 0 if data.shN is None else data.shN.shape[1]
    rows = blank(len(data.means), harmonics=harmonics)
    rows["mean"], rows["rotation"], rows["scale"] = data.means, data.quats, data.scales
    rows["opacity"], rows["colour"] = np.ravel(data.opacities), data.sh0
    if harmonics:
        rows["harmonics"] = data.shN
    return rows


def to_theirs(rows: Rows) -> gsply.GSData:
    more = np.ascontiguousarray(rows["harmonics"]) if rows["harmonics"].shape[1] else None
    names = {"means": "mean", "scales": "scale", "quats": "rotation", "opacities": "opacity", "sh0": "colour"}
    columns: dict[str, Any] = {theirs: np.ascontiguousarray(rows[ours]) for theirs, ours in names.items()}
    return gsply.GSData(**columns, shN=more)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("harmonics", HARMONICS)
def test_ply_comes_back_to_the_byte_and_another_library_reads_and_writes_the_same(harmonics: int, tmp_path: Path):
    rows = cloud(harmonics=harmonics)
    assert from_ply(to_ply(rows)).tobytes() == rows.tobytes()
    (tmp_path / "ours.ply").write_bytes(to_ply(rows))
    assert of_theirs(gsply.plyread(tmp_path / "ours.ply")).tobytes() == rows.tobytes()
    gsply.plywrite(tmp_path / "theirs.ply", to_theirs(rows))
    assert from_ply((tmp_path / "theirs.ply").read_bytes()).tobytes() == rows.tobytes()


STEPS = {"mean": 0.6 / 4096, "rotation": 0.006, "scale": 0.51 / 16, "opacity": 0.51 / 255, "colour": 0.51 / 38.25}


@pytest.mark.parametrize("harmonics", HARMONICS)
def test_spz_comes_back_within_its_steps_and_another_library_reads_and_writes_alike(harmonics: int, tmp_path: Path):
    rows = cloud(harmonics=harmonics)
    ours = from_spz(to_spz(rows))
    most = {**STEPS, "harmonics": 8.6 / 128}
    assert all(found <= most[name] for name, found in differ(rows, ours).items()), differ(rows, ours)
    assert from_spz(to_spz(ours)).tobytes() == ours.tobytes()  # what was rounded once is not rounded again

    (tmp_path / "ours.spz").write_bytes(to_spz(rows))
    found = differ(ours, of_theirs(gsply.read_spz(tmp_path / "ours.spz")))
    assert all(off < 1e-3 if name == "rotation" else off < 1e-5 for name, off in found.items()), found
    gsply.write_spz(tmp_path / "theirs.spz", to_theirs(rows))
    theirs = from_spz((tmp_path / "theirs.spz").read_bytes())
    assert all(off <= most[name] for name, off in differ(rows, theirs).items()), differ(rows, theirs)


def test_spz_of_version_2_is_read_as_another_library_reads_it(tmp_path: Path) -> None:
    body = np.random.default_rng(3).integers(0, 256, 40 * 28, np.uint8)
    body[16 * 40 : 19 * 40] = body[16 * 40 : 19 * 40] // 3 + 85  # x, y and z of a rotation, not too long together
    (tmp_path / "x.spz").write_bytes(spz(2, 40, 1, body.tobytes()))
    ours = from_spz((tmp_path / "x.spz").read_bytes())
    found = differ(ours, of_theirs(gsply.read_spz(tmp_path / "x.spz")))
    assert all(off < 1e-3 if name == "rotation" else off < 1e-5 for name, off in found.items()), found


def test_a_cloud_that_is_large_is_rounded_more_coarsely_and_one_too_large_is_refused() -> None:
    rows = cloud(5, 0)
    rows["mean"] *= 10_000
    assert np.abs(from_spz(to_spz(rows))["mean"] - rows["mean"]).max() < 0.01
    rows["mean"][0] = 1e8
    with pytest.raises(ValueError, match="within"):
        to_spz(rows)


@pytest.mark.parametrize("name", ["x.ply", "x.spz"])
def test_files_are_turned_to_our_axes_and_back(name: str, tmp_path: Path) -> None:
    rows = cloud(harmonics=8)
    write(tmp_path / name, rows)
    found = differ(rows, read(tmp_path / name))
    near = {field: 1e-3 if field == "rotation" else 1e-5 for field in FIELDS}
    most = near if name == "x.ply" else {**STEPS, "harmonics": 0.2}
    assert all(off <= most[field] for field, off in found.items()), found


def test_the_axes_are_those_that_each_kind_of_file_has_by_custom(tmp_path: Path) -> None:
    """One splat two metres ahead, one to the left and half one up, long from left to right."""
    row = blank(1)
    row["mean"], row["scale"] = [2.0, 1.0, 0.5], np.log([0.1, 0.5, 0.2])
    write(tmp_path / "x.ply", row)
    write(tmp_path / "x.spz", row)
    ply = from_ply((tmp_path / "x.ply").read_bytes())
    spz = from_spz((tmp_path / "x.spz").read_bytes())
    np.testing.assert_allclose(ply["mean"], [[-1.0, -0.5, 2.0]])  # right, down, forward
    np.testing.assert_allclose(spz["mean"], [[-1.0, 0.5, -2.0]])  # right, up, back
    for it in (ply, spz):
        axes = rotation(it["rotation"].astype(float))[0] * np.exp(it["scale"][0])
        np.testing.assert_allclose(np.linalg.norm(axes, axis=1), [0.5, 0.2, 0.1], rtol=0.04)


def test_turned_splats_show_the_same_colours_to_a_turned_eye() -> None:
    rows = cloud(4)
    random = np.random.default_rng(1)
    turn = rotation(random.normal(size=4))
    turned = placed(rows, turn, (1.0, 2.0, 3.0), 2.0)
    np.testing.assert_allclose(turned["mean"], 2 * rows["mean"] @ turn.T + [1, 2, 3], rtol=1e-5)
    for way in random.normal(size=(6, 3)):
        way /= np.linalg.norm(way)
        for row, other in zip(rows, turned):
            base = np.full(3, 9.0)  # nothing is cut off at 0
            np.testing.assert_allclose(
                shaded(base, row["harmonics"], *way), shaded(base, other["harmonics"], *(turn @ way)), atol=1e-5
            )


def test_the_harmonics_of_the_files_are_those_that_are_drawn() -> None:
    ways = np.random.default_rng(2).normal(size=(20, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    for k in range(15):
        one = np.zeros((15, 3), np.float32)
        one[k] = 1
        drawn = [shaded(np.full(3, 9.0), one, *way)[0] - 9 for way in ways]
        np.testing.assert_allclose(drawn, basis(ways)[:, k], atol=1e-12)


def test_ply_in_ascii_and_big_endian_and_with_other_properties_is_read() -> None:
    rows = cloud(3, 0)
    header, _, body = to_ply(rows).partition(b"end_header\n")
    table = np.frombuffer(body, "<f4").reshape(3, -1)
    text = "\n".join(" ".join(map(repr, row.tolist())) for row in table.astype(float))
    ascii_ = header.replace(b"binary_little_endian", b"ascii") + b"end_header\n" + text.encode() + b"\n"
    assert from_ply(ascii_).tobytes() == rows.tobytes()
    big = header.replace(b"little", b"big") + b"end_header\n" + table.astype(">f4").tobytes()
    assert from_ply(big).tobytes() == rows.tobytes()
    more = header.replace(
        b"property float opacity", b"comment from a tool\nproperty uchar kind\nproperty float opacity"
    )
    at = [line.split()[-1] for line in header.splitlines() if line.startswith(b"property")].index(b"opacity") * 4
    wider = b"".join(row[:at] + b"\x07" + row[at:] for row in (line.tobytes() for line in table))
    assert from_ply(more + b"element face 0\nend_header\n" + wider).tobytes() == rows.tobytes()


PLY, SPZ = to_ply(cloud(3, 0)), to_spz(cloud(3, 0))
NAN = cloud(3, 0)
NAN["mean"][1] = np.nan


def spz(version: int = 3, count: int = 3, degree: int = 0, body: bytes = bytes(60)) -> bytes:
    return gzip.compress(struct.pack("<4sIIBBBB", b"NGSP", version, count, degree, 12, 0, 0) + body, mtime=0)


@pytest.mark.parametrize(
    ("name", "payload", "says"),
    [
        ("x.ply", b"", "without its header"),
        ("x.ply", b"solid x" * 99, "without its header"),
        ("x.ply", PLY[:-1], "ends before the last"),
        ("x.ply", PLY.replace(b"vertex 3", b"vertex 999999999"), "at most"),
        ("x.ply", PLY.replace(b"vertex 3", b"vertex -3"), "begins with its vertices"),
        ("x.ply", PLY.replace(b"float opacity", b"float opacitY"), "has no opacity"),
        ("x.ply", PLY.replace(b"float opacity", b"list uchar int opacity"), "plain numbers"),
        ("x.ply", PLY.replace(b"binary_little_endian", b"runes"), "format"),
        ("x.ply", to_ply(NAN), "finite mean"),
        ("x.spz", b"", "without its header"),
        ("x.spz", b"plain text, not packed", "does not unpack"),
        ("x.spz", SPZ[:-20], "expected"),
        ("x.spz", gzip.compress(b"x" * 99, mtime=0), "without its header"),
        ("x.spz", spz(version=9), "version 2 or 3, got 9"),
        ("x.spz", spz(count=2**32 - 1), "at most"),
        ("x.spz", spz(degree=7), "degree 7"),
        ("x.spz", spz(body=bytes(59)), "expected 60 bytes for 3 splats, got 59"),
        ("x.spz", spz(body=bytes(10**6)), "expected 60 bytes for 3 splats, got 61"),
        ("x.spz", b"NGSP" + bytes(60), "a later one"),
        ("x.obj", b"v 0 0 0", "expected a .ply or .spz"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_told_in_one_line(name: str, payload: bytes, says: str, tmp_path: Path):
    (tmp_path / name).write_bytes(payload)
    with pytest.raises(ValueError, match=says) as caught:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_no_file_and_no_known_kind_are_told_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot read splats"):
        read(tmp_path / "none.ply")
    with pytest.raises(ValueError, match=r"\.ply or \.spz"):
        write(tmp_path / "x", cloud(1))
    turned = placed(from_ply(PLY), OF_PLY)
    write(tmp_path / "x.ply", turned)
    assert differ(turned, read(tmp_path / "x.ply"))["mean"] == 0
