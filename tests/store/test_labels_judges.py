"""store/labels_judges.py: what people are told of kept pairs, on both databases."""

from __future__ import annotations

import os
from contextlib import closing

from nearfar.store.cipher import Cipher
from nearfar.store.database import connect
from nearfar.store.labels import Labels
from nearfar.store.labels_judges import Counted, Judge, counted, judges


def test_what_was_never_made_counts_nothing(database_url: str) -> None:
    with closing(connect(database_url)) as connection:
        assert counted(connection) == Counted()


def test_judges_are_told_by_name(database_url: str) -> None:
    key = os.urandom(32)
    made = [Judge(judge=name, at=7, agreement=0.75, pairs=12, trusted=name == "b", anchors="x") for name in "ba"]
    with closing(Labels(database_url, Cipher(key), key, keep_seconds=60)) as labels:
        for judge in made:
            labels.tried(judge)
    with closing(connect(database_url)) as connection:
        assert judges(connection) == made[::-1]
        assert counted(connection) == Counted(judges=tuple(made[::-1]))
