"""``nearfar fit``: one model, all of them, files, and questions that make no sense."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from tests.cli.conftest import Cli
from tests.cli.terminal import terminal
from tests.engine import folder_models
from tests.tiny_gguf import write_chat

from nearfar.catalog.models import shipped

FIGURES = (
    "weights_bytes",
    "kv_cache_bytes",
    "compute_bytes",
    "total_bytes",
    "decode_tps",
    "prefill_tps",
    "first_token_seconds",
)
CARD = ("--hardware", "RTX 4090")


def test_one_model_as_json(cli: Cli) -> None:
    told = cli("fit", "llama-3.1-8b", *CARD, "--json").json
    for name in FIGURES:
        assert set(told[name]) == {"low", "value", "high", "basis"}
        assert 0 < told[name]["low"] <= told[name]["value"] <= told[name]["high"]
        assert told[name]["basis"]
    assert (told["fits"], told["verdict"], told["quant"], told["context"]) == (True, "fits", "Q4_K_M", 8192)
    assert told["kv_cache_bytes"]["value"] == 2**30
    assert told["longest_context"] >= 65536
    assert told["constants_date"].startswith("2026")


@pytest.mark.parametrize(
    ("args", "key", "value"),
    [
        (["--quant", "Q8_0"], "quant", "Q8_0"),
        (["--context", "32768"], "context", 32768),
        (["--engine", "vllm"], "quant", "BF16"),
        (["--kv-type", "q8_0"], "kv_type", "q8_0"),
        (["--batch", "8"], "sequences", 8),
        (["--gpus", "2"], "hardware", "2x RTX 4090 (24 GiB each)"),
        (["--ram", "64"], "hardware", "RTX 4090 (24 GiB) + 64 GiB RAM"),
        (["--offload", "10"], "offloaded_layers", 10),
    ],
)
def test_flags(cli: Cli, args: list[str], key: str, value: object) -> None:
    assert cli("fit", "llama-3.1-8b", *CARD, *args, "--json").json[key] == value


def test_flags_that_change_buffers(cli: Cli) -> None:
    def compute(*args: str) -> float:
        return float(cli("fit", "mistral-7b", *CARD, *args, "--json").json["compute_bytes"]["value"])

    assert compute("--no-flash-attention", "--ubatch", "256") == pytest.approx(280 * 2**20, rel=0.01)
    assert compute("--ubatch", "1024") == 2 * compute()


def test_the_name_of_a_file_brings_its_type(cli: Cli) -> None:
    told = cli("fit", "Qwen3-14B-Q6_K.gguf", *CARD, "--json").json
    assert (told["model"], told["quant"]) == ("qwen3-14b", "Q6_K")
    assert cli("fit", "qwen3-14b:Q5_K_M", *CARD, "--json").json["quant"] == "Q5_K_M"
    for name in ("qwen3:14b", "qwen3:14b-q4_K_M", "someone/Qwen3-14B-GGUF:Q4_K_M"):
        assert cli("fit", name, *CARD, "--json").json["model"] == "qwen3-14b"
    relative = cli("fit", "Llama-3.1-Nemotron-70B", *CARD)
    assert "passed over: nemotron" in relative.err


def test_what_would_make_it_fit(cli: Cli) -> None:
    shown = cli("fit", "llama-3.3-70b", *CARD)
    assert shown.code == 0
    assert "does not fit" in shown.out
    assert "With --quant IQ2_XXS" in shown.out
    assert "With --gpus 2" in shown.out
    kinds = {way["kind"] for way in cli("fit", "llama-3.3-70b", *CARD, "--json").json["remedies"]}
    assert kinds == {"quant", "offload", "gpus"}
    assert cli("fit", "llama-3.3-70b", *CARD, "-q").out == "no\n"


def test_many_users(cli: Cli) -> None:
    told = cli(
        "fit", "llama-3.1-8b", "-H", "H100", "--engine", "vllm", "--quant", "FP8", "--batch", "32", "--json"
    ).json
    assert told["serving"]["sequences"] == 32
    assert told["serving"]["out_tps"]["value"] > told["decode_tps"]["value"]
    assert "32 at once" in cli("fit", "llama-3.1-8b", "-H", "H100", "--batch", "32").out


def test_a_real_file(cli: Cli, tiny_gguf: Path) -> None:
    told = cli("fit", str(tiny_gguf), *CARD, "--json").json
    assert 0 < told["weights_bytes"]["value"] < tiny_gguf.stat().st_size
    assert told["weights_bytes"]["low"] == told["weights_bytes"]["high"]
    assert "header" in told["note"]
    assert cli("models", "add", str(tiny_gguf)).code == 0
    assert cli("fit", "tiny-chat", "--json").json["weights_bytes"]["value"] == told["weights_bytes"]["value"]


def test_a_broken_file(cli: Cli, tiny_gguf: Path) -> None:
    broken = cli.home / "broken.gguf"
    broken.write_bytes(tiny_gguf.read_bytes()[:5000])
    result = cli("fit", str(broken))
    assert (result.code, result.out) == (1, "")
    assert "truncated" in result.err
    assert "checksum" in result.err


def test_a_folder_of_safetensors(cli: Cli) -> None:
    folder = folder_models.hf(cli.home / "mine")
    told = cli("fit", str(folder), *CARD, "--json").json
    assert (told["engine"], told["weights_bytes"]["value"]) == ("transformers", 32)
    file = next(folder.glob("*.safetensors"))
    assert cli("fit", str(file), *CARD, "--json").json["weights_bytes"]["value"] == 32
    file.write_bytes(file.read_bytes()[:-5])
    broken = cli("fit", str(folder), *CARD)
    assert (broken.code, broken.out) == (1, "")
    assert "checksum" in broken.err


def test_all_models(cli: Cli) -> None:
    told = cli("fit", *CARD, "--json").json
    assert len(told["models"]) == len(shipped())
    fitting = cli("fit", *CARD, "-q").out.split()
    assert "llama-3.1-8b" in fitting
    assert "deepseek-r1" not in fitting


@pytest.mark.parametrize("args", [("fit", "gpt-oss-20b", *CARD), ("fit", *CARD)])
def test_eighty_columns(cli: Cli, args: tuple[str, ...]) -> None:
    with terminal(*args, environ={"HOME": str(cli.home)}) as screen:
        assert screen.ended() == 0
        rows = [line for line in screen.screen.splitlines() if "  " in line.strip()]
    assert len(rows) > 8
    assert all(cell_len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= 80 for line in rows), rows


@pytest.mark.parametrize(
    ("args", "what", "then"),
    [
        (["lama-3.1-8b"], "no model 'lama-3.1-8b'", "llama-3.1-8b"),
        (["phi-4", "-H", "RTX 9999"], "no device 'RTX 9999'", "nearfar hardware --list"),
        (["phi-4", "-H", "memory=24"], "does not describe", "bandwidth=936"),
        (["phi-4", "--quant", "Q9"], "'Q9' is no type", "Q4_K_M"),
        (["phi-4", "--engine", "foo"], "'foo' is no engine", "llama.cpp"),
        (["phi-4", "--kv-type", "q3"], "'q3' is no type of cache", "q8_0"),
        (["nowhere/model.gguf"], "no file", "nearfar models ls"),
        (["phi-4", "-H", "-2x RTX 4090"], "says -2 devices", "1 to 64"),
        (["phi-4", "-H", "2x RTX 4090", "--gpus", "3"], "--gpus says 3", "3x RTX 4090"),
        (["phi-4", "-H", "RTX 4090", "--ram", "inf"], "no size of a memory", "--ram 64"),
        (["/"], "is no model folder", "GGUF file"),
        (["--calibrate", "-H", "H100"], "measures this machine", "Leave out --hardware"),
    ],
)
def test_bad_input(cli: Cli, args: list[str], what: str, then: str) -> None:
    result = cli("fit", *args)
    assert result.code in {1, 2}
    assert result.out == ""
    assert what in result.err
    assert then in result.err


def test_a_model_in_parts_is_counted_whole(cli: Cli, tiny_gguf: Path, tmp_path: Path) -> None:
    write_chat(tmp_path / "Tiny-F16.gguf", tensors_per_part=10)
    first, *others = sorted(tmp_path.glob("Tiny-*.gguf"))
    weights = cli("fit", str(first), "--json").json["weights_bytes"]["value"]
    assert weights == cli("fit", str(tiny_gguf), "--json").json["weights_bytes"]["value"]
    for path in (others[0], tmp_path):
        assert cli("fit", str(path), "--json").json["weights_bytes"]["value"] == weights
    assert cli("models", "add", str(first), "--name", "tiny-parts").code == 0
    assert cli("fit", "tiny-parts", "--json").json["weights_bytes"]["value"] == weights
    others[-1].unlink()
    broken = cli("fit", str(first))
    assert broken.code == 1
    assert "is not beside it" in broken.err


@pytest.mark.slow
def test_calibrated(cli: Cli) -> None:
    measured = cli("fit", "--calibrate", "--json").json
    assert measured["decode_gbs"] > 0
    shown = cli("hardware").out
    assert "measured on" in shown
