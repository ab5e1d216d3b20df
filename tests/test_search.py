"""Searching: the filter, the ranking, the refusal, the seams for a model, and a folder of files."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.prompts import ChatPromptTemplate
from sqlalchemy import Engine

import prompts
from bot import records
from knowledge import documents, index, ranking, sops, tables
from knowledge.folder import search_folder
from knowledge.followup import Query, Turn, resolved
from knowledge.index import Entry, Index, Meaning, NoPrincipal, Principal
from knowledge.library import Library
from knowledge.retriever import SopRetriever

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
NOW = datetime(2026, 2, 24, 20, 15, tzinfo=UTC)
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared sample data are not here")


def entry(text: str, *, doc: str = "a", heading: str = "", roles: tuple[str, ...] = ("all",), step: str = "") -> Entry:
    made = sops.loose(text, doc).source
    return Entry(doc, tables.text(doc), tables.text(heading), step, made, 0, len(made), frozenset(roles))


# --- ranking --------------------------------------------------------------------------------------------------------------


def test_what_may_not_be_read_is_gone_before_anything_is_ranked() -> None:
    """Lost otherwise: with a filter after ranking, restricted passages push the readable ones out of the first ten."""
    entries = [entry(f"spore test failed {n}", doc=f"d{n}", roles=("dentist",)) for n in range(50)]
    entries.append(entry("what to do about a test", doc="open"))
    mask = index.permitted(entries, Principal("x", frozenset({"hygienist"}), "pine"))
    found = Index(entries).search("spore test failed", mask, k=3)
    assert [hit.entry.doc for hit in found.hits] == ["open"]
    with pytest.raises(NoPrincipal):
        index.permitted(entries, Principal("x", frozenset(), "pine"))


def test_chat_words_find_the_words_of_the_sop() -> None:
    """Lost otherwise: British spelling, swapped letters, contractions and the trade's abbreviations find nothing."""
    texts = ("Sterilize the tray.", "Post the remittance.", "Take the radiograph.", "Write the report.")
    built = Index([entry(text, doc=text) for text in texts])
    mask = index.everything(built.entries)
    asked = {"how do i sterilise it": 0, "where's the ERA": 1, "need an x-ray": 2, "the reprot please": 3}
    for question, n in asked.items():
        assert built.search(question, mask, 1).hits[0].entry.doc == texts[n], question


def test_the_surroundings_stay_in_their_document_and_within_their_length() -> None:
    """Lost otherwise: a passage shown with text of another SOP, which the asker may not be allowed to read."""
    entries = [entry("one two three", doc=d, heading=h) for d in "ab" for h in ("x", "x", "x", "y")]
    built = Index(entries)
    assert built.around(1, "document", words=100) == (0, 3)
    assert built.around(1, "heading", words=100) == (0, 2)
    assert built.around(1, "document", words=6) == (1, 2)
    assert built.around(4, "document", words=100) == (4, 7)


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=20), st.floats(0.1, 0.9))
def test_a_blend_of_two_halves_keeps_what_both_agree_on(pairs: list[tuple[float, float]], share: float) -> None:
    """Lost otherwise: adding vectors could rank a passage lower that both halves call the best."""
    one, other = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    mask = np.ones(len(pairs), dtype=np.bool_)
    mixed = ranking.blend([(share, one), (1 - share, other)], mask)
    for a in range(len(pairs)):
        for b in range(len(pairs)):
            if one[a] >= one[b] and other[a] >= other[b]:
                assert mixed[a] >= mixed[b] - 1e-6
    assert ranking.blend([(share, one)], mask) is one


