"""The log: one handler on the root logger, through which every line passes, and no secret and no request body with it.

Ours is written from the level asked for. Other people's libraries are written from warnings on, their first line only, without
what stands in braces and longer quotes: they log whole requests where it suits them. Errors are written with the places they
passed through and a text scrubbed in the same way.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

from bot.settings import Settings

OURS = frozenset({"bot", "knowledge", "connectors", "prompts", "holdfast", "__main__"})
"""The first part of the names of our own loggers."""

_LENT = re.compile(r"bot\.platforms\.\w+\.library(?:\..*)?")
"""A logger of ours that a platform hands to its SDK: what is written to it is the SDK's."""
_LONGEST = 4_000
"""Characters of a message that are looked at; what comes after is cut off."""
_FOREIGN = 300
"""Characters that remain of another library's message."""
_QUOTED = 20
"""Characters that a quote in a foreign text may have: enough for a field's name."""
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "taskName"}
_FIXED = frozenset({"at", "level", "logger", "message", "error"})
_MASK = "[secret]"

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(?:xox[a-z]|xapp)[-.][\w.%-]{4,}", re.IGNORECASE), _MASK),
    (re.compile(r"\beyJ[\w-]{5,}(?:\.[\w-]*){0,4}"), _MASK),
    (re.compile(r"\bsk-[\w-]{8,}"), _MASK),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {_MASK}"),
    (
        re.compile(
            r"""\b((?:[a-z]{1,30}[_-]){0,5}(?:secret|token|password|passwd|assertion|authorization|cookie|signature|ticket|api[_-]?key))"""
            r"""(["']?\s*[=:]\s*b?["']?)(?!\[secret\]|(?:bearer|basic)\s)[^\s"'&,;)}\]]+""",
            re.IGNORECASE,
        ),
        rf"\1\2{_MASK}",
    ),
    (re.compile(r"\b(code|state|nonce)(=)[\w.%~+/-]{12,}"), rf"\1\2{_MASK}"),
    (re.compile(r"://[^\s/@]+@"), f"://{_MASK}@"),
    (re.compile(r"\b((?:https?|wss?)://hooks\.[^\s/'\"]+)/[^\s'\"]*"), r"\1/…"),
    (re.compile(r"\b((?:https?|wss?)://[^\s?'\"]+)\?[^\s'\"]*"), r"\1?…"),
    (
        re.compile(r"(?<![\w/.+-])(?=[^\s]{0,200}?\d)(?=[^\s]{0,200}?[A-Z])[A-Za-z0-9+_-][A-Za-z0-9+/_-]{39,}={0,2}"),
        _MASK,
    ),
)
"""What looks like a secret of anybody, and what stands in its place. The last: long base64, which no file's path begins."""

_BRACES = re.compile(r"\{[^{}]*\}|\[[^\[\]{}]*[\"'][^\[\]{}]*\]")
_UNCLOSED = re.compile(r"\{.*", re.DOTALL)
_TELLING = re.compile(r"""["'](error|needed|provided|code|status)["']:\s*["']?([a-z0-9_.:,-]{1,60})["']?(?=[,}\s])""")
_FORM = re.compile(r"(?<![\w.%\[\]+-])[\w.%\[\]+-]+=[^&\s]*(?:&[\w.%\[\]+-]+=[^&\s]*)+")
_VALUES = re.compile(
    r"(\[parameters:|\binput_value=|\bDETAIL:|\bFailing row contains|\bVALUES\s*\(|\bbody[=:]|\bpayload[=:]).*",
    re.DOTALL | re.IGNORECASE,
)
_QUOTE = re.compile(r"""b?"[^"]*(?:"|$)|(?<!\w)b?'(?:[^']|'(?=\w))*(?:'(?!\w)|$)""")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def set_up(settings: Settings, stream: TextIO | None = None) -> None:
    """Send everything that is logged, warned of or dies unseen through one scrubbed handler.

    stream   default: the process's stderr
    Called again, the new settings take the place of the old.
    """
    scrub = Scrubber(settings.secrets)
    handler = _Handler(stream or sys.stderr, _Json(scrub) if settings.log_format == "json" else _Text(scrub))
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old, _Handler) or type(old) is logging.StreamHandler:  # basicConfig's, by whatever library called it
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    logging.lastResort = handler
    logging.captureWarnings(capture=True)
    sys.excepthook = _died
    sys.unraisablehook = _unraisable
    threading.excepthook = _thread_died


