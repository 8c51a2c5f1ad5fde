"""Find runs that repeat a seed. A copy is not further evidence, so each seed counts once."""

import pandas as pd

from retrieval.runs.run import Run


def repeated(results: pd.DataFrame, runs: list[Run]) -> list[str]:
    """Tell which runs repeat a seed of their group that another run stands for.

    Of several runs with one seed, the one made last counts; if they were made at the same time, as
    copies are, the one with the shortest name. None is chosen by its metrics. Runs without a
    recorded seed are copies of each other if their metrics are equal.

    Args:
        results: One row per run, with the columns ``run``, ``group``, ``seed`` and metrics.
        runs: The runs that the table describes.

    Returns:
        For each row, the name of the run that counts instead; empty if the run itself counts.
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
    """Return a key that two runs of a group share exactly if one repeats the other."""
    return ("seed", int(row["seed"])) if pd.notna(row["seed"]) else ("figures", *_figures(row))


def _figures(row: pd.Series) -> tuple:
    return tuple(str(row[name]) for name in row.index if f"{name}/low" in row)


def repeats_line(results: pd.DataFrame) -> str:
    """Write a line about the runs that are excluded from means and intervals.

    Args:
        results: See :func:`workbench.analysis.tables.results_table`.

    Returns:
        One line with the runs and the reasons; empty if every run counts.
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
