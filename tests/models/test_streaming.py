"""Streaming, chunk by chunk, is the whole clip under the same mask."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from perdure.models.adapters.camera import cameras
from perdure.models.attention import KINDS, Roles
from perdure.models.cache import Cache
from perdure.models.camera import look
from perdure.models.conditions import Cameras, Given, Past
from perdure.models.config import Adapters, TransformerConfig
from perdure.models.context import Remembered
from perdure.models.dit import Text, Transformer
from perdure.models.streaming import Roll, Whole, entry_shape

TINY = TransformerConfig(
    heads=2, head_dim=24, layers=3, ffn=64, frequency_dim=32, text_dim=20, in_channels=4, out_channels=4
)
TOLD = Adapters("81-way", camera="prope")
CHUNK, CHUNKS = 2, 4  # latents a chunk; all but the last are finished
SIZE = 4, 4


def learnt(config: TransformerConfig) -> Transformer:
    """A model in which everything counts."""
    torch.manual_seed(0)
    model = Transformer(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            torch.nn.init.normal_(weight, mean=float("norm" in name and "weight" in name), std=0.2)
    return model


def walk(count: int) -> Given:
    """Keys and cameras of a walk, told as its first camera has them."""
    poses = look(0.5 * torch.randn(1, count, 3).cumsum(1), torch.randn(1, count), 0.3 * torch.randn(1, count))
    lens = torch.tensor([0.65, 1.1, 0.5, 0.45]).expand(1, count, 4)
    return Given(torch.randint(0, 81, (1, count)), cameras(poses, lens, poses[:, 0], scale=0.2))


def picked(given: Given, numbers: list[int]) -> Given:
    return given.each(lambda x, axis: x.index_select(axis, torch.tensor(numbers, dtype=torch.long)))


def error(made: torch.Tensor, true: torch.Tensor) -> float:
    return float((made - true).abs().max() / true.abs().max())


@torch.no_grad()
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_stream_equals_full(kind: str, every: int) -> None:
    model = learnt(replace(TINY, history=kind, look_back_every=every))
    count = CHUNK * CHUNKS
    latents, text, level = torch.randn(2, 4, count, *SIZE), torch.randn(2, 5, 20), 700.0
    times = torch.arange(count).float().unsqueeze(0)
    chunk = torch.arange(count) // CHUNK
    levels = torch.where(chunk == CHUNKS - 1, level, 0.0).expand(2, -1)
    whole = model(latents, levels, text, times=times, roles=Roles(chunk, chunk == CHUNKS - 1))

    then, now = slice(0, count - CHUNK), slice(count - CHUNK, count)
    clean = torch.zeros(2)
    if kind == "memory-and-chunk":  # the whole context at once
        kept = model.remember(latents[:, :, then], clean, text, times=times[:, then])
    else:
        kept, past = None, None
        for i in range(CHUNKS - 1):
            piece = slice(i * CHUNK, (i + 1) * CHUNK)
            made = model.remember(latents[:, :, piece], clean, text, times=times[:, piece], past=past)
            kept = made if kept is None else tuple(torch.cat(pair, 2) for pair in zip(kept, made))
            if kind != "block-diagonal":
                past = Past(kept[0], kept[1], times[:, : piece.stop])
    assert kept is not None
    keys, values = kept

    def draw(there: torch.Tensor) -> torch.Tensor:
        past = Past(keys, values, there)
        return model.denoise(latents[:, :, now], clean + level, past, text, times=times[:, now])

    made, true = draw(times[:, then]), whole[:, :, now]
    assert error(made, true) <= 1e-5
    assert error(draw(times[:, then] - 9), true) > 1e-3  # the past is seen, and where it stands


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS[1:])
def test_memories_that_do_not_read_are_the_same_whatever_the_text(kind: str) -> None:
    model = learnt(replace(TINY, history=kind))
    latents, clean, text = torch.randn(1, 4, 2, *SIZE), torch.zeros(1), torch.randn(1, 5, 20)
    kept = [model.remember(latents, clean, read) for read in (None, text, model.listen(text))]
    same = [all(map(torch.equal, kept[0], other)) for other in kept[1:]]
    assert same == [kind in ("history-and-target", "block-diagonal")] * 2


@torch.no_grad()
@pytest.mark.parametrize("history", ["memory-and-chunk", "block-diagonal"])
def test_cameras_in_a_stream_are_those_of_the_whole(history: str) -> None:
    """Each latent by its own camera in the world; in the stream, by where memories stand to the coming camera."""
    config = replace(
        TINY, history=history, rotary=(4, 4, 4), rotary_pairs="halves", text_dim=0, adapters=Adapters(camera="heads")
    )
    model, count = learnt(config), 3
    latents, chunk = torch.randn(1, 4, count, *SIZE), torch.arange(count)
    to_clip = torch.eye(4) + 0.1 * torch.randn(1, count, 4, 4)
    cameras, levels = Cameras(to_clip, torch.linalg.inv(to_clip)), torch.tensor([[0.0, 0.0, 700.0]])
    whole = model(latents, levels, given=Given(cameras=cameras), roles=Roles(chunk, chunk == 2))

    seen_from = cameras.from_clip[:, 2:]  # what the coming camera sees is told in its own clip space
    then = Cameras(to_clip[:, :2] @ seen_from, to_clip[:, 2:] @ cameras.from_clip[:, :2])
    eye = torch.eye(4).expand(1, 1, 4, 4)
    if history == "memory-and-chunk":
        kept = model.remember(latents[:, :, :2], torch.zeros(1), given=Given(cameras=then))
    else:  # a memory that sees itself alone needs no camera
        alone = [model.remember(latents[:, :, i : i + 1], torch.zeros(1)) for i in range(2)]
        kept = tuple(torch.cat(pair, 2) for pair in zip(*alone))
    past = Past(kept[0], kept[1], torch.tensor([[-2.0, -1.0]]), from_clip=then.from_clip)
    made = model.denoise(latents[:, :, 2:], torch.tensor([700.0]), past, given=Given(cameras=Cameras(eye, eye)))
    assert error(made, whole[:, :, 2:]) <= 1e-5
    turned = past._replace(from_clip=then.from_clip.flip(1))
    assert error(model.denoise(latents[:, :, 2:], torch.tensor([700.0]), turned), made) > 1e-3


@torch.no_grad()
def test_a_rolling_cache_is_the_whole_clip_seen_through_a_window() -> None:
    config = replace(TINY, history="chunk-causal", recent=2)
    model, count = learnt(config), 9
    latents, text = torch.randn(1, 4, count, *SIZE), torch.randn(1, 5, 20)
    roles = Roles(torch.arange(count), torch.zeros(count, dtype=torch.bool))
    levels = torch.tensor([[*[0.0] * (count - 1), 700.0]])
    whole = model(latents, levels, text, roles=roles, window=2)

    roll = Roll(model, SIZE, cap=5)
    for i in range(count - 1):
        roll.add(latents[:, :, i : i + 1], text)
    again = Roll(model, SIZE, cap=5)
    again.cache.restore(roll.cache.snapshot())
    for stream in (roll, again):
        past, times = stream.past(1)
        made = model.denoise(latents[:, :, -1:], levels[:, -1], past, text, times=times)
        assert error(made, whole[:, :, -1:]) <= 1e-5
        assert times.tolist() == [[5.0]]
    unseen = Roll(model, SIZE, cap=5)
    for i in range(count - 3, count - 1):
        unseen.add(latents[:, :, i : i + 1], text)
    past, times = unseen.past(1)
    rebuilt = model.denoise(latents[:, :, -1:], levels[:, -1], past, text, times=times)
    assert error(rebuilt, made) > 1e-4  # what was let go still counts: this is why it must be kept


@torch.no_grad()
@pytest.mark.parametrize(("chunk", "kind"), [(1, "history-and-target"), (2, "chunk-causal")])
def test_a_roll_with_a_sink_keys_and_cameras_is_the_whole_clip(chunk: int, kind: str) -> None:
    model = learnt(replace(TINY, history=kind, sink=chunk, recent=2 * chunk, adapters=TOLD))
    count, last = 9 * chunk, 8 * chunk
    latents, text, given = torch.randn(1, 4, count, *SIZE), torch.randn(1, 5, 20), walk(count)
    belongs = torch.arange(count) // chunk
    roles, levels = Roles(belongs, belongs == 8), torch.where(belongs == 8, 700.0, 0.0).unsqueeze(0)
    whole, without = (
        model(latents, levels, text, given=given, roles=roles, window=2, sink=sink)[:, :, last:] for sink in (1, 0)
    )

    roll, again = (Roll(model, SIZE, cap=count) for _ in range(2))
    for i in range(0, last, chunk):
        roll.add(latents[:, :, i : i + chunk], text, given.cut(i, i + chunk))
    again.cache.restore(roll.cache.snapshot())

    def drawn(past: Past, times: torch.Tensor) -> torch.Tensor:
        coming = given.cut(last, count)
        return model.denoise(latents[:, :, last:], levels[:, last:], past, text, given=coming, times=times)

    past, times = roll.past(chunk)
    made = drawn(past, times)
    assert error(made, whole) <= 1e-5 and torch.equal(drawn(*again.past(chunk)), made)
    assert past.from_clip is not None
    assert error(drawn(past._replace(from_clip=past.from_clip.flip(1)), times), made) > 1e-3
    assert error(without, made) > 1e-4
    with pytest.raises(ValueError, match="expected cameras with each latent"):
        roll.add(latents[:, :, :chunk], text)
    roll.reread([latents[0, :, n] for n in roll.held], text, picked(given, roll.held), chunk)
    assert roll.held == again.held == [*range(chunk), *range(6 * chunk, 8 * chunk)]


def test_a_past_that_is_kept_in_another_way_than_was_learnt_is_refused() -> None:
    def model(history: str, recent: int = 2) -> Transformer:
        return Transformer(replace(TINY, layers=1, history=history, recent=recent))

    for history, belongs in (
        ("chunk-causal", ", which is for Roll"),
        ("block-diagonal", ", which is for Cache"),
        ("full", ""),
    ):
        with pytest.raises(ValueError, match=f"'memory-and-chunk' for Whole, got '{history}'{belongs}$"):
            Whole(model(history), SIZE)
    for history, belongs in (("memory-and-chunk", "Whole"), ("block-diagonal", "Cache")):
        with pytest.raises(ValueError, match=f"'chunk-causal' or 'history-and-target' for Roll, got .*{belongs}"):
            Roll(model(history), SIZE, cap=5)
    with pytest.raises(ValueError, match="a window of 1 latent or more"):
        Roll(model("chunk-causal", recent=0), SIZE, cap=5)
    with pytest.raises(ValueError, match="expected slots for a context"):
        Whole(model("memory-and-chunk", recent=0), SIZE)
    with pytest.raises(ValueError, match=r"history of full, chunk-causal, .*, got 'memry'"):
        model("memry")
    with pytest.raises(ValueError, match="slots of 0 or more"):
        model("chunk-causal", recent=-1)


@torch.no_grad()
@pytest.mark.parametrize("chunk", [1, 2])
def test_a_changed_prompt_is_read_by_what_is_held_too(chunk: int) -> None:
    """Read anew, a stream goes on as one that never heard the old prompt: the same latents, so the same motion."""
    model = learnt(replace(TINY, history="chunk-causal", recent=6, sink=1))
    latents = torch.randn(1, 4, 6, *SIZE)
    before, after = (model.listen(torch.randn(1, 5, 20)) for _ in range(2))

    def stream(text: Text | None) -> Roll:
        roll = Roll(model, SIZE, cap=9)
        for piece in latents.split(chunk, 2):
            roll.add(piece, text)
        return roll

    def drawn(roll: Roll, text: Text | None) -> torch.Tensor:
        past, times = roll.past(1)
        return model.denoise(torch.ones(1, 4, 1, *SIZE), torch.tensor([700.0]), past, text, times=times)

    changed, never = stream(before), stream(after)
    told = drawn(changed, after)
    changed.reread(list(latents[0].unbind(1)), after, chunk=chunk)
    assert (changed.held, changed.cache.next) == (never.held, never.cache.next) == ([0, 1, 2, 3, 4, 5], 6)
    assert torch.equal(drawn(changed, after), drawn(never, after))
    assert error(told, drawn(never, after)) > 1e-3  # what it held still had the old one in it
    with pytest.raises(ValueError, match="expected the 6 latents that are held, got 2"):
        changed.reread(list(latents[0, :, :2].unbind(1)), after)


@torch.no_grad()
def test_what_has_left_the_window_is_not_read_anew() -> None:
    model = learnt(replace(TINY, history="chunk-causal", recent=3, sink=1))
    roll, latents, text = Roll(model, SIZE, cap=9), torch.randn(1, 4, 8, *SIZE), torch.randn(1, 5, 20)
    for piece in latents.split(1, 2):
        roll.add(piece)
    assert roll.held == [0, 5, 6, 7]
    roll.reread([latents[0, :, n] for n in roll.held], text)
    assert (roll.held, roll.cache.next) == ([0, 5, 6, 7], 8)
    assert roll.past(1)[0].present is None and roll.cache.keys.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize(("sink", "recent", "chunk"), [(1, 3, 4), (1, 4, 3), (4, 3, 3), (1, 1, 3)])
def test_a_chunk_that_is_held_in_part_keeps_its_numbers_when_read_anew(sink: int, recent: int, chunk: int) -> None:
    model = learnt(replace(TINY, layers=1, history="chunk-causal", recent=recent, sink=sink))
    roll, latents, text = Roll(model, SIZE, cap=12), torch.randn(1, 4, 12, *SIZE), torch.randn(1, 5, 20)
    for piece in latents.split(chunk, 2):
        roll.add(piece)
        held, coming = roll.held, roll.cache.next
        roll.reread([latents[0, :, n] for n in held], text, chunk=chunk)
        assert (roll.held, roll.cache.next) == (held, coming)


def test_five_thousand_latents_roll_by_and_all_stand_in_range() -> None:
    roll = Roll(Transformer(replace(TINY, layers=1, history="chunk-causal", sink=2, recent=6)), SIZE, cap=12)
    entry = torch.zeros(1, 4, 2, 24)
    for _ in range(5_000):
        roll.cache.put(entry, entry)
        past, now = roll.past(1)
        there = torch.ones_like(past.times, dtype=torch.bool) if past.present is None else past.present
        stand = [*past.times[there].tolist(), *now[0].tolist()]
        assert min(stand) >= 0 and max(stand) <= 12 and len(set(stand)) == len(stand)
    assert sorted(n for n in roll.cache.numbers if n is not None) == [0, 1, *range(4_994, 5_000)]


@torch.no_grad()
def test_a_context_that_is_encoded_anew_depends_on_nothing_else() -> None:
    """Past three turnovers of its slots, and with other memories recalled, a fresh one has the same bytes."""
    model = learnt(replace(TINY, history="memory-and-chunk", sink=1, recent=2, recalled=1))
    world, text = torch.randn(14, 4, *SIZE), torch.randn(1, 5, 20)
    lived, buffers = Whole(model, SIZE, level=14.0), None
    for step in range(13):
        context = sorted({0, *range(max(0, step - 2), step), step * 5 % max(1, step)} if step else [])
        latents = [world[i] for i in context]
        seen = [whole.past(latents, 1, text) for whole in (lived, Whole(model, SIZE, level=14.0))]
        (past, times), (fresh, _) = seen
        assert (past.present is None) == (fresh.present is None) == (len(context) == 4)
        there = torch.ones(4, dtype=torch.bool) if past.present is None else past.present[0]
        assert there.sum() == len(context) and (fresh.present is None or torch.equal(there, fresh.present[0]))
        assert torch.equal(past.keys[:, :, there], fresh.keys[:, :, there])
        made = [
            model.denoise(world[13:].transpose(0, 1)[None], torch.ones(1), p, text, times=times) for p in (past, fresh)
        ]
        assert torch.equal(*made) and made[0].isfinite().all()
        where = past.keys.data_ptr(), past.values.data_ptr(), lived.present.data_ptr(), past.times.data_ptr()
        assert buffers in (None, where)  # nothing is allocated once it is there
        buffers = where


@torch.no_grad()
def test_worldplays_context_is_the_whole_clip_under_its_mask() -> None:
    """Keys of 81 ways and PRoPE; what was first, what is recent, another latent recalled each time, then fewer."""
    model = learnt(replace(TINY, history="memory-and-chunk", sink=1, recent=2, recalled=1, adapters=TOLD))
    world, text, given = torch.randn(14, 4, *SIZE), torch.randn(1, 5, 20), walk(14)
    lived, before = Whole(model, SIZE, level=14.0), None
    for context in ([0, 3, 8, 9], [0, 5, 10, 11], [0, 2, 10, 11], [0, 1], []):
        now = [context[-1] + 1, context[-1] + 2] if context else [0, 1]
        latents, at = torch.stack([world[i] for i in (*context, *now)], 1).unsqueeze(0), picked(given, [*context, *now])
        count = len(context)
        target = torch.arange(count + 2) >= count
        levels, times = torch.where(target, 700.0, 14.0)[None], (4 - count + torch.arange(count + 2.0))[None]
        true = model(latents, levels, text, given=at, times=times, roles=Roles(target.long(), target))[:, :, count:]
        for whole in (lived, Whole(model, SIZE, level=14.0)):
            past, then = whole.past(list(latents[0, :, :count].unbind(1)), 2, text, picked(given, context))
            made = model.denoise(latents[:, :, count:], levels[:, count:], past, text, None, picked(given, now), then)
            assert error(made, true) <= 1e-5
            assert before is None or torch.equal(made, before)  # a fresh one draws the same
            before = made
        before = None
        if count == 4:
            assert past.from_clip is not None
            turned = past._replace(from_clip=past.from_clip.flip(1))
            made = model.denoise(latents[:, :, count:], levels[:, count:], turned, text, None, picked(given, now), then)
            assert error(made, true) > 1e-3


@torch.no_grad()
def test_a_context_read_anew_hears_a_changed_prompt_and_needs_no_mask_once_it_is_full() -> None:
    model = learnt(replace(TINY, history="memory-and-chunk", recent=2, recalled=1))
    latents, noise, whole = list(torch.randn(3, 4, *SIZE)), torch.randn(1, 4, 1, *SIZE), Whole(model, SIZE)
    prompts = [model.listen(torch.randn(1, 5, 20)) for _ in range(2)]

    def drawn(whole: Whole, text: Text | None) -> torch.Tensor:
        past, times = whole.past(latents, 1, text)
        assert past.present is None
        masked = past._replace(present=torch.ones(1, 3, dtype=torch.bool))
        made, same = (model.denoise(noise, torch.tensor([700.0]), p, text, times=times) for p in (past, masked))
        assert error(made, same) <= 1e-5
        return made

    first, changed = (drawn(whole, text) for text in prompts)
    assert torch.equal(changed, drawn(Whole(model, SIZE), prompts[1]))
    assert error(first, changed) > 1e-3


@torch.no_grad()
def test_memories_that_stand_by_themselves_are_rebuilt_to_the_same_bytes() -> None:
    model = learnt(replace(TINY, history="block-diagonal", text_dim=0, recent=2, recalled=1))
    random, no_action = np.random.default_rng(0), np.zeros(0, np.float32)
    made = [Remembered(bytes([i]), random.normal(size=(4, *SIZE)).astype(np.float16), no_action) for i in range(12)]

    def encode(memory: Remembered) -> tuple[torch.Tensor, torch.Tensor]:
        latent = torch.from_numpy(memory.latent.astype(np.float32))[None, :, None]
        keys, values = model.remember(latent, torch.zeros(1))
        return keys[0, :, 0], values[0, :, 0]

    lived = Cache(3, entry_shape(model, SIZE), keep=4, zeros=torch.zeros)
    buffers = lived.keys.data_ptr(), lived.kept_keys.data_ptr()
    for step in range(12):
        chosen = [made[i] for i in sorted({*range(max(0, step - 2), step), step * 7 % max(1, step)})] if step else []
        fresh = Cache(3, entry_shape(model, SIZE), keep=4, zeros=torch.zeros).gather(chosen, encode)
        for a, b in zip(lived.gather(chosen, encode), fresh):
            assert torch.equal(a, b)
    assert buffers == (lived.keys.data_ptr(), lived.kept_keys.data_ptr())


@torch.no_grad()
def test_what_is_held_is_frozen_while_a_chunk_is_drawn_and_nothing_is_allocated_again() -> None:
    sizes = {"sink": 1, "recent": 2, "text_dim": 0, "adapters": TOLD}
    causal, given = learnt(replace(TINY, history="chunk-causal", **sizes)), walk(12)
    latents, noise = torch.randn(1, 4, 12, *SIZE), torch.randn(1, 4, 2, *SIZE)
    roll, buffers = Roll(causal, SIZE, cap=8), set[tuple[int, ...]]()
    for i in range(0, 12, 2):
        past, times = roll.past(2)
        kept, held = roll.cache.snapshot(), [x.clone() for x in past if x is not None]
        for level in (900.0, 400.0):
            causal.denoise(noise, torch.tensor([level]), past, given=given.cut(i, i + 2), times=times)
        assert all(torch.equal(a, b) for a, b in zip(held, (x for x in past if x is not None), strict=True))
        roll.add(latents[:, :, i : i + 2], given=given.cut(i, i + 2))
        assert kept["next"] == i and torch.equal(kept["keys"].transpose(0, 1), held[0][0])  # though the stream went on
        assert not torch.equal(kept["keys"], roll.cache.keys) and roll.made is not None
        cache = roll.cache
        buffers.add(tuple(x.data_ptr() for x in (cache.keys, cache.values, cache.present, cache.from_clip, *roll.made)))
    assert len(buffers) == 1

    recalling = learnt(replace(TINY, history="memory-and-chunk", **sizes))
    past, times = Whole(recalling, SIZE).past(list(latents[0, :, :3].unbind(1)), 2, given=given.cut(0, 3))
    alone, no_action = learnt(replace(TINY, history="block-diagonal", **sizes)), np.zeros(0, np.float32)
    cache = Cache(3, entry_shape(alone, SIZE), zeros=torch.zeros)
    made = [Remembered(bytes([i]), latents[0, :, i].numpy(), no_action) for i in range(2)]

    def encode(memory: Remembered) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = alone.remember(torch.from_numpy(memory.latent)[None, :, None], torch.zeros(1))
        return keys[0, :, 0], values[0, :, 0]

    keys, values, present = cache.gather(made, encode)
    gathered = Past(keys.transpose(0, 1)[None], values.transpose(0, 1)[None], past.times, present[None], past.from_clip)
    for model, behind in ((recalling, past), (alone, gathered)):
        held = [x.clone() for x in behind if x is not None]
        for level in (900.0, 400.0):
            model.denoise(noise, torch.tensor([level]), behind, given=given.cut(3, 5), times=times)
        assert all(torch.equal(a, b) for a, b in zip(held, (x for x in behind if x is not None), strict=True))


@torch.no_grad()
def test_nothing_waits_for_the_device() -> None:
    """Under tensors that have shapes but no values, whoever asked for a value would fail."""
    with FakeTensorMode():
        model = Transformer(replace(TINY, history="memory-and-chunk", recent=2))
        whole = Whole(model, SIZE)
        past, times = whole.past([torch.randn(4, *SIZE)], 1)
        assert model.denoise(torch.randn(1, 4, 1, *SIZE), torch.ones(1), past, times=times).shape == (1, 4, 1, *SIZE)
        roll = Roll(Transformer(replace(TINY, history="chunk-causal", recent=2, sink=1, adapters=TOLD)), SIZE, cap=3)
        eye = torch.eye(4).expand(1, 1, 4, 4)
        for _ in range(5):
            roll.add(torch.randn(1, 4, 1, *SIZE), given=Given(torch.zeros(1, 1).long(), Cameras(eye, eye)))
        past, times = roll.past(1)
        given = Given(cameras=Cameras(eye, eye))
        made = roll.model.denoise(torch.randn(1, 4, 1, *SIZE), torch.ones(1), past, given=given, times=times)
        assert made.shape == (1, 4, 1, *SIZE)
        with pytest.raises(DataDependentOutputException):
            past.keys.sum().item()
