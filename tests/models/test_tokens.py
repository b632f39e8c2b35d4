"""Words of the small model: cut as BERT's tokenizer cuts them, looked up alike everywhere."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from perdure.models.tokens import WORDS, Tokens, cut, table, words
from perdure.recipes.words import asked, judged, read_paraphrases

PARAPHRASES = Path(__file__).parents[2] / "benchmarks" / "words" / "paraphrases.txt"
SMALL = [
    "[UNK]",
    "a",
    "b",
    "c",
    "s",
    "##a",
    "##b",
    "##s",
    "leap",
    "##ing",
    "le",
    "##ap",
    "##aps",
    "slam",
    ".",
    "'",
    "é",
]


def bert(pieces: list[str]) -> Tokenizer:
    made = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


@settings(max_examples=150, deadline=None)
@given(
    st.text(st.sampled_from("abcs .'!-_ÉéßzŽ\n"), max_size=20)
    | st.lists(st.sampled_from(["leap", "leaping", "Leaps", "slams", "le", "ap", "a"])).map(" ".join)
)
def test_words_are_cut_as_bert_cuts_them(text: str) -> None:
    known = [token for token in bert(SMALL).encode(text).tokens if token != "[UNK]"]
    assert [piece for word in words(text) for piece in cut(word, dict.fromkeys(SMALL, 0))] == known


def saved(path: Path, pieces: list[str], codes: np.ndarray, scales: np.ndarray) -> Path:
    np.savez(path, pieces=np.frombuffer("\n".join(pieces).encode(), np.uint8), codes=codes, scales=scales)
    return path


def test_a_table_gives_what_it_holds(tmp_path: Path) -> None:
    codes = np.arange(6, dtype=np.int8).reshape(3, 2)
    table = Tokens(saved(tmp_path / "w.npz", ["leap", "##s", "up"], codes, np.array([1, 0.5, 2], np.float16)))
    np.testing.assert_array_equal(table("Leaps, UP!"), [[0, 1], [1, 1.5], [8, 10]])
    assert table("xyzzy").shape == (0, 2) and not table.meaning("xyzzy").any()
    assert np.isclose(np.linalg.norm(table.meaning("leap up")), 1)
    assert table.name != Tokens(saved(tmp_path / "v.npz", ["leap", "##s", "up"], codes + 1, np.ones(3))).name


def test_what_is_no_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "torn.npz").write_bytes(WORDS.read_bytes()[:1000])
    for name in ("none.npz", "torn.npz"):
        with pytest.raises(ValueError, match="expected a table of words"):
            Tokens(tmp_path / name)
    with pytest.raises(ValueError, match="expected a code of bytes and a scale for each piece"):
        Tokens(saved(tmp_path / "odd.npz", ["leap"], np.zeros((1, 4), np.float32), np.ones(1)))


def test_paraphrases_say_nothing_that_their_deed_is_asked_for_by() -> None:
    phrases, _ = asked()
    paraphrases = read_paraphrases(PARAPHRASES)
    assert paraphrases.keys() == phrases.keys() and all(len(texts) == 3 for texts in paraphrases.values())
    for deed, texts in paraphrases.items():
        for text in texts:
            assert not any(f" {phrase} " in f" {text} " for phrase in phrases[deed]), (deed, text)


def test_words_that_nobody_was_taught_lie_near_those_that_mean_the_same() -> None:
    """Of 47 deeds one in 47 would be hit by chance; `benchmarks/LOG.md` has what else was tried."""
    found = judged(table().meaning, read_paraphrases(PARAPHRASES))
    assert found["first"] > 0.3 and found["first three"] > 0.5 and found["apart"] > 1.4


def test_the_table_that_comes_with_perdure_is_small_and_knows_plain_english() -> None:
    assert WORDS.stat().st_size < 5_000_000 and table().width == 128
    saunter, walk, crab = (table().meaning(text) for text in ("saunter", "walk", "crab"))
    assert saunter @ walk > 2 * max(saunter @ crab, 0)
    assert len(table()("The red knight: leaps, and slams!")) == 9
