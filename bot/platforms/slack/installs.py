"""Workspaces that installed the app themselves: their tokens, sealed to their row, and the installations under way.

A token is encrypted with AES-256-GCM under HOLDFAST_KEY, and its row's platform, workspace and user are part of the seal: a
ciphertext that was moved to another row, or edited, is refused. Only the bot's own token is kept; the app asks for no user's.

    Unsealable      a row's tokens cannot be read: another key, another row's, or damaged
"""

from __future__ import annotations

import base64
import json
import logging
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from slack_sdk.oauth.installation_store import Bot, Installation, InstallationStore
from slack_sdk.oauth.state_store import OAuthStateStore
from sqlalchemy import Engine, delete, select
from sqlmodel import col

from bot.platforms.slack.client import discreet_logger
from bot.records import OAuthState, Workspace, insert_new, read, write

PLATFORM = "slack"
STATE_LIVES = timedelta(minutes=10)
_WORD = re.compile(r"[A-Za-z0-9_-]{20,100}")
_ID = re.compile(r"[A-Z0-9]{2,30}", re.ASCII)


class Unsealable(Exception):
    """One sentence on a row whose tokens cannot be read."""


class Seal:
    """Encrypts what belongs to one row. raises Unsealable from its making, where the key is not 32 bytes in base64"""

    def __init__(self, key: str) -> None:
        try:
            self._box = AESGCM(base64.b64decode(key, validate=True))
        except ValueError:
            raise Unsealable(
                "HOLDFAST_KEY is not 32 bytes in base64, so workspace tokens can be neither stored nor read."
            ) from None

    def close(self, plain: bytes, row: tuple[str, str, str]) -> str:
        """`plain`, encrypted for the row of this platform, workspace and user."""
        nonce = secrets.token_bytes(12)
        return base64.b64encode(nonce + self._box.encrypt(nonce, plain, _named(row))).decode()

    def open(self, sealed: str, row: tuple[str, str, str]) -> bytes:
        """What `close` was given for this row. raises Unsealable"""
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._box.decrypt(raw[:12], raw[12:], _named(row))
        except (InvalidTag, ValueError):
            raise Unsealable(
                f"The stored token of workspace {row[1]} cannot be read: HOLDFAST_KEY is not the one it was stored under, or "
                "the row was changed. Install the app there again."
            ) from None

    def __repr__(self) -> str:
        return "Seal()"


def _named(row: tuple[str, str, str]) -> bytes:
    return "|".join(row).encode()


class Installations(InstallationStore):
    """Bolt's installation store over the table Workspace: one row a workspace, for the bot."""

    def __init__(self, engine: Engine, seal: Seal) -> None:
        self._engine = engine
        self._seal = seal

    @property
    def logger(self) -> logging.Logger:
        return discreet_logger()

    def token(self, team: str) -> str | None:
        """The bot token of a workspace; None where it has not installed the app. raises Unsealable"""
        kept = self._kept(team)
        return str(kept["bot_token"]) if kept else None

    def teams(self) -> Sequence[str]:
        """Every workspace that has installed the app."""
        with read(self._engine) as session:
            query = select(col(Workspace.team)).where(col(Workspace.platform) == PLATFORM, col(Workspace.user) == "")
            return list(session.scalars(query.order_by(col(Workspace.team))))

    def forget(self, team: str) -> None:
        """Delete everything of a workspace; nothing happens where there is nothing."""
        with write(self._engine) as session:
            session.execute(delete(Workspace).where(col(Workspace.platform) == PLATFORM, col(Workspace.team) == team))

    # --- what Bolt calls ---------------------------------------------------------------------------------------------

    def save(self, installation: Installation) -> None:
        team = _team(installation.enterprise_id, installation.team_id)
        kept = {
            "app_id": installation.app_id,
            "enterprise_id": installation.enterprise_id,
            "team_id": installation.team_id,
            "team_name": installation.team_name,
            "bot_token": installation.bot_token,
            "bot_id": installation.bot_id,
            "bot_user_id": installation.bot_user_id,
            "bot_scopes": list(installation.bot_scopes or ()),
            "user_id": installation.user_id or "",
            "is_enterprise_install": installation.is_enterprise_install,
        }
        row = (PLATFORM, team, "")
        sealed = self._seal.close(json.dumps(kept).encode(), row)
        with write(self._engine) as session:
            session.execute(delete(Workspace).where(col(Workspace.platform) == PLATFORM, col(Workspace.team) == team))
            session.add(Workspace(platform=PLATFORM, team=team, user="", sealed=sealed, at=datetime.now(UTC)))

    def save_bot(self, bot: Bot) -> None:
        raise NotImplementedError("token rotation is off in our manifest")

    def find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        found = self.find_installation(enterprise_id=enterprise_id, team_id=team_id)
        return found.to_bot() if found else None

    def find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        kept = self._kept(_team(enterprise_id, team_id))
        return Installation(**kept) if kept else None

    def delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        self.forget(_team(enterprise_id, team_id))

    def delete_installation(self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None) -> None:
        self.forget(_team(enterprise_id, team_id))

    def _kept(self, team: str) -> dict[str, Any] | None:
        if not _ID.fullmatch(team):
            return None
        with read(self._engine) as session:
            row = session.get(Workspace, (PLATFORM, team, ""))
        if row is None:
            return None
        kept: dict[str, Any] = json.loads(self._seal.open(row.sealed, (PLATFORM, team, "")))
        return kept


class States(OAuthStateStore):
    """Bolt's store of started installations over the table OAuthState: each word works once, for ten minutes."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._engine = engine
        self._now = now

    @property
    def logger(self) -> logging.Logger:
        return discreet_logger()

    def issue(self, *args: Any, **kwargs: Any) -> str:
        word, now = secrets.token_urlsafe(32), self._now()
        with write(self._engine) as session:
            session.execute(delete(OAuthState).where(col(OAuthState.expires_at) <= now))
            insert_new(session, OAuthState, word=word, expires_at=now + STATE_LIVES)
        return word

    def consume(self, state: str) -> bool:
        if not isinstance(state, str) or not _WORD.fullmatch(state):
            return False
        with write(self._engine) as session:
            query = delete(OAuthState).where(col(OAuthState.word) == state, col(OAuthState.expires_at) > self._now())
            return session.execute(query.returning(col(OAuthState.word))).first() is not None


def _team(enterprise: str | None, team: str | None) -> str:
    """The workspace, or the organisation that installed the app for all of its workspaces."""
    return team or enterprise or ""
