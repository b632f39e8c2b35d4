"""Commands: which deeds are meant by words, in whatever form a verb has and however politely they are asked for."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from perdure.world.action import Word
from perdure.world.deed import Deed

FORCED = ("hit", "die", "stagger")
"""What befalls a creature: never done because it was asked for, whatever its deeds say."""

MOST = 8  # deeds that one command can ask for

_BREAKS = {",", ";", ".", "!", "?", "then", "and", "before", "afterwards", "finally", "next"}
_PLAIN = {"a", "an", "the", "its", "his", "her", "their", "your", "my", "to", "of", "it", "him", "them", "now"}
_POLITE = {"please", "kindly", "you", "could", "would", "can", "will", "do"}
_NEVER = {"not", "never", "dont", "don't", "doesn't"}
_TIMES = {"once": 1, "twice": 2, "thrice": 3, "two": 2, "three": 3, "four": 4}
_IRREGULAR = {
    "run": "ran run", "sit": "sat", "throw": "threw thrown", "fall": "fell fallen", "rise": "rose risen",
    "swing": "swung", "strike": "struck stricken", "shake": "shook shaken", "leap": "leapt", "spin": "spun",
    "fly": "flew flown", "lie": "lay lain lying", "stand": "stood", "take": "took taken", "sweep": "swept",
    "thrust": "thrust", "go": "went gone goes", "put": "put", "get": "got gotten", "hold": "held", "fling": "flung",
    "rest": "rested", "sleep": "slept", "wake": "woke woken", "bite": "bit bitten", "sting": "stung",
    "dig": "dug", "creep": "crept", "slide": "slid", "let": "let", "set": "set", "lay": "laid", "give": "gave given",
    "bend": "bent", "sing": "sang sung", "draw": "drew drawn", "kneel": "knelt", "stick": "stuck", "swim": "swam swum",
}  # fmt: skip


def understood(deeds: Sequence[Deed], text: str) -> tuple[int, ...]:
    """The deeds that are asked for, by number and in turn; none where any part of it means no deed."""
    return _understood(tuple(deeds), text)


def known(deeds: Sequence[Deed]) -> str:
    """What a creature with these deeds can be asked to do, in words."""
    return ", ".join(deed.words[0] if deed.words else deed.name for deed in deeds if deed.name not in FORCED)


def addressed(text: str, names: Mapping[int, Sequence[str]]) -> Word | None:
    """Whom of these, each with what it may be called, words begin with, and what they go on to say. What several are
    called is nobody's name."""
    said = [(found.group().lower(), found.end()) for found in re.finditer(r"[a-zA-Z']+", text)]
    bare = [(word, end) for word, end in said if word not in _PLAIN]
    called: dict[tuple[str, ...], set[int]] = {}
    for entity, mine in names.items():
        for name in mine:
            words = tuple(word for word in re.findall(r"[a-z']+", name.lower()) if word not in _PLAIN)
            for part in {words, words[-1:]} - {()}:
                called.setdefault(part, set()).add(entity)
    for name in sorted(called, key=lambda name: (-len(name), name)):
        begins = tuple(word for word, _ in bare[: len(name)]) == name
        if begins and len(called[name]) == 1 and (rest := text[bare[len(name) - 1][1] :].strip(" ,:;.!")):
            return Word(min(called[name]), rest)
    return None


@lru_cache(maxsize=4096)
def _understood(deeds: tuple[Deed, ...], text: str) -> tuple[int, ...]:
    bases, phrases = _grammar(deeds)
    said = [word for word in re.findall(r"[a-z']+|[,;.!?]", text.lower()) if word not in _PLAIN | _POLITE]
    out: list[int] = []
    clause: list[int] = []
    strange = False
    at = 0
    while at <= len(said):
        word = said[at] if at < len(said) else "."
        match = next((p for p in phrases if _begins(p[0], said[at:], bases)), None)
        if match is not None:
            clause.append(match[1])
            at += len(match[0])
            continue
        at += 1
        if word in _NEVER:
            return ()
        if word in _BREAKS:
            if strange and not clause:
                return ()
            out += clause
            clause, strange = [], False
        elif word in _TIMES and clause:
            clause += clause[-1:] * (_TIMES[word] - 1)
        elif word != "times":
            strange = True
    return tuple(out[:MOST])


@lru_cache(maxsize=256)
def _grammar(
    deeds: tuple[Deed, ...],
) -> tuple[dict[str, set[str]], list[tuple[tuple[str, ...], int]]]:
    """Of each form of a word those that it is a form of; and what deeds are asked for by, the longest first."""
    phrases: list[tuple[tuple[str, ...], int]] = []
    for number, deed in enumerate(deeds):
        if deed.name in FORCED:
            continue
        for phrase in (*deed.words, deed.name):
            bare = tuple(word for word in re.findall(r"[a-z']+", phrase.lower()) if word not in _PLAIN)
            if bare and bare[0] not in FORCED:
                phrases.append((bare, number))
    phrases.sort(key=lambda phrase: -len(phrase[0]))
    bases: dict[str, set[str]] = {}
    for word in {word for phrase, _ in phrases for word in phrase}:
        for form in _forms(word):
            bases.setdefault(form, set()).add(word)
    return bases, phrases


def _begins(phrase: tuple[str, ...], said: list[str], bases: dict[str, set[str]]) -> bool:
    return len(said) >= len(phrase) and all(
        word == heard or word in bases.get(heard, ()) for word, heard in zip(phrase, said)
    )


def _forms(verb: str) -> set[str]:
    """A verb as it is said of others, in the past, and while it goes on; also such as nobody says."""
    stem = verb[:-1] if verb.endswith("e") else verb
    out = {verb, verb + "s", verb + "es", stem + "ing", verb + "ing", stem + "ed"}
    if verb.endswith("y"):
        out |= {verb[:-1] + "ies", verb[:-1] + "ied"}
    if verb.endswith("ie"):
        out.add(verb[:-2] + "ying")
    if re.fullmatch(r".*[^aeiou][aeiou][^aeiouwxy]", verb):
        out |= {verb + verb[-1] + "ing", verb + verb[-1] + "ed"}
    return out | set(_IRREGULAR.get(verb, "").split())
