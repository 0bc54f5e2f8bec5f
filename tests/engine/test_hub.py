"""Models from a Hub: looked at before they are fetched, fetched on after a break, compared with their checksums."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
from tests import fake_hub
from tests.fake_hub import COMMIT, FakeHub

from nearfar.core.errors import BadRequestError, EngineError, NotFoundError
from nearfar.engine import hub as hubs
from nearfar.engine.cursor import ModelFileError
from nearfar.engine.gguf import read_header
from nearfar.engine.hub import Hub, Remote, RemoteFile

REPO = "someone/Tiny-GGUF"


@pytest.fixture
def server(tiny_gguf: Path) -> Iterator[FakeHub]:
    with fake_hub.running() as hub:
        data = tiny_gguf.read_bytes()
        hub.repos[REPO] = {"tiny-Q8_0.gguf": data, "README.md": b"# Tiny", "mmproj-tiny.gguf": b"x"}
        hub.cards[REPO] = {"license": "apache-2.0", "base_model": "someone/Tiny"}
        yield hub


@pytest.fixture
def hub(server: FakeHub, tmp_path: Path) -> Hub:
    return Hub(server.url, cache=tmp_path / "cache")


def test_what_a_repository_holds(hub: Hub, server: FakeHub) -> None:
    found = hub.look(REPO)
    assert (found.commit, found.licence, found.base, found.gated) == (COMMIT, "apache-2.0", ("someone/Tiny",), False)
    assert list(found.weights()) == ["tiny-Q8_0.gguf"]
    (file,) = found.weights()["tiny-Q8_0.gguf"]
    assert file.size == len(server.repos[REPO][file.name])
    assert len(file.sha256) == 64


def test_a_header_is_read_from_the_first_bytes(
    hub: Hub, server: FakeHub, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "_FIRST", 1024)
    found = hub.look(REPO)
    (file,) = found.weights()["tiny-Q8_0.gguf"]
    here = read_header(tiny_gguf)
    assert hub.header(found, file) == here
    ranges = [asked for _, _, asked in server.asked if asked]
    assert ranges[0] == "bytes=0-1023"
    assert all(asked.startswith("bytes=0-") for asked in ranges)
    assert not (hub._cache).exists()


def test_every_beginning_of_a_header_is_noticed_to_be_one(tiny_gguf: Path) -> None:
    data = tiny_gguf.read_bytes()
    file = RemoteFile(name="tiny.gguf", size=len(data))
    whole = read_header(tiny_gguf)
    told = 0
    for cut in range(24, min(len(data), 6000), 97):
        try:
            assert hubs._parsed(data[:cut], file) == whole, cut
            told += 1
        except ModelFileError:
            assert not told, f"{cut} bytes are too few, and fewer were enough"


def test_a_file_is_fetched_once_and_kept(hub: Hub, server: FakeHub) -> None:
    found = hub.look(REPO)
    (file,) = found.weights()["tiny-Q8_0.gguf"]
    first = hub.fetch(found, file)
    assert first.read_bytes() == server.repos[REPO][file.name]
    before = server.fetched()
    assert hub.fetch(found, file) == first
    assert server.fetched() == before


def test_a_broken_fetch_goes_on_where_it_broke_off(hub: Hub, server: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    found = hub.look(REPO)
    (file,) = found.weights()["tiny-Q8_0.gguf"]
    server.break_after = file.size // 2
    try:
        path = hub.fetch(found, file)
    except EngineError:
        path = hub.fetch(found, file)
    assert path.read_bytes() == server.repos[REPO][file.name]
    starts = [
        int(asked.removeprefix("bytes=").partition("-")[0])
        for method, _, asked in server.asked
        if method == "GET" and asked
    ]
    assert max(starts) == file.size // 2 // 1024 * 1024, "what came whole is not fetched again"


def test_a_file_that_is_not_what_was_promised_is_removed(hub: Hub, server: FakeHub) -> None:
    found = hub.look(REPO)
    (file,) = found.weights()["tiny-Q8_0.gguf"]
    good = server.repos[REPO][file.name]
    server.lie[file.name] = good[:-1] + bytes([good[-1] ^ 1])
    with pytest.raises(ModelFileError) as caught:
        hub.fetch(found, file)
    assert caught.value.code == "checksum_mismatch"
    server.lie.clear()
    assert hub.fetch(found, file).read_bytes() == good


def test_offline_asks_nobody_and_uses_what_was_fetched(server: FakeHub, tmp_path: Path) -> None:
    online = Hub(server.url, cache=tmp_path)
    found = online.look(REPO)
    (file,) = found.weights()["tiny-Q8_0.gguf"]
    path = online.fetch(found, file)
    asked = len(server.asked)
    offline = Hub(server.url, cache=tmp_path, offline=True)
    with pytest.raises(EngineError) as caught:
        offline.look(REPO)
    assert caught.value.code == "offline"
    assert offline.fetch(found, file) == path
    assert len(server.asked) == asked


def test_gated_repositories_say_where_to_accept_and_open_with_a_token(server: FakeHub, tmp_path: Path) -> None:
    server.gated.add(REPO)
    hub = Hub(server.url, cache=tmp_path / "a")
    found = hub.look(REPO)
    assert found.gated
    (file,) = found.weights()["tiny-Q8_0.gguf"]
    with pytest.raises(EngineError) as caught:
        hub.fetch(found, file)
    assert caught.value.code == "gated"
    assert REPO in caught.value.hint
    assert Hub(server.url, cache=tmp_path / "b", token=server.token).fetch(found, file).is_file()


@pytest.mark.parametrize("repo", ["tiny", "a/b/c", "../etc/passwd", "a/ b", ""])
def test_what_is_no_repository_is_asked_of_nobody(hub: Hub, server: FakeHub, repo: str) -> None:
    with pytest.raises(BadRequestError):
        hub.look(repo)
    assert not server.asked


def test_unknown_repositories_and_dead_endpoints_are_told_apart(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        hub.look("nobody/Nothing")
    with pytest.raises(EngineError) as caught:
        Hub("http://127.0.0.1:1", cache=tmp_path).look(REPO)
    assert caught.value.code == "hub_unreachable"


def test_parts_are_one_model_in_their_order() -> None:
    names = ["big-Q4_K_M-00002-of-00002.gguf", "big-Q4_K_M-00001-of-00002.gguf", "big-Q8_0.gguf", "mmproj-big.gguf"]
    found = Remote(repo="a/b", commit="c", files=tuple(RemoteFile(name=name, size=1) for name in names))
    weights = found.weights()
    assert [part.name for part in weights["big-Q4_K_M.gguf"]] == [names[1], names[0]]
    assert [part.name for part in weights["big-Q8_0.gguf"]] == [names[2]]
    assert len(weights) == 2
