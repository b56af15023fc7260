"""Set everything up in this folder and start: `python3 start.py` for JupyterLab, `python3 start.py test` for the tests.

Anything else is a command of healthie-nb: `python3 start.py doctor` does what `healthie-nb doctor` would, from here.

Needs Python 3.11 or newer with pip and nothing else. What it installs is pinned by hash in requirements/ and goes into
.venv here; a second start installs nothing.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")


def run(*command: object) -> None:
    """Run a step of the set-up; its own message is the best one if it fails."""
    if subprocess.run([str(part) for part in command], cwd=HERE, check=False).returncode:
        sys.exit(f"set-up stopped at: {' '.join(str(part) for part in command[:4])} …")


def set_up(pins: Path) -> None:
    """Install the pins and this project, unless exactly these are installed already."""
    wanted = hashlib.sha256(pins.read_bytes() + (HERE / "pyproject.toml").read_bytes()).hexdigest()
    stamp = VENV / f"installed-{pins.stem}"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"Setting up in {VENV} (about a minute, once) …", flush=True)
    if not (BIN / "python").exists() and not (BIN / "python.exe").exists():
        venv.create(VENV, with_pip=True)
    run(BIN / "python", "-m", "pip", "install", "-q", "--require-hashes", "-r", HERE / "requirements" / "uv.txt")
    install = (BIN / "uv", "pip", "install", "-q", "--python", BIN / "python")
    run(*install, "--compile-bytecode", "--require-hashes", "-r", pins)
    run(*install, "--no-deps", "-e", HERE)
    stamp.write_text(wanted)


def main() -> None:
    """Set up what the command needs and become it."""
    name, *rest = sys.argv[1:] or ["lab"]
    if sys.version_info < (3, 11):
        sys.exit(f"healthie-nb needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    if name.startswith("-") and name not in ("-h", "--help"):
        name, rest = "lab", [name, *rest]
    if name in ("-h", "--help"):
        print(f"{__doc__}\nCommands of healthie-nb:\n", flush=True)
    is_test = name == "test"
    set_up(HERE / "requirements" / ("test.txt" if is_test else "lab.txt"))
    program = [BIN / "python", HERE / "tests" / "run.py"] if is_test else [BIN / "healthie-nb", name]
    # Children find the tools of this environment, not those of another.
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", "VIRTUAL_ENV": str(VENV)}
    command = [*map(str, program), *rest]
    sys.exit(subprocess.run(command, cwd=HERE if is_test else None, env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
