"""The check of ``nearfar doctor`` on detectors of the owner's choice: whether each can be made and answers.

It downloads nothing and looks at no request.
"""

from __future__ import annotations

from collections.abc import Iterator

from nearfar import build
from nearfar.cli.checkup import Check
from nearfar.core.errors import GuardError
from nearfar.privacy.normal import Normal
from nearfar.settings.load import Loaded

SENTENCE = "Ask Mei Lin, mei@example.org."


def detectors(loaded: Loaded) -> Iterator[Check]:
    """One line for each detector under ``[detectors]``; nothing where there is none."""
    for each in build.further_detectors(loaded.settings):
        try:
            found = sorted({finding.kind for finding in each.scan(Normal.of(SENTENCE))})
        except GuardError as error:
            yield Check(
                name=f"detector {each.name}",
                state="fail",
                detail=error.text,
                next="Until it is mended, requests that it should read stay near or are refused.",
            )
        else:
            told = ", ".join(found) or "nothing"
            yield Check(name=f"detector {each.name}", state="ok", detail=f"answers; in a test sentence it found {told}")
