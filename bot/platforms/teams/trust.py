"""Who may call us, and whom we may call: the token of a request, its service URL and its tenant.

Refused     the request is not from Teams, or not from a tenant of ours; `reason` is one of our own words
NoKeys      Microsoft's signing keys cannot be had just now: nobody can be told from anybody
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jwt

from bot.settings import Settings

if TYPE_CHECKING:
    from microsoft_teams.apps.auth.token_validator import TokenValidator

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_BEARER = re.compile(r"[Bb]earer ([\w-]+\.[\w-]+\.[\w-]*)", re.ASCII)
_SERVICE_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[::1\])(?P<port>:\d{1,5})?(?P<path>/[\w.~/-]*)?", re.ASCII
)
_TOKEN_LIMIT = 16_384
_importing = threading.Lock()


class Refused(Exception):
    """The request is not one that we answer. `reason` holds nothing of the request."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoKeys(Exception):
    """The signing keys could not be fetched."""


@dataclass(frozen=True)
class Cloud:
    """Where Microsoft's side of a bot is. Another one only for trying things out."""

    login: str = "https://login.microsoftonline.com"
    openid: str = "https://login.botframework.com/v1/.well-known/openidconfiguration"
    issuer: str = "https://api.botframework.com"
    scope: str = "https://api.botframework.com/.default"


@dataclass(frozen=True)
class Callers:
    """Checks the token of each request. The keys are fetched once in five minutes, and for a new key id at most every 30 s."""

    client_id: str
    cloud: Cloud

    def check(self, headers: Sequence[str]) -> Mapping[str, Any]:
        """What the one token of these Authorization headers claims, once it is proved. May block on the network.

        raises Refused, NoKeys
        """
        if len(headers) != 1:
            raise Refused("no token" if not headers else "several tokens")
        found = _BEARER.fullmatch(headers[0])
        if found is None or len(headers[0]) > _TOKEN_LIMIT:
            raise Refused("no bearer token")
        claims = self._proved(found[1])
        if not isinstance(claims.get("exp"), int | float):
            raise Refused("a token that never expires")
        if claims.get("aud") != self.client_id:
            raise Refused("a token for another bot")
        return claims

    def _proved(self, token: str) -> Mapping[str, Any]:
        try:
            if jwt.get_unverified_header(token).get("alg") != "RS256":
                raise Refused("a token that is not signed with RS256")
            return asyncio.run(self.validator.validate_token(token))
        except (jwt.PyJWKClientConnectionError, jwt.PyJWKSetError, json.JSONDecodeError, OSError) as bad:
            raise NoKeys("the signing keys of the Bot Framework cannot be fetched") from bad
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, AttributeError, RecursionError) as bad:
            raise Refused(f"a token that does not hold ({type(bad).__name__})") from bad

    @cached_property
    def validator(self) -> TokenValidator:
        """The SDK's own check of signature, issuer, audience and times."""
        with _quiet_import():
            from microsoft_teams.api.auth.cloud_environment import PUBLIC
            from microsoft_teams.apps.auth.token_validator import TokenValidator
        logging.getLogger("microsoft_teams").setLevel(logging.CRITICAL + 1)  # it quotes what a stranger sent
        cloud = replace(PUBLIC, openid_metadata_url=self.cloud.openid, token_issuer=self.cloud.issuer)
        return TokenValidator.for_service(self.client_id, cloud=cloud)


@contextmanager
def _quiet_import() -> Iterator[None]:
    """Import the SDK without its warning, and without the `.env` file that it looks for from the working folder upwards."""
    with _importing, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="HtmlWidgetSecurityPolicy is in preview", category=FutureWarning)
        before = os.environ.get("PYTHON_DOTENV_DISABLED")
        os.environ["PYTHON_DOTENV_DISABLED"] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ["PYTHON_DOTENV_DISABLED"]
            else:
                os.environ["PYTHON_DOTENV_DISABLED"] = before


def check_place(settings: Settings, claims: Mapping[str, Any], service_url: object, tenants: Sequence[str]) -> None:
    """Whether a request with a good token comes from where it may. raises Refused"""
    claimed = claims.get("serviceurl")
    if not isinstance(claimed, str) or not isinstance(service_url, str) or claimed.rstrip("/") != service_url.rstrip("/"):
        raise Refused("a token for another service URL")
    if not may_call(settings, service_url):
        raise Refused("a service URL that is not on TEAMS_SERVICE_HOSTS")
    if not tenants or not set(tenants) <= set(settings.teams_tenants):
        raise Refused("a tenant that is not on TEAMS_TENANTS")


def may_call(settings: Settings, service_url: str) -> bool:
    """Whether a token of ours may be sent there: https and a listed host, or this machine where it is listed itself."""
    found = _SERVICE_URL.fullmatch(service_url)
    if found is None:
        return False
    host = found["host"].lower().strip("[]")
    if found["scheme"] == "http":
        return host in LOOPBACK and (settings.teams_dangerously_open or host in settings.teams_service_hosts)
    is_listed = any(host == listed or host.endswith(f".{listed}") for listed in settings.teams_service_hosts)
    return is_listed and found["port"] in (None, ":443")


def is_on_this_machine(service_url: object) -> bool:
    """Whether this is the address of a service on this machine, as the Agents Playground has it."""
    found = _SERVICE_URL.fullmatch(service_url) if isinstance(service_url, str) else None
    return found is not None and found["scheme"] == "http" and found["host"].lower().strip("[]") in LOOPBACK
