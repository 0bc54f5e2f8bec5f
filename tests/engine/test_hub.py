"""Models from a Hub: looked at before they are fetched, fetched on after a break, compared with their checksums."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import fake_hub
from tests.engine import folder_models
from tests.fake_hub import COMMIT, FakeHub
from tests.tiny_gguf import write_chat

from nearfar.core.errors import BadRequestError, EngineError, NotFoundError
from nearfar.engine import folders, hub_web
from nearfar.engine import hub as hubs
from nearfar.engine.cursor import ModelFileError
from nearfar.engine.gguf import read_header
from nearfar.engine.gguf_parts import read_folder
from nearfar.engine.hub import Hub, Looked, Remote
from nearfar.engine.hub_choices import Choice

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
    return Hub(server.url, cache=tmp_path / "cache", pause=lambda _: None)


def put(server: FakeHub, folder: Path, repo: str = REPO) -> Path:
    """Serve the files of ``folder`` as ``repo``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    server.repos[repo] = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    server.small = {name for name in server.repos[repo] if name.endswith((".json", ".jinja", ".txt"))}
    return folder


def only(remote: Remote) -> Choice:
    (choice,) = remote.choices()
    return choice


def looked(hub: Hub) -> tuple[Remote, Looked]:
    remote = hub.look(REPO)
    return remote, hub.inspect(remote, only(remote))


def refused(hub: Hub) -> ModelFileError:
    with pytest.raises(ModelFileError) as caught:
        looked(hub)
    assert "/tmp" not in caught.value.text, "the folder that it was looked at in is nobody's business"
    return caught.value


def ranges(server: FakeHub) -> list[str]:
    return [asked for method, path, asked in server.asked if method == "GET" and "/resolve/" in path]


# ---------------------------------------------------------------------- looking


def test_what_a_repository_holds(hub: Hub, server: FakeHub) -> None:
    found = hub.look(REPO)
    assert (found.commit, found.licence, found.base, found.gated) == (COMMIT, "apache-2.0", ("someone/Tiny",), False)
    choice = only(found)
    assert (choice.kind, choice.label, choice.lacking) == ("gguf", "Q8_0", ())
    (file,) = choice.files
    assert file.size == len(server.repos[REPO][file.name])
    assert len(file.sha256) == 64


def test_a_header_is_read_from_the_first_bytes(
    hub: Hub, server: FakeHub, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "_FIRST", 1024)
    _, found = looked(hub)
    assert found.header == read_header(tiny_gguf)
    assert ranges(server)[0] == "bytes=0-1023"
    assert all(asked.startswith("bytes=0-") for asked in ranges(server))
    assert not hub._cache.exists()


def test_every_beginning_of_a_header_is_noticed_to_be_one(tiny_gguf: Path, tmp_path: Path) -> None:
    data = tiny_gguf.read_bytes()
    whole = read_header(tiny_gguf)
    told = 0
    for cut in range(24, min(len(data), 6000), 97):
        hubs._sparse(tmp_path / "tiny.gguf", data[:cut], len(data))
        try:
            assert read_header(tmp_path / "tiny.gguf") == whole, cut
            told += 1
        except ModelFileError:
            assert not told, f"{cut} bytes are too few, and fewer were enough"


