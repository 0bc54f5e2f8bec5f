import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import UpstreamError
from nearfar.wire.ndjson import Lines


@given(st.lists(st.sampled_from([b"a", b'{"b":1}', b"\n", b"\n", b"\r\n", b" "])), st.integers(1, 5))
def test_any_split_gives_the_same_lines(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    lines = Lines()
    found = [line for start in range(0, len(data), size) for line in lines.feed(data[start : start + size])]
    assert found + lines.flush() == [line for line in data.split(b"\n") if line.strip()]


def test_an_endless_line_is_given_up() -> None:
    lines = Lines(limit=100)
    lines.feed(b"x" * 100 + b"\n")
    lines.feed(b"x" * 100)
    with pytest.raises(UpstreamError) as caught:
        lines.feed(b"x")
    assert caught.value.code == "event_too_large"