@given(st.lists(st.one_of(st.none(), st.floats(-1, 1)), min_size=1, max_size=20))
def test_what_a_half_does_not_know_is_never_above_what_it_knows(cosines: list[float | None]) -> None:
    """Lost otherwise: a passage outside the nearest of a large index could pass one of the nearest."""
    scores = np.array([np.nan if each is None else each for each in cosines])
    mask = np.ones(len(cosines), dtype=np.bool_)
    mixed = ranking.blend([(0.5, np.zeros(len(cosines))), (0.5, scores)], mask)
    known, unknown = mixed[~np.isnan(scores)], mixed[np.isnan(scores)]
    assert np.isfinite(mixed).all()
    assert not known.size or not unknown.size or unknown.max() <= known.min() + 1e-9


class Letters:
    """Finds by shared letters, in place of vectors."""

    away = ""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._texts = [set(e.text.lower()) for e in entries]

    def nearest(self, question: str, mask: ranking.Mask) -> ranking.Scores:
        asked = set(question.lower())
        return np.where(mask, [len(text & asked) / len(text | asked) for text in self._texts], np.nan)


class Away(Letters):
    away = "The vectors are being built."

    def nearest(self, question: str, mask: ranking.Mask) -> ranking.Scores:
        return np.full(len(self._texts), np.nan)


def test_meaning_finds_what_words_do_not_and_its_raw_score_stays_visible() -> None:
    """Lost otherwise: questions in other words than the SOP's, and the raw scores that tell whether one was met."""
    entries = [entry("Post the remittance.", doc="a"), entry("Wash the tray.", doc="b"), entry("Blow.", doc="c")]
    mask = index.everything(entries)
    assert not Index(entries).search("washer ytra", mask, 3).hits
    found = Index(entries, Meaning(Letters(entries), "letters")).search("washer ytra", mask, 3)
    assert found.hits[0].entry.doc == "b" and set(found.hits[0].raw) == {"bm25", "meaning"}
    assert found.hits[0].score == 1.0 and not found.degraded


def test_without_its_vectors_the_index_finds_by_words_and_says_so() -> None:
    """Lost otherwise: no answer, or a silently worse one, while the vectors are rebuilt."""
    entries = [entry("Post the remittance.", doc="a"), entry("Wash the tray.", doc="b")]
    found = Index(entries, Meaning(Away(entries), "letters")).search("wash it", index.everything(entries), 2)
    plain = Index(entries).search("wash it", index.everything(entries), 2)
    assert found.degraded and not plain.degraded
    assert [hit.place for hit in found.hits] == [hit.place for hit in plain.hits] and found.signals == plain.signals


def test_meaning_never_brings_up_what_may_not_be_read() -> None:
    """Lost otherwise: a restricted passage, or its section's standing, seen by somebody it is closed to."""
    entries = [entry(f"wash the tray {n}", doc="a", roles=("dentist",) if n % 2 else ("all",)) for n in range(20)]
    mask = index.permitted(entries, Principal("x", frozenset({"hygienist"}), "pine"))
    built = Index(entries, Meaning(Letters(entries), "letters"))
    found = built.search("wash the tray", mask, 20)
    assert all(hit.place % 2 == 0 for hit in found.hits) and len(found.hits) >= 9
    for stretch in built.stretches(found, 10):
        assert stretch.first == stretch.last == stretch.hit.place


# --- what is shown ----------------------------------------------------------------------------------------------------------


def test_a_stretch_grows_to_its_better_side_and_shows_nothing_twice() -> None:
    """Lost otherwise: half a screen of text that does not meet the question, or the same step under two hits."""
    texts = (
        "Lock the door. " * 9,
        "Rinse the tray. " * 9,
        "Soak the tray in cleaner. " * 9,
        "Dry the tray. " * 9,
        "Call a cab. " * 9,
    )
    entries = [entry(text, heading="x") for text in texts]
    built = Index(entries)
    found = built.search("soak and dry the tray in cleaner", index.everything(entries), 9)
    shown = list(built.stretches(found, 9, words=80))
    assert (shown[0].first, shown[0].last) == (2, 3)
    places = [place for stretch in shown for place in range(stretch.first, stretch.last + 1)]
    assert len(places) == len(set(places))


