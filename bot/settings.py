"""The environment as one frozen Settings.

SettingsError       a variable cannot be used; the text names it and says what it may be
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class SettingsError(Exception):
    """One sentence on which variable is wrong and what it may be."""


@dataclass(frozen=True)
class Settings:
    """All that is configured from outside. Lists in docs are generated from the field comments below."""

    home: Path
    """HOLDFAST_HOME: the folder that holds everything we write (default ./.holdfast)."""
    database_url: str = field(repr=False)
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
    log_format: str = "text"
    """HOLDFAST_LOG_FORMAT: text, or json for one JSON object a line."""
    url: str = ""
    """HOLDFAST_URL: the https address at which people and chat services reach us; without it cards hold no links."""
    key: str = field(default="", repr=False)
    """HOLDFAST_KEY: 32 random bytes in base64 that encrypt stored workspace tokens; needed for SLACK_CLIENT_ID."""
    workers: int = 4
    """HOLDFAST_WORKERS: how many questions and presses are worked on at once (1 to 64)."""
    bundle_from: int = 4
    """HOLDFAST_BUNDLE_FROM: so many nudges due for one person at once go out as one message (2 to 1000; 0: never)."""
    embedding_model: str = ""
    """EMBEDDING_MODEL: provider:model of a hosted embedding service (openai:text-embedding-3-small); none: by words alone."""
    embedding_model_dir: Path | None = None
    """EMBEDDING_MODEL_DIR: a folder with another embedding model (config.json, model.safetensors, tokenizer.json)."""
    slack_bot_token: str = field(default="", repr=False)
    """SLACK_BOT_TOKEN: xoxb-…, the bot's token in a single workspace."""
    slack_app_token: str = field(default="", repr=False)
    """SLACK_APP_TOKEN: xapp-…, for Socket Mode; with it no public address is needed."""
    slack_signing_secret: str = field(default="", repr=False)
    """SLACK_SIGNING_SECRET: for the HTTP mode, where Slack calls us at /slack/events."""
    slack_client_id: str = ""
    """SLACK_CLIENT_ID: with SLACK_CLIENT_SECRET, for many workspaces that install the app themselves at /slack/install."""
    slack_client_secret: str = field(default="", repr=False)
    """SLACK_CLIENT_SECRET: the other half of SLACK_CLIENT_ID."""
    slack_teams: tuple[str, ...] = ()
    """SLACK_TEAMS: the ids (T…) of the workspaces that belong to this organisation, by commas; needed with SLACK_CLIENT_ID."""
    slack_api_url: str = "https://slack.com/api/"
    """SLACK_API_URL: where Slack's Web API is; a local stand-in for trying things out."""
    slack_pool: int = 60
    """SLACK_POOL: how many requests of Slack are received at once (1 to 200); while the database is held they wait as one."""
    teams_client_id: str = ""
    """TEAMS_CLIENT_ID: the bot's application (client) id."""
    teams_client_secret: str = field(default="", repr=False)
    """TEAMS_CLIENT_SECRET: its secret."""
    teams_tenants: tuple[str, ...] = ()
    """TEAMS_TENANTS: the tenant ids that may talk to the bot, separated by commas; needed with TEAMS_CLIENT_ID."""
    teams_service_hosts: tuple[str, ...] = ("smba.trafficmanager.net", "smba.infra.gcc.teams.microsoft.com")
    """TEAMS_SERVICE_HOSTS: the hosts that a service URL may name, separated by commas; subdomains count."""
    teams_dangerously_open: bool = False
    """TEAMS_DANGEROUSLY_OPEN: 1 takes unsigned requests, for the Agents Playground on this machine; refused off loopback."""

    model: str = ""
    """MODEL: provider:name (openai:…, anthropic:…, ollama:…), the model that words answers from SOP text; empty: none."""
    model_url: str = ""
    """MODEL_URL: where the model is, if not where its provider says; an https address, or http on this machine."""
    model_key: str = field(default="", repr=False)
    """MODEL_KEY: its key; left out, the provider's own variable (OPENAI_API_KEY and the like)."""
    model_s: float = 8.0
    """MODEL_S: seconds a model has for an answer (1 to 60); after them the SOP's own words are shown."""
    model_tokens: int = 4000
    """MODEL_TOKENS: tokens that one question may use, passages and answer together (2000 to 100000)."""
    model_day_tokens: int = 500_000
    """MODEL_DAY_TOKENS: tokens that all questions of one day (UTC) may use; after them the SOP's own words are shown."""

    @property
    def has_slack(self) -> bool:
        return bool(self.slack_bot_token or self.slack_client_id)

    @property
    def has_teams(self) -> bool:
        return bool(self.teams_client_id or self.teams_dangerously_open)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that no log, error or page may show."""
        known = (self.key, self.page_token, self.slack_bot_token, self.slack_app_token, self.slack_signing_secret,
                 self.slack_client_secret, self.teams_client_secret, self.model_key, _password(self.database_url))  # fmt: skip
        return tuple(secret for secret in known if secret)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environ` (default: the process's own). raises SettingsError"""
    env = os.environ if environ is None else environ
    home = Path(env.get("HOLDFAST_HOME") or ".holdfast").expanduser().absolute()
    host = env.get("HOLDFAST_HOST") or "127.0.0.1"
    token = env.get("HOLDFAST_PAGE_TOKEN", "")
    if host not in _LOOPBACK and not token:
        raise SettingsError(
            "HOLDFAST_HOST is not loopback: set HOLDFAST_PAGE_TOKEN to a long secret before opening the page to a network."
        )
    log_format = (env.get("HOLDFAST_LOG_FORMAT") or "text").lower()
    if log_format not in ("text", "json"):
        raise SettingsError(f"HOLDFAST_LOG_FORMAT is {log_format!r}: use text or json.")
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
        log_format=log_format,
        url=_url(env),
        key=_key(env),
        workers=int(_number(env, "HOLDFAST_WORKERS", 4, 1, 64)),
        bundle_from=int(_number(env, "HOLDFAST_BUNDLE_FROM", 4, 0, 1000)),
        **_embedding(env),
        **_slack(env),
        **_teams(env, host),
        **_model(env),
    )


