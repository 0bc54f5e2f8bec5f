from __future__ import annotations

from pathlib import Path

from nearfar.engine.gguf import read_header
from nearfar.engine.probe_model import Probe, write_probe

SMALL = Probe(layers=2, hidden=256, ffn=512, heads=4, kv_heads=2, context=256)


def test_our_own_reader_finds_it_whole(tmp_path: Path) -> None:
    size = write_probe(tmp_path / "probe.gguf", SMALL)
    header = read_header(tmp_path / "probe.gguf")
    assert header.file_bytes == size
    assert (header.architecture, header.layers, header.embedding_length, header.heads) == ("llama", 2, 256, 4)
    assert header.quantization == "Q8_0"
    assert header.vocabulary == 512
    assert header.parameters == SMALL.parameters + 256 * 512 + 256 * 5


def test_it_is_always_the_same(tmp_path: Path) -> None:
    write_probe(tmp_path / "a", SMALL)
    write_probe(tmp_path / "b", SMALL)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_token_reads_more_than_caches_hold() -> None:
    assert Probe().read_bytes > 350e6
