"""SOP file -> one Sop: front matter, steps with stable ids, sections and blocks. Pure: text in, values out, no clock, no files.

`parse` reads our own format (docs/sops.md) and is strict: everything that is wrong comes back at once, each with its line.
`loose` reads anybody's Markdown or plain text and adds nothing: no role, no clock, numbers as a reader sees them.

    SopError        the file is not an SOP; `.findings` says why, line by line
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # loaded by the first file that is parsed: cards need SopText alone, and quickly
    from markdown_it.tree import SyntaxTreeNode

SECTIONS = (
    "Purpose",
    "Scope",
    "Steps",
    "RACI",
    "Exceptions",
    "Escalation",
    "Attachments",
    "KPIs",
    "Compliance notes",
    "Change log",
)
"""The headings that every SOP of a published library is expected to have, in this order."""

UNSEARCHED = frozenset({"raci", "change log"})
"""Sections of our format that name every step and answer no question: as passages they would outrank the steps themselves."""

_REQUIRED = ("id", "title", "domain", "version", "owner", "approver", "effective", "roles", "sites", "retention")
_OPTIONAL = ("review_by",)
_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_SITE = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_MAX_FRONT = 8_000
_MAX_FIELD = 200
_SPLIT_FROM = 500  # a longer block is cut at list items or sentence ends, so that a passage stays a step or two


class SopText(str):
    """Text of an SOP, as its approver saw it. Made here and in knowledge.tables only: this is what may be quoted to people."""

    __slots__ = ()


NO_TEXT = SopText("")


@dataclass(frozen=True, order=True)
class Finding:
    """One thing wrong or missing: file name, line counted from 1 (0: the file as a whole), one sentence."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}" if self.line else f"{self.file}: {self.what}"


class SopError(Exception):
    """The file cannot be read as an SOP. `findings` holds every reason, in the order of the file."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(sorted(findings))
        super().__init__("; ".join(str(finding) for finding in self.findings))


@dataclass(frozen=True)
class Branch:
    """If `when`, then `then`."""

    when: SopText
    then: SopText


@dataclass(frozen=True)
class Step:
    """One step of an SOP.

    id          stable, unique in the file; in a loose document made from its heading and number
    number      as printed
    text        verbatim: `source[start:end]` of its Sop
    role        role id, or empty
    clock       normalised (`48 h`, `4 open h`, `30 d`, `5 open d`, `same day`), or empty
    end_all     where the step ends with its Who, Clock, Proof, If and Escalate lines
    """

    id: str
    number: str
    title: SopText
    text: SopText
    role: str
    clock: str
    proof: SopText
    branches: tuple[Branch, ...]
    escalation: SopText
    line: int
    start: int
    end: int
    end_all: int


@dataclass(frozen=True)
class Section:
    """A heading and the text below it down to the next heading; `text` is `source[start:end]`."""

    path: tuple[SopText, ...]
    text: SopText
    line: int
    start: int
    end: int

    @property
    def heading(self) -> SopText:
        return self.path[-1] if self.path else NO_TEXT


@dataclass(frozen=True)
class Block:
    """The smallest piece that is shown on its own: a paragraph, a list item, a table row. `source[start:end]`, never empty."""

    start: int
    end: int
    path: tuple[SopText, ...]
    step: str = ""
    asked: tuple[str, ...] = ()
    """The questions of its step or section's `Asked as` line: no text of the SOP, so plain strings, which are never quoted."""


@dataclass(frozen=True)
class Sop:
    """One version of one SOP. `source` is the text that all spans cut into; `sha256` is of its UTF-8 bytes.

    A loose document has `authored` false, version 0, no owner, no dates, and stands open to every role and site ("all").
    """

    id: str
    title: SopText
    domain: str
    version: int
    owner: str
    approver: str
    effective: date | None
    review_by: date | None
    roles: tuple[str, ...]
    sites: tuple[str, ...]
    retention: str
    steps: tuple[Step, ...]
    sections: tuple[Section, ...]
    blocks: tuple[Block, ...]
    source: SopText
    sha256: str
    authored: bool = True
    warnings: tuple[Finding, ...] = ()

    @property
    def words(self) -> int:
        return len(self.source.split())


def excerpt(source: SopText, start: int, end: int) -> SopText:
    """The verbatim piece `source[start:end]`, still SOP text.

    raises ValueError   the span is empty or not inside the source
    """
    if not 0 <= start < end <= len(source):
        raise ValueError("the span is not inside the source")
    return SopText(source[start:end])


def role_id(title: str) -> str:
    """`Billing coordinator` -> `billing_coordinator`."""
    return re.sub(r"[^a-z0-9]+", "_", title.strip().lower()).strip("_")


_CLOCK = re.compile(
    r"(?:within\s+)?(?P<n>[1-9]\d{0,3})\s*(?P<open>open|business|working)?\s*(?P<unit>h|hrs?|hours?|d|days?)", re.IGNORECASE
)
_SAME_DAY = re.compile(r"(?:the\s+)?same\s+(?:open\s+|business\s+|working\s+)?day", re.IGNORECASE)


def clock(text: str) -> str | None:
    """The clock in its one written form (`within 48 hours` -> `48 h`), or None where it is not a clock."""
    text = " ".join(text.split()).rstrip(".")
    if _SAME_DAY.fullmatch(text):
        return "same day"
    if not (found := _CLOCK.fullmatch(text)):
        return None
    return f"{found['n']} {'open ' if found['open'] else ''}{found['unit'][0].lower()}"


