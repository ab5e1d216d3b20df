"""No test reaches a network: Python itself is asked to refuse every address but this machine's own.

An audit hook sees what patches of `socket` miss: name look-ups, datagrams, `connect_ex`. It cannot see other processes and C
libraries; .ci/run runs the suite without any network where the kernel lets it.
"""

from __future__ import annotations

import ipaddress
import sys
from typing import Any

_CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_LOOKS_UP = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})


class NetworkRefused(RuntimeError):
    """A test tried to leave the machine."""


def install() -> None:
    """Refuse from now on, in this process and for good."""
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _CONNECTS:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # None: a Unix socket's path, or one connected before
    elif event in _LOOKS_UP:
        host = arguments[0]
    else:
        return
    if not _is_here(host):
        raise NetworkRefused(f"{event} to {host!r}: tests may reach this machine only")


def _is_here(host: str | bytes | None) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name is None or name in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
