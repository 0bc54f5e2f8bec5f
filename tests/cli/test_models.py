"""``nearfar models``: a file comes in by a link and leaves again; what is no model is told so."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len
from tests.cli.conftest import Cli
from tests.cli.serving import serving
from tests.cli.terminal import terminal

from nearfar.cli import models


def test_add_list_remove(cli: Cli, tiny_gguf: Path) -> None:
    added = cli("models", "add", str(tiny_gguf))
    assert added.code == 0
    assert added.out.startswith("tiny-chat: ")
    assert "of memory when loaded" in added.out

    (row,) = [item for item in cli("models", "ls", "--json").json["models"] if not item["builtin"]]
    assert row["name"] == "tiny-chat"
    assert row["usable"] is True
    assert row["operations"] == "chat"
    assert row["context"] == 2048
    assert row["memory_bytes"] > row["file_bytes"] == tiny_gguf.stat().st_size
    assert "tiny-chat" in cli("models", "ls", "-q").out.splitlines()
    assert "qwen2" in cli("models", "ls").out

    removed = cli("models", "rm", "tiny-chat", "--json")
    assert removed.json == {"removed": "tiny-chat", "data_deleted": False}
    assert tiny_gguf.exists()
    assert "tiny-chat" not in cli("models", "ls", "-q").out


def test_a_name_of_ones_own(cli: Cli, tiny_embedding_gguf: Path) -> None:
    assert cli("models", "add", str(tiny_embedding_gguf), "--name", "vectors", "-q").out == "vectors\n"
    assert cli("models", "ls", "--json").json["models"][0]["operations"] == "embeddings"


def test_what_is_no_model_is_refused_with_a_next_step(cli: Cli) -> None:
    result = cli("models", "add", cli.write("hello", "a.gguf"))
    assert (result.code, result.out) == (1, "")
    assert "is not a GGUF file" in result.err
    assert "safetensors" in result.err


def test_a_file_that_was_spoiled_is_listed_with_its_reason(cli: Cli, tiny_gguf: Path) -> None:
    folder = cli.home / ".local/share/nearfar/models"
    folder.mkdir(parents=True)
    (folder / "half.gguf").write_bytes(tiny_gguf.read_bytes()[:5000])
    (row,) = [item for item in cli("models", "ls", "--json").json["models"] if not item["builtin"]]
    assert row["usable"] is False
    assert "truncated" in row["error"]
    assert "truncated" in cli("models", "ls").out


def test_removing_what_is_not_there(cli: Cli) -> None:
    result = cli("models", "rm", "nothing")
    assert result.code == 1
    assert "models ls" in result.err


def test_a_running_gateway_notices_at_once(cli: Cli, tiny_gguf: Path) -> None:
    config = cli.write("[discovery]\nloopback = false\n")
    with serving(cli.home, "--config", config) as running:
        port = running.url.rpartition(":")[2]
        asked = {"NEARFAR_URL": running.url, "NEARFAR_SERVER__PORT": port}
        assert "fresh" not in cli("route", "ls", "-q", **asked).out.split()
        added = cli("models", "add", str(tiny_gguf), "--name", "fresh", **asked)
        assert f"The gateway at {running.url} knows it already." in added.err
        assert "fresh" in cli("route", "ls", "-q", **asked).out.split()
        removed = cli("models", "rm", "fresh", **asked)
        assert "has forgotten it already" in removed.err
        assert cli("run", "fresh", "hello", **asked).code == 1


def test_a_gateway_with_another_folder_is_not_said_to_know(
    cli: Cli, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "PATIENCE", 0.0)
    with serving(cli.home, "--models-dir", str(cli.home / "other")) as running:
        added = cli("models", "add", str(tiny_gguf), NEARFAR_SERVER__PORT=running.url.rpartition(":")[2])
    assert added.code == 0
    assert "another models folder" in added.err


def test_on_eighty_columns_no_word_is_broken(cli: Cli, tiny_gguf: Path) -> None:
    name = "meta-llama-3.3-70b-instruct-q4_k_m-of-somebody"
    assert cli("models", "add", str(tiny_gguf), "--name", name).code == 0
    with terminal("models", "ls", environ=cli.environ) as shown:
        assert shown.ended() == 0
    assert all(cell_len(line) <= 80 for line in shown.screen.splitlines())
    assert name in shown.screen
