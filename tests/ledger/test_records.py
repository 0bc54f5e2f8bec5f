from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.attempts import begin, end

from nearfar.core.attempts import Begin, End
from nearfar.core.chat import Usage
from nearfar.ledger.records import Record, from_lines, to_line

texts = st.text(max_size=30)
sound = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
counts = st.none() | st.integers(0, 10**30)
times = st.floats(0, 1e9)
begins = st.builds(
    Begin,
    attempt=sound,
    request=sound,
    at=st.integers(),
    asked=sound,
    deployment=sound,
    provider=sound,
    model=sound,
    place=sound,
    class_=sound,
    decision=sound,
    bound=counts,
    stream=st.booleans(),
    deviations=st.lists(sound, max_size=3).map(tuple),
)
ends = st.builds(
    End,
    attempt=sound,
    at=st.integers(),
    outcome=sound,
    usage=st.none() | st.builds(Usage, input=counts, output=counts, cached=counts),
    cost=counts,
    answered=sound,
    first_byte_ms=st.none() | times,
    total_ms=times,
)


@given(st.lists(begins | ends, max_size=8))
def test_records_come_back_from_their_lines(records: list[Record]) -> None:
    lines = [to_line(record) for record in records]
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)
    assert from_lines(b"".join(lines)) == (records, 0)


@given(texts, texts)
def test_text_that_is_no_unicode_is_written_all_the_same(asked: str, deviation: str) -> None:
    record = begin("a", asked=asked, deviations=(deviation,))
    ((read,), damaged) = from_lines(to_line(record))
    assert damaged == 0
    assert isinstance(read, Begin)
    assert len(read.asked) == len(asked)
    assert read.attempt == "a"


@given(st.binary(max_size=40))
def test_a_damaged_line_costs_no_other(noise: bytes) -> None:
    noise = b"!" + noise.replace(b"\n", b"")
    good: list[Record] = [begin("a"), end("a")]
    data = to_line(good[0]) + noise + b"\n\n" + to_line(good[1])
    assert from_lines(data) == (good, 1)


def test_half_a_line_is_no_record() -> None:
    line = to_line(begin("a"))
    assert from_lines(line[:-20] + b"\n") == ([], 1)
    assert from_lines(b"") == ([], 0)
