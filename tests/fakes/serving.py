"""A web application on a real loopback port for as long as a test needs it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

READY_S = 10.0


@contextmanager
def serving(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """The address (`http://127.0.0.1:PORT`) at which `app` answers until the block ends. `port`: 0 for any that is free."""
    listener = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_for(lambda: server.started, "the server did not start")
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(READY_S)
        listener.close()


def wait_for(look: Callable[[], object], otherwise: str, within_s: float = READY_S) -> None:
    """Return once `look()` is true. raises AssertionError   it did not become so in time"""
    end = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < end, otherwise
        time.sleep(0.005)
