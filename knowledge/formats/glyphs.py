"""What stands on one PDF page: runs of text with place, size and weight, and whether a person would see them.

pypdf decodes streams and fonts. Its own text extraction follows neither colour nor render mode nor what is painted over a text,
and a text that nobody sees is where instructions to a machine are hidden; so the operators are read here.
Operators and their numbers: ISO 32000-1, Annex A.

    TooMuch     the page is larger or slower than a page of an SOP can be
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from knowledge.formats.planes import (
    EVERYWHERE,
    ONE,
    Box,
    Matrix,
    common,
    covers,
    light_in,
    luminance,
    matrix,
    meets,
    moved,
    ratio,
    times,
    turn_back,
    upright_corners,
)

if TYPE_CHECKING:
    from pypdf import PageObject

MAX_CONTENT = 4_000_000  # decoded bytes of one page's operators: a page of text takes 20,000, a drawn map 2 million
MAX_RUNS = 50_000
MAX_DEPTH = 12  # forms inside forms
MAX_FORMS = 2_000  # drawn on one page
_MAX_PAINTS = 1_500
_TINY = 2.0  # points: 0.7 mm
_CONTRAST = 1.2  # WCAG ratio; #e8e8e8 on white is 1.23. People are asked to read 4.5


class TooMuch(Exception):
    """The page was given up; what was read of it must not be used."""


@dataclass(slots=True)
class Run:
    """Text painted in one go, in points from the page's lower left corner as it is held for reading.

    hidden   why a person does not see it, as one phrase; empty when they do
    angle    quarter turns anticlockwise that the text is turned by; its x and y are turned back to lie along the text
    at       its middle on the page as it is, also where it is turned
    """

    text: str
    x0: float
    x1: float
    y: float
    size: float
    bold: bool
    hidden: str = ""
    angle: int = 0
    at: tuple[float, float] = (0.0, 0.0)


@dataclass
class PageText:
    """All runs of a page in the order they are painted, the straight lines, and how many glyphs have no letter behind them."""

    height: float = 0.0
    runs: list[Run] = field(default_factory=list)
    rules: list[Box] = field(default_factory=list)
    pictures: int = 0
    unreadable: int = 0
    glyphs: int = 0


@dataclass(slots=True)
class _State:
    """The graphics state of q and Q."""

    ctm: Matrix
    clip: Box = EVERYWHERE
    fill: float | None = 0.0
    stroke: float | None = 0.0
    fill_space: str = "/DeviceGray"
    stroke_space: str = "/DeviceGray"
    alpha: float = 1.0
    plain_blend: bool = True
    font: Any = None
    bold: bool = False
    size: float = 0.0
    char_space: float = 0.0
    word_space: float = 0.0
    stretch: float = 1.0
    leading: float = 0.0
    rise: float = 0.0
    mode: int = 0


@dataclass(slots=True, frozen=True)
class _Paint:
    """A filled area or a picture: `light` is its luminance, None where unknown; `at` counts the runs painted before it."""

    box: Box
    light: float | None
    at: int
    solid: bool


def page_text(page: PageObject, closed_layers: frozenset[int], until: float) -> PageText:
    """The page's text.

    closed_layers   object numbers of the optional content groups that are switched off
    until           time.monotonic() value to give up at
    raises TooMuch, and whatever pypdf raises on a damaged page
    """
    width, height, base = _upright(page)
    reader = _PageReader(closed_layers, until, (0.0, 0.0, width, height))
    reader.page.height = height
    content = page.get("/Contents")
    if content is not None:
        reader.read(content.get_object(), page.get("/Resources"), _State(base), page.pdf)
    reader.judge()
    return reader.page


def _upright(page: PageObject) -> tuple[float, float, Matrix]:
    """Width and height of what is shown of the page, and the matrix that brings it upright to the origin."""
    box = page.cropbox
    left, low, right, top = (float(v) for v in (box.left, box.bottom, box.right, box.top))
    media = page.mediabox
    left, low = max(left, float(media.left)), max(low, float(media.bottom))
    right, top = min(right, float(media.right)), min(top, float(media.top))
    turn = int(page.get("/Rotate") or 0) // 90 % 4
    width, height = right - left, top - low
    if turn == 1:
        return height, width, (0, -1, 1, 0, -low, right)
    if turn == 2:
        return width, height, (-1, 0, 0, -1, right, top)
    if turn == 3:
        return height, width, (0, 1, -1, 0, top, -left)
    return width, height, (1, 0, 0, 1, -left, -low)


class _PageReader:
    """Follows the operators of a page and of the forms it draws."""

    def __init__(self, closed_layers: frozenset[int], until: float, shown: Box) -> None:
        self.page = PageText()
        self.closed, self.until, self.shown = closed_layers, until, shown
        self.paints: list[_Paint] = []
        self.boxes: list[tuple[Run, Box]] = []
        self.fonts: dict[int, tuple[Any, bool]] = {}
        self.steps = 0
        self.content = 0
        self.inside: list[int] = []
        self.forms = 0

    def read(self, stream: Any, resources: Any, state: _State, pdf: Any) -> None:
        from pypdf.generic import ContentStream

        if stream is None or len(self.inside) > MAX_DEPTH:
            return
        content = ContentStream(stream, pdf, "bytes")
        self.content += len(content.get_data())
        if self.content > MAX_CONTENT:
            raise TooMuch
        _Operators(self, _dictionary(resources), state, pdf).follow(content.operations)

    def tick(self) -> None:
        self.steps += 1
        if self.steps % 500 == 0 and time.monotonic() > self.until:
            raise TooMuch

    def font(self, resource: Any) -> tuple[Any, bool]:
        """The font and whether it is bold. Fonts are shared by pages, but a page rarely has more than ten."""
        from pypdf.generic._font import Font

        key = id(resource)
        if key not in self.fonts:
            font = Font.from_font_resource(resource)
            self.fonts[key] = (font, _is_bold(font))
        return self.fonts[key]

    def add(self, run: Run, box: Box) -> None:
        if len(self.page.runs) >= MAX_RUNS:
            raise TooMuch
        self.page.runs.append(run)
        self.boxes.append((run, box))

    def rule(self, box: Box) -> None:
        wide, high = box[2] - box[0], box[3] - box[1]
        if min(wide, high) < 3 and len(self.page.rules) < MAX_RUNS:
            self.page.rules.append(box)

    def paint(self, box: Box, light: float | None, *, solid: bool) -> None:
        if box[2] - box[0] > 3 and box[3] - box[1] > 3 and len(self.paints) < _MAX_PAINTS:
            self.paints.append(_Paint(box, light, len(self.page.runs), solid))

    def judge(self) -> None:
        """Marks what lies outside the page or under something painted later. Before that `light` cannot be compared either."""
        for n, (run, box) in enumerate(self.boxes):
            self.tick()
            if not run.hidden and not meets(box, self.shown):
                run.hidden = "text outside the page"
            if not run.hidden and any(p.at > n and p.solid and covers(p.box, box) for p in self.paints):
                run.hidden = "text covered by something painted over it"

    def behind(self, box: Box) -> float | None:
        """The luminance of what a text is painted on; white paper where nothing is, None where it cannot be known."""
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        for paint in reversed(self.paints):
            x0, y0, x1, y1 = paint.box
            if x0 <= middle[0] <= x1 and y0 <= middle[1] <= y1:
                return paint.light
        return 1.0


def _is_bold(font: Any) -> bool:
    name = f"{font.name} {font.font_descriptor.name}".lower()
    if any(word in name for word in ("bold", "black", "heavy", "demi")):
        return True
    try:
        return int(font.font_descriptor.weight) >= 600
    except (TypeError, ValueError):
        return False


class _Operators:
    """One content stream. Handlers are named after their operators' meaning; unknown operators are passed over."""

    def __init__(self, reader: _PageReader, resources: Mapping[str, Any], state: _State, pdf: Any) -> None:
        self.reader, self.resources, self.state, self.pdf = reader, resources, state, pdf
        self.stack: list[_State] = []
        self.marks: list[bool] = []  # marked content: is its layer switched off?
        self.text_matrix = self.line_matrix = ONE
        self.path: list[tuple[float, float]] = []
        self.edges: list[tuple[tuple[float, float], tuple[float, float]]] = []
        self.boxy = True
        self.clipping = False

    def follow(self, operations: Any) -> None:
        for operands, operator in operations:
            self.reader.tick()
            handler = _HANDLERS.get(operator)
            if handler is None:
                continue
            try:
                handler(self, *operands)
            except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError):
                continue  # a malformed operator paints nothing in any viewer either

    # graphics state

    def save(self) -> None:
        if len(self.stack) < 500:
            self.stack.append(replace(self.state))

    def restore(self) -> None:
        if self.stack:
            self.state = self.stack.pop()

    def transform(self, *by: float) -> None:
        self.state.ctm = times(matrix(by), self.state.ctm)

    def dictionary_state(self, name: Any) -> None:
        given = _dictionary(_dictionary(self.resources.get("/ExtGState")).get(name))
        if "/ca" in given:
            self.state.alpha = float(given["/ca"])
        if "/BM" in given:
            blend = given["/BM"]
            blend = blend[0] if isinstance(blend, list) and blend else blend
            self.state.plain_blend = blend in ("/Normal", "/Compatible")
        if "/Font" in given:
            font, size = given["/Font"]
            self.state.font, self.state.bold = self.reader.font(font.get_object())
            self.state.size = float(size)

    # colour: only its luminance matters

    def gray(self, level: float) -> None:
        self.state.fill, self.state.fill_space = luminance((level,)), "/DeviceGray"

    def gray_stroke(self, level: float) -> None:
        self.state.stroke, self.state.stroke_space = luminance((level,)), "/DeviceGray"

    def rgb(self, r: float, g: float, b: float) -> None:
        self.state.fill, self.state.fill_space = luminance((r, g, b)), "/DeviceRGB"

    def rgb_stroke(self, r: float, g: float, b: float) -> None:
        self.state.stroke, self.state.stroke_space = luminance((r, g, b)), "/DeviceRGB"

    def cmyk(self, c: float, m: float, y: float, k: float) -> None:
        self.state.fill, self.state.fill_space = luminance((c, m, y, k)), "/DeviceCMYK"

    def cmyk_stroke(self, c: float, m: float, y: float, k: float) -> None:
        self.state.stroke, self.state.stroke_space = luminance((c, m, y, k)), "/DeviceCMYK"

    def space(self, name: Any) -> None:
        self.state.fill_space, self.state.fill = self.space_of(name), 0.0

    def space_stroke(self, name: Any) -> None:
        self.state.stroke_space, self.state.stroke = self.space_of(name), 0.0

    def space_of(self, name: Any) -> str:
        """The family of a colour space; `ink` for the ones whose number says how much ink there is, not how much light."""
        found = _dictionary(self.resources.get("/ColorSpace")).get(name)
        found = found.get_object() if found is not None else name
        family = str(found[0]) if isinstance(found, list) and found else str(found)
        return "ink" if family in ("/Separation", "/DeviceN") else family

    def colour(self, *parts: Any) -> None:
        self.state.fill = light_in(self.state.fill_space, parts)

    def colour_stroke(self, *parts: Any) -> None:
        self.state.stroke = light_in(self.state.stroke_space, parts)

    # paths: only the boxes around them matter

    def move(self, x: float, y: float) -> None:
        self.boxy = self.boxy and not self.path
        self.path.append(moved(self.state.ctm, x, y))

    def line(self, x: float, y: float) -> None:
        point = moved(self.state.ctm, x, y)
        if self.path:
            self.edges.append((self.path[-1], point))
        self.path.append(point)

    def curve(self, *points: float) -> None:
        self.boxy = False
        for x, y in zip(points[::2], points[1::2], strict=False):
            self.path.append(moved(self.state.ctm, x, y))

    def rectangle(self, x: float, y: float, width: float, height: float) -> None:
        self.boxy = self.boxy and not self.path
        corners = [moved(self.state.ctm, *c) for c in ((x, y), (x + width, y), (x + width, y + height), (x, y + height))]
        self.path += corners
        self.edges += zip(corners, corners[1:] + corners[:1], strict=True)

    def clip(self) -> None:
        self.clipping = True

    def fill_path(self) -> None:
        if box := self.path_box():
            state = self.state
            light = state.fill if state.alpha > 0.5 and state.plain_blend else None
            solid = self.boxy and upright_corners(self.path) and state.alpha > 0.95 and state.plain_blend
            if state.alpha > 0.05 and not any(self.marks):
                self.reader.rule(common(box, state.clip))
                self.reader.paint(common(box, state.clip), light, solid=solid)
        self.end_path()

    def fill_and_stroke(self) -> None:
        self.rule_edges()
        self.fill_path()

    def stroke_path(self) -> None:
        self.rule_edges()
        self.end_path()

    def rule_edges(self) -> None:
        for (x0, y0), (x1, y1) in self.edges[:5_000]:
            box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            if max(box[2] - box[0], box[3] - box[1]) > 4:
                self.reader.rule(common(box, self.state.clip))

    def end_path(self) -> None:
        if self.clipping and (box := self.path_box()):
            self.state.clip = common(self.state.clip, box)
        self.path, self.edges, self.boxy, self.clipping = [], [], True, False

    def path_box(self) -> Box | None:
        if not self.path:
            return None
        xs, ys = [x for x, _ in self.path], [y for _, y in self.path]
        return min(xs), min(ys), max(xs), max(ys)

    # forms and pictures

    def draw(self, name: Any) -> None:
        found = _dictionary(self.resources.get("/XObject"))[name]
        thing = found.get_object()
        if self.off(thing.get("/OC")) or any(self.marks):
            return  # its words are on a layer that is switched off; reported from the layer itself
        if thing.get("/Subtype") == "/Image":
            self.picture(thing)
        elif thing.get("/Subtype") == "/Form" and id(thing) not in self.reader.inside:
            self.form(thing)

    def picture(self, thing: Any) -> None:
        corners = [moved(self.state.ctm, x, y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        box = common((min(xs), min(ys), max(xs), max(ys)), self.state.clip)
        if box[2] - box[0] > 20 and box[3] - box[1] > 20:
            self.reader.page.pictures += 1
        opaque = not ({"/SMask", "/Mask", "/ImageMask"} & set(thing)) and self.state.alpha > 0.95 and self.state.plain_blend
        self.reader.paint(box, None, solid=opaque and upright_corners(corners))

    def form(self, thing: Any) -> None:
        state = replace(self.state)
        if "/Matrix" in thing:
            state.ctm = times(matrix([float(v) for v in thing["/Matrix"]]), state.ctm)
        if "/BBox" in thing:
            x0, y0, x1, y1 = (float(v) for v in thing["/BBox"])
            corners = [moved(state.ctm, x, y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
            xs, ys = [x for x, _ in corners], [y for _, y in corners]
            state.clip = common(state.clip, (min(xs), min(ys), max(xs), max(ys)))
        self.reader.forms += 1
        if self.reader.forms > MAX_FORMS:
            raise TooMuch
        self.reader.inside.append(id(thing))
        try:
            self.reader.read(thing, thing.get("/Resources") or self.resources, state, self.pdf)
        finally:
            self.reader.inside.pop()

    # marked content

    def mark(self, *operands: Any) -> None:
        self.marks.append(False)

    def mark_with(self, tag: Any, properties: Any) -> None:
        named = _dictionary(self.resources.get("/Properties"))
        layer = named.raw_get(properties) if hasattr(named, "raw_get") and properties in named else None
        self.marks.append(tag == "/OC" and self.off(layer))

    def unmark(self) -> None:
        if self.marks:
            self.marks.pop()

    def off(self, layer: Any) -> bool:
        """Is this layer, or all the layers of this group, switched off?"""
        if layer is None or not self.reader.closed:
            return False
        number = getattr(layer, "idnum", None) or getattr(getattr(layer, "indirect_reference", None), "idnum", None)
        if number in self.reader.closed:
            return True
        members = _dictionary(layer).get("/OCGs")
        members = members if isinstance(members, list) else []
        return bool(members) and all(getattr(member, "idnum", None) in self.reader.closed for member in members)

    # text

    def begin(self) -> None:
        self.text_matrix = self.line_matrix = ONE

    def set_font(self, name: Any, size: float) -> None:
        self.state.size = float(size)
        self.state.font = None
        found = _dictionary(self.resources.get("/Font"))[name]
        self.state.font, self.state.bold = self.reader.font(found.get_object())

    def set_char_space(self, value: float) -> None:
        self.state.char_space = float(value)

    def set_word_space(self, value: float) -> None:
        self.state.word_space = float(value)

    def set_stretch(self, value: float) -> None:
        self.state.stretch = float(value) / 100

    def set_leading(self, value: float) -> None:
        self.state.leading = float(value)

    def set_rise(self, value: float) -> None:
        self.state.rise = float(value)

    def set_mode(self, value: int) -> None:
        self.state.mode = int(value)

    def next_line(self, x: float, y: float) -> None:
        self.line_matrix = times((1, 0, 0, 1, float(x), float(y)), self.line_matrix)
        self.text_matrix = self.line_matrix

    def next_line_leading(self, x: float, y: float) -> None:
        self.state.leading = -float(y)
        self.next_line(x, y)

    def new_line(self) -> None:
        self.next_line(0, -self.state.leading)

    def set_matrix(self, *values: float) -> None:
        self.text_matrix = self.line_matrix = matrix(values)

    def show(self, text: Any) -> None:
        self.show_spaced([text])

    def show_on_next(self, text: Any) -> None:
        self.new_line()
        self.show(text)

    def show_on_next_spaced(self, word_space: float, char_space: float, text: Any) -> None:
        self.state.word_space, self.state.char_space = float(word_space), float(char_space)
        self.show_on_next(text)

    def show_spaced(self, pieces: Any) -> None:
        """TJ. A gap of a sixth of the size is a blank; one of the size itself starts a run of its own."""
        state, start, text = self.state, self.text_matrix, ""
        for piece in pieces:
            if isinstance(piece, (int, float)):
                gap = -float(piece) / 1000
                if gap > 1.0 and text:
                    self.finish(text, start)
                    text = ""
                elif gap > 0.16 and text and not text.endswith(" "):
                    text += " "
                self.advance(gap * state.size * state.stretch)
                start = start if text else self.text_matrix
            elif isinstance(piece, (str, bytes)):
                text += self.glyphs(piece.encode("latin-1", "replace") if isinstance(piece, str) else piece)
        self.finish(text, start)

    def glyphs(self, codes: bytes) -> str:
        """The letters of a string, while the text position moves past them."""
        state = self.state
        letters: list[str] = []
        wide = 0.0
        for raw, letter in _decoded(state.font, codes):
            width = state.font.character_widths.get(raw, state.font.character_widths["default"]) if state.font else 500
            blank = state.word_space if raw == " " and not (state.font and isinstance(state.font.encoding, str)) else 0.0
            wide += float(width) / 1000 * state.size + state.char_space + blank
            self.reader.page.glyphs += 1
            known = bool(letter) and letter not in "\ufffd\uffff"
            self.reader.page.unreadable += not known
            letters.append(letter if known else "\ufffd")
        self.advance(wide * state.stretch)
        return "".join(letters)

    def advance(self, by: float) -> None:
        self.text_matrix = times((1, 0, 0, 1, by, 0), self.text_matrix)

    def finish(self, text: str, start: Matrix) -> None:
        """One run from `start` to where the text position is now."""
        if not text.strip():
            return
        state = self.state
        first = times(times((1, 0, 0, 1, 0, state.rise), start), state.ctm)
        last = times(self.text_matrix, state.ctm)
        size = abs(state.size) * math.hypot(first[2], first[3])
        turned = round(math.degrees(math.atan2(first[1], first[0])) / 90) % 4
        (x0, y0), (x1, y1) = (first[4], first[5]), (last[4], last[5])
        up = (first[2] / (math.hypot(first[2], first[3]) or 1) * size, first[3] / (math.hypot(first[2], first[3]) or 1) * size)
        corners = [(x0, y0), (x1, y1), (x0 + 0.7 * up[0], y0 + 0.7 * up[1]), (x1 + 0.7 * up[0], y1 + 0.7 * up[1])]
        box = (min(c[0] for c in corners), min(c[1] for c in corners), max(c[0] for c in corners), max(c[1] for c in corners))
        (ax, ay), (bx, _) = turn_back(x0, y0, turned), turn_back(x1, y1, turned)
        run = Run(
            text,
            min(ax, bx),
            max(ax, bx),
            ay,
            size,
            state.bold,
            self.unseen(size, box),
            turned,
            ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2),
        )
        self.reader.add(run, box)

    def unseen(self, size: float, box: Box) -> str:
        state = self.state
        if state.mode in (3, 7):
            return "invisible text (render mode 3)" if state.mode == 3 else "invisible text (used as a mask only)"
        if any(self.marks):
            return "text on a layer that is switched off"
        if size < _TINY:
            return f"text of {size:.1f} points"
        if state.alpha < 0.1:
            return "text that is fully transparent"
        if not meets(box, state.clip):
            return "text that is clipped away"
        light = state.stroke if state.mode in (1, 5) else state.fill
        below = self.reader.behind(box)
        if light is not None and below is not None and ratio(light, below) < _CONTRAST:
            return "white text on white" if light > 0.9 else "text in the colour of its background"
        return ""


def _decoded(font: Any, codes: bytes) -> Iterator[tuple[str, str]]:
    """(code as pypdf's width table knows it, letters) for each glyph."""
    if font is None or not font.interpretable:
        yield from ((chr(code), "") for code in codes)
        return
    if isinstance(font.encoding, str):
        text = codes.decode(font.encoding, "replace") if font.encoding != "charmap" else codes.decode("latin-1")
        yield from ((raw, font.character_map.get(raw, "" if font.character_map else raw)) for raw in text)
        return
    for code in codes:
        named = font.encoding.get(code, chr(code))
        yield chr(code), font.character_map.get(named, font.character_map.get(chr(code), named))


_HANDLERS: Mapping[bytes, Any] = {
    b"q": _Operators.save,
    b"Q": _Operators.restore,
    b"cm": _Operators.transform,
    b"gs": _Operators.dictionary_state,
    b"g": _Operators.gray,
    b"G": _Operators.gray_stroke,
    b"rg": _Operators.rgb,
    b"RG": _Operators.rgb_stroke,
    b"k": _Operators.cmyk,
    b"K": _Operators.cmyk_stroke,
    b"cs": _Operators.space,
    b"CS": _Operators.space_stroke,
    b"sc": _Operators.colour,
    b"scn": _Operators.colour,
    b"SC": _Operators.colour_stroke,
    b"SCN": _Operators.colour_stroke,
    b"m": _Operators.move,
    b"l": _Operators.line,
    b"c": _Operators.curve,
    b"v": _Operators.curve,
    b"y": _Operators.curve,
    b"re": _Operators.rectangle,
    b"W": _Operators.clip,
    b"W*": _Operators.clip,
    b"n": _Operators.end_path,
    b"s": _Operators.stroke_path,
    b"S": _Operators.stroke_path,
    b"f": _Operators.fill_path,
    b"F": _Operators.fill_path,
    b"f*": _Operators.fill_path,
    b"b": _Operators.fill_and_stroke,
    b"b*": _Operators.fill_and_stroke,
    b"B": _Operators.fill_and_stroke,
    b"B*": _Operators.fill_and_stroke,
    b"Do": _Operators.draw,
    b"BMC": _Operators.mark,
    b"BDC": _Operators.mark_with,
    b"EMC": _Operators.unmark,
    b"BT": _Operators.begin,
    b"Tf": _Operators.set_font,
    b"Tc": _Operators.set_char_space,
    b"Tw": _Operators.set_word_space,
    b"Tz": _Operators.set_stretch,
    b"TL": _Operators.set_leading,
    b"Ts": _Operators.set_rise,
    b"Tr": _Operators.set_mode,
    b"Td": _Operators.next_line,
    b"TD": _Operators.next_line_leading,
    b"T*": _Operators.new_line,
    b"Tm": _Operators.set_matrix,
    b"Tj": _Operators.show,
    b"TJ": _Operators.show_spaced,
    b"'": _Operators.show_on_next,
    b'"': _Operators.show_on_next_spaced,
}


def _dictionary(thing: Any) -> Any:
    found = thing.get_object() if hasattr(thing, "get_object") else thing
    return found if isinstance(found, dict) else {}
