"""The stage's own parts; the whole of it is played in test_verify_egress."""

from __future__ import annotations

import json
from pathlib import Path

from nearfar.cli import verify_stage
from nearfar.cli.beside import on_a_loop
from nearfar.cli.verify_stage import FAILURES, ask, clouds, configuration
from nearfar.policy.presets import rules
from nearfar.settings.load import load
from nearfar.settings.model import Policy, Settings


def test_the_tap_keeps_every_byte_and_answers_like_the_stand_in() -> None:
    with on_a_loop("The clouds", clouds) as made:
        body = b'{"messages":[{"role":"user","content":"a \\u738b value"}]}'
        reply = ask(made.tap.url, "/v1/chat/completions", body, {"x-note": "seen"})
        assert reply.status == 200
        sent = made.tap.take()
        assert body in sent
        assert sent.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
        assert b"x-note: seen" in sent
        assert made.tap.take() == b""
        ask(made.near, "/v1/chat/completions", body)
        assert made.tap.take() == b"", "what stays near is no business of the tap"


def test_a_cut_is_passed_on() -> None:
    with on_a_loop("The clouds", clouds) as made:
        body = b'{"stream":true,"messages":[],"stand_in":{"mode":"cut","after":1}}'
        reply = ask(made.tap.url, "/v1/chat/completions", body)
        assert b"[DONE]" not in reply.body


def test_the_configuration_is_one_and_holds_the_policy(tmp_path: Path) -> None:
    with on_a_loop("The clouds", clouds) as made:
        file = tmp_path / "config.toml"
        policy = Policy(preset="team", harmless=("02-2345-6789",), default_class="confidential", detect=False)
        file.write_text(configuration(tmp_path, made, policy), encoding="utf-8")
        settings = load(config=file, environ={"HOME": str(tmp_path), "VERIFY_KEY": "x"}).settings
    assert settings.policy == policy
    assert len(settings.routes) == 3 + len(FAILURES)
    assert settings.deployments["here"].place == "device"


def test_a_network_of_its_own_is_tried_before_it_is_used() -> None:
    wrapped = verify_stage.unshare()
    assert wrapped == [] or wrapped[-1] == "--"


def test_what_rewrites_is_near_and_says_what_it_is_told(tmp_path: Path) -> None:
    policy = verify_stage.rewriting(tmp_path)
    assert rules(Settings(policy=policy)).rewriter == verify_stage.SCRIBE
    with on_a_loop("The clouds", clouds) as made:
        file = tmp_path / "config.toml"
        file.write_text(configuration(tmp_path, made, policy, ("病患 陳美玲",)), encoding="utf-8")
        settings = load(config=file, environ={"HOME": str(tmp_path), "VERIFY_KEY": "x"}).settings
    scribe = settings.deployments["scribe"]
    assert scribe.base_url == f"{made.near}/v1"
    assert json.loads(scribe.headers["x-stand-in"]) == {"says": ["病患 陳美玲"]}
    assert scribe.headers["x-stand-in"].isascii()
