"""Markdown and plain text: the text as it is, without what a Markdown viewer would not show."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from knowledge.formats import MAX_SEEN, MAX_TEXT, Converted, Seen, Unconvertible, unseen


def convert(data: bytes, name: str) -> Converted:
    """The file's own text; hidden elements and comments go, every line keeps its number.

    A file that is an SOP of ours (front matter with an `id`) stays as it is, because its own reader judges it: `hidden` says
    what nobody would see in it.
    raises Unconvertible   binary, empty, not UTF-8, or longer than 1,000,000 characters
    """
    text = decode(data)
    if len(text) > MAX_TEXT:
        raise Unconvertible("The file is longer than 1,000,000 characters: split it into one file for each procedure.")
    shown, hidden = _shown(text) if name.lower().endswith((".md", ".markdown")) else (text, ())
    shown, odd = unseen.clear(shown)
    if not any(letter.isalnum() for letter in shown):
        raise Unconvertible("The file holds no text that a reader sees: bring the text version of it.")
    kept = {
        "headings": len(re.findall(r"(?m)^ {0,3}#{1,6}\s", shown)),
        "numbered": len(re.findall(r"(?m)^\s*(?:>\s*)*\d{1,9}[.)]\s", shown)),
        "bullets": len(re.findall(r"(?m)^\s*(?:>\s*)*[-*+]\s", shown)),
        "tables": len(re.findall(r"(?m)^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)+\|?\s*$", shown)),
        "words": len(shown.split()),
    }
    return Converted(text if _ours(text) else shown, _title(shown), kept, hidden=(*hidden, *odd))


def decode(data: bytes) -> str:
    """Bytes of a text file as text, lines ended by newlines. raises Unconvertible"""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in data:
        raise Unconvertible("The file is not text: open it in the program it came from and save it as .docx.")
    else:
        encoding = "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as wrong:
        line = data.count(b"\n", 0, wrong.start) + 1
        raise Unconvertible("The file is not UTF-8 text: save it again with the encoding UTF-8.", line) from None
    if not text.strip():
        raise Unconvertible("The file is empty: bring it again with its text.")
    strange = len(re.findall(r"[\x00-\x08\x0e-\x1f\ufffd]", text))
    if strange > len(text) // 100 or data.startswith((b"%PDF-", b"{\\rtf")):
        raise Unconvertible("The file is not text: open it in the program it came from and save it as .docx.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _title(text: str) -> str:
    found = re.search(r"(?m)^ {0,3}#{1,6}\s+(.+?)\s*#*\s*$", text)
    return found[1][:200] if found else ""


def _ours(text: str) -> bool:
    lines = text.split("\n", 200)
    end = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "...")), 0)
    return lines[0].rstrip() == "---" and any(re.match(r"id\s*:", line) for line in lines[1:end])


# --- what a viewer does not show ------------------------------------------------------------------------------------------

_FENCE = re.compile(r"(?m)^ {0,3}(?P<mark>`{3,}|~{3,})[^\n]*\n(?:.*\n)*?(?: {0,3}(?P=mark)[`~]*[ \t]*\n|\Z)")
_COMMENT = re.compile(r"(?<!\\)<!--(?P<says>.*?)(?:-->|\Z)", re.DOTALL)
_STEP_MARK = re.compile(r"\s*step:\s*\S+\s*")
_NOTE = re.compile(
    r"(?m)^ {0,3}\[[^\]\n]{1,200}\]:[ \t]*(?:#|<[^>\n]*>)?[ \t]*(?P<says>\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\))[ \t]*$"
)
_TAG = re.compile(r"<(?P<close>/)?(?P<name>[A-Za-z][A-Za-z0-9-]{0,30})(?P<rest>(?:\s[^<>]{0,2000})?)/?>")
_NEVER = frozenset({"script", "style", "template", "noscript", "title", "object", "iframe", "svg"})
_EMPTY = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
_ATTRIBUTE = re.compile(r"""([\w:-]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+))?""")


def _shown(text: str) -> tuple[str, tuple[Seen, ...]]:
    """The text without comments, notes and hidden elements, blank lines left in their place."""
    seen: list[Seen] = []
    pieces: list[str] = []
    code = [found.span() for found in _FENCE.finditer(text + "\n")]
    starts = [start for start, _ in code]
    last = 0
    for start, end, what, says in sorted(_unshown(text)):
        at = bisect_right(starts, start) - 1
        if start < last or (at >= 0 and start < code[at][1]):
            continue
        pieces += [text[last:start], "\n" * text.count("\n", start, end)]
        last = end
        if says.strip():
            where = f"line {text.count(chr(10), 0, start) + 1}" if len(seen) < MAX_SEEN else ""
            seen.append(Seen(where, what, " ".join(says[:2_000].split())))
    return "".join([*pieces, text[last:]]), tuple(seen)


def _unshown(text: str) -> Iterator[tuple[int, int, str, str]]:
    """Start, end, what it is, and what it says."""
    for found in _COMMENT.finditer(text):
        if not _STEP_MARK.fullmatch(found["says"]):
            yield (*found.span(), "a comment", found["says"])
    for found in _NOTE.finditer(text):
        yield (*found.span(), "a note that no viewer shows", found["says"][1:-1])
    yield from _elements(text)


def _elements(text: str) -> Iterator[tuple[int, int, str, str]]:
    """HTML elements that are not displayed, from the opening tag to the closing one; one inside another is not told again."""
    classes = _hiding_classes(text)
    open_at: list[str] = []
    outer: tuple[int, int, int, str] | None = None  # depth, start, where its inside starts, why
    for tag in _TAG.finditer(text):
        name = tag["name"].lower()
        if tag["close"]:
            at = next((n for n in range(len(open_at) - 1, max(-1, len(open_at) - 50), -1) if open_at[n] == name), None)
            if at is None:
                continue
            del open_at[at:]
            if outer and at <= outer[0]:
                yield outer[1], tag.end(), outer[3], _bare(text[outer[2] : tag.start()])
                outer = None
            continue
        given = {key.lower(): value.strip("\"'") for key, value in _ATTRIBUTE.findall(tag["rest"])}
        if name in _EMPTY:
            if name in ("input", "meta", "embed", "link"):
                yield tag.start(), tag.end(), "a value that no viewer shows", given.get("value") or given.get("content", "")
            continue
        if not outer and (why := _why(name, given, classes)):
            outer = (len(open_at), tag.start(), tag.end(), why)
        open_at.append(name)
    if outer:
        yield outer[1], len(text), outer[3], _bare(text[outer[2] :])


def _bare(text: str) -> str:
    return re.sub(r"<[^<>]{0,2000}>", " ", text[:2_000])


def _why(name: str, given: dict[str, str], classes: dict[str, str]) -> str:
    if name in _NEVER:
        return f"a {name} element, which is not displayed"
    if "hidden" in given or given.get("aria-hidden", "").lower() == "true":
        return "hidden text (not displayed)"
    if name == "font" and unseen.why_hidden(f"color:{given.get('color', '')}"):
        return unseen.why_hidden(f"color:{given['color']}")
    by_class = next((classes[part] for part in given.get("class", "").lower().split() if part in classes), "")
    return unseen.why_hidden(given.get("style", "")) or by_class


def _hiding_classes(text: str) -> dict[str, str]:
    """Classes that a style sheet in the text hides."""
    found = {}
    low = text.lower()
    at = low.find("<style")
    while at >= 0 and (end := low.find("</style", at)) >= 0:
        for names, style in re.findall(r"([^{}]{1,500})\{([^{}]{0,4000})\}", low[at:end]):
            why = unseen.why_hidden(style)
            if why:
                found.update(dict.fromkeys(re.findall(r"\.([\w-]+)", names), why))
        at = low.find("<style", end)
    return found
