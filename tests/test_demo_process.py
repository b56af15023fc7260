"""The demo practice as a process: started on demand, shared, gone when unused, and never in need of a hand."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from healthie_nb.demo import DemoError, Endpoint, discovery, start
from healthie_nb.demo.process import main

SMALL = {"seed": 3, "clients": 20}


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Endpoint]]:
    """A start() in a folder of its own; what it started ends with the test."""
    folder = tmp_path / "demo"

    def begun(**options: object) -> Endpoint:
        return start(folder=folder, **(SMALL | options))  # type: ignore[arg-type]

    yield begun
    for at in folder.glob("*.json"):
        endpoint = discovery.announced(at)
        if endpoint is not None and discovery.is_alive(endpoint):
            os.kill(process_of(endpoint), signal.SIGTERM)


def process_of(endpoint: Endpoint) -> int:
    return int(discovery.control(endpoint.url, endpoint.key, {"action": "status"})["process"])


def is_gone(endpoint: Endpoint, *, within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(endpoint.url.replace("/graphql", "/"), timeout=1):
                pass
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            return True
        time.sleep(0.05)
    return False


def asked(endpoint: Endpoint) -> object:
    body = json.dumps({"query": "{ currentUser { organization { name } } }"}).encode()
    headers = {"Authorization": f"Basic {endpoint.key}", "AuthorizationSource": "API"}
    with urllib.request.urlopen(urllib.request.Request(endpoint.url, body, headers), timeout=10) as answer:
        return json.load(answer)["data"]["currentUser"]["organization"]["name"]


def test_same_practice_is_shared_and_another_is_another(begin: Callable[..., Endpoint]) -> None:
    one, same, other = begin(), begin(), begin(as_of=date(2026, 5, 31))
    assert one == same
    assert one.url != other.url
    assert one.key != other.key
    assert (one.identity, other.identity) == ("demo-3-20-2026-06-30", "demo-3-20-2026-05-31")
    assert asked(one) == asked(other) == "Demo practice (synthetic)"


def test_it_listens_on_loopback_and_its_files_are_its_owners(begin: Callable[..., Endpoint], tmp_path: Path) -> None:
    endpoint = begin()
    assert endpoint.url.startswith("http://127.0.0.1:")
    assert endpoint.key.startswith("gh_demo_")
    assert endpoint.key not in repr(endpoint)
    folder = tmp_path / "demo"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {one.stat().st_mode & 0o777 for one in folder.iterdir()} == {0o600}


def test_it_ends_by_itself_when_nobody_uses_it(begin: Callable[..., Endpoint], tmp_path: Path) -> None:
    endpoint = begin(idle_minutes=0.01)
    assert is_gone(endpoint)
    assert not list((tmp_path / "demo").glob("*.json"))


def test_crash_needs_no_hand(begin: Callable[..., Endpoint]) -> None:
    crashed = begin()
    os.kill(process_of(crashed), signal.SIGKILL)
    assert is_gone(crashed)
    again = begin()
    assert again.key != crashed.key
    assert discovery.is_alive(again)


@pytest.mark.parametrize("content", ["", "{}", "[1]", "{", '{"url": 1, "key": 2, "seed": 3, "clients": 4, "as_of": 5}'])
def test_unreadable_file_announces_nothing(tmp_path: Path, content: str) -> None:
    at = tmp_path / "stale.json"
    at.write_text(content)
    assert discovery.announced(at) is None


def test_stale_file_needs_no_hand(begin: Callable[..., Endpoint], tmp_path: Path) -> None:
    at = discovery.place(tmp_path / "demo", seed=3, clients=20, as_of=discovery.LAST_DAY)
    stale = Endpoint("http://127.0.0.1:9/graphql", "gh_demo_stale", 3, 20, discovery.LAST_DAY)
    discovery.announce(at, stale)
    assert discovery.is_alive(begin())


def test_stranger_on_the_port_is_not_taken_for_the_practice(begin: Callable[..., Endpoint]) -> None:
    other = begin()
    assert not discovery.is_alive(replace(other, key="gh_demo_other"))
    assert not discovery.is_alive(replace(other, clients=21))


def test_several_at_once_get_one_server(tmp_path: Path, begin: Callable[..., Endpoint]) -> None:
    text = (
        "import sys, pathlib; from healthie_nb.demo import start; "
        "print(start(seed=3, clients=20, folder=pathlib.Path(sys.argv[1])).url)"
    )
    command = [sys.executable, "-c", text, str(tmp_path / "demo")]
    racing = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    urls = {one.communicate(timeout=60)[0] for one in racing}
    assert urls == {begin().url + "\n"}


def test_one_that_cannot_start_says_why(begin: Callable[..., Endpoint]) -> None:
    with pytest.raises(DemoError, match="as_of is 2031-01-01; the demo practice is known from"):
        begin(as_of=date(2031, 1, 1))


def test_foreground_says_where_it_is_and_what_to_copy() -> None:
    command = [sys.executable, "-m", "healthie_nb.demo", "--clients", "20", "--as-of", "2026-01-31", "--latency", "1-2"]
    with subprocess.Popen([*command, "--faults", "502=0.0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().rstrip("\n") for _ in range(8)]
        url, key = lines[1].split()[1], lines[2].split()[1]
        assert lines[0] == "Demo practice (synthetic): 20 clients, as of 2026-01-31, seed 1"
        assert f"export HEALTHIE_API_URL={url}" in lines
        assert f"export HEALTHIE_API_KEY={key}" in lines
        assert asked(Endpoint(url, key, 1, 20, date(2026, 1, 31))) == "Demo practice (synthetic)"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0


def test_foreground_tells_machines_in_json_and_fails_on_a_port_that_is_taken() -> None:
    command = [sys.executable, "-m", "healthie_nb.demo", "--clients", "20", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert (told["clients"], told["seed"], told["as_of"]) == (20, 1, "2026-06-30")
        assert asked(Endpoint(told["url"], told["key"], 1, 20, date(2026, 6, 30))) == "Demo practice (synthetic)"
        port = told["url"].split(":")[2].split("/")[0]
        taken = subprocess.run([*command, "--port", port], capture_output=True, text=True, check=False)
        assert taken.returncode == 1
        assert taken.stderr.startswith("healthie-nb: ")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0


def test_help_teaches_and_wrong_arguments_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--latency 300-500" in capsys.readouterr().out
    assert main(["--faults", "bang=1"]) == 2
    assert "no fault named 'bang'" in capsys.readouterr().err


def test_looking_for_a_practice_imports_no_server() -> None:
    text = "import sys, healthie_nb.demo; print([m for m in ('ariadne', 'uvicorn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
