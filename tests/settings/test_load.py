"""Order of the sources, origins, strictness, and what a configuration may never do."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.settings.errors import SettingsError
from nearfar.settings.load import Loaded, load
from nearfar.settings.model import Settings

FULL = """
offline = false
[server]
port = 9000
[deployments.near]
provider = "embedded"
model = "demo-tiny"
[deployments."gpt-4.1"]
provider = "openai"
model = "gpt-4.1"
key = "env:OPENAI_API_KEY"
price = {input = 2, output = 8.5}
headers.x-team = "a"
[routes.smart]
deployments = ["near", "gpt-4.1"]
class = "internal"
"""


class Home:
    """A home and a system file of its own, so that this machine's never play a part."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.system = root / "etc.toml"
        self.user = root / ".config/nearfar/config.toml"
        self.user.parent.mkdir(parents=True)

    def load(
        self,
        config: str | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        flags: Mapping[str, str] | None = None,
    ) -> Loaded:
        path = None
        if config is not None:
            path = self.root / "named.toml"
            path.write_text(config)
        return load(
            config=path, overrides=flags or {}, environ={"HOME": str(self.root), **(environ or {})}, system=self.system
        )

    def wrong(
        self,
        config: str | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        flags: Mapping[str, str] | None = None,
    ) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            self.load(config, environ, flags=flags)
        assert caught.value.status == 400
        return [f"{problem.text} | {problem.hint}" for problem in caught.value.problems]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_without_anything_every_value_is_the_default(home: Home) -> None:
    loaded = home.load()
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.files == ()
    assert "server.port" in loaded.origins
    assert "deployments" in loaded.origins


def test_each_source_wins_over_the_weaker_ones(home: Home) -> None:
    def port() -> tuple[int, str]:
        loaded = home.load(named, env, flags=flags)
        return loaded.settings.server.port, loaded.origins["server.port"]

    named: str | None = None
    flags: dict[str, str] = {}
    env: dict[str, str] = {}
    home.system.write_text("[server]\nport = 1\n")
    assert port() == (1, f"file {home.system}:2")
    home.user.write_text("# mine\nserver.port = 2\n")
    assert port() == (2, f"file {home.user}:2")
    named = "[server]\nhost = '::1'\nport = 3\n"
    assert port() == (3, f"file {home.root / 'named.toml'}:3")
    env["NEARFAR_SERVER__PORT"] = "4"
    assert port() == (4, "env NEARFAR_SERVER__PORT")
    flags["server.port"] = "5"
    assert port() == (5, "flag --port")


def test_the_flag_names_another_file_than_the_variable(home: Home) -> None:
    (home.root / "other.toml").write_text("offline = true")
    other = str(home.root / "other.toml")
    assert home.load(None, {"NEARFAR_CONFIG": other}).settings.offline
    assert home.load(None, {"NEARFAR_CONFIG": other}).files == (other,)
    assert not home.load("", {"NEARFAR_CONFIG": other}).settings.offline


def test_a_file_of_the_current_folder_is_not_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    project = home.root / "project"
    project.mkdir()
    for name in ("nearfar.toml", ".nearfar.toml", "config.toml", "pyproject.toml"):
        (project / name).write_text("offline = true\n[tool.nearfar]\noffline = true\n")
    monkeypatch.chdir(project)
    assert home.load().settings == Settings()


