"""Prompts: one Markdown file each, with its hash, so that evidence can say which wording was used.

A file holds one `## role` heading per message (system, human, ai); below it the message, with {names} to fill in and doubled
braces for braces. `Prompt.messages` is what LangChain's `ChatPromptTemplate.from_messages` takes.

    NoPrompt        there is no such file, or it holds no message
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ROLE = re.compile(r"^## (system|human|ai)[ \t]*\n", re.MULTILINE)


class NoPrompt(Exception):
    """One sentence on which prompt is missing or empty."""


@dataclass(frozen=True)
class Prompt:
    """One prompt: its text as in the file, and the SHA-256 of that text."""

    name: str
    text: str
    sha256: str

    @property
    def messages(self) -> tuple[tuple[str, str], ...]:
        """(role, template) of each message, in order."""
        parts = _ROLE.split(self.text)[1:]
        return tuple((role, message.strip()) for role, message in zip(parts[::2], parts[1::2], strict=True))


def load(name: str) -> Prompt:
    """The prompt kept in `prompts/<name>.md`. raises NoPrompt"""
    path = files(__name__) / f"{name}.md"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise NoPrompt(f"There is no prompt called {name[:40]!r}.")
    text = path.read_text("utf-8").replace("\r\n", "\n")
    prompt = Prompt(name, text, hashlib.sha256(text.encode()).hexdigest())
    if not prompt.messages:
        raise NoPrompt(f"The prompt {name!r} holds no message: it needs `## system` and `## human`.")
    return prompt
