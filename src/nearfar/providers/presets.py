"""Systems that are one table of data each (``data/compatible.toml``) as Provider records. It knows no system itself."""

from __future__ import annotations

from importlib import resources

import msgspec

from nearfar import providers
from nearfar.core.data import decode
from nearfar.core.places import Place
from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Probe, Provider
from nearfar.providers.listing import any_owner, marked, owned_by

EVIDENCE = "Written down from common knowledge; its own documentation ({source}) decides. Nothing was sent there."


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table; the file's head says what each member means."""

    title: str
    base_url: str
    source: str
    key_env: tuple[str, ...] = ()
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    rename: dict[str, str] = {}
    embeddings: bool = False
    transcription: bool = False
    ports: tuple[int, ...] = ()
    owner: str = ""
    marks: dict[str, tuple[str, ...]] = {}


def names() -> list[str]:
    """The names of all rows. Reads one file."""
    return list(_tables())


def load() -> dict[str, Provider]:
    """All rows as records, by name. Raises ValidationError for a row with a member that none may have."""
    tables = _tables()
    return {name: provider(name, msgspec.convert(table, Row), date) for name, (table, date) in tables.items()}


def provider(name: str, row: Row, date: str) -> Provider:
    """One row as a record."""
    capabilities = {what: Capability(can=True, source="catalogue", date=date) for what in row.yes}
    capabilities |= {what: Capability(can=False, source="catalogue", date=date) for what in row.no}
    return Provider(
        name=name,
        title=row.title,
        wire="openai.chat",
        embeddings_wire="openai.embeddings" if row.embeddings else "",
        other_wires={"transcription": "openai.audio"} if row.transcription else {},
        base_url=row.base_url,
        key_env=row.key_env,
        # Also a server of one's own: who declares no place has not said where it is.
        place=Place.CLOUD,
        ports=row.ports,
        probes=_probes(row),
        capabilities=capabilities,
        drop=row.drop,
        rename=row.rename,
        evidence=Evidence(label="docs", what=EVIDENCE.format(source=row.source)),
    )


def _probes(row: Row) -> tuple[Probe, ...]:
    if not row.ports:
        return ()
    models = Probe(path="/v1/models", read=owned_by(row.owner) if row.owner else any_owner)
    return (models, *(Probe(path=path, read=marked(*members)) for path, members in row.marks.items()))


def _tables() -> dict[str, tuple[object, str]]:
    data = resources.files(providers).joinpath("data", "compatible.toml").read_bytes()
    tables = decode(data, dict[str, object], "not a table of providers")
    date = str(tables.pop("date"))
    return {name: (table, date) for name, table in sorted(tables.items())}
