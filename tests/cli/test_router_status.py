"""``nearfar router status``: from configuration, files and the state database, without a gateway."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.cli.pairs import JUDGED, pair, stored
from tests.parts.test_routers import certificate, fitted
from tests.tuning.test_promise import GOOD, outcome

from nearfar.cli.router_status import about
from nearfar.core.learned import Standing
from nearfar.parts.routers import in_use
from nearfar.settings.load import load
from nearfar.store import promises
from nearfar.store.database import connect
from nearfar.store.labels_judges import Judge

DEPLOYMENTS = """
[deployments.near]
provider = "openai-compatible"
base_url = "http://127.0.0.1:1/v1"
model = "m"
[deployments.far]
provider = "openai-compatible"
base_url = "http://127.0.0.1:2/v1"
model = "m"
"""
ROUTE = '[routes.{}]\ndeployments = ["near", "far"]\nrouter = {{ file = "r.npz", {} }}\n'


def configure(cli: Cli, *routes: str) -> str:
    certificate(cli.home / "c.json", fitted(cli.home / "r.npz"))
    return cli.write(DEPLOYMENTS + "".join(routes))


def test_it_says_how_each_does_and_what_comes_next(cli: Cli) -> None:
    path = configure(
        cli, ROUTE.format("a", 'certificate = "c.json"'), ROUTE.format("b", 'threshold = 0.3, mode = "canary"')
    )
    told = cli("router", "status", "--config", path)
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0].split() == ["ROUTE", "MODE", "THRESHOLD", "JUDGED", "LOST", "EVIDENCE", "ALARMS"]
    assert lines[1].split() == ["a", "observe", "+0.100", "0", "1.0", "of", "20", "0"]
    assert lines[2].split() == ["b", "canary", "0.05", "+0.300", "0", "not", "watched", "0"]
    assert "a: at most 5.0% lost, with confidence 90% (certified 2026-11-22)" in lines
    assert "a: it has 60 labels, too few to be followed: the strategy decides" in lines
    assert "b: nothing is promised: the threshold is the owner's own" in lines
    assert max(map(len, lines)) <= 80
    assert cli("router", "status", "--config", path, "-q").out == "a\nb\n"


def test_an_alarm_is_told(cli: Cli) -> None:
    path = configure(cli, ROUTE.format("a", 'certificate = "c.json", mode = "on"'))
    loaded = load(config=Path(path), environ=cli.environ, system=cli.home / "none")
    loaded.folders.state.mkdir(parents=True)
    with closing(connect(loaded.ledger_url)) as connection:
        promises.prepare(connection)
    used = in_use(loaded, loaded.ledger_url)["a"]
    used.hear(GOOD)
    while not used.hear(outcome(near=0.0)):
        pass
    (told,) = cli("router", "status", "--config", path, "--json").json["routers"]
    assert (told["alarms"], told["threshold"], told["recommended"], told["begun"]) == (1, None, "observe", 0.1)
    shown = cli("router", "status", "--config", path).out
    assert "a: ALARM on 20" in shown
    assert "nothing stays near, it began at +0.100" in shown
    assert "fit and certify it anew" in shown


def test_without_routers(cli: Cli) -> None:
    path = cli.write(DEPLOYMENTS)
    assert cli("router", "status", "--config", path).out == "No route names a router.\n"
    assert cli("router", "status", "--config", path, "--json").json["routers"] == []


def test_what_is_wrong_with_the_files_is_said_here_and_by_config_check(cli: Cli) -> None:
    path = configure(cli, ROUTE.format("a", 'certificate = "c.json"'))
    fitted(cli.home / "r.npz", seed=4)
    for command in (("router", "status"), ("config", "check")):
        told = cli(*command, "--config", path)
        assert told.code != 0
        assert "is for another router file" in told.err + told.out


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"recommended": "canary", "seen": 200}, "next: mode = 'canary', after 200 judged requests without an alarm"),
        ({"recommended": "observe", "seen": 12}, "next: more judged requests (12 so far)"),
        ({"recommended": "on", "mode": "on"}, ""),
    ],
)
def test_the_next_step_is_the_owners(more: dict[str, object], text: str) -> None:
    known: dict[str, object] = {
        "route": "r",
        "mode": "observe",
        "share": 0.0,
        "labels": 300,
        "trusted": True,
        "threshold": 0.1,
        "begun": 0.1,
        "loss": 0.05,
        "confidence": 0.9,
        "certified": "2026-11-22",
    }
    told = list(about(Standing(**(known | more))))  # type: ignore[arg-type]  # from a table
    assert told[1:] == ([text] if text else [])


def test_what_is_learned_from_and_whose_word_is_not_used(cli: Cli) -> None:
    with stored(cli) as labels:
        labels.put(pair(1), JUDGED)
        labels.put(pair(2))
        labels.tried(Judge(judge="third", at=1_790_000_000, agreement=0.5, pairs=12, trusted=False, anchors="x"))
    told = cli("router", "status").out.splitlines()
    assert told == [
        "No route names a router.",
        "labels: 2 pairs, 1 wait for a judge, 1 scored by one that is not trusted",
        "judge: third agreed with 50% of 12 anchors on 2026-09-21: what it says is NOT USED",
    ]
    assert cli("router", "status", "--json").json["learning"]["untrusted"] == 1
