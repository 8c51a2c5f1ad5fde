"""Runs that repeat a seed: copies are no further evidence, so each seed of a loss counts once."""

import pandas as pd

from retrieval.runs import Run


def repeated(results: pd.DataFrame, runs: list[Run]) -> list[str]:
    """Tell which runs repeat a seed of their group that another run already stands for.

    Of several runs the one made last counts, of copies the first by name; none is picked by its
    figures. Where no seed is recorded, equal figures mark a copy.

    Args:
        results: One row per run: ``run``, ``group``, ``seed`` and metrics.
        runs: The same runs.

    Returns:
        Per row the name of the run that counts instead, or an empty text.
    """
    made = {run.name: str((run.config.get("provenance") or {}).get("created", "")) for run in runs}
    stands: dict[tuple, str] = {}
    by_name = results.sort_values("run", kind="stable")
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
        results: See :func:`workbench.tables.results_table`.

    Returns:
        The line; empty if every run counts.
    """
    rows = results.set_index("run")
    parts = []
    for name, row in rows[rows["repeats"] != ""].iterrows():
        other = rows.loc[row["repeats"]]
        same = "same figures" if _figures(row) == _figures(other) else "other figures"
        seed = "" if pd.isna(row["seed"]) else f", seed {int(row['seed'])}"
        parts.append(f"{name} (as {row['repeats']}{seed}; {same})")
    if not parts:
        return ""
    many = "runs repeat a seed and count" if len(parts) > 1 else "run repeats a seed and counts"
    return f"{len(parts)} {many} for nothing here: {', '.join(parts)}."
