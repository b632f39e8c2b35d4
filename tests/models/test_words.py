"""Words reach whom they are meant for: slots are independent, come and go, and start by changing nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from perdure.models.adapters.words import WIDTH, Factors, Hearing, Listen, factors
from perdure.models.attention import Roles
from perdure.models.conditions import Given, Past
from perdure.models.config import Adapters, TransformerConfig
from perdure.models.context import ANCHOR, Slot
from perdure.models.dit import Transformer
from perdure.models.words import Words, pack, template

CONFIG = Adapters(words="slots", word_dim=6, word_slots=4, word_length=5, word_kinds=3, word_deeds=7, word_rank=4)
KINDS, DEEDS = ("knight", "crab", "bird"), ("leap", "slam", "dance", "peck", "roll", "wave", "sit")
WAYS = ("slots", "index", "factors")  # whose slots stand by themselves
EVERY = "template", *WAYS
DIM, GRID = 12, (1, 3, 4)


def slot(entity: int, length: int = 3) -> Slot:
    rng = np.random.default_rng(entity)
    anchor = rng.uniform(-1, 1, ANCHOR).astype(np.float32)
    tokens = rng.standard_normal((length, CONFIG.word_dim), np.float32)
    return Slot(entity, tokens, anchor, KINDS[entity % 3], DEEDS[entity % 7])


def packed(*slots: Slot, way: str = "slots") -> Words:
    if way == "template":  # of all of them together
        slots = (joint(*slots),) if slots else ()
    words = pack(slots, *replace(CONFIG, words=way).told, CONFIG.word_dim, KINDS, DEEDS)
    return Words(*(torch.from_numpy(field).unsqueeze(0) for field in words))


def joint(*slots: Slot) -> Slot:
    return Slot(slots[0].entity, np.concatenate([it.tokens for it in slots]), np.zeros(ANCHOR, np.float32))


def ear(way: str) -> tuple[Hearing, Listen]:
    torch.manual_seed(0)
    return Hearing(replace(CONFIG, words=way)).eval(), Listen(DIM).eval()


def learnt(listen: Listen) -> Listen:
    torch.nn.init.normal_(listen.to_out.weight)
    return listen


def found(hearing: Hearing, listen: Listen, words: Words) -> Tensor:
    x = torch.randn(1, 12, DIM, generator=torch.Generator().manual_seed(1))
    return listen(x, *hearing(words), hearing.places(*GRID))


@pytest.mark.parametrize("way", EVERY)
def test_nothing_is_changed_before_anything_is_learnt_and_then_all_of_it_learns(way: str) -> None:
    hearing, listen = ear(way)
    # A template is learnt in full length: each place in it has an order of its own.
    words = packed(*(slot(i, CONFIG.word_length) for i in range(1, 5)), way=way)
    assert not found(hearing, listen, words).any()
    step = torch.optim.SGD([*hearing.parameters(), *listen.parameters()], lr=0.1)
    for _ in range(2):  # the first step moves the output alone
        step.zero_grad()
        (found(hearing, listen, words) - 1).square().sum().backward()
        step.step()
    still = [name for name, p in [*hearing.named_parameters(), *listen.named_parameters()] if not p.grad.any()]  # type: ignore[union-attr]
    assert still == []


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=15, deadline=None)
@given(
    entities=st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True),
    others=st.lists(st.integers(51, 99), max_size=3, unique=True),
    data=st.data(),
)
def test_a_slot_is_the_same_whoever_else_is_told_something(
    way: str, entities: list[int], others: list[int], data: st.DataObject
) -> None:
    hearing, _ = ear(way)
    among = data.draw(st.permutations([entities[0], *others]))
    alone, _ = hearing(packed(slot(entities[0])))
    beside, heard = hearing(packed(*map(slot, among)))
    own = beside[0, 1:].unflatten(0, (CONFIG.word_slots, -1))[among.index(entities[0])]
    assert torch.equal(own, alone[0, 1:].unflatten(0, (CONFIG.word_slots, -1))[0])
    assert heard[0, 1:].unflatten(0, (CONFIG.word_slots, -1)).any(1).sum() == len(among)


@pytest.mark.parametrize("way", WAYS)
def test_slots_have_no_order_and_who_falls_silent_is_as_if_never_told(way: str) -> None:
    hearing, listen = ear(way)
    learnt(listen)
    one, two = slot(1), slot(2, length=5)
    both = found(hearing, listen, packed(one, two))
    assert torch.allclose(both, found(hearing, listen, packed(two, one)), atol=1e-5)
    left = packed(one, two).without(torch.tensor([[False, True, False, False]]))
    assert torch.allclose(found(hearing, listen, left), found(hearing, listen, packed(one)), atol=1e-6)
    assert (both - found(hearing, listen, packed(one))).abs().max() > 1e-3  # what the second says counts
    nobody = found(hearing, listen, packed())
    assert torch.equal(found(hearing, listen, packed(one, two).silent()), nobody)
    assert nobody.isfinite().all()


@pytest.mark.parametrize("way", WAYS)
def test_words_find_their_entity_by_where_it_stands(way: str) -> None:
    hearing, listen = ear(way)
    learnt(listen)
    here = slot(1)
    there = replace(here, anchor=-here.anchor)
    assert (found(hearing, listen, packed(here)) - found(hearing, listen, packed(there))).abs().max() > 1e-3
    places = hearing.places(2, 3, 4)
    assert torch.equal(places[:12], places[12:])  # each latent of a chunk is the same picture
    assert torch.pdist(places[:12]).min() > 1e-3  # whose cells are told apart


def test_what_has_no_number_is_not_heard_and_a_strange_kind_is_not_a_known_one() -> None:
    for way in ("index", "factors"):
        hearing, listen = ear(way)
        learnt(listen)
        strange, known = replace(slot(1), deed="yodel"), slot(1)
        assert torch.equal(found(hearing, listen, packed(strange)), found(hearing, listen, packed()))
        other = found(hearing, listen, packed(replace(known, kind="dragon")))
        assert (other - found(hearing, listen, packed(known))).abs().max() > 1e-4


def test_codes_of_low_rank_keep_what_words_mean() -> None:
    torch.manual_seed(0)
    words = torch.randn(7, 3) @ torch.randn(3, 20)  # as if there were three meanings
    words = torch.nn.functional.normalize(words, dim=-1)
    code = factors(words, 4)
    wanted = (words - words.mean(0)) @ (words - words.mean(0)).T
    made = code @ code.T
    assert torch.allclose(made / made.trace(), wanted / wanted.trace(), atol=1e-5)
    assert torch.isclose(code.square().sum(1).mean(), torch.tensor(1.0))
    assert factors(words, 30).shape == (7, 30)


def test_frozen_codes_stay_and_load_where_they_are_trained() -> None:
    frozen, trained = Factors(CONFIG), Factors(replace(CONFIG, word_frozen=False))
    frozen.start(torch.randn(3, 6), torch.randn(7, 6))
    assert {"kinds", "deeds"} & dict(frozen.named_parameters()).keys() == set()
    trained.load_state_dict(frozen.state_dict())
    assert torch.equal(trained.get_parameter("deeds"), frozen.get_buffer("deeds"))
    with pytest.raises(ValueError, match="expected words of 7 deeds, got 6"):
        frozen.start(torch.randn(3, 6), torch.randn(6, 6))


def test_slots_are_packed_at_one_shape_cut_where_they_are_too_long() -> None:
    words = pack([slot(1, length=9), slot(2)], 4, 5, 6)
    assert [field.shape for field in words] == [(4, 5, 6), (4, 5), (4, ANCHOR), (4,), (4,)]
    assert words.heard.sum(1).tolist() == [5, 3, 0, 0]
    assert np.array_equal(words.tokens[0], slot(1, length=9).tokens[:5])
    assert words.silent().heard.sum() == 0 and words.heard.sum() == 8
    with pytest.raises(ValueError, match="expected at most 1 slots, got 2"):
        pack([slot(1), slot(2)], 1, 5, 6)
    with pytest.raises(ValueError, match=r"expected tokens \(L, 7\)"):
        pack([slot(1)], 1, 5, 7)


def test_a_template_has_room_for_a_sentence_of_each_and_every_word_moves_the_others() -> None:
    hearing, listen = ear("template")
    learnt(listen)
    assert replace(CONFIG, words="template").told == (1, 20) and CONFIG.told == (4, 5)
    each = [slot(i, CONFIG.word_length) for i in range(4)]
    words = packed(*each, way="template")
    assert words.heard.sum() == 20 and torch.equal(words.tokens[0, 0], torch.from_numpy(joint(*each).tokens))
    louder = packed(*each[:3], replace(each[3], tokens=each[3].tokens + 1), way="template")
    assert (found(hearing, listen, words) - found(hearing, listen, louder)).abs().max() > 1e-3, "the last is heard"
    fewer = packed(slot(0, 4), *each[1:], way="template")
    moved = (hearing(fewer)[0][:, 1 + 4 : 1 + 19] - hearing(words)[0][:, 1 + 5 : 1 + 20]).abs().amax(-1)
    assert (moved > 1e-3).all(), "a word less for one moves the words of all others"


def test_one_sentence_for_each_makes_the_template() -> None:
    told = [("the red knight", "leap and slam."), ("boss", "dance")]
    assert template(told) == "The red knight performs leap and slam. Boss performs dance."
    assert template([]) == ""


def test_a_config_that_asks_for_the_impossible_is_told() -> None:
    with pytest.raises(ValueError, match="expected words of 'template'"):
        Hearing(replace(CONFIG, words="song"))
    with pytest.raises(ValueError, match="expected numbers of kinds and deeds"):
        Hearing(replace(CONFIG, words="index", word_kinds=0))
    assert Hearing(replace(CONFIG, words="template")).nobody.shape[-1] == WIDTH


TINY = TransformerConfig(
    in_channels=4, out_channels=4, heads=2, head_dim=12, layers=2, ffn=24, text_dim=0, frequency_dim=16,
    history="block-diagonal", adapters=CONFIG,
)  # fmt: skip
LATENTS = torch.randn(1, 4, 3, 4, 6, generator=torch.Generator().manual_seed(2))
LEVEL = torch.tensor([[0.0, 0.0, 700.0]])


def transformer(fresh: bool = False, way: str = "slots") -> Transformer:
    torch.manual_seed(0)
    model = Transformer(replace(TINY, adapters=replace(CONFIG, words=way))).eval()
    for name, parameter in model.named_parameters():
        if not (fresh and name.startswith("adapters.")) and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def test_a_fresh_ear_changes_no_bit_and_a_taught_one_only_what_is_drawn() -> None:
    roles = Roles(torch.arange(3), torch.tensor([False, False, True]))
    told = Given(words=packed(slot(1), slot(2)))
    with torch.no_grad():
        fresh, model = transformer(fresh=True), transformer()
        assert torch.equal(fresh(LATENTS, LEVEL, given=told, roles=roles), fresh(LATENTS, LEVEL, roles=roles))
        deaf, heard = model(LATENTS, LEVEL, roles=roles), model(LATENTS, LEVEL, given=told, roles=roles)
        assert torch.equal(heard[:, :, :2], deaf[:, :, :2])
        assert (heard - deaf)[:, :, 2].abs().max() > 1e-4


@pytest.mark.parametrize("way", ["slots", "template"])
def test_words_come_and_go_while_it_streams_and_the_cache_stays(way: str) -> None:
    model, roles = transformer(way=way), Roles(torch.arange(3), torch.tensor([False, False, True]))
    clean = torch.zeros(1, 1)
    with torch.no_grad():
        kept = []
        for told in (None, Given(words=packed(slot(1), way=way))):
            each = [model.remember(LATENTS[:, :, t : t + 1], clean, given=told) for t in (0, 1)]
            kept.append([torch.cat(side, 2) for side in zip(*each)])
        assert all(torch.equal(a, b) for a, b in zip(*kept))  # what is remembered never heard them
        past = Past(kept[0][0], kept[0][1], torch.tensor([[0.0, 1.0]]))
        for who in ((1,), (1, 2), (2,), ()):
            words = packed(*map(slot, who), way=way)
            streamed = model.denoise(
                LATENTS[:, :, 2:], LEVEL[:, 2:], past, given=Given(words=words), times=torch.tensor([[2.0]])
            )
            whole = model(LATENTS, LEVEL, given=Given(words=words), roles=roles)[:, :, 2:]
            assert (streamed - whole).abs().max() <= 1e-5 * whole.abs().max()


def test_words_are_heard_in_half_precision_too() -> None:
    model, told = transformer(), Given(words=packed(slot(1), slot(2)))
    with torch.no_grad():
        whole = model(LATENTS, LEVEL, given=told)
        half = model.to(torch.bfloat16)(LATENTS.to(torch.bfloat16), LEVEL, given=told)
    assert half.dtype == torch.bfloat16 and (half - whole).abs().max() < 0.1 * whole.abs().max()


def test_words_where_the_config_has_no_ear_are_told() -> None:
    model = Transformer(replace(TINY, adapters=Adapters()))
    with pytest.raises(ValueError, match="expected no words"):
        model(LATENTS, LEVEL, given=Given(words=packed()))