def test_the_process_environment_plays_no_part(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARFAR_OFFLINE", "true")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    assert not home.load().settings.offline


def test_a_full_file_with_its_origins(home: Home) -> None:
    loaded = home.load(FULL, {"NEARFAR_DEPLOYMENTS__GPT_4_1__CONTEXT": "1000"})
    far = loaded.settings.deployments["gpt-4.1"]
    assert far.price is not None
    assert (far.price.input, far.price.output, far.context) == (2.0, 8.5, 1000)
    assert loaded.settings.routes["smart"].class_ == "internal"
    file = home.root / "named.toml"
    assert loaded.origins['deployments."gpt-4.1".price.output'] == f"file {file}:12"
    assert loaded.origins['deployments."gpt-4.1".context'] == "env NEARFAR_DEPLOYMENTS__GPT_4_1__CONTEXT"
    assert loaded.origins["routes.smart.class"] == f"file {file}:16"
    assert loaded.origins["routes.smart.strategy"] == "default"


def test_lines_are_not_counted_inside_multi_line_text(home: Home) -> None:
    loaded = home.load('state_dir = """\n/x\\\n[server]\\\nport = 7\\\n"""\n[server]\nport = 8\n')
    assert loaded.origins["server.port"] == f"file {home.root / 'named.toml'}:7"


def test_a_deployment_in_a_stronger_file_replaces_the_weaker_one_whole(home: Home) -> None:
    """Else the key of one file would be sent to the address of another."""
    home.user.write_text(
        '[deployments.a]\nprovider = "openai"\nmodel = "m"\nkey = "env:MINE"\n'
        '[deployments.b]\nprovider="x"\nmodel="y"\n'
    )
    loaded = home.load(
        '[deployments.a]\nprovider = "openai-compatible"\nmodel = "m"\nbase_url = "https://other.example"\n'
    )
    assert loaded.settings.deployments["a"].key == ""
    assert set(loaded.settings.deployments) == {"a", "b"}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("NEARFAR_OFFLINE", "yes", True),
        ("NEARFAR_OFFLINE", "0", False),
        ("NEARFAR_SERVER__REQUIRE_KEY", "none", None),
        ("NEARFAR_SERVER__ALLOWED_HOSTS", "a.example, b.example", ("a.example", "b.example")),
        ("NEARFAR_SERVER__ALLOWED_HOSTS", '["a.example"]', ("a.example",)),
        ("NEARFAR_SERVER__ALLOWED_HOSTS", "", ()),
        ("NEARFAR_SERVER__SHUTDOWN_GRACE", "2.5", 2.5),
        ("NEARFAR_SERVER__TLS_CERT", "", ""),
        ("NEARFAR_LOG__LEVEL", "debug", "debug"),
    ],
)
def test_text_from_the_environment(home: Home, name: str, text: str, expected: object) -> None:
    loaded = home.load(None, {name: text})
    value: object = loaded.settings
    for part in name.removeprefix("NEARFAR_").lower().split("__"):
        value = getattr(value, part)
    assert value == expected


