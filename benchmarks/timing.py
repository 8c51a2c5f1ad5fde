"""Seconds of one measured stage, for the stages of ``benchmarks/evaluation.py``."""

import time


def timed(run, repeats=1):
    """Run, then repeat while timing; returns seconds and the last value."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = run()
        seconds.append(time.perf_counter() - start)
    return seconds, value
