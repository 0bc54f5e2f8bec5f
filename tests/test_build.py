"""What the composition root joins: each part gets what the settings say, and nothing is opened before it is needed."""

from __future__ import annotations

import asyncio
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests import running

from nearfar import build
from nearfar.core.engines import Endpoint, EngineStatus
from nearfar.core.errors import EgressDenied, RateLimitError
from nearfar.core.places import Class, Place
from nearfar.engine.estimate import plan
from nearfar.engine.gguf import read_header
from nearfar.engine.supervisor import Supervisor
from nearfar.gateway.fleet import build_head
from nearfar.gateway.health import CoolDown
from nearfar.gateway.metrics import Metrics
from nearfar.gateway.transport import Proxies
from nearfar.policy.seal import Origin, Sealer
from nearfar.server.run import warn
from nearfar.settings.errors import SettingsError
from nearfar.settings.load import Loaded, load
from nearfar.settings.model import Policy, Settings
from nearfar.store import keys
from nearfar.store.database import connect

FAR = running.far("far", "http://127.0.0.1:1")
KEYS = "[discovery]\nloopback = false\n"
"""Keys are looked for, running servers are not."""


def loaded(
    folder: Path, config: str = "", *, base: str = running.BASE, environ: dict[str, str] | None = None, **overrides: str
) -> Loaded:
    """Settings whose folders all lie in ``folder``; ``a__b`` overrides ``a.b``."""
    path = running.configure(folder, config, base=base)
    dotted = {name.replace("__", "."): value for name, value in overrides.items()}
    return load(
        config=path, overrides=dotted, environ=running.environment(folder, **(environ or {})), system=folder / "none"
    )


class Engines:
    """Engines of somebody else."""

    def __init__(self) -> None:
        self.closed = False

    async def acquire(self, model: str, owner: str = "") -> Endpoint:
        raise NotImplementedError

    def release(self, model: str, owner: str = "") -> None:
        raise NotImplementedError

    async def status(self) -> list[EngineStatus]:
        return []

    async def unload(self, model: str) -> bool:
        return False

    async def close(self) -> None:
        self.closed = True


@contextmanager
def gateway(settings: Loaded, **parts: Any) -> Iterator[build.Gateway]:
    """One that is never started."""
    made = build.gateway(settings, **parts)
    try:
        yield made
    finally:
        asyncio.run(made.close())


