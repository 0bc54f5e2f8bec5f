"""Which of a repository's models to fetch: the one that was asked for, else the best that the engine here would admit.

It reckons with the engine's own estimate and budget, the same that admit or refuse a model when it is loaded, and
fetches nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from nearfar.core.errors import BadRequestError, EngineError, NotFoundError
from nearfar.engine.admission import budget
from nearfar.engine.estimate import Plan, advice, plan, size
from nearfar.engine.header import Header
from nearfar.engine.hub import Looked, Remote
from nearfar.engine.hub_choices import GGUF, Choice
from nearfar.engine.machine import Memory
from nearfar.settings.model import Engine

WIDE = frozenset({"F16", "FP16", "BF16", "F32", "FP32"})
"""Types of 16 bits and more: twice the time of Q8_0 for each token, and no better answers to speak of."""
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".msgpack")
_SHOWN = 12

Look = Callable[[Choice], Looked]


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What to fetch, and why."""

    choice: Choice
    looked: Looked
    why: str
    """One line."""
    need: int
    """Bytes of memory when loaded; 0 where only the whole file tells."""
    fits: bool


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What models here may take."""

    engine: Engine
    memory: Memory

    @property
    def bytes(self) -> int:
        """Of all loaded models together, as the engine admits them."""
        return budget(self.engine, self.memory)

    def plan(self, header: Header) -> Plan:
        """How the engine will run it."""
        return plan(header, self.engine)


def choose(remote: Remote, wanted: str, look: Look, room: Room) -> Chosen:
    """The model to fetch. Raises BadRequestError, NotFoundError, EngineError, and what ``look`` raises."""
    offers = remote.choices()
    if not offers:
        raise _nothing(remote)
    if wanted:
        return _asked(_wanted(remote, offers, wanted), look, room)
    group = _group(remote, [choice for choice in offers if not choice.lacking] or _broken(remote, offers[0]))
    if len(group) == 1:
        chosen = _asked(group[0], look, room)
        if not chosen.fits:
            assert chosen.looked.header is not None
            raise _too_large(remote, group[0], chosen.looked.header, room)
        return chosen
    return _best(remote, group, look, room)


def _asked(choice: Choice, look: Look, room: Room) -> Chosen:
    """One that is fetched whether it fits or not."""
    looked = look(choice)
    header = looked.header
    if header is None:
        why = f"{choice.label}: only the whole file tells what memory it needs"
        return Chosen(choice=choice, looked=looked, why=why, need=0, fits=True)
    planned = room.plan(header)
    fits = planned.estimate.total <= room.bytes
    why = f"{choice.label}: {_needs(planned)}, {'within' if fits else 'MORE than'} the {_may(room)}"
    if not fits:
        why = f"{why}. {advice(header, room.engine, room.bytes)}"
    return Chosen(choice=choice, looked=looked, why=why, need=planned.estimate.total, fits=fits)


def _best(remote: Remote, group: Sequence[Choice], look: Look, room: Room) -> Chosen:
    """The finest that fits. All are one model, so one header tells what the others need besides their weights."""
    order = sorted(group, key=lambda choice: (choice.label in WIDE, -choice.bytes))
    smallest = min(group, key=lambda choice: choice.bytes)
    known = look(smallest).header
    assert known is not None, "GGUF headers are always read"
    finer: Choice | None = None
    for choice in order:
        if room.plan(_as(known, choice)).estimate.total > room.bytes:
            finer = finer or choice
            continue
        looked = look(choice)
        assert looked.header is not None
        planned = room.plan(looked.header)
        if planned.estimate.total > room.bytes:
            continue
        why = f"{choice.label} is the best of {len(group)} types that fits: {_needs(planned)}, of the {_may(room)}"
        if finer is not None:
            why += f"; {finer.label} would need {size(room.plan(_as(known, finer)).estimate.total)}"
        return Chosen(choice=choice, looked=looked, why=why, need=planned.estimate.total, fits=True)
    raise _too_large(remote, smallest, known, room)


def _as(known: Header, choice: Choice) -> Header:
    """The same model with the weights of ``choice``: its file is a little larger than they are."""
    return msgspec.structs.replace(known, tensor_bytes=choice.bytes)


def _needs(planned: Plan) -> str:
    slots = f"{planned.slots} x " if planned.slots > 1 else ""
    return f"it needs {planned.estimate.text} with {slots}{planned.context} tokens of context"


def _may(room: Room) -> str:
    whose = "engine.memory_mb" if room.engine.memory_mb is not None else "the machine's memory"
    return f"{size(room.bytes)} that local models may take ({whose})"


def _group(remote: Remote, whole: Sequence[Choice]) -> Sequence[Choice]:
    """Of formats the one that needs no further package, and of several models in a repository the only one."""
    kinds = [choice.kind for choice in whole]
    group = [choice for choice in whole if choice.kind == kinds[0]]
    if kinds[0] != GGUF:
        on_cpu = [choice for choice in group if "CPU" in choice.label]
        if len(group) > 1 and len(on_cpu) != 1:
            raise _several(remote, group)
        return on_cpu if len(group) > 1 else group
    stems: dict[str, list[Choice]] = {}
    for choice in group:
        stems.setdefault(choice.stem.rpartition("/")[2].casefold(), []).append(choice)
    many = sorted(stems.values(), key=len, reverse=True)
    if len(many) > 1 and len(many[0]) == len(many[1]):
        raise _several(remote, group)
    return many[0]


def _wanted(remote: Remote, offers: Sequence[Choice], wanted: str) -> Choice:
    said = wanted.casefold()
    names = [choice for choice in offers if any(said == file.name.casefold() for file in choice.files)]
    labels = [choice for choice in offers if choice.label.casefold() == said or choice.kind == said]
    partly = [choice for choice in offers if choice.kind != GGUF and said in choice.label.casefold()]
    found = names or labels or partly
    if not found:
        raise NotFoundError(f"{remote.repo} has no {wanted}.", code="type_not_found", hint=f"It has {_listed(offers)}.")
    whole = [choice for choice in found if not choice.lacking]
    if not whole:
        _broken(remote, found[0])
    if len(whole) > 1:
        raise _several(remote, whole)
    return whole[0]


def _broken(remote: Remote, choice: Choice) -> list[Choice]:
    raise EngineError(
        f"{choice.name} of {remote.repo} lacks {choice.lacking[0]}.",
        code="model_incomplete",
        hint="Its owner has to mend it; another type or repository may have the model whole.",
    )


def _several(remote: Remote, found: Sequence[Choice]) -> BadRequestError:
    names = [choice.files[0].name if choice.kind == GGUF else choice.label for choice in found]
    listed = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return BadRequestError(
        f"{remote.repo} holds several models.", code="ambiguous", hint=f"Say {remote.repo}:NAME, one of {listed}."
    )


def _nothing(remote: Remote) -> BadRequestError:
    names = [file.name for file in remote.files]
    pickles = [name for name in names if name.endswith(_PICKLES)]
    if pickles:
        return BadRequestError(
            f"{remote.repo} has its weights in {pickles[0]}, a format that can run code when it is read; "
            "nearfar never fetches one.",
            code="model_pickle",
            hint="Look for a repository of the same model with safetensors, or whose name ends in -GGUF.",
        )
    return BadRequestError(
        f"{remote.repo} holds no model that nearfar runs: neither GGUF, nor safetensors with their config.json, nor "
        "a folder made for ONNX Runtime GenAI.",
        code="no_model",
        hint="Look for a repository whose name ends in -GGUF: nearfar models search",
    )


def _too_large(remote: Remote, smallest: Choice, header: Header, room: Room) -> EngineError:
    planned = room.plan(header)
    return EngineError(
        f"Nothing of {remote.repo} fits the {_may(room)}: of its smallest, {smallest.label}, {_needs(planned)}.",
        code="does_not_fit",
        hint=f"{advice(header, room.engine, room.bytes)} {remote.repo}:{smallest.label} fetches it all the same.",
    )


def _listed(offers: Sequence[Choice]) -> str:
    labels = sorted({choice.label for choice in offers if not choice.lacking})
    more = f" and {len(labels) - 2 * _SHOWN} more" if len(labels) > 2 * _SHOWN else ""
    return ", ".join(labels[: 2 * _SHOWN]) + more
