"""The bytes of an HTML file -> its characters -> a tree as a browser would build it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from knowledge.formats import Unconvertible

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

MAX_TAGS = 200_000
MAX_OPEN = 2_000
MAX_DEPTH = 500
TOO_DEEP = "The page is nested too deeply to be read: save it as a Word file or a PDF."
_PARAGRAPH_ENDS = (
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer form h1 h2 h3 h4 h5 "
    "h6 header hr main menu nav ol p pre section summary table ul"
)
_TABLE = frozenset({"table"})
_IMPLIED: Mapping[str, tuple[tuple[str, ...], frozenset[str]]] = {
    "li": (("p", "li"), frozenset({"ol", "ul", "dir", "menu", "table"})),
    "dt": (("p", "dt", "dd"), frozenset({"dl", "table"})),
    "dd": (("p", "dt", "dd"), frozenset({"dl", "table"})),
    "td": (("td", "th"), _TABLE | {"tr"}),
    "th": (("td", "th"), _TABLE | {"tr"}),
    "tr": (("td", "th", "tr"), _TABLE),
    "tbody": (("td", "th", "tr", "thead", "tbody", "tfoot"), _TABLE),
    "thead": (("td", "th", "tr", "thead", "tbody", "tfoot"), _TABLE),
    "tfoot": (("td", "th", "tr", "thead", "tbody", "tfoot"), _TABLE),
    "option": (("option",), frozenset({"select"})),
    **{
        name: (("p",), frozenset({"table", "td", "th", "caption", "button", "object", "template"}))
        for name in _PARAGRAPH_ENDS.split()
    },
}
"""Start tag -> the open elements that it ends (HTML, 13.2.6.4.7 and 13.2.6.4.9), and those beyond which it ends nothing."""


def decoded(data: bytes) -> str:
    """The file's characters: by its byte order mark, else by what its head declares, else UTF-8, else windows-1252."""
    for mark, encoding in ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    named = re.search(rb"(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]{2,40})", data[:8_192], re.IGNORECASE)
    encoding = named[1].decode("ascii").lower() if named else ""
    if encoding in ("iso-8859-1", "iso8859-1", "latin1", "latin-1", "us-ascii", "ascii", "cp1252", "x-cp1252"):
        encoding = "windows-1252"  # as browsers do (WHATWG Encoding, 4.2)
    if encoding.startswith("utf-16"):  # a head that can be read byte by byte is not UTF-16
        encoding = "utf-8"
    for attempt in (encoding, "utf-8"):
        try:
            return data.decode(attempt) if attempt and codecs.lookup(attempt)._is_text_encoding else _no_text()
        except (LookupError, ValueError):
            continue
    return data.decode("windows-1252", "replace")


def _no_text() -> str:
    raise LookupError


def parsed(text: str) -> BeautifulSoup:
    """The page as a tree, with the ends that HTML lets people leave out.

    raises Unconvertible   no HTML, or far larger than a page is
    """
    import warnings

    from bs4.builder import ParserRejectedMarkup

    if text.count("<") > 3 * MAX_TAGS:
        raise _too_large()
    if text.count("<") - text.count(">") > MAX_OPEN:  # the parser looks for the end of each to the file's end
        raise _no_html()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a page that looks like a file name or like XML
            soup: BeautifulSoup = _soup_class()(text, "html.parser")
    except (ParserRejectedMarkup, RecursionError, AssertionError):
        raise _no_html() from None
    if sum(1 for _ in soup.find_all(True)) > MAX_TAGS:
        raise _too_large()
    return soup


def _no_html() -> Unconvertible:
    return Unconvertible("The page cannot be read as HTML: save it again from the program it came from.")


def _too_large() -> Unconvertible:
    return Unconvertible("The page is far larger than a procedure: save the part that is needed as a page of its own.")


@cache
def _soup_class() -> Any:
    from bs4 import BeautifulSoup

    class Soup(BeautifulSoup):
        def handle_starttag(self, name: str, *given: Any, **named: Any) -> Any:
            if len(self.tagStack) > MAX_DEPTH:
                raise Unconvertible(TOO_DEEP)
            ends, beyond = _IMPLIED.get(name, ((), frozenset()))
            if ends:
                for end in ends:
                    if self._stands_open(end, beyond):
                        self.handle_endtag(end)
            return super().handle_starttag(name, *given, **named)

        def _stands_open(self, name: str, beyond: frozenset[str]) -> bool:
            for tag in reversed(self.tagStack):
                if tag.name == name:
                    return True
                if tag.name in beyond:
                    return False
            return False

    return Soup