class Watch:
    """Tells what was opened while it is on; an audit hook cannot be taken away again."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and (event.startswith(("socket.", "subprocess.", "sqlite3.")) or event == "os.posix_spawn"):
            self.seen.append(event)


# ---------------------------------------------------------------- a quiet start


def test_putting_it_together_opens_no_socket_no_database_and_no_process(tmp_path: Path, tiny_gguf: Path) -> None:
    running.add_model(tmp_path, tiny_gguf, "mine")
    settings = loaded(tmp_path, FAR, base="", environ={"OPENAI_API_KEY": "k"})
    threads = threading.active_count()
    watch = Watch()
    watch.on = True
    made = build.gateway(settings)
    watch.on = False
    assert watch.seen == []
    assert threading.active_count() == threads
    assert not (tmp_path / "state" / "ledger.db").exists()
    assert {"far", "mine", "auto"} <= made.fleet.snapshot.routes.keys(), "and it can route at once"
    asyncio.run(made.close())


def test_closing_leaves_nothing_behind(tmp_path: Path) -> None:
    threads = threading.active_count()
    made = build.gateway(loaded(tmp_path, FAR))
    made.start()
    asyncio.run(made.close())
    assert threading.active_count() == threads
    assert list((tmp_path / "state" / "journal").iterdir()) == []


def test_the_state_is_its_owners_alone(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    url, journal = build.ledger_places(settings)
    assert url == f"sqlite:///{tmp_path / 'state' / 'ledger.db'}"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state", journal)] == [0o700, 0o700]


def test_a_configured_ledger_is_taken_as_it_is(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        environ={"LEDGER": "postgresql://127.0.0.1/x"},
        ledger__url="env:LEDGER",
        ledger__journal=str(tmp_path / "j"),
    )
    assert build.ledger_places(settings) == ("postgresql://127.0.0.1/x", tmp_path / "j")
    assert not (tmp_path / "state").exists()


def test_what_is_wrong_with_a_deployment_stops_the_start_and_says_where(tmp_path: Path) -> None:
    settings = loaded(tmp_path, '[deployments.x]\nprovider = "opnai"\nmodel = "m"\n')
    with pytest.raises(SettingsError, match=r"no provider 'opnai' \(file .*config\.toml:\d+\)"):
        build.gateway(settings)


# ---------------------------------------------------------------- engines


def test_the_engine_is_ours_or_our_parents_or_none(tmp_path: Path) -> None:
    with gateway(loaded(tmp_path)) as made:
        assert isinstance(made.engines, Supervisor)
    with gateway(loaded(tmp_path, engine__enabled="false")) as made:
        assert made.engines is None
    theirs = Engines()
    with gateway(loaded(tmp_path), engines=theirs) as made:
        assert made.engines is theirs
    assert theirs.closed


def test_a_model_file_offers_the_context_that_a_request_really_gets(tmp_path: Path, tiny_gguf: Path) -> None:
    running.add_model(tmp_path, tiny_gguf, "mine")
    settings = loaded(tmp_path, engine__context="300")
    with gateway(settings) as made:
        found = made.fleet.snapshot.targets["mine"].deployment
        assert found.context == plan(read_header(tiny_gguf), settings.settings.engine).context
        assert found.place is Place.DEVICE


# ---------------------------------------------------------------- what is found


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
    found = build._addresses(known, loaded(tmp_path))
    assert found["ollama"] == ("http://127.0.0.1:11434",)
    assert set(found["llama-cpp"]) == {"http://127.0.0.1:9931", "http://127.0.0.1:8080"}
    assert set(found) == {name for name, provider in known.items() if provider.probes}
    ours = build._addresses(known, loaded(tmp_path, server__port="8080"))
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
    assert build._addresses(registry.load_all(), settings)["ollama"] == asked


# ---------------------------------------------------------------- policy and transport


def test_the_policy_table_becomes_rules() -> None:
    plain = build.rules_from(Settings())
    assert (plain.name, plain.offline, plain.default) == ("default", False, Class.INTERNAL)
    assert [plain.reach(item) for item in Class] == [Place.CLOUD, Place.CLOUD, Place.DEVICE, Place.DEVICE]
    policy = Policy(public="private-cloud", internal="lan", confidential="device", default_class="confidential")
    own = build.rules_from(Settings(policy=policy, offline=True))
    assert (own.name, own.offline, own.default) == ("configured", True, Class.CONFIDENTIAL)
    assert [own.reach(item) for item in Class] == [Place.PRIVATE_CLOUD, Place.LAN, Place.DEVICE, Place.DEVICE]


def test_each_gateway_trusts_its_own_seals_alone(tmp_path: Path) -> None:
    origin = Origin(scheme="http", host="127.0.0.1", port=1)
    foreign = Sealer(b"0" * 32).probe(
        attempt="a",
        place=Place.DEVICE,
        reach=Place.DEVICE,
        origin=origin,
        target="/",
        head=build_head("GET", "/", origin, ()),
    )
    with gateway(loaded(tmp_path)) as made, pytest.raises(EgressDenied, match="nothing was sent"):
        asyncio.run(made._transport.send(foreign))


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


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize(
    ("host", "bound"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("127.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_what_reaches_nobody_but_this_machine(host: str, bound: bool) -> None:
    assert build.is_loopback(host) is bound


@pytest.mark.parametrize(
    ("host", "said", "without", "with_one"),
    [
        ("127.0.0.1", None, False, True),
        ("127.0.0.1", "true", True, True),
        ("127.0.0.1", "false", False, False),
        ("0.0.0.0", None, True, True),
    ],
)
def test_when_a_key_is_needed(tmp_path: Path, host: str, said: str | None, without: bool, with_one: bool) -> None:
    config = "" if said is None else f"[server]\nrequire_key = {said}\n"
    settings = loaded(tmp_path, config, server__host=host)
    with gateway(settings) as made:
        made._ring.refresh()
        assert made.keys.required is without
        assert not build.has_keys(settings)
        with closing(connect(settings.ledger_url)) as connection:
            key, secret = keys.new(connection, "anna", floor=Class.RESTRICTED)
        made._ring.refresh()
        assert made.keys.required is with_one
        assert build.has_keys(settings)
        caller = made.keys.lookup(secret)
        assert caller is not None
        assert (caller.id, caller.floor) == (key.id, Class.RESTRICTED)
        with closing(connect(settings.ledger_url)) as connection:
            keys.revoke(connection, key.id)
        made._ring.refresh()
        assert made.keys.lookup(secret) is None
        assert made.keys.required is with_one, "revoking the last key opens no door"
        assert not build.has_keys(settings)


# ---------------------------------------------------------------- what operators are told


def test_ready_is_who_can_account_and_has_somewhere_to_send(tmp_path: Path) -> None:
    def ready(settings: Loaded, *, closed: bool = False) -> dict[str, bool]:
        with gateway(settings) as made:
            if closed:
                made._ledger.close()
            return {check.name: check.ok for check in made.readiness()}

    assert ready(loaded(tmp_path, FAR)) == {"ledger": True, "deployments": True}
    assert ready(loaded(tmp_path, engine__enabled="false")) == {"ledger": True, "deployments": False}
    looking = loaded(tmp_path, engine__enabled="false", discovery__loopback="true")
    assert ready(looking) == {"ledger": True, "deployments": True}, "none yet is not none"
    assert ready(loaded(tmp_path, FAR), closed=True) == {"ledger": False, "deployments": True}


def test_counts_of_other_workers_are_added(tmp_path: Path) -> None:
    other = Metrics()
    other.rejected("overloaded")

    async def others() -> list[Any]:
        return [other.snapshot(), other.snapshot()]

    with gateway(loaded(tmp_path), other_metrics=others) as made:
        made.metrics.rejected("overloaded")
        text = asyncio.run(made.metrics_text()).decode()
    assert 'nearfar_rejected_requests_total{code="overloaded"} 3' in text


def test_cool_downs_are_shown_and_told_to_others(tmp_path: Path) -> None:
    told: list[CoolDown] = []
    with gateway(loaded(tmp_path, FAR), publish=told.append) as made:
        made.health.failed("far", RateLimitError("", retry_after=9))
        ((rest, left),) = made.cooling()
        assert told == [rest]
        assert (rest.deployment, rest.reason) == ("far", "rate_limit_exceeded")
        assert 0 < left <= 9
        made.health.succeeded("far")
        assert list(made.cooling()) == []


def test_a_policy_that_is_observed_is_loud_and_holds_nothing_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = loaded(tmp_path, "[policy]\npreset = 'tw-medical'\nmode = 'observe'\n")

    async def scenario() -> None:
        gateway = build.gateway(given)
        try:
            assert gateway.observer is not None
            (policy,) = [check for check in gateway.readiness() if check.name == "policy"]
            assert policy.ok
            assert policy.detail.startswith("NOT ENFORCED")
            warn(gateway)
        finally:
            await gateway.close()
        held = build.gateway(loaded(tmp_path, "[policy]\npreset = 'tw-medical'\n"))
        try:
            assert held.observer is None
            assert "policy" not in {check.name for check in held.readiness()}
        finally:
            await held.close()

    asyncio.run(scenario())
    (record,) = [item for item in caplog.records if item.name == "nearfar.server"]
    assert (record.levelname, record.message.partition(":")[0]) == ("WARNING", "NOT ENFORCED")
