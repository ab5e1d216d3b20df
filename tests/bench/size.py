"""What a question, an edit and an index cost as the library grows, against a bare search of the same passages in the same run.

The bare search is bm25s with stemming, one embedded question and one matrix of all vectors, blended and masked: no permission
work, no refusal, no database. Each size is measured in a process of its own, which opens a filled database as a service does.
"""

from __future__ import annotations

import gc
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from sqlalchemy import insert

from bot import app, records
from bot.migrations import migrate
from bot.settings import Settings
from knowledge import embedding, index, tables, vectors
from knowledge.elsewhere import Elsewhere
from knowledge.index import Meaning, Principal
from knowledge.library import Library

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Matrix = NDArray[np.float32]

FULL = os.environ.get("HOLDFAST_BENCH_FULL") == "1"
SIZES = (1_000, 10_000, 100_000) if FULL else (1_000, 10_000)
REAL = 2_000
"""Passages embedded for real, for the rate of building."""
SAMPLE = 400
"""Texts embedded for real at each size; every passage has the vector of one of them, with noise."""
NOISE = 0.6
QUESTIONS = 200
SOP_PASSAGES = 25
SITES = ("harbor", "pine", "lake", "hill")
ROLES = ("dentist", "hygienist", "biller", "front_desk", "manager")
NOW = datetime(2026, 2, 24, 20, 15, tzinfo=UTC)
HEADINGS = ("Before you start", "What to do", "When it goes wrong", "Records", "Afterwards")
SHARED = Path(__file__).parents[3] / "shared" / "data" / "ir"
K = 10


@dataclass(frozen=True)
class Times:
    """Milliseconds a question; `cpu` of the whole process, in the mean: on a busy machine the others say little."""

    p50: float
    p95: float
    cpu: float


@dataclass(frozen=True)
class Sized:
    """One size.

    bare, words, exact      the bare search; ours by words alone; ours with every vector compared
    found, asked            `Library.find` and `Library.ask`: with the tables, and vectors in Chroma
    library_mb, bare_mb     what the process grew by; `whole_mb` its memory after the first answers
    """

    passages: int
    spaces: int
    bare: Times
    words: Times
    exact: Times
    found: Times
    asked: Times
    ready_s: float
    edit_s: float
    bare_mb: float
    library_mb: float
    whole_mb: float


@dataclass(frozen=True)
class Built:
    """How fast `passages` real texts become searchable, and how fast the embedder alone reads them, in passages a second."""

    passages: int
    rate: float
    alone: float


@dataclass(frozen=True)
class Started:
    """A service's start, until its first answer by words and meaning; `cpu_s` of the quickest one."""

    passages: int
    first_s: float
    again_s: float
    cpu_s: float
    mb: float


# --- texts ----------------------------------------------------------------------------------------------------------------


def sentences() -> list[str]:
    """Of the starter library, and of the shared help articles where they are here."""
    texts = [each.read_text("utf-8") for each in (files("knowledge") / "starter").iterdir() if each.name.endswith(".md")]
    for corpus in sorted(SHARED.glob("*/corpus.jsonl")):
        texts += [json.loads(line)["text"] for line in corpus.read_text("utf-8").splitlines()]
    found = [each.strip() for text in texts for each in re.split(r"(?<=[.!?])\s+|\n+", text)]
    return sorted({each for each in found if 20 < len(each) < 300})


def passages(many: int, said: Sequence[str], dice: random.Random) -> list[str]:
    """Sentences drawn until a passage is as long as ours are."""
    made = []
    for _ in range(many):
        text = dice.choice(said)
        while len(text) < 300:
            text += " " + dice.choice(said)
        made.append(text[:400])
    return made


