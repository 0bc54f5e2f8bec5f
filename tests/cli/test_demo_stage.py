"""The stage's own parts; the scenes on it are played in test_demo."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from nearfar.cli import demo_stage
from nearfar.cli.demo_stage import Cloud, children, configuration
from nearfar.settings.load import load


def test_children_by_either_way() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in children(os.getpid())
        assert (child.pid in demo_stage._children_by_ps(os.getpid())) is (shutil.which("ps") is not None)
        child.communicate(b"\n")
    assert child.pid not in children(os.getpid())


def test_the_configuration_is_one(tmp_path: Path) -> None:
    file = tmp_path / "demo.toml"
    cloud = Cloud(real=False, title="stand-in")
    file.write_text(configuration(tmp_path, "http://127.0.0.1:9", cloud, "demo-tiny"))
    settings = load(config=file, environ={"HOME": str(tmp_path)}).settings
    assert set(settings.routes) == {"near-first", "cloud-first", "cloud"}
    assert not settings.discovery.keys
    assert not settings.discovery.loopback
    assert settings.deployments["far"].base_url == "http://127.0.0.1:9/v1"