def test_copies_of_one_text_are_shown_once() -> None:
    """Lost otherwise: five hits that are one SOP in Word, as PDF and on the old drive."""
    step = (
        "Soak the tray in enzyme cleaner for ten minutes, then rinse it under running water and dry it with a lint free towel."
    )
    copies = [entry(f"{n}. {step}", doc=f"copy{n}") for n in range(5)]
    entries = [*copies, entry("Soak the mop overnight and hang it up in the yard behind the house.", doc="other")]
    built = Index(entries)
    shown = list(built.stretches(built.search("how do I soak the tray", index.everything(entries), 9), 9))
    assert [stretch.hit.entry.doc for stretch in shown] == ["copy0", "other"]


# --- threads ----------------------------------------------------------------------------------------------------------------


def test_a_follow_up_is_looked_for_where_its_thread_is() -> None:
    """Lost otherwise: "how long?" after a question about the tray finds whatever SOP speaks of length."""
    tray = [
        entry("Soak the tray in enzyme cleaner.", doc="tray"),
        entry("The tray stays in the cleaner for ten minutes.", doc="tray"),
    ]
    entries = [
        *tray,
        entry("Minutes go into the minutes book.", doc="book"),
        entry("Post the remittance.", doc="era"),
    ]
    built = Index(entries)
    mask = index.everything(entries)
    before = [Turn("what do I soak the tray in", "tray")]
    assert built.search("and how many minutes", mask, 1).hits[0].entry.doc == "book"
    found = built.search(resolved("and how many minutes", before), mask, 4)
    assert found.hits[0].place == 1
    assert built.search(resolved("ok and when do I post the remittance", before), mask, 1).hits[0].entry.doc == "era"


def test_a_question_that_stands_alone_stays_as_it_is() -> None:
    """Lost otherwise: a new topic in an old thread is answered from the old one."""
    alone = "the clearinghouse rejected a claim for a missing subscriber number, who corrects the subscriber"
    assert resolved(alone, [Turn("how long do I soak the tray", "tray")]) == Query(alone)
    assert resolved("how long?", []) == Query("how long?")
    assert resolved("how long?", [Turn("a", "tray"), Turn("who signs", "")]) == Query("how long?", "who signs", "tray")


# --- figures --------------------------------------------------------------------------------------------------------------


@cache
def starter() -> Index:
    entries: list[Entry] = []
    for file in sorted((ROOT / "knowledge" / "starter").glob("*.md")):
        sop = sops.parse(file.read_text("utf-8"), file.name)
        for cut in index.cuts(sop):
            text = sops.excerpt(sop.source, cut.start, cut.end)
            worth = index.standing(cut.step, cut.heading, text)
            entries.append(Entry(sop.id, sop.title, cut.heading, cut.step, text, cut.start, cut.end, standing=worth))
    return Index(entries)


@pytest.mark.parametrize(
    ("group", "first", "third", "answered", "refused"), [("tuned", 0.78, 0.88, 0.75, 0.95), ("held", 0.6, 0.7, 0.7, 0.95)]
)
def test_everyday_questions_find_their_step_and_other_questions_are_refused(
    group: str, first: float, third: float, answered: float, refused: float
) -> None:
    """Lost otherwise: a change of the search or of the starter SOPs that makes answers worse, unnoticed."""
    questions = tomllib.loads((ROOT / "tests" / "knowledge" / "questions.toml").read_text("utf-8"))[group]
    built = starter()
    mask = index.everything(built.entries)
    places, good, other = [], [], []
    for question in questions:
        found = built.search(question["asks"], mask, 3)
        if "about" not in question:
            other.append(found.signals.certainty <= 0)
            continue
        refs = [f"{hit.entry.doc}#{hit.entry.step}" for hit in found.hits]
        places.append(next((n for n, ref in enumerate(refs) if ref.startswith(question["about"])), 9))
        good.append(found.signals.certainty > 0)
    figures = [np.mean([p == 0 for p in places]), np.mean([p < 3 for p in places]), np.mean(good), np.mean(other)]
    assert all(got >= want for got, want in zip(figures, (first, third, answered, refused), strict=True)), figures


