"""How an element of a page looks, from its own styles and from what it stands in: colour, ground, size, weight, seen or not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from knowledge.formats import unseen
from knowledge.formats.planes import ratio
from knowledge.formats.stylesheet import light_of, pixels

if TYPE_CHECKING:
    from bs4 import Tag

_CONTRAST = 1.2
_TINY = "hidden text (letters too small to read)"
_INVISIBLE = "hidden text (made invisible)"
_CLEAR = "hidden text (transparent letters)"


@dataclass(frozen=True)
class Look:
    """What an element hands down to what stands in it.

    light, ground   luminance of letters and of what lies behind them; None where it cannot be known
    why             why letters here are not seen; empty when they are
    level           how many lists deep
    """

    light: float | None = 0.0
    ground: float | None = 1.0
    size: float = 16.0
    bold: bool = False
    caps: bool = False
    why: str = ""
    level: int = 0
    in_cell: bool = False
    pre: bool = False
    symbol: bool = False
    depth: int = 0


def why_gone(tag: Tag, style: Mapping[str, str]) -> str:
    """Why the element and all in it is not seen; empty when it is."""
    if tag.has_attr("hidden"):
        return "hidden text (not displayed)"
    if str(tag.get("aria-hidden", "")).lower() == "true":
        return "text marked as hidden (aria-hidden)"
    classes = [str(name) for name in tag.get("class") or ()]
    if "msocomtxt" in classes or "MsoCommentText" in classes:
        return "a comment"
    if not style:
        return ""
    own = {name: value for name, value in style.items() if not re.match(r"color$|background|font-size|visibility", name)}
    return unseen.why_hidden(";".join(f"{name}:{value}" for name, value in own.items())) if own else ""


def seen_as(tag: Tag, name: str, style: Mapping[str, str], look: Look) -> Look:
    """What the element adds to what it was handed down."""
    changes: dict[str, Any] = {}
    if name in ("b", "strong", "th") or name in ("h1", "h2", "h3", "h4", "h5", "h6"):
        changes["bold"] = True
    if weight := style.get("font-weight") or (re.search(r"\b(bold|[1-9]00)\b", style.get("font", "")) or [""])[0]:
        changes["bold"] = weight in ("bold", "bolder") or (weight.isdigit() and int(weight) >= 600)
    if colour := style.get("color") or (str(tag.get("color") or "").lower() if name == "font" else ""):
        changes |= _coloured(colour, look)
    ground = style.get("background-color") or style.get("background") or str(tag.get("bgcolor") or "").lower()
    if "url(" in ground or "gradient" in ground:
        changes["ground"] = None
    elif (light := light_of(ground)) is not None:
        changes["ground"] = light
    changes |= _sized(style, look)
    if "visibility" in style:
        changes["why"] = _INVISIBLE if style["visibility"] in ("hidden", "collapse") else _without(look.why, _INVISIBLE)
    if re.search(r"wingdings|symbol", style.get("font-family", "") + style.get("font", "")):
        changes["symbol"] = True
    if style.get("white-space", "").startswith("pre") and tag.name == "div":
        changes["pre"] = style["white-space"] == "pre"
    return replace(look, **changes) if changes else look


def _coloured(value: str, look: Look) -> dict[str, Any]:
    if value in ("inherit", "currentcolor"):
        return {}
    if "transparent" in value or re.search(r"rgba\([^)]*,\s*0(?:\.0+)?\s*\)", value):
        return {"why": look.why or _CLEAR}
    return {"light": light_of(value), "why": _without(look.why, _CLEAR)}


def _without(why: str, ended: str) -> str:
    return "" if why == ended else why


def _sized(style: Mapping[str, str], look: Look) -> dict[str, Any]:
    shorthand = re.search(r"(?<![\w.])(\d+(?:\.\d+)?(?:px|pt|em|%))", style.get("font", ""))
    size = pixels(style.get("font-size") or (shorthand[1] if shorthand else ""), look.size)
    if size is None:
        return {}
    if size < 2.7:  # two points, as on paper
        return {"size": size, "why": look.why or _TINY}
    return {"size": size, "why": _without(look.why, _TINY)}


def why_unseen(look: Look) -> str:
    """Why letters that look so are not seen; empty when they are."""
    if look.why or look.light is None or look.ground is None or ratio(look.light, look.ground) >= _CONTRAST:
        return look.why
    return "hidden text (white letters)" if look.light > 0.9 else "hidden text (in the colour of its background)"