def test_parts_are_looked_at_together(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    write_chat(tmp_path / "model" / "Tiny-F16.gguf", tensors_per_part=10)
    whole, names = read_folder(put(server, tmp_path / "model"))
    remote, found = looked(hub)
    assert (found.header, tuple(file.name for file in found.files)) == (whole, names)
    assert found.bytes == hub.missing(remote, found) == whole.file_bytes
    assert ranges(server) == [f"bytes=0-{file.size - 1}" for file in found.files]


def test_parts_that_do_not_belong_together(hub: Hub, server: FakeHub, tmp_path: Path, tiny_gguf: Path) -> None:
    server.repos[REPO] = {f"m-Q8_0-{number:05}-of-00002.gguf": tiny_gguf.read_bytes() for number in (1, 2)}
    assert "it says that it is part" in refused(hub).message


def test_a_folder_is_looked_at_as_its_own_reader_sees_it(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    here = put(server, folder_models.hf(tmp_path / "model"))
    server.repos[REPO] |= {"pytorch_model.bin": b"pickle", "modeling.py": b"import os", "consolidated.safetensors": b""}
    _, found = looked(hub)
    real = folders.read_folder(here)
    assert found.header == real.header
    assert tuple(file.name for file in found.files) == real.files
    asked = {path.rpartition("/")[2] for _, path, _ in server.asked if "/resolve/" in path}
    assert asked <= set(real.files)


def sharded(folder: Path, parts: int = 2, index: dict[str, str] | None = None) -> Path:
    folder_models.hf(folder, weights=None)
    mapped = {}
    for number in range(1, parts + 1):
        name = f"model-{number:05}-of-{parts:05}.safetensors"
        (folder / name).write_bytes(folder_models.safetensors({f"t{number}": ("F32", [2, 3], 24)}))
        mapped[f"t{number}"] = name
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": mapped | (index or {})}))
    return folder


def test_shards_are_found_by_the_index(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    here = put(server, sharded(tmp_path / "model", 3))
    _, found = looked(hub)
    assert found.header == folders.read_folder(here).header
    assert found.header is not None
    assert found.header.parts == 3


@pytest.mark.parametrize("name", ["../../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "..", "x.bin", ""])
def test_an_index_that_names_what_is_no_shard(hub: Hub, server: FakeHub, tmp_path: Path, name: str) -> None:
    put(server, sharded(tmp_path / "model", index={"t9": name}))
    server.repos[REPO][name] = b"x"
    assert refused(hub).code == "model_file_invalid"
    assert not any("x.safetensors" in path or ".bin" in path for _, path, _ in server.asked)


def test_an_index_that_names_a_shard_which_is_not_there(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    put(server, sharded(tmp_path / "model", index={"t9": "model-00009-of-00009.safetensors"}))
    assert "model-00009-of-00009.safetensors" in refused(hub).message


def test_an_index_of_ten_thousand_shards(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    put(server, sharded(tmp_path / "model", index={f"u{number}": f"{number}.safetensors" for number in range(10_000)}))
    assert refused(hub).code == "model_file_invalid"


@pytest.mark.parametrize("announced", [1 << 60, (1 << 64) - 1, 0, 99_000_000])
def test_a_safetensors_header_of_an_impossible_length(
    hub: Hub, server: FakeHub, tmp_path: Path, announced: int
) -> None:
    weights = announced.to_bytes(8, "little") + b"{}" + bytes(100)
    put(server, folder_models.hf(tmp_path / "model", weights=weights))
    assert refused(hub).code == "safetensors_truncated"
    assert len(ranges(server)) < 8


@pytest.mark.parametrize("size", [1 << 60, -1])
def test_an_impossible_size(hub: Hub, server: FakeHub, tmp_path: Path, size: int) -> None:
    put(server, folder_models.hf(tmp_path / "model"))
    server.sizes["model.safetensors"] = size
    assert "cannot have" in refused(hub).message
    assert not ranges(server)


def test_a_folder_that_brings_code_is_refused_before_its_weights_come(
    hub: Hub, server: FakeHub, tmp_path: Path
) -> None:
    put(server, folder_models.hf(tmp_path / "model", auto_map={"AutoModel": "modeling.X"}))
    assert refused(hub).code == "model_brings_code"


def test_an_onnx_folder(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    here = put(server, folder_models.genai(tmp_path / "model"))
    _, found = looked(hub)
    real = folders.read_folder(here)
    assert found.header == real.header
    assert {file.base for file in found.files} == set(real.files)


def test_ten_thousand_files(hub: Hub, server: FakeHub, tiny_gguf: Path) -> None:
    server.repos[REPO] |= {f"log/{number}.txt": b"" for number in range(5000)}
    server.repos[REPO] |= {f"tiny-{number}B-Q4_K_M.gguf": b"GGUF" for number in range(5000)}
    remote = hub.look(REPO)
    assert len(remote.choices()) == 5001
    chosen = next(choice for choice in remote.choices() if choice.label == "Q8_0")
    assert hub.inspect(remote, chosen).header == read_header(tiny_gguf)
    assert len(server.asked) == 2


@pytest.mark.parametrize("repo", ["tiny", "a/b/c", "../etc/passwd", "a/ b", "", "../..", "a/..", "a/b?x", "a/b#"])
def test_what_is_no_repository_is_asked_of_nobody(hub: Hub, server: FakeHub, repo: str) -> None:
    with pytest.raises(BadRequestError):
        hub.look(repo)
    assert not server.asked


def test_a_revision_stays_a_revision(hub: Hub, server: FakeHub) -> None:
    hub.look(REPO, "../../other?x=1#y")
    (path,) = [path for _, path, _ in server.asked]
    assert path == f"/api/models/{REPO}/revision/../../other?x=1#y", "as one quoted component"


def test_unknown_repositories_and_dead_endpoints_are_told_apart(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        hub.look("nobody/Nothing")
    with pytest.raises(EngineError) as caught:
        Hub("http://127.0.0.1:1", cache=tmp_path).look(REPO)
    assert caught.value.code == "hub_unreachable"


@pytest.mark.parametrize("commit", ["../../x", "", "a b", "/etc", "x" * 200])
def test_a_commit_that_would_leave_its_folder(
    hub: Hub, server: FakeHub, monkeypatch: pytest.MonkeyPatch, commit: str
) -> None:
    monkeypatch.setattr(fake_hub, "COMMIT", commit)
    if commit:
        with pytest.raises(EngineError):
            hub.look(REPO)
    else:
        assert hub.look(REPO).commit == "main"


def test_an_endpoint_that_is_no_hub(hub: Hub, server: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_web.Web, "api", lambda *_: b"<html>Log in</html>")
    with pytest.raises(EngineError) as caught:
        hub.look(REPO)
    assert "does not answer as a Hub" in caught.value.message


# ---------------------------------------------------------------------- fetching


def test_a_file_is_fetched_once_and_kept(hub: Hub, server: FakeHub) -> None:
    remote, found = looked(hub)
    heard: list[int] = []
    first = hub.fetch(remote, found, heard.append)
    assert first.read_bytes() == server.repos[REPO][first.name]
    assert sum(heard) == found.bytes
    assert hub.missing(remote, found) == 0
    before = server.fetched()
    assert hub.fetch(remote, found) == first
    assert server.fetched() == before
    hub.forget(remote)
    assert not list(hub._cache.iterdir())


def test_folders_are_fetched_whole_and_nothing_else(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    here = put(server, sharded(tmp_path / "model"))
    server.repos[REPO] |= {"pytorch_model.bin": b"pickle", "tokenizer.py": b"import os", "x.pt": b"", "y.pkl": b""}
    remote, found = looked(hub)
    path = hub.fetch(remote, found)
    assert folders.read_folder(path) == folders.read_folder(here)
    assert {file.name for file in path.iterdir()} == {file.name for file in here.iterdir()}


def test_what_an_earlier_process_left_is_gone_on_with(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    remote, found = looked(hub)
    (file,) = found.files
    left = hub.fetch(remote, found)
    half = file.size // 2
    left.with_name(f"{left.name}.part").write_bytes(left.read_bytes()[:half])
    left.unlink()
    assert hub.missing(remote, found) == file.size - half
    heard: list[int] = []
    assert hub.fetch(remote, found, heard.append).read_bytes() == server.repos[REPO][file.name]
    assert ranges(server)[-1] == f"bytes={half}-"
    assert sum(heard) == file.size


def test_a_broken_fetch_goes_on_by_itself(hub: Hub, server: FakeHub) -> None:
    remote, found = looked(hub)
    (file,) = found.files
    server.break_after = file.size // 2
    server.busy = 3
    assert hub.fetch(remote, found).read_bytes() == server.repos[REPO][file.name]
    assert ranges(server)[-1] == f"bytes={file.size // 2}-"


def test_a_hub_that_stays_busy_is_given_up(hub: Hub, server: FakeHub) -> None:
    remote, found = looked(hub)
    server.busy = 1000
    with pytest.raises(EngineError) as caught:
        hub.fetch(remote, found)
    assert caught.value.code == "hub_unreachable"
    assert server.busy > 950


def test_each_part_goes_on_where_it_broke_off(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    write_chat(tmp_path / "model" / "Tiny-F16.gguf", tensors_per_part=10)
    put(server, tmp_path / "model")
    remote, found = looked(hub)
    second = found.files[1]
    good = server.repos[REPO].pop(second.name)
    with pytest.raises(NotFoundError):
        hub.fetch(remote, found)
    assert hub.missing(remote, found) == found.bytes - found.files[0].size
    server.repos[REPO][second.name] = good
    before = len(server.asked)
    first = hub.fetch(remote, found)
    assert read_folder(first.parent)[0] == found.header
    assert not any(found.files[0].name in path for _, path, _ in server.asked[before:]), "what is there stays"


def test_a_hub_without_ranges_begins_anew(hub: Hub, server: FakeHub) -> None:
    remote, found = looked(hub)
    (file,) = found.files
    server.ranges = False
    part = hub.fetch(remote, found)
    part.rename(part.with_name(f"{part.name}.part"))
    part.with_name(f"{part.name}.part").write_bytes(b"other bytes")
    heard: list[int] = []
    assert hub.fetch(remote, found, heard.append).read_bytes() == server.repos[REPO][file.name]
    assert sum(heard) == file.size


def test_a_file_that_is_not_what_was_promised_is_removed(hub: Hub, server: FakeHub) -> None:
    remote, found = looked(hub)
    (file,) = found.files
    good = server.repos[REPO][file.name]
    for bad in (good[:-1] + bytes([good[-1] ^ 1]), good + b"x"):
        server.lie[file.name] = bad
        with pytest.raises(ModelFileError) as caught:
            hub.fetch(remote, found)
        assert caught.value.code == "checksum_mismatch"
        assert hub.missing(remote, found) == file.size
    server.lie.clear()
    assert hub.fetch(remote, found).read_bytes() == good


def test_small_files_are_compared_by_gits_name(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    put(server, folder_models.hf(tmp_path / "model"))
    remote, found = looked(hub)
    good = server.repos[REPO]["tokenizer.json"]
    server.lie["tokenizer.json"] = good[:-1] + b" "
    with pytest.raises(ModelFileError) as caught:
        hub.fetch(remote, found)
    assert caught.value.code == "checksum_mismatch"


def test_somebody_who_fetches_the_same_is_not_disturbed(hub: Hub, server: FakeHub, tmp_path: Path) -> None:
    import fcntl

    remote, found = looked(hub)
    path = hub.fetch(remote, found)
    part = path.rename(path.with_name(f"{path.name}.part"))
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(EngineError) as caught:
            hub.fetch(remote, found)
    assert caught.value.code == "pull_running"
    assert part.exists()


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(hub: Hub, server: FakeHub) -> None:
    remote, found = looked(hub)
    path = hub.fetch(remote, found)
    path.write_bytes(bytes(len(path.read_bytes())))
    assert hub.fetch(remote, found).read_bytes() == server.repos[REPO][path.name]


def test_offline_asks_nobody_and_uses_what_was_fetched(server: FakeHub, tmp_path: Path) -> None:
    online = Hub(server.url, cache=tmp_path)
    remote, found = looked(online)
    path = online.fetch(remote, found)
    asked = len(server.asked)
    offline = Hub(server.url, cache=tmp_path, offline=True)
    with pytest.raises(EngineError) as caught:
        offline.look(REPO)
    assert caught.value.code == "offline"
    assert offline.fetch(remote, found) == path
    shutil.rmtree(path.parent)
    with pytest.raises(EngineError):
        offline.fetch(remote, found)
    assert len(server.asked) == asked


def test_a_disk_that_cannot_be_written_is_said(hub: Hub, server: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    remote, found = looked(hub)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hub_web.Web, "_more", full)
    with pytest.raises(EngineError) as caught:
        hub.fetch(remote, found)
    assert "No space left" in caught.value.message


# ---------------------------------------------------------------------- tokens


def test_gated_repositories_say_where_to_accept_and_open_with_a_token(server: FakeHub, tmp_path: Path) -> None:
    server.gated.add(REPO)
    hub = Hub(server.url, cache=tmp_path / "a")
    found = hub.look(REPO)
    assert found.gated
    with pytest.raises(EngineError) as caught:
        hub.inspect(found, only(found))
    assert caught.value.code == "gated"
    assert REPO in caught.value.hint
    hub = Hub(server.url, cache=tmp_path / "b", token=server.token)
    assert hub.fetch(*looked(hub)).is_file()


def test_a_token_stays_behind_where_files_are_elsewhere(server: FakeHub, tmp_path: Path) -> None:
    with fake_hub.running() as store:
        store.repos = server.repos
        server.elsewhere = store.url
        hub = Hub(server.url, cache=tmp_path / "a", token=server.token)
        assert hub.fetch(*looked(hub)).is_file()
        assert set(server.tokens) == {f"Bearer {server.token}"}
        assert store.tokens
        assert set(store.tokens) == {""}


def test_a_token_does_not_travel_in_clear(tmp_path: Path) -> None:
    with pytest.raises(BadRequestError) as caught:
        Hub("http://mirror.example", cache=tmp_path, token="hf_x")
    assert caught.value.code == "token_in_clear"
    assert "hf_x" not in caught.value.text
    Hub("http://mirror.example", cache=tmp_path)


@pytest.mark.parametrize("endpoint", ["ftp://x", "x", "https://", "file:///etc/passwd"])
def test_what_is_no_endpoint(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(BadRequestError):
        Hub(endpoint, cache=tmp_path)
