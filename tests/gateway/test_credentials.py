"""How keys are sent, and who signs."""

import pytest

from nearfar.gateway.credentials import key_headers, signer, signs


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ("bearer", ("authorization", "Bearer k")),
        ("x-api-key", ("x-api-key", "k")),
        ("api-key", ("api-key", "k")),
        ("x-goog-api-key", ("x-goog-api-key", "k")),
        ("aws:bedrock", ("authorization", "Bearer k")),
        ("google", ("authorization", "Bearer k")),
    ],
)
def test_a_key_goes_where_the_system_looks_for_it(auth: str, header: tuple[str, str]) -> None:
    assert key_headers(auth, "k") == (header,)


def test_signatures_are_for_those_who_need_them() -> None:
    assert [signs(auth) for auth in ("google", "aws:bedrock", "bearer", "none", "api-key")] == [True, True] + [
        False
    ] * 3


def test_who_signs_is_found_by_name() -> None:
    with pytest.raises(ModuleNotFoundError, match="credentials_nobody"):
        signer("nobody:x", {}, {})
