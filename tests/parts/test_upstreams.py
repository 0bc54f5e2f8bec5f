"""Who can be asked, and the way there."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from tests.parts.built import KEYS, gateway, loaded

from nearfar import build
from nearfar.gateway.transport import Proxies
from nearfar.parts import upstreams
from nearfar.policy.seal import Origin
from nearfar.settings.errors import SettingsError
from nearfar.settings.load import Loaded


def names(settings: Loaded) -> set[str]:
    with gateway(settings) as made:
        return {d.provider for t in made.fleet.snapshot.targets.values() if not (d := t.deployment).demo}


def test_providers_whose_key_is_in_the_environment_are_there(tmp_path: Path) -> None:
    keys = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
    assert names(loaded(tmp_path, base=KEYS, environ=keys)) == {"openai", "anthropic"}
    assert names(loaded(tmp_path, base=KEYS, environ={"OPENAI_API_KEY": ""})) == set()
    assert names(loaded(tmp_path, environ=keys)) == set(), "unless discovery.keys is off"


def test_offline_there_is_no_cloud(tmp_path: Path) -> None:
    settings = loaded(tmp_path, base=KEYS, environ={"OPENAI_API_KEY": "k"}, offline="true")
    assert names(settings) == set()


def test_loopback_is_asked_where_servers_usually_are_and_never_where_we_are(tmp_path: Path) -> None:
    from nearfar.providers import registry

    known = registry.load_all()
    found = upstreams.addresses(known, loaded(tmp_path))
    assert found["ollama"] == ("http://127.0.0.1:11434",)
    assert set(found["llama-cpp"]) == {"http://127.0.0.1:9931", "http://127.0.0.1:8080"}
    assert set(found) == {name for name, provider in known.items() if provider.probes}
    ours = upstreams.addresses(known, loaded(tmp_path, server__port="8080"))
    assert ours["llama-cpp"] == ("http://127.0.0.1:9931",)


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("127.0.0.1:9", ("http://127.0.0.1:9",)),
        ("0.0.0.0", ("http://127.0.0.1:11434",)),
        ("localhost", ("http://localhost:11434",)),
        ("[::1]:9", ("http://[::1]:9",)),
        ("10.0.0.5", ()),
        ("gpu.example.org", ()),
        ("127.example.org", ()),
    ],
)
def test_an_ollama_elsewhere_is_for_its_owner_to_declare(tmp_path: Path, host: str, asked: tuple[str, ...]) -> None:
    from nearfar.providers import registry

    settings = loaded(tmp_path, environ={"OLLAMA_HOST": host})
    assert upstreams.addresses(registry.load_all(), settings)["ollama"] == asked


def test_what_is_wrong_with_a_deployment_stops_the_start_and_says_where(tmp_path: Path) -> None:
    settings = loaded(tmp_path, '[deployments.x]\nprovider = "opnai"\nmodel = "m"\n')
    with pytest.raises(SettingsError, match=r"no provider 'opnai' \(file .*config\.toml:\d+\)"):
        build.gateway(settings)


def test_proxies_deadlines_and_authorities_reach_the_transport(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    environ = {
        "HTTPS_PROXY": "http://proxy.example.org:3128",
        "NO_PROXY": "internal.example.org",
        "SSL_CERT_FILE": str(ca),
    }
    with gateway(loaded(tmp_path, environ=environ, deadlines__connect="1.5")) as made:
        transport = made._transport
        assert transport._proxies == Proxies(
            https=Origin(scheme="http", host="proxy.example.org", port=3128), no_proxy=("internal.example.org",)
        )
        assert transport._deadlines.connect == 1.5
        assert len(transport._make_tls().get_ca_certs()) == 1, "these authorities and no others"
