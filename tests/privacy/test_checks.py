"""Check digits that are the same everywhere, by published numbers for tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.privacy import checks


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111",
        "5555 5555 5555 4444",
        "378282246310005",
        "6011111111111117",
        "30569309025904",
        "3530111333300000",
    ],
)
def test_cards_that_issuers_publish_for_tests(number: str) -> None:
    assert checks.card(number)


@pytest.mark.parametrize(
    "number", ["4111111111111112", "0000000000000000", "1234567890123452", "41111111111111", "9999999999999995"]
)
def test_what_is_no_card(number: str) -> None:
    assert not checks.card(number)


@given(st.from_regex("[0-9]{12,18}", fullmatch=True))
def test_exactly_one_last_digit_passes_luhn(number: str) -> None:
    assert sum(checks.luhn(f"{number}{last}") for last in range(10)) == 1


@given(st.from_regex("[0-9]{14,18}", fullmatch=True), st.integers(0, 13), st.integers(1, 9))
def test_luhn_notices_one_wrong_digit(number: str, at: int, more: int) -> None:
    wrong = number[:at] + str((int(number[at]) + more) % 10) + number[at + 1 :]
    assert not (checks.luhn(number) and checks.luhn(wrong))


@pytest.mark.parametrize(
    "value",
    ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "fr14 2004 1010 0505 0001 3m02 606", "NO9386011117947"],
)
def test_ibans_of_the_registry(value: str) -> None:
    assert checks.iban(value)


@pytest.mark.parametrize("value", ["GB82 WEST 1234 5698 7654 33", "DE8937040044053201300", "XX89370400440532013000"])
def test_what_is_no_iban(value: str) -> None:
    assert not checks.iban(value)


@pytest.mark.parametrize(
    ("check", "value", "passes"),
    [
        (checks.ipv4, "192.0.2.1", True),
        (checks.ipv4, "256.0.2.1", False),
        (checks.ipv4, "1.02.3.4", False),
        (checks.ipv6, "2001:db8::1", True),
        (checks.ipv6, "::", False),
        (checks.ipv6, "1::2::3", False),
        (checks.nanp, "(212) 555-0187", True),
        (checks.nanp, "1-800-555-0199", True),
        (checks.nanp, "112-555-0187", False),
        (checks.nanp, "211-555-0187", False),
        (checks.phone, "2026-11-22", False),
        (checks.phone, "22/11/2026", False),
        (checks.phone, "0000000", False),
        (checks.phone, "450 0840", True),
        (checks.phone_national, "0341 8387176", True),
        (checks.phone_national, "01-02-2024", False),
        (checks.card_named, "503802053770", True),
        (checks.card_named, "50380205377", False),
        (checks.several, "0000", False),
        (checks.secret, "Tr0ub4dor&3", True),
        (checks.secret, "<hidden>", False),
        (checks.secret, "os.environ", False),
        (checks.secret, "required", False),
        (checks.token, "A1b2C3d4E5f6G7h8", True),
        (checks.token, "aaaaaaaaaaaaaaaa", False),
        (checks.token, "learn-is-a-library-for", False),
    ],
)
def test_each_check(check: object, value: str, passes: bool) -> None:
    assert callable(check)
    assert check(value) is passes


def test_digits_and_weights() -> None:
    assert checks.digits("a1-2 b3") == "123"
    assert checks.weighted("123", (1, 10, 100)) == 321
