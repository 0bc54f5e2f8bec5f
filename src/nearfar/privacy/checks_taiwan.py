"""Checks of Taiwan's identifiers: national and resident numbers, the unified business number, dates of both calendars.

Sources: Ministry of the Interior's letter table and weights; the Fiscal Information Agency's rule for business numbers
as of 2023-04-01. It knows no text around the value.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence

from nearfar.privacy.checks import DIGITS, DOUBLED, alike, digits, weighted

LETTERS = dict(zip("ABCDEFGHJKLMNPQRSTUVXYWZIO", range(10, 36), strict=True))
"""Letter → its number: in the order of the alphabet but for I, O, W, Z and the places X and Y took."""
_AREA = {letter: number // 10 + number % 10 * 9 for letter, number in LETTERS.items()}
"""What the first letter adds to the sum: its two digits, times 1 and 9."""
_SECOND = {**{letter: number % 10 * 8 for letter, number in LETTERS.items()}, **{str(n): n * 8 for n in range(10)}}
_ID_WEIGHTS = (7, 6, 5, 4, 3, 2, 1, 1)
_ID_ZERO = ord("0") * sum(_ID_WEIGHTS)
_FOURFOLD = [number // 10 + number % 10 for number in range(0, 40, 4)]
"""Sum of the digits of each digit times four."""
_BEHIND = re.compile("[#轉分xXeE]")
"""What begins an extension."""


def tw_id(value: str) -> bool:
    """National ID (second character 1 or 2) and resident certificate: new (8 or 9) and old (a letter A to D)."""
    plain = (value if len(value) == 10 else re.sub("[ -]", "", value)).upper()
    rest = plain[2:]
    total = _AREA[plain[0]] + _SECOND[plain[1]] + sum(map(operator.mul, rest.encode(), _ID_WEIGHTS)) - _ID_ZERO
    return total % 10 == 0 and rest.count(rest[0]) < len(rest)


def tw_business(value: str) -> bool:
    """Unified business number: sum of the digits of the products divisible by 5; with a 7 in the seventh place, also
    one more. The weights are 1, 2, 1, 2, 1, 2, 4, 1.
    """
    number = digits(value)
    once, twice = number[0:6:2] + number[7], number[1:6:2]
    total = weighted(once, (1, 1, 1, 1)) + sum(twice.encode().translate(DOUBLED)) + _FOURFOLD[int(number[6])]
    fits = total % 5 == 0 or (number[6] == "7" and (total + 1) % 5 == 0)
    return fits and number != "00000000"


def tw_date(value: str) -> bool:
    """A day of a living person's birth in either calendar: 民國63年3月12日, 63/3/12, 0630312, 1974-03-12."""
    parts = [*map(int, DIGITS.findall(value))]
    if len(parts) == 1:
        year, month, day = parts[0] // 10_000, parts[0] // 100 % 100, parts[0] % 100
    elif len(parts) == 3:
        year, month, day = parts
    else:
        return False
    born = 1 <= year <= 130 or 1900 <= year <= 2035
    return born and 1 <= month <= 12 and 1 <= day <= 31


def tw_landline(value: str) -> bool:
    """Area code and number: 02 has eight digits after it, 03 to 08 have six to eight; no date."""
    behind = _BEHIND.search(value)
    number = digits(value[: behind.start()] if behind else value)
    number = f"0{number.removeprefix('886').lstrip('0')}" if number.startswith("886") else number
    return len(number) in ((10,) if number.startswith("02") else (8, 9, 10)) and len(set(number)) > 2


def tw_account(value: str) -> bool:
    """9 to 19 digits: a bank's account has 10 to 16, after a code of three; no date."""
    number = digits(value)
    return 9 <= len(number) <= 19 and not alike(number)


def tw_plate(value: str) -> bool:
    """A number plate: not all digits zero."""
    return digits(value).strip("0") != ""


ALL: Sequence[Callable[[str], bool]] = (tw_id, tw_business, tw_date, tw_landline, tw_account, tw_plate)
"""What rules may name."""
