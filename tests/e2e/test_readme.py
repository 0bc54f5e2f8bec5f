"""Follow the README and the second tutorial word by word, with the ports of this run in place of theirs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import running
from tests import stand_in as stand_ins
from tools.docs import demo
from tools.docs.blocks import ROOT
from tools.docs.snippets import snippets

pytestmark = pytest.mark.slow

README = (ROOT / "README.md").read_text("utf-8")
TUTORIAL = (ROOT / "docs" / "en" / "tutorials" / "local-and-cloud.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:8642"


def marked(name: str) -> str:
    [found] = [item.body for item in snippets(README) if item.mark == name]
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Gateway]:
    """What `make serve` starts where nothing is configured or found."""
    with running.gateway(tmp_path_factory.mktemp("readme"), "") as gateway:
        yield gateway


def test_the_python_snippet(served: running.Gateway) -> None:
    code = marked("python").replace(ADDRESS, served.url)
    assert served.url in code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=running.environment(served.folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_curl_snippet_and_its_headers(served: running.Gateway) -> None:
    words = shlex.split(marked("curl").replace("\\\n", " "))
    assert words[:2] == ["curl", "-si"]
    url, *options = words[2:]
    given = dict(zip(options[::2], options[1::2], strict=True))
    assert set(given) == {"-H", "-d"}
    name, _, value = given["-H"].partition(": ")
    reply = served.ask(url.removeprefix(ADDRESS), given["-d"].encode(), headers={name: value})
    assert reply.status == 200
    assert reply.json["choices"][0]["message"]["content"]
    told = dict(line.split(": ", 1) for line in marked("headers").splitlines())
    came = {name: value for name, value in reply.headers.items() if name.startswith("x-nearfar-")}
    assert list(told) == list(came), "names and order"
    shape = re.compile(r"req-[0-9a-f]+")
    assert shape.fullmatch(told.pop("x-nearfar-request"))
    assert shape.fullmatch(came.pop("x-nearfar-request"))
    assert told == came


def test_the_configuration_decides_as_shown(tmp_path: Path) -> None:
    [shown] = [item.body for item in snippets(README) if item.kind == "console"]
    [config] = [item.body for item in snippets(README) if item.kind == "toml" and "[routes.patients]" in item.body]
    command, _, expected = shown.partition("\n")
    running.configure(tmp_path, config, base="")
    done = running.command(tmp_path, *shlex.split(command.removeprefix("$ nearfar ")), OPENAI_API_KEY="unused")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected.strip()


def test_the_demo_is_what_the_pages_show() -> None:
    recorded = demo.RECORDED.read_text("utf-8")
    assert recorded.startswith("near: demo-tiny, "), "`python -m tools.docs.generate --demo` records it anew"
    assert [essence(row) for row in demo.rows(demo.run())] == [essence(row) for row in demo.rows(recorded)]


def essence(row: dict[str, str]) -> tuple[str, str, str]:
    """What does not differ from run to run: a killed engine shows itself in one of several errors."""
    why = row["WHY"].removesuffix("; stopped at the output limit")
    return row["SCENE"], row["RAN"], re.sub(r"failover:near:\w+", "failover:near:", why)


def test_the_tutorial_of_local_and_cloud(tmp_path: Path, stand_in: stand_ins.Running) -> None:
    config = next(item.body for item in snippets(TUTORIAL) if item.kind == "toml")
    config = config.replace("http://127.0.0.1:8700", stand_in.url)
    assert stand_in.url in config
    said = re.findall(r"`((?:near|far) \([^`]*|deviations: [^`]*|far: [^`]*)`", TUTORIAL)
    near, far, failover, kept = said
    with running.gateway(tmp_path, config) as gateway:

        def run(*words: str, code: int = 0) -> str:
            done = running.command(tmp_path, "run", *words, NEARFAR_URL=gateway.url)
            assert done.returncode == code, done.stderr
            return done.stderr

        assert near in run("assistant", "Who are you?", "-v")
        assert far in run("writer", "Who are you?", "-v")
        stand_in.behave("429")
        assert failover in run("writer", "Who are you?", "-v")
        assert "far rests for" in running.command(tmp_path, "ps", NEARFAR_URL=gateway.url).stdout
        stand_in.behave("ok")
        assert kept in run("writer", "--class", "confidential", "Who are you?", "-v")
        before = len(stand_in.report().requests)
        assert "confidential" in run("far", "--class", "confidential", "Who are you?", code=4)
        assert len(stand_in.report().requests) == before
