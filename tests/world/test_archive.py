"""A world goes into one file and comes out the same; a file that is not what it says leaves nothing behind."""

import errno
import json
import os
import shutil
import sqlite3
import stat
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.memory.replay import replay
from perdure.world import archive
from perdure.world.archive import export, import_
from perdure.world.folder import refuse_network
from perdure.world.store import Store
from tests.world import lived, yard

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be written to."""
    return lived.live(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def file(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("file") / "yard.zip"
    with Store.open(kept, write=False) as store:
        export(store, out)
    return out


def test_a_world_comes_out_as_it_went_in(kept: Path, tmp_path: Path):
    told: list[float] = []
    with Store.open(kept, write=False) as store:
        manifest = export(store, tmp_path / "yard.zip", progress=lambda share, _: told.append(share))
    assert [path.name for path in tmp_path.iterdir()] == ["yard.zip"]
    assert told == sorted(told) and told[-1] == 1
    assert manifest.name == "yard" and manifest.branches.keys() == {"main", "main@10", "left"}
    with zipfile.ZipFile(tmp_path / "yard.zip") as zipped:
        assert zipped.namelist() == ["manifest.json", "000000.segment", "world.db"]
        assert json.loads(zipped.read("manifest.json"))["branches"]["main"]["step"] == 9
    told.clear()
    found = import_(tmp_path / "yard.zip", tmp_path / "deep" / "home", progress=lambda share, _: told.append(share))
    assert told == sorted(told) and told[-1] == 1
    assert (found.name, dict(found.branches)) == ("yard", {"main": 9, "main@10": 10, "left": 11})
    assert [path.name for path in found.folder.parent.iterdir()] == ["yard"]
    assert lived.everything(found.folder) == lived.everything(kept)
    with Store.open(found.folder) as store:
        yard.step(yard.reopened(store), lived.PATH[0], store)


def test_a_world_is_exported_to_a_share_though_none_is_kept_there(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"99 1 0:99 / {tmp_path}/share rw - nfs4 server:/x rw\n")
    monkeypatch.setattr(refuse_network, "__defaults__", (mounts,))
    (tmp_path / "share").mkdir()
    with Store.open(kept, write=False) as store:
        export(store, tmp_path / "share" / "yard.zip")
        export(store, tmp_path / "share" / "left.zip", ["left"])
    with pytest.raises(ValueError, match="expected a disk of this machine for share, got nfs4"):
        import_(tmp_path / "share" / "yard.zip", tmp_path / "share")
    assert import_(tmp_path / "share" / "left.zip", tmp_path / "home").branches["main"] == 11


def test_the_same_world_gives_the_same_file(kept: Path, file: Path, tmp_path: Path):
    with Store.open(kept, write=False) as store:
        export(store, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == file.read_bytes()


def test_it_may_take_another_name(file: Path, tmp_path: Path):
    found = import_(file, tmp_path, "garden")
    with Store.open(found.folder) as store:
        assert store.world().name == "garden" and store.summary().name == "garden"
        yard.step(yard.reopened(store), lived.PATH[0], store)


def test_some_branches_travel_without_the_others(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("perdure.world.tip.SNAPSHOT_COMMITS", 4)
    folder = lived.live(tmp_path / "long", 14)
    with Store.open(folder) as store:
        store.fork("left", 3, "deep")  # of main's steps: it has none of its own
        whole = lived.everything(folder)
        export(store, tmp_path / "left.zip", ["left"])
        export(store, tmp_path / "some.zip", ["main", "deep"])
        with pytest.raises(ValueError, match=r"no branch 'mars' in yard: it has main@14, left, main, deep"):
            export(store, tmp_path / "x.zip", ["mars"])
        with pytest.raises(ValueError, match="at least one branch"):
            export(store, tmp_path / "x.zip", [])
    left = import_(tmp_path / "left.zip", tmp_path / "a")
    assert dict(left.branches) == {"main@14": 11, "main": 15}  # what it comes from, up to where it left
    found = lived.everything(left.folder)
    assert found["main"] == whole["left"] and found["main@14", 9] == whole["main@14", 9]
    some = import_(tmp_path / "some.zip", tmp_path / "b")
    assert dict(some.branches) == {"main@14": 12, "main": 13, "deep": 3}  # deep left where it was main's
    found = lived.everything(some.folder)
    assert found["main"] == whole["main"] and found["deep"] == whole["deep"]
    assert left.size < folder.stat().st_size + sum(map(len, lived.files(folder).values())) * 0.9
    latents = [whole["left", "memory", 15][0], whole["main@14", "memory", 14][0]]
    inside = [b"".join(lived.files(it.folder).values()) for it in (left, some)]
    assert [latent in data for data in inside for latent in latents] == [True, False, False, False]
    for it in (left, some):
        with Store.open(it.folder) as store:
            yard.step(yard.reopened(store), lived.PATH[0], store)


def test_a_branch_that_travelled_alone_is_replayed_as_it_was_made(kept: Path, tmp_path: Path):
    """Chance is of a branch's name, and it is main now; the second time it is `deep` of that one."""
    with Store.open(kept, write=False) as store:
        export(store, tmp_path / "left.zip", ["left"])
    found = import_(tmp_path / "left.zip", tmp_path / "a")
    with Store.open(found.folder) as store:
        store.fork("main", 11, "deep")
        yard.step(yard.reopened(store, "deep"), lived.PATH[0], store)
        export(store, tmp_path / "deep.zip", ["deep"])
    again = import_(tmp_path / "deep.zip", tmp_path / "b")
    for it in (found, again):
        with Store.open(it.folder, write=False) as store:
            for branch in store.branches():
                assert all(made.state and made.head for made in replay(store, branch)), (it.folder, branch)


