from __future__ import annotations

import pytest

from nearfar.store.connection import redacted


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://bo:s3cret@db.example:5432/ledger", "postgresql://bo@db.example:5432/ledger"),
        ("postgresql://bo:p@ss@db.example/ledger", "postgresql://bo@db.example/ledger"),
        ("postgresql://db.example/ledger?user=bo&password=s3cret", "postgresql://db.example/ledger"),
        ("postgresql:///ledger", "postgresql:///ledger"),
        ("sqlite:////var/lib/ledger.db", "sqlite:////var/lib/ledger.db"),
        ("nonsense", "nonsense"),
    ],
)
def test_messages_never_show_a_password(url: str, shown: str) -> None:
    assert redacted(url) == shown
