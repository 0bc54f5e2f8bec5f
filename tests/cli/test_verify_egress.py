"""``nearfar verify-egress``: no leak where there is none, and those that a switched-off guard lets out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.cli.conftest import Cli

from nearfar.cli import verify_egress, verify_stage

DIALECTS = {"chat", "responses", "messages", "gemini", "ollama", "converse", "embeddings"}


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["team", "tw-medical", "offline"])
def test_no_value_leaves_under_a_policy(cli: Cli, preset: str) -> None:
    result = cli("verify-egress", "--policy", preset, "--json", PATH=os.environ["PATH"])
    assert result.code == 0, result.out[-3000:] + result.err
    told = result.json
    assert told["ok"] is True
    assert told["leaks"] == []
    assert not any(told["kept"].values())
    assert {"/metrics", "log.jsonl", "ledger.db"} <= set(told["kept"])
    assert {row["dialect"] for row in told["rows"]} == DIALECTS
    assert told["requests"] > 1000
    happened = {name for row in told["rows"] for name in row["outcomes"]}
    assert ("masked" in happened) is (preset == "team"), "the others let nothing of it out in any form"
    assert [row for row in told["rows"] if row["note"]] == []
    asked = {row["place"]: set(row["outcomes"]) for row in told["rows"] if row["place"].startswith("rewritten")}
    refused = {"refused"}
    assert asked == {"rewritten: well": {"rewritten"}, "rewritten: repeated": refused, "rewritten: given away": refused}


@pytest.mark.slow
def test_a_guard_that_is_switched_off_is_found(cli: Cli) -> None:
    config = cli.write('[policy]\npreset = "developer"\ndetect = false\n')
    result = cli("verify-egress", "--config", config, PATH=os.environ["PATH"])
    assert result.code == 1
    assert "LEAKED: tw.national_id" in result.out or "LEAKED: card" in result.out
    assert "A123456789" not in result.out, "the value itself is not told"
    assert "looks at no text" in result.err
    total = result.out.strip().splitlines()[-1]
    assert total.startswith("Policy developer")
    assert " 0 leaked" not in total


def test_an_unknown_preset_is_refused(cli: Cli) -> None:
    result = cli("verify-egress", "--policy", "nobody")
    assert result.code == 2
    assert "tw-medical" in result.err


def test_without_a_network_of_its_own_it_says_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Exception):
        pass

    def no_stage(*_: object) -> None:
        raise Stop

    monkeypatch.setattr(verify_stage, "unshare", list)
    monkeypatch.setattr(verify_stage, "Stage", no_stage)
    with pytest.raises(Stop):
        cli("verify-egress")


def test_files_are_named_by_what_they_are() -> None:
    assert verify_egress._where(Path("sound/state/journal/abc.jsonl")) == "journal/*.jsonl"
    assert verify_egress._where(Path("sound/state/ledger.db")) == "ledger.db"
    assert verify_egress._where(Path("sound/log.jsonl")) == "log.jsonl"


def test_a_leak_is_told_without_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    row = verify_egress.Row(dialect="chat", place="user", asked=1)
    row.outcomes[verify_egress.LEAKED] += 1
    leak = verify_egress.Leak(dialect="chat", place="user", stream=True, route="far", kind="card")
    report = verify_egress.Report(
        policy="team",
        isolated=False,
        canaries=1,
        skipped=[],
        requests=1,
        rows=[row],
        leaks=[leak],
        kept={"log": ["card"]},
    )
    verify_egress.tell(report)
    out = capsys.readouterr().out
    assert "LEAKED: card in chat, user, a stream, route far" in out
    assert "1 leaked, 1 kept where they should not be" in out
