"""Simulated test sets with known truth: the command line and the processes of their benchmarks."""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any


def options_of(description: str, out: Path) -> argparse.Namespace:
    """Read the command line: ``worlds`` and ``samples`` of each, ``processes`` and ``out``.

    Args:
        description: What the benchmark does, in a line.
        out: File that the table is written to unless another is asked for.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--worlds", type=int, default=400)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=out)
    return parser.parse_args()


def simulate_all(
    simulate: Callable[[Any, int, int, int], Any], cases: Sequence[Any], options: argparse.Namespace
) -> list[Any]:
    """Simulate every case in processes of its own.

    Args:
        simulate: Takes a case, the number of worlds, that of resamples, and a seed.
        cases: The cases; the seed of each is its place.
        options: See :func:`options_of`.
    """
    n = len(cases)
    with ProcessPoolExecutor(options.processes) as pool:
        each = pool.map(simulate, cases, [options.worlds] * n, [options.samples] * n, range(n))
        return list(each)


def noise(worlds: int) -> float:
    """Return the half-width of the 95% interval of a share of 95% of worlds, in percent."""
    return 196 * (0.95 * 0.05 / worlds) ** 0.5
