"""Check digits of the identifiers of countries other than Taiwan, from each issuer's published rule.

Each function takes what a rule matched and says whether it can be real. It knows no text around the value, and no
register: a number that passes need not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nearfar.privacy.checks import alike, digits, luhn, weighted

_BASE = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OTHERS = bytes(code for code in range(128) if code not in _BASE.encode())


def _plain(value: str) -> str:
    """Upper case, without separators."""
    return value.upper().encode("ascii", "ignore").translate(None, _OTHERS).decode()


def _last(value: str, weights: Sequence[int], modulus: int) -> bool:
    """Whether the weighted sum of all digits is divisible by ``modulus``."""
    number = digits(value)
    return weighted(number, weights) % modulus == 0 and not alike(number)


def _day(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= 31


def us_ssn(value: str) -> bool:
    """Area not 000, 666 or 9xx, group not 00, serial not 0000 (Social Security Administration, since 2011-06-25)."""
    number = digits(value)
    area, group, serial = number[:3], number[3:5], number[5:]
    return area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"


def us_itin(value: str) -> bool:
    """Area 9xx, group 50-65, 70-88, 90-92, 94-99 (Internal Revenue Service)."""
    number = digits(value)
    group = int(number[3:5])
    return number[0] == "9" and (50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 99) and group != 93


def us_routing(value: str) -> bool:
    """ABA routing number: weights 3, 7, 1."""
    return _last(value, (3, 7, 1) * 3, 10)


def us_npi(value: str) -> bool:
    """National Provider Identifier: Luhn with 80840 before it."""
    return luhn(f"80840{digits(value)}")


def ca_sin(value: str) -> bool:
    """Social Insurance Number: Luhn; none begins with 8."""
    return luhn(value) and digits(value)[0] != "8" and not alike(digits(value))


def uk_nhs(value: str) -> bool:
    """NHS number: weights 10 to 1, modulus 11."""
    return _last(value, range(10, 0, -1), 11)


def uk_nino(value: str) -> bool:
    """National Insurance number: prefixes that are not given out."""
    return _plain(value)[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


def au_tfn(value: str) -> bool:
    """Tax file number: modulus 11."""
    return _last(value, (1, 4, 3, 7, 5, 8, 6, 9, 10), 11)


def au_medicare(value: str) -> bool:
    """Medicare number: the ninth digit checks the first eight."""
    number = digits(value)
    return number[0] in "23456" and weighted(number[:8], (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(number[8])


def de_tax(value: str) -> bool:
    """Steuerliche Identifikationsnummer: ISO 7064 mod 11,10."""
    number = digits(value)
    return number[0] != "0" and _mod_11_10(number) and max(number[:10].count(digit) for digit in number[:10]) <= 3


def _mod_11_10(number: str) -> bool:
    product = 10
    for digit in number[:-1]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(number[-1])


def fr_nir(value: str) -> bool:
    """Numéro de sécurité sociale: 97 minus the number modulo 97; Corsica's 2A and 2B count as 19 and 18."""
    plain = _plain(value).replace("2A", "19").replace("2B", "18")
    return plain.isdigit() and 97 - int(plain[:13]) % 97 == int(plain[13:])


def es_id(value: str) -> bool:
    """DNI and NIE: the letter is the number modulo 23; X, Y, Z count as 0, 1, 2."""
    plain = _plain(value)
    number = plain[:-1].replace("X", "0", 1).replace("Y", "1", 1).replace("Z", "2", 1)
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == plain[-1]


def it_fiscal(value: str) -> bool:
    """Codice fiscale: odd and even places by their tables, modulus 26."""
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    plain = _plain(value)
    numbers = [int(char) if char.isdigit() else ord(char) - 65 for char in plain]
    total = sum(odd[number] if place % 2 == 0 else number for place, number in enumerate(numbers[:15]))
    return chr(65 + total % 26) == plain[15]


def nl_bsn(value: str) -> bool:
    """Burgerservicenummer: the eleven test."""
    return _last(value, (9, 8, 7, 6, 5, 4, 3, 2, -1), 11)


def be_national(value: str) -> bool:
    """Rijksregisternummer: 97 minus the first nine modulo 97, with a 2 before them for births since 2000."""
    number = digits(value)
    return int(number[9:]) in {97 - int(number[:9]) % 97, 97 - int(f"2{number[:9]}") % 97}


