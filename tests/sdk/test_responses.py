"""Responses, completions and transcriptions through the official openai client, current and previous major.

Real: the client, the gateway as a program, the embedded engine. Stand-ins: OpenAI's own service (``doors``), a cloud
whose streams break (``nearfar.standin``).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import openai
import pytest
from tests import running
from tests import stand_in as stand_ins
from tests.sdk import doors as doors_module
from tests.sdk import responses_checks as checks
from tests.tiny_gguf import write_chat


class Served(NamedTuple):
    """A gateway that keeps responses, the keys of two callers, and the stand-in for OpenAI."""

    gateway: running.Gateway
    key: str
    other: str
    doors: doors_module.Doors


def config(doors: str, stand_in: str) -> str:
    like = 'provider = "openai"\nbase_url = "{url}/v1"\nmodel = "{model}"\n'
    return (
        "[responses]\nkeep_hours = 1\n"
        + running.far("far", stand_in)
        + running.far("cut", stand_in, behaviour={"mode": "cut", "after": 3})
        + running.far("limited", stand_in, behaviour={"mode": "429", "retry_after": 7})
        + f"\n[deployments.like]\n{like.format(url=doors, model='golden')}"
        + f"\n[deployments.like-cut]\n{like.format(url=doors, model='cut')}"
    )


@pytest.fixture(scope="session")
def keeping(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("keeping")
    running.add_model(folder, tiny_gguf, "tiny")
    running.add_model(folder, write_chat(folder / "endless.gguf", eos_bias=-100.0, context=4096), "endless")
    with doors_module.running() as doors, stand_ins.running() as stand_in:
        text = config(doors.url, stand_in.url)
        running.configure(folder, text)
        keys = []
        for name in ("sdk", "other"):
            made = running.command(folder, "keys", "new", name, "--quiet")
            assert made.returncode == 0, made.stderr
            keys.append(made.stdout.strip())
        base = running.BASE.replace("context = 512", "context = 4096")
        with running.gateway(folder, text, base=base) as gateway:
            yield Served(gateway, keys[0], keys[1], doors)


@pytest.fixture(scope="session")
def previous_major(keeping: Served, openai_previous: Path) -> dict[str, str]:
    """What the previous major's run of every check found: {name: traceback or ""}."""
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-W",
            "error::ResourceWarning",
            checks.__file__,
            keeping.gateway.url,
            keeping.key,
            keeping.other,
        ],
        env=running.environment(keeping.gateway.folder, PYTHONPATH=str(openai_previous)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_the_two_majors_differ(previous_major: dict[str, str]) -> None:
    assert int(previous_major["version"].split(".")[0]) == int(openai.__version__.split(".")[0]) - 1


@pytest.mark.parametrize("name", checks.CHECKS)
def test_current_major(keeping: Served, name: str) -> None:
    with (
        checks.client(keeping.gateway.url, keeping.key) as mine,
        checks.client(keeping.gateway.url, keeping.other) as other,
    ):
        checks.CHECKS[name](mine, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", checks.CHECKS)
def test_previous_major(previous_major: dict[str, str], name: str) -> None:
    assert not previous_major[name], previous_major[name]


def test_nothing_was_stored_upstream_and_forms_passed_as_they_were(keeping: Served) -> None:
    with checks.client(keeping.gateway.url, keeping.key) as mine:
        checks.check_like_wires(mine, mine)
        checks.check_transcriptions(mine, mine)
    bodies = [json.loads(body) for path, _, body in keeping.doors.seen if path == "/v1/responses"]
    assert bodies
    assert all(body["store"] is False and "previous_response_id" not in body for body in bodies)
    forms = [(kind, body) for path, kind, body in keeping.doors.seen if path == "/v1/audio/transcriptions"]
    assert forms
    for kind, body in forms:
        assert kind.partition("boundary=")[2].encode() in body
        assert b'name="model"\r\n\r\ngolden\r\n' in body
        assert bytes(2000) in body


def test_what_is_kept_lies_encrypted(keeping: Served) -> None:
    word = "unmistakable-word"
    with checks.client(keeping.gateway.url, keeping.key) as mine:
        made = mine.responses.create(model="tiny", input=f"Say {word}.", max_output_tokens=4)
        assert mine.responses.retrieve(made.id).id == made.id
    files = [path for path in keeping.gateway.state.rglob("*") if path.is_file()]
    assert any(path.name == "responses.key" for path in files)
    assert all(word.encode() not in path.read_bytes() for path in files)


def test_leaving_a_stream_is_a_cancelled_attempt(keeping: Served) -> None:
    with checks.client(keeping.gateway.url, keeping.key) as mine:
        stream = mine.responses.create(model="endless", input="Say something.", stream=True)
        request = stream.response.headers["x-nearfar-request"]
        next(iter(stream))
        stream.close()
    (entry,) = keeping.gateway.attempts(request)
    assert entry.outcome == "cancelled"
