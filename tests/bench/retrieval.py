"""What each part of the ranking does, on the development questions, on the starter library and on two public sets.

Read `make bench` by column: a part earns its place where leaving it out costs something on more than one set.
"""

from __future__ import annotations

import json
import random
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import log2
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from knowledge import embedding, folder, index, ranking, sops, tables, vectors
from knowledge.elsewhere import Elsewhere
from knowledge.index import Entry, Index, Meaning, Stretch
from knowledge.words import terms

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
CACHE = ROOT / ".holdfast" / "bench"
SEEDS = (1, 2, 3)
"""Of the slips of the finger."""
COUNTED_WORDS = 220
"""Of a passage, so many words are looked at for the text that holds the answer."""


@dataclass(frozen=True)
class Row:
    """One way of ranking: recall@5 of each library's questions, and of all with a slip in each; right step first in the starter
    library; two nDCG@10."""

    what: str
    figures: Mapping[str, float]


def rows() -> Iterator[Row]:
    """Each way of ranking, ours first. Nothing where the shared data or the model are missing."""
    embedder = embedding.local(None, CACHE / "models")
    if not SHARED.is_dir() or embedder is None:
        return
    for what, changed, with_meaning in (
        ("ours", {}, True),
        ("by words alone", {}, False),
        ("without glossary", {"Lexical.GLOSSARY": 0.0}, True),
        ("without surroundings", {"Lexical.AROUND": 0.0}, True),
        ("without document", {"Lexical.DOCUMENT": 0.0}, True),
        ("without section", {"SECTION": 0.0}, True),
        ("misspelt words as they are", {"Spelling.LEAST": 99}, True),
        ("the same by words alone", {"Spelling.LEAST": 99}, False),
    ):
        with _changed(changed):
            built = {
                name: _index(name, embedder if with_meaning else None) for name in ("sops", "starter", "wixqa160", "techqa480")
            }
            slips = {"slips": sum(_development(built["sops"], seed)["all"] for seed in SEEDS) / len(SEEDS)}
            yield Row(what, _development(built["sops"]) | slips | _starter(built["starter"]) | _public(built))


@contextmanager
def _changed(values: Mapping[str, float]) -> Iterator[None]:
    kept: list[tuple[Any, str, Any]] = []
    for path, value in values.items():
        owner, _, name = path.rpartition(".")
        place: Any = getattr(ranking, owner) if owner else ranking
        kept.append((place, name, getattr(place, name)))
        setattr(place, name, value)
    try:
        yield
    finally:
        for place, name, value in kept:
            setattr(place, name, value)


def _index(name: str, embedder: embedding.Embedder | None) -> Index:
    entries = _entries(name)
    if embedder is None:
        return Index(entries)
    texts = [vectors.worded(entry.title, entry.heading, entry.text) for entry in entries]
    nearest = vectors.Exact(vectors.kept(texts, embedder, CACHE / name), embedder)
    return Index(entries, Meaning(nearest, embedder.id, Elsewhere(embedder)))


@cache
def _entries(name: str) -> tuple[Entry, ...]:
    if name == "sops":
        return folder.entries(SHARED / "sops", CACHE)
    if name == "starter":
        files = sorted((ROOT / "knowledge" / "starter").glob("*.md"))
        return tuple(entry for file in files for entry in _of(sops.parse(file.read_text("utf-8"), file.name), "", ""))
    documents = _lines(SHARED / "ir" / name / "corpus.jsonl")
    return tuple(entry for d in documents for entry in _of(sops.loose(d["text"], "x.md"), d["_id"], d["title"]))


def _of(sop: sops.Sop, doc: str, title: str) -> Iterator[Entry]:
    for cut in index.cuts(sop):
        text = sops.excerpt(sop.source, cut.start, cut.end)
        worth = index.standing(cut.step, cut.heading, text) if sop.authored else 1.0
        yield Entry(
            doc or sop.id, tables.text(title or sop.title), cut.heading, cut.step, text, cut.start, cut.end, standing=worth
        )