def questions(said: Sequence[str], dice: random.Random) -> list[str]:
    """As people ask them: those of the shared sets, else a piece of a sentence."""
    real = [
        json.loads(line)["text"]
        for file in sorted(SHARED.glob("*/queries.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]
    short = [each for each in real if len(each) < 200] or [" ".join(each.split()[:12]) for each in said]
    return dice.sample(short, min(QUESTIONS, len(short)))


def space(dice: random.Random) -> vectors.Space:
    """Who may read one SOP: half of them everybody, the others a role, a site, or a role at two sites."""
    everybody = frozenset({"all"})
    role, site = frozenset({dice.choice(ROLES)}), frozenset({dice.choice(SITES)})
    kinds = [(everybody, everybody), (role, everybody), (everybody, site), (role, frozenset(dice.sample(SITES, 2)))]
    return dice.choices(kinds, (50, 30, 10, 10))[0]


# --- a filled database ------------------------------------------------------------------------------------------------------


def model(home: Path) -> embedding.Embedder | None:
    return embedding.local(None, home / "models")


def library(home: Path, embedder: embedding.Embedder) -> Library:
    engine = records.open_engine(f"sqlite:///{home / 'holdfast.sqlite'}")
    return Library(partial(records.read, engine), partial(records.write, engine), embedder=embedder, folder=home / "index")


def fill(home: Path, many: int, embedder: embedding.Embedder, *, with_vectors: bool = True) -> None:
    """A library of `many` passages in force; the vectors of all but a sample are a real one with noise."""
    import numpy as np

    dice, rng = random.Random(7), np.random.default_rng(7)
    texts = passages(many, sentences(), dice)
    engine = records.open_engine(f"sqlite:///{home / 'holdfast.sqlite'}")
    migrate(engine)
    sample = embedder.documents(texts[:SAMPLE]) if with_vectors else None
    with records.write(engine) as session:
        for number, start in enumerate(range(0, many, SOP_PASSAGES)):
            some = texts[start : start + SOP_PASSAGES]
            rows = publish(session, f"sop{number:05d}", 1, some, space(dice))
            if sample is None:
                continue
            title = _title(some)
            near = sample[rng.integers(0, len(sample), len(rows))]
            noisy = near + rng.normal(0, NOISE / np.sqrt(near.shape[1]), near.shape).astype(np.float32)
            noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
            names = [vectors.digest(vectors.worded(title, row["heading"], row["text"])) for row in rows]
            kept = {name: vector.astype("<f2").tobytes() for name, vector in zip(names, noisy, strict=True)}
            tables.add_vectors(session, embedder.id, kept)
    engine.dispose()


def publish(session: Any, sop: str, version: int, texts: Sequence[str], open_to: vectors.Space) -> list[dict[str, Any]]:
    """One version in force, and its passages as they were stored."""
    roles, sites = (sorted(part) for part in open_to)
    source, rows = "", []
    for position, text in enumerate(texts):
        rows.append({
            "id": f"{sop}@{version}:{position}", "sop": sop, "version": version, "position": position, "step": "",
            "heading": HEADINGS[position * len(HEADINGS) // SOP_PASSAGES % len(HEADINGS)], "text": tables.text(text),
            "span_start": len(source), "span_end": len(source) + len(text), "roles": roles, "sites": sites,
        })  # fmt: skip
        source += text + "\n"
    session.execute(insert(tables.SopVersion), [{
        "sop": sop, "version": version, "title": tables.text(_title(texts)), "domain": "", "state": "published",
        "owner": "manager", "approver": "manager", "effective": date(2026, 1, 1), "retention": "", "roles": roles,
        "sites": sites, "sha256": vectors.digest(source), "source": tables.text(source), "name": f"{sop}.md",
        "authored": False, "added_at": NOW, "added_by": "bench", "published_at": NOW, "published_by": "bench",
    }])  # fmt: skip
    session.execute(insert(tables.PassageRow), rows)
    tables.raise_generation(session)
    return rows


def _title(texts: Sequence[str]) -> str:
    return " ".join(texts[0].split()[:6])


def askers(dice: random.Random) -> list[Principal]:
    return [Principal("bea", frozenset({dice.choice(ROLES)}), dice.choice(SITES)) for _ in range(QUESTIONS)]


# --- the bare search --------------------------------------------------------------------------------------------------------


class Bare:
    """bm25s with its own stemming and stop words, and every vector compared; nothing else."""

    def __init__(self, texts: Sequence[str], matrix: Matrix, embedder: embedding.Embedder) -> None:
        import bm25s
        import Stemmer

        self._stemmer = Stemmer.Stemmer("english")
        self._matrix, self._embedder = matrix, embedder
        self._bm25 = bm25s.BM25()
        self._cut = partial(bm25s.tokenize, stopwords="en", stemmer=self._stemmer, show_progress=False)
        self._bm25.index(self._cut(list(texts)), show_progress=False)

    def search(self, question: str, mask: Mask) -> list[int]:
        import numpy as np

        asked = [word for word in self._cut([question], return_ids=False)[0] if word in self._bm25.vocab_dict]
        words = np.asarray(self._bm25.get_scores(asked)) if asked else np.zeros(len(mask))
        cosines = self._matrix @ self._embedder.question(question)
        mixed = np.where(mask, 0.5 * _scaled(words) + 0.5 * _scaled(cosines), -np.inf)
        best = np.argpartition(-mixed, K)[:K]
        return [int(n) for n in best[np.argsort(-mixed[best])]]


def _scaled(scores: Any) -> Any:
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else scores * 0


# --- one size, in a process of its own --------------------------------------------------------------------------------------


def size(home: Path) -> Sized:
    """Every way of asking, in turns over the same questions; then one edit."""
    embedder = model(home)
    assert embedder is not None
    dice = random.Random(8)
    asked, who = questions(sentences(), dice), askers(dice)
    embedder.question(asked[0])
    before = _mb()
    began = time.perf_counter()
    ours = library(home, embedder)
    while not ours.ready(NOW, 600, settled=True):
        assert not ours.away, ours.away
    ready_s = time.perf_counter() - began
    for question, asker in list(zip(asked, who, strict=True))[:20]:
        ours.ask(question, asker, NOW)
    library_mb, whole_mb = _mb() - before, _mb()
    times, bare_mb, spaces, many = _ways(ours, embedder, list(zip(asked, who, strict=True)))
    edit_s = statistics.median(_edit(ours, version) for version in (2, 3, 4))
    ours.close()
    return Sized(
        many, spaces, **times, ready_s=ready_s, edit_s=edit_s, bare_mb=bare_mb, library_mb=library_mb, whole_mb=whole_mb
    )


def _ways(
    ours: Library, embedder: embedding.Embedder, asked: Sequence[tuple[str, Principal]]
) -> tuple[dict[str, Times], float, int, int]:
    """What each way takes, what the bare one holds in MB, and how many spaces and passages there are."""
    import numpy as np

    with ours._read() as session:
        shelf = ours._shelf(session)
        built = ours._index(session, shelf, shelf.in_force(NOW))
        texts = [vectors.worded(entry.title, entry.heading, entry.text) for entry in built.entries]
        kept = tables.vectors(session, embedder.id, [vectors.digest(text) for text in texts])
    matrix = np.array([np.frombuffer(kept[vectors.digest(text)], "<f2") for text in texts], dtype=np.float32)
    del kept
    before = _mb()
    bare = Bare(texts, matrix, embedder)
    bare_mb = _mb() - before + matrix.nbytes / 1e6
    by_words, exact = copy(built), copy(built)
    by_words.meaning = None
    again = embedding.Remembering(embedder)
    exact.meaning = Meaning(vectors.Exact(matrix, again), embedder.id, Elsewhere(again))
    masks = {asker: index.permitted(built, asker) for _, asker in asked}
    ways: dict[str, Callable[[str, Principal], object]] = {
        "bare": lambda question, asker: bare.search(question, masks[asker]),
        "words": lambda question, asker: by_words.search(question, index.permitted(built, asker), K),
        "exact": lambda question, asker: exact.search(question, index.permitted(built, asker), K),
        "found": lambda question, asker: ours.find(question, asker, NOW, K),
        "asked": lambda question, asker: ours.ask(question, asker, NOW),
    }
    return _in_turns(ways, asked), bare_mb, len(built.spaces[0]), len(built.entries)


def _in_turns(
    ways: Mapping[str, Callable[[str, Principal], object]], asked: Sequence[tuple[str, Principal]]
) -> dict[str, Times]:
    """Every way over the same questions, question by question, so that a slow moment of the machine hits all.

    A blank more each time keeps every question's vector to the way that asks it: the library remembers the last ones.
    """
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for blanks in (1, 10):  # the first round is not counted: it makes what is kept
        for question, asker in asked:
            for more, (name, way) in enumerate(ways.items()):
                began, spent = time.perf_counter(), time.process_time()
                way(question + " " * (blanks + more), asker)
                wall[name].append((time.perf_counter() - began) * 1000)
                cpu[name].append((time.process_time() - spent) * 1000)
    told = len(asked)
    return {
        name: Times(
            statistics.median(each[told:]), statistics.quantiles(each[told:], n=20)[-1], statistics.mean(cpu[name][told:])
        )
        for name, each in wall.items()
    }


def _edit(ours: Library, version: int) -> float:
    """Seconds from the edit of one SOP, every passage of it changed, until it is found by words and meaning."""
    said = sentences()
    texts = [f"Fetch the kingfisher{version} lamp. {each}" for each in passages(SOP_PASSAGES, said, random.Random(version))]
    texts = [each[:400] for each in texts]
    everybody = frozenset({"all"})
    asked = f"who fetches the kingfisher{version} lamp"
    began = time.perf_counter()
    with ours._write() as session:
        publish(session, "sop00000", version, texts, (everybody, everybody))
    while True:
        found = ours.find(asked, Principal("bea", frozenset({"biller"}), "pine"), NOW)
        if found and found[0].entry.doc == f"sop00000@{version}" and found[0].raw.get("meaning", 0) > 0:
            return time.perf_counter() - began


def _mb(line: str = "VmRSS") -> float:
    gc.collect()
    status = Path("/proc/self/status").read_text("ascii")
    return int(re.findall(rf"{line}:\s+(\d+)", status)[0]) / 1000


# --- building, and starting -------------------------------------------------------------------------------------------------


def build(home: Path) -> Built:
    """Half of the texts read by the embedder alone before, half after: a slow hour of the machine hits both."""
    embedder = model(home)
    assert embedder is not None
    fill(home, REAL, embedder, with_vectors=False)
    ours = library(home, embedder)
    with ours._read() as session:
        shelf = ours._shelf(session)
        by_key = {(edition.sop, edition.version): edition for edition in shelf.in_force(NOW)}
        rows = tables.passages(session, by_key)
    texts = [vectors.worded(by_key[row.sop, row.version].title, row.heading, row.text) for row in rows]
    embedder.documents(texts[:50])
    alone_s = _timed(lambda: embedder.documents(texts[::2]))
    whole_s = _timed(lambda: ours.ready(NOW, 3_600, settled=True))
    alone_s += _timed(lambda: embedder.documents(texts[1::2]))
    ours.close()
    return Built(len(texts), len(texts) / whole_s, len(texts) / alone_s)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


_SERVICE = """
import sys, time
from datetime import datetime
from pathlib import Path
from bot.app import Holdfast
from bot.platforms.console import page
from bot.settings import Settings
from knowledge.library import Answer, Principal
home, now = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
holdfast = Holdfast(Settings(home=home, database_url=f"sqlite:///{home / 'holdfast.sqlite'}"))
holdfast.routes()
assert holdfast.library.ready(now, 120), holdfast.library.away
bea = Principal("bea", frozenset({"billing_coordinator"}), "harbor")
found = holdfast.library.ask("how do I post the remittance", bea, now)
assert not found.degraded
print(time.process_time(), flush=True)
assert holdfast.library.ready(now, 120, settled=True)
status = Path("/proc/self/status").read_text("ascii")
print(holdfast.library.health(now).passages, status.split("VmRSS:")[1].split()[0], flush=True)
holdfast.close()
"""


def start(home: Path) -> Started:
    """The starter library in a service of its own: once with nothing kept of an index, three times as it was left."""
    holdfast = app.Holdfast(Settings(home=home, database_url=f"sqlite:///{home / 'holdfast.sqlite'}"))
    shutil.copyfile(Path(app.__file__).parent / "sample" / "practice.toml", home / "practice.toml")
    holdfast.ingest([Path(str(files("knowledge") / "starter"))], publish=True, by="bench", now=NOW)
    holdfast.close()
    runs = [_started(home) for _ in range(4)]
    again_s, cpu_s = statistics.median(run[1] for run in runs[1:]), min(run[2] for run in runs[1:])
    return Started(int(runs[0][0]), runs[0][1], again_s, cpu_s, max(run[3] for run in runs))


def _started(home: Path) -> tuple[float, ...]:
    """Passages; seconds until it had answered, and of the CPU; MB once the index was open as well."""
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(home / "compiled")}  # as it is once installed
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", _SERVICE, str(home), NOW.isoformat()],
        stdout=subprocess.PIPE, text=True, env={**os.environ, **compiled},
    ) as service:  # fmt: skip
        assert service.stdout is not None
        answered = service.stdout.readline()
        passed_s = time.perf_counter() - began
        settled = service.stdout.readline()
    if not settled:
        raise SystemExit("The service did not start: see above.")
    many, kilobytes = map(float, settled.split())
    return many, passed_s, float(answered), kilobytes / 1000


# --- what `make bench` prints ---------------------------------------------------------------------------------------------


WAYS = {
    "bare": "bare",
    "words": "ours, by words",
    "exact": "ours, all vectors",
    "found": "Library.find",
    "asked": "Library.ask",
}


def results() -> Iterator[Table]:
    """Tables to print, as they are measured; none where no model is installed."""
    with tempfile.TemporaryDirectory(prefix="holdfast-size-") as top:
        models = Path(top) / "models"
        if embedding.local(None, models) is None:
            return
        yield _questions([_child("size", Path(top), many) for many in SIZES])
        yield _rest(_child("build", Path(top), REAL), _child("start", Path(top), 0))


def _child(what: str, top: Path, many: int) -> Any:
    """One measure in a process that has measured nothing before."""
    home = top / f"{what}-{many}"
    (home / "models").parent.mkdir(parents=True)
    (home / "models").symlink_to(top / "models", target_is_directory=True)
    (top / "models").mkdir(exist_ok=True)
    for step in ("fill", "size") if what == "size" else (what,):
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.size", step, str(home), str(many)],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    shutil.rmtree(home)
    return json.loads(done.stdout)


def _questions(sizes: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="A question, by size", caption="Ratio: of p50, p95 and CPU to the bare search of the same run.")
    for heading in ("passages", "way", "p50 ms", "p95 ms", "CPU ms", "ratio"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for one in sizes:
        for way, said in WAYS.items():
            times = one[way]
            ratio = " ".join(f"{times[each] / one['bare'][each]:.1f}" for each in times)
            table.add_row(f"{one['passages']:,}", said, *(f"{each:.1f}" for each in times.values()), ratio)
        table.add_section()
    for one in sizes:
        said = (
            f"{one['spaces']} spaces: ready {one['ready_s']:.1f} s, an SOP edited {one['edit_s']:.2f} s, "
            f"{one['library_mb']:.0f} MB (bare {one['bare_mb']:.0f})"
        )
        table.add_row(f"{one['passages']:,}", said, "", "", "", f"{one['library_mb'] / max(one['bare_mb'], 1):.1f}")
    return table


def _rest(built: Mapping[str, Any], started: Mapping[str, Any]) -> Table:
    table = Table(title="Building and starting")
    for heading in ("measure", "ours", "bare", "ratio"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    table.add_row(
        f"{built['passages']:,} real passages searchable, passages/s; bare: the embedder alone",
        f"{built['rate']:.1f}", f"{built['alone']:.1f}", f"{built['rate'] / built['alone']:.2f}",
    )  # fmt: skip
    for said, figure in (("first", "first_s"), ("as it was left", "again_s"), ("of that CPU", "cpu_s")):
        table.add_row(f"a service with {started['passages']} passages answers, {said}, s", f"{started[figure]:.1f}", "", "")
    table.add_row("its memory then, MB", f"{started['mb']:.0f}", "", "")
    return table


def main(what: str, home: str, many: str) -> int:
    """One measure, as JSON on stdout; only from `_child`."""
    if what == "fill":
        embedder = model(Path(home))
        assert embedder is not None
        fill(Path(home), int(many), embedder)
        return 0
    measures: dict[str, Callable[[Path], Sized | Built | Started]] = {"size": size, "build": build, "start": start}
    print(json.dumps(asdict(measures[what](Path(home)))))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
