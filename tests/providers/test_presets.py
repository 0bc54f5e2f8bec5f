"""Rows of data as providers: one table is all that a new one needs."""

import datetime as dt
from importlib import resources
from urllib.parse import urlsplit

import msgspec
import pytest

from nearfar import providers
from nearfar.core.places import Place
from nearfar.providers import presets, registry
from nearfar.providers.presets import Row, load, names, provider

DATE = "2026-11-22"
WANTED = {
    "groq",
    "mistral",
    "deepseek",
    "openrouter",
    "together",
    "fireworks",
    "xai",
    "cerebras",
    "nvidia-nim",
    "perplexity",
    "sambanova",
    "moonshot",
    "zhipu",
    "qwen",
    "foundry-local",
    "lemonade",
    "litellm",
    "sglang",
    "localai",
    "jan",
    "koboldcpp",
    "text-generation-webui",
}


def test_the_rows_there_are() -> None:
    assert set(names()) >= WANTED
    assert names() == sorted(names())
    assert load().keys() == set(names())


def test_every_row_has_a_source_and_the_file_a_date() -> None:
    data = resources.files(providers).joinpath("data", "compatible.toml").read_bytes()
    tables = msgspec.toml.decode(data)
    dt.date.fromisoformat(tables.pop("date"))
    for name, table in tables.items():
        url = urlsplit(table["source"])
        assert (url.scheme, bool(url.hostname)) == ("https", True), name


def test_one_table_is_a_provider() -> None:
    row = Row(
        title="Acme",
        base_url="https://api.acme.example/v1",
        source="https://docs.acme.example",
        key_env=("ACME_API_KEY",),
        yes=("tools",),
        no=("logprobs",),
        drop=("user",),
        rename={"seed": "random_seed"},
        embeddings=True,
        transcription=True,
    )
    made = provider("acme", row, DATE)
    assert (made.name, made.title, made.wire, made.embeddings_wire) == (
        "acme",
        "Acme",
        "openai.chat",
        "openai.embeddings",
    )
    assert made.other_wires == {"transcription": "openai.audio"}
    assert (made.place, made.auth, made.key_env) == (Place.CLOUD, "bearer", ("ACME_API_KEY",))
    assert {what: (one.can, one.source, one.date) for what, one in made.capabilities.items()} == {
        "tools": (True, "catalogue", DATE),
        "logprobs": (False, "catalogue", DATE),
    }
    assert (made.drop, made.rename) == (("user",), {"seed": "random_seed"})
    assert made.evidence.label == "docs"
    assert "docs.acme.example" in made.evidence.what


def test_a_misspelt_member_is_an_error_not_a_fact_lost() -> None:
    with pytest.raises(msgspec.ValidationError, match="key_evn"):
        msgspec.convert({"title": "t", "base_url": "", "source": "s", "key_evn": ["A"]}, Row)


def test_a_server_of_ones_own_is_known_by_its_marks() -> None:
    first, second = load()["koboldcpp"].probes
    assert (first.path, second.path) == ("/v1/models", "/api/extra/version")
    found = first.read(b'{"object":"list","data":[{"id":"koboldcpp/m","object":"model","owned_by":"koboldcpp"}]}')
    assert found is not None
    assert [(item.model, item.local_weights) for item in found] == [("koboldcpp/m", False)]
    assert second.read(b'{"result":"KoboldCpp","version":"1.99"}') == []
    assert second.read(b'{"version":"1.99"}') is None


def test_a_server_that_signs_its_models_needs_no_mark() -> None:
    (probe,) = load()["sglang"].probes
    found = probe.read(b'{"data":[{"id":"m","owned_by":"sglang","max_model_len":4096}]}')
    assert found is not None
    assert found[0].context == 4096
    assert probe.read(b'{"data":[{"id":"m","owned_by":"vllm"}]}') is None


def test_a_file_wins_over_a_row_and_both_are_found_by_name() -> None:
    assert not set(names()) & set(registry.names()) - set(presets.names())
    assert registry.find("groq").base_url == "https://api.groq.com/openai/v1"
    with pytest.raises(LookupError, match="Nearest: groq"):
        registry.find("grok-q")
