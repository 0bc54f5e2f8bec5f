"""OpenAI's Responses endpoints: create, and retrieve, delete, list the input of what this gateway keeps itself.

Nothing is kept unless the settings say so. A kept response belongs to the key that made it; to everybody else it does
not exist. What continues one is at least as sensitive as the conversation it continues.
"""

from __future__ import annotations

import asyncio
import re
from urllib.parse import parse_qs

import msgspec

from nearfar.build import Gateway
from nearfar.core.errors import BadRequestError, NotFoundError, RequestTooLargeError
from nearfar.core.places import Class
from nearfar.server.chat import introduce, name
from nearfar.server.http import HttpRequest, HttpResponse
from nearfar.server.models import reply
from nearfar.server.responses_keep import Keeping, followed
from nearfar.store.keyring import Caller
from nearfar.store.responses import Responses, Stored
from nearfar.wire import strict
from nearfar.wire.fields import wrong
from nearfar.wire.openai_responses import CLIENT
from nearfar.wire.openai_responses_items import as_items, listed
from nearfar.wire.openai_responses_render import Told

MAX_REFERENCES = 64
"""Items of kept responses that one request may name."""

_BELOW = "/v1/responses/"
_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
_OFF = "This gateway keeps no responses; responses.keep_hours turns that on. Send the whole conversation as input."


