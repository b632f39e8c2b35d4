"""A world's folder: the disk that it may lie on, who may write, and what is said where nobody may."""

import errno
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.world.folder import filesystem, holder, lock, refuse_network, writing
from perdure.world.store import Store, list_worlds
from tests.world import yard
from tests.world.test_store import PATH, played, same

MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 27 0:33 / /srv/share rw,relatime shared:2 - nfs4 box:/export rw,vers=4.2
41 27 0:34 / /srv/my\040disk rw,relatime - cifs //box/disk rw
42 27 0:35 / /srv/fuse rw,nosuid - fuse.sshfs me@box:/ rw
43 27 8:1 / /srv/share/local rw - xfs /dev/sda1 rw
44 27 0:36 / /srv/usb rw - fuseblk /dev/sdb1 rw
45 27 0:37 / /srv/host rw - 9p host rw
46 27 0:38 / /srv/host rw - btrfs /dev/sdc rw
"""


@pytest.mark.parametrize(
    ("folder", "kind", "refused"),
    [
        ("/home/ada/worlds", "ext4", False),
        ("/srv/share/worlds", "nfs4", True),
        ("/srv/shared/worlds", "ext4", False),
        ("/srv/share/local/worlds", "xfs", False),
        ("/srv/my disk", "cifs", True),
        ("/srv/fuse/a/b", "fuse.sshfs", True),
        ("/srv/usb/worlds", "fuseblk", False),
        ("/srv/host", "btrfs", False),
    ],
)
def test_a_network_file_system_is_refused(tmp_path: Path, folder: str, kind: str, refused: bool):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert filesystem(Path(folder), MOUNTS)[0] == kind
    if refused:
        with pytest.raises(ValueError, match=rf"expected a disk of this machine .* got {kind} at /srv/.*: its locks"):
            refuse_network(Path(folder), mounts)
    else:
        refuse_network(Path(folder), mounts)


def test_where_nobody_tells_nothing_is_refused(tmp_path: Path):
    refuse_network(tmp_path, tmp_path / "none")


def test_what_failed_is_told_with_its_remedy():
    for code, remedy in ((errno.ENOSPC, "free some space"), (errno.EROFS, "open it to read"), (errno.EIO, "the disk")):
        with (
            pytest.raises(ValueError, match=f"yard could not be written .* stays as it was: .*{remedy}"),
            writing("yard"),
        ):
            raise OSError(code, os.strerror(code))


FULL = """
import resource, sys
from pathlib import Path
from perdure.world.store import Store
from tests.world import yard
from tests.world.test_store import PATH
with Store.open(Path(sys.argv[1])) as store:
    world = yard.reopened(store)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        while True:
            world = yard.step(world, PATH[world.step % len(PATH)], store)
    except ValueError as error:
        print(world.step, world.state, world.head, error, sep="\\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(yard.step(world, PATH[world.step % len(PATH)], store).head)  # the same store goes on
"""


@pytest.mark.parametrize("room", [100_000, 9_000_000])  # neither tables nor segment may grow; only one of them
def test_a_full_disk_loses_nothing(tmp_path: Path, room: int):
    with Store.create(tmp_path, yard.world()) as store:
        played(store, yard.world(), PATH[:2])
    command = [sys.executable, "-c", FULL, str(tmp_path / "yard"), str(room)]
    done = subprocess.run(command, cwd=yard.ROOT, capture_output=True, text=True, check=True)
    step, state, head, said, after = done.stdout.splitlines()
    assert "yard could not be written" in said
    assert "free some space" in said
    with Store.open(tmp_path / "yard") as store:
        assert store.world_at(int(step)).state == state
        assert store.world_at(int(step)).head == head
        assert store.world().head == after


READER = """
import os, sys
from pathlib import Path
from perdure.world.store import Store, list_worlds
os.setgid(65534), os.setuid(65534)
with Store.open(Path(sys.argv[1]), write=False) as store:
    world = store.world()
    print(world.step, world.state, world.head, store.world_at(1).state, len(list(world.history.events)))
print(*(it.damage or "whole" for it in list_worlds(Path(sys.argv[1]).parent)))
try:
    Store.open(Path(sys.argv[1]))
except ValueError as error:
    print(error)
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that anyone may enter; those above pytest's own are closed."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("left", ["closed", "playing", "killed"])
def test_somebody_who_may_not_write_reads(public: Path, left: str):
    with Store.create(public, yard.world()) as store:
        worlds = played(store, yard.world(), PATH[:3])
        copies = {path.name: path.read_bytes() for path in store.folder.iterdir() if path.suffix != ".db-shm"}
        if left == "playing":
            said = read(store.folder)
    if left == "killed":  # what was on the disk while it was played
        for name, content in copies.items():
            (public / "yard" / name).write_bytes(content)
        assert len(copies["world.db-wal"]) > 0
    if left != "playing":
        said = read(public / "yard")
    last, first = worlds[-1], worlds[1]
    assert said[0] == f"3 {last.state} {last.head} {first.state} {len(last.history.events)}"
    assert said[1] == "whole"
    assert "yard could not be written" in said[2]
    assert "open it to read, or see to its permissions" in said[2]
    with Store.open(public / "yard") as store:
        same(store.world(), last)


def read(folder: Path) -> list[str]:
    command = [sys.executable, "-c", READER, str(folder)]
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "MUJOCO_GL": "disable"}
    done = subprocess.run(command, cwd=yard.ROOT, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_listing_survives_what_is_damaged(tmp_path: Path):
    for name in ("a", "b", "c", "d"):
        Store.create(tmp_path, yard.world(name)).close()
    (tmp_path / "b" / "world.db").write_bytes(b"no tables " * 1000)
    (tmp_path / "c" / "world.db").write_bytes(b"")
    (tmp_path / "e").mkdir()
    found = {it.name: it.damage for it in list_worlds(tmp_path)}
    assert list(found) == ["a", "b", "c", "d"]
    assert found["a"] == found["d"] == ""
    assert "b is damaged in its tables: file is not a database" in found["b"]
    assert "c is damaged in its tables" in found["c"]


def test_who_writes_is_told_to_whoever_asks(tmp_path: Path):
    assert holder(tmp_path) == ""
    held = lock(tmp_path)
    assert f"process {os.getpid()} (" in holder(tmp_path)
    os.close(held)
    assert holder(tmp_path) == ""
    held = lock(tmp_path)
    assert holder(tmp_path, tmp_path / "none") == ""  # where the system does not tell
    os.close(held)


def test_a_lock_that_could_not_be_signed_is_not_held(tmp_path: Path):
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, was[1]))
    try:
        with pytest.raises(ValueError, match="free some space"):
            lock(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, was)
    os.close(lock(tmp_path))


def test_what_is_damaged_is_told_to_whoever_would_write_and_nothing_is_held(tmp_path: Path):
    Store.create(tmp_path, yard.world()).close()
    (tmp_path / "yard" / "world.db").write_bytes(b"no tables " * 1000)
    for _ in range(2):
        with pytest.raises(ValueError, match="yard is damaged in its tables: file is not a database"):
            Store.open(tmp_path / "yard")
    os.close(lock(tmp_path / "yard"))
