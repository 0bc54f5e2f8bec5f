"""The drill's stage: the owner's rules without keys and addresses, and replies read as a client does."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
from tests.cli.drilled import FAR, NEAR, ROUTE

from nearfar.cli.drill_stage import Behind, configuration, read
from nearfar.settings.model import Policy, RouteSetting, Settings


def test_the_copy_has_the_owners_rules_and_neither_keys_nor_addresses() -> None:
    settings = Settings(
        policy=Policy(preset="team", harmless=('a "quoted" one',)),
        routes={"main": RouteSetting(deployments=("near", "far", "gone"), strategy="local-first", class_="internal")},
        offline=True,
    )
    behind = [Behind(deployment=NEAR, behaviour={"mode": "500"}), Behind(deployment=FAR)]
    text = configuration(Path("/x"), "http://127.0.0.1:9", settings, ROUTE, behind)
    assert "secret" not in text.lower()
    assert "cloud.example" not in text
    made = tomllib.loads(text)
    assert made["policy"]["preset"] == "team"
    assert made["policy"]["harmless"] == ['a "quoted" one']
    assert made["offline"] is True
    assert made["routes"]["main"]["deployments"] == ["near", "far"]
    assert made["routes"]["main"]["class"] == "internal"
    near, far = made["deployments"]["near"], made["deployments"]["far"]
    assert (near["place"], far["place"]) == ("device", "cloud")
    assert near["base_url"] == "http://127.0.0.1:9/v1"
    assert far["base_url"].startswith("http://127.0.0.1:1/"), "nobody listens there"
    assert near["capabilities"] == {"tools": True}
    assert (near["price"], near["context"]) == ({"input": 2.0, "output": 8.0}, 8192)
    assert msgspec.json.decode(near["headers"]["x-stand-in"]) == {"mode": "500"}
    msgspec.convert({key: value for key, value in made.items() if key != "log"}, Settings)


def test_replies_are_read_as_a_client_does() -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
    assert read(200, event + b"data: [DONE]\n\n", stream=True) == ("a", True, "")
    assert read(200, event, stream=True) == ("a", False, "")
    assert read(200, b'{"choices":[{"message":{"content":"a"}}]}', stream=False) == ("a", True, "")
    assert read(200, b'{"choices":[', stream=False) == ("", False, "no_reply")
    assert read(503, b'{"error":{"code":"overloaded"}}', stream=False) == ("", False, "overloaded")
    assert read(0, b"", stream=True) == ("", False, "no_reply")
