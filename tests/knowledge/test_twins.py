"""Imported Word, HTML and PDF files beside the Markdown that their owners keep of the same procedures.

What counts is what stands in both: the owners went on editing their Markdown. Whether it stands in the original is asked of
another extraction than ours: pypdf's own text, the `w:t` elements of the Word file, the HTML without its tags.
"""

from __future__ import annotations

import html
import importlib
import logging
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from knowledge import sops
from knowledge.formats import READERS, Converted, Unconvertible

SOPS = Path(__file__).parents[3] / "shared" / "data" / "sops"
APPN = SOPS / "appn-aerial-sops"
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
pytestmark = pytest.mark.skipif(not SOPS.is_dir(), reason="the shared sample SOPs are not here")

PAIRS = {
    "APPN_AerialDataQC_Rev1.0.docx": "AerialDataQC",
    "APPN_CALViS_FieldBook_Rev1.0.docx": "CALViS_FieldBook",
    "APPN_GOBI_IF1200_FieldBook_Rev1.0.docx": "GOBI_IF1200_FieldBook",
    "APPN_HIRES_FieldBook_Rev1.1__UWA_.docx": "HIRES_FieldBook",
    "APPN_HIRES_FieldBook_Rev1.1__UWA_v2.htm": "HIRES_FieldBook",
    "pdf/CALViS-Fieldbook.pdf": "CALViS_FieldBook",
    "pdf/Data-Folder-Structure.pdf": "DataFolderStructure",
    "pdf/GOBI-IF1200-Fieldbook.pdf": "GOBI_IF1200_FieldBook",
    "pdf/Ground-Phenotyping-and-Environmental.pdf": "Ground_Phenotyping_and_Environmental",
    "pdf/HiRes-Fieldbook.pdf": "HIRES_FieldBook",
    "pdf/HiRes-Processing-Pipeline.pdf": "HiRes_Processing_Pipeline",
    "pdf/Platforms-Overview.pdf": "Platforms_Overview",
    "pdf/QC-and-Reporting.pdf": "QC_and_Reporting",
    "pdf/Spectral-Panel-Cleaning-and-Calibration.pdf": "Spectral_Panel_Cleaning_and_Calibration",
    "pdf/Standard-Data-Products.pdf": "Standard_Data_Products",
}


@dataclass
class Score:
    """Found and wanted, of numbered steps, headings and words."""

    pair: str
    steps: tuple[int, int]
    headings: tuple[int, int]
    words: tuple[int, int]
    missed: list[str]


@cache
def imported(path: Path) -> Converted:
    found: Converted = importlib.import_module(READERS[path.suffix]).convert(path.read_bytes(), path.name)
    return found


def bare(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


@cache
def original(path: Path, *, tables: bool = True) -> list[str]:
    """The paragraphs (of a PDF: the lines) of the file, by means that share no code with the readers."""
    data = path.read_bytes()
    if path.suffix == ".docx":
        body = ElementTree.fromstring(zipfile.ZipFile(BytesIO(data)).read("word/document.xml"))
        in_tables = {id(p) for table in body.iter(f"{W}tbl") for p in table.iter(f"{W}p")} if not tables else set()
        return [words_of(p) for p in body.iter(f"{W}p") if id(p) not in in_tables]
    if path.suffix == ".htm":
        unread = r"<(script|style).*?</\1>|<!--.*?-->|<a\s+class=mso(?:comanchor|comoff).*?</a>"
        text = re.sub(unread, "", data.decode("windows-1252"), flags=re.DOTALL)
        text = text if tables else re.sub(r"<table.*?</table>", "", text, flags=re.DOTALL)
        return [html.unescape(re.sub(r"<[^>]+>", "", part)) for part in re.split(r"</?(?:p|h\d|td|div)\b[^>]*>", text)]
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)
    pages = pypdf.PdfReader(BytesIO(data)).pages
    return [line for page in pages for line in page.extract_text().splitlines()]


def words_of(paragraph: ElementTree.Element) -> str:
    """The paragraph's own letters, not those of the text boxes that hang on it."""
    boxes = {id(t) for inner in paragraph.iter(f"{W}p") if inner is not paragraph for t in inner.iter()}
    own = (element for element in paragraph.iter() if id(element) not in boxes)
    return "".join((t.text or "") if t.tag == f"{W}t" else " " if t.tag in (f"{W}tab", f"{W}br") else "" for t in own)


def plain(markdown: str) -> str:
    """Markdown as a reader sees its words: links by their text, no pictures, marks or comments."""
    text = re.sub(r"<!--.*?-->|!\[[^\]]*\]\([^)]*\)", " ", markdown, flags=re.DOTALL)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"<[^>]+>|[*`_#|>\\]|\[![A-Z]+\]", " ", text)


def words(text: str) -> Counter[str]:
    return Counter(filter(None, (bare(word) for word in re.split(r"[\s/–—-]+", text))))


def headings(markdown: str) -> list[str]:
    outside = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    found = [plain(line) for line in outside.splitlines() if re.match(r"#{1,6}\s", line)]
    return [bare(re.sub(r"^\s*\d+(?:\.\d+)*\.?\s+(?=\D)", "", line)) for line in found]


def steps(markdown: str) -> Iterator[tuple[str, str]]:
    """(number, first letters) of every numbered item at any depth, the number as a viewer of the Markdown prints it."""
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    lines = markdown.split("\n")
    for node in SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(markdown)).walk():
        if node.type == "ordered_list":
            for number, item in enumerate(node.children, int(node.attrs.get("start", 1))):
                first = item.children[0] if item.children else None
                if first is not None and first.map:
                    text = " ".join(lines[first.map[0] : first.map[1]])
                    text = re.sub(r"^\s*(?:>\s*)*\d+[.)]\s+", "", text)
                    if key := bare(plain(text)):
                        yield str(number), key[:40]


