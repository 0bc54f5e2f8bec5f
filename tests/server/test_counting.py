"""Counting is one decision: of the deployment that would answer, and never of another one further away."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests import running, stand_in
from tests.server.served import Served, loaded, run, served

from nearfar.gateway.decider import Decider

DOORS: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/messages/count_tokens", {"model": "both", "messages": running.HELLO}, "anthropic"),
    ("/v1beta/models/both:countTokens", {"contents": [{"parts": [{"text": "hello"}]}]}, "gemini"),
]


def config(url: str, provider: str, folder: Path, *order: str) -> str:
    (folder / "key").write_text("k")
    (folder / "key").chmod(0o600)
    own = f'[deployments.own]\nprovider = "{provider}"\nmodel = "m"\nbase_url = "{url}"\nkey = "file:{folder}/key"\n'
    return own + running.far("other", url) + running.route("both", *order)


@dataclasses.dataclass
class Calls:
    """How often something was decided."""

    count: int = 0


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls, real = Calls(), Decider.decide

    def counted(self: Decider, *args: Any) -> Any:
        calls.count += 1
        return real(self, *args)

    monkeypatch.setattr(Decider, "decide", counted)
    return calls


@pytest.mark.parametrize(("path", "body", "provider"), DOORS)
@pytest.mark.parametrize("order", [("own", "other"), ("other", "own")])
def test_who_would_answer_is_asked_and_nobody_behind(
    tmp_path: Path,
    stand_in: stand_in.Running,
    decisions: Calls,
    path: str,
    body: dict[str, Any],
    provider: str,
    order: tuple[str, ...],
) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, config(stand_in.url, provider, tmp_path, *order))) as app:
            await asked(app)

    async def asked(app: Served) -> None:
        reply = await app.ask(path, body)
        # The stand-in counts nothing: it says 404, and the estimate is told as one.
        assert (reply.status, reply.tried[-1]) == (200, "estimated:input_tokens")
        assert decisions.count == 1
        assert stand_in.report().totals.requests == (1 if order[0] == "own" else 0)
        assert "x-nearfar-error" not in reply.headers

    run(scenario())
