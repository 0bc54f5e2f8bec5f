"""Each route gets what it wants beyond single attempts, and nothing is loaded for nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import running
from tests.parts.built import FAR, gateway, loaded

from nearfar.gateway.attempt import Attempts
from nearfar.gateway.cascade import Cascades
from nearfar.gateway.continuing import Continuing
from nearfar.gateway.hedge import Hedge

BOTH = FAR + running.far("other", "http://127.0.0.1:1")
ROUTE = BOTH + "[routes.r]\ndeployments = ['far', 'other']\n"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ("", Attempts),
        ("hedge_after = 1.0\n", Hedge),
        ("continues = true\n", Continuing),
        ("hedge_after = 1.0\ncontinues = true\n", Continuing),
        ("strategy = 'cascade'\nhedge_after = 1.0\n", Cascades),
    ],
)
def test_attempts_are_wrapped_where_a_route_wants_it(tmp_path: Path, more: str, kind: type) -> None:
    with gateway(loaded(tmp_path, ROUTE + more)) as made:
        assert type(made.pipeline._attempts) is kind


def test_the_day_of_the_shadows_is_shared_by_the_workers(tmp_path: Path) -> None:
    with gateway(loaded(tmp_path, ROUTE)) as made:
        assert made._shadows is None
    wanted = "strategy = 'shadow'\nshadow = { deployment = 'far', share = 0.5 }\n[shadow]\ndaily_usd = 4.0\n"
    with gateway(loaded(tmp_path, ROUTE + wanted, server__workers="2")) as made:
        assert made._shadows is not None
        assert made._shadows._purse._daily == 2_000_000_000
