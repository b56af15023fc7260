"""JupyterLab on the notebooks: on this machine only, with a token, quietly. Wraps jupyterlab's own application."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

from healthie_nb.query import HealthieError

if TYPE_CHECKING:
    from collections.abc import Callable

HOST: Final = "127.0.0.1"
PORT: Final = 8888
TRIES: Final = 50
FIRST: Final = "retention.ipynb"
COPIES: Final = "healthie-notebooks"
PACKAGE: Final = Path(__file__).parent
NEEDED: Final = ("jupyterlab", "altair", "ipywidgets", "anywidget", "vl_convert")
QUIET: Final = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--ServerApp.log_level=WARN",
    "--LabApp.log_level=WARN",
)


class LabError(HealthieError, RuntimeError):
    """JupyterLab cannot be started as asked."""


def start(folder: Path, *, port: int, opens_browser: bool, say: Callable[[str], None]) -> None:
    """Serve a folder of notebooks until it is stopped with Ctrl-C.

    Raises
    ------
    LabError
        JupyterLab is not installed, or no port is free.
    """
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        raise LabError(f"{', '.join(lacking)} not installed; pip install 'healthie-nb[notebooks]'")
    from jupyterlab.labapp import LabApp  # noqa: PLC0415, half a second that only this command needs

    free, token = _free_port(port), secrets.token_urlsafe(24)
    # Jupyter reads our settings below the user's own, so theirs win.
    paths = os.environ.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep)
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, [*paths, str(PACKAGE / "jupyter")]))
    say(f"JupyterLab on {folder}")
    say(f"  http://{HOST}:{free}/lab/tree/{FIRST}?token={token}")
    say("Ctrl-C stops it.")
    LabApp.launch_instance(arguments(folder, port=free, token=token, opens_browser=opens_browser))


def arguments(folder: Path, *, port: int, token: str, opens_browser: bool) -> list[str]:
    """Options of JupyterLab. They never reach a command line, where others on this machine could read the token."""
    return [
        f"--ServerApp.root_dir={folder}",
        f"--ServerApp.ip={HOST}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.open_browser={opens_browser}",
        "--ServerApp.allow_root=True",  # in a container everyone is root; the token is what protects
        f"--LabApp.default_url=/lab/tree/{FIRST}",
        f"--IdentityProvider.token={token}",
        "--ServerApp.answer_yes=True",  # Ctrl-C is meant
        "--PasswordIdentityProvider.hashed_password=",
        *QUIET,
    ]


def notebooks(folder: Path | None, say: Callable[[str], None]) -> Path:
    """Folder to open: the one given, or `healthie-notebooks` here, with our notebooks in it; in a checkout its own.

    A notebook that is there already is kept as it is, whoever wrote it.
    """
    packaged = PACKAGE / "notebooks"
    checkout = PACKAGE.parent / "notebooks"
    source = packaged if packaged.is_dir() else checkout
    if folder is None and source is checkout:
        return checkout
    return copied(source, (folder or Path(COPIES)).absolute(), say)


def copied(source: Path, folder: Path, say: Callable[[str], None]) -> Path:
    """Copy the notebooks that a folder lacks; say which of those it has differ from ours."""
    folder.mkdir(parents=True, exist_ok=True)
    for ours in sorted(source.glob("*.ipynb")):
        theirs = folder / ours.name
        if not theirs.exists():
            shutil.copyfile(ours, theirs)
        elif theirs.read_bytes() != ours.read_bytes():
            say(f"{theirs.name} was changed and is kept; rename it to get ours beside it.")
    return folder


def _free_port(wanted: int) -> int:
    for port in range(wanted, wanted + TRIES):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port))
            except OSError:
                continue
        return port
    raise LabError(f"no free port from {wanted} to {wanted + TRIES - 1}; give another with --port")