class Scrubber:
    """Takes secrets and request bodies out of texts. `secrets` are values to be masked wherever they stand."""

    def __init__(self, secrets: Iterable[str]) -> None:
        shapes = {shape for secret in secrets if len(secret) >= 4 for shape in _spellings(secret)}
        longest_first = sorted(shapes, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def ours(self, text: str) -> str:
        """Our own words: without secrets."""
        text = self._known.sub(_MASK, text) if self._known else text
        text = text[:_LONGEST]
        for shape, instead in _SHAPES:
            text = shape.sub(instead, text)
        return _CONTROL.sub("�", text)

    def foreign(self, text: str) -> str:
        """Somebody else's words: without secrets, and without what may be part of a request; one line."""
        text = self._known.sub(_MASK, text) if self._known else text
        text = _without_values(text[:_LONGEST])
        first = next((line for line in text.splitlines() if line.strip()), "")
        text = self.ours(first)
        return text if len(text) <= _FOREIGN else text[:_FOREIGN] + "…"

    def error(self, error: BaseException) -> str:
        """What an error says, without its places. Of our own errors the words are ours."""
        said = _str(error)
        return self.ours(said) if type(error).__module__.split(".")[0] in OURS else self.foreign(said)

    def places(self, error: BaseException) -> str:
        """The error, those it came from, and the places each passed through, oldest first: as Python prints it, scrubbed."""
        return "".join(self._chain(error, depth=0, seen=set())).rstrip("\n")

    def _chain(self, error: BaseException, *, depth: int, seen: set[int]) -> Iterator[str]:
        if id(error) in seen or depth > 10:
            return
        seen.add(id(error))
        if error.__cause__ is not None:
            yield from self._chain(error.__cause__, depth=depth + 1, seen=seen)
            yield "which caused:\n"
        elif error.__context__ is not None and not error.__suppress_context__:
            yield from self._chain(error.__context__, depth=depth + 1, seen=seen)
            yield "while that was handled:\n"
        for place in traceback.extract_tb(error.__traceback__, limit=-30):
            yield f'  File "{place.filename}", line {place.lineno}, in {place.name}\n'
            if place.line:
                yield f"    {self.ours(place.line)}\n"
        kind = type(error)
        yield f"{kind.__module__}.{kind.__qualname__}: {self.error(error)}\n".removeprefix("builtins.")
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions[:10]:
                yield "one of them:\n"
                yield from self._chain(inner, depth=depth + 1, seen=seen)


def _spellings(secret: str) -> Iterator[str]:
    """A secret as it may stand in a text: bare, in a URL, in a form, in JSON, in a repr."""
    yield from (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1])


def _without_values(text: str) -> str:
    """`text` with what stands in braces, forms, parameters and longer quotes replaced; an error's code stays."""
    for _ in range(40):  # from the innermost braces outwards
        text, found = _BRACES.subn(lambda match: f"({_telling(match[0])})", text)
        if not found:
            break
    text = _VALUES.sub(r"\1 …", _UNCLOSED.sub("…", text))
    return _QUOTE.sub(lambda match: match[0] if _is_name(match[0]) else "…", _FORM.sub("…", text))


def _is_name(quoted: str) -> bool:
    """Whether a quote is a field's name, and not what somebody typed."""
    return len(quoted) <= _QUOTED + 2 and quoted[-1] in "\"'" and not re.search(r"\s", quoted)


def _telling(body: str) -> str:
    """What of a body helps an operator: the code of an error, the scope that is missing."""
    return ", ".join(f"{name}: {value}" for name, value in _TELLING.findall(body)) or "…"