def test_a_whole_deployment_from_one_variable(home: Home) -> None:
    text = '{provider = "ollama", model = "m:1b", capabilities = {tools = true}}'
    loaded = home.load(None, {"NEARFAR_DEPLOYMENTS__SMALL": text})
    assert loaded.settings.deployments["small"].capabilities == {"tools": True}


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"NEARFAR_SERVR__PORT": "1"}, "'server'"),
        ({"NEARFAR_SERVER__PROT": "1"}, "'port'"),
        ({"NEARFAR_SERVER__PORT": "x"}, "whole number"),
        ({"NEARFAR_SERVER__PORT": ""}, "empty"),
        ({"NEARFAR_SERVER__PORT": "70000"}, "between 0 and 65535"),
        ({"NEARFAR_SERVER__PORT": "1e3"}, "whole number"),
        ({"NEARFAR_OFFLINE": "maybe"}, "true or false"),
        ({"NEARFAR_DEADLINES__TOTAL": "nan"}, "finite"),
        ({"NEARFAR_DEADLINES__TOTAL": "inf"}, "finite"),
        ({"NEARFAR_SERVER": "3"}, "table"),
        ({"NEARFAR_SERVER__PORT__X": "3"}, "no parts"),
        ({"NEARFAR_SERVER__": "3"}, "not a setting's name"),
        ({"NEARFAR_LOG__LEVEL": "inof"}, "'info'"),
        ({"NEARFAR_CONFIG": "/nonexistent/nearfar.toml"}, "no file"),
        ({"HTTPS_PROXY": "socks5://127.0.0.1:1080"}, "http://"),
    ],
)
def test_a_bad_variable_is_an_error_never_ignored(home: Home, environ: dict[str, str], told: str) -> None:
    (problem,) = home.wrong(None, environ)
    assert told in problem
    assert f"env {next(iter(environ))}" in problem


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("server.port = '9000'", "must be a whole number (text given)"),
        ("server.port = true", "true or false given"),
        ("offline = 1", "must be true or false"),
        ("server = 1", "must be a table"),
        ("prot = 1", "unknown setting"),
        ("server.workers = 0", "between 1 and 256"),
        ("server.tls_cert = 'a.pem'", "without server.tls_key"),
        ("server.cors_origins = ['*']", "any web page"),
        ("server.cors_origins = ['https://a.example/path']", "not an origin"),
        ("server.allowed_hosts = ['https://a.example']", "not a host name"),
        ("policy.confidential = 'cloud'\npolicy.internal = 'lan'", "reaches further"),
        ("ledger.url = 'mysql://h/db'", "sqlite:///PATH"),
        ("[routes.x]\ndeployments = []", "no deployment"),
        ("[routes.x]\ndeployments = ['neer']\n[deployments.near]\nprovider='a'\nmodel='b'", "'near'"),
        ("[routes.x]\ndeployments = ['a','a']\n[deployments.a]\nprovider='a'\nmodel='b'", "twice"),
        ("[routes.x]\nstrategy = 'local-frist'\ndeployments=['a']", "'local-first'"),
        ("[routes.'a b']\ndeployments = ['a']\n[deployments.a]\nprovider='a'\nmodel='b'", "usable name"),
        ("[deployments.a]\nprovider = 'openai'", "deployments.a.model: is missing"),
        ("[deployments.a]\nprovider = 'openai'\nmodel = 'm'\nprice = {input = 1}", "price.output: is missing"),
        ("[deployments.a]\nprovider = 'openai'\nmodel = 'm'\nprice = {input = -1, output = 1}", "less than 0"),
        ("[deployments.a]\nprovider = 'openai'\nmodel = ''", "empty"),
        ("[deployments.a]\nprovider = 'o'\nmodel = 'm'\nbase_url = 'ftp://x'", "http://"),
        ("[deployments.a]\nprovider = 'o'\nmodel = 'm'\nbase_url = 'http://'", "no host"),
        ("[deployments.a]\nprovider = 'o'\nmodel = 'm'\nbase_url = 'http://h:99999'", "not a URL"),
        ("[deployments.a]\nprovider = 'o'\nmodel = 'm'\nbase_url = 'http://h/?a=b'", "query"),
        (
            "[deployments.a]\nprovider = 'o'\nmodel = 'm'\nbase_url = 'http://192.0.2.7/v1'\nplace = 'device'",
            "names another",
        ),
        ("[deployments.a]\nprovider = 'o'\nmodel = 'm'\nheaders = {Host = 'x'}", "set by the transport"),
        ('[deployments.a]\nprovider = "o"\nmodel = "m"\nheaders = {X-A = "a\\nb"}', "no header may carry"),
        ("a = 1\na = 2", "not valid TOML"),
        ("b = 1\na = \n", "named.toml:2"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(home: Home, text: str, told: str) -> None:
    problems = home.wrong(text)
    assert any(told in problem for problem in problems), problems
    assert all(f"file {home.root / 'named.toml'}" in problem for problem in problems)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"x = 1 # " + b"a" * (1 << 20), b"a" + b".a" * 1500 + b" = 1"])
def test_a_file_that_is_none(home: Home, data: bytes) -> None:
    home.user.write_bytes(data)
    (problem, *_) = home.wrong()
    assert str(home.user) in problem


def test_a_folder_as_the_file(home: Home) -> None:
    with pytest.raises(SettingsError, match="cannot be used"):
        load(config=home.root, environ={"HOME": str(home.root)}, system=home.system)


SECRET = "sk-proj-0123456789abcdefghij"