def test_what_is_played_meanwhile_is_left_out_or_in_but_never_half(tmp_path: Path):
    folder = lived.live(tmp_path / "home")
    with Store.open(folder) as store:
        now = [yard.reopened(store)]
        ends = [(now[0].step, now[0].state, now[0].head)]

        def play(_: float, __: str) -> None:
            if len(ends) < 20:
                now[0] = yard.step(now[0], lived.PATH[len(ends) % 12], store)
                ends.append((now[0].step, now[0].state, now[0].head))

        with Store.open(folder, write=False) as reader:
            manifest = export(reader, tmp_path / "yard.zip", progress=play)
    end = manifest.branches["main"]
    assert (end.step, end.state, end.head) in ends and end.step < ends[-1][0]
    assert dict(import_(tmp_path / "yard.zip", tmp_path / "other").branches)["main"] == end.step


def test_tables_that_are_large_are_copied_once_though_they_are_written_to_meanwhile(kept: Path, tmp_path: Path):
    folder = tmp_path / "yard"
    shutil.copytree(kept, folder)
    with closing(sqlite3.connect(folder / "world.db", isolation_level=None)) as db:
        db.execute("CREATE TABLE large AS SELECT zeroblob(20000000) AS x")
        copied: list[float] = []

        def write(share: float, what: str) -> None:
            if what == "copying the tables":
                db.execute("INSERT INTO large VALUES (1)")
                copied.append(share)
                assert len(copied) < 20, "the copy begins anew with every commit"

        with Store.open(folder, write=False) as store:
            export(store, tmp_path / "yard.zip", progress=write)
    assert len(copied) > 3 and copied == sorted(copied)


def test_a_world_of_the_first_format_travels_as_it_is(tmp_path: Path):
    with tarfile.open(DATA / "world-format-1.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    (folder,) = (path.parent for path in tmp_path.rglob("world.db"))
    with Store.open(folder, write=False) as store:
        assert export(store, tmp_path / "old.zip").format == 1
        found = import_(tmp_path / "old.zip", tmp_path / "home", "new")
        with Store.open(found.folder, write=False) as other:
            assert other.branches() == store.branches() and other.world().name == "new"


def test_an_export_overwrites_nothing_and_a_failing_one_leaves_nothing(
    kept: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with Store.open(kept, write=False) as store:
        with pytest.raises(ValueError, match="exists already: remove it, or say another name"):
            export(store, file)
        with pytest.raises(ValueError, match=r"there is no folder .* to write it.zip into"):
            export(store, tmp_path / "no" / "it.zip")
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ValueError, match=r"it.zip could not be written \(.*No space left.*\): free some space"):
            export(store, tmp_path / "it.zip")
    assert list(tmp_path.iterdir()) == []


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_takes_nothing(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 10**5))
        with pytest.raises(ValueError, match=r"needs [\d,]+ bytes and .* has 100,000 left: free some, then import"):
            import_(file, tmp_path / "home")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ValueError, match=r"could not be (imported|written).*No space left|No space"):
            import_(file, tmp_path / "home")
    assert not (tmp_path / "home").exists() or list((tmp_path / "home").iterdir()) == []


