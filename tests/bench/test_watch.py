"""What a process writes is seen, SQLite's own part of it too, in the order in which it is done."""

import subprocess
import sys
from pathlib import Path

import msgspec

from perdure.bench.disk import Disk, Op

ROOT = Path(__file__).parents[2]

WRITER = """
import os, shutil, sqlite3, sys
from pathlib import Path
import msgspec
from perdure.bench.watch import watch
root = Path(sys.argv[1])
log = watch(root)
(root / "made").mkdir()
db = sqlite3.connect(root / "made" / "a.db", isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA synchronous = FULL")
db.execute("CREATE TABLE t (x)")
log.say(b"row")
db.execute("INSERT INTO t VALUES (randomblob(9000))")
log.say(b"done")
db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
os.rename(root / "made", root / "kept")
file = os.open(root / "before", os.O_RDWR)
os.pwrite(file, b"HEAD", 0)
os.posix_fallocate(file, 0, 5000)
os.ftruncate(file, 4000)
os.lseek(file, 100, os.SEEK_SET)
os.write(file, b"tail")
os.fdatasync(file)
(root / "other").touch()
os.replace(root / "other", root / "another")
(root / "gone" / "deep").mkdir(parents=True)
os.close(os.open(root / "gone" / "deep" / "x", os.O_CREAT | os.O_WRONLY))
shutil.rmtree(root / "gone")
os.link(root / "before", root / "linked")
shutil.copyfile(root / "before", root / "copied")
folder = os.open(root, os.O_RDONLY)
os.fsync(folder)
sqlite3.connect(":memory:").execute("CREATE TABLE t (x)")
outside = sqlite3.connect(sys.argv[2])
outside.execute("CREATE TABLE t (x)")
sys.stdout.buffer.write(msgspec.msgpack.encode(log.ops))
sys.stdout.flush()
os._exit(0)
"""


def test_all_that_is_written_is_seen(tmp_path: Path):
    root, start = tmp_path / "root", tmp_path / "start"
    for folder in (root, start):
        folder.mkdir()
        (folder / "before").write_bytes(b"was here before" * 100)
    command = [sys.executable, "-c", WRITER, str(root), str(tmp_path / "outside.db")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()
    ops = msgspec.msgpack.decode(done.stdout, type=list[Op])
    disk = Disk(start)
    for op in ops:
        disk.do(op)
    there = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert disk.whole() == {name: data for name, data in there.items() if not name.endswith("-shm")}
    assert set(disk.whole()) == {"before", "another", "linked", "copied", "kept/a.db", "kept/a.db-wal"}
    words = [op.data for op in ops if op.kind == "say"]
    assert words == [b"row", b"done"]
    row, end = (next(i for i, op in enumerate(ops) if op.data == word) for word in words)
    kinds = [op.kind for op in ops[row:end]]
    assert kinds[-1] == "say" or kinds.index("write") < kinds.index("sync")  # on the disk before it is said
    assert sum(len(op.data) for op in ops[row:end] if op.kind == "write") > 9000
    after = [(op.kind, op.path) for op in ops[end:]]
    assert after.index(("sync", "made/a.db-wal")) < after.index(("sync", "made/a.db"))  # as a checkpoint must
    assert ("sync", "before") in after and ("names", ".") in after
