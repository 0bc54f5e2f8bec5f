"""Token counts that come in parts."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.chat import Usage

COUNTS = st.builds(Usage, **dict.fromkeys(Usage.__struct_fields__, st.none() | st.integers(0, 9)))


@given(COUNTS, COUNTS)
def test_what_comes_later_counts_and_what_it_leaves_out_stays(old: Usage, new: Usage) -> None:
    both = msgspec.structs.asdict(old.updated(new))
    for name, count in msgspec.structs.asdict(new).items():
        assert both[name] == (getattr(old, name) if count is None else count)
