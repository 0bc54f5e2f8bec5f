"""What this machine, or the container around us, has: memory, cores, processor features. It knows no model.

Each function reads files under ``root``, so that a test can lay out another machine in a folder.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import msgspec

ROOT = Path("/")
NEEDED_ON_X86 = ("avx2", "fma", "f16c")
"""What the engine's wheel is compiled for; without one of them it dies of an illegal instruction."""


class Memory(msgspec.Struct, frozen=True):
    """Bytes of memory: all there is for us, and what is free or can be freed now."""

    limit: int
    available: int


def memory(root: Path = ROOT) -> Memory:
    """The machine's memory, or the tightest limit of the control groups (version 1 or 2) we run in."""
    limit, available = _machine_memory(root)
    for group_limit, group_used in _group_memory(root):
        limit = min(limit, group_limit)
        available = min(available, max(0, group_limit - group_used))
    return Memory(limit, min(available, limit))


def default_threads(root: Path = ROOT) -> int:
    """Physical cores we may use, minus one: the engine's threads spin, and one core is for everything else."""
    cores = physical_cores(_text(root / "proc/cpuinfo")) or os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    return max(1, min(cores, _quota_cores(root)) - 1)


def physical_cores(cpuinfo: str) -> int:
    """Distinct cores in the text of ``/proc/cpuinfo``; without core ids, its processors; 0 if it lists none."""
    cores: set[tuple[str, str]] = set()
    processors = 0
    for block in cpuinfo.split("\n\n"):
        fields = _fields(block)
        if "processor" in fields:
            processors += 1
            if "core id" in fields:
                cores.add((fields.get("physical id", "0"), fields["core id"]))
    return len(cores) or processors


def missing_features(cpuinfo: str, architecture: str) -> tuple[str, ...]:
    """Features the engine needs and the processor lacks; empty on other architectures and where nothing is listed."""
    if architecture.lower() not in {"x86_64", "amd64"}:
        return ()
    for line in cpuinfo.splitlines():
        if line.startswith("flags"):
            flags = set(line.partition(":")[2].split())
            return tuple(feature for feature in NEEDED_ON_X86 if feature not in flags)
    return ()


def missing_features_here(root: Path = ROOT) -> tuple[str, ...]:
    """``missing_features`` of this machine."""
    return missing_features(_text(root / "proc/cpuinfo"), platform.machine())


def resident_bytes(pid: int, root: Path = ROOT) -> int:
    """Memory that process ``pid`` occupies; 0 if that cannot be known."""
    fields = _text(root / f"proc/{pid}/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else 0


def _text(path: Path) -> str:
    """The file's text; empty where there is no such file: other systems have other files."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isdecimal() else None


def _machine_memory(root: Path) -> tuple[int, int]:
    fields = _fields(_text(root / "proc/meminfo"))

    def kilobytes(key: str) -> int | None:
        return _number(fields.get(key, "").removesuffix("kB"))

    total = kilobytes("MemTotal")
    if total is None:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    available = kilobytes("MemAvailable")
    return total * 1024, (total if available is None else available) * 1024


def _group_memory(root: Path) -> list[tuple[int, int]]:
    """(limit, used without page cache) of every control group above us that has a limit."""
    found = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            names = ("memory.max", "memory.current", "")
            mount = root / "sys/fs/cgroup"
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
            mount = root / "sys/fs/cgroup/memory"
        else:
            continue
        for folder in _upwards(mount, path):
            limit, used = _number(_text(folder / names[0])), _number(_text(folder / names[1]))
            if limit is not None:
                found.append((limit, max(0, (used or 0) - _page_cache(folder, names[2]))))
    return found


def _upwards(mount: Path, path: str) -> list[Path]:
    """The group's folder and its parents. Inside a container the path may not exist, but the mount itself does."""
    folder = mount / path.strip("/")
    parents = [mount]
    while folder != mount and mount in folder.parents:
        parents.append(folder)
        folder = folder.parent
    return parents


def _page_cache(folder: Path, prefix: str) -> int:
    """Bytes of file pages counted as used, which the kernel gives back under pressure."""
    total = 0
    for line in _text(folder / "memory.stat").splitlines():
        key, _, value = line.partition(" ")
        if key in {f"{prefix}inactive_file", f"{prefix}active_file"}:
            total += _number(value) or 0
    return total


def _quota_cores(root: Path) -> int:
    """Whole cores that the control group's quota allows; a large number without a quota."""
    quota, _, period = _text(root / "sys/fs/cgroup/cpu.max").partition(" ")
    if _number(quota) is None:
        quota = _text(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us")
        period = _text(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us")
    allowed, per = _number(quota), _number(period)
    return max(1, allowed // per) if allowed and per else 1 << 16
