"""What both answers of a kept pair are worth, sealed with the cipher. It reads no content and judges nothing.

Who writes to the database without the key can remove scores, but neither change them nor move them to another pair.
"""

from __future__ import annotations

import msgspec

from nearfar.core.errors import StoreUnavailable
from nearfar.store.connection import Connection, Row
from nearfar.store.keeping import Encrypts, beside

COLUMNS = "near, far, judge, trusted, judged, sealed"
_FORM = "scores 1"
"""The first of the words that a seal is bound to: what follows, and in which order."""
_ROWS = f"SELECT id, {COLUMNS} FROM nearfar_labels"  # noqa: S608 - column names
_SEAL = "UPDATE nearfar_labels SET sealed = ? WHERE id = ?"
_WITHDRAW = "UPDATE nearfar_labels SET trusted = 0, sealed = ? WHERE id = ?"


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """What both answers are worth, 0 to 1, and who says so."""

    near: float
    far: float
    judge: str
    """A judge's name; ``checks`` where comparing sufficed."""
    trusted: bool = True


def seal(cipher: Encrypts, id: str, judged: int, scores: Scores) -> str:
    """What proves that the pair ``id`` got these scores at the second ``judged``."""
    return cipher.encrypt(b"", _words(id, judged, scores))


def read(cipher: Encrypts, id: str, columns: Row) -> Scores | None:
    """The scores in ``COLUMNS`` of a row; None where it waits. Raises StoreUnavailable where the seal does not fit."""
    if not columns[2]:
        return None
    scores, judged, sealed = _parsed(columns)
    if not _genuine(cipher, id, judged, scores, sealed):
        raise StoreUnavailable(
            f"The scores of the kept pair {id} are not those that were written for it: they were changed or moved.",
            code="cipher_mismatch",
            hint="Forget it, by its request or its date: nearfar router forget --help.",
        )
    return scores


def seal_older(connection: Connection, cipher: Encrypts) -> None:
    """Seal the scores of rows from before scores were sealed: once, when the column is made."""
    with connection.transaction():
        for id_, *columns in connection.rows(f"{_ROWS} WHERE judge <> '' AND sealed = '' AND key = ?", (cipher.id,)):
            scores, judged, _ = _parsed(tuple(columns))
            connection.execute(_SEAL, (seal(cipher, id_, judged, scores), id_))


def withdraw(connection: Connection, cipher: Encrypts, judge: str, since: int) -> None:
    """What ``judge`` said from the second ``since`` on is not trusted. For use in a transaction."""
    for id_, *columns in connection.rows(f"{_ROWS} WHERE judge = ? AND judged >= ? AND trusted = 1", (judge, since)):
        scores, judged, sealed = _parsed(tuple(columns))
        if _genuine(cipher, id_, judged, scores, sealed):  # scores that somebody else wrote get no seal of ours
            sealed = seal(cipher, id_, judged, msgspec.structs.replace(scores, trusted=False))
        connection.execute(_WITHDRAW, (sealed, id_))


def _parsed(columns: Row) -> tuple[Scores, int, str]:
    near, far, judge, trusted, judged, sealed = columns
    return Scores(near=near, far=far, judge=judge, trusted=bool(trusted)), judged, sealed


def _genuine(cipher: Encrypts, id: str, judged: int, scores: Scores, sealed: str) -> bool:
    try:
        return cipher.decrypt(sealed, _words(id, judged, scores)) == b""
    except StoreUnavailable:
        return False


def _words(id: str, judged: int, scores: Scores) -> str:
    near, far = float(scores.near), float(scores.far)  # as they come back out of the table
    return beside(_FORM, id, judged, near, far, scores.judge, scores.trusted)
