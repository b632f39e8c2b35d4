from perdure.bench import store
from perdure.world.tip import SNAPSHOT_COMMITS


def test_a_small_store_is_measured():
    figures = store.run(events=2000, chunks=0, appends=20)
    assert figures["events"] > 2000
    assert figures["commits_checked"] == SNAPSHOT_COMMITS - 1
    assert 10 < figures["bytes_per_event"] < 500
    for name in ("open_ms", "append_p50_ms", "append_p99_ms", "fsync_p99_ms", "event_p99_ms", "fork_ms", "goto_ms"):
        assert 0 < figures[name] < 10_000
