"""``nearfar models pull`` and ``verify``, against a Hub on loopback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import fake_hub
from tests.cli.conftest import Cli, Result
from tests.engine import folder_models
from tests.fake_hub import FakeHub
from tests.tiny_gguf import write_chat

from nearfar.engine.runtimes import lacking

REPO = "someone/Tiny-GGUF"


@pytest.fixture
def hub(tiny_gguf: Path) -> Iterator[FakeHub]:
    with fake_hub.running() as running:
        data = tiny_gguf.read_bytes()
        # Zeros at the end make files of different sizes; what a header says is the same.
        running.repos[REPO] = {"tiny-Q4_K_M.gguf": data, "tiny-Q8_0.gguf": data + bytes(4096)}
        running.cards[REPO] = {"license": "apache-2.0"}
        yield running


def asked(cli: Cli, hub: FakeHub, *args: str, **environ: str) -> Result:
    return cli("models", *args, HF_ENDPOINT=hub.url, **environ)


def origins(cli: Cli) -> list[Any]:
    return [json.loads(path.read_bytes()) for path in sorted(cli.home.rglob("origins/*.json"))]


def test_the_best_type_that_fits_is_fetched_and_usable(cli: Cli, hub: FakeHub) -> None:
    result = asked(cli, hub, "pull", REPO, "--quiet")
    assert (result.code, result.out) == (0, "tiny-q8_0\n"), result.err
    assert "tiny-q8_0" in cli("models", "ls", "--quiet").out
    (origin,) = origins(cli)
    assert (origin["repo"], origin["file"], origin["licence"]) == (REPO, "tiny-Q8_0.gguf", "apache-2.0")
    assert cli("models", "verify", "tiny-q8_0").code == 0
    assert not list(cli.home.rglob("someone--*")), "the bytes lie in the library alone"


def test_less_memory_chooses_a_smaller_type_and_none_is_said(cli: Cli, hub: FakeHub) -> None:
    data = hub.repos[REPO]["tiny-Q4_K_M.gguf"]
    hub.repos[REPO]["tiny-Q8_0.gguf"] = data + bytes(20_000_000)
    finest = asked(cli, hub, "pull", REPO, "--dry-run", "--json").json
    assert finest["type"] == "Q8_0"
    need = asked(cli, hub, "pull", f"{REPO}:Q4_K_M", "--dry-run", "--json").json["memory_bytes"]
    enough = f"engine.memory_mb={need // 1_000_000 + 2}"
    told = asked(cli, hub, "pull", REPO, "--dry-run", "--json", "--set", enough).json
    assert (told["type"], told["fits"], told["memory_bytes"]) == ("Q4_K_M", True, need)
    assert "Q8_0 would need" in told["why"]
    assert "engine.memory_mb" in told["why"]
    assert "\n" not in told["why"]
    # It is the engine's own figure, so that what was chosen is admitted.
    assert asked(cli, hub, "pull", REPO, "--quiet", "--set", enough).code == 0
    (model,) = [each for each in cli("models", "ls", "--json").json["models"] if each["name"] == "tiny-q4_k_m"]
    assert model["memory_bytes"] == need


def test_nothing_that_fits_is_said_and_a_named_type_is_fetched_all_the_same(cli: Cli, hub: FakeHub) -> None:
    little = ("--set", "engine.memory_mb=70")
    result = asked(cli, hub, "pull", REPO, *little)
    assert result.code == 1
    assert "fits" in result.err
    assert "engine.context" in result.err or "smaller model" in result.err
    told = asked(cli, hub, "pull", f"{REPO}:Q4_K_M", "--dry-run", "--json", *little).json
    assert not told["fits"]
    assert "MORE than" in told["why"]
    assert asked(cli, hub, "pull", f"{REPO}:Q4_K_M", "--quiet", *little).code == 0


def test_a_dry_run_reads_a_header_and_fetches_nothing(cli: Cli, hub: FakeHub) -> None:
    told = asked(cli, hub, "pull", f"{REPO}:q4_k_m", "--dry-run", "--json").json
    assert told["architecture"]
    assert told["sha256"]
    assert cli("models", "ls", "--quiet").out == "demo-tiny\n"


def test_the_same_bytes_are_fetched_once(cli: Cli, hub: FakeHub) -> None:
    asked(cli, hub, "pull", REPO, "--quiet")
    before = hub.fetched()
    assert asked(cli, hub, "pull", REPO).out == "tiny-q8_0\n"
    assert hub.fetched() == before


def test_terms_that_bind_are_accepted_by_a_person(cli: Cli, hub: FakeHub) -> None:
    hub.cards[REPO] = {"license": "other", "license_name": "gemma"}
    refused = asked(cli, hub, "pull", REPO)
    assert refused.code == 2
    assert "gemma" in refused.err
    assert "--yes" in refused.err
    assert not origins(cli)
    assert asked(cli, hub, "pull", REPO, "--yes", "--quiet").code == 0


def test_gated_repositories_need_a_token(cli: Cli, hub: FakeHub) -> None:
    hub.gated.add(REPO)
    refused = asked(cli, hub, "pull", REPO, "--yes")
    assert refused.code == 1
    assert "HF_TOKEN" in refused.err
    assert asked(cli, hub, "pull", REPO, "--yes", "--quiet", HF_TOKEN=hub.token).code == 0


def test_a_model_that_changed_on_the_disk_is_found(cli: Cli, hub: FakeHub) -> None:
    asked(cli, hub, "pull", REPO, "--quiet")
    (path,) = cli.home.rglob("tiny-q8_0.gguf")
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1] + b"\x01")
    result = cli("models", "verify", "tiny-q8_0")
    assert result.code == 1
    assert "fetch it again" in result.err
    builtin = cli("models", "verify", "demo-tiny")
    assert (builtin.code, "came with nearfar" in builtin.err, "emove" in builtin.err) == (1, True, False)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("someone/Nothing", "knows no someone/Nothing"),
        (f"{REPO}:Q2_K", "Q4_K_M, Q8_0"),
        ("tiny", "OWNER/NAME"),
        ("someone/Parts", "lacks big-Q4_K_M-00002-of-00002.gguf"),
        ("someone/Torch", "can run code"),
        ("someone/Words", "neither GGUF"),
        ("someone/Two", "one of a-Q4_K_M.gguf, b-Q4_K_M.gguf"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(cli: Cli, hub: FakeHub, what: str, told: str) -> None:
    hub.repos["someone/Parts"] = {"big-Q4_K_M-00001-of-00002.gguf": b"GGUF"}
    hub.repos["someone/Torch"] = {"pytorch_model.bin": b"x", "config.json": b"{}"}
    hub.repos["someone/Words"] = {"README.md": b"x"}
    hub.repos["someone/Two"] = {"a-Q4_K_M.gguf": b"GGUF", "b-Q4_K_M.gguf": b"GGUF"}
    result = asked(cli, hub, "pull", what)
    assert result.code in {1, 2}
    assert told in result.err
    assert not origins(cli)


def test_offline_asks_nobody(cli: Cli, hub: FakeHub) -> None:
    assert asked(cli, hub, "pull", REPO, "--set", "offline=true").code == 1
    assert not hub.asked


def test_a_full_disk_is_noticed_before(cli: Cli, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=1000))
    result = asked(cli, hub, "pull", REPO)
    assert result.code == 1
    assert "are free" in result.err
    assert not origins(cli)


def test_a_file_that_is_no_model_is_refused_before_it_is_fetched(cli: Cli, hub: FakeHub) -> None:
    hub.repos[REPO] = {"bad-Q4_K_M.gguf": b"not a model" * 1000}
    result = asked(cli, hub, "pull", REPO)
    assert result.code == 1
    assert not origins(cli)


@pytest.mark.slow
def test_a_model_in_parts(cli: Cli, hub: FakeHub, tmp_path: Path) -> None:
    write_chat(tmp_path / "Big-F16.gguf", tensors_per_part=10)
    hub.repos[REPO] = {f"F16/{path.name}": path.read_bytes() for path in tmp_path.glob("Big-*.gguf")}
    told = asked(cli, hub, "pull", REPO, "--dry-run", "--json").json
    assert len(told["files"]) > 2
    assert told["bytes"] == sum(len(data) for data in hub.repos[REPO].values())
    assert asked(cli, hub, "pull", REPO, "--quiet").out == "big-f16\n"
    (model,) = [each for each in cli("models", "ls", "--json").json["models"] if each["name"] == "big-f16"]
    assert model["engine"] == "llama.cpp"
    assert model["memory_bytes"] == told["memory_bytes"]
    assert asked(cli, hub, "pull", REPO).out == "big-f16\n", "it is there already"
    assert cli("models", "verify", "big-f16").code == 0
    second = sorted(Path(model["path"]).iterdir())[1]
    second.write_bytes(second.read_bytes()[:-1] + b"\x01")
    result = cli("models", "verify", "big-f16", "--json")
    assert result.code == 1
    assert result.json["differing"] == [second.name]
    second.unlink()
    assert "is missing" in cli("models", "verify", "big-f16").err
    assert cli("models", "rm", "big-f16").code == 0
    assert not origins(cli)
    assert not Path(model["path"]).exists()


def folder(hub: FakeHub, path: Path, **changes: Any) -> None:
    made = folder_models.hf(path, **changes)
    hub.repos[REPO] = {each.name: each.read_bytes() for each in made.iterdir()} | {
        "pytorch_model.bin": b"pickle",
        "modeling_tiny.py": b"import os",
    }
    hub.small = {name for name in hub.repos[REPO] if name.endswith(".json")}


@pytest.mark.slow
def test_a_safetensors_folder(cli: Cli, hub: FakeHub, tmp_path: Path) -> None:
    folder(hub, tmp_path / "made")
    told = asked(cli, hub, "pull", REPO, "--dry-run", "--json").json
    assert (told["format"], told["engine"], told["quantization"]) == ("safetensors", "transformers", "F32")
    assert told["missing"] == lacking("transformers")
    assert asked(cli, hub, "pull", REPO, "--quiet").out == "tiny-gguf\n"
    (model,) = [each for each in cli("models", "ls", "--json").json["models"] if each["name"] == "tiny-gguf"]
    assert sorted(path.name for path in Path(model["path"]).iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert cli("models", "verify", "tiny-gguf").code == 0
    (Path(model["path"]) / "tokenizer_config.json").write_text("{}")
    assert cli("models", "verify", "tiny-gguf", "--json").json["differing"] == ["tokenizer_config.json"]
    assert cli("models", "rm", "tiny-gguf").code == 0


def test_a_folder_that_brings_code_is_not_fetched(cli: Cli, hub: FakeHub, tmp_path: Path) -> None:
    folder(hub, tmp_path / "made", auto_map={"AutoModel": "modeling_tiny.Tiny"})
    result = asked(cli, hub, "pull", REPO)
    assert result.code == 1
    assert "Python code of its own" in result.err
    assert not any("safetensors" in path and method == "GET" and not span for method, path, span in hub.asked)


def test_a_file_that_changes_between_its_header_and_its_coming(
    cli: Cli, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A mirror that states no checksums shows one model and sends another of the same size."""
    good = hub.repos[REPO]["tiny-Q8_0.gguf"]
    other = good.replace(b"tiny random", b"tiny RANDOM", 1)
    assert other != good
    hub.repos[REPO] = {"tiny-Q8_0.gguf": good}
    monkeypatch.setattr(fake_hub, "STATES_CHECKSUMS", False)
    hub.lie_later["tiny-Q8_0.gguf"] = other
    result = asked(cli, hub, "pull", REPO)
    assert result.code == 1
    assert "another header" in result.err
    assert cli("models", "ls", "--quiet").out == "demo-tiny\n"
    assert not origins(cli)


