"""Other retrieval systems beside ours, on the same texts, vectors and questions in one run.

The systems are those of `../shared/tools/bench/bench_peers.py`. One whose package is not installed is left out and named: the
more of `langchain-chroma langchain-community langchain-classic rank-bm25 haystack-ai tantivy` there are, the longer the table.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from knowledge import embedding, index
from knowledge.index import Index
from tests.bench import retrieval

TOOLS = Path(__file__).parents[3] / "shared" / "tools" / "bench"
WINDOW = 200
"""Words of a passage that the others search, each under its document's title; ours cuts its own."""
KS = (1, 3, 5, 10)
DEPTH = 50
PUBLIC = ("wixqa160", "techqa480")


@dataclass(frozen=True)
class Row:
    """One system on one set: its figures in the order of the table's headings, and milliseconds of the processor a question."""

    system: str
    figures: tuple[float, ...]
    cpu_ms: float


def results() -> Iterator[Table]:
    """Tables to print, as they are measured; none where the shared tools or the model are missing."""
    embedder = embedding.local(None, retrieval.CACHE / "models")
    if not TOOLS.is_dir() or embedder is None:
        return
    sys.path.insert(0, str(TOOLS))
    others = importlib.import_module("bench_peers")
    context = others.Context(argparse.Namespace(model=None, cache=str(retrieval.CACHE), int8=True, threads=1))
    yield _table("Development questions", [f"recall@{k}" for k in KS], _development(others, context, embedder))
    for name in PUBLIC:
        yield _table(name, ["nDCG@10"], _public(name, others, context, embedder))


def _development(others: Any, context: Any, embedder: embedding.Embedder) -> Iterator[Row]:
    """Shares of the answerable questions of which every answer is among the first passages."""
    asked = [q for q in retrieval._lines(retrieval.SHARED / "questions" / "dev.jsonl") if q["answers"]]
    built = retrieval._index("sops", embedder)
    mask = index.everything(built.entries)

    def ours(question: str) -> list[str]:
        stretches = built.stretches(built.search(question, mask, 200), max(KS))
        return [retrieval._shown(built, each) for each in stretches]

    yield _recall("ours", ours, asked)
    cut = [others.Passage(f"{doc}#{n}", doc, text) for doc, texts in _windows(built) for n, text in enumerate(texts)]
    for name, system in _built(others, context, cut):
        yield _recall(name, partial(_texts, system, cut), asked)
        system.close()


def _texts(system: Any, cut: Sequence[Any], question: str) -> list[str]:
    return [" ".join(cut[place].text.split()[: retrieval.COUNTED_WORDS]) for place, _ in system.search(question, max(KS))]


def _recall(name: str, search: Callable[[str], list[str]], asked: Sequence[Any]) -> Row:
    shown, cpu_ms = _timed(search, [q["question"] for q in asked])
    figures = []
    for k in KS:
        met = [
            all(any(retrieval.holds(quote, text) for quote in retrieval._quotes(a) for text in texts[:k]) for a in q["answers"])
            for q, texts in zip(asked, shown, strict=True)
        ]
        figures.append(sum(met) / len(met))
    return Row(name, tuple(figures), cpu_ms)


def _windows(built: Index) -> Iterator[tuple[str, list[str]]]:
    """The same documents for the others: their text in windows, each under the title."""
    texts: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    for entry in built.entries:
        texts.setdefault(entry.doc, []).append(f"{entry.heading}\n{entry.text}")
        titles[entry.doc] = entry.title
    for doc, parts in texts.items():
        words = " ".join(parts).split()
        yield doc, [f"{titles[doc]}\n{' '.join(words[at : at + WINDOW])}" for at in range(0, len(words), WINDOW)]


def _public(name: str, others: Any, context: Any, embedder: embedding.Embedder) -> Iterator[Row]:
    corpus, queries, relevant = others.load(retrieval.SHARED / "ir" / name)
    built = retrieval._index(name, embedder)
    mask = index.everything(built.entries)

    def ours(question: str) -> list[str]:
        return [hit.entry.doc for hit in built.search(question, mask, 200).hits]

    def row(system: str, search: Callable[[str], list[str]]) -> Row:
        found, cpu_ms = _timed(search, [q["text"] for q in queries])
        pairs = [(docs, relevant[q["_id"]]) for q, docs in zip(queries, found, strict=True) if relevant[q["_id"]]]
        return Row(system, (statistics.mean(others.ndcg(list(dict.fromkeys(docs)), gold) for docs, gold in pairs),), cpu_ms)

    yield row("ours", ours)
    cut = others.passages(corpus, 400, "title")
    for system, made in _built(others, context, cut):
        yield row(system, lambda question, made=made: [cut[place].doc for place, _ in made.search(question, DEPTH)])  # type: ignore[misc]
        made.close()


def _built(others: Any, context: Any, cut: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Each system that can be had here, with these passages in it."""
    for name, kind in others.SYSTEMS.items():
        system = kind(context)
        try:
            system.build(cut)
        except ImportError as missing:
            print(f"{name} is left out: {missing.name} is not installed", file=sys.stderr)
            continue
        logging.getLogger("bm25s").setLevel(logging.WARNING)  # importing it sets it to tell everything
        yield name, system


def _timed(search: Callable[[str], list[str]], questions: Sequence[str]) -> tuple[list[list[str]], float]:
    for question in questions[:5]:
        search(question)
    began = time.process_time()
    found = [search(question) for question in questions]
    return found, (time.process_time() - began) * 1000 / len(questions)


def _table(title: str, headings: Sequence[str], rows: Iterator[Row]) -> Table:
    table = Table(title=f"{title}, beside others")
    for heading in ("system", *headings, "CPU a question", "beside ours"):
        table.add_column(heading, justify="left" if heading == "system" else "right")
    own = 0.0
    for row in rows:
        own = own or row.cpu_ms
        table.add_row(
            row.system, *(f"{figure:.3f}" for figure in row.figures), f"{row.cpu_ms:.1f} ms", f"{row.cpu_ms / own:.2f}"
        )
    return table
