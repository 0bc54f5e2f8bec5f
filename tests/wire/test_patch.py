import json
from typing import Any

import pytest

from nearfar.core.places import Place
from nearfar.core.routing import Deployment
from nearfar.wire.patch import patch
from nearfar.wire.strict import members

BODY = b'{"model":"near","seed":1,"max_tokens":2}'


def patched(extra: dict[str, bytes] | None = None, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    there = Deployment(
        **{"name": "d", "provider": "p", "model": "far", "wire": "w", "base_url": "", "place": Place.LAN, **fields}
    )
    body, deviations = patch(members(BODY), "near", there, extra or {}, BODY)
    return json.loads(body), deviations


def test_the_models_name_is_no_deviation() -> None:
    assert patched() == ({"model": "far", "seed": 1, "max_tokens": 2}, ())


def test_nothing_to_do() -> None:
    there = Deployment(name="d", provider="p", model="near", wire="w", base_url="", place=Place.LAN)
    assert patch(members(BODY), "near", there, {}, BODY) == (BODY, ())


@pytest.mark.parametrize(
    ("fields", "value", "deviations"),
    [
        ({"drop": ("seed", "absent")}, {"model": "far", "max_tokens": 2}, ("dropped:seed",)),
        ({"rename": {"max_tokens": "limit"}}, {"model": "far", "seed": 1, "limit": 2}, ("renamed:max_tokens",)),
        ({"rename": {"max_tokens": "seed"}}, {"model": "far", "seed": 1}, ("dropped:max_tokens",)),
        ({"rename": {"absent": "other"}}, {"model": "far", "seed": 1, "max_tokens": 2}, ()),
    ],
)
def test_drop_and_rename(fields: dict[str, Any], value: dict[str, Any], deviations: tuple[str, ...]) -> None:
    assert patched(**fields) == (value, deviations)


def test_extra_members_are_silent_and_can_be_dropped() -> None:
    assert patched({"stream_options": b"{}"}) == (
        {"model": "far", "seed": 1, "max_tokens": 2, "stream_options": {}},
        (),
    )
    assert patched({"stream_options": b"{}"}, drop=("stream_options",))[0].keys() == {"model", "seed", "max_tokens"}
