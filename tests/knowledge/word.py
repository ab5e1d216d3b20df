"""Word files for tests, written as raw XML: every habit of numbering, heading and hiding that people and programs have."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

NS = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:v="urn:schemas-microsoft-com:vml"'
)
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"

STYLES = """
<w:docDefaults><w:rPrDefault><w:rPr><w:sz w:val="22"/></w:rPr></w:rPrDefault></w:docDefaults>
<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>
<w:style w:type="paragraph" w:styleId="Titel"><w:name w:val="Title"/><w:rPr><w:sz w:val="56"/></w:rPr></w:style>
<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="Heading2"><w:name w:val="heading 2"/><w:basedOn w:val="Heading1"/>
  <w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="Überschrift 1"/></w:style>
<w:style w:type="paragraph" w:styleId="House"><w:name w:val="Practice section"/><w:basedOn w:val="Heading2"/></w:style>
<w:style w:type="paragraph" w:styleId="TOC1"><w:name w:val="toc 1"/></w:style>
<w:style w:type="paragraph" w:styleId="Step"><w:name w:val="Our step"/>
  <w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="StepChild"><w:name w:val="Our step, indented"/><w:basedOn w:val="Step"/></w:style>
<w:style w:type="character" w:styleId="Secret"><w:name w:val="Secret"/><w:rPr><w:vanish/></w:rPr></w:style>
<w:style w:type="table" w:styleId="Painted"><w:name w:val="Painted"/><w:tblStylePr w:type="firstRow"><w:tcPr>
  <w:shd w:val="clear" w:fill="1F3864"/></w:tcPr></w:tblStylePr></w:style>
"""


def run(text: str, looks: str = "") -> str:
    """One run; `looks` is the inside of its `rPr`."""
    return f'<w:r><w:rPr>{looks}</w:rPr><w:t xml:space="preserve">{escape(text)}</w:t></w:r>'


def p(
    text: str = "", *, style: str = "", num: tuple[int, int] | None = None, looks: str = "", more: str = "", runs: str = ""
) -> str:
    """One paragraph: `num` is its list id and level, `more` stands in its `pPr`, `runs` follow its text."""
    pr = f'<w:pStyle w:val="{style}"/>' if style else ""
    pr += f'<w:numPr><w:ilvl w:val="{num[1]}"/><w:numId w:val="{num[0]}"/></w:numPr>' if num else ""
    return f"<w:p><w:pPr>{pr}{more}</w:pPr>{run(text, looks) if text else ''}{runs}</w:p>"


def level(at: int, form: str, text: str, *, start: int = 1, more: str = "", left: int | None = None) -> str:
    """One level of a list; `text` as Word writes it, `%1.%2`."""
    left = 720 * (at + 1) if left is None else left
    return (
        f'<w:lvl w:ilvl="{at}"><w:start w:val="{start}"/><w:numFmt w:val="{form}"/>{more}<w:lvlText w:val="{escape(text)}"/>'
        f'<w:pPr><w:ind w:left="{left}" w:hanging="360"/></w:pPr></w:lvl>'
    )


def lists(*levels: Sequence[str], nums: Mapping[int, tuple[int, str]] | None = None) -> str:
    """numbering.xml: an abstract list for each of `levels`, and list ids `{id: (abstract, overrides)}` (default: one each)."""
    nums = nums or {n + 1: (n, "") for n in range(len(levels))}
    abstract = "".join(f'<w:abstractNum w:abstractNumId="{n}">{"".join(each)}</w:abstractNum>' for n, each in enumerate(levels))
    ids = "".join(f'<w:num w:numId="{n}"><w:abstractNumId w:val="{of}"/>{more}</w:num>' for n, (of, more) in nums.items())
    return abstract + ids


def table(*rows: Sequence[str], style: str = "") -> str:
    """A table of cells; each cell is text, or paragraphs of its own."""
    named = f'<w:tblPr><w:tblStyle w:val="{style}"/></w:tblPr>' if style else "<w:tblPr/>"
    cells = ("".join(f"<w:tc>{c if c.startswith('<w:') else p(c)}</w:tc>" for c in row) for row in rows)
    return f"<w:tbl>{named}{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def box(inside: str, *, anchor: str = "", attributes: str = "", vml: bool = False, fill: str = "") -> str:
    """A run with a text box as Word writes it, the new drawing with the old one beside it; `vml`: the old one alone."""
    old = f'<w:pict><v:shape style="{anchor}"><v:textbox><w:txbxContent>{inside}</w:txbxContent></v:textbox></v:shape></w:pict>'
    if vml:
        return f"<w:r>{old}</w:r>"
    painted = f'<a:solidFill><a:srgbClr val="{fill}"/></a:solidFill>' if fill else ""
    placed = anchor or '<wp:extent cx="2000000" cy="900000"/>'
    new = (
        f'<w:drawing><wp:anchor>{placed}<wp:docPr id="1" name="b" {attributes}/>'
        f"<a:graphic><a:graphicData><wps:wsp><wps:spPr>{painted}</wps:spPr><wps:txbx><w:txbxContent>{inside}</w:txbxContent>"
        "</wps:txbx></wps:wsp></a:graphicData></a:graphic></wp:anchor></w:drawing>"
    )
    return (
        f'<w:r><mc:AlternateContent><mc:Choice Requires="wps">{new}</mc:Choice><mc:Fallback>{old if not anchor else ""}'
        "</mc:Fallback></mc:AlternateContent></w:r>"
    )


def docx(
    body: str,
    *,
    numbering: str = "",
    styles: str = STYLES,
    parts: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
    main_type: str = _MAIN,
    prolog: str = "",
    links: str = "",
) -> bytes:
    """A Word file. `parts`: further ones by kind (`header`, `footnotes`, `comments`), each linked as `rIdKIND`."""
    parts = {"styles": f"<w:styles {NS}>{styles}</w:styles>", **(parts or {})}
    if numbering:
        parts["numbering"] = f"<w:numbering {NS}>{numbering}</w:numbering>"
    related = "".join(f'<Relationship Id="rId{k}" Type="{_REL}/{k}" Target="{k}.xml"/>' for k in parts)
    package = "http://schemas.openxmlformats.org/package/2006"
    written = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{main_type}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{_REL}/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}/relationships">{related}{links}</Relationships>',
        "word/document.xml": f"{prolog}<w:document {NS}><w:body>{body}</w:body></w:document>",
        **{f"word/{kind}.xml": text for kind, text in parts.items()},
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in written.items():
            packed.writestr(name, text)
        for name, data in (files or {}).items():
            packed.writestr(name, data)
    return out.getvalue()


def part(kind: str, inside: str) -> str:
    """A further part: `hdr`, `ftr`, `footnotes`, `comments`."""
    return f"<w:{kind} {NS}>{inside}</w:{kind}>"
