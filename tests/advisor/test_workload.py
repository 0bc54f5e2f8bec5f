"""Workloads: read strictly, refused with the member's name."""

from pathlib import Path

import pytest

from nearfar.advisor.workload import Workload, checked, read
from nearfar.core.errors import BadRequestError


def test_calls_asked_again_count() -> None:
    work = Workload(calls=1000, retries=0.1, hours=100, peak=2)
    assert work.asked == pytest.approx(1100)
    assert work.peak_per_hour == pytest.approx(22)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("calls", -1.0),
        ("calls", float("inf")),
        ("input", float("nan")),
        ("cached_share", 1.2),
        ("private_share", 30.0),
        ("hours", 0.0),
        ("hours", 800.0),
        ("peak", 0.5),
    ],
)
def test_what_cannot_be_names_the_member(member: str, value: float) -> None:
    with pytest.raises(BadRequestError) as caught:
        checked(Workload(**{"calls": 10.0, member: value}))
    assert caught.value.param == member


def test_calls_without_tokens_are_refused() -> None:
    with pytest.raises(BadRequestError):
        checked(Workload(calls=1, input=0, output=0))


def test_a_file_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "workload.toml"
    path.write_text("calls = 20000\ninput = 6000\noutput = 400\n")
    assert read(path) == Workload(calls=20000, input=6000, output=400)
    path.write_text("calls = 20000\noutputs = 400\n")
    with pytest.raises(BadRequestError, match="outputs"):
        read(path)
    with pytest.raises(BadRequestError, match="cannot be read"):
        read(tmp_path / "none.toml")
