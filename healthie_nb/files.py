"""Files that appear whole or not at all, readable by their owner alone unless they are meant to be passed on."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PRIVATE = 0o600
SHARED = 0o644


def appear(path: Path, content: bytes, *, mode: int = PRIVATE, drafts: Path | None = None) -> None:
    """Write a file beside its place and then rename it: whoever looks meanwhile sees the old one, or the new one.

    `drafts` is another folder of the same disk to write it in, where readers take all that is beside it.

    Raises
    ------
    OSError when the folder is not there, or cannot be written; nothing is left of it then.
    """
    file, draft = tempfile.mkstemp(dir=drafts or path.parent, prefix=f".{path.name}.", suffix=".draft")
    try:
        with os.fdopen(file, "wb") as written:
            written.write(content)
            written.flush()
            os.fsync(written.fileno())
        Path(draft).chmod(mode)
        Path(draft).replace(path)
    except BaseException:  # also when it is stopped with Ctrl-C
        Path(draft).unlink(missing_ok=True)
        raise


def make_private(path: Path) -> None:
    """Make a folder, and those above it that are missing, that only its owner can enter, whatever the umask."""
    if path.is_dir():
        return
    make_private(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)


def private(path: Path) -> None:
    """Make an empty file that only its owner can read, whatever the umask; leave one that is there as it is."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
    except FileExistsError:
        return
    path.chmod(PRIVATE)
