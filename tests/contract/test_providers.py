"""What every provider record promises."""

import datetime as dt
import re
from typing import get_args
from urllib.parse import urlsplit

from anthropic.types import ModelParam
from openai.types import ChatModel

from nearfar.core.places import Place
from nearfar.providers import registry
from nearfar.wire import registry as wires

PROVIDERS = list(registry.load_all().items())
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
CAPABILITIES = {
    "streaming",
    "tools",
    "tool_choice",
    "parallel_tools",
    "images",
    "media_urls",
    "audio",
    "documents",
    "json_schema",
    "json_mode",
    "logprobs",
    "seed",
    "choices",
    "embeddings",
    "reasoning",
    "dimensions",
    "token_input",
}


def test_the_name_is_the_file_name() -> None:
    for name, provider in PROVIDERS:
        assert provider.name == name, name
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name), name
        assert provider.title, name


def test_its_wires_exist() -> None:
    for name, provider in PROVIDERS:
        assert "chat" in wires.provider_wire(provider.wire).operations, name
        if provider.embeddings_wire:
            assert "embeddings" in wires.provider_wire(provider.embeddings_wire).operations, name


def test_its_address_fits_its_place() -> None:
    for name, provider in PROVIDERS:
        if not provider.base_url:
            assert not provider.ports, name
            continue
        url = urlsplit(provider.base_url)
        assert not provider.base_url.endswith("/"), name
        assert (url.query, url.username) == ("", None), name
        if url.hostname in LOOPBACK:
            assert url.scheme == "http", name
            if provider.ports:
                assert url.port in provider.ports, name
                assert provider.probes, f"{name}: a loopback address proves nothing, the answers must"
        else:
            assert url.scheme == "https", name
            assert provider.place is Place.CLOUD, name
            assert provider.key_env or provider.auth == "google" or provider.auth.startswith("aws:"), name


def test_only_an_engine_in_a_child_is_on_this_device_by_itself() -> None:
    for name, provider in PROVIDERS:
        assert (provider.place is Place.DEVICE) == (name in {"embedded", "transformers", "onnx-runtime"}), name
        assert provider.place in {Place.DEVICE, Place.CLOUD}, name


def test_capabilities_are_dated_and_known() -> None:
    for name, provider in PROVIDERS:
        for key, capability in provider.capabilities.items():
            assert key in CAPABILITIES, name
            if capability.can is not None:
                assert capability.source in {"catalogue", "probed", "declared"}, name
                dt.date.fromisoformat(capability.date)


def test_authentication_is_known() -> None:
    for name, provider in PROVIDERS:
        known = {"bearer", "x-api-key", "api-key", "x-goog-api-key", "none", "google"}
        assert provider.auth in known or provider.auth.startswith("aws:"), name
        assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", variable) for variable in provider.key_env), name
        assert not (provider.auth == "none" and provider.key_env), name


def test_its_evidence_is_said_in_a_sentence() -> None:
    for name, provider in PROVIDERS:
        evidence = provider.evidence
        assert evidence.label in {"live", "recorded", "schema", "docs"}, name
        assert evidence.what.endswith("."), name
        assert len(evidence.what) > 20, name


def test_probes_recognise_their_own_and_refuse_rubbish() -> None:
    for name, provider in PROVIDERS:
        for probe in provider.probes:
            assert probe.path.startswith("/"), name
            for body in (b"", b"<html>Welcome</html>", b"{}", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 10_000):
                assert probe.read(body) is None, name


def test_drop_and_rename_do_not_touch_the_content() -> None:
    for name, provider in PROVIDERS:
        touched = {*provider.drop, *provider.rename, *provider.rename.values()}
        assert touched.isdisjoint({"model", "messages", "input", "stream"}), name


def test_no_two_answer_the_same_port_alike() -> None:
    """Ports may be shared; then the answers tell the systems apart, which the probes' own tests show."""
    for _, provider in PROVIDERS:
        assert len(set(provider.ports)) == len(provider.ports)


def test_default_models_are_known_to_the_official_clients() -> None:
    anthropic = {name for part in get_args(ModelParam) for name in get_args(part)}
    assert set(registry.find("anthropic").default_models) <= anthropic
    assert set(registry.find("openai").default_models) <= set(get_args(ChatModel))
    with_defaults = [name for name, provider in PROVIDERS if provider.default_models]
    assert with_defaults == ["anthropic", "openai"]
