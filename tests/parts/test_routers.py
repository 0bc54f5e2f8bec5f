"""Routers that routes name: what is sound is used, all else is said at the start with its setting and the next step."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests import running
from tests.parts.built import gateway, loaded
from tests.tuning import made
from tests.tuning.test_online import CERTIFIED
from tests.tuning.test_promise import GOOD, outcome

from nearfar import build
from nearfar.core.errors import StoreUnavailable
from nearfar.parts.routers import in_use
from nearfar.settings.errors import SettingsError
from nearfar.settings.load import Loaded
from nearfar.store import promises
from nearfar.store.database import connect
from nearfar.tuning import certified, router, saved
from nearfar.tuning.certified import Certified

DEPLOYMENTS = running.far("far", "http://127.0.0.1:1") + running.far(
    "near", "http://127.0.0.1:2", more='place = "device"'
)


def fitted(path: Path, *, seed: int = 0, embeds: bool = False, count: int = 60) -> Path:
    labels = made.labels(count, seed=seed)
    vectors = [[float(number % 2), 1.0, 0.5] for number in range(count)] if embeds else None
    prompts = [item.prompt for item in labels]
    gap = [item.cloud.score - item.local.score for item in labels]
    saved.save(path, router.fit(prompts, gap, embeddings=vectors), prompts)
    return path


def certificate(path: Path, of: Path, *, threshold: float = 0.1) -> Certified:
    found = msgspec.structs.replace(CERTIFIED, router=certified.digest(of), threshold=threshold)
    certified.write(path, found)
    return found


def configured(folder: Path, setting: str) -> Loaded:
    return loaded(folder, f'{DEPLOYMENTS}\n[routes.r]\ndeployments = ["near", "far"]\nrouter = {setting}\n')


def refused(folder: Path, setting: str) -> str:
    with pytest.raises(SettingsError) as caught, gateway(configured(folder, setting)):
        pass
    return caught.value.text


def test_a_gateway_uses_what_its_routes_name(tmp_path: Path) -> None:
    certificate(tmp_path / "c.json", fitted(tmp_path / "r.npz"))
    found = configured(tmp_path, '{ file = "r.npz", certificate = "c.json", mode = "canary", share = 0.2 }')
    with gateway(found) as running_one:
        assert running_one.routers is not None
        (standing,) = running_one.routers.standings()
        assert (standing.route, standing.mode, standing.share, standing.labels) == ("r", "canary", 0.2, 60)
        assert (standing.threshold, standing.loss, standing.certified) == (0.1, 0.05, "2026-11-22")
        assert not standing.trusted, "sixty labels are few"
        assert [check.detail for check in running_one.readiness() if check.name == "routers"] == [""]


def test_without_a_router_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    """In an interpreter of its own: a gateway without a router knows no NumPy."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom tests.parts.built import gateway, loaded\n"
        f"with gateway(loaded(Path({str(tmp_path)!r}))) as made:\n"
        "    assert made.routers is None\n"
        "rooms = ('numpy', 'nearfar.tuning', 'nearfar.gateway.routers')\n"
        "print([name for name in sys.modules if name.startswith(rooms)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_wrong_is_said_with_its_setting_and_the_next_step(tmp_path: Path) -> None:
    missing = refused(tmp_path, '{ file = "r.npz", threshold = 0.1 }')
    assert "routes.r.router.file" in missing
    assert "cannot be read: No such file" in missing
    assert "nearfar router fit" in missing
    (tmp_path / "r.npz").write_bytes(b"no router")
    assert "is no router" in refused(tmp_path, '{ file = "r.npz", threshold = 0.1 }')
    fitted(tmp_path / "r.npz")
    assert "routes.r.router.certificate" in refused(tmp_path, '{ file = "r.npz", certificate = "c.json" }')
    certificate(tmp_path / "c.json", fitted(tmp_path / "other.npz", seed=1))
    foreign = refused(tmp_path, '{ file = "r.npz", certificate = "c.json" }')
    assert "is for another router file" in foreign
    assert "nearfar router certify" in foreign


def test_a_router_with_embeddings_needs_somebody_near_who_embeds(tmp_path: Path) -> None:
    fitted(tmp_path / "r.npz", embeds=True)
    assert "was fitted with embeddings" in refused(tmp_path, '{ file = "r.npz", threshold = 0.1 }')
    far = refused(tmp_path, '{ file = "r.npz", threshold = 0.1, embedder = "far" }')
    assert "routes.r.router.embedder" in far
    assert "'far' is at cloud" in far
    with gateway(configured(tmp_path, '{ file = "r.npz", threshold = 0.1, embedder = "near" }')) as running_one:
        assert running_one.routers is not None
        assert list(running_one.routers._embed) == ["r"]
    fitted(tmp_path / "r.npz")
    assert "needs no embeddings" in refused(tmp_path, '{ file = "r.npz", threshold = 0.1, embedder = "near" }')


def test_without_numpy_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(tmp_path / "r.npz")
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert "nearfar[tuning]" in refused(tmp_path, '{ file = "r.npz", threshold = 0.1 }')


def test_the_promise_outlasts_the_process_and_is_told_to_operators(tmp_path: Path) -> None:
    certificate(tmp_path / "c.json", fitted(tmp_path / "r.npz"))
    found = configured(tmp_path, '{ file = "r.npz", certificate = "c.json", mode = "on" }')
    url, _ = build.ledger_places(found)
    assert in_use(found, url)["r"].standing().seen == 0, "no database is made for looking"
    with closing(connect(url)) as connection:
        promises.prepare(connection)
    used = in_use(found, url)["r"]
    used.hear(GOOD)
    assert in_use(found, url)["r"].standing().seen == 1
    while not used.hear(outcome(near=0.0)):
        pass
    with gateway(found) as running_one:
        (told,) = [check for check in running_one.readiness() if check.name == "routers"]
        assert told.ok
        assert told.detail == "1 lost more than promised and keep less near: see `nearfar router status`"


def test_what_cannot_be_understood_is_not_passed_over(tmp_path: Path) -> None:
    """An alarm may stand there: to begin as certified would forget it."""
    certificate(tmp_path / "c.json", fitted(tmp_path / "r.npz"))
    found = configured(tmp_path, '{ file = "r.npz", certificate = "c.json" }')
    url, _ = build.ledger_places(found)
    with closing(connect(url)) as connection:
        promises.prepare(connection)
    in_use(found, url)["r"].hear(GOOD)
    with closing(connect(url)) as connection:
        connection.execute("UPDATE nearfar_promises SET state = 'something newer'")
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        in_use(found, url)
