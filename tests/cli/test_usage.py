"""``nearfar usage``: sums and single attempts of a real ledger, on SQLite and PostgreSQL."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from rich.cells import cell_len
from tests.cli.conftest import Cli
from tests.cli.terminal import terminal

from nearfar.cli.usage import OUTCOMES
from nearfar.core.attempts import Begin, End
from nearfar.core.chat import Usage
from nearfar.ledger import schema
from nearfar.ledger.ledger import Ledger

SECOND = 10**9


def begin(attempt: str, deployment: str, *, at: int, request: str = "") -> Begin:
    near = deployment == "near"
    return Begin(
        attempt=attempt,
        request=request or f"req-{attempt}",
        at=at,
        route="auto",
        asked="auto",
        deployment=deployment,
        provider="embedded" if near else "openai",
        model="m",
        place="device" if near else "cloud",
        class_="internal",
        decision="dec-1",
        reason="local first",
        price="" if deployment == "odd" else "p",
        bound=None if deployment == "odd" else 5_000,
        deviations=("dropped:seed", "renamed:stop") if deployment == "odd" else (),
    )


def end(attempt: str, *, at: int, cost: int | None, outcome: str = "ok") -> End:
    usage = Usage(input=10, output=5)
    return End(attempt=attempt, at=at, outcome=outcome, status=200, usage=usage, cost=cost, total_ms=12.5)


@pytest.fixture
def filled(cli: Cli, database_url: str) -> Cli:
    """Four attempts: near and free, far and paid, one without a price, one that never ended."""
    now = time.time_ns()
    cli.environ["NEARFAR_LEDGER__URL"] = database_url
    folder = cli.home / ".local/state/nearfar/journal"
    folder.mkdir(parents=True)
    ledger = Ledger(database_url, folder)
    ledger.start()
    for name, deployment, cost in (("a", "near", 0), ("b", "far", 1_500), ("c", "odd", None)):
        ledger.begin(begin(name, deployment, at=now - 60 * SECOND))
        ledger.end(end(name, at=now, cost=cost))
    ledger.begin(begin("d", "far", at=now - 90 * 86_400 * SECOND))
    assert ledger.close()
    return cli


def test_the_sum_and_what_one_has_to_know_about_it(filled: Cli) -> None:
    total = filled("usage", "--since", "1h", "--json").json["total"]
    assert (total["requests"], total["attempts"], total["cost"], total["cost_unknown"]) == (3, 3, 1500, 1)
    text = filled("usage", "--since", "1h").out
    assert "$0.000002" in text
    assert "Attempts without a known cost: 1." in text
    assert filled("usage", "-q", "--since", "1h").out == "0.000001500\n"


def test_an_attempt_that_never_ended_stands_at_its_bound(filled: Cli) -> None:
    result = filled("usage", "--outcome", "unknown", "--json").json["total"]
    assert (result["attempts"], result["cost"], result["cost_at_bound"]) == (1, 5_000, 5_000)
    assert "upper bound" in filled("usage").out


def test_grouped_with_a_total(filled: Cli) -> None:
    shown = filled("usage", "--by", "place,deployment", "--since", "1h", "--json").json
    assert [(row["group"], row["cost"]) for row in shown["groups"]] == [
        ({"place": "cloud", "deployment": "far"}, 1500),
        ({"place": "cloud", "deployment": "odd"}, 0),
        ({"place": "device", "deployment": "near"}, 0),
    ]
    lines = filled("usage", "--by", "place, deployment", "--since", "1h").out.splitlines()
    assert lines[0].split()[:2] == ["PLACE", "DEPLOYMENT"]
    assert any(line.startswith("total") for line in lines)


def test_filters_and_single_attempts(filled: Cli) -> None:
    rows = filled("usage", "-n", "10", "--place", "cloud", "--since", "1h", "--json").json["entries"]
    assert {row["attempt"] for row in rows} == {"b", "c"}
    (row,) = filled("usage", "--request", "req-a", "--json").json["entries"]
    assert (row["deployment"], row["input_tokens"], row["class"]) == ("near", 10, "internal")
    assert "local first" in filled("usage", "-n", "1", "--deployment", "near").out
    assert filled("usage", "-n", "5", "--since", "1h", "--deployment", "far", "-q").out == "b\n"
    assert "dropped:seed, renamed:stop" in filled("usage", "-n", "1", "--deployment", "odd").out


def test_the_outcomes_are_those_of_the_ledger() -> None:
    assert {schema.OPEN, schema.UNKNOWN} <= set(OUTCOMES)


def test_on_eighty_columns_no_word_is_broken(filled: Cli) -> None:
    for args in (("usage", "-n", "9"), ("usage", "--by", "day,deployment,model,place,outcome")):
        with terminal(*args, environ=filled.environ) as shown:
            assert shown.ended() == 0
        lines = shown.screen.splitlines()
        assert all(cell_len(line) <= 80 for line in lines)
        assert any("far" in line.split() for line in lines)
        if "-n" in args:
            assert any("request req-a · asked auto" in line for line in lines), "what --request needs"
            assert any("reason local first" in line for line in lines)


def test_an_empty_ledger(cli: Cli) -> None:
    assert cli("usage", "--json").json["total"]["attempts"] == 0
    assert "Nothing" in cli("usage", "-n", "5").err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--by", "weather"), "weather"),
        (("--since", "yesterday"), "yesterday"),
        (("--until", "2026-13-01"), "2026-13-01"),
        (("--since", "999999w"), "999999w"),
        (("--outcome", "foo"), "Use one of ok, error, cut, cancelled, open, unknown."),
        (("--purpose", "foo"), "Use one of serve, probe"),
        (("--place", "moon"), "Use one of device, lan, private-cloud, cloud."),
        (("--class", "secret", "-n", "3"), "Use one of public, internal, confidential, restricted."),
    ],
)
def test_bad_questions_are_usage_errors(cli: Cli, args: tuple[str, ...], told: str) -> None:
    result = cli("usage", *args)
    assert (result.code, result.out) == (2, "")
    assert told in result.err


def test_a_database_that_is_none(cli: Cli) -> None:
    file = cli.write("not a database, by any reading of it" * 40, "ledger.db")
    result = cli("usage", NEARFAR_LEDGER__URL=f"sqlite:///{file}")
    assert result.code == 1
    assert file in result.err
    assert Path(file).read_text(encoding="utf-8").startswith("not a database")
