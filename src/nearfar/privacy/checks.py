"""Checks of values that are the same everywhere: cards, IBAN, addresses of the network, phone numbers, dates.

Each takes what a rule matched and says whether it can be real; none knows where it stood.
"""

from __future__ import annotations

import ipaddress
import operator
import re
import string
from collections.abc import Callable, Iterable, Sequence

DIGITS = re.compile("[0-9]+")
_FIGURES = string.digits.encode()
_OTHERS = bytes(code for code in range(128) if code not in _FIGURES)
_VALUES = bytes.maketrans(_FIGURES, bytes(range(10)))
DOUBLED = bytes.maketrans(_FIGURES, bytes(digit * 2 - 9 * (digit > 4) for digit in range(10)))
"""Each digit as the sum of the digits of its double. As bytes, a whole number is looked up in one call."""
_NUMERALS = frozenset(string.digits)
_STANDS_IN = re.compile(
    "example|placeholder|changeme|your[-_ ]|xxxx|\\*\\*\\*|redacted|process\\.env|os\\.environ|getenv"
)
_ZIP = re.compile("[0-9]{5}-[0-9]{4}")
_YEARS = re.compile("(?:19|20)[0-9]{2} ?- ?(?:19|20)[0-9]{2}")
_DATE = re.compile(
    r"(?:(?:19|20)[0-9]{2}([-/. ])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12][0-9]|3[01])"
    r"|(?:0?[1-9]|[12][0-9]|3[01])([-/. ])(?:0?[1-9]|[12][0-9]|3[01])\2(?:(?:19|20)[0-9]{2}|[0-9]{2}))(?![0-9])"
)

IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
"""Country → characters of an IBAN (SWIFT IBAN registry, release 99 and before; entered 2026-11-22)."""


def digits(value: str) -> str:
    """The digits of ``value`` alone."""
    return value if value.isdecimal() else value.encode("ascii", "ignore").translate(None, _OTHERS).decode()


def weighted(value: str, weights: Iterable[int]) -> int:
    """The sum of the digits times their weights, as far as the shorter of the two goes."""
    return sum(map(operator.mul, value.encode().translate(_VALUES), weights))


def alike(number: str) -> bool:
    """Whether it is one character all over, as in 0000000000."""
    return number.count(number[:1]) >= len(number)


def luhn(value: str) -> bool:
    """The check digit of ISO/IEC 7812: every second digit from the right doubled, sum of digits divisible by ten."""
    number = digits(value).encode()
    return (sum(number[-2::-2].translate(DOUBLED)) + sum(number[-1::-2].translate(_VALUES))) % 10 == 0


def card(value: str) -> bool:
    """A payment card by its issuer range, its length and its check digit."""
    number = digits(value)
    return len(number) in _card_lengths(number) and luhn(number) and not alike(number)


def card_named(value: str) -> bool:
    """What somebody calls a card: 12 to 19 digits of any issuer, also with a mistyped check digit."""
    number = digits(value)
    return 12 <= len(number) <= 19 and len(set(number)) > 2


def several(value: str) -> bool:
    """Not one digit all over, as in 0000000000."""
    return not alike(digits(value))


def _card_lengths(number: str) -> tuple[int, ...]:
    two, four = int(number[:2]), int(number[:4])
    if number[0] == "4":
        return (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return (16,)
    if two in {34, 37}:
        return (15,)
    if two in {36, 38, 39} or 3000 <= four <= 3059:
        return (14, 16, 19)
    if four == 6011 or two in {62, 65} or 6440 <= four <= 6499:
        return (16, 17, 18, 19)
    if 3528 <= four <= 3589:
        return (16, 17, 18, 19)
    if four in {2131, 1800}:
        return (15,)
    if two in {50, 56, 57, 58, 60, 63, 67} or four in {8171, 9792}:
        return (16, 18, 19)
    return ()


def iban(value: str) -> bool:
    """ISO 13616: the length of the country, and 97 as remainder one."""
    plain = re.sub("[ -]", "", value).upper()
    if IBAN_LENGTHS.get(plain[:2]) != len(plain):
        return False
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def ipv4(value: str) -> bool:
    """Four numbers up to 255 without leading zeros; not every machine's own: loopback, unspecified, a net mask."""
    if value in {"0.0.0.0", "127.0.0.1"} or value.startswith("255.255."):
        return False
    for part in value.split("."):  # noqa: SIM110 - a generator costs more than what it does
        if len(part) > 1 and (part[0] == "0" or int(part) > 255):
            return False
    return True


def ipv6(value: str) -> bool:
    """What the standard library reads as an IPv6 address; not ``::`` and ``::1``."""
    try:
        return int(ipaddress.IPv6Address(value)) > 1
    except ValueError:
        return False


def phone(value: str) -> bool:
    """7 to 15 digits (ITU-T E.164) that are no date, no one digit all over."""
    number = value if value.isdecimal() else digits(value.lower().partition("x")[0])
    if not (7 <= len(number) <= 15 and len(set(number)) > 2):
        return False
    return number is value or not (_YEARS.fullmatch(value) or _DATE.match(value.strip("( ")))


def phone_national(value: str) -> bool:
    """A number with its trunk zero: 9 to 12 digits that are no date and no American postcode (02110-1301)."""
    return 9 <= len(digits(value)) <= 12 and not _ZIP.fullmatch(value) and phone(value)


def nanp(value: str) -> bool:
    """A number of the North American plan: the area begins with 2 to 9 and is no service code.

    The exchange may be any: made-up numbers of documents (555-123-4567) are kept like real ones.
    """
    number = digits(value.lower().partition("x")[0])
    number = number.removeprefix("001") if len(number) > 11 else number.removeprefix("1")
    return len(number) == 10 and number[0] in "23456789" and number[1:3] != "11" and phone(value)


def secret(value: str) -> bool:
    """Whether a value can be a password or key: no placeholder, no name of a variable, no word in brackets."""
    plain = value.strip("\"'`").lower()
    if len(plain) < 6 or plain[0] in "<{$[(%" or len(set(plain)) < 4:
        return False
    if _STANDS_IN.search(plain):
        return False
    return not plain.isalpha() or plain != value.strip("\"'`")


def token(value: str) -> bool:
    """Whether a long value is random enough for a key: several characters, letters and digits or both cases."""
    body = value[-20:]
    mixed = not _NUMERALS.isdisjoint(body) or (body.lower() != body and body.upper() != body)
    return len(set(body)) >= 8 and mixed and "EXAMPLE" not in value.upper().replace("EXAMPLEKEY", "")


ALL: Sequence[Callable[[str], bool]] = (
    *(luhn, card, card_named, several, iban, ipv4, ipv6, phone, phone_national, nanp, secret, token),
)
"""What rules may name."""