def _str(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 an error that cannot say itself must not hide the line that reports it
        return "an error without words"


class _Handler(logging.StreamHandler[TextIO]):
    """Writes what is ours, and what others warn of."""

    def __init__(self, stream: TextIO, formatter: logging.Formatter) -> None:
        super().__init__(stream)
        self.setFormatter(formatter)
        self.addFilter(lambda record: record.levelno >= logging.WARNING or _is_ours(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 the base class's name
        """One line in place of logging's own report, which prints the arguments."""
        try:
            self.stream.write(f"a line of the logger {record.name} could not be written\n")
        except (OSError, ValueError):
            return


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.split(".")[0] in OURS and not _LENT.fullmatch(record.name)


class _Scrubbed(logging.Formatter):
    """The parts of a line, scrubbed."""

    def __init__(self, scrub: Scrubber) -> None:
        super().__init__()
        self._scrub = scrub

    def message(self, record: logging.LogRecord) -> str:
        if not _is_ours(record):
            return self._scrub.foreign(_said(record, record.args))
        given: Any = record.args
        if isinstance(given, tuple):
            given = tuple(self._argument(each) for each in given)
        return self._scrub.ours(_said(record, given))

    def _argument(self, given: Any) -> Any:
        """An argument of a line of ours: errors and bodies scrubbed as other people's words are; of a whole object its kind."""
        if isinstance(given, BaseException):
            return self._scrub.error(given)
        if isinstance(given, Mapping | bytes):
            return self._scrub.foreign(str(given))
        if is_dataclass(given) and type(given).__str__ is object.__str__:
            return f"{type(given).__name__}(…)"
        return given

    def error(self, record: logging.LogRecord) -> str:
        info = record.exc_info
        if not isinstance(info, tuple) or info[1] is None:
            return ""
        return self._scrub.places(info[1])

    def extras(self, record: logging.LogRecord) -> dict[str, Any]:
        """What our own code added to the line, as `extra=`."""
        if not _is_ours(record):
            return {}
        added = {name: value for name, value in record.__dict__.items() if name not in _STANDARD | _FIXED}
        return {
            name: value if isinstance(value, bool | int | float | None) else self._extra(value) for name, value in added.items()
        }

    def _extra(self, value: object) -> str:
        return self._scrub.error(value) if isinstance(value, BaseException) else self._scrub.ours(str(value))[:200]


def _said(record: logging.LogRecord, args: Any) -> str:
    """The message with its arguments; where they do not fit, without them."""
    try:
        return str(record.msg) % args if args else str(record.msg)
    except Exception:  # noqa: BLE001 a foreign object's __str__ may raise anything
        return record.msg if isinstance(record.msg, str) else "a message without words"


class _Text(_Scrubbed):
    """`2026-03-02T09:14:07.120Z WARNING bot.sweep: message key=value`, and an error below it, indented."""

    def format(self, record: logging.LogRecord) -> str:
        extras = "".join(f" {name}={value}" for name, value in self.extras(record).items())
        line = f"{_at(record)} {record.levelname} {record.name}: {self.message(record)}{extras}"
        parts = [line, *filter(None, [self.error(record)])]
        return "\n".join(parts).replace("\n", "\n    ")  # so that nothing logged can look like a line of its own


class _Json(_Scrubbed):
    """One object a line: at, level, logger, message; error where there is one; then what our code added."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": _at(record),
            "level": record.levelname,
            "logger": record.name,
            "message": self.message(record),
        }
        error = self.error(record)
        if error:
            line["error"] = error
        return json.dumps(line | self.extras(record), ensure_ascii=False)


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _died(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """sys.excepthook: the end of the process."""
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("holdfast").critical("the process ends", exc_info=(kind, error, trace))


def _thread_died(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or issubclass(args.exc_type, SystemExit):
        return
    name = args.thread.name if args.thread else "unknown"
    logging.getLogger("holdfast").critical("the thread %s ended", name, exc_info=args.exc_value)


def _unraisable(args: Any) -> None:
    """What was raised where nobody could catch it: in a `__del__`, in a callback of C."""
    logging.getLogger("holdfast").error("an error that nobody could catch", exc_info=args.exc_value)