def parse(text: str, name: str) -> Sop:
    """The SOP in `text`; `name` is the file's name, for findings.

    raises SopError   with every finding, each at its line
    """
    source, hidden = _clean(text, name, comments=False)
    reader = _Reader(source, name)
    reader.warnings += hidden
    front = _front_matter(source, reader)
    body = _Body(source, front.lines, reader)
    _take_asked(body, reader)
    steps = _steps(body, reader)
    _check_sections(body, reader)
    _check_people(front, steps, reader)
    _check_raci(body, steps, reader)
    if reader.errors:
        raise SopError(reader.errors)
    effective = front.date("effective")
    return Sop(
        id=front.text("id"),
        title=SopText(front.text("title")),
        domain=front.text("domain"),
        version=int(front.text("version")),
        owner=role_id(front.text("owner")),
        approver=role_id(front.text("approver")),
        effective=effective,
        review_by=front.date("review_by"),
        roles=tuple(role_id(role) for role in front.list("roles")),
        sites=tuple(site.lower() for site in front.list("sites")),
        retention=front.text("retention"),
        steps=steps,
        sections=body.sections(),
        blocks=body.blocks({(step.start, step.end_all): step.id for step in steps}),
        source=source,
        sha256=hashlib.sha256(source.encode()).hexdigest(),
        warnings=tuple(sorted(reader.warnings)),
    )


def loose(text: str, name: str, *, title: str = "", printed: bool = False) -> Sop:
    """Somebody else's Markdown or plain text as a document of sections and numbered steps; nothing is invented.

    The title is the front matter's, else `title`, else the first heading, else the file's name. Numbers are what a Markdown
    viewer shows; `printed`: the text was made from another format, and its numbers are what that one printed.
    Never raises: any text is a document, if need be one without steps.
    """
    source, hidden = _clean(text, name, comments=True)
    lines = _front_lines(source)
    reader = _Reader(source, name)
    body = _Body(source, lines, reader, shadow=_shadow(source))
    steps = tuple(_loose_steps(body, printed))
    return Sop(
        id=_slug(name.rsplit(".", 1)[0]) or f"document-{hashlib.sha256(name.encode()).hexdigest()[:8]}",
        title=_loose_title(source, lines, body, name, title),
        domain="",
        version=0,
        owner="",
        approver="",
        effective=None,
        review_by=None,
        roles=("all",),
        sites=("all",),
        retention="",
        steps=steps,
        sections=body.sections(),
        blocks=body.blocks({(step.start, step.end_all): step.id for step in steps}),
        source=source,
        sha256=hashlib.sha256(source.encode()).hexdigest(),
        authored=False,
        warnings=hidden,
    )


def has_front_matter(text: str) -> bool:
    """Does the text mean to be an SOP of ours: does it start with a `---` block that names an `id`? Then `parse` judges it."""
    source = text.removeprefix("\ufeff").replace("\r\n", "\n")
    count = _front_lines(source)
    return any(re.match(r"id\s*:", line) for line in source.split("\n")[1:count])


# --- what a person cannot see ---------------------------------------------------------------------------------------------

_HIDDEN = re.compile(
    "[\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
_COMMENT = re.compile(r"(?<!\\)<!--.*?(?:-->|\Z)", re.DOTALL)  # with a backslash before it, a viewer shows it
_STEP_MARK = re.compile(r"<!--\s*step:\s*(.*?)\s*-->")


def _clean(text: str, name: str, *, comments: bool) -> tuple[SopText, tuple[Finding, ...]]:
    """The text without what no reader sees, line count kept; with `comments`, HTML comments go as well.

    What is quoted must be what the approver saw, and hidden characters are where instructions to a model are hidden.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub("[\x85\u2028\u2029]", " ", text)  # YAML counts these as line ends, Markdown does not
    warnings = []
    for found in _HIDDEN.finditer(text):
        warnings.append(Finding(name, text.count("\n", 0, found.start()) + 1, "A character that no reader sees was left out."))
    text = _HIDDEN.sub("", text)
    if comments:
        for found in _COMMENT.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            warnings.append(Finding(name, line, "A comment that no reader sees was left out."))
        text = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
    return SopText(text), tuple(sorted(set(warnings)))


# --- front matter -----------------------------------------------------------------------------------------------------------


class _Reader:
    """Collects what is wrong and what is odd, with lines."""

    def __init__(self, source: str, name: str) -> None:
        self.source, self.name = source, name
        self.errors: list[Finding] = []
        self.warnings: tuple[Finding, ...] = ()

    def error(self, line: int, what: str) -> None:
        self.errors.append(Finding(self.name, line, what))

    def warn(self, line: int, what: str) -> None:
        self.warnings += (Finding(self.name, line, what),)


@dataclass
class _Front:
    """The front matter's fields, each with its line; only what passed its check."""

    lines: int
    values: dict[str, tuple[int, Any]] = field(default_factory=dict)

    def line(self, key: str) -> int:
        return self.values.get(key, (1, None))[0]

    def text(self, key: str) -> str:
        return str(self.values.get(key, (0, ""))[1])

    def list(self, key: str) -> tuple[str, ...]:
        return tuple(self.values.get(key, (0, ()))[1])

    def date(self, key: str) -> date | None:
        return date.fromisoformat(self.text(key)) if key in self.values else None


def _front_lines(source: str) -> int:
    """How many lines the front matter takes, with both its fences; 0 without one."""
    lines = source.split("\n")
    if lines[0].rstrip() != "---":
        return 0
    return next((n + 1 for n, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "...")), 0)