def test_a_taken_or_impossible_name_is_refused(file: Path, tmp_path: Path):
    import_(file, tmp_path)
    before = lived.files(tmp_path)
    with pytest.raises(ValueError, match=r"a world named 'yard' exists already in .*: import it under another name"):
        import_(file, tmp_path)
    with pytest.raises(ValueError, match="letters, digits"):
        import_(file, tmp_path, "../out")
    with pytest.raises(ValueError, match="there is no file"):
        import_(tmp_path / "none.zip", tmp_path)
    assert lived.files(tmp_path) == before


Members = list[tuple[zipfile.ZipInfo | str, bytes]]


def rewritten(file: Path, out: Path, change: Callable[[dict[str, Any], Members], None]) -> Path:
    """The archive with its manifest and members changed."""
    with zipfile.ZipFile(file) as source:
        manifest = json.loads(source.read("manifest.json"))
        members: Members = [(name, source.read(name)) for name in source.namelist()[1:]]
    change(manifest, members)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("manifest.json", json.dumps(manifest))
        for name, data in members:
            target.writestr(name, data)
    return out


def member(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    return next(it for it in manifest["members"] if it["name"] == name)


def traversal(manifest: dict[str, Any], members: Members) -> None:
    member(manifest, "world.db")["name"] = "../world.db"
    members[:] = [("../world.db" if name == "world.db" else name, data) for name, data in members]


def absolute(manifest: dict[str, Any], members: Members) -> None:
    manifest["members"].append({"name": "/tmp/evil", "size": 1, "sha256": ""})
    members.append(("/tmp/evil", b"x"))


def stowaway(manifest: dict[str, Any], members: Members) -> None:
    members.append(("../../evil", b"x"))


def symlink(manifest: dict[str, Any], members: Members) -> None:
    info = zipfile.ZipInfo("world.db")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    members[:] = [(info if name == "world.db" else name, data) for name, data in members]


def twice(manifest: dict[str, Any], members: Members) -> None:
    members.append(next(it for it in members if it[0] == "world.db"))


def twice_named(manifest: dict[str, Any], members: Members) -> None:
    manifest["members"].append(member(manifest, "world.db"))


def bomb(manifest: dict[str, Any], members: Members) -> None:
    size = archive.SLACK + 100_000_000
    manifest["members"].append({"name": "000001.segment", "size": size, "sha256": "0" * 64})
    members.append(("000001.segment", bytes(size)))


def longer(manifest: dict[str, Any], members: Members) -> None:
    member(manifest, "world.db")["size"] -= 1


def negative(manifest: dict[str, Any], members: Members) -> None:
    member(manifest, "world.db")["size"] = -5


def missing(manifest: dict[str, Any], members: Members) -> None:
    members.pop(0)


def newer(manifest: dict[str, Any], members: Members) -> None:
    manifest["format"] = 99


def newer_archive(manifest: dict[str, Any], members: Members) -> None:
    manifest["archive"] = 2
    del manifest["members"]


def foreign(manifest: dict[str, Any], members: Members) -> None:
    manifest.clear()
    manifest["hello"] = 1


def elsewhere(manifest: dict[str, Any], members: Members) -> None:
    manifest["branches"]["main"]["head"] = "0" * 64


def digest(manifest: dict[str, Any], members: Members) -> None:
    member(manifest, "world.db")["sha256"] = "0" * 64


def impossible_name(manifest: dict[str, Any], members: Members) -> None:
    manifest["name"] = "../evil"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (traversal, "its manifest names '../world.db', which is no part of a world"),
        (absolute, "its manifest names '/tmp/evil', which is no part of a world"),
        (stowaway, "it has a member '../../evil' that its manifest does not name"),
        (symlink, "world.db is not a plain file"),
        (twice, "it has two members of one name"),
        (twice_named, "its manifest names a member twice"),
        (bomb, "would come to .* on the disk, which no world does"),
        (longer, "expected .* bytes of world.db, got"),
        (negative, "says that world.db has -5 bytes"),
        (missing, "lacks 000000.segment: fetch or export it again"),
        (newer, "was made by a newer Perdure, which alone can open it"),
        (newer_archive, "was made by a newer Perdure, which alone can open it"),
        (foreign, "is not the archive of a world"),
        (elsewhere, "its branches do not stand where its manifest says"),
        (digest, "world.db is not what the manifest says"),
        (impossible_name, "letters, digits"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_no_export_wrote_is_refused(
    file: Path, tmp_path: Path, change: Callable[[dict[str, Any], Members], None], message: str
):
    changed = rewritten(file, tmp_path / "changed.zip", change)
    with pytest.raises(ValueError, match=message) as told:
        import_(changed, tmp_path / "home")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "home").exists() or list((tmp_path / "home").iterdir()) == []
    assert not Path("/tmp/evil").exists() and not (tmp_path / "evil").exists()


def test_a_member_that_lies_about_its_length_is_refused(file: Path, tmp_path: Path):
    """The directory at the end of the zip says less than there is."""
    payload = bytearray(file.read_bytes())
    at = payload.rindex(b"PK\x01\x02")
    length = int.from_bytes(payload[at + 24 : at + 28], "little") - 1000
    payload[at + 24 : at + 28] = length.to_bytes(4, "little")
    (tmp_path / "lies.zip").write_bytes(payload)
    with pytest.raises(ValueError, match=r"expected .* bytes of world.db"):
        import_(tmp_path / "lies.zip", tmp_path / "home")


def test_a_damaged_world_is_not_let_in_though_its_file_is_whole(kept: Path, tmp_path: Path):
    folder = Path(shutil.copytree(kept, tmp_path / "yard"))
    with Store.open(folder, write=False) as store:
        (row,) = store.rows.rows(store.rows.lineage("main"), 3, 3)
        place = store.rows.place(row.latent or b"")
    payload = bytearray((folder / "000000.segment").read_bytes())
    payload[place.start + 5] ^= 1
    (folder / "000000.segment").write_bytes(payload)
    with Store.open(folder, write=False) as store:
        export(store, tmp_path / "yard.zip")
    with pytest.raises(ValueError, match="holds a damaged world, in step 3 of main@10: its latent is damaged"):
        import_(tmp_path / "yard.zip", tmp_path / "home")
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize("payload", [b"", b"PK", b"not a zip at all" * 100])
def test_what_is_no_zip_is_told(tmp_path: Path, payload: bytes):
    (tmp_path / "x.zip").write_bytes(payload)
    with pytest.raises(ValueError, match=r"is not a whole archive of a world .*: fetch or export it again"):
        import_(tmp_path / "x.zip", tmp_path / "home")


@settings(max_examples=40, deadline=None)
@given(data=st.data(), cut=st.booleans())
def test_a_file_cut_short_or_flipped_is_refused_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, kept: Path, file: Path, data: st.DataObject, cut: bool
):
    folder, payload = tmp_path_factory.mktemp("flipped"), bytearray(file.read_bytes())
    if cut:
        del payload[data.draw(st.integers(0, len(payload) - 1)) :]
    else:  # near the ends, where the zip keeps what it says of itself, as often as in the middle
        near = st.integers(0, 400).map(lambda at: at if at < 200 else len(payload) - at + 199)
        payload[data.draw(near | st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (folder / "x.zip").write_bytes(payload)
    try:
        found = import_(folder / "x.zip", folder / "home", "yard")
    except ValueError:
        assert not (folder / "home").exists() or list((folder / "home").iterdir()) == []
    else:
        assert lived.everything(found.folder) == lived.everything(kept)
    shutil.rmtree(folder)
