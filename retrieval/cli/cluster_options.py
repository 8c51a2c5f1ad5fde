"""Options of the commands that a Ray cluster can share: where, and what each of its tasks needs."""

from typing import Annotated

import typer

On = Annotated[
    str,
    typer.Option(
        "--on",
        help="Where to compute: local, this process; ray, the Ray cluster of $RAY_ADDRESS or else "
        "one of this machine's processors; ray://HOST:10001 or HOST:6379.",
    ),
]
Cpus = Annotated[
    float, typer.Option(help="With --on, processors of each task or actor; bounds its threads.")
]
Gpus = Annotated[
    float,
    typer.Option(help="With --on, GPUs of each task or actor; a fraction such as 0.5 shares one."),
]
GpusOfRun = Annotated[
    float | None,
    typer.Option(
        "--gpus",
        help="With --on, GPUs of each run; 0.5 lets two share one, with half of its memory each. "
        "Defaults to 1, or 0 in a cluster without GPUs.",
        show_default=False,
    ),
]
Retries = Annotated[
    int, typer.Option(help="With --on, how often a run is begun again whose node was lost.")
]
