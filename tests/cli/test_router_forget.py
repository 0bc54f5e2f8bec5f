"""``nearfar router forget``: gone from the database's files too, and it says what it cannot reach."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.cli.conftest import Cli
from tests.cli.pairs import JUDGED, pair, stored

from nearfar.store.labels_schema import Selection


def left(cli: Cli) -> list[str]:
    with stored(cli) as labels:
        return [kept.id for kept in labels.selected(Selection())]


def test_everything(cli: Cli) -> None:
    with stored(cli) as labels:
        for number in range(3):
            labels.put(pair(number), JUDGED)
    told = cli("router", "forget", "--all", "--json")
    assert told.json == {"forgotten": 3, "scrubbed": True, "files": [], "routers": {}}
    assert left(cli) == []
    told = cli("router", "forget", "--all")
    assert told.out == "0 pairs forgotten\n"


def test_nothing_is_left_in_the_files(cli: Cli) -> None:
    with stored(cli) as labels:
        for number in range(10):
            labels.put(pair(number), JUDGED)
    (path,) = cli.home.rglob("ledger.db")
    with closing(sqlite3.connect(path)) as connection:
        contents = [row[0].encode()[:64] for row in connection.execute("SELECT content FROM nearfar_labels")]
    assert len(contents) == 10
    assert cli("router", "forget", "--request", "req-3", "-q").out == "1\n"
    assert cli("router", "forget", "--all", "-q").out == "9\n"
    held = [item.read_bytes() for item in path.parent.rglob("*") if item.is_file()]
    assert not [content for content in contents if any(content in item for item in held)]


def test_by_what_is_said(cli: Cli) -> None:
    key = cli("keys", "new", "ward 7", "--json").json["id"]
    with stored(cli) as labels:
        labels.put(pair(1, caller=key))
        labels.put(pair(2, route="other"))
        labels.put(pair(3))
    assert cli("router", "forget", "--caller", "ward 7", "-q").out == "1\n"
    assert left(cli) == ["lbl-0002", "lbl-0003"]
    assert cli("router", "forget", "--before", "2020-01-01", "-q").out == "0\n"
    assert cli("router", "forget", "--route", "other", "--before", "2100-01-01", "-q").out == "1\n"
    assert cli("router", "forget", "--request", "req-3", "-q").out == "1\n"
    assert left(cli) == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "Say what"),
        (("--all", "--route", "main"), "--all leaves nothing"),
        (("--before", "soon"), "is no time"),
        (("--caller", "nobody"), "no key 'nobody'"),
    ],
)
def test_what_nobody_can_mean_is_refused(cli: Cli, args: tuple[str, ...], said: str) -> None:
    with stored(cli) as labels:
        labels.put(pair(1))
    told = cli("router", "forget", *args)
    assert told.code == 2
    assert said in told.err
    assert left(cli) == ["lbl-0001"]


def test_nothing_was_ever_kept(cli: Cli) -> None:
    assert cli("router", "forget", "--all", "-q").out == "0\n"
    assert not list(cli.home.rglob("*.db")), "forgetting makes no database"


def test_without_the_key_it_forgets_all_the_same(cli: Cli) -> None:
    with stored(cli) as labels:
        labels.put(pair(1))
    (key,) = cli.home.rglob("learning.key")
    key.unlink()
    assert cli("router", "forget", "--all", "-q").out == "1\n"


def test_it_names_files_and_routers_that_it_cannot_reach(cli: Cli, tmp_path: Path) -> None:
    with stored(cli) as labels:
        for number in range(60):
            content = msgspec.structs.replace(
                pair(number).content, prompt=f"{'sum' if number % 2 else 'poem'} {number}"
            )
            labels.put(pair(number, content=content), JUDGED)
    out, router = tmp_path / "labels.jsonl", tmp_path / "prompts.router"
    cli("router", "labels", "--out", str(out))
    assert cli("router", "fit", "--labels", str(out), "--out", str(router)).code == 0
    config = cli.write(f"""
[deployments.near]
provider = "openai-compatible"
model = "m"
base_url = "http://127.0.0.1:1/v1"
place = "device"
[deployments.far]
provider = "openai-compatible"
model = "m"
base_url = "http://127.0.0.1:2/v1"
[routes.main]
deployments = ["near", "far"]
router = {{ file = "{router}", threshold = 0.1 }}
""")
    told = cli("router", "forget", "--all", "--config", config)
    assert told.out == "60 pairs forgotten\n"
    assert f"labels were written to {out}, in the clear: remove it too" in told.err
    assert f"{router} was fitted from 60 of them" in told.err
    assert "fit it anew" in told.err
    out.unlink()
    told = cli("router", "forget", "--all", "--config", config, "--json")
    assert told.json == {"forgotten": 0, "scrubbed": True, "files": [], "routers": {str(router): 0}}
