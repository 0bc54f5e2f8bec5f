"""store/labels_scores.py: the seal of a pair's scores; what it does in the table is in test_labels.py."""

from __future__ import annotations

import os

import msgspec
import pytest

from nearfar.core.errors import StoreUnavailable
from nearfar.store.cipher import Cipher
from nearfar.store.labels_scores import Scores, read, seal

CIPHER = Cipher(os.urandom(32))
SCORES = Scores(near=1, far=0.25, judge="third")


def test_scores_are_read_as_they_were_sealed_and_their_numbers_as_the_table_gives_them() -> None:
    sealed = seal(CIPHER, "lbl_1", 7, SCORES)
    assert read(CIPHER, "lbl_1", (1.0, 0.25, "third", 1, 7, sealed)) == SCORES
    assert "third" not in sealed


def test_a_pair_that_waits_has_none() -> None:
    assert read(CIPHER, "lbl_1", (None, None, "", 0, 0, "")) is None


@pytest.mark.parametrize(
    ("id_", "columns"),
    [
        ("lbl_2", (1.0, 0.25, "third", 1, 7)),
        ("lbl_1", (0.25, 1.0, "third", 1, 7)),
        ("lbl_1", (1.0, 0.25, "other", 1, 7)),
        ("lbl_1", (1.0, 0.25, "third", 0, 7)),
        ("lbl_1", (1.0, 0.25, "third", 1, 8)),
    ],
)
def test_a_seal_fits_its_own_scores_alone(id_: str, columns: tuple[float | str, ...]) -> None:
    with pytest.raises(StoreUnavailable, match=f"scores of the kept pair {id_} "):
        read(CIPHER, id_, (*columns, seal(CIPHER, "lbl_1", 7, SCORES)))


def test_a_seal_of_another_key_fits_nothing() -> None:
    sealed = seal(Cipher(os.urandom(32)), "lbl_1", 7, SCORES)
    with pytest.raises(StoreUnavailable):
        read(CIPHER, "lbl_1", (*msgspec.structs.astuple(SCORES), 7, sealed))
