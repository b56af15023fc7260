"""Environments of their own, made with uv from the pins, with the project installed as strangers install it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from healthie_nb.demo.discovery import announced, control, is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[1]
PINS = PROJECT / "requirements" / "lab.txt"
OLDEST, NEWEST_TRIED = 11, 20
START_S = 180.0


class Installed:
    """A virtual environment and an empty folder to work in, away from the checkout and from the user's own files."""

    def __init__(self, folder: Path, python: str, *, seed: bool = False) -> None:
        self.folder, self._venv = folder / "empty", folder / "venv"
        self.folder.mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HEALTHIE_", "PYTHON"))}
        self.variables = {
            **kept,
            "PATH": f"{self._venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self._venv),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_DATA_HOME": str(folder / "data"),
            "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
            "PYTHONUNBUFFERED": "1",
        }
        uv("venv", "-q", "--python", python, *(["--seed"] if seed else []), self._venv)

    def install(self, *what: object) -> None:
        """Install with uv, by the pins."""
        uv("pip", "install", "-q", "--python", self._venv / "bin" / "python", *what)

    def run(self, *command: object, cwd: Path | None = None) -> str:
        """Run a command in the environment and return what it printed; fail with what it said."""
        text = [str(part) for part in command]
        text[0] = str(self._venv / "bin" / text[0]) if (self._venv / "bin" / text[0]).exists() else text[0]
        done = subprocess.run(
            text, cwd=cwd or self.folder, env=self.variables, capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, f"{' '.join(text)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    @contextmanager
    def running(self, *command: object, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
        """Run a command until the block ends, then stop it as Ctrl-C does and see that it leaves with 0."""
        text = [str(self._venv / "bin" / str(command[0])), *map(str, command[1:])]
        process = subprocess.Popen(
            text,
            cwd=cwd or self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=START_S) == 0
        finally:
            process.kill()
            process.communicate()

    def close(self) -> None:
        """Stop the demo practice that was started in it; it would stay for a while."""
        for at in Path(self.variables["XDG_CACHE_HOME"]).glob("healthie_nb/demo/*.json"):
            endpoint = announced(at)
            if endpoint is not None and is_alive(endpoint):
                os.kill(int(control(endpoint.url, endpoint.key, {"action": "status"})["process"]), signal.SIGTERM)


def uv(*arguments: object) -> None:
    """Run uv; fail with what it said."""
    program = Path(sys.executable).with_name("uv")
    done = subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def pythons() -> dict[int, str]:
    """Return an interpreter for each minor version of Python 3 found here, on the path or with pyenv, newest first."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = {sys.version_info.minor: sys.executable}
    for minor in range(OLDEST, NEWEST_TRIED):
        places = [shutil.which(f"python3.{minor}"), *root.glob(f"versions/3.{minor}.*/bin/python3")]
        works = [str(place) for place in places if place and _is(place, minor)]
        if works:
            found.setdefault(minor, works[-1])
    return dict(sorted(found.items(), reverse=True))


def _is(place: str | Path, minor: int) -> bool:
    text = "import sys; v = sys.version_info; sys.exit(v[:2] != (3, int(sys.argv[1])) or v.releaselevel != 'final')"
    return subprocess.run([str(place), "-c", text, str(minor)], capture_output=True, check=False).returncode == 0


def answered(url: str) -> str:
    """Wait until a server on this machine answers; return where it led to."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.url)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