def _front_matter(source: str, reader: _Reader) -> _Front:
    front = _Front(_front_lines(source))
    if not front.lines:
        reader.error(1, "The file does not start with front matter: put `---`, the fields and `---` at its top.")
        return front
    text = "\n".join(source.split("\n")[1 : front.lines - 1])
    for given in _fields(text, reader):
        _read_field(given, front, reader)
    if reader.errors and not front.values:
        return front
    for name in _REQUIRED:
        if name not in front.values and not any(f"`{name}`" in e.what for e in reader.errors):
            reader.error(1, f"The field `{name}` is missing.")
    if "review_by" in front.values and "effective" in front.values and front.text("review_by") <= front.text("effective"):
        reader.error(front.line("review_by"), "`review_by` must be later than `effective`.")
    if "review_by" not in front.values and not any("`review_by`" in e.what for e in reader.errors):
        reader.warn(1, "Without `review_by` nobody is reminded to look at this SOP again.")
    return front


@dataclass(frozen=True)
class _Field:
    """One field as written: its lines in the file, and its value; None where that is neither a text nor a list of texts."""

    name: str
    line: int
    value: tuple[str, ...] | str | None
    value_line: int


def _fields(text: str, reader: _Reader) -> list[_Field]:
    """The front matter's fields in order; none, and an error at its line, where it is not YAML."""
    import yaml

    if len(text) > _MAX_FRONT:
        reader.error(1, "The front matter is longer than 8,000 characters: is its closing `---` missing?")
        return []
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        reader.error(mark.line + 2 if mark else 1, f"The front matter is not valid YAML: {wrong.problem or wrong.context}.")
        return []
    except (yaml.YAMLError, RecursionError):
        reader.error(1, "The front matter is not valid YAML.")
        return []
    if not isinstance(node, yaml.MappingNode):
        reader.error(2, "The front matter holds no fields: write one `name: value` a line.")
        return []

    def plain(value: yaml.Node) -> tuple[str, ...] | str | None:
        if isinstance(value, yaml.ScalarNode):
            return str(value.value).strip()
        items = value.value if isinstance(value, yaml.SequenceNode) else [value]
        return tuple(item.value.strip() for item in items) if all(isinstance(i, yaml.ScalarNode) for i in items) else None

    return [
        _Field(str(plain(key)), key.start_mark.line + 2, plain(value), value.start_mark.line + 2) for key, value in node.value
    ]


def _read_field(given: _Field, front: _Front, reader: _Reader) -> None:
    if given.name not in (*_REQUIRED, *_OPTIONAL):
        reader.error(given.line, f"`{given.name[:40]}` is not a field of an SOP.")
    elif given.name in front.values:
        reader.error(given.line, f"The field `{given.name}` stands twice.")
    elif problem := _field_problem(given):
        reader.error(given.value_line, f"`{given.name}` {problem}.")
    elif given.name in ("roles", "sites") and isinstance(given.value, str):
        front.values[given.name] = (given.line, (given.value,))
    else:
        front.values[given.name] = (given.line, given.value)


def _field_problem(given: _Field) -> str:
    """What is wrong with the value, as the end of a sentence that starts with the field's name; empty when nothing is."""
    many = given.name in ("roles", "sites")
    if given.value is None or (isinstance(given.value, tuple) and not many):
        return "takes a list of names in [ ]" if many else "takes one plain value"
    texts = [given.value] if isinstance(given.value, str) else list(given.value)
    if not texts or not all(texts):
        return "is empty"
    if max(map(len, texts)) > _MAX_FIELD:
        return f"is longer than {_MAX_FIELD} characters"
    return _value_problem(given.name, texts)


def _value_problem(name: str, texts: list[str]) -> str:
    first = texts[0]
    match name:
        case "id" if not _ID.fullmatch(first):
            return "takes lower-case words joined by hyphens, such as billing-claims"
        case "version" if not re.fullmatch(r"[1-9]\d{0,5}", first):
            return "takes a whole number from 1 up"
        case "effective" | "review_by" if not _is_date(first):
            return "takes a date as 2026-01-05"
        case "owner" | "approver" | "roles" if not all(map(role_id, texts)):
            return "takes the title of a role, such as Office manager"
        case "sites" if not all(_SITE.fullmatch(text.lower()) for text in texts):
            return "takes `all` or the ids of sites, such as harbor"
    return ""