def _embedding(env: Mapping[str, str]) -> dict[str, Any]:
    """Where meaning comes from, where it is not the packaged model."""
    model, folder = env.get("EMBEDDING_MODEL", ""), env.get("EMBEDDING_MODEL_DIR", "")
    if model and folder:
        raise SettingsError("EMBEDDING_MODEL and EMBEDDING_MODEL_DIR name two models: set one of them.")
    if model and model != "none" and not all(part.strip() for part in (model.partition(":")[0], model.partition(":")[2])):
        raise SettingsError(f"EMBEDDING_MODEL is {model!r}: it is provider:model, as openai:text-embedding-3-small, or none.")
    path = Path(folder).expanduser().absolute() if folder else None
    if path and not (path / "model.safetensors").is_file():
        raise SettingsError(f"EMBEDDING_MODEL_DIR is {folder}: there is no model.safetensors in it; name the model's folder.")
    return {"embedding_model": model, "embedding_model_dir": path}


def _slack(env: Mapping[str, str]) -> dict[str, Any]:
    """What the environment says of Slack, checked as far as it can be without asking Slack."""
    token, app = env.get("SLACK_BOT_TOKEN", ""), env.get("SLACK_APP_TOKEN", "")
    secret, client = env.get("SLACK_SIGNING_SECRET", ""), env.get("SLACK_CLIENT_ID", "")
    if token and not token.startswith("xoxb-"):
        raise SettingsError("SLACK_BOT_TOKEN is no bot token: it begins with xoxb-; copy it from “OAuth & Permissions”.")
    if app and not app.startswith("xapp-"):
        raise SettingsError("SLACK_APP_TOKEN is no app-level token: it begins with xapp-; make it under “Basic Information”.")
    if (token or client) and not (app or secret):
        raise SettingsError("Slack needs SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP): set one of them.")
    if (app or secret) and not (token or client):
        raise SettingsError("Slack needs SLACK_BOT_TOKEN (one workspace) or SLACK_CLIENT_ID (many): set one of them.")
    if client and not env.get("SLACK_CLIENT_SECRET"):
        raise SettingsError("SLACK_CLIENT_ID needs SLACK_CLIENT_SECRET: copy both from “Basic Information”.")
    if client and not env.get("HOLDFAST_KEY"):
        raise SettingsError(
            "SLACK_CLIENT_ID needs HOLDFAST_KEY, which encrypts the tokens: make one with “openssl rand -base64 32”."
        )
    if client and not secret:
        raise SettingsError("SLACK_CLIENT_ID needs SLACK_SIGNING_SECRET: workspaces that install the app call us over HTTP.")
    teams = tuple(word.upper() for word in _words(env.get("SLACK_TEAMS", "")))
    if client and not teams:
        raise SettingsError("SLACK_CLIENT_ID needs SLACK_TEAMS: the ids (T…) of the workspaces that are yours.")
    api = env.get("SLACK_API_URL") or "https://slack.com/api/"
    if not _is_safe_url(api):
        raise SettingsError("SLACK_API_URL must be https, or http on this machine: tokens are sent to it.")
    return {
        "slack_bot_token": token, "slack_app_token": app, "slack_signing_secret": secret, "slack_client_id": client,
        "slack_client_secret": env.get("SLACK_CLIENT_SECRET", ""), "slack_api_url": api.rstrip("/") + "/",
        "slack_teams": teams,
        "slack_pool": int(_number(env, "SLACK_POOL", 60, 1, 200)),
    }  # fmt: skip


