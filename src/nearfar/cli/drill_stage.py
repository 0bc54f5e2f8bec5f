"""The stage of ``nearfar drill``: a gateway of its own whose deployments are stand-ins at the owner's places.

It takes policy, route, retries and deadlines from the owner's settings, neither keys nor addresses, and judges nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from nearfar.cli import beside
from nearfar.cli.answer import Answer, whole
from nearfar.core.errors import NearfarError
from nearfar.core.money import NANO
from nearfar.core.routing import Deployment, Route
from nearfar.settings.model import Settings
from nearfar.standin.server import StandIn

CLASSES = ("public", "internal", "confidential", "restricted")
NOBODY = "http://127.0.0.1:1"
"""Where nothing listens."""
PATIENCE = 120.0
"""Seconds after which a reply counts as none."""
WORDS = 12
"""Length of an answer of the stand-ins, so that every reply can be told from half of one."""


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment of the route as the owner has it, and the stand-in's behaviour in its place."""

    deployment: Deployment
    behaviour: dict[str, Any] | None = None
    """None: nothing listens at its address."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one request."""

    class_: str
    stream: bool
    status: int
    text: str = ""
    whole: bool = False
    """It is complete, and says so."""
    error: str = ""
    deployment: str = ""
    place: str = ""
    attempts: int = 0
    deviations: tuple[str, ...] = ()
    milliseconds: float = 0.0


@contextlib.asynccontextmanager
async def _cloud() -> AsyncIterator[str]:
    """One stand-in for all deployments; its URL."""
    stand_in = StandIn()
    await stand_in.start()
    yield stand_in.url
    await stand_in.stop()


@contextlib.contextmanager
def gateway(environ: Mapping[str, str], settings: Settings, route: Route, behind: Sequence[Behind]) -> Iterator[str]:
    """A gateway over ``behind``, alone in folders of its own and without a key; yields its URL."""
    with beside.folder(environ, "nearfar-drill") as root, beside.on_a_loop("The stand-in", _cloud) as url:
        config = root / "drill.toml"
        config.write_text(configuration(root, url, settings, route, behind), encoding="utf-8")
        own = beside.surroundings(environ, root)
        with beside.gateway(config, own, root / "log.jsonl", name="drill's gateway") as (served, _):
            yield served


def ask(url: str, route: str, class_: str, *, stream: bool) -> Reply:
    """One question, and what came of it. A reply that breaks off counts as far as it came."""
    where = urlsplit(url)
    body = {
        "model": route,
        "messages": [{"role": "user", "content": "A drill."}],
        "stream": stream,
        "max_tokens": WORDS,
    }
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=PATIENCE)
    status, data, headers, began = 0, b"", {}, time.perf_counter()
    try:
        connection.request(
            "POST",
            "/v1/chat/completions",
            msgspec.json.encode(body),
            {"content-type": "application/json", "x-nearfar-class": class_},
        )
        reply = connection.getresponse()
        status, headers = reply.status, {name.lower(): value for name, value in reply.getheaders()}
        while piece := reply.read1(65536):
            data += piece
    except (OSError, http.client.HTTPException):
        pass  # where it broke off is what is reported
    finally:
        connection.close()
    text, complete, error = read(status, data, stream=stream)
    told = whole(headers, "x-nearfar-deviations")
    return Reply(
        class_=class_,
        stream=stream,
        status=status,
        text=text,
        whole=complete,
        error=error,
        deployment=whole(headers, "x-nearfar-deployment"),
        place=headers.get("x-nearfar-place", ""),
        attempts=int(headers.get("x-nearfar-attempts", "0")),
        deviations=tuple(told.split(", ")) if told else (),
        milliseconds=(time.perf_counter() - began) * 1000,
    )


def read(status: int, data: bytes, *, stream: bool) -> tuple[str, bool, str]:
    """(text, whether it is complete and says so, the code of an error) of a reply's body."""
    try:
        if status != 200:
            return "", False, str(msgspec.json.decode(data)["error"]["code"])
        if not stream:
            return str(msgspec.json.decode(data)["choices"][0]["message"]["content"]), True, ""
        answer = Answer()
        try:
            answer.feed(data)
        except NearfarError as error:
            return answer.text, False, error.code
    except (msgspec.DecodeError, LookupError, TypeError):
        return "", False, "no_reply"
    else:
        return answer.text, answer.done, ""


def configuration(root: Path, url: str, settings: Settings, route: Route, behind: Sequence[Behind]) -> str:
    """The drill's settings in TOML."""
    own = settings.routes.get(route.name)
    said: dict[str, Any] = (
        msgspec.to_builtins(own) if own is not None else {"strategy": route.strategy, "cold": route.cold}
    )
    said["deployments"] = [item.deployment.name for item in behind]
    kept = msgspec.to_builtins(settings)
    tables: dict[str, Any] = {
        "state_dir": str(root / "state"),
        "models_dir": str(root / "models"),
        "offline": settings.offline,
        "log": {"format": "json"},
        "discovery": {"loopback": False, "keys": False},
        "engine": {"enabled": False},
        "ledger": {"flush_seconds": 0.05},
        **{name: kept[name] for name in ("deadlines", "retries", "policy") if name in kept},
        "routes": {route.name: said},
        "deployments": {item.deployment.name: _stand_in(item, url) for item in behind},
    }
    return "".join(_toml(tables))


def _stand_in(item: Behind, url: str) -> dict[str, Any]:
    deployment = item.deployment
    made: dict[str, Any] = {
        "provider": "openai-compatible",
        "model": deployment.model,
        "base_url": f"{url if item.behaviour is not None else NOBODY}/v1",
        "place": deployment.place.label,
        "operations": sorted(deployment.operations & {"chat", "embeddings", "transcription"}),
        "context": deployment.context,
        "max_output": deployment.max_output,
        "capabilities": {name: found.can for name, found in deployment.capabilities.items() if found.can is not None},
        "headers": {"x-stand-in": msgspec.json.encode(item.behaviour or {}).decode()},
    }
    if deployment.price is not None:
        made["price"] = {"input": deployment.price.input / NANO, "output": deployment.price.output / NANO}
    return made


def _toml(value: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """``value`` as tables; what is None stays unset."""
    plain = {key: item for key, item in value.items() if not isinstance(item, dict) and item is not None}
    if path:
        yield f"\n[{path}]\n"
    for key, item in plain.items():
        yield f"{_key(key)} = {msgspec.json.encode(item).decode()}\n"
    for key, item in value.items():
        if isinstance(item, dict):
            yield from _toml(item, f"{path}.{_key(key)}" if path else _key(key))


def _key(name: str) -> str:
    return msgspec.json.encode(name).decode()
