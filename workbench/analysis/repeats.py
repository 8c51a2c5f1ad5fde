"""Runs that repeat a seed: copies are no further evidence, so each seed of a loss counts once."""

import pandas as pd

from retrieval.runs.run import Run


def repeated(results: pd.DataFrame, runs: list[Run]) -> list[str]:
    """Tell which runs repeat a seed of their group that another run already stands for.

    Of several runs the one made last counts, of copies the one with the shortest name; none is
    picked by its figures. Where no seed is recorded, equal figures mark a copy.

    Args:
        results: One row per run: ``run``, ``group``, ``seed`` and metrics.
        runs: The same runs.

    Returns:
        Per row the name of the run that counts instead, or an empty text.
    """
    made = {run.name: run.provenance.created for run in runs}
    stands: dict[tuple, str] = {}
    by_name = results.sort_values("run", key=lambda n: n.str.len().map("{:4}".format) + n)
    newest = by_name.sort_values("run", key=lambda n: n.map(made), ascending=False, kind="stable")
    found = {
        row["run"]: stands.setdefault((row["group"], *_identity(row)), row["run"])
        for _, row in newest.iterrows()
    }
    return ["" if found[name] == name else found[name] for name in results["run"]]


def _identity(row: pd.Series) -> tuple:
    """Return what two runs of a group share if one repeats the other."""
    return ("seed", int(row["seed"])) if pd.notna(row["seed"]) else ("figures", *_figures(row))


def _figures(row: pd.Series) -> tuple:
    return tuple(str(row[name]) for name in row.index if f"{name}/low" in row)


def repeats_line(results: pd.DataFrame) -> str:
    """Say in one line which runs are left out of means and intervals, and why.

    Args:
        results: See :func:`workbench.analysis.tables.results_table`.

    Returns:
        The line; empty if every run counts.
    """
    rows = results.set_index("run")
    of: dict[str, list[str]] = {}
    for name, row in rows[rows["repeats"] != ""].iterrows():
        other = rows.loc[row["repeats"]]
        same = "same" if _figures(row) == _figures(other) else "other"
        seed = "" if pd.isna(row["seed"]) else f", seed {int(row['seed'])}"
        of.setdefault(f"as {row['repeats']}{seed}; {same} figures", []).append(name)
    if not of:
        return ""
    n = sum(map(len, of.values()))
    many = "run repeats a seed and counts" if n == 1 else "runs repeat a seed and count"
    parts = (f"{_few(names)} ({what})" for what, names in of.items())
    return f"{n} {many} for nothing here: {', '.join(parts)}."


def _few(names: list[str], most: int = 3) -> str:
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join(names[:most] + more)
