"""What Ollama's endpoints share towards clients: names, streams, options, media, times and errors. No endpoint.

Source: Ollama's docs/openapi.yaml, api/types.go and server/routes.go of 2026-08, read 2026-11-22.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from nearfar.core.chat import Request
from nearfar.core.conversation import Extra, Media, Settings
from nearfar.core.errors import BadRequestError, NearfarError
from nearfar.core.routing import Deployment
from nearfar.wire.deviations import says_something
from nearfar.wire.fields import integer, wrong
from nearfar.wire.tokens import IMAGE_TOKENS

_encode = msgspec.json.Encoder().encode

_SETTINGS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "temperature": ("temperature", (int, float)),
    "top_p": ("top_p", (int, float)),
    "top_k": ("top_k", int),
    "seed": ("seed", int),
    "presence_penalty": ("presence_penalty", (int, float)),
    "frequency_penalty": ("frequency_penalty", (int, float)),
}
"""Option → name and type in Settings."""

_TRAVELS = frozenset({"min_p", "typical_p", "repeat_last_n", "repeat_penalty"})
"""Options that other local servers take under the same name, at the top level."""

_EFFORTS = frozenset({"low", "medium", "high", "max"})
# Possessive: a reader that goes back would try every way to split a long row of zeros.
_ZERO = re.compile(r"-?(?:0++(?:\.0*+)?+(?:ms|us|ns|h|m|s)?+)++")
_DATA_URL = re.compile(r"data:[^;,]*;base64,")
_MAGIC = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)


def error_body(error: NearfarError, request_id: str) -> bytes:  # noqa: ARG001  the contract's signature
    """``error`` as a whole body: the member must be text, clients print it as it is."""
    return _encode({"error": error.text})


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC with nine digits, as Ollama writes it. ``nanoseconds`` since the epoch.

    >>> timestamp(1_700_000_000_000_000_005)
    '2023-11-14T22:13:20.000000005Z'
    """
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"


def model_of(values: Mapping[str, Any]) -> str:
    """The model's name; ``name`` is its older spelling. Raises BadRequestError."""
    model = values.get("model") or values.get("name")
    if not isinstance(model, str) or not model:
        raise wrong("model", model, "the name of a model", hint="GET /api/tags lists them.")
    return model


def streams(values: Mapping[str, Any]) -> bool:
    """Whether the reply is a stream: it is unless the client says no."""
    stream = values.get("stream")
    if stream is None or isinstance(stream, bool):
        return stream is not False
    raise wrong("stream", stream, "true or false")


def options_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The ``options``, checked as far as they are read here. Raises BadRequestError."""
    options = values.get("options")
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise wrong("options", options, "an object")
    for name, (_, kind) in _SETTINGS.items():
        value = options.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
            raise wrong(f"options.{name}", value, "a whole number" if kind is int else "a number")
    for name in ("num_ctx", "num_predict"):
        _whole(options, name)
    stop = options.get("stop")
    texts = [stop] if isinstance(stop, str) else stop
    if texts is not None and not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        raise wrong("options.stop", stop, "a text or a list of texts")
    return options


def _whole(options: Mapping[str, Any], name: str) -> None:
    value = options.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise wrong(f"options.{name}", value, "a whole number")


def max_output(options: Mapping[str, Any]) -> int | None:
    """The client's limit on the answer; Ollama's negative ones mean that there is none."""
    limit = options.get("num_predict")
    return limit if isinstance(limit, int) and limit > 0 else None


def format_need(values: Mapping[str, Any]) -> str:
    """The capability that ``format`` needs: ``json_schema``, ``json_mode`` or none. Raises BadRequestError."""
    shape = values.get("format")
    if shape is None or shape == "":
        return ""
    if shape == "json":
        return "json_mode"
    if isinstance(shape, dict):
        return "json_schema"
    raise wrong("format", shape, '"json" or a JSON schema')


def images_of(value: object, where: str) -> list[str]:
    """Inline images in base64. Raises BadRequestError for anything else: nothing is fetched."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise wrong(where, value, "a list of images in base64")
    for position, item in enumerate(value):
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", item):
            message = f"{where}[{position}] is an address, and images are not fetched."
            raise BadRequestError(message, code="unsupported", param=where, hint="Send its bytes in base64.")
    return value


