"""Learning in a whole gateway: nothing confidential is kept or judged far, and nothing lies in the clear."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import uvloop
from tests import running
from tests.faults.rig import DEADLINES, Rig, rig
from tests.faults.speakers import SPEAKERS
from tests.faults.speakers import ask as send
from tests.gateway.classroom import Speaker, prefers, speaking
from tests.parts.test_routers import fitted
from tests.tuning import made as made_labels

from nearfar.cli.main import run
from nearfar.settings.load import load
from nearfar.standin.server import StandIn
from nearfar.store.labels import Labels
from nearfar.store.labels_schema import Selection

WORD = "quetzalplume"
NUMBER = "A123456789"
HONEST = prefers(
    "far",
    "210",
    "Mercury",
    "Ottawa",
    "30 euros",
    "[-1]",
    "three to four",
    "40 平方",
    "玉山",
    "100 度",
    "延期",
    "4 顆",
    "備份是",
)
POLICY = """
[policy]
detect = true
confidential = "device"
restricted = "device"
[shadow]
daily_usd = 1000.0
[learning]
keep = ["public", "internal"]
judge = "third"
"""


class Played:
    """Who answers, and what the gateway's folder holds."""

    def __init__(self, near: Speaker, far: Speaker, third: Speaker, folder: Path) -> None:
        self.near, self.far, self.third, self.folder = near, far, third, folder
        self.config = DEADLINES + running.ONCE + POLICY
        for name, speaker, place in (("near", near, "device"), ("far", far, "cloud"), ("third", third, "cloud")):
            self.config += f"""
[deployments.{name}]
provider = "openai-compatible"
model = "m"
base_url = "http://127.0.0.1:{speaker.port}/v1"
place = "{place}"
{running.PRICE if place == "cloud" else ""}
"""
        self.config += running.route(
            "any", "near", "far", strategy="shadow", more='shadow = { deployment = "far", share = 1.0 }'
        )

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Rig]:
        async with rig(self.folder, self.config, near=StandIn(), far=StandIn()) as made:
            yield made

    @property
    def told(self) -> list[str]:
        """What the judge heard of clients' words."""
        return [ask for messages in self.third.heard if WORD in (ask := messages[-1]["content"]) or NUMBER in ask]


async def ask(made: Rig, text: str, *, stream: bool = False, class_: str = "") -> None:
    speaker = SPEAKERS["openai.chat"]
    body = {"model": "any", "messages": [{"role": "user", "content": text}], "stream": stream, "max_tokens": 50}
    headers = (("x-nearfar-class", class_),) if class_ else ()
    got = await send(made.url, speaker.path("any", stream), body, headers)
    assert got.status == 200, got.body


async def settled(made: Rig, labels: int, scored: int) -> None:
    """Wait for what follows replies."""
    gateway = made.gateway
    assert gateway._learner is not None
    assert gateway._shadows is not None
    while gateway._shadows._tasks or gateway._learner._tasks:
        await asyncio.sleep(0.01)
    kept = gateway._learner._labels
    while True:
        found = await asyncio.to_thread(lambda: list(kept.selected(Selection())))
        assert len(found) == labels
        if sum(item.scores is not None for item in found) == scored:
            return
        await asyncio.sleep(0.02)


def play(tmp_path: Path, scenario: object, near: str = "near", far: str = "far") -> None:
    async def whole() -> None:
        async with (
            speaking(lambda _: f"{near} {WORD}") as one,
            speaking(lambda _: f"{far} {WORD}") as two,
            speaking(HONEST) as three,
        ):
            await scenario(Played(one, two, three, tmp_path))  # type: ignore[operator]  # a coroutine function

    uvloop.run(asyncio.wait_for(whole(), 60))


