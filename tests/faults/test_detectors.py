"""Detectors of the owner's choice, in the whole program: while one fails or hangs, requests stay near or are refused.

The engines are stand-ins in a folder on Python's path, with the calls that the real libraries have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import running
from tests import stand_in as stand_ins

from nearfar.core.errors import GuardError
from nearfar.privacy.engines import Together, language_model
from nearfar.privacy.names import Names
from nearfar.privacy.scan import Scanner

GLINER = """
import time
class GLiNER:
    @classmethod
    def from_pretrained(cls, folder, local_files_only):
        assert local_files_only
        return cls()
    def predict_entities(self, text, labels, threshold):
        if "hang" in text:
            time.sleep(3)
        if "break" in text:
            raise RuntimeError(text)
        if "garbage" in text:
            return [{"start": -5, "end": 10**6, "label": "person", "score": 7}]
        at = text.find("Zyxxo")
        return [] if at < 0 else [{"start": at, "end": at + 5, "label": "person", "score": 0.9}]
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[running.Gateway, stand_ins.Running]]:
    folder = tmp_path_factory.mktemp("detectors")
    (folder / "engines").mkdir()
    (folder / "engines" / "gliner.py").write_text(GLINER)
    config = '[policy]\npreset = "team"\ndetect_deadline = 1.0\n'
    config += f'[detectors.names]\nengine = "gliner"\nmodel = "{folder}"\n'
    with stand_ins.running(keep_bodies=True) as cloud, stand_ins.running() as near:
        config += running.far("far", cloud.url) + running.far("here", near.url, more='place = "device"')
        config += running.route("both", "far", "here", strategy="cloud-first")
        with running.gateway(folder, config, PYTHONPATH=str(folder / "engines")) as made:
            yield made, cloud


def test_what_it_finds_is_masked(gateway: tuple[running.Gateway, stand_ins.Running]) -> None:
    house, cloud = gateway
    reply = house.chat("far", content="Is Zyxxo well?")
    assert (reply.status, "Zyxxo" in reply.text) == (200, True)
    assert "masked:1" in reply.tried
    assert "Zyxxo" not in "".join(seen.body for seen in cloud.report().requests)


@pytest.mark.parametrize("how", ["break", "garbage", "hang"])
def test_while_it_fails_requests_stay_near_or_are_refused(
    gateway: tuple[running.Gateway, stand_ins.Running], how: str
) -> None:
    house, cloud = gateway
    # One that hangs is not asked again before it is back: until then every request is like that.
    running.eventually(lambda: house.chat("far", content="hello").status == 200)
    before = cloud.report().totals.requests
    refused = house.chat("far", content=f"please {how}")
    assert (refused.status, refused.error["code"]) == (503, "guard_unavailable")
    assert how not in json.dumps(refused.error), "what was asked is in no error"
    reply = house.chat("both", content=f"please {how}")
    assert (reply.status, reply.headers["x-nearfar-place"]) == (200, "device")
    assert cloud.report().totals.requests == before


def test_one_that_is_not_installed_is_told_by_the_doctor(tmp_path: Path, stand_in: stand_ins.Running) -> None:
    config = '[policy]\npreset = "team"\n[detectors.names]\nengine = "gliner"\nmodel = "/nowhere"\n'
    with running.gateway(tmp_path, config + running.far("far", stand_in.url)) as house:
        refused = house.chat("far", content="hello")
        assert (refused.status, refused.error["code"]) == (503, "guard_unavailable")
    assert stand_in.report().totals.requests == 0
    told = running.command(tmp_path, "doctor", "--json")
    [check] = [check for check in json.loads(told.stdout)["checks"] if check["name"] == "detector names"]
    assert check["state"] == "fail"
    assert "not installed" in check["detail"]


@pytest.mark.slow
def test_a_model_that_cannot_do_it_is_a_detector_that_fails(tmp_path: Path, tiny_gguf: Path) -> None:
    """The embedded engine as a detector, with random weights: it answers, and not with a list, so nothing is known."""
    running.add_model(tmp_path, tiny_gguf, "near")
    asked: list[str] = []
    base = running.BASE.replace("context = 512", "context = 2048")
    with running.gateway(tmp_path, running.near("here", "near"), base=base) as house:

        def ask(prompt: str) -> str:
            reply = house.chat("here", content=prompt, max_tokens=16)
            assert (reply.status, reply.headers["x-nearfar-place"]) == (200, "device")
            asked.append(reply.text)
            return reply.text

        scanner = Scanner(detectors=(Names.shipped(), Together([language_model("near", ask)], 60.0)))
        with pytest.raises(GuardError, match="language-model failed"):
            scanner.scan("Is Zyxxo well?")
    assert asked