def pl_pesel(value: str) -> bool:
    """PESEL: weights 1 3 7 9; the month carries the century."""
    number = digits(value)
    return _last(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), 10) and _day(int(number[2:4]) % 20, int(number[4:6]))


def se_personal(value: str) -> bool:
    """Personnummer: Luhn over the last ten digits; coordination numbers add 60 to the day."""
    number = digits(value)[-10:]
    return luhn(number) and _day(int(number[2:4]), int(number[4:6]) % 60)


def fi_personal(value: str) -> bool:
    """Henkilötunnus: the number modulo 31 chooses the last character."""
    plain = _plain(value)
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(plain[:6] + plain[-4:-1]) % 31] == plain[-1] and _day(
        int(plain[2:4]), int(plain[:2])
    )


def dk_cpr(value: str) -> bool:
    """CPR number: a day; modulus 11 no longer holds for all since 2007."""
    number = digits(value)
    return _day(int(number[2:4]), int(number[:2]))


def no_personal(value: str) -> bool:
    """Fødselsnummer: two check digits; D numbers add 40 to the day."""
    number = digits(value)
    first = weighted(number, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
    return first and _last(number, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), 11)


def pt_tax(value: str) -> bool:
    """NIF: weights 9 to 2, modulus 11."""
    number = digits(value)
    return (11 - weighted(number[:8], range(9, 1, -1)) % 11) % 11 % 10 == int(number[8]) and number[0] != "0"


def ch_ahv(value: str) -> bool:
    """AHV number: EAN-13."""
    return _last(value, (1, 3) * 6 + (1,), 10)


