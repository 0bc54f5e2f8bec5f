"""``nearfar audit``: what the chains say, on the terminal; the exit code is the answer."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.attempts import begin, end
from tests.cli.conftest import Cli
from tests.ledger.audits import REFUSED, attempt, chain, clock, file

from nearfar.ledger.journal import Journal
from nearfar.store.database import connect
from nearfar.store.ids import Ids


@pytest.fixture
def folder(cli: Cli) -> Path:
    """Where this gateway's chains are."""
    cli.environ["NEARFAR_STATE_DIR"] = str(cli.home / "state")
    return cli.home / "state" / "audit"


def test_nothing_yet(cli: Cli, folder: Path) -> None:
    assert cli("audit", "verify").code == 0
    assert cli("audit", "prove", "--class", "restricted", "-q") == (1, "cannot be told\n", "")


def test_a_sound_chain_and_a_damaged_one(cli: Cli, folder: Path) -> None:
    writer = chain(folder, attempt(), REFUSED)
    done = cli("audit", "verify")
    assert done.code == 0
    assert "1 chains, 4 records, 0 problems" in done.out
    assert "written them anew" in done.err
    assert cli("audit", "verify", "--json").json["sound"] is True
    path = file(folder, writer)
    path.write_bytes(path.read_bytes().replace(b"att-1", b"att-2"))
    damaged = cli("audit", "verify", "-q")
    assert damaged.code == 1
    assert "its hash is not that of its content" in damaged.out
    assert cli("audit", "export").code == 1


def test_a_proof_and_what_it_rests_on(cli: Cli, folder: Path) -> None:
    chain(folder, attempt(class_="restricted"), attempt(place="cloud", deployment="far"), REFUSED)
    done = cli("audit", "prove", "--class", "restricted")
    assert done.code == 0
    assert "nothing of class restricted or higher left lan: holds" in done.out
    assert "  time asked for: from the first record on, 1970-01-01 00:00:00, to now" in done.out
    assert "5 records; 2 attempts in that time, 1 of the class: 1 stayed" in done.out
    assert "anchor: none" in done.out
    assert "It cannot say:" in done.out
    assert cli("audit", "prove", "--class", "internal", "-q") == (1, "fails\n", "")
    told = cli("audit", "prove", "--class", "internal", "--json").json
    assert [item["deployment"] for item in told["against"]] == ["far"]
    masked = cli("audit", "prove", "--class", "internal")
    assert "internal → far (cloud, clear)" in masked.out


def test_the_time_and_the_place_of_a_claim(cli: Cli, folder: Path) -> None:
    chain(folder, attempt(class_="restricted", place="lan"), clock=clock(start=time.time_ns()))
    assert cli("audit", "prove", "--class", "restricted", "--stays", "device").code == 1
    assert cli("audit", "prove", "--class", "restricted", "--until", "2100-01-01").code == 0
    told = cli("audit", "prove", "--class", "restricted", "--since", "2026-01-01", "--until", "2100-01-01").out
    assert "  time asked for: from 2026-01-01 00:00:00 to 2100-01-01 00:00:00" in told
    early = cli("audit", "prove", "--class", "restricted", "--since", "7d")
    assert early.code == 1
    assert "the records begin after the time asked for" in early.out
    for wrong in (["--class", "x"], ["--class", "public", "--stays", "moon"], ["--class", "public", "--unless", "x"]):
        assert cli("audit", "prove", *wrong).code == 2


def test_the_ledger_is_asked_too(cli: Cli, folder: Path) -> None:
    chain(folder, attempt(class_="restricted"))
    journal = Journal(cli.home / "state" / "journal", Ids())
    journal.begin(begin("att-9", class_="restricted", place="cloud"))
    journal.end(end("att-9"))
    journal.close()
    journal.release()
    with closing(connect(f"sqlite:///{cli.home / 'state' / 'ledger.db'}")):
        pass
    done = cli("audit", "prove", "--class", "restricted")
    assert done.code == 1
    assert "the ledger has 1 attempts of this class beyond lan" in done.out


def test_an_anchor_is_kept_and_held_against_the_chains(cli: Cli, folder: Path) -> None:
    writer = chain(folder, attempt(class_="restricted"))
    kept = cli.home / "anchor.json"
    made = cli("audit", "anchor", "--to", str(kept))
    assert f"{writer} 2 " in made.out
    assert cli("audit", "anchor", "-q").out.strip() == json.loads(kept.read_text())["digest"]
    proof = cli("audit", "prove", "--class", "restricted", "--anchor", str(kept))
    assert "anchor: holds for 3 records; 0 came after it" in proof.out
    assert "0 records came after it" in cli("audit", "verify", "--anchor", str(kept)).out
    file(folder, writer).unlink()
    gone = cli("audit", "verify", "--anchor", str(kept))
    assert gone.code == 1
    assert "it is gone" in gone.out
    kept.write_text("{}")
    assert cli("audit", "verify", "--anchor", str(kept)).code == 2
    assert cli("audit", "verify", "--anchor", str(cli.home / "none")).code == 2
    assert cli("audit", "anchor", "--to", str(cli.home / "none" / "x")).code == 2
    before = kept.read_bytes()
    again = cli("audit", "anchor", "--to", str(kept))
    assert (again.code, kept.read_bytes()) == (2, before), "what speaks against a change is not written over"
    assert "never overwritten" in again.err


def test_an_export_is_lines_that_can_be_checked(cli: Cli, folder: Path) -> None:
    chain(folder, attempt(class_="restricted", kinds={"medical.x": 1}), attempt())
    lines = [json.loads(line) for line in cli("audit", "export", "--class", "restricted").out.splitlines()]
    assert [line["entry"]["body"]["kinds"] for line in lines] == [{"medical.x": 1}]
    assert len(cli("audit", "export").out.splitlines()) == 4
    url = f"sqlite:///{cli.home / 'copy.db'}"
    assert cli("audit", "export", "--to", url).out == "4 records brought in\n"
    assert cli("audit", "export", "--to", url).out == "0 records brought in\n"


def test_a_copy_of_the_files_can_be_read_elsewhere(cli: Cli, folder: Path) -> None:
    chain(cli.home / "copy", attempt())
    assert cli("audit", "verify", "--folder", str(cli.home / "copy"), "--json").json["records"] == 3
    proof = cli("audit", "prove", "--class", "restricted", "--folder", str(cli.home / "copy"))
    assert "The ledger was not asked." in proof.out
    assert cli("audit", "verify", "--folder", str(cli.home / "none")).code == 2
