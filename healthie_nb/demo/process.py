"""The demo practice as a process of its own: started on demand, shared by who asks for the same one."""

import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path

from filelock import FileLock

from healthie_nb.demo.command import main
from healthie_nb.demo.discovery import (
    CLIENTS,
    LAST_DAY,
    SEED,
    Endpoint,
    announced,
    default_folder,
    is_alive,
    place,
    private,
)

__all__ = ["DemoError", "Endpoint", "main", "start"]

IDLE_MINUTES = 15.0
START_TIMEOUT_S = 120.0
_POLL_S = 0.02


class DemoError(RuntimeError):
    """The demo practice did not start."""


def start(
    *,
    seed: int = SEED,
    clients: int = CLIENTS,
    as_of: date = LAST_DAY,
    idle_minutes: float = IDLE_MINUTES,
    folder: Path | None = None,
) -> Endpoint:
    """Return the running demo practice of this seed, size and day; start it when there is none.

    Whoever asks for the same one gets the same server. It ends by itself when nobody has used it for idle_minutes.
    Raise DemoError when it does not come up.
    """
    at = place(folder or default_folder(), seed=seed, clients=clients, as_of=as_of)
    private(at.parent)
    # The lock is the operating system's and goes with its process, so a crash leaves nothing to clear away.
    with FileLock(at.with_suffix(".lock"), mode=0o600):
        known = announced(at)
        if known is not None and is_alive(known):
            return known
        at.unlink(missing_ok=True)
        return _started(at, seed=seed, clients=clients, as_of=as_of, idle_minutes=idle_minutes)


def _started(at: Path, *, seed: int, clients: int, as_of: date, idle_minutes: float) -> Endpoint:
    command = [
        sys.executable, "-m", "healthie_nb.demo", "--seed", str(seed), "--clients", str(clients), "--as-of", str(as_of),
        "--idle-minutes", str(idle_minutes), "--announce", str(at),
    ]  # fmt: skip
    log = at.with_suffix(".log")
    with log.open("wb") as errors:
        log.chmod(0o600)
        process = subprocess.Popen(  # noqa: S603, our own interpreter and module
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
        )
    # Somebody has to take note of its end, or it stays behind as a zombie of this process.
    threading.Thread(target=process.wait, name="demo-practice-end", daemon=True).start()
    return _awaited(at, process, log)


def _awaited(at: Path, process: subprocess.Popen[bytes], log: Path) -> Endpoint:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        endpoint = announced(at)
        if endpoint is not None and is_alive(endpoint):
            return endpoint
        if process.poll() is not None:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise DemoError(f"the demo practice ended at once: {said[-1] if said else 'it said nothing'}; see {log}.")
        time.sleep(_POLL_S)
    process.terminate()
    raise DemoError(f"the demo practice did not answer within {START_TIMEOUT_S:g} s; see {log}.")