async def create(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """POST /v1/responses."""
    kept = gateway.responses
    body, previous, floor = await _continued(gateway, http)
    request = CLIENT.parse(body, gateway.ids.new("req-"))
    name(request, response)
    said = introduce(request, http)
    if floor is not None:
        said = msgspec.structs.replace(said, stored=floor)
    told = Told(previous=previous)
    if kept is None or bytes(request.fields.get("store", b"")) == b"false":
        wire = msgspec.structs.replace(CLIENT, renderer=followed(told, None))
        await gateway.pipeline.answer(request, wire, said, response)
        return
    # It is kept here, so nothing was lost when the upstream is told not to.
    request.fields.pop("store", None)
    told.store = True
    keeping = Keeping(response, kept, request, told, count=gateway.metrics.deviation)
    wire = msgspec.structs.replace(CLIENT, renderer=followed(told, keeping))
    await gateway.pipeline.answer(request, wire, said, keeping)


async def below(gateway: Gateway, http: HttpRequest, response: HttpResponse) -> None:
    """What is asked about one response: itself (GET, DELETE), its ``input_items`` (GET), its ``cancel`` (POST)."""
    which, _, what = http.path.removeprefix(_BELOW).partition("/")
    method = "GET" if http.method == "HEAD" else http.method
    answer = {
        ("GET", ""): _retrieve,
        ("DELETE", ""): _delete,
        ("GET", "input_items"): _input_items,
        ("POST", "cancel"): _cancel,
    }.get((method, what))
    if answer is None:
        raise NotFoundError(f"There is nothing at {http.path[:200]}.", code="unknown_path")
    await answer(gateway, http, response, which)


async def _retrieve(gateway: Gateway, http: HttpRequest, response: HttpResponse, which: str) -> None:
    query = parse_qs(http.query.decode("latin-1"))
    if query.get("stream", ["false"])[0].lower() in {"true", "1"}:
        message = "Only responses in the background can be streamed later, and there are none here."
        raise BadRequestError(message, code="unsupported", param="stream", hint="Leave stream out.")
    await reply(response, (await _find(gateway, http, which)).response)


async def _delete(gateway: Gateway, http: HttpRequest, response: HttpResponse, which: str) -> None:
    kept = gateway.responses
    if kept is None or not _ID.fullmatch(which) or not await asyncio.to_thread(kept.delete, which, _owner(http)):
        raise _unknown(which, kept)
    await reply(response, {"id": which, "object": "response", "deleted": True})


async def _cancel(gateway: Gateway, http: HttpRequest, response: HttpResponse, which: str) -> None:
    del response
    await _find(gateway, http, which)
    message = "Only a response in the background can be cancelled, and this one is complete."
    raise BadRequestError(message, code="unsupported", hint="To stop an answer that is being given, hang up.")


async def _input_items(gateway: Gateway, http: HttpRequest, response: HttpResponse, which: str) -> None:
    query = {name: values[-1] for name, values in parse_qs(http.query.decode("latin-1")).items()}
    order, limit = query.get("order", "desc"), query.get("limit", "20")
    if order not in {"asc", "desc"}:
        raise wrong("order", order, "asc or desc")
    if not limit.isascii() or not limit.isdigit() or len(limit) > 9 or not 1 <= int(limit) <= 100:
        raise wrong("limit", limit, "a whole number from 1 to 100")
    stored = await _find(gateway, http, which)
    items = listed(stored.input, which.removeprefix("resp_"))
    if order == "desc":
        items.reverse()
    after = query.get("after")
    if after is not None:
        places = [place for place, item in enumerate(items) if item.get("id") == after]
        if not places:
            raise BadRequestError(f"after: there is no item {after[:100]!r}.", code="invalid_value", param="after")
        items = items[places[0] + 1 :]
    page = items[: int(limit)]
    ends = [page[0]["id"], page[-1]["id"]] if page else ["", ""]
    await reply(
        response,
        {
            "object": "list",
            "data": page,
            "first_id": ends[0],
            "last_id": ends[1],
            "has_more": len(items) > len(page),
        },
    )


def _owner(http: HttpRequest) -> str:
    return http.admitted.id if isinstance(http.admitted, Caller) else ""


async def _find(gateway: Gateway, http: HttpRequest, which: str) -> Stored:
    kept = gateway.responses
    found = None
    if kept is not None and _ID.fullmatch(which):
        found = await asyncio.to_thread(kept.get, which, _owner(http))
    if found is None:
        raise _unknown(which, kept)
    return found


def _unknown(which: str, kept: Responses | None) -> NotFoundError:
    hint = _OFF if kept is None else "It was never kept, its time is over, or another key made it."
    return NotFoundError(f"There is no response {which[:100]!r} here.", hint=hint)


# Continuing what is kept.


async def _continued(gateway: Gateway, http: HttpRequest) -> tuple[bytes, str | None, Class | None]:
    """The body with the items of what it continues written out, the id of that, and its class.

    Raises BadRequestError when there is no such response, RequestTooLargeError when the whole grew too large.
    """
    body = http.body
    # Any character of a name may be written as an escape.
    if b"previous_response_id" not in body and b"item_reference" not in body and b"\\u00" not in body:
        return body, None, None
    members, values, _ = strict.parse(body)
    items = as_items(members.get("input"))
    class_: Class | None = None
    previous = values.get("previous_response_id")
    if previous is not None:
        if not isinstance(previous, str) or not previous:
            raise wrong("previous_response_id", previous, "the id of a response")
        stored = await _kept(gateway, http, previous, "previous_response_id", "previous_response_not_found")
        class_ = stored.class_
        items = [*_raw(stored.input), *_output(stored), *items]
    elif not any(_reference(item) is not None for item in items):
        return body, None, None  # they are mere words in it
    items, class_ = await _referenced(gateway, http, items, class_)
    whole = strict.replace(members, {"input": msgspec.json.encode(items), "previous_response_id": None})
    limit = gateway.settings.server.max_body_bytes
    if len(whole) > limit:
        raise RequestTooLargeError(
            f"The continued conversation has {len(whole)} bytes, and {limit} are accepted.",
            hint="Begin a new one, or send a shortened input.",
        )
    return whole, previous, class_


async def _referenced(
    gateway: Gateway, http: HttpRequest, items: list[msgspec.Raw], class_: Class | None
) -> tuple[list[msgspec.Raw], Class | None]:
    """The items, with kept ones in the place of references to them."""
    found: list[msgspec.Raw] = []
    count = 0
    for place, item in enumerate(items):
        which = _reference(item)
        if which is None:
            found.append(item)
            continue
        count += 1
        if count > MAX_REFERENCES:
            message = f"input names more than {MAX_REFERENCES} kept items."
            raise BadRequestError(message, code="too_many_values", param="input", hint="Send the items themselves.")
        # The ids that this gateway gives to items hold the id of their response.
        mark = which.partition("_")[2].rpartition("_")[0]
        stored = await _kept(gateway, http, f"resp_{mark}", f"input[{place}]", "item_not_found")
        own = [raw for raw in _output(stored) if msgspec.json.decode(raw).get("id") == which]
        if not own:
            raise _missing(which, f"input[{place}]", "item_not_found", gateway.responses)
        found += own
        class_ = stored.class_ if class_ is None else max(class_, stored.class_)
    return found, class_


def _reference(item: msgspec.Raw) -> str | None:
    value = msgspec.json.decode(item)
    if not isinstance(value, dict):
        return None
    kind = value.get("type") or ("message" if "role" in value else "item_reference")
    which = value.get("id")
    return which if kind == "item_reference" and isinstance(which, str) else None


async def _kept(gateway: Gateway, http: HttpRequest, which: str, param: str, code: str) -> Stored:
    kept = gateway.responses
    found = None
    if kept is not None and _ID.fullmatch(which):
        found = await asyncio.to_thread(kept.get, which, _owner(http))
    if found is None:
        raise _missing(which, param, code, kept)
    return found


def _missing(which: str, param: str, code: str, kept: Responses | None) -> BadRequestError:
    hint = _OFF if kept is None else "It was never kept, its time is over, or another key made it."
    return BadRequestError(f"{param}: there is no {which[:100]!r} here.", code=code, param=param, hint=hint)


def _raw(items: msgspec.Raw) -> list[msgspec.Raw]:
    return msgspec.json.decode(items, type=list[msgspec.Raw])


class _Output(msgspec.Struct):
    output: list[msgspec.Raw] = []


def _output(stored: Stored) -> list[msgspec.Raw]:
    return msgspec.json.decode(stored.response, type=_Output).output