def _is_date(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


# --- Markdown ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Heading:
    level: int
    text: SopText
    raw: str
    line: int
    """Counted from 1, in the file."""
    below: int
    """The first line (from 0) below the heading."""


class _Body:
    """The Markdown below the front matter: top-level nodes with the headings they stand under."""

    def __init__(self, source: SopText, skip: int, reader: _Reader, shadow: str | None = None) -> None:
        from markdown_it import MarkdownIt
        from markdown_it.tree import SyntaxTreeNode

        self.source, self.reader = source, reader
        lines = (source if shadow is None else shadow).split("\n")
        self.starts = [0]
        for line in source.split("\n"):
            self.starts.append(self.starts[-1] + len(line) + 1)
        text = "\n".join([""] * skip + lines[skip:])
        self.nodes: list[tuple[tuple[_Heading, ...], SyntaxTreeNode]] = []
        self.headings: list[_Heading] = []
        self.asked: dict[_Heading, tuple[str, ...]] = {}
        self.asked_lines: list[tuple[int, int]] = []
        """First line (from 0) and the one past it, each at an edge of its step or section."""
        path: tuple[_Heading, ...] = ()
        for node in SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(text)).children:
            if node.type == "heading":
                heading = _heading(node)
                path = (*(h for h in path if h.level < heading.level), heading)
                self.headings.append(heading)
            self.nodes.append((path, node))

    def span(self, first: int, past: int) -> tuple[int, int]:
        """Lines `first` up to `past` as an offset pair, without blank edges (indentation of the first line is kept out)."""
        start, end = self.starts[first], min(self.starts[min(past, len(self.starts) - 1)], len(self.source))
        piece = self.source[start:end]
        return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())

    def bare(self, first: int, past: int) -> tuple[int, int]:
        """Those lines without the `Asked as` line that they begin or end with."""
        for start, end in self.asked_lines:
            if first <= start < past:
                before = self.source[self.starts[first] : self.starts[start]]
                first, past = (first, start) if before.strip() else (end, past)
        return first, past

    def line_at(self, offset: int) -> int:
        return bisect_right(self.starts, offset)

    def cut(self, start: int, end: int) -> SopText:
        return SopText(self.source[start:end])

    def sections(self) -> tuple[Section, ...]:
        """Every heading with the text right below it."""
        last = len(self.starts) - 1
        ends = [h.line - 1 for h in self.headings[1:]] + [last] * bool(self.headings)
        result, path = [], ()  # type: tuple[list[Section], tuple[_Heading, ...]]
        for heading, past in zip(self.headings, ends, strict=True):
            path = (*(h for h in path if h.level < heading.level), heading)
            start, end = self.span(*self.bare(heading.below, past))
            if start < end:
                result.append(Section(_texts(path), self.cut(start, end), heading.line, start, end))
        return tuple(result)

    def blocks(self, steps: dict[tuple[int, int], str]) -> tuple[Block, ...]:
        """All text in small pieces, each under its headings and, where it has one, its step."""
        spans = sorted(steps)
        result = []
        for path, node in self.nodes:
            if node.type in ("heading", "hr") or node.map is None:
                continue
            for start, end in _pieces(node, self):
                at = bisect_right(spans, (start, len(self.source) + 1)) - 1
                inside = at >= 0 and start < spans[at][1]
                asked = self.asked.get(home, ()) if (home := _home(path)) else ()
                result.append(Block(start, end, _texts(path), steps[spans[at]] if inside else "", asked))
        return tuple(result)


def _home(path: tuple[_Heading, ...]) -> _Heading | None:
    """The step or section that this text belongs to: a step's own headings are part of it."""
    if [heading.text.lower() for heading in path if heading.level == 2] == ["steps"]:
        return next((heading for heading in path if heading.level == 3), path[-1])
    return path[-1] if path else None


def _texts(path: tuple[_Heading, ...]) -> tuple[SopText, ...]:
    return tuple(heading.text for heading in path)


def _heading(node: SyntaxTreeNode) -> _Heading:
    inline = node.children[0]
    words = "".join(_plain(inline))
    first, below = node.map or (0, 0)
    return _Heading(int(node.tag[1]), SopText(" ".join(words.split())), inline.content, first + 1, below)


def _plain(node: SyntaxTreeNode) -> Iterator[str]:
    """The words of an inline node, without marks."""
    if node.type in ("text", "code_inline"):
        yield node.content
    elif node.type in ("softbreak", "hardbreak"):
        yield " "
    for child in node.children:
        yield from _plain(child)


_SENTENCE = re.compile(r"(?<=[.!?;:])[\"”’)*_]*\s+")


def _pieces(node: SyntaxTreeNode, body: _Body) -> Iterator[tuple[int, int]]:
    """The node cut into list items, rows, or runs of sentences, each below about 500 characters where the text lets it."""
    start, end = body.span(*(node.map or (0, 0)))
    if start >= end:
        return
    inner = [child for child in node.children if child.map and child.type != "inline"]
    if node.type in ("bullet_list", "ordered_list", "table", "thead", "tbody") or (inner and end - start > _SPLIT_FROM):
        for child in inner:
            yield from _pieces(child, body)
    elif end - start > _SPLIT_FROM and node.type in ("paragraph", "html_block", "code_block"):
        yield from _sentences(body.source, start, end)
    else:
        yield start, end