def wanted_steps(name: str, twin: str, whole: str, hidden: str) -> Counter[tuple[str, str]]:
    """(number, first letters) that the file prints.

    In PDF and HTML the number is text like any other: a step of the twin counts where the file prints it under that number.
    Word counts by itself. What it prints in one of these files is known, because Word saved that file as HTML as well; in the
    others it is not, since their owners numbered anew in Markdown.
    """
    if name.endswith(".docx"):
        same = {"APPN_HIRES_FieldBook_Rev1.1__UWA_.docx": "APPN_HIRES_FieldBook_Rev1.1__UWA_v2.htm"}.get(name)
        return printed_by_word(APPN / same) if same else Counter()
    steps_of_twin = Counter((n, key) for n, key in steps(twin) if n + key in whole and key not in hidden)
    return steps_of_twin | printed_by_word(APPN / name) if name.endswith(".htm") else steps_of_twin


def printed_by_word(path: Path) -> Counter[tuple[str, str]]:
    """The numbers that Word wrote into its HTML as text."""
    found = (re.fullmatch(r"(\d{1,3})\.\s+(.*)", " ".join(line.split())) for line in original(path, tables=False))
    return Counter((line[1], bare(line[2])[:40]) for line in found if line and bare(line[2]))


def score(name: str) -> Score:
    path, twin = APPN / name, (APPN / "md" / f"{PAIRS[name]}.md").read_text("utf-8")
    found = imported(path)
    there = original(path)
    hidden = " ".join(seen.text for seen in found.hidden)
    wanted, made = wanted_steps(name, twin, bare(" ".join(there)), bare(hidden)), Counter(steps(found.text))
    body = original(path, tables=False)
    lines = {bare(re.sub(r"^\s*(?:\d+\.|[•·])\s*", "", line)) for line in body}
    lines |= {bare(f"{a} {b}") for a, b in pairwise(body)}
    heads = [head for head in headings(twin) if head in lines]
    missed = [f"step {number} {key}" for number, key in wanted - made]
    missed += [f"heading {head}" for head in heads if head not in headings(found.text)]
    visible = words(plain(twin)) & (words(" ".join(there)) - words(hidden))
    got = words(plain(found.text))
    missed += [f"words {visible - got}"] if visible - got else []
    return Score(
        name,
        ((wanted & made).total(), wanted.total()),
        (sum(head in headings(found.text) for head in heads), len(heads)),
        ((visible & got).total(), visible.total()),
        missed,
    )


@pytest.fixture(scope="module")
def scores() -> list[Score]:
    return [score(name) for name in PAIRS]


@pytest.mark.parametrize(
    ("what", "least"), [("steps", 0.98), ("headings", 0.92), ("words", 0.99)], ids=["numbered steps", "headings", "words"]
)
@pytest.mark.parametrize("kind", [".docx", ".htm", ".pdf"])
def test_what_stands_in_a_file_and_in_its_twin_is_imported(scores: list[Score], kind: str, what: str, least: float) -> None:
    """Lost: the steps people follow would be fewer than those on paper, or stand under another number."""
    mine = [score for score in scores if score.pair.endswith(kind)]
    for score in mine:
        print(f"{score.pair}: steps {score.steps}, headings {score.headings}, words {score.words}")
    found, wanted = (sum(getattr(score, what)[n] for score in mine) for n in (0, 1))
    assert wanted > {"steps": 80, "headings": 10, "words": 3_000}[what]
    assert found / wanted >= least, [line for score in mine for line in score.missed if line.startswith(what[:4])]


def test_no_pair_is_carried_by_the_others(scores: list[Score]) -> None:
    """Lost: one file that is read badly would hide behind fourteen that are read well."""
    for score in scores:
        assert score.words[0] >= 0.99 * score.words[1], (score.pair, score.missed)
        assert score.steps[0] >= 0.95 * score.steps[1], (score.pair, score.missed)
        assert score.headings[0] >= 0.9 * score.headings[1], (score.pair, score.missed)


def test_headings_are_not_made_up(scores: list[Score]) -> None:
    """Lost: marking every bold line as a heading would find them all, and cut each procedure into scraps."""
    for name in PAIRS:
        twin = (APPN / "md" / f"{PAIRS[name]}.md").read_text("utf-8")
        made = headings(imported(APPN / name).text)
        assert len(made) <= 1.25 * len(headings(twin)) + 3, (name, made)


def test_the_imported_markdown_is_read_with_the_same_numbers() -> None:
    """Lost: the reader would keep every number, and the library would count its steps anew."""
    for name in PAIRS:
        found = imported(APPN / name)
        document = sops.loose(found.text, name)
        top = re.findall(r"^(\d+)[.)] \S", re.sub(r"^```.*?^```", "", found.text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
        kept = Counter(step.number for step in document.steps)
        assert Counter(top) - kept == Counter(), name


def test_every_file_of_the_folder_is_imported_or_refused_with_a_reason() -> None:
    """Lost: a file would end the import of a folder, or vanish from it without a word."""
    for path in sorted(path for path in SOPS.rglob("*") if path.suffix in READERS):
        try:
            found = imported(path)
        except Unconvertible as refused:
            assert refused.what.endswith("."), path
            continue
        assert found.kept["words"] > 20, path
        assert sops.loose(found.text, path.name).blocks, path
