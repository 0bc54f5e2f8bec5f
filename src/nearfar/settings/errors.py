"""What is wrong with a configuration, said so that its owner can mend it. It repeats no value that may be secret."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nearfar.core.errors import BadRequestError


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with one setting."""

    key: str
    """Dotted name of the setting; empty when the problem is a whole file's."""
    origin: str
    """Where the value came from: ``flag --port``, ``env NEARFAR_…``, ``file PATH:LINE``, ``default``."""
    message: str
    hint: str = ""

    @property
    def text(self) -> str:
        """The problem on one line: setting, what is wrong, where it was said."""
        place = f" ({self.origin})" if self.origin else ""
        return f"{self.key}: {self.message}{place}" if self.key else f"{self.message}{place}"


class SettingsError(BadRequestError):
    """The configuration cannot be used. ``problems`` holds everything found, not only the first."""

    default_code = "bad_settings"

    def __init__(self, message: str, *, problems: Sequence[Problem] = (), hint: str = "", code: str = "") -> None:
        super().__init__(message, code=code or None, hint=hint)
        self.problems = tuple(problems)


def refuse(problems: Sequence[Problem]) -> SettingsError:
    """The error that stands for ``problems``: the first one told in full, the others counted."""
    first = problems[0]
    more = f" (and {len(problems) - 1} more: nearfar config check)" if len(problems) > 1 else ""
    return SettingsError(first.text + more, problems=problems, hint=first.hint)
