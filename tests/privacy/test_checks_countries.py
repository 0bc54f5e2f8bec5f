"""Check digits of other countries: numbers that issuers publish as examples, and that a wrong digit is noticed."""

from __future__ import annotations

import pytest

from nearfar.privacy import checks_countries as checks

PUBLISHED = {
    "us_ssn": ["219-09-9999"],
    "us_itin": ["912-70-1234", "900-94-0001"],
    "us_routing": ["021000021", "011401533"],
    "us_npi": ["1234567893"],
    "ca_sin": ["046 454 286"],
    "uk_nhs": ["943 476 5919"],
    "uk_nino": ["AB123456C"],
    "au_tfn": ["123 456 782"],
    "au_medicare": ["2123 45670 1"],
    "de_tax": ["86095742719"],
    "fr_nir": ["2 55 08 14 168 025 38"],
    "es_id": ["12345678Z", "X1234567L"],
    "it_fiscal": ["RSSMRA80A01H501U"],
    "nl_bsn": ["111222333", "123456782"],
    "be_national": ["85.07.30-033.28"],
    "pl_pesel": ["44051401359"],
    "se_personal": ["811228-9874"],
    "fi_personal": ["131052-308T"],
    "dk_cpr": ["070761-4285"],
    "pt_tax": ["123456789"],
    "ch_ahv": ["756.9217.0769.85"],
    "at_social": ["1237 010180"],
    "ie_pps": ["1234567T", "1234567FA"],
    "br_cpf": ["111.444.777-35"],
    "br_cnpj": ["11.222.333/0001-81"],
    "mx_curp": ["HEGG560427MVZRRL04"],
    "ar_cuit": ["20-05536168-2"],
    "cl_rut": ["12.345.678-5", "30.686.957-4"],
    "in_aadhaar": ["2341 2341 2346"],
    "in_gstin": ["27AAPFU0939F1ZV"],
    "cn_id": ["11010519491231002X"],
    "hk_id": ["A123456(3)", "AB987654(3)"],
    "jp_number": ["123456789018"],
    "kr_rrn": ["971013-9019902".replace("-9", "-1")],
    "sg_nric": ["S1234567D", "F1234567N", "T1234567J", "G1234567X"],
    "th_id": ["1-2345-45678-78-1"],
    "my_nric": ["770305-02-1234"],
    "id_nik": ["3171011708450001"],
    "tr_id": ["10000000146"],
    "za_id": ["8001015009087"],
    "il_id": ["123456782"],
    "vn_cccd": ["001184951921"],
}
"""Numbers of documentation and of test data that issuers and standards publish."""

CHECKED = {
    *("us_routing", "us_npi", "ca_sin", "uk_nhs", "au_tfn", "de_tax", "fr_nir", "nl_bsn", "be_national", "pl_pesel"),
    *("se_personal", "ch_ahv", "br_cpf", "br_cnpj", "ar_cuit", "cl_rut", "in_aadhaar", "cn_id", "tr_id", "za_id"),
    *("il_id", "pt_tax", "jp_number", "hk_id", "sg_nric", "es_id", "th_id"),
}
"""Those with a check digit that notices any one wrong digit."""


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in PUBLISHED.items() for value in values])
def test_a_published_number_passes(name: str, value: str) -> None:
    assert getattr(checks, name)(value)


@pytest.mark.parametrize("name", sorted(CHECKED))
def test_one_wrong_digit_is_noticed(name: str) -> None:
    check = getattr(checks, name)
    for value in PUBLISHED[name]:
        places = [at for at, char in enumerate(value) if char.isdigit()][-6:-1]
        wrong = [value[:at] + str((int(value[at]) + 1) % 10) + value[at + 1 :] for at in places]
        assert not any(check(each) for each in wrong), wrong


def test_none_is_forgotten() -> None:
    names = {function.__name__ for function in checks.ALL}
    assert names - set(PUBLISHED) == {"no_personal"}


def test_norway_by_its_rule() -> None:
    valid = [number for tail in range(1000) if checks.no_personal(number := f"17058477{tail:03}")]
    assert 1 <= len(valid) <= 20  # two check digits: about one in a hundred
    assert all(not checks.no_personal(f"{int(number) + 1:011}") for number in valid)


@pytest.mark.parametrize("value", ["000-12-3456", "666-12-3456", "912-12-3456", "123-00-4567", "123-45-0000"])
def test_what_was_never_a_social_security_number(value: str) -> None:
    assert not checks.us_ssn(value)