def test_a_name_that_is_taken_is_noticed_before_anything_comes(cli: Cli, hub: FakeHub) -> None:
    asked(cli, hub, "pull", REPO, "--quiet")
    before = hub.fetched()
    for name in ("tiny-q8_0", "TINY-q8_0"):
        assert asked(cli, hub, "pull", f"{REPO}:Q4_K_M", "--name", name).code == 1
    assert asked(cli, hub, "pull", f"{REPO}:Q4_K_M", "--name", "../x").code == 1
    assert hub.fetched() == before


def test_a_token_is_not_for_a_mirror_on_the_command_line(cli: Cli, hub: FakeHub) -> None:
    args = ("models", "pull", REPO, "--dry-run")
    assert cli(*args, "--mirror", hub.url, HF_TOKEN="hf_secret").code == 0
    assert set(hub.tokens) == {""}
    assert cli(*args, HF_ENDPOINT=hub.url, HF_TOKEN="hf_secret").code == 0
    assert "Bearer hf_secret" in hub.tokens


def test_what_was_interrupted_is_gone_on_with(cli: Cli, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from nearfar.engine.hub_web import Web

    real = Web._more

    def interrupted(self: Web, *args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Web, "_more", interrupted)
    result = asked(cli, hub, "pull", REPO)
    assert result.code == 130
    assert "goes on with it" in result.err
    monkeypatch.setattr(Web, "_more", real)
    assert asked(cli, hub, "pull", REPO).code == 0
