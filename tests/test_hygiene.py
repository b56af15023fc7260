"""What is committed holds no secret, what is kept is never unpickled, and the citation is of this version."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import yaml
from detect_secrets import SecretsCollection
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.settings import transient_settings

import healthie_nb

PROJECT = Path(__file__).parents[1]
PACKAGE = Path(healthie_nb.__file__).parent
HEALTHIES_KEY = re.compile(r"gh_(live|sbox)_[0-9A-Za-z]{20,}")
# Pictures in notebooks, and hashes in requirements/ and stored manifests, are long and random, and no secrets.
PICTURES = {"pattern": ['"image/png"']}
HASHED = ("requirements/", "tests/releases/")
PICKLES = {
    "pickle",
    "cPickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "read_pickle",
    "deserialize",
}


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    return [
        PROJECT / name
        for name in listed.split("\0")
        if name and not name.endswith((".png", ".parquet")) and not name.startswith(HASHED)
    ]


def secrets_in(paths: list[Path]) -> list[str]:
    """Name every place that looks like a secret to any of the scanner's detectors, or like one of Healthie's keys."""
    every = {found.__name__ for found in get_mapping_from_secret_type_to_class().values()}
    detectors = every - {"IPPublicDetector"}  # every version of four numbers is an address to it
    found = SecretsCollection()
    with transient_settings({"plugins_used": [{"name": name} for name in sorted(detectors)]}) as settings:
        settings.filters["detect_secrets.filters.regex.should_exclude_line"] = PICTURES
        for path in paths:
            found.scan_file(str(path))
    keys = [path for path in paths if HEALTHIES_KEY.search(path.read_text(encoding="utf-8"))]
    return [f"{name}:{secret.line_number} {secret.type}" for name, secret in found] + [f"{path} key" for path in keys]


def test_no_secret_is_committed() -> None:
    assert secrets_in(committed()) == []


def test_a_secret_would_be_found(tmp_path: Path) -> None:
    planted = {
        "key.py": "HEALTHIE_API_KEY = '" + "gh_live_" + "abcdefghij" * 4 + "'\n",
        "cache.env": "HEALTHIE_CACHE_KEY=" + bytes(range(32)).hex() + "\n",
        "id": "-----BEGIN " + "RSA PRIVATE KEY-----\n",
    }
    for name, text in planted.items():
        (tmp_path / name).write_text(text)
        assert secrets_in([tmp_path / name]), name


def test_nothing_is_unpickled() -> None:
    """Who can write into the cache folder must not be able to run anything: it holds Parquet, JSON and SQLite."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()
            if isinstance(node, ast.ImportFrom):
                names = {(node.module or "").split(".")[0], *(alias.name for alias in node.names)}
            if isinstance(node, ast.Attribute):
                names = {node.attr}
            assert not names & PICKLES, f"{path}:{node.lineno}"  # type: ignore[attr-defined]


def test_the_citation_is_of_this_version() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert (cited["title"], cited["version"], cited["license"], cited["keywords"]) == (
        project["name"],
        project["version"],
        project["license"],
        project["keywords"],
    )
