"""What is asked of a Hub and compared, as far as ``test_hub`` does not hold it over real requests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests import fake_hub

from nearfar.core.errors import EngineError
from nearfar.engine.hub_choices import RemoteFile
from nearfar.engine.hub_web import Web, checksum, nobody, partial, stated

DATA = b"some bytes"
GIT = hashlib.sha1(f"blob {len(DATA)}\0".encode() + DATA, usedforsecurity=False).hexdigest()


def test_what_was_stated_is_compared_as_far_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(DATA)
    same = RemoteFile(name="x", size=len(DATA))
    assert checksum(path) == hashlib.sha256(DATA).hexdigest()
    assert stated(same, path)
    assert stated(RemoteFile(name="x", size=len(DATA), sha256=checksum(path)), path)
    assert stated(RemoteFile(name="x", size=len(DATA), git_sha1=GIT), path)
    assert not stated(RemoteFile(name="x", size=len(DATA) + 1), path)
    assert not stated(RemoteFile(name="x", size=len(DATA), sha256="0" * 64), path)
    assert not stated(RemoteFile(name="x", size=len(DATA), git_sha1="0" * 40), path)


def test_an_empty_file_needs_no_request(tmp_path: Path) -> None:
    empty = RemoteFile(name="merges.txt", size=0)
    Web("http://127.0.0.1:1").download("a/b", "main", empty, tmp_path / "merges.txt", nobody)
    assert (tmp_path / "merges.txt").read_bytes() == b""
    assert not partial(tmp_path / "merges.txt").exists()


def test_more_is_left_than_the_file_can_have(tmp_path: Path) -> None:
    with fake_hub.running() as hub:
        hub.repos["a/b"] = {"x": DATA}
        partial(tmp_path / "x").write_bytes(DATA * 2)
        file = RemoteFile(name="x", size=len(DATA), sha256=hashlib.sha256(DATA).hexdigest())
        Web(hub.url).download("a/b", "main", file, tmp_path / "x", nobody)
    assert (tmp_path / "x").read_bytes() == DATA


def test_an_answer_without_end_is_cut_off() -> None:
    with fake_hub.running() as hub:
        hub.repos["a/b"] = {f"{number}.txt": b"" for number in range(100)}
        with pytest.raises(EngineError) as caught:
            Web(hub.url).api("a/b", "main", 1000)
    assert "more than 1000 bytes" in caught.value.message


def test_no_more_is_read_than_was_asked_for() -> None:
    with fake_hub.running() as hub:
        hub.repos["a/b"] = {"x": DATA}
        hub.ranges = False
        assert Web(hub.url).part("a/b", "main", RemoteFile(name="x", size=10), 4) == DATA[:4]
