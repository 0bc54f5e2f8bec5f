"""Turns an evaluation of two deployments into labels for ``nearfar router``. It knows no gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from nearfar.cli.errors import UsageError
from nearfar.core.money import NANO
from nearfar.evaluation.comparing import Scores
from nearfar.evaluation.prompts import Prompt
from nearfar.evaluation.records import Heard, Record
from nearfar.evaluation.scores import kind_of
from nearfar.tuning.labels import Label, Opinion, Outcome

_LOGPROBS = 4096
"""Log-probabilities of an answer that are kept."""


def labels(
    prompts: Sequence[Prompt],
    near: str,
    far: str,
    opinions: Sequence[str],
    scores: Scores,
    records: Mapping[tuple[str, str], Record],
) -> list[Label]:
    """A label for each prompt that both have a score for; costs are USD of the first answer."""
    made = []
    for item in prompts:
        mine, theirs = scores.get(near, {}).get(item.id), scores.get(far, {}).get(item.id)
        local, cloud = _heard(records, near, item.id), _heard(records, far, item.id)
        if mine is None or theirs is None or local is None or cloud is None or not item.text:
            continue
        said = [(name, _heard(records, name, item.id)) for name in opinions]
        made.append(
            Label(
                id=item.id,
                prompt=item.text,
                local=_outcome(mine, local),
                cloud=_outcome(theirs, cloud),
                opinions=[
                    Opinion(model=name, answer=None if heard is None else heard.text, cost=_usd(heard))
                    for name, heard in said
                ],
                answer_type=kind_of(item),
                task=item.task or None,
            )
        )
    return made


def write(path: Path, made: Sequence[Label]) -> None:
    """One JSON line each, readable by the owner alone: they hold prompts and answers."""
    lines = b"".join(msgspec.json.encode(_lean(label)) + b"\n" for label in made)
    try:
        path.touch(mode=0o600)
        path.chmod(0o600)  # one that was there already may be others' to read
        path.write_bytes(lines)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error


def _lean(label: Label) -> dict[str, object]:
    """Without what is not known."""
    built = msgspec.to_builtins(label)
    kept: dict[str, object] = {}
    for name, value in built.items():
        if isinstance(value, dict):
            kept[name] = {key: item for key, item in value.items() if item is not None}
        elif value not in (None, [], ""):
            kept[name] = value
    return kept


def _outcome(score: float, heard: Heard) -> Outcome:
    return Outcome(
        score=score,
        answer=heard.text,
        cost=_usd(heard),
        logprobs=[min(0.0, value) for value in heard.logprobs[:_LOGPROBS]] or None,
        margin=heard.margin,
        finish=heard.finish or None,
    )


def _usd(heard: Heard | None) -> float | None:
    return None if heard is None or heard.cost is None else heard.cost / NANO


def _heard(records: Mapping[tuple[str, str], Record], name: str, prompt: str) -> Heard | None:
    record = records.get((name, prompt))
    return None if record is None else record.heard
