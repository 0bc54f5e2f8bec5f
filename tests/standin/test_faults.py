"""The catalogue of faults: whole, played by a test that exists, and chosen by a model's name."""

from pathlib import Path

import pytest

from nearfar.standin.faults import behaviour_of, catalogue

ROOT = Path(__file__).parents[2]


def test_every_fault_says_what_must_come_of_it_and_where_it_is_played() -> None:
    for name, fault in catalogue().items():
        assert (ROOT / fault.test).is_file(), name
        assert fault.title.endswith("."), name
        if fault.by in {"client", "state"}:
            assert (fault.plain, fault.stream, fault.behaviour) == ("", "", None), name
        else:
            assert fault.plain, name
            assert fault.stream, name
            assert (fault.behaviour is None) == (fault.by == "address"), name


def test_a_models_name_chooses_the_fault() -> None:
    found = behaviour_of("fault-cut")
    assert found is not None
    assert (found.mode, found.after, found.chunks) == ("cut", 40, 60)
    assert behaviour_of("stand-in-large") is None


@pytest.mark.parametrize("model", ["fault-", "fault-nothing", "fault-refused", "fault-slow-reader"])
def test_what_it_cannot_play_is_said(model: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        behaviour_of(model)
