"""``retrieval sweep``: train a grid of settings from a YAML file, skipping what is finished.

The file has two parts::

    base: {dataset: grocery, freeze_backbone: true, steps: 500}
    grid:
      loss: [semi_hard_triplet, npairs_loss]
      loss_options: [{margin: 0.1}, {margin: 0.2}]
      seed: [0, 1, 2]

Options that a loss lacks, but another loss of the sweep has, are left out of its runs: here 6 runs
are of ``semi_hard_triplet`` and 3 of ``npairs_loss``, which has no margin. Where ``base`` and the
grid both have ``loss_options`` or ``dataset_options``, the two are merged and the grid's value of
an option wins. The loss ``all`` is what it is in ``retrieval train``: the untrained network and six
losses.

All runs are checked before the first is trained. One that fails then (it diverged, say) stops no
other; those that failed are named at the end, and the same command tries them again.
"""

from pathlib import Path

from retrieval.many_runs import check_all, train_all
from retrieval.sweep_grid import read_grid


def sweep(path: Path | str, *, runs: Path | str = "runs", progress: bool = True) -> list[Path]:
    """Train every combination of a sweep file that is not finished yet; print their figures.

    Args:
        path: The sweep file.
        runs: Folder of runs.
        progress: Show progress bars.

    Returns:
        Every run's folder. A sweep that was killed continues where it was, run and step.

    Raises:
        UserError: Before anything is trained: the file is malformed, a run does not fit its data
            set, or a finished run has other settings. At the end: some runs failed.
    """
    points, where = read_grid(path), f"{path}: "
    check_all(points, runs=runs, where=where)
    return train_all(points, runs=runs, progress=progress, where=where)
