"""What is written as a certificate, and what is left out; the command around it is tested with ``router_measure``."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.tuning import made

from nearfar.cli.errors import UsageError
from nearfar.cli.router_certificate import trusted, write
from nearfar.tuning import router, saved
from nearfar.tuning.certificate import Certificate
from nearfar.tuning.labels import Label
from nearfar.tuning.saved import Kept


def kept(folder: Path, labels: list[Label]) -> Kept:
    prompts = [item.prompt for item in labels]
    gap = [item.cloud.score - item.local.score for item in labels]
    saved.save(folder / "r", router.fit(prompts, gap), prompts)
    return saved.load(folder / "r")


def test_only_what_the_router_decides_is_certified(tmp_path: Path) -> None:
    fresh = made.labels(40, seed=3)
    other = [Label(id="x", prompt="Suppenküche am Donnerstag?", local=fresh[0].local, cloud=fresh[0].cloud)]
    found, score = trusted(kept(tmp_path, made.labels(220)), [*fresh, *other])
    assert "x" not in [item.id for item in found]
    assert len(found) == len(score) > 30
    with pytest.raises(UsageError, match="unlike"):
        trusted(kept(tmp_path, made.labels(220)), other)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    file = tmp_path / "r"
    file.write_bytes(b"r")
    good = Certificate(
        group="", loss=0.1, confidence=0.9, pairs=100, certified=True, threshold=0.1, bound=0.09, observed=0.01
    )
    write(tmp_path / "c", file, [good])
    assert (tmp_path / "c").is_file()
    with pytest.raises(UsageError, match="cannot be written"):
        write(tmp_path / "nowhere" / "c", file, [good])