def _teams(env: Mapping[str, str], host: str) -> dict[str, Any]:
    """What the environment says of Teams, checked as far as it can be without asking Microsoft."""
    client, secret = env.get("TEAMS_CLIENT_ID", ""), env.get("TEAMS_CLIENT_SECRET", "")
    tenants, is_open = _words(env.get("TEAMS_TENANTS", "")), env.get("TEAMS_DANGEROUSLY_OPEN", "") in ("1", "true", "yes")
    if is_open and host not in _LOOPBACK:
        raise SettingsError("TEAMS_DANGEROUSLY_OPEN takes unsigned requests and is for this machine only: unset HOLDFAST_HOST.")
    if client and not secret and not is_open:
        raise SettingsError("TEAMS_CLIENT_ID needs TEAMS_CLIENT_SECRET: make one under “Certificates & secrets”.")
    if client and not tenants and not is_open:
        raise SettingsError("TEAMS_CLIENT_ID needs TEAMS_TENANTS: the tenant ids that may talk to the bot.")
    known = {
        "teams_client_id": client,
        "teams_client_secret": secret,
        "teams_tenants": tenants,
        "teams_dangerously_open": is_open,
    }
    hosts = _words(env.get("TEAMS_SERVICE_HOSTS", ""))
    return {**known, "teams_service_hosts": hosts} if hosts else known


def _model(env: Mapping[str, str]) -> dict[str, Any]:
    """What the environment says of the model; whether there is such a one, `knowledge.model` finds out."""
    model, url = env.get("MODEL", "").strip(), env.get("MODEL_URL", "").rstrip("/")
    provider, colon, name = model.partition(":")
    if model and not (colon and name and provider.replace("_", "").isalnum()):
        raise SettingsError(f"MODEL is {model[:60]!r}: write provider:name, for example openai:gpt-4.1-mini.")
    if url and not _is_safe_url(url):
        raise SettingsError("MODEL_URL must be https, or http on this machine: questions and SOP text are sent to it.")
    return {
        "model": model,
        "model_url": url,
        "model_key": env.get("MODEL_KEY") or (env.get(f"{provider.upper()}_API_KEY", "") if model else ""),
        "model_s": _number(env, "MODEL_S", 8.0, 1, 60),
        "model_tokens": int(_number(env, "MODEL_TOKENS", 4000, 2000, 100_000)),
        "model_day_tokens": int(_number(env, "MODEL_DAY_TOKENS", 500_000, 0, 1_000_000_000)),
    }


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip().lower() for word in text.split(",") if word.strip())


def _url(env: Mapping[str, str]) -> str:
    url = (env.get("HOLDFAST_URL") or "").rstrip("/")
    if url and not _is_safe_url(url):
        raise SettingsError("HOLDFAST_URL must be an https address, or http on this machine, without a path.")
    return url


def _is_safe_url(url: str) -> bool:
    parts = urlsplit(url)
    return (parts.scheme == "https" and bool(parts.hostname)) or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _key(env: Mapping[str, str]) -> str:
    key = env.get("HOLDFAST_KEY", "")
    try:
        length = len(base64.b64decode(key, validate=True))
    except ValueError:
        length = 0
    if key and length != 32:
        raise SettingsError("HOLDFAST_KEY is not 32 bytes in base64: make one with “openssl rand -base64 32”.")
    return key


def _password(url: str) -> str:
    """The password in a database's address, as it stands there; empty where there is none."""
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""


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
