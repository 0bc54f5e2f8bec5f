"""Assumptions: dated, sourced, overridable, and refused when they make no sense."""

import pytest

from nearfar.advisor import assumptions
from nearfar.catalog.hardware import shipped as hardware
from nearfar.core.errors import BadRequestError, NotFoundError


def test_what_is_shipped_names_devices_of_the_catalogue() -> None:
    base = assumptions.shipped()
    known = hardware()
    for device in [*(box.device for box in base.box), *(rental.device for rental in base.rental)]:
        assert device in known
    for rental in base.rental:
        low, middle, high = rental.usd_per_hour
        assert 0 < low <= middle <= high


def test_a_tariff_in_twd_is_converted_with_the_stated_rate() -> None:
    base = assumptions.shipped()
    tariff = base.tariff_of("tw-average")
    assert base.usd_per_kwh(tariff) == pytest.approx(3.7823 / 32)
    dearer = assumptions.override(base, {"money.twd_per_usd": 16.0})
    assert dearer.usd_per_kwh(tariff) == pytest.approx(3.7823 / 16)


def test_every_parameter_can_be_overridden() -> None:
    base = assumptions.shipped()
    for name, value in assumptions.parameters(base).items():
        other = value / 2 + 1 if name == "own.pue" else value / 2 + 0.5 if value < 2 else value + 1
        changed = assumptions.override(base, {name: other})
        assert assumptions.parameters(changed)[name] == (int(other) if name == "own.months" else other)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("money.twd_per_usd", 0.0),
        ("own.months", 0.4),
        ("own.resale", 1.5),
        ("own.pue", 0.5),
        ("labour.usd_per_hour", -1.0),
        ("labour.usd_per_hour", float("nan")),
        ("money.source", 1.0),
        ("box.capex", 1.0),
        ("money", 1.0),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, value: float) -> None:
    with pytest.raises(BadRequestError):
        assumptions.override(assumptions.shipped(), {name: value})


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFoundError) as caught:
        assumptions.shipped().tariff_of("tw-averge")
    assert "tw-average" in caught.value.hint
    with pytest.raises(NotFoundError) as caught:
        assumptions.shipped().box_of("rtx5090")
    assert "rtx-5090-box" in caught.value.hint


def test_a_file_with_an_id_twice_is_refused() -> None:
    text = (b"date = 2026-11-22\n", b'[[box]]\nid = "a"\nname = "a"\ndevice = "d"\ncapex_usd = 1\nwatts_load = 1\n')
    with pytest.raises(ValueError, match="not a file of assumptions"):
        assumptions.load(b"".join(text))
