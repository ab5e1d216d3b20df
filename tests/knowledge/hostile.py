"""Files that somebody made to hurt whoever opens them, or that arrived broken: `name -> bytes`."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from tests.knowledge.word import docx, p, part

_DTD = '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)
_MACRO = "application/vnd.ms-word.document.macroEnabled.main+xml"
_OUTSIDE = (
    '<Relationship Id="rId9" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{}" '
    'Target="http://127.0.0.1:9/x" TargetMode="External"/>'
)


def archive(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as packed:
        for name, data in entries:
            info = zipfile.ZipInfo(name.replace("\0", "?"))
            info.compress_type = method
            packed.writestr(info, data)
    return out.getvalue()


def _lying(size: int) -> bytes:
    """An archive whose directory declares 10 bytes for an entry that unpacks to `size`."""
    data = bytearray(archive(("word/document.xml", b"0" * size), ("[Content_Types].xml", b"<Types/>")))
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.find(mark)
        data[place + at : place + at + 4] = struct.pack("<I", 10)
    return bytes(data)


def _compound(inside: str) -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + inside.encode("utf-16-le") + bytes(600)


def _pdf(*objects: bytes, root: int = 1) -> bytes:
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return bytes(out + b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(places) + 1, root, table))


def _flate(text: bytes) -> bytes:
    packed = zlib.compress(text, 9)
    return b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(packed) + packed + b"\nendstream"


_CATALOG, _PAGES = b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
_PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << >> >>"


def files() -> Iterator[tuple[str, bytes]]:
    good = docx(p("Fill the tray and wait."))
    yield from _bombs(good)
    yield from _xml()
    yield from _wrong(good)
    yield from _names(good)
    yield from _pdfs()
    yield from _texts()


def _bombs(good: bytes) -> Iterator[tuple[str, bytes]]:
    big = b"<w:p/>" * 20_000_000
    yield "bomb-part.docx", docx(p("x"), files={"word/media/image1.png": bytes(120_000_000)})
    yield "bomb-body.docx", archive(("[Content_Types].xml", b"<Types/>"), ("word/document.xml", big))
    yield "bomb-ratio.docx", docx(p("x"), files={"word/media/image1.png": bytes(40_000_000)})
    yield "bomb-lying.docx", _lying(30_000_000)
    yield "bomb-many.docx", docx(p("x"), files={f"word/media/{n}": b"" for n in range(2_500)})
    yield "bomb-sum.docx", docx(p("x"), files={f"word/media/{n}": bytes(900_000) for n in range(120)})
    yield "bomb.zip", archive(("a.md", bytes(120_000_000)))
    yield "bomb-many.zip", archive(*((f"{n}.md", b"# a") for n in range(2_100)))
    yield "bomb-directory.zip", archive(("a.md", b"# a")) + b"PK\x01\x02" * 50_000
    inner = archive(("0.zip", archive(("a.docx", good))))
    yield "nested.zip", archive(("1.zip", inner))
    yield "bomb-repeated.docx", docx("".join(p("again " * 400) for _ in range(30_000)))
    yield "bomb-lzma.zip", archive(("a.md", bytes(50_000_000)), method=zipfile.ZIP_LZMA)


def _xml() -> Iterator[tuple[str, bytes]]:
    yield "xxe.docx", docx(p("SECRET[").replace("SECRET[", "SECRET[&x;]"), prolog=_DTD)
    yield "laughs.docx", docx(p("ha").replace("ha", "&i;"), prolog=_LAUGHS)
    yield "doctype.docx", docx(p("plain"), prolog="<!DOCTYPE html>")
    yield "doctype-styles.docx", docx(p("plain"), parts={"comments": _DTD + part("comments", "")})
    yield "doctype-utf16.docx", _utf16()
    yield "utf7.docx", docx(p("plain"), prolog='<?xml version="1.0" encoding="utf-7"?>')
    yield "deep.docx", docx("<w:sdt><w:sdtContent>" * 5_000 + p("x") + "</w:sdtContent></w:sdt>" * 5_000)
    yield "deep-tables.docx", docx("<w:tbl><w:tr><w:tc>" * 200 + p("x") + "</w:tc></w:tr></w:tbl>" * 200)
    yield "unclosed.docx", docx("<w:p><w:r><w:t>cut")
    yield "huge-text.docx", docx(p("x" * 11_000_000))
    loop = '<w:style w:type="paragraph" w:styleId="A"><w:basedOn w:val="B"/></w:style>'
    loop += '<w:style w:type="paragraph" w:styleId="B"><w:basedOn w:val="A"/></w:style>'
    yield "style-loop.docx", docx(p("Wash.", style="A"), styles=loop)
    yield (
        "number-huge.docx",
        docx(p("Wash.", num=(1, 99_999_999)), numbering='<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>'),
    )
    yield (
        "span-huge.docx",
        docx('<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="999999999"/></w:tcPr>' + p("x") + "</w:tc></w:tr></w:tbl>"),
    )
    yield "no-body.docx", docx("").replace(b"w:body", b"w:bodx")


def _utf16() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx(p("plain")))) as source, zipfile.ZipFile(out, "w") as packed:
        for name in source.namelist():
            data = source.read(name)
            packed.writestr(name, ("<!DOCTYPE a>" + data.decode()).encode("utf-16") if name == "word/document.xml" else data)
    return out.getvalue()


def _wrong(good: bytes) -> Iterator[tuple[str, bytes]]:
    yield "macro.docm", docx(p("x"), main_type=_MACRO)
    yield "macro-renamed.docx", docx(p("x"), main_type=_MACRO)
    yield "macro-part.docx", docx(p("x"), files={"word/vbaProject.bin": b"\xd0\xcf\x11\xe0"})
    yield "template.docx", docx(p("Wash."), links=_OUTSIDE.format("attachedTemplate"))
    yield "remote-frame.docx", docx(p("Wash."), links=_OUTSIDE.format("frame"))
    yield "remote-picture.docx", docx(p("Wash."), links=_OUTSIDE.format("image"))
    yield "ole.docx", docx(p("Wash."), files={"word/embeddings/oleObject1.bin": b"\xd0\xcf\x11\xe0"})
    yield "altchunk.docx", docx(p("Wash.") + '<w:altChunk r:id="rId9"/>', links=_OUTSIDE.format("aFChunk"))
    yield "legacy.doc", _compound("WordDocument")
    yield "legacy-renamed.docx", _compound("WordDocument")
    yield "encrypted.docx", _compound("EncryptedPackage")
    yield "empty.docx", b""
    yield "empty.pdf", b""
    yield "empty.html", b"  \n"
    yield "empty.zip", archive()
    yield "truncated.docx", good[: len(good) // 2]
    yield "truncated-end.docx", good[:-30]
    yield "scrambled.docx", good[:300] + bytes(reversed(good[300:]))
    yield "not-a-zip.docx", b"PK\x03\x04 hello"
    yield "pdf-renamed.docx", b"%PDF-1.7 hello"
    yield "word-renamed.pdf", good
    yield "word-renamed.html", good
    yield "picture.docx", b"\x89PNG\r\n\x1a\n" + bytes(100)
    yield "program.md", b"\x7fELF" + bytes(100)
    yield "rich.rtf", b"{\\rtf1 hello}"
    yield "rich-renamed.docx", b"{\\rtf1 hello}"
    yield "open.odt", archive(("mimetype", b"application/vnd.oasis.opendocument.text"))
    yield "open-renamed.docx", archive(("mimetype", b"application/vnd.oasis.opendocument.text"))
    yield "sheet.docx", archive(("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<x/>"))
    yield "no-text.docx", docx(p())
    yield "only-hidden.docx", docx(p("secret", looks="<w:vanish/>"))


NAMES = (
    "../../etc/passwd.md", "/etc/cron.d/x.md", "C:\\Windows\\x.md", "..\\..\\x.md", "con.md", "aux/readme.md", "nul", "a\nb.md",
    "x" * 5_000 + ".md", "\u202egnp.md", "a//../b.md", "lpt1.docx",
)  # fmt: skip


def _names(good: bytes) -> Iterator[tuple[str, bytes]]:
    for number, name in enumerate(NAMES):
        yield f"name-{number}.zip", archive((name, b"# Wash\n\n1. Rinse\n" if name.endswith(".md") else good))


def _pdfs() -> Iterator[tuple[str, bytes]]:
    yield "loop.pdf", _pdf(_CATALOG, b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>")
    yield (
        "kids.pdf",
        _pdf(_CATALOG, b"<< /Type /Pages /Count 300000 /Kids [" + b"3 0 R " * 300_000 + b"] >>", _PAGE, _flate(b"")),
    )
    yield "flate-bomb.pdf", _pdf(_CATALOG, _PAGES, _PAGE, _flate(bytes(300_000_000)))
    yield "operators.pdf", _pdf(_CATALOG, _PAGES, _PAGE, _flate(b"q " * 30_000_000))
    yield "scan.pdf", _pdf(_CATALOG, _PAGES, _PAGE, _flate(b"q 595 0 0 842 0 0 cm /Im0 Do Q"))
    yield "cut.pdf", _pdf(_CATALOG, _PAGES, _PAGE, _flate(b""))[:200]
    yield (
        "parent-loop.pdf",
        _pdf(_CATALOG, b"<< /Type /Pages /Parent 2 0 R /Kids [3 0 R 2 0 R] /Count 9 >>", _PAGE, _flate(b"")),
    )
    yield "no-root.pdf", _pdf(_CATALOG, root=77)


def _texts() -> Iterator[tuple[str, bytes]]:
    yield "huge.md", b"a" * 5_000_001
    yield "items.md", b"1. a\n" * 190_000
    yield "stars.md", b"*a " * 300_000
    yield "rows.md", b"|a|b|\n|-|-|\n" + b"|x|y|\n" * 150_000
    yield "quotes.md", b"> " * 400_000 + b"a"
    yield "comments.md", b"<!--" * 200_000 + b"a"
    yield "styles.md", b"<style>" * 140_000 + b"a"
    yield "fences.md", b"```\n" * 200_000 + b"a"
    yield "yaml-bomb.md", b"---\nid: &a [1]\nb: &b [*a,*a]\nc: [*b,*b,*b]\n---\n# x\n"
    yield "nul.txt", b"Wash\0 and dry"
    yield "latin.txt", "Crème".encode("cp1252")
    yield "deep.html", b"<div>" * 200_000 + b"Wash."
    yield "attributes.html", b"<p " + b"a=b " * 500_000 + b">Wash.</p>"
    yield "entities.html", b"<p>" + b"&amp;" * 900_000 + b"</p>"
    yield "fetches.html", b'<p>Wash.</p><img src="http://127.0.0.1:9/x"><link rel=stylesheet href="http://127.0.0.1:9/y">'
    yield "mail.mht", b"MIME-Version: 1.0\nContent-Type: multipart/related\n"
