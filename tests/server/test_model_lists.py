"""GET /v1/models, where several vendors meet: each client gets the shape of its own vendor."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import running
from tests.server.served import loaded, run, served

from nearfar.server import model_lists, models


@pytest.mark.parametrize(
    ("headers", "mark"),
    [({}, "object"), ({"anthropic-version": "2023-06-01"}, "has_more"), ({"anthropic-version": "later"}, "has_more")],
)
def test_the_shape_follows_the_headers(tmp_path: Path, headers: dict[str, str], mark: str) -> None:
    async def scenario() -> None:
        async with served(loaded(tmp_path, running.far('"far/a:b"', "http://127.0.0.1:9"))) as app:
            whole = await app.ask("/v1/models?limit=1000", headers=headers)
            assert mark in whole.json
            assert "far/a:b" in {row["id"] for row in whole.json["data"]}
            one = await app.ask("/v1/models/far/a%3Ab", headers=headers)
            assert one.json["id"] == "far/a:b"
            assert ("type" in one.json) == bool(headers)
            none = await app.ask("/v1/models/nobody", headers=headers)
            assert (none.status, none.json.get("type")) == (404, "error" if headers else None)

    run(scenario())


def test_every_special_list_has_its_row_and_no_dialect_is_left_without() -> None:
    assert model_lists.ALL.keys() == model_lists.ONE.keys()
    assert models.all_models not in model_lists.ALL.values()
