"""Time one stage of ``benchmarks/evaluation.py``."""

import time


def timed(run, repeats=1):
    """Run a function repeatedly; return the seconds of each run and the last value."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = run()
        seconds.append(time.perf_counter() - start)
    return seconds, value
