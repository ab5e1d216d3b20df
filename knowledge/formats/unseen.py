"""Characters that no reader sees, and styles that hide text: what stands in a file for machines only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from knowledge.formats import MAX_SEEN, Seen

_JOINERS = "\u200c\u200d"
_MARKS = "\ufe00-\ufe0f"
_SILENT = "\u00ad\ufffc\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"
"""Soft hyphens, the places of pictures, control characters: no text, and programs put them in by themselves."""
_INVISIBLE = re.compile(
    f"[{_SILENT}{_JOINERS}{_MARKS}\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U000e0000-\U000e01ef]+"
)
_TAGS = range(0xE0000, 0xE0080)


def clear(text: str, place: Callable[[int], str] | None = None) -> tuple[str, tuple[Seen, ...]]:
    """The text without characters that no reader sees, and one Seen for each place where they stood.

    place   offset in `text` -> where a person would look for it; left out, the line
    What an emoji or another script needs (joiners, variation marks) stays, and soft hyphens go unsaid.
    """
    seen: list[Seen] = []
    kept: list[str] = []
    last = 0
    for found in _INVISIBLE.finditer(text):
        before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
        stays, odd = _sorted_out(found[0], before, after)
        kept += [text[last : found.start()], stays]
        last = found.end()
        if odd:
            where = "" if len(seen) >= MAX_SEEN else place(found.start()) if place else _line(text, found.start())
            seen.append(Seen(where, _named(odd), _meant(odd) or _around(text, found)))
    kept.append(text[last:])
    return "".join(kept), tuple(seen)


def _sorted_out(run: str, before: str, after: str) -> tuple[str, str]:
    """Of a run of invisible characters: what is needed to show its neighbours, and what is odd."""
    run = re.sub(f"[{_SILENT}]", "", run)
    if len(run) == 1 and run in _JOINERS and _takes_joiner(before) and _takes_joiner(after):
        return run, ""
    if len(run) == 1 and "\ufe00" <= run <= "\ufe0f" and _is_symbol(before):
        return run, ""
    if len(run) == 2 and "\ufe00" <= run[0] <= "\ufe0f" and run[1] == "\u200d" and _is_symbol(before) and _is_symbol(after):
        return run, ""
    return "", run


def _takes_joiner(letter: str) -> bool:
    return bool(letter) and (_is_symbol(letter) or (letter.isalpha() and ord(letter) > 0x5FF))


def _is_symbol(letter: str) -> bool:
    return bool(letter) and (unicodedata.category(letter) in ("So", "Sk", "Sm", "Po", "Mn") or letter.isdigit())


def _line(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1}"


def _named(odd: str) -> str:
    first = ord(odd[0])
    if first in _TAGS:
        return f"{len(odd)} tag characters, which no program shows"
    kind = (
        "text direction marks"
        if "\u202a" <= odd[0] <= "\u202e" or "\u2066" <= odd[0] <= "\u2069"
        else "characters without width"
    )
    return f"{len(odd)} {kind} (U+{first:04X})"


def _meant(odd: str) -> str:
    """What tag characters or byte-like variation marks spell."""
    spelt = []
    for letter in odd:
        code = ord(letter)
        if code in _TAGS:
            spelt.append(chr(code - 0xE0000))
        elif 0xE0100 <= code <= 0xE01EF:
            spelt.append(chr(code - 0xE0100 + 16))
    return "".join(letter for letter in spelt if letter.isprintable())


def _around(text: str, found: re.Match[str]) -> str:
    near = text[max(0, found.start() - 30) : found.start()] + "[here]" + text[found.end() : found.end() + 30]
    return " ".join(_INVISIBLE.sub("", near).split())


# --- styles -----------------------------------------------------------------------------------------------------------------

_LENGTH = r"\s*:\s*(?P<n>-?[\d.]+)\s*(?P<unit>px|pt|em|rem|%)?"
_TINY = {"px": 2.0, "pt": 1.5, "em": 0.15, "rem": 0.15, "%": 15.0, None: 0.0}
_FAR = re.compile(
    r"(?:left|top|right|bottom|text-indent|margin-left|margin-top)\s*:\s*-\s*(?P<n>\d+)\s*(?P<unit>px|pt|em|rem|in|cm)"
)
_NO_ROOM = re.compile(r"(?<![\w-])(?:max-)?(?:height|width)\s*:\s*[01](?:px)?\s*(?:;|$)")
_WHITE = re.compile(
    r"#fff(?:fff)?\b|#f[c-f]f[c-f]f[c-f]\b|\bwhite\b|\brgba?\(\s*25[0-5]\s*[, ]\s*25[0-5]\s*[, ]\s*25[0-5]|"
    r"\btransparent\b|\brgba\([^)]*,\s*0(?:\.0+)?\s*\)"
)


def why_hidden(style: str) -> str:
    """Why a CSS declaration list hides its text, as one phrase; empty when it does not.

    White letters count as hidden unless the same declaration gives them a dark background.
    """
    style = style.lower().replace("!important", "")[:4_000]
    if re.search(r"display\s*:\s*none|mso-hide\s*:\s*all", style):
        return "hidden text (not displayed)"
    if re.search(r"visibility\s*:\s*(?:hidden|collapse)|content-visibility\s*:\s*hidden", style):
        return "hidden text (made invisible)"
    if re.search(r"(?<![\w-])opacity\s*:\s*(?:0?\.0\d*|0)\s*(?:;|%|$)", style):
        return "hidden text (transparent)"
    if (size := re.search(r"(?<![\w-])font-size" + _LENGTH, style)) and float(_number(size["n"])) <= _TINY[size["unit"]]:
        return "hidden text (letters too small to read)"
    if _off_page(style):
        return "hidden text (outside the page)"
    if re.search(r"(?<![\w-])clip\s*:\s*rect\(\s*[01](?:px)?[\s,]+[01](?:px)?|clip-path\s*:\s*inset\(\s*(?:50|100)%", style):
        return "hidden text (cut away)"
    if re.search(r"overflow\s*:\s*hidden", style) and _NO_ROOM.search(style):
        return "hidden text (in a box without room)"
    return _white(style)


def _off_page(style: str) -> bool:
    return any(int(found["n"][:9]) >= (500 if found["unit"] in ("px", "pt") else 20) for found in _FAR.finditer(style))


def _white(style: str) -> str:
    colours = list(_declared(style, "color"))
    if not colours or not _WHITE.search(colours[-1]):
        return ""
    grounds = [*_declared(style, "background"), *_declared(style, "background-color"), *_declared(style, "mso-shading")]
    dark = any(ground and not _WHITE.search(ground) and "none" not in ground for ground in grounds)
    return "" if dark else "hidden text (white letters)"


def _declared(style: str, name: str) -> Iterator[str]:
    for declaration in style.split(";"):
        key, _, value = declaration.partition(":")
        if key.strip() == name:
            yield value.strip()


def _number(text: str) -> str:
    return text if re.fullmatch(r"-?\d{1,9}(?:\.\d{0,9})?|-?\.\d{1,9}", text) else "0"
