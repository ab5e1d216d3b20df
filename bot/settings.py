"""The environment as one frozen Settings.

SettingsError       a variable cannot be used; the text names it and says what it may be
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class SettingsError(Exception):
    """One sentence on which variable is wrong and what it may be."""


@dataclass(frozen=True)
class Settings:
    """All that is configured from outside. Lists in docs are generated from the field comments below."""

    home: Path
    """HOLDFAST_HOME: the folder that holds everything we write (default ./.holdfast)."""
    database_url: str
    """DATABASE_URL: default is SQLite inside HOLDFAST_HOME; `postgresql+psycopg://…` for several machines."""
    port: int = 8377
    """HOLDFAST_PORT: where the page listens."""
    host: str = "127.0.0.1"
    """HOLDFAST_HOST: the address the page listens on; anything but loopback needs HOLDFAST_PAGE_TOKEN."""
    page_token: str = field(default="", repr=False)
    """HOLDFAST_PAGE_TOKEN: the secret in the page's address; a random one is made at each start when empty."""
    tick_s: float = 15.0
    """HOLDFAST_TICK_S: seconds between two sweeps (1 to 3600)."""
    log_level: str = "INFO"
    """HOLDFAST_LOG: DEBUG, INFO, WARNING or ERROR."""


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environ` (default: the process's own). raises SettingsError"""
    env = os.environ if environ is None else environ
    home = Path(env.get("HOLDFAST_HOME") or ".holdfast").expanduser().absolute()
    host = env.get("HOLDFAST_HOST") or "127.0.0.1"
    token = env.get("HOLDFAST_PAGE_TOKEN", "")
    if host not in ("127.0.0.1", "::1", "localhost") and not token:
        raise SettingsError(
            "HOLDFAST_HOST is not loopback: set HOLDFAST_PAGE_TOKEN to a long secret before opening the page to a network."
        )
    level = (env.get("HOLDFAST_LOG") or "INFO").upper()
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise SettingsError(f"HOLDFAST_LOG is {level!r}: use DEBUG, INFO, WARNING or ERROR.")
    return Settings(
        home=home,
        database_url=_database_url(env.get("DATABASE_URL", ""), home),
        port=int(_number(env, "HOLDFAST_PORT", 8377, 0, 65535)),
        host=host,
        page_token=token,
        tick_s=_number(env, "HOLDFAST_TICK_S", 15.0, 1, 3600),
        log_level=level,
    )


def _database_url(url: str, home: Path) -> str:
    if not url:
        return f"sqlite:///{home / 'holdfast.sqlite'}"
    if url.startswith(("postgres://", "postgresql://")):
        return "postgresql+psycopg://" + url.split("://", 1)[1]
    if url.startswith(("postgresql+psycopg://", "sqlite:///")):
        return url
    raise SettingsError("DATABASE_URL names a database we do not know: use postgresql+psycopg://… or sqlite:///….")


def _number(env: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = env.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise SettingsError(f"{name} is {text!r}: it takes a number from {low:g} to {high:g}.") from None
    if not low <= value <= high:
        raise SettingsError(f"{name} is {text!r}: it takes a number from {low:g} to {high:g}.")
    return value
