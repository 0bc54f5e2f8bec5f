"""``nearfar advise``: asks or takes flags, reads the ledger, writes what it was asked to write and nothing else."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.cli.terminal import terminal

from nearfar.core.attempts import Begin, End
from nearfar.core.chat import Usage
from nearfar.ledger.ledger import Ledger

CALLS = ("advise", "--calls", "20000")


def test_one_object_with_the_question_the_advice_and_the_page(cli: Cli) -> None:
    result = cli(*CALLS, "--input", "6000", "--output", "400", "--json")
    assert result.code == 0, result.err
    assert result.json["question"]["input"] == 6000
    advice = result.json["advice"]
    assert advice["recommended"] in advice["options"]
    assert set(advice["options"]) == {"near", "buy", "rent", "api", "cloud", "hybrid", "cascade"}
    assert advice["against_cloud"]["capacity"] > 0


def test_quiet_is_one_word(cli: Cli) -> None:
    assert cli(*CALLS, "--stay", "--hardware", "RTX 3090", "--quiet").out == "near\n"


def test_this_machine_can_be_the_one_that_is_there(cli: Cli) -> None:
    options = cli(*CALLS, "--hardware", "here", "--json").json["advice"]["options"]
    assert options["near"]["lacks"] != "no_machine"


def test_amounts_in_taiwans_dollars_come_last_with_their_rate(cli: Cli) -> None:
    result = cli(*CALLS, "--assume", "money.twd_per_usd=31")
    assert "31 TWD for a dollar" in result.out
    lines = [line for line in result.out.splitlines() if line.strip()]
    assert "TWD for a dollar" in lines[-2]


@pytest.mark.parametrize(("said", "told"), [({"LANG": "zh_TW.UTF-8"}, "建議："), ({"LANG": "C"}, "Recommended: ")])
def test_it_speaks_the_terminals_language(cli: Cli, said: dict[str, str], told: str) -> None:
    assert told in cli(*CALLS, **said).out


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("advise",), "How many calls"),
        (("advise", "--calls", "-5"), "calls must be a number"),
        (("advise", "--calls", "10", "--cached", "30"), "cached_share is a share"),
        (("advise", "--calls", "10", "--hours", "900"), "A month has 1 to 744 hours"),
        ((*CALLS, "--quality", "great"), "simple, solid or best"),
        ((*CALLS, "--hardware", "RTX 9999"), "RTX 9999"),
        ((*CALLS, "--buy", "rtx5090"), "rtx-5090-box"),
        ((*CALLS, "--cloud", "openai/gpt-5-mimi"), "openai/gpt-5-mini"),
        ((*CALLS, "--tariff", "tw-avrage"), "tw-average"),
        ((*CALLS, "--assume", "wage=3"), "labour.usd_per_hour"),
        ((*CALLS, "--assume", "wage"), "NAME=VALUE"),
        ((*CALLS, "--assume", "labour.usd_per_hour=much"), "no number"),
        ((*CALLS, "--lang", "fr"), "zh-Hant"),
        ((*CALLS, "--report", "advice.pdf"), ".html"),
        (("advise", "--workload", "none.toml"), "cannot be read"),
        (("advise", "--from-ledger"), "no answered calls"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(cli: Cli, args: tuple[str, ...], told: str) -> None:
    result = cli(*args)
    assert result.code in {1, 2}
    assert told in result.err
    assert not result.out


def test_a_configuration_is_written_once_and_is_sound(cli: Cli) -> None:
    path = cli.home / "made.toml"
    assert cli(*CALLS, "--hardware", "RTX 3090", "--stay", "--write", str(path), "--quiet").code == 0
    assert path.stat().st_mode & 0o077 == 0
    assert cli("config", "check", "--config", str(path)).code == 0
    again = cli(*CALLS, "--write", str(path), "--quiet")
    assert again.code == 2
    assert "exists already" in again.err


def test_reports_in_both_forms(cli: Cli) -> None:
    for name, told in (("a.md", "# nearfar: Advice"), ("a.html", "<!doctype html>")):
        assert cli(*CALLS, "--report", str(cli.home / name), "--quiet").code == 0
        assert (cli.home / name).read_text(encoding="utf-8").startswith(told)


def test_a_workload_file_and_flags_above_it(cli: Cli) -> None:
    path = cli.write("calls = 500\ninput = 2000\nprivate_share = 0.5\n", "workload.toml")
    found = cli("advise", "--workload", path, "--calls", "900", "--json").json["question"]
    assert (found["calls"], found["input"], found["private_share"]) == (900, 2000, 0.5)


def test_the_owners_own_traffic(cli: Cli) -> None:
    url = f"sqlite:///{cli.home / 'ledger.db'}"
    ledger = Ledger(url, cli.home / "journal")
    (cli.home / "journal").mkdir()
    ledger.start()
    now = time.time_ns()
    for number in range(4):
        name = f"a{number}"
        ledger.begin(
            Begin(
                attempt=name, request=name, at=now, deployment="far", provider="openai", model="m", place="cloud",
                class_="confidential" if number else "internal", decision="d",
            )
        )  # fmt: skip
        ledger.end(End(attempt=name, at=now, outcome="ok", status=200, usage=Usage(input=700, output=90)))
    assert ledger.close()
    result = cli("advise", "--from-ledger", "--json", NEARFAR_LEDGER__URL=url)
    assert result.code == 0, result.err
    question = result.json["question"]
    assert (question["input"], question["output"], question["private_share"]) == (700, 90, 0.75)
    assert "4 calls" in result.err


def test_what_can_be_chosen_is_listed(cli: Cli) -> None:
    assert "rtx-5090-box" in cli("advise", "--list").out
    assert "money.twd_per_usd" in cli("advise", "--list", "--json").json["parameters"]


@pytest.mark.slow
def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    with terminal("advise", environ={"HOME": str(tmp_path)}) as screen:
        for question in ("Calls a month", "Tokens of a prompt", "Tokens of an answer"):
            screen.expect(question)
            screen.press("\r")
        screen.expect("May content leave")
        screen.press("n\r")
        for _ in range(5):
            screen.expect("]: ")
            screen.press("\r")
        screen.expect("Recommended")


def test_sums_and_reasons_are_whole_on_a_narrow_terminal(tmp_path: Path) -> None:
    args = ("advise", "--calls", "150000", "--peak", "9", "--hardware", "RTX 3090")
    with terminal(*args, environ={"HOME": str(tmp_path)}) as screen:
        screen.expect("All ways")
        table = screen.expect("Break-even")
    shown = " ".join(table.split())
    assert "It cannot serve that" in shown
    assert re.search(r"\d% \* \(150,000 \* \(1,000 \* [\d.]+ \+ 300 \* [\d.]+\) / 1,000,000\)", shown)


def test_the_interview_speaks_the_terminals_language_and_guesses_at_no_answer(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "LC_ALL": "zh_TW.UTF-8", "PYTHONUTF8": "1"}
    with terminal("advise", environ=environ) as screen:
        for question in ("每月呼叫次數", "平均詞元數", "回答的詞元數"):
            screen.expect(question)
            screen.press("\r")
        screen.expect("內容可以外流嗎")
        screen.press("maybe\r")
        screen.expect("neither yes nor no")
        screen.expect("內容可以外流嗎")
        screen.press("是\r")
        screen.expect("有網路嗎")


@pytest.mark.parametrize("flag", ["--write", "--report"])
def test_a_folder_that_is_not_there_is_told(cli: Cli, flag: str, tmp_path: Path) -> None:
    done = cli("advise", "--calls", "1000", flag, str(tmp_path / "gone" / "advice.md"))
    assert done.code == 2
    assert "cannot be written: No such file or directory" in done.err


@pytest.mark.parametrize("said", ["zh-Hant", "zh-TW", "zh_tw", "ZH"])
def test_taiwans_chinese_by_its_names(cli: Cli, said: str) -> None:
    result = cli("advise", "--calls", "20000", "--stay", "--lang", said)
    assert "建議：" in result.out
    assert "一台配備 RTX 5090 的工作站" in result.out
    assert "--report advice.html 畫出曲線" in result.out


def test_the_arithmetic_can_be_checked_by_hand(cli: Cli) -> None:
    result = cli("advise", "--calls", "20000", "--input", "1000", "--output", "300", "--stay")
    assert "4,500 * (1 - 0.2) / 42" in result.out
    assert "4 h * 20" in result.out


NINE: dict[str, tuple[str, ...]] = {
    "prototype": ("--calls", "3000", "--prototype"),
    "stays": ("--calls", "20000", "--stay", "--hardware", "RTX 3090"),
    "stays, to buy": ("--calls", "20000", "--stay"),
    "edge": ("--calls", "2000", "--offline", "--quality", "simple", "--hardware", "Jetson Orin Nano 8GB"),
    "volume": ("--calls", "1000000"),
    "steady": ("--calls", "100000", "--input", "6000", "--peak", "1", "--hardware", "RTX 3090"),
    "spiky": ("--calls", "150000", "--peak", "9", "--hardware", "RTX 3090"),
    "best": ("--calls", "50000", "--quality", "best", "--hardware", "RTX 3090"),
    "own model": ("--calls", "20000", "--finetune", "--hardware", "RTX 4090"),
    "Chinese": ("--calls", "50000", "--zh-tw", "--use", "commercial, Taiwan", "--hardware", "2x RTX 3090"),
}
"""The questions that users bring."""
KEYS = dict.fromkeys(("OPENROUTER_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"), "sk-test")


@pytest.mark.slow
@pytest.mark.parametrize("case", NINE)
def test_what_is_written_answers_a_plain_question_where_it_was_advised(cli: Cli, case: str) -> None:
    path = str(cli.home / "made.toml")
    way = cli("advise", *NINE[case], "--write", path, "--quiet").out.strip()
    checked = cli("config", "check", "--config", path, **KEYS)
    assert checked.code == 0, checked.err
    assert "warning" not in checked.err + checked.out
    told = cli("route", "explain", "Who are you?", "-m", "assistant", "--config", path, "--json", **KEYS).json
    tried = [each["deployment"] for each in told["ranked"]]
    assert tried, told
    assert tried[0] == ("far" if way in {"api", "cloud"} else "near")