@needs_shared
@pytest.mark.parametrize(("name", "ndcg"), [("wixqa160", 0.80), ("techqa480", 0.84)])
def test_ranking_holds_against_the_public_sets(name: str, ndcg: float) -> None:
    """Lost otherwise: retrieval that is tuned to our own SOPs and worse for everybody else's."""
    folder = SHARED / "ir" / name
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").read_text("utf-8").splitlines()]
    entries = []
    for doc in corpus:
        sop = sops.loose(doc["text"], "x.md")
        for cut in index.cuts(sop):
            text = sops.excerpt(sop.source, cut.start, cut.end)
            entries.append(Entry(doc["_id"], tables.text(doc["title"]), cut.heading, "", text, cut.start, cut.end))
    built = Index(entries)
    mask = index.everything(entries)
    gold: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        query, doc_id, score = line.split("\t")
        gold.setdefault(query, {})[doc_id] = int(score)
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text("utf-8").splitlines()]
    scores = [_ndcg(built, mask, q["text"], gold[q["_id"]]) for q in queries if gold.get(q["_id"])]
    assert np.mean(scores) >= ndcg


def _ndcg(built: Index, mask: ranking.Mask, question: str, gold: Mapping[str, int]) -> float:
    docs = list(dict.fromkeys(hit.entry.doc for hit in built.search(question, mask, 200).hits))[:10]
    got = sum(gold.get(doc, 0) / log2(n + 2) for n, doc in enumerate(docs))
    return got / sum(score / log2(n + 2) for n, score in enumerate(sorted(gold.values(), reverse=True)[:10]))


# --- a folder ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    (made / "deep").mkdir(parents=True)
    (made / "soak.md").write_text("# Soaking\n\n1. Soak the tray in enzyme cleaner for ten minutes.\n1. Rinse it.\n", "utf-8")
    (made / "deep" / "era.txt").write_text("Post the remittance on the day it comes in.\n", "utf-8")
    (made / "photo.png").write_bytes(b"\x89PNG")
    (made / "scan.pdf").write_bytes(b"%PDF")
    return made


def search(folder: Path, tmp_path: Path, *questions: str) -> list[dict[str, Any]]:
    asked: Iterator[dict[str, str]] = ({"id": str(n), "question": q} for n, q in enumerate(questions))
    return list(search_folder(folder, asked, 10, tmp_path / "cache"))


def test_a_folder_is_searched_by_the_contract(folder: Path, tmp_path: Path) -> None:
    """Lost otherwise: a field that programs outside the project read."""
    soak, era, other = search(
        folder, tmp_path, "how long do I soak the tray", "when do I post a remittance", "capital of France"
    )
    assert soak["passages"][0]["doc"] == "soak.md" and "ten minutes" in soak["answer"] and not soak["refused"]
    assert era["passages"][0]["doc"] == "deep/era.txt"
    assert other["refused"] and other["answer"] == ""
    assert (soak["outcome"], other["outcome"]) == ("answered", "refused")
    assert set(soak) == {"id", "passages", "outcome", "refused", "answer", "ms"}
    assert set(soak["passages"][0]) == {"doc", "heading", "text", "score"}
    assert json.loads(json.dumps(soak)) == soak


