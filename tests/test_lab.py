from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from healthie_nb import lab

if TYPE_CHECKING:
    from pathlib import Path


def silent(_: str) -> None:
    pass


def test_checkout_opens_its_own_notebooks() -> None:
    assert lab.notebooks(None, silent) == lab.PACKAGE.parent / "notebooks"


def test_folder_given_gets_the_notebooks(tmp_path: Path) -> None:
    assert (lab.notebooks(tmp_path / "mine", silent) / "retention.ipynb").exists()


def test_installed_package_copies_into_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "package" / "notebooks").mkdir(parents=True)
    (tmp_path / "package" / "notebooks" / "a.ipynb").write_text("ours")
    monkeypatch.setattr(lab, "PACKAGE", tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    assert lab.notebooks(None, silent) == tmp_path / "healthie-notebooks"
    assert (tmp_path / "healthie-notebooks" / "a.ipynb").read_text() == "ours"


def test_changed_copy_is_kept_and_named(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder, text in ((ours, "new"), (theirs, "mine")):
        folder.mkdir()
        (folder / "a.ipynb").write_text(text)
    (ours / "b.ipynb").write_text("new")
    said: list[str] = []
    lab.copied(ours, theirs, said.append)
    assert (theirs / "a.ipynb").read_text() == "mine"
    assert (theirs / "b.ipynb").read_text() == "new"
    assert said == ["a.ipynb was changed and is kept; rename it to get ours beside it."]


def test_server_is_for_this_machine_and_has_a_token(tmp_path: Path) -> None:
    options = lab.arguments(tmp_path, port=9, token="secret", opens_browser=False)
    assert "--ServerApp.ip=127.0.0.1" in options
    assert "--IdentityProvider.token=secret" in options


def test_news_and_updates_are_off() -> None:
    kept = lab.PACKAGE / "jupyter" / "labconfig" / "default_setting_overrides.json"
    settings = json.loads(kept.read_text())["@jupyterlab/apputils-extension:notification"]
    assert settings == {"fetchNews": "false", "checkForUpdates": False}


def test_port_in_use_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert lab._free_port(port) > port


def test_no_free_port_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "TRIES", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(lab.LabError, match="give another with --port"):
            lab._free_port(taken.getsockname()[1])
