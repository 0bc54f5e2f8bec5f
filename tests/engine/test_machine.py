from __future__ import annotations

import os
from pathlib import Path

import pytest

from nearfar.engine import machine

GB = 1024**3


def lay(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = f"MemTotal:       {16 * 1024**2} kB\nMemFree: 1 kB\nMemAvailable:   {10 * 1024**2} kB\n"


def test_a_machine_without_limits(tmp_path: Path) -> None:
    lay(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"})
    assert machine.memory(tmp_path) == machine.Memory(16 * GB, 10 * GB)


def test_control_groups_version_2_the_tightest_ancestor_counts(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/user.slice"
    lay(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/user.slice/app.service\n",
            f"{group}/memory.max": str(4 * GB),
            f"{group}/memory.current": str(3 * GB),
            f"{group}/memory.stat": f"anon 1\ninactive_file {GB}\nactive_file {GB}\n",
            f"{group}/app.service/memory.max": "max",
            f"{group}/app.service/memory.current": "5",
        },
    )
    assert machine.memory(tmp_path) == machine.Memory(4 * GB, 3 * GB)


def test_control_groups_version_1_in_a_container(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory"
    lay(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/\n",
            f"{group}/memory.limit_in_bytes": str(2 * GB),
            f"{group}/memory.usage_in_bytes": str(3 * GB),
            f"{group}/memory.stat": "total_inactive_file 0\n",
        },
    )
    assert machine.memory(tmp_path) == machine.Memory(2 * GB, 0)


def test_no_limit_in_version_1_is_a_very_large_number(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "4:memory:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2**63 - 4096),
            "sys/fs/cgroup/memory/memory.usage_in_bytes": str(GB),
        },
    )
    assert machine.memory(tmp_path) == machine.Memory(16 * GB, 10 * GB)


def test_without_proc_the_system_is_asked(tmp_path: Path) -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024 * 1024
    assert machine.memory(tmp_path) == machine.Memory(total, total)


def test_this_machine() -> None:
    memory = machine.memory()
    assert 0 < memory.available <= memory.limit


def cpuinfo(*cores: tuple[int, int], flags: str = "sse2 avx2 fma f16c") -> str:
    blocks = (
        f"processor\t: {n}\nphysical id\t: {package}\ncore id\t\t: {core}\nflags\t\t: {flags}\n"
        for n, (package, core) in enumerate(cores)
    )
    return "\n".join(blocks)


def test_physical_cores() -> None:
    assert machine.physical_cores(cpuinfo((0, 0), (0, 1), (0, 0), (0, 1))) == 2
    assert machine.physical_cores(cpuinfo((0, 0), (1, 0))) == 2
    assert machine.physical_cores("processor : 0\n\nprocessor : 1\n") == 2
    assert machine.physical_cores("") == 0


def test_threads_leave_one_core_free_and_respect_quota_and_affinity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    root = lay(tmp_path, {"proc/cpuinfo": cpuinfo(*((0, n) for n in range(16)))})
    assert machine.default_threads(root) == 7
    lay(tmp_path, {"sys/fs/cgroup/cpu.max": "300000 100000"})
    assert machine.default_threads(root) == 2
    lay(tmp_path, {"sys/fs/cgroup/cpu.max": "max 100000"})
    assert machine.default_threads(root) == 7
    lay(tmp_path, {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"})
    assert machine.default_threads(root) == 1


def test_a_processor_without_avx2_is_noticed() -> None:
    old = cpuinfo((0, 0), flags="sse2 avx f16c avx2_lookalike")
    assert machine.missing_features(old, "x86_64") == ("avx2", "fma")
    assert machine.missing_features(cpuinfo((0, 0)), "AMD64") == ()
    assert machine.missing_features(old, "aarch64") == ()
    assert machine.missing_features("", "x86_64") == ()


def test_resident_bytes() -> None:
    assert machine.resident_bytes(os.getpid()) > 1_000_000
    assert machine.resident_bytes(2**22 + 1) == 0
