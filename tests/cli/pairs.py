"""Puts pairs where the commands look for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cli.conftest import Cli

from nearfar.core.places import Class
from nearfar.parts.learning import labels
from nearfar.settings.load import load
from nearfar.store.labels import Content, Labels, Pair, Side
from nearfar.store.labels_scores import Scores

JUDGED = Scores(near=0.4, far=0.9, judge="third")


@contextmanager
def stored(cli: Cli) -> Iterator[Labels]:
    """The labels of a terminal's own database."""
    loaded = load(environ=cli.environ)
    Path(loaded.folders.state).mkdir(mode=0o700, parents=True, exist_ok=True)
    found = labels(loaded, loaded.ledger_url)
    try:
        yield found
    finally:
        found.close()


def pair(number: int, **fields: Any) -> Pair:
    """One pair."""
    values: dict[str, Any] = {
        "id": f"lbl-{number:04}",
        "route": "main",
        "class_": Class.INTERNAL,
        "propensity": 0.02,
        "expected": None,
        "served": "near",
        "caller": "",
        "content": Content(
            request=f"req-{number}",
            parent="att",
            attempts=2,
            prompt=f"prompt {number}",
            conversation=f"prompt {number}",
            near=Side(deployment="small", text="near"),
            far=Side(deployment="large", text="far"),
            kind="text",
        ),
    }
    return Pair(**(values | fields))