def test_a_changed_new_or_removed_file_is_noticed(folder: Path, tmp_path: Path) -> None:
    """Lost otherwise: answers from the text of last week."""
    assert "ten" in search(folder, tmp_path, "how long do I soak the tray")[0]["answer"]
    kept = next((tmp_path / "cache").iterdir())
    stamp = kept.stat().st_mtime_ns
    search(folder, tmp_path, "soak")
    assert kept.stat().st_mtime_ns == stamp
    time.sleep(0.01)
    (folder / "soak.md").write_text("# Soaking\n\n1. Soak the tray in enzyme cleaner for twenty minutes.\n", "utf-8")
    (folder / "deep" / "era.txt").unlink()
    assert "twenty" in search(folder, tmp_path, "how long do I soak the tray")[0]["answer"]
    assert search(folder, tmp_path, "when do I post a remittance")[0]["passages"] == []


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 1}', "\x00"])
def test_a_damaged_cache_is_built_again(folder: Path, tmp_path: Path, damage: str) -> None:
    """Lost otherwise: a crash at the wrong moment that only deleting a hidden file repairs."""
    search(folder, tmp_path, "soak")
    next((tmp_path / "cache").iterdir()).write_text(damage, "utf-8")
    assert search(folder, tmp_path, "how long do I soak the tray")[0]["answer"]


def test_a_missing_or_an_empty_folder_is_said(tmp_path: Path) -> None:
    """Lost otherwise: a traceback for a mistyped path."""
    with pytest.raises(documents.Unreadable, match="not a folder"):
        search(tmp_path / "nowhere", tmp_path, "soak")
    (tmp_path / "empty").mkdir()
    assert search(tmp_path / "empty", tmp_path, "soak")[0]["refused"]


# --- the seams for a model --------------------------------------------------------------------------------------------------


def test_the_retriever_gives_documents_with_their_source_and_their_scores(engine: Engine, tmp_path: Path) -> None:
    """Lost otherwise: the place where LangChain takes hold, with the filter in it."""
    library = Library(partial(records.read, engine), partial(records.write, engine))
    (tmp_path / "soak.md").write_text("# Soaking\n\n1. Soak the tray.\n1. Rinse it.\n", "utf-8")
    assert library.ingest([tmp_path / "soak.md"], publish=True, at=NOW, by="mona").ok
    asker = Principal("bea", frozenset({"dentist"}), "harbor")
    document = SopRetriever(library=library, asker=asker, at=NOW).invoke("soak the tray")[0]
    source = library.source("soak", 1)
    assert source and source[document.metadata["start"] : document.metadata["end"]] == document.page_content
    assert document.metadata["sop"] == "soak" and document.metadata["raw"]["bm25"] > 0
    with pytest.raises(NoPrincipal):
        SopRetriever(library=library, asker=Principal("", frozenset(), ""), at=NOW).invoke("soak the tray")


def test_every_prompt_fills_in_and_has_its_hash() -> None:
    """Lost otherwise: a brace in a prompt that breaks the first question after a model is configured."""
    for file in sorted((ROOT / "prompts").glob("*.md")):
        prompt = prompts.load(file.stem)
        template = ChatPromptTemplate.from_messages(prompt.messages)
        filled = template.invoke(dict.fromkeys(template.input_variables, "{x}"))
        assert len(filled.to_messages()) == len(prompt.messages) and len(prompt.sha256) == 64
    assert set(ChatPromptTemplate.from_messages(prompts.load("answer").messages).input_variables) == {"question", "passages"}
    for name in ("nothing", "../README", "", "Answer"):
        with pytest.raises(prompts.NoPrompt):
            prompts.load(name)


def test_nothing_heavy_is_loaded_before_it_is_used() -> None:
    """Lost otherwise: seconds before `--help` is printed."""
    heavy = ("langchain_core", "bm25s", "numpy", "chromadb", "Stemmer", "markdown_it", "yaml")
    code = f"import sys, knowledge.library, prompts; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_archive_in_the_folder_is_searched_as_a_folder_of_its_own(tmp_path: Path) -> None:
    """Lost: SOPs that came as one download would be passed over without a word."""
    folder = tmp_path / "library"
    folder.mkdir()
    with zipfile.ZipFile(folder / "sops.zip", "w") as archive:
        archive.writestr("spores.md", "# Spore tests\n\n1. Run the weekly spore test every Monday.\n")
    [found] = search_folder(folder, [{"id": "1", "question": "when is the spore test?"}], 3, tmp_path / "kept")
    assert found["passages"][0]["doc"] == "sops.zip/spores.md"
