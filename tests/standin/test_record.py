"""What is charged, what is not, and that the file says it line by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.stand_in import read_invoices

from nearfar.core.chat import Usage
from nearfar.core.money import cost
from nearfar.standin.answers import PRICE
from nearfar.standin.record import KEPT, Record, Seen

IDS = {
    "x-request-id": "r1",
    "x-stainless-retry-count": "2",
    "authorization": "Bearer secret",
}


def begin(record: Record, *, chunks: int = 7, answered: bool = True) -> Seen:
    seen = record.begin("POST", "/v1/chat/completions", IDS, b'{"a": 1}')
    seen.model, seen.input, seen.chunks, seen.answered = "m", 100, chunks, answered
    return seen


def test_an_invoice_holds_ids_counts_and_the_price(tmp_path: Path) -> None:
    path = tmp_path / "invoices.jsonl"
    record = Record(path)
    record.end(begin(record), "complete", reply="chatcmpl-1")
    [invoice] = read_invoices(path)
    assert (invoice.request, invoice.reply) == ("r1", "chatcmpl-1")
    assert (invoice.input, invoice.output, invoice.outcome) == (100, 7, "complete")
    assert invoice.nano_usd == cost(PRICE, Usage(input=100, output=7)) == 100 * 2_500 + 7 * 10_000
    record.close()


@pytest.mark.parametrize(
    ("outcome", "answered", "charged"),
    [
        ("complete", True, True),
        ("cut", True, True),
        ("cancelled", True, True),
        ("cancelled", False, False),
        ("refused", False, False),
    ],
)
def test_what_left_is_charged_however_it_ended(tmp_path: Path, outcome: str, answered: bool, charged: bool) -> None:
    path = tmp_path / "invoices.jsonl"
    ended: list[Seen] = []
    record = Record(path, ended=ended.append)
    record.end(begin(record, answered=answered), outcome)
    assert len(read_invoices(path)) == charged
    assert bool(ended[0].invoice) == charged
    assert getattr(record.report().totals, outcome) == 1
    assert record.report().running == 0
    record.close()


def test_invoices_are_appended_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "invoices.jsonl"
    for _ in range(2):
        record = Record(path)
        record.end(begin(record), "complete")
        record.close()
    assert len(read_invoices(path)) == 2


def test_bodies_are_kept_on_request_only_and_secrets_never() -> None:
    silent, keeping = Record(), Record(keep_bodies=True)
    assert (begin(silent).body, begin(silent).headers) == ("", {})
    seen = begin(keeping)
    assert seen.body == '{"a": 1}'
    assert seen.headers["authorization"] == "(13 characters)"
    assert seen.retry == "2"


def test_the_list_is_bounded_and_reset_keeps_the_numbers() -> None:
    record = Record()
    for _ in range(KEPT + 5):
        record.end(begin(record), "complete")
    report = record.report()
    assert len(report.requests) == KEPT
    assert report.totals.requests == KEPT + 5
    record.reset()
    assert record.report().totals.requests == 0
    assert begin(record).number == KEPT + 6