def at_social(value: str) -> bool:
    """Sozialversicherungsnummer: the fourth digit checks the others, modulus 11."""
    number = digits(value)
    return weighted(number, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == int(number[3]) and _day(
        int(number[6:8]), int(number[4:6])
    )


def ie_pps(value: str) -> bool:
    """PPS number: weights 8 to 2, a second letter times 9, modulus 23."""
    plain = _plain(value)
    second = ord(plain[8]) - 64 if len(plain) > 8 and plain[8] != "W" else 0
    total = weighted(plain[:7], range(8, 1, -1)) + second * 9
    return "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] == plain[7]


def br_cpf(value: str) -> bool:
    """CPF: two digits, modulus 11."""
    number = digits(value)
    return not alike(number) and _two_of_eleven(number, range(10, 1, -1), range(11, 1, -1))


def br_cnpj(value: str) -> bool:
    """CNPJ: two digits, modulus 11."""
    first = (5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
    number = digits(value)
    return not alike(number) and _two_of_eleven(number, first, (6, *first))


def _two_of_eleven(number: str, first: Sequence[int], second: Sequence[int]) -> bool:
    one = weighted(number[:-2], first) * 10 % 11 % 10
    two = weighted(number[:-1], second) * 10 % 11 % 10
    return number[-2:] == f"{one}{two}"


def mx_curp(value: str) -> bool:
    """CURP: a day, and the last digit from weights 18 to 2."""
    plain = _plain(value)
    order = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    total = sum(order.index(char) * (18 - place) for place, char in enumerate(plain[:17]))
    return (10 - total % 10) % 10 == int(plain[17]) and _day(int(plain[6:8]), int(plain[8:10]))


def ar_cuit(value: str) -> bool:
    """CUIT and CUIL: modulus 11."""
    return _last(value, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), 11)


def cl_rut(value: str) -> bool:
    """RUT: weights 2 to 7 from the right, K for ten."""
    plain = _plain(value)
    rest = 11 - weighted(plain[-2::-1], (2, 3, 4, 5, 6, 7, 2, 3, 4)) % 11
    return {11: "0", 10: "K"}.get(rest, str(rest)) == plain[-1]


def in_aadhaar(value: str) -> bool:
    """Aadhaar: Verhoeff; none begins with 0 or 1."""
    number = digits(value)
    return number[0] not in "01" and _verhoeff(number)


def _verhoeff(number: str) -> bool:
    """Verhoeff's check: the dihedral group of the pentagon, and a permutation by place."""
    moves = "1576283094"
    state = 0
    for place, digit in enumerate(reversed(number)):
        turned = int(digit)
        for _ in range(place % 8):
            turned = int(moves[turned])
        state = _pentagon(state, turned)
    return state == 0


def _pentagon(left: int, right: int) -> int:
    """The product in the group of the pentagon: 0 to 4 turn, 5 to 9 mirror."""
    if left < 5:
        return (left + right) % 5 if right < 5 else 5 + (left + right - 5) % 5
    return 5 + (left - 5 - right) % 5 if right < 5 else (left - right) % 5


def in_gstin(value: str) -> bool:
    """GSTIN: base 36, factors 1 and 2 in turn."""
    plain = _plain(value)
    total = 0
    for place, char in enumerate(plain[:14]):
        product = _BASE.index(char) * (1 + place % 2)
        total += product // 36 + product % 36
    return _BASE[(36 - total % 36) % 36] == plain[14]


def cn_id(value: str) -> bool:
    """Resident identity number of the PRC: a day, ISO 7064 mod 11,2 with X for ten."""
    plain = _plain(value)
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[weighted(plain, weights) % 11] == plain[17] and _day(int(plain[10:12]), int(plain[12:14]))


def hk_id(value: str) -> bool:
    """Hong Kong identity card: letters count from 10, a missing first one 36, modulus 11 with A for ten."""
    plain = _plain(value).rjust(9, " ")
    numbers = [36 if char == " " else _BASE.index(char) for char in plain]
    return sum(number * (9 - place) for place, number in enumerate(numbers)) % 11 == 0


def jp_number(value: str) -> bool:
    """Individual Number (My Number): weights 6 5 4 3 2 7 6 5 4 3 2, modulus 11."""
    number = digits(value)
    rest = weighted(number, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if rest <= 1 else 11 - rest) == int(number[11]) and not alike(number)


def kr_rrn(value: str) -> bool:
    """Resident registration number: a day and a century digit; since 2020-10 the last digit no longer checks."""
    number = digits(value)
    return _day(int(number[2:4]), int(number[4:6])) and number[6] in "12345678"


def sg_nric(value: str) -> bool:
    """NRIC and FIN: weights 2 7 6 5 4 3 2, T and G add 4, M adds 3."""
    plain = _plain(value)
    total = weighted(plain[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(plain[0], 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "KLJNPQRTUWX"}
    rest = total % 11
    return letters[plain[0]][10 - rest if plain[0] == "M" else rest] == plain[8]


def th_id(value: str) -> bool:
    """Thai national ID: weights 13 to 2, modulus 11."""
    number = digits(value)
    return (11 - weighted(number[:12], range(13, 1, -1)) % 11) % 10 == int(number[12]) and number[0] != "0"


def my_nric(value: str) -> bool:
    """MyKad: a day, and a place of birth."""
    number = digits(value)
    return _day(int(number[2:4]), int(number[4:6])) and number[6:8] not in {"00", "17", "18", "19", "20"}


def id_nik(value: str) -> bool:
    """NIK: a day (women's plus 40) and a province."""
    number = digits(value)
    return _day(int(number[8:10]), int(number[6:8]) % 40) and number[0] in "123456789" and number[12:] != "0000"


def tr_id(value: str) -> bool:
    """T.C. kimlik no: two check digits."""
    number = [int(digit) for digit in digits(value)]
    tenth = (7 * sum(number[0:9:2]) - sum(number[1:8:2])) % 10
    return number[0] != 0 and tenth == number[9] and sum(number[:10]) % 10 == number[10]


def za_id(value: str) -> bool:
    """South African ID: a day, Luhn."""
    number = digits(value)
    return luhn(number) and _day(int(number[2:4]), int(number[4:6])) and number[10] in "012"


def il_id(value: str) -> bool:
    """Teudat zehut: Luhn over nine digits."""
    return luhn(value) and not alike(digits(value))


def vn_cccd(value: str) -> bool:
    """Căn cước công dân: a province below 097."""
    return 1 <= int(digits(value)[:3]) <= 96


ALL: Sequence[Callable[[str], bool]] = (
    *(us_ssn, us_itin, us_routing, us_npi, ca_sin, uk_nhs, uk_nino, au_tfn, au_medicare, de_tax, fr_nir, es_id),
    *(it_fiscal, nl_bsn, be_national, pl_pesel, se_personal, fi_personal, dk_cpr, no_personal, pt_tax, ch_ahv),
    *(at_social, ie_pps, br_cpf, br_cnpj, mx_curp, ar_cuit, cl_rut, in_aadhaar, in_gstin, cn_id, hk_id, jp_number),
    *(kr_rrn, sg_nric, th_id, my_nric, id_nik, tr_id, za_id, il_id, vn_cccd),
)
"""What rules may name."""