def image_weight(images: list[str]) -> tuple[int, int]:
    """(bytes of text, tokens) of inline images."""
    return sum(map(len, images)), IMAGE_TOKENS * len(images)


def media(image: str, where: str) -> Media:
    """An inline image as a block; its kind is read from its first bytes. Raises BadRequestError."""
    prefix = _DATA_URL.match(image)
    data = image[prefix.end() :] if prefix else image
    try:
        head = base64.b64decode(data[:16], validate=True)
    except (binascii.Error, ValueError) as exc:
        message = f"{where} is not base64."
        raise BadRequestError(message, code="invalid_value", param=where, hint="Send the image's bytes.") from exc
    mime = next((mime for magic, mime in _MAGIC if head.startswith(magic)), "application/octet-stream")
    return Media(kind="image", mime=mime, data=data)


def check_think(values: Mapping[str, Any]) -> None:
    """Raises BadRequestError unless ``think`` is absent, true, false or a level."""
    think = values.get("think")
    if not (think is None or isinstance(think, bool) or (isinstance(think, str) and think in _EFFORTS)):
        raise wrong("think", think, "true, false, low, medium, high or max")


def check_logprobs(values: Mapping[str, Any]) -> bool:
    """Whether log-probabilities are wanted. Raises BadRequestError."""
    integer(values if isinstance(values, dict) else dict(values), "top_logprobs", low=0, high=20)
    wanted = values.get("logprobs")
    if not (wanted is None or isinstance(wanted, bool)):
        raise wrong("logprobs", wanted, "true or false")
    return bool(wanted)


def settings_of(values: Mapping[str, Any], fields: Mapping[str, msgspec.Raw]) -> tuple[Settings, Extra, list[str]]:
    """The checked request's settings, what else other servers may understand, and what must be left out."""
    options = options_of(values)
    settings = Settings(max_output=max_output(options))
    extra: Extra = {}
    dropped: list[str] = []
    for name, value in options.items():
        if value is None or name == "num_predict":
            continue
        if name == "stop":
            settings.stop = [value] if isinstance(value, str) else value
        elif name in _SETTINGS:
            setattr(settings, _SETTINGS[name][0], value)
        elif name in _TRAVELS:
            extra[name] = msgspec.Raw(_encode(value))
        else:
            dropped.append(f"dropped:options.{name}"[:80])
    shape = format_need(values)
    settings.json_mode = shape == "json_mode"
    if shape == "json_schema":
        settings.json_schema = fields["format"]
    if values.get("logprobs"):
        settings.logprobs = True
        settings.top_logprobs = values.get("top_logprobs")
    think = values.get("think")
    if think is not None:
        settings.reasoning_effort = {True: "medium", False: "none", "max": "high"}.get(think, think)
    return settings, extra, dropped


def left_out(fields: Mapping[str, msgspec.Raw], known: frozenset[str]) -> list[str]:
    """Deviations for members that no other wire has a word for, unless they say nothing."""
    return [f"dropped:{name}"[:80] for name, raw in fields.items() if name not in known and says_something(name, raw)]


def without(request: Request, deployment: Deployment) -> Deployment:
    """``deployment`` as it takes this request: what its caller may not say is dropped too."""
    if not request.withheld:
        return deployment
    return msgspec.structs.replace(deployment, drop=(*deployment.drop, *sorted(request.withheld)))


def asks_nothing(raw: msgspec.Raw | None) -> bool:
    """Whether a member is absent or empty: then the model is only to be loaded, or unloaded."""
    return raw is None or bytes(raw).replace(b" ", b"") in {b"null", b'""', b"[]"}


def keeps_alive(fields: Mapping[str, msgspec.Raw]) -> bool:
    """False when ``keep_alive`` is zero: the model is to leave the memory. Numbers are seconds, texts Go durations."""
    raw = fields.get("keep_alive")
    if raw is None:
        return True
    value = msgspec.json.decode(raw)
    if isinstance(value, str):
        # A Go duration is nothing exactly when it has digits and all of them are zeros: "0", "0s", "0h0.0s".
        return _ZERO.fullmatch(value) is None
    return value != 0 or isinstance(value, bool)
