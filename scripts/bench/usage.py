"""What a process has used, for the benchmarks beside this file."""

from __future__ import annotations

import resource

WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def cpu_seconds() -> float:
    """Of this process and its children that have ended."""
    used = [resource.getrusage(who) for who in WHO]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_gib() -> float:
    """Memory that this process has held at most, or its largest child that has ended."""
    return max(resource.getrusage(who).ru_maxrss for who in WHO) / 2**20