@pytest.mark.parametrize(
    "line",
    [
        f"key = '{SECRET}'",
        f"key = 'env:{SECRET}'",
        f"base_url = 'https://me:{SECRET}@api.example/v1'",
        f"headers = {{Authorization = 'Bearer {SECRET}'}}",
        f"headers = {{x-api-key = '{SECRET}'}}",
        f"context = '{SECRET}'",
        f"place = '{SECRET}'",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(home: Home, line: str) -> None:
    problems = home.wrong(f"[deployments.a]\nprovider = 'openai'\nmodel = 'm'\n{line}\n")
    assert problems
    assert SECRET not in " ".join(problems)


def test_all_problems_are_told_at_once(home: Home) -> None:
    with pytest.raises(SettingsError) as caught:
        home.load("prot = 1\nserver.port = 'x'\n", {"NEARFAR_OFFLINE": "perhaps"})
    assert len(caught.value.problems) == 3
    assert "2 more" in caught.value.message


def test_a_table_that_lacks_one_of_few_words_is_told_of(home: Home) -> None:
    (told,) = home.wrong("[detectors.x]\nthreshold = 0.5\n")
    assert told.startswith("detectors.x.engine: is missing and has no default")


def test_twice_as_many_deployments_take_about_twice_as_many_steps(home: Home) -> None:
    def steps(count: int) -> int:
        text = "".join(f'[deployments.d{n}]\nprovider = "openai"\nmodel = "m"\n' for n in range(count))
        seen = 0

        def step(*_: object) -> None:
            nonlocal seen
            seen += 1

        before = sys.getprofile()
        sys.setprofile(step)
        try:
            home.load(text)
        finally:
            sys.setprofile(before)
        return seen

    home.load()  # what is only done once is done
    least = steps(0)
    assert steps(120) - least < 2.5 * (steps(60) - least)


def test_the_digest_stands_for_the_files_and_nothing_else(home: Home) -> None:
    empty = home.load()
    home.user.write_text("offline = true\n")
    first = home.load()
    assert first.digest == home.load(environ={"NEARFAR_SERVER__PORT": "1"}, flags={"engine.slots": "2"}).digest
    home.user.write_text("offline = true\n# a remark\n")
    assert len({empty.digest, first.digest, home.load().digest, home.load("").digest}) == 4


def test_virtual_names_may_be_routes_of_ones_own(home: Home) -> None:
    text = "[deployments.a]\nprovider='openai'\nmodel='m'\n"
    loaded = home.load(text + "".join(f"[routes.{name}]\ndeployments=['a']\n" for name in ("auto", "local", "cloud")))
    assert set(loaded.settings.routes) == {"auto", "local", "cloud"}


def test_proxies_come_from_the_standard_variables_unless_settings_say_otherwise(home: Home) -> None:
    environ = {"HTTPS_PROXY": "proxy.example:3128", "http_proxy": "http://low:1", "HTTP_PROXY": "http://up:2"}
    loaded = home.load(None, {**environ, "NO_PROXY": "localhost,.internal"})
    proxy = loaded.settings.proxy
    assert (proxy.https, proxy.http) == ("http://proxy.example:3128", "http://low:1")
    assert proxy.no_proxy == ("localhost", ".internal")
    assert loaded.origins["proxy.http"] == "env http_proxy"
    off = home.load('proxy.https = ""', environ)
    assert off.settings.proxy.https == ""
    assert off.origins["proxy.https"].startswith("file ")


def test_every_setting_has_an_origin_and_round_trips_through_set(home: Home) -> None:
    loaded = home.load(FULL, flags={'deployments."gpt-4.1".region': "eu", "offline": "true"})
    assert loaded.origins['deployments."gpt-4.1".region'] == 'flag --set deployments."gpt-4.1".region'
    assert loaded.origins["offline"] == "flag --offline"


def test_the_ledgers_places(home: Home) -> None:
    plain = home.load()
    assert plain.ledger_url == f"sqlite:///{home.root}/.local/state/nearfar/ledger.db"
    assert plain.journal == home.root / ".local/state/nearfar/journal"
    far = home.load('[ledger]\nurl = "env:DB"\njournal = "/j"\n', {"DB": "postgresql://u:p@h/db"})
    assert far.ledger_url == "postgresql://u:p@h/db"
    assert far.settings.ledger.url == "env:DB"
    assert far.journal == Path("/j")


def test_a_flag_with_a_bad_name(home: Home) -> None:
    assert "not a setting's name" in home.wrong(flags={"a b": "1"})[0]
    assert "'server'" in home.wrong(flags={"servr.port": "1"})[0]


def test_a_variable_without_a_setting_of_ours_is_left_alone(home: Home) -> None:
    home.load(None, {"NEARFAR_API_KEY": "nf-secret", "NEARFAR_URL": "http://127.0.0.1:1", "PATH": os.defpath})


@given(st.dictionaries(st.sampled_from(["PORT", "HOST", "WORKERS", "TLS_CERT", "X", ""]), st.text(max_size=12)))
def test_any_environment_loads_or_is_refused_with_a_typed_error(values: dict[str, str]) -> None:
    environ = {f"NEARFAR_SERVER__{name}": value for name, value in values.items()}
    origins = []
    try:
        load(environ={"HOME": "/nonexistent", **environ}, system=Path("/nonexistent/system.toml"))
    except SettingsError as error:
        origins = [problem.origin for problem in error.problems] or ["nothing told"]
    assert all(origin.startswith("env NEARFAR_SERVER__") for origin in origins)
