"""A hosted or local model by LangChain's `init_chat_model`, asked once, without tools, without memory, and within its time.

Nothing is retried and nobody is followed: no redirects, no tracing. A call runs in a thread of its own; when its time is over
the asker goes on, whatever the service does. At most `SLOTS` calls are under way, so that a service which holds connections
open costs that many threads and no more.

    NoModel     the setting names a model that cannot be used; one sentence on what to do
    Mute        the model gave no answer that can be used; `reason` says why
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

SLOTS = 8
MAX_BYTES = 1_000_000
"""Of one reply with its envelopes, where the connection is ours to count."""
CHARS_PER_TOKEN = 3
"""Fewer than English has, so that an estimate is rather too high."""

Reason = Literal[
    "insufficient", "budget", "busy", "slow", "down", "limited", "unauthorised", "empty", "huge", "refused", "unreadable",
    "passage", "quote", "number", "name", "negation", "markup", "long", "order",
]  # fmt: skip
"""Why there is no worded answer: the passages do not say it; the model could not be asked; it gave nothing that can be read; it
named a passage that was not given, quoted what is not there, or claimed what its quote does not say."""
REASONS: tuple[Reason, ...] = get_args(Reason)

_log = logging.getLogger(__name__)


class NoModel(Exception):
    """One sentence on why the model cannot be used and what to do."""


class Mute(Exception):
    """The model gave no answer that can be used. No text of it or of the question is in here."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"no wording: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class Config:
    """Which model, and what it may cost.

    name      `provider:name`, as `init_chat_model` takes it
    url, key  empty: the provider's own environment variables
    within_s  seconds from asking to the last word
    tokens    that one question may use, with its passages and its answer
    """

    name: str
    url: str = ""
    key: str = field(default="", repr=False)
    within_s: float = 8.0
    tokens: int = 4_000

    @property
    def provider(self) -> str:
        return self.name.partition(":")[0]

    @property
    def reply_tokens(self) -> int:
        return min(1_000, self.tokens // 2)


@dataclass
class Usage:
    """Tokens of one call: the service's figure where it gives one, else an estimate."""

    tokens: int = 0


class Model:
    """One configured model. Cheap to make; its provider's package is imported by `connect` or the first question."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(SLOTS)
        self._chat: BaseChatModel | None = None
        self._client: Any = None
        self._json = dict(_JSON_MODE.get(config.provider, {}))

    @property
    def name(self) -> str:
        return self.config.name

    def room(self) -> int:
        """Characters that a question and its passages may take up; the prompt and the reply have theirs beside it."""
        return max(0, self.config.tokens - self.config.reply_tokens - _PROMPT_TOKENS) * CHARS_PER_TOKEN

    def connect(self) -> BaseChatModel:
        """LangChain's model, made once; no network. raises NoModel"""
        with self._lock:
            if self._chat is None:
                if self.config.provider in ("openai", "azure_openai"):
                    self._client = _client(self.config.within_s)
                self._chat = _made(self.config, self._client)
            return self._chat

    def warm(self) -> None:
        """`connect` ahead of the first question; a model that cannot be used is said in the log."""
        try:
            self.connect()
        except NoModel as bad:
            _log.warning("%s", bad)

    def close(self) -> None:
        """Let go of its connections. What is asked from now on is not answered."""
        if self._client:
            self._client.close()

    def say(self, messages: Sequence[tuple[str, str]], usage: Usage) -> Generator[str, None, None]:
        """What it says to these (role, text) messages, piece by piece. raises Mute, within `within_s` whatever it does"""
        end = time.monotonic() + self.config.within_s
        usage.tokens = _estimate(text for _, text in messages)
        if not self._slots.acquire(timeout=self.config.within_s / 4):
            raise Mute("busy")
        said: SimpleQueue[str | int | Mute | None] = SimpleQueue()
        stop = threading.Event()
        threading.Thread(target=self._run, args=(list(messages), said, stop), name="model", daemon=True).start()
        written = ""
        try:
            while True:
                match said.get(timeout=max(0.0, end - time.monotonic())):
                    case str(piece):
                        written += piece
                        yield piece
                    case int(tokens):
                        usage.tokens = tokens
                        written = ""
                    case Mute() as mute:
                        raise mute
                    case None:
                        return
        except Empty:
            raise Mute("slow") from None
        finally:
            stop.set()
            usage.tokens += _estimate([written]) if written else 0

    def _run(self, messages: list[tuple[str, str]], said: SimpleQueue[str | int | Mute | None], stop: threading.Event) -> None:
        try:
            for piece in self._pieces(messages):
                if stop.is_set():
                    return
                said.put(piece)
            said.put(None)
        except Mute as mute:
            said.put(mute)
        except Exception as bad:  # noqa: BLE001  (every provider has errors of its own; none may reach a person)
            reason = self._why(bad)
            _log.warning("The model %s gave no answer: %s (%s)", self.name, reason, type(bad).__name__)
            said.put(Mute(reason))
        finally:
            self._slots.release()

    def _pieces(self, messages: list[tuple[str, str]]) -> Iterator[str | int]:
        """Text, and once or more the tokens used so far, as the service counts them."""
        from langsmith import tracing_context

        with tracing_context(enabled=False):  # or a variable of the environment would send every question to a third party
            chat = self.connect()
            counted = 0
            for chunk in chat.stream(messages, **self._json):
                if chunk.additional_kwargs.get("refusal"):
                    raise Mute("refused")
                if text := str(chunk.text):
                    yield text
                usage: Any = getattr(chunk, "usage_metadata", None)
                if usage and 0 < (total := usage.get("total_tokens", 0)) <= 100 * self.config.tokens:
                    counted += total
            if counted:
                yield counted

    def _why(self, bad: Exception) -> Reason:
        status = getattr(bad, "status_code", None)
        if status in (400, 422) and self._json:
            self._json = {}  # a server that does not know the mode: the prompt alone asks for JSON from now on
        if isinstance(bad, NoModel) or status in (401, 403):
            return "unauthorised"
        if status == 429:
            return "limited"
        if isinstance(bad, _TooMuch):
            return "huge"
        return "slow" if isinstance(bad, TimeoutError) or "Timeout" in type(bad).__name__ else "down"


# --- making --------------------------------------------------------------------------------------------------------------

_PROMPT_TOKENS = 700
_JSON: dict[str, Any] = {"response_format": {"type": "json_object"}}
_JSON_MODE: dict[str, dict[str, Any]] = {
    "openai": {"extra_body": _JSON},
    "azure_openai": {"extra_body": _JSON},
    "deepseek": {"extra_body": _JSON},
    "groq": _JSON,
    "mistralai": _JSON,
    "ollama": {"format": "json"},
}
"""Where a provider can be told to write JSON, what it is told with each question.

`extra_body`: with `response_format` in its own place langchain-openai streams by another road, which imports every type of the
SDK's beta (2.5 s of the first question) and raises where a service leaves out a role.
"""
_PACKAGE = re.compile(r"langchain-[a-z-]+[a-z]")


def _made(config: Config, client: Any) -> BaseChatModel:
    from langchain.chat_models import init_chat_model

    options: dict[str, Any] = {"timeout": config.within_s, "max_tokens": config.reply_tokens, "max_retries": 0}
    if config.provider == "ollama":
        options = {"client_kwargs": {"timeout": config.within_s}, "num_predict": config.reply_tokens}
    if client:
        options |= {"http_client": client, "stream_usage": True}
    if config.url:
        options["base_url"] = config.url
    if config.key:
        options["api_key"] = config.key
    try:
        made: BaseChatModel = init_chat_model(config.name, **options)
    except ImportError as bad:
        package = _PACKAGE.search(str(bad))
        raise NoModel(
            f"MODEL={config.name} needs the package {package[0] if package else 'of its provider'}: install it beside Holdfast."
        ) from None
    except Exception as bad:  # noqa: BLE001  (each provider's own kinds; all of them are a setting that cannot be used)
        if "api_key" in str(bad).lower() or "credentials" in str(bad).lower():
            raise NoModel(f"MODEL={config.name} has no key: set MODEL_KEY, or the provider's own variable.") from None
        raise NoModel(
            f"MODEL={config.name} cannot be used ({type(bad).__name__}): write provider:name as in LangChain's init_chat_model."
        ) from None
    return made


class _TooMuch(Exception):
    """A reply went over MAX_BYTES."""


def _client(within_s: float) -> Any:
    """An HTTP client that follows nobody, and that reads no more and no longer than is left to an answer."""
    import httpx

    class Bounded(httpx.SyncByteStream):
        def __init__(self, stream: Any) -> None:
            self._stream, self._end = stream, time.monotonic() + within_s

        def __iter__(self) -> Iterator[bytes]:
            read = 0
            for chunk in self._stream:
                read += len(chunk)
                if read > MAX_BYTES:
                    raise _TooMuch
                if time.monotonic() > self._end:
                    raise TimeoutError
                yield chunk

        def close(self) -> None:
            self._stream.close()

    class Client(httpx.Client):
        def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
            response = super().send(request, stream=True, **options)
            response.stream = Bounded(response.stream)
            if not stream:
                response.read()
            return response

    return Client(timeout=within_s, follow_redirects=False)


def _estimate(texts: Any) -> int:
    return sum(len(text) // CHARS_PER_TOKEN + 1 for text in texts)
