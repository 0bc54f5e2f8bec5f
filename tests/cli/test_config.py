"""``nearfar config``: what is shown, where from, and that no secret is in it."""

from __future__ import annotations

from tests.cli.conftest import Cli


def test_show_prints_every_setting_and_origin_says_who_set_it(cli: Cli) -> None:
    file = cli.write('[server]\nport = 9000\n[deployments.a]\nprovider = "openai"\nmodel = "m"\nkey = "env:K"\n')
    result = cli("config", "show", "--origin", "--config", file, "--set", "engine.slots=2", NEARFAR_OFFLINE="true")
    assert result.code == 0
    lines = {line.split(" = ")[0]: line for line in result.out.splitlines()}
    assert lines["server.port"].split() == ["server.port", "=", "9000", "#", "file", f"{file}:2"]
    assert lines["offline"].endswith("# env NEARFAR_OFFLINE")
    assert lines["engine.slots"].endswith("# flag --set engine.slots")
    assert lines["server.host"].endswith("# default")
    assert '"env:K"' in lines["deployments.a.key"]
    assert " # " not in cli("config", "show").out


def test_show_as_json(cli: Cli) -> None:
    shown = cli("config", "show", "--json", NEARFAR_SERVER__PORT="1").json
    assert set(shown) == {"settings", "origins", "files", "folders"}
    assert shown["settings"]["server"]["port"] == 1
    assert shown["origins"]["server.port"] == "env NEARFAR_SERVER__PORT"
    assert shown["folders"]["state"] == str(cli.home / ".local/state/nearfar")


def test_credentials_in_addresses_are_not_shown(cli: Cli) -> None:
    environ = {"HTTPS_PROXY": "http://me:hunter2@proxy:3128", "NEARFAR_LEDGER__URL": "postgresql://u:hunter2@db/x"}
    for args in (("config", "show"), ("config", "show", "--json"), ("config", "check", "--json")):
        result = cli(*args, **environ)
        assert result.code == 0
        assert "hunter2" not in result.out + result.err
    assert "http://***@proxy:3128" in cli("config", "show", **environ).out


def test_check_tells_everything_that_is_wrong(cli: Cli) -> None:
    file = cli.write('prot = 1\n[server]\nport = "x"\n')
    result = cli("config", "check", "-c", file, NEARFAR_OFFLINE="perhaps")
    assert result.code == 2
    assert result.out == ""
    assert result.err.count("error: ") == 3
    assert f"file {file}:3" in result.err


def test_check_knows_the_providers(cli: Cli) -> None:
    file = cli.write('[deployments.a]\nprovider = "opnai"\nmodel = "m"\n')
    result = cli("config", "check", "-c", file)
    assert (result.code, result.out) == (2, "")
    assert f"file {file}:2" in result.err
    assert "'openai'" in result.err
    assert cli("serve", "--port", "0", "-c", file).err == result.err


def test_check_of_a_sound_configuration(cli: Cli) -> None:
    file = cli.write("offline = true\n")
    assert cli("config", "check", "-c", file).out.startswith(f"ok: 1 setting from {file}")
    told = cli("config", "check", "-c", file, "--json").json
    assert told == {"ok": True, "files": [file], "set": ["offline"], "problems": [], "warnings": []}


def test_check_warns_of_what_one_deployment_lacks(cli: Cli) -> None:
    file = cli.write('[deployments.a]\nprovider = "openai"\nmodel = "m"\nkey = "env:NO_SUCH_KEY"\n')
    result = cli("config", "check", "-c", file)
    assert result.code == 0
    assert result.out.startswith("ok: ")
    assert result.err.splitlines() == [
        f"warning: deployments.a.key: the key at env:NO_SUCH_KEY is empty or not set (file {file}:4)",
        "  Set the variable: export NO_SUCH_KEY=…",
    ]
    assert cli("config", "check", "-c", file, NO_SUCH_KEY="k").err == ""


def test_check_as_json_tells_the_problems(cli: Cli) -> None:
    file = cli.write("[engine]\nslots = 0\n")
    result = cli("config", "check", "-c", file, "--json")
    assert result.code == 2
    (problem,) = result.json["problems"]
    assert (problem["key"], problem["origin"]) == ("engine.slots", f"file {file}:2")
    assert result.json["ok"] is False


def test_schema_is_json(cli: Cli) -> None:
    assert cli("config", "schema").json["$defs"]["Settings"]["properties"]["offline"]["type"] == "boolean"


def test_a_bad_set_is_a_usage_error(cli: Cli) -> None:
    result = cli("config", "show", "--set", "offline")
    assert (result.code, result.out) == (2, "")
    assert "KEY=VALUE" in result.err
