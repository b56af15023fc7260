"""Where a demo practice can be found: a file that only its owner can read, and a request that proves it is alive."""

import json
import os
import secrets
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Any

import platformdirs

CLIENTS, SEED, LAST_DAY = 4_050, 1, date(2026, 6, 30)
"""The practice that one gets who asks for none in particular. Here, because who looks for it needs no world."""
HEALTH_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Endpoint:
    """A running demo practice. seed, clients and as_of say which one: they, not url and key, name what it holds."""

    url: str
    key: str = field(repr=False)
    seed: int
    clients: int
    as_of: date

    @property
    def identity(self) -> str:
        """The same for every run of the same practice."""
        return f"demo-{self.seed}-{self.clients}-{self.as_of}"


def default_folder() -> Path:
    """Return the per-user folder of discovery files."""
    return platformdirs.user_cache_path("healthie_nb") / "demo"


def place(folder: Path, *, seed: int, clients: int, as_of: date) -> Path:
    """Return the discovery file of a practice: this code's own, so that no older server answers for it."""
    return folder / f"{seed}-{clients}-{as_of}-{fingerprint()}.json"


def announced(at: Path) -> Endpoint | None:
    """Return what a discovery file says; None when there is none that can be read."""
    try:
        said = json.loads(at.read_text(encoding="utf-8"))
        return Endpoint(**{**said, "as_of": date.fromisoformat(said["as_of"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def announce(at: Path, endpoint: Endpoint) -> None:
    """Write the discovery file, whole or not at all, readable by its owner only."""
    private(at.parent)
    draft = at.with_name(f"{at.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(endpoint) | {"as_of": endpoint.as_of.isoformat()}, file)
    draft.replace(at)


def withdraw(at: Path, endpoint: Endpoint) -> None:
    """Remove the discovery file if it is still this endpoint's."""
    if announced(at) == endpoint:
        at.unlink(missing_ok=True)


def private(folder: Path) -> None:
    """Make the folder, for its owner only."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def is_alive(endpoint: Endpoint) -> bool:
    """Whether the practice answers, with this key, as the one it is said to be.

    A process id would prove nothing: it may be another program's by now.
    """
    try:
        said = control(endpoint.url, endpoint.key, {"action": "status"}, timeout_s=HEALTH_TIMEOUT_S)
    except (OSError, ValueError):
        return False
    expected = {"seed": endpoint.seed, "clients": endpoint.clients, "as_of": endpoint.as_of.isoformat()}
    return {name: said.get(name) for name in expected} == expected


def control(url: str, key: str, request: dict[str, Any], *, timeout_s: float = 60.0) -> dict[str, Any]:
    """Ask the control endpoint beside a practice's URL. Raise OSError when nobody answers, or refuses to."""
    to = urllib.request.Request(  # noqa: S310, the URL is one that a demo practice announced
        url.removesuffix("/graphql") + "/control",
        data=json.dumps(request).encode(),
        headers={"Authorization": f"Basic {key}", "Content-Type": "application/json"},
    )
    # Without proxies: loopback is nobody else's business.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(to, timeout=timeout_s) as answer:
            said: dict[str, Any] = json.load(answer)
            return said
    except urllib.error.HTTPError as error:
        with error:
            raise OSError(f"the demo practice refused: {error.code} {error.read().decode(errors='replace')}") from None


@cache
def fingerprint() -> str:
    """Return a short hash of the code that makes and serves the practice."""
    package = files("healthie_nb")
    sources = [package / "schema.graphql", *sorted((package / "demo").iterdir(), key=lambda one: one.name)]
    digest = blake2b(digest_size=6)
    for source in sources:
        if source.name.endswith((".py", ".graphql")):
            digest.update(source.read_bytes())
    return digest.hexdigest()
