"""``nearfar models search|show|licence``."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Cli

from nearfar.catalog.models import shipped


def names(cli: Cli, *args: str) -> list[str]:
    return cli("models", "search", *args, "-q").out.split()


def test_all_and_some(cli: Cli) -> None:
    assert names(cli) == list(shipped())
    assert set(names(cli, "gemma 4")) == {"gemma-4-12b", "gemma-4-31b", "gemma-4-26b-a4b"}
    assert names(cli, "distill llama") == ["deepseek-r1-distill-llama-8b", "deepseek-r1-distill-llama-70b"]
    assert names(cli, "qwen 14b 2.5") == ["qwen2.5-14b"]
    assert names(cli, "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf") == ["llama-3.1-8b"]


def test_filters(cli: Cli) -> None:
    assert "deepseek-r1-distill-llama-8b" not in names(cli, "--osi")
    assert "deepseek-r1-distill-qwen-7b" in names(cli, "--osi")
    assert "qwen2.5-3b" not in names(cli, "--commercial")
    assert all(shipped()[each].vision for each in names(cli, "--vision"))
    assert "phi-4" not in names(cli, "--tools")
    assert "mixtral-8x7b" in names(cli, "--lang", "de")
    assert cli("models", "search", "--lang", "?").code == 2
    assert cli("models", "search", "--lang", "japanese").code == 2
    unknown = cli("models", "search", "--lang", "xx")
    assert unknown.code == 2
    assert "ISO 639" in unknown.err


def test_traditional_chinese_comes_first_where_it_was_made_for(cli: Cli) -> None:
    found = names(cli, "--lang", "zh-TW")
    assert found[:2] == ["taide-gemma-3-12b", "taide-llama3-lx-8b"]
    assert "llama-4-scout" not in found
    assert "phi-4" not in found
    assert "tuned" in cli("models", "search", "taide").out


def test_what_fits(cli: Cli) -> None:
    found = names(cli, "--fits", "--hardware", "RTX 3060")
    assert "gemma-3-4b" in found
    assert "llama-3.1-405b" not in found
    told = cli("models", "search", "--fits", "--hardware", "RTX 3060", "--json").json["models"]
    assert all(each["here"] for each in told)
    nothing = cli("models", "search", "llama-3.1-405b", "--fits", "-H", "GTX 1050 Ti")
    assert "None is left" in nothing.err


def test_show(cli: Cli) -> None:
    shown = cli("models", "show", "gpt-oss-120b")
    assert "128, 4 of them for each token" in shown.out
    assert "openai/gpt-oss README" in shown.out
    assert cli("models", "show", "TAIDE", "-q").out == "taide/Gemma-3-TAIDE-12b-Chat\n"
    told = cli("models", "show", "llama-4-scout", "--json").json
    assert (told["commercial"], told["osi"], told["vision"]) == ("conditional", False, True)
    assert told["unverified"]


def test_licence(cli: Cli) -> None:
    refused = cli("models", "licence", "llama-4-scout", "--for", "commercial, EU, 2M users")
    assert refused.code == 1
    assert refused.out.startswith("meta-llama/Llama-4-Scout-17B-16E-Instruct: no")
    assert "NO" in refused.out
    assert "no legal advice" in refused.err
    granted = cli("models", "licence", "qwen3-8b", "--for", "commercial, EU, 2M users", "--json")
    assert (granted.code, granted.json["verdict"]) == (0, "yes")
    assert cli("models", "licence", "gemma-3-4b", "--for", "commercial", "-q").out == "conditional\n"


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("show", "qwen3-9b"), "Did you mean"),
        (("licence", "Llama-3.1-Nemotron-70B"), "not guessed from a relative"),
        (("licence", "phi-4", "--for", "the moon"), "2M users"),
        (("search", "zzzzzz"), "nearfar models search"),
    ],
)
def test_bad_input(cli: Cli, args: tuple[str, ...], what: str) -> None:
    result = cli("models", *args)
    assert result.code == 1
    assert what in result.err