def _sentences(source: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    first = start
    for stop in _SENTENCE.finditer(source, start, end):
        if stop.start() - first >= _SPLIT_FROM // 2 and end - stop.end() > _SPLIT_FROM // 5:
            yield first, stop.start()
            first = stop.end()
    yield first, end


# --- the steps of our own format ----------------------------------------------------------------------------------------

_STEP_TITLE = re.compile(r"(?:step\s+)?(?P<number>\d+[a-z]?(?:\.\d+)*)[.):]?\s+(?P<title>\S.*)", re.IGNORECASE)
_LABEL = re.compile(r"\*\*(Who|Clock|Proof|Escalate|If)\b\s*:?\s*\*\*\s*:?\s*", re.IGNORECASE)
_BRANCH = re.compile(r"(?P<when>\S.*?),?\s+\*\*then\b\s*:?\s*\*\*\s*:?\s*(?P<then>\S.*)", re.DOTALL | re.IGNORECASE)


def _steps(body: _Body, reader: _Reader) -> tuple[Step, ...]:
    headings = [h for h in body.headings if h.level == 2]
    at = next((n for n, h in enumerate(headings) if h.text.lower() == "steps"), None)
    if at is None:
        reader.error(1, "The section `## Steps` is missing.")
        return ()
    first = headings[at].line
    past = headings[at + 1].line if at + 1 < len(headings) else len(body.starts)
    found = [h for h in body.headings if h.level == 3 and first < h.line < past]
    if not found:
        reader.error(first, "The section Steps holds no step: write `### 1. Title <!-- step: some-id -->`.")
    seen: dict[str, int] = {}
    ends = [h.line - 1 for h in found[1:]] + [past - 1] * bool(found)
    steps = [_step(h, end, body, reader, seen) for h, end in zip(found, ends, strict=True)]
    _check_comments(body, reader)
    return tuple(step for step in steps if step)


def _step(heading: _Heading, past: int, body: _Body, reader: _Reader, seen: dict[str, int]) -> Step | None:
    line = heading.line
    step_id = _step_id(heading, reader, seen)
    titled = _STEP_TITLE.fullmatch(heading.text)
    if not titled:
        reader.error(line, "A step's heading starts with its number: `### 1. Title`.")
    items, labels = _labelled(heading, past, body, reader)
    first, past = body.bare(heading.below, past)
    start, end = body.span(first, items[0] if items else past)
    if start >= end:
        reader.error(line, "The step has no text: say what to do.")
    if not step_id or not titled:
        return None
    if "Who" not in labels:
        reader.warn(line, "The step names nobody under **Who:**.")
    role = role_id(labels.get("Who", ""))
    return Step(
        id=step_id,
        number=titled["number"],
        title=SopText(titled["title"]),
        text=body.cut(start, end),
        role=role,
        clock=clock(labels.get("Clock", "")) or "",
        proof=SopText(labels.get("Proof", "")),
        branches=tuple(_branches(labels.get("If", ""))),
        escalation=SopText(labels.get("Escalate", "")),
        line=line,
        start=start,
        end=end,
        end_all=body.span(first, past)[1],
    )


def _step_id(heading: _Heading, reader: _Reader, seen: dict[str, int]) -> str:
    mark = _STEP_MARK.search(heading.raw)
    if not mark:
        reader.error(heading.line, "The step has no id: end its heading with `<!-- step: some-id -->`.")
        return ""
    step_id = mark[1]
    if not _ID.fullmatch(step_id):
        reader.error(heading.line, f"The step id `{step_id[:60]}` takes lower-case words joined by hyphens.")
        return ""
    if step_id in seen:
        reader.error(heading.line, f"The step id `{step_id}` is used in line {seen[step_id]} already.")
        return ""
    seen[step_id] = heading.line
    return step_id


def _labelled(heading: _Heading, past: int, body: _Body, reader: _Reader) -> tuple[list[int], dict[str, str]]:
    """The step's closing lines: the lines (from 0) they start at, and their texts by label (several If joined by newlines)."""
    nodes = [n for path, n in body.nodes if path and n.map and heading.below <= n.map[0] < past and n.type != "hr"]
    items = [item for node in nodes if node.type == "bullet_list" for item in node.children]
    tail: list[tuple[SyntaxTreeNode, re.Match[str]]] = []
    if nodes and nodes[-1].type == "bullet_list":
        for item in reversed(nodes[-1].children):
            if not (label := _LABEL.match(_first_line(item))):
                break
            tail.insert(0, (item, label))
    closing = {id(item) for item, _ in tail}
    for item in items:
        label = _LABEL.match(_first_line(item))
        if label and id(item) not in closing and label[1].title() != "If":
            reader.error(
                (item.map or (0, 0))[0] + 1, f"`{label[1].title()}` stands before other text: move it to the step's end."
            )
    labels: dict[str, str] = {}
    for item, label in tail:
        _read_label(item, label, labels, reader)
    return [item.map[0] for item, _ in tail if item.map], labels


def _first_line(item: SyntaxTreeNode) -> str:
    first = item.children[0] if item.children else None
    return first.children[0].content if first and first.type == "paragraph" and first.children else ""


def _read_label(item: SyntaxTreeNode, label: re.Match[str], labels: dict[str, str], reader: _Reader) -> None:
    line = (item.map or (0, 0))[0] + 1
    name = label[1].title()
    text = " ".join(_first_line(item)[label.end() :].split())
    if not text:
        reader.error(line, f"`{name}` is empty.")
    elif len(item.children) > 1:
        reader.error(line, f"`{name}` takes one paragraph: what stands below it would be lost.")
    elif name in labels and name != "If":
        reader.error(line, f"`{name}` stands twice in this step.")
    elif name == "Clock" and not clock(text):
        reader.error(line, f"`{text[:40]}` is not a clock: write 48 h, 4 open h, 30 d, 5 open d or same day.")
    elif name == "Who" and re.search(r",|/|;|\bor\b|\band\b", text):
        reader.error(line, "`Who` takes one role: a nudge goes to one person.")
    elif name == "If" and not _BRANCH.fullmatch(text):
        reader.error(line, "An `If` line reads `**If** this happens, **then** do that`.")
    else:
        labels[name] = f"{labels[name]}\n{text}" if name in labels else text


def closes(text: str) -> bool:
    """Is this the beginning of a step's closing lines (Who, Clock, Proof, If, Escalate)?"""
    return bool(_LABEL.match(text.lstrip("-*+ ")))


def _branches(lines: str) -> Iterator[Branch]:
    for line in filter(None, lines.split("\n")):
        if found := _BRANCH.fullmatch(line):
            yield Branch(SopText(found["when"]), SopText(found["then"]))


# --- what a step is asked as ---------------------------------------------------------------------------------------------

_ASKED = re.compile(r"(?:\*\*|__)?Asked as(?:\s*:\s*(?:\*\*|__)?|\s*(?:\*\*|__)\s*:?|(?=\s*[\"“”]))\s*", re.IGNORECASE)
_QUESTION = re.compile(r"(?:\"([^\"“”]*)\"|“([^\"“”]*)”)(?:\s*,\s*|\Z)")
_MOST_ASKED = 20


def _take_asked(body: _Body, reader: _Reader) -> None:
    """`Asked as: "…", "…"` right below a heading or at the end of its text: kept for finding it, taken out of what is shown."""
    if "asked as" not in body.source.lower():
        return
    regions: dict[_Heading | None, list[SyntaxTreeNode]] = {}
    for path, node in body.nodes:
        if node.type != "hr" and (not path or node.type != "heading" or path[-1] != _home(path)):
            regions.setdefault(_home(path), []).append(node)
    for home, nodes in regions.items():
        edges = {id(nodes[0]): nodes[0], id(nodes[-1]): nodes[-1]}.values()
        given = [each for each in map(_asked_node, edges) if each]
        for node in given[1:]:
            reader.error(_first(node) + 1, "`Asked as` stands twice here: put all its questions into one line.")
        if given and home:
            _read_asked(given[0], home, len(nodes), body, reader)
        elif given:
            reader.error(_first(given[0]) + 1, "`Asked as` stands below no heading.")
        for node in given:
            if node in nodes:
                body.nodes = [each for each in body.nodes if each[1] is not node]
            elif node.parent:
                node.parent.children.remove(node)
    for _, node in body.nodes:
        for line in _lines_asked(node):
            reader.error(
                line,
                "`Asked as` is a paragraph of its own, right below the heading or at the end of its step or section:"
                " leave a blank line above and below it, and move it there.",
            )


def _first(node: SyntaxTreeNode) -> int:
    return (node.map or (0, 0))[0]


def _asked_node(node: SyntaxTreeNode) -> SyntaxTreeNode | None:
    """The node, or the last item of this list, where it is an `Asked as` line."""
    item = node.children[-1] if node.type == "bullet_list" else node
    text = item.children[0] if item.type == "list_item" and len(item.children) == 1 else item
    return item if text.type == "paragraph" and _ASKED.match(text.children[0].content) else None


def _read_asked(node: SyntaxTreeNode, home: _Heading, nodes: int, body: _Body, reader: _Reader) -> None:
    start, past = node.map or (0, 0)
    inline = next(each for each in node.walk() if each.type == "inline")
    questions = " ".join(_ASKED.sub("", inline.content, count=1).split())
    body.asked_lines.append((start, past))
    if problem := _asked_problem(questions):
        reader.error(start + 1, f"`Asked as` {problem}.")
    elif nodes < 2 and (node.parent is None or node.type == "paragraph" or len(node.parent.children) < 2):
        reader.error(start + 1, "`Asked as` stands below a heading that has no text to be found.")
    elif home.text.lower() in UNSEARCHED:
        reader.error(start + 1, f"`Asked as` finds nothing here: the section {home.text} is not searched.")
    else:
        said = tuple(one or other for one, other in _QUESTION.findall(questions))
        known = {each.casefold() for others in body.asked.values() for each in others}
        if twice := next((each for n, each in enumerate(said) if each.casefold() in known | _small(said[:n])), ""):
            reader.error(start + 1, f"`{twice[:40]}` stands under `Asked as` twice in this file.")
        body.asked[home] = tuple(each.strip() for each in said)


def _small(texts: Iterable[str]) -> set[str]:
    return {text.casefold() for text in texts}


def _asked_problem(questions: str) -> str:
    """What is wrong with the line, as the end of a sentence; empty when nothing is."""
    said, end = [], 0
    while found := _QUESTION.match(questions, end):
        said.append(" ".join(filter(None, found.groups())).strip())
        end = found.end()
    if end < len(questions) or not said or questions.endswith(","):
        return 'takes questions in quotation marks with commas between them and nothing else: `Asked as: "…", "…"`'
    if not all(len(each.split()) > 1 for each in said):
        return "takes questions of two words at least"
    if max(map(len, said)) > _MAX_FIELD:
        return f"takes questions of at most {_MAX_FIELD} characters"
    return f"takes at most {_MOST_ASKED} questions" if len(said) > _MOST_ASKED else ""


def _lines_asked(node: SyntaxTreeNode) -> Iterator[int]:
    """The lines (from 1) of a text that read as `Asked as`."""
    for inline in (each for each in node.walk() if each.type == "inline"):
        for number, line in enumerate(inline.content.split("\n"), (_first(inline) or _first(node)) + 1):
            if _ASKED.match(line.lstrip()):
                yield number


def _check_comments(body: _Body, reader: _Reader) -> None:
    headings = {h.line for h in body.headings if h.level == 3}
    for found in _COMMENT.finditer(body.source):
        line = body.source.count("\n", 0, found.start()) + 1
        if not (line in headings and _STEP_MARK.fullmatch(found[0])):
            reader.error(
                line, "A comment is not seen by readers but would be quoted: remove it, or move it to a step's heading."
            )


def _check_sections(body: _Body, reader: _Reader) -> None:
    have = [h.text.lower() for h in body.headings if h.level == 2]
    for name in SECTIONS:
        if name.lower() not in have and name != "Steps":
            reader.warn(1, f"The section `## {name}` is missing.")
    for heading in body.headings:
        if heading.level == 2 and have.count(heading.text.lower()) > 1:
            reader.warn(heading.line, f"The section {heading.text} stands more than once.")


def _check_people(front: _Front, steps: tuple[Step, ...], reader: _Reader) -> None:
    """Only the roles listed may read the SOP: a step done by another role would be quoted to somebody who may not see it."""
    roles = {role_id(role) for role in front.list("roles")}
    if not roles or "all" in roles:
        return
    for key in ("owner", "approver"):
        if key in front.values and role_id(front.text(key)) not in roles:
            reader.warn(front.line(key), f"The {key} is not among `roles` and so cannot read this SOP.")
    for step in steps:
        if step.role and step.role not in roles:
            reader.warn(step.line, f"{step.role} does step {step.number} but is not among `roles` and so cannot read it.")


def _check_raci(body: _Body, steps: tuple[Step, ...], reader: _Reader) -> None:
    known = {step.id for step in steps}
    for path, node in body.nodes:
        if node.type != "table" or not any(h.text.lower() == "raci" for h in path):
            continue
        for row in (row for part in node.children if part.type == "tbody" for row in part.children):
            cell = "".join(_plain(row.children[0])).strip() if row.children else ""
            if cell and cell not in known:
                reader.warn((row.map or (0, 0))[0] + 1, f"RACI names a step `{cell[:60]}` that is not in Steps.")


# --- other people's documents -------------------------------------------------------------------------------------------

_JEKYLL_HEADING = re.compile(r"\{%-?\s*include\s+\S*heading\S*\s+.*?title=(?P<quote>[\"'])(?P<title>.+?)(?P=quote).*?%\}\s*")
_ADMONITION = re.compile(r"(?P<indent>\s*)(?:!!!|\?\?\?\+?)\s+[\w-]+.*")
_HTML_HEADING = re.compile(r"\s*<h(?P<level>[1-6])\b[^>]*>(?P<title>.+?)</h(?P=level)>\s*", re.IGNORECASE)


def _shadow(source: str) -> str:
    """The text as plain CommonMark of the same number of lines, for finding structure; quotes are cut from the source itself.

    Jekyll heading includes and HTML headings become headings. What stands indented below a MkDocs admonition (`!!! danger`) is
    moved out by its four blanks, else CommonMark takes it for code and its steps are lost.
    """
    lines: list[str] = []
    inside: list[int] = []
    for line in source.split("\n"):
        text = line.expandtabs(4)
        depth = len(text) - len(text.lstrip())
        while inside and text.strip() and depth <= inside[-1]:
            inside.pop()
        text = text[4 * len(inside) :] if inside and text.strip() else line
        if found := _JEKYLL_HEADING.fullmatch(line):
            text = f"## {found['title']}"
        elif html := _HTML_HEADING.fullmatch(line):
            text = f"{'#' * int(html['level'])} {re.sub(r'<[^>]+>', '', html['title'])}"
        elif box := _ADMONITION.fullmatch(line):
            inside.append(len(box["indent"].expandtabs(4)))
        lines.append(text)
    return "\n".join(lines)


def _loose_title(source: str, lines: int, body: _Body, name: str, title: str) -> SopText:
    for line in source.split("\n")[1 : max(0, lines - 1)]:
        if found := re.fullmatch(r"title\s*:\s*[\"']?(.+?)[\"']?\s*", line):
            return SopText(found[1][:_MAX_FIELD])
    if title.strip():
        return SopText(" ".join(title.split())[:_MAX_FIELD])
    if body.headings and body.headings[0].text:
        return SopText(body.headings[0].text[:_MAX_FIELD])
    return SopText(name.rsplit("/", 1)[-1].rsplit(".", 1)[0].replace("_", " ").replace("-", " "))


_MARKER = re.compile(r"\s*(?:>\s*)*(?:(?P<number>\d{1,9})[.)]|[-*+])\s+(?:\[[ xX]\]\s+)?")
_LABELLED = re.compile(
    r"[ \t]*(?P<word>[^\W\d_]{2,12}\s+)?(?P<open>\()?"
    r"(?P<number>[0-9]{1,4}(?:\.[0-9]{1,4}){0,5}|[ivxlc]{2,6}|[IVXLC]{2,6}|[A-Za-z])(?P<close>\.?\)|[.:])?\s+(?=\S)"
)
"""What a numbered step may start with where Markdown has no list for it: `1.1`, `a)`, `(iv)`, `B.`, `Step 3:`."""


def _loose_steps(body: _Body, printed: bool) -> Iterator[Step]:
    """The items of every numbered list that stands on its own, and paragraphs numbered in a row, under their headings."""
    used: set[str] = set()
    labelled = _in_a_row(body)
    for path, node in body.nodes:
        heading = path[-1].text if path else ""
        if node.type == "ordered_list":
            first = int(node.attrs.get("start", 1))
            for number, item in enumerate(node.children, first):
                start, end = body.span(*(item.map or (0, 0)))
                marker = _MARKER.match(body.source, start, end)
                shown = marker["number"] if marker and printed else None
                start = marker.end() if marker else start
                if start < end:
                    yield _loose_step(body, heading, shown or str(number), start, end, used)
        for label in labelled.get(id(node), ()):
            yield _loose_step(body, heading, label.number, label.start, label.end, used)


@dataclass(frozen=True)
class _Label:
    """A line that starts with something like a number: its kind (`1.1`, `a)`), where its text stands."""

    kind: str
    number: str
    start: int
    end: int

    def follows(self, other: _Label) -> bool:
        return self.kind == other.kind and any(a == b + 1 for a in _counts(self.number) for b in _counts(other.number))


def _in_a_row(body: _Body) -> dict[int, list[_Label]]:
    """By node: the labelled lines that follow one another, or start below the number that theirs continues (2, then 2.1).

    A single `3.5 mg` or `A. Miller` at the beginning of a line has no neighbour, so it is text.
    """
    groups: dict[tuple[_Heading, ...], list[tuple[int, _Label]]] = {}
    parents: dict[tuple[_Heading, ...], set[str]] = {}
    for (path, node), (_, after) in zip_longest(body.nodes, body.nodes[1:], fillvalue=((), None)):
        if node is None:
            continue
        if node.type == "paragraph":
            past = after.map[1] if after is not None and after.type == "bullet_list" and after.map else 0
            groups.setdefault(path, []).extend((id(node), label) for label in _labels(node, body, past))
        elif node.type == "ordered_list":
            first = int(node.attrs.get("start", 1))
            parents.setdefault(path, set()).update(str(number) for number in range(first, first + len(node.children)))
    found: dict[int, list[_Label]] = {}
    for path, given in groups.items():
        above = parents.get(path, set()) | {h.text.split()[0].strip("().:") for h in path[-1:] if h.text}
        last: dict[str, _Label] = {}
        taken: set[int] = set()
        for _, label in given:
            before = last.get(label.kind)
            parent = label.number.rpartition(".")[0]
            if before and label.follows(before):
                taken |= {id(before), id(label)}
            elif parent and label.number.endswith(".1") and parent in above:
                taken.add(id(label))
            last[label.kind] = label
            above.add(label.number)
        for node_id, label in given:
            if id(label) in taken:
                found.setdefault(node_id, []).append(label)
    return found


def _labels(node: SyntaxTreeNode, body: _Body, with_list: int) -> Iterator[_Label]:
    """The labelled lines of a paragraph, each with the lines below it down to the next; the last with the bullets below."""
    first, past = node.map or (0, 0)
    marks = [(n, mark) for n in range(first, past) if (mark := _LABELLED.match(body.source, *body.span(n, n + 1)))]
    marks = [(n, mark) for n, mark in marks if _is_label(mark)]
    for at, (_, mark) in enumerate(marks):
        start, end = mark.end(), body.span(marks[at][0], marks[at + 1][0] if at + 1 < len(marks) else max(past, with_list))[1]
        if start < end:
            number = mark["number"]
            shape = re.sub(r"\d+$", "1", number) if number[0].isdigit() else "A" if number.isupper() else "a"
            kind = f"{(mark['word'] or '').strip().lower()} {mark['open'] or ''}{shape}{mark['close'] or ''}"
            yield _Label(kind, number, start, end)


def _is_label(mark: re.Match[str]) -> bool:
    """`1.1` and what ends in a mark is a label; a bare number, letter or word is not. `1.` is a list item of its own."""
    dotted = "." in mark["number"]
    if mark["open"] and not (mark["close"] or "").endswith(")"):
        return False
    if mark["word"]:
        return bool(mark["close"]) or dotted
    return dotted or (bool(mark["close"]) and mark["close"] != ":" and not (mark["number"].isdigit() and not mark["open"]))


_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


def _counts(number: str) -> Iterator[int]:
    """Which numbers the last part of a label may stand for: `i` is the first in Roman and the ninth letter."""
    last = number.rpartition(".")[2].lower()
    if last.isdigit():
        yield int(last)
        return
    if len(last) == 1:
        yield ord(last) - ord("a") + 1
    if set(last) <= set(_ROMAN):
        values = [_ROMAN[letter] for letter in last]
        yield sum(-v if any(v < w for w in values[n + 1 :]) else v for n, v in enumerate(values))


def _loose_step(body: _Body, heading: str, number: str, start: int, end: int, used: set[str]) -> Step:
    step_id = base = "-".join(filter(None, (_slug(heading)[:60].strip("-"), _slug(number))))
    again = 1
    while step_id in used:
        again += 1
        step_id = f"{base}-{again}"
    used.add(step_id)
    return Step(
        id=step_id,
        number=number,
        title=SopText(heading),
        text=body.cut(start, end),
        role="",
        clock="",
        proof=NO_TEXT,
        branches=(),
        escalation=NO_TEXT,
        line=body.line_at(start),
        start=start,
        end=end,
        end_all=end,
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