def held(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_what_may_be_kept_is_kept_unreadably_judged_and_forgotten(tmp_path: Path, stream: bool) -> None:
    async def scenario(played: Played) -> None:
        async with played.gateway() as made:
            await ask(made, f"why {WORD}", stream=stream)
            await settled(made, 1, 1)
            assert len(played.told) == 2
            purposes = [(e.deployment, e.purpose) for e in made.entries() if e.route]
            assert purposes.count(("third", "judge")) == 2
            assert WORD.encode() not in held(tmp_path)
            config = str(next(tmp_path.rglob("*.toml")))
            args = ["router", "forget", "--all", "--json", "--config", config]
            assert await asyncio.to_thread(run, args, running.environment(tmp_path)) == 0
            await settled(made, 0, 0)

    play(tmp_path, scenario)


def test_what_is_found_is_not_kept_even_where_the_policy_does_not_look(tmp_path: Path) -> None:
    async def scenario(played: Played) -> None:
        played.config = played.config.replace("detect = true", "")
        async with played.gateway() as made:
            await ask(made, f"why {WORD} {NUMBER}")
            await settled(made, 0, 0)
            assert len(played.far.heard) == 1, "that policy lets it go far"
            assert played.told == []
            assert 'nearfar_labels_total{outcome="class"} 1' in (await made.gateway.metrics_text()).decode()

    play(tmp_path, scenario)


@pytest.mark.parametrize("where", ["found", "said", "near", "far"])
def test_nothing_confidential_is_kept_or_judged_far(tmp_path: Path, where: str) -> None:
    async def scenario(played: Played) -> None:
        async with played.gateway() as made:
            class_ = "confidential" if where == "said" else ""
            await ask(made, f"why {WORD} {NUMBER if where == 'found' else ''}", class_=class_)
            await settled(made, 0, 0)
            assert played.told == []
            assert len(played.far.heard) == (where in {"near", "far"}), "else not even its shadow leaves"
            text = held(tmp_path)
            assert WORD.encode() not in text
            assert NUMBER.encode() not in text

    said = {name: f"{name} {NUMBER if name == where else ''}" for name in ("near", "far")}
    play(tmp_path, scenario, **said)


@pytest.mark.slow
def test_a_learned_router_hears_how_it_would_have_done(tmp_path: Path) -> None:
    fitted(tmp_path / "r.npz", count=240)
    prompt = made_labels.labels(240)[0].prompt

    async def scenario(played: Played) -> None:
        router = f'router = {{ file = "{tmp_path / "r.npz"}", threshold = 0.9 }}\nshadow ='
        played.config = played.config.replace("shadow =", router, 1)
        async with played.gateway() as made:
            await ask(made, prompt)
            await settled(made, 1, 1)
            routers = made.gateway.routers
            assert routers is not None
            while routers._tasks:
                await asyncio.sleep(0.01)
            (standing,) = routers.standings()
            assert (standing.seen, standing.kept) == (1, 1)
            assert standing.lost == pytest.approx(0.7), "what the judge said of both"

    play(tmp_path, scenario)


@pytest.mark.slow
def test_what_waits_is_judged_after_a_restart(tmp_path: Path) -> None:
    async def scenario(played: Played) -> None:
        honest, played.third.says = played.third.says, lambda _: json.dumps({"a": 5, "b": 5})
        async with played.gateway() as made:
            await ask(made, f"why {WORD}")
            await settled(made, 1, 0)
            while "nearfar_judge_trusted{" not in (await made.gateway.metrics_text()).decode():
                await asyncio.sleep(0.02)
            assert played.told == [], "a judge that fails the anchors hears of no client"
        played.third.says = honest
        with closing(_labels(tmp_path)) as labels:
            state = labels.judge("third")
            assert state is not None
            assert not state.trusted
            labels._keeping.do(lambda connection: connection.execute("UPDATE nearfar_judges SET at = 0"))
        async with played.gateway() as made:
            await ask(made, f"and {WORD}")
            await settled(made, 2, 2)
            assert len(played.told) == 4

    play(tmp_path, scenario)


def _labels(folder: Path) -> Labels:
    from nearfar.parts.learning import labels

    loaded = load(config=next(folder.rglob("*.toml")), environ=running.environment(folder))
    return labels(loaded, loaded.ledger_url)
