"""The styles of an HTML file as far as they decide what is seen, what is bold, how large it is and how a list is numbered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from knowledge.formats.planes import luminance

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

_MAX_RULES = 3_000
_SIMPLE = re.compile(r"(?P<tag>[a-z][\w:-]*)?(?P<rest>(?:[.#][\w-]+)*)")
_BEFORE = re.compile(r"(?:[a-z]+)?\.(?P<name>[\w-]+)\s*>\s*li::?before")
_NAMES: Mapping[str, str] = {
    "white": "ffffff", "snow": "fffafa", "ivory": "fffff0", "ghostwhite": "f8f8ff", "whitesmoke": "f5f5f5", "black": "000000",
    "azure": "f0ffff", "mintcream": "f5fffa", "floralwhite": "fffaf0", "seashell": "fff5ee", "aliceblue": "f0f8ff",
    "honeydew": "f0fff0", "windowtext": "000000", "window": "ffffff", "canvas": "ffffff", "canvastext": "000000",
    "red": "ff0000", "green": "008000", "blue": "0000ff", "navy": "000080", "gray": "808080", "grey": "808080",
    "silver": "c0c0c0", "lightgray": "d3d3d3", "lightgrey": "d3d3d3", "yellow": "ffff00", "orange": "ffa500",
    "maroon": "800000", "purple": "800080", "teal": "008080", "olive": "808000", "lime": "00ff00", "aqua": "00ffff",
    "fuchsia": "ff00ff", "lightyellow": "ffffe0", "beige": "f5f5dc", "cornsilk": "fff8dc", "lavender": "e6e6fa",
}  # fmt: skip
_UNITS: Mapping[str, float] = {"px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 37.8, "mm": 3.78}
_SIZES: Mapping[str, float] = {
    "xx-small": 9, "x-small": 10, "small": 13, "medium": 16, "large": 18, "x-large": 24, "xx-large": 32,
}  # fmt: skip


class Styles:
    """What the file's `<style>` elements say of an element; `before` is the `content` of `.name > li:before`, by name."""

    def __init__(self, soup: BeautifulSoup) -> None:
        self.simple: dict[str, list[tuple[int, str, str, frozenset[str], str]]] = {}
        self.others: dict[int, list[tuple[int, str]]] = {}
        self.before: dict[str, str] = {}
        count = 0
        for element in soup.find_all("style"):
            for selectors, declarations in _rules(element.get_text()[:300_000]):
                for selector in selectors.split(","):
                    count += 1
                    if count <= _MAX_RULES:
                        self.take(selector.strip(), declarations, count, soup)

    def take(self, selector: str, declarations: str, order: int, soup: BeautifulSoup) -> None:
        if found := _BEFORE.fullmatch(selector):
            if content := re.search(r"content\s*:\s*([^;]+)", declarations):
                self.before[found["name"]] = content[1]
            return
        simple = _SIMPLE.fullmatch(selector.lower() if "." not in selector and "#" not in selector else selector)
        if simple and selector:
            names = re.findall(r"[.#][\w-]+", simple["rest"])
            self.simple.setdefault(names[0] if names else (simple["tag"] or "*"), []).append(
                (order + 10_000 * len(names), (simple["tag"] or "").lower(), declarations, frozenset(names), selector)
            )
        elif re.search(r"display|visibility|font|color|opacity|position|clip|text-decoration|overflow", declarations):
            self.matched(selector, declarations, order, soup)

    def matched(self, selector: str, declarations: str, order: int, soup: BeautifulSoup) -> None:
        """A selector of several parts is asked of the parsed page itself."""
        if ":" in selector or len(self.others) > 20_000:
            return  # states of a page (:hover) and generated text are not what stands there
        try:
            for tag in soup.select(selector, limit=5_000):
                self.others.setdefault(id(tag), []).append((order + 20_000, declarations))
        except Exception:  # noqa: BLE001  a selector that no browser of today understands
            return

    def of(self, tag: Tag) -> dict[str, str]:
        """Property -> value, what is more specific or stands later winning, the element's own `style` last."""
        classes = [str(name) for name in _listed(tag.get("class"))]
        own = {f".{name}" for name in classes} | ({f"#{tag['id']}"} if tag.get("id") else set())
        found: list[tuple[int, str]] = list(self.others.get(id(tag), ()))
        for key in (tag.name, "*", *own):
            for order, name, declarations, needed, _ in self.simple.get(key, ()):
                if (not name or name == tag.name) and needed <= own:
                    found.append((order, declarations))
        found.sort(key=lambda rule: rule[0])
        result: dict[str, str] = {}
        important: dict[str, str] = {}
        for declarations in (*(text for _, text in found), str(tag.get("style") or "")):
            for name, value in declared(declarations):
                (important if "!important" in value else result)[name] = value.replace("!important", "").strip()
        return result | important


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _rules(text: str) -> Iterator[tuple[str, str]]:
    """(selectors, declarations) of what applies on a screen of any size."""
    text = re.sub(r"/\*.*?(?:\*/|\Z)|<!--|-->", "", text, flags=re.DOTALL)
    at = 0
    skips: list[bool] = []
    for found in re.finditer(r"([^{}]*)([{}])", text):
        head, brace = found[1].strip().rsplit(";", 1)[-1].strip(), found[2]
        if brace == "}":
            if skips:
                skips.pop()
            continue
        if head.startswith("@"):
            skips.append(not re.fullmatch(r"@media\s+(?:all|screen)", head) or any(skips))
            continue
        at = found.end()
        skips.append(any(skips))
        if not skips[-1]:
            yield head, text[at : text.find("}", at) if text.find("}", at) >= 0 else len(text)]


def declared(text: str) -> Iterator[tuple[str, str]]:
    """(property, value) of a declaration list, in lower case."""
    for declaration in text[:4_000].split(";"):
        name, colon, value = declaration.partition(":")
        if colon and value.strip():
            yield name.strip().lower(), " ".join(value.split()).lower()


def pixels(value: str, parent: float = 16.0) -> float | None:
    """A CSS length or font size in pixels; None where it is no length."""
    if value in _SIZES:
        return _SIZES[value]
    found = re.fullmatch(r"(-?(?:\d{1,6}(?:\.\d{0,6})?|\.\d{1,6}))\s*(px|pt|pc|in|cm|mm|em|rem|%)?", value)
    if not found:
        return None
    number, unit = float(found[1]), found[2]
    if unit in ("em", "%"):
        return number * parent / (100 if unit == "%" else 1)
    return number * (16.0 if unit == "rem" else _UNITS.get(unit or "px", 1.0))


def light_of(value: str) -> float | None:
    """Relative luminance of the first colour in a CSS value; None where none is said or it cannot be known."""
    for word in re.findall(r"#[0-9a-f]{3,8}\b|rgba?\([^)]*\)|[a-z]+", value):
        shade = _NAMES.get(word, word.removeprefix("#") if word.startswith("#") else "")
        if len(shade) in (3, 4):
            shade = "".join(letter * 2 for letter in shade)
        if len(shade) in (6, 8):
            return luminance(tuple(int(shade[n : n + 2], 16) / 255 for n in (0, 2, 4)))
        if word.startswith("rgb"):
            parts = [float(number) for number in re.findall(r"\d{1,3}(?:\.\d{1,4})?", word)[:4]]
            if len(parts) >= 3 and (len(parts) < 4 or parts[3] > 0.1):
                return luminance(tuple(part / 255 for part in parts[:3]))
    return None