def _development(built: Index, slip: int | None = None) -> dict[str, float]:
    """`slip`: each question with one slip of the finger, by this seed."""
    found: dict[str, list[bool]] = {}
    mask = index.everything(built.entries)
    for question in _lines(SHARED / "questions" / "dev.jsonl"):
        if not question["answers"]:
            continue
        asked = question["question"] if slip is None else slipped(question["question"], slip)
        shown = [_shown(built, s) for s in built.stretches(built.search(asked, mask, 200), 5)]
        met = all(any(holds(quote, text) for quote in _quotes(a) for text in shown) for a in question["answers"])
        found.setdefault(question["answers"][0]["doc"].split("-")[0], []).append(met)
    every = [met for each in found.values() for met in each]
    return {"all": sum(every) / len(every)} | {name: sum(each) / len(each) for name, each in sorted(found.items())}


def slipped(question: str, seed: int) -> str:
    """The question with one letter of one of its words too many, missing, wrong, or swapped with the next."""
    dice = random.Random(f"{seed} {question}")
    words = [found for found in re.finditer(r"(?<![\w'’-])[A-Za-z]{4,}(?![\w'’-])", question) if terms(found[0])]
    if not words:
        return question
    found = dice.choice(words)
    word = found[0]
    while word == found[0]:
        at, letter = dice.randrange(len(word)), dice.choice(ascii_lowercase)
        ways = (letter + word[at:], word[at + 1 :], letter + word[at + 1 :], word[at + 1 : at + 2] + word[at] + word[at + 2 :])
        word = word[:at] + dice.choice(ways)
    return question[: found.start()] + word + question[found.end() :]


def _shown(built: Index, stretch: Stretch) -> str:
    text = " ".join(entry.text for entry in built.entries[stretch.first : stretch.last + 1])
    return " ".join(text.split()[:COUNTED_WORDS])


def _quotes(answer: Mapping[str, Any]) -> list[str]:
    return [answer["quote"], *(other["quote"] for other in answer.get("also", ()))]


def holds(quote: str, text: str) -> bool:
    """Whether 60 % of the quote's words stand in the text in order, within a stretch of twice its length."""
    wanted, there = (re.findall(r"\w+", each.lower()) for each in (quote, text))
    span, step = 2 * len(wanted), max(1, len(wanted) // 2)
    starts = range(0, max(1, len(there) - span + step), step)
    return any(_in_order(wanted, there[at : at + span]) >= 0.6 * len(wanted) for at in starts)


def _in_order(wanted: Sequence[str], there: Sequence[str]) -> int:
    before = [0] * (len(there) + 1)
    for word in wanted:
        row = [0]
        for at, other in enumerate(there, 1):
            row.append(before[at - 1] + 1 if word == other else max(before[at], row[-1]))
        before = row
    return before[-1]


def _starter(built: Index) -> dict[str, float]:
    groups = tomllib.loads((ROOT / "tests" / "knowledge" / "questions.toml").read_text("utf-8"))
    mask = index.everything(built.entries)
    first = []
    for question in (q for group in groups.values() for q in group if "about" in q):
        best = built.search(question["asks"], mask, 1).hits[0].entry
        first.append(f"{best.doc}#{best.step}".startswith(question["about"]))
    return {"starter": sum(first) / len(first)}


def _public(built: Mapping[str, Index]) -> dict[str, float]:
    figures = {}
    for name in ("wixqa160", "techqa480"):
        gold: dict[str, dict[str, int]] = {}
        for line in (SHARED / "ir" / name / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
            query, doc, score = line.split("\t")
            gold.setdefault(query, {})[doc] = int(score)
        asked = [q for q in _lines(SHARED / "ir" / name / "queries.jsonl") if any(gold.get(q["_id"], {}).values())]
        figures[name] = sum(_ndcg(built[name], q["text"], gold[q["_id"]]) for q in asked) / len(asked)
    return figures


def _ndcg(built: Index, question: str, gold: Mapping[str, int]) -> float:
    hits = built.search(question, index.everything(built.entries), 200).hits
    docs = list(dict.fromkeys(hit.entry.doc for hit in hits))[:10]
    got = sum(gold.get(doc, 0) / log2(n + 2) for n, doc in enumerate(docs))
    return got / sum(score / log2(n + 2) for n, score in enumerate(sorted(gold.values(), reverse=True)[:10]))


def _lines(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
