"""The cores and memory that this process may use."""

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def available_cores(cgroups: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Cores this process may use, at least one: limited by its affinity and the quotas of its cgroups (v2)."""
    cores: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for text in _limits("cpu.max", cgroups, own):
        quota, _, period = text.partition(" ")
        if quota.isdecimal() and period.isdecimal():
            cores = min(cores, int(quota) / int(period))
    return max(1, round(cores))


def available_memory(cgroups: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes of memory this process may use: the machine's memory, limited by the process's cgroups (v2)."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # Windows
        memory = 8 << 30
    return min([memory, *(int(text) for text in _limits("memory.max", cgroups, own) if text.isdecimal())])


def _limits(name: str, cgroups: Path, own: Path) -> list[str]:
    """A limit of this process's own cgroup and of each one above it."""
    try:
        path = next(line[3:] for line in own.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        path = "/"
    folder = cgroups / path.strip("/")
    places = [folder, *folder.parents]
    found = []
    for place in places[: places.index(cgroups) + 1]:
        try:
            found.append((place / name).read_text().strip())
        except OSError:  # the root has none, or the process cannot see this one
            continue
    return found


def resident_bytes() -> int:
    """Bytes of memory this process currently holds; 0 if unknown (no /proc)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError):
        return 0
