"""The sections of a report as Markdown, CSV and LaTeX."""

from collections.abc import Sequence

import pandas as pd

from retrieval.evaluation.metrics import TITLES
from retrieval.report.sections import Section
from retrieval.settings.schema import SELECTED_ON_TEST, selected_on

NOTE = (
    "Percent. In brackets: 95% interval, by bootstrap over classes for one run, of the mean over "
    "training seeds (t) for several. Bold: best Recall@1, and every run not significantly worse "
    "than it (p >= 0.05: paired bootstrap over classes, Holm's correction). Where a run has one "
    "seed, the noise of training is not counted."
)
MARK = "†"
PAIRS_TITLE = "Recall@1, pair by pair (points; wins / ties / losses over queries)"
PAIRS_HEAD = ("Better", "Other", "Difference", "p (Holm)", "W / T / L", "Real?")
PUBLISHED_HEAD = ("Run", "Recipe", "Metric", "Measured", "Published", "Settings")
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    ">": r"\textgreater{}",
    "<": r"\textless{}",
} | {c: f"\\{c}" for c in "&%$#_{}"}


def metrics_of(table: pd.DataFrame) -> list[str]:
    """Return the metrics of a section's table."""
    return [c for c in table if c not in ("name", "seeds", "dimension") and "/" not in c]


def cell(row: dict, metric: str) -> str:
    """Write a value with its interval, in percent."""
    if pd.isna(row[metric]):
        return "–"
    low, high = row.get(f"{metric}/low"), row.get(f"{metric}/high")
    text = f"{100 * row[metric]:.2f}"
    return text if low is None or pd.isna(low) else f"{text} [{100 * low:.2f}, {100 * high:.2f}]"


def _best(section: Section) -> set[str]:
    summary = section.comparison.summary
    return set(summary.loc[summary["best_group"], "name"])


def selected_on_test(section: Section) -> set[str]:
    """Return the rows whose network was chosen by its figures on the test set: they are marked."""
    return {
        name
        for name, runs in section.groups.items()
        if any(selected_on(run.config.get("settings") or {}) == "test" for run in runs)
    }


def markdown_of(sections: Sequence[Section]) -> str:
    """Write all sections as Markdown tables, with the pairs that were compared."""
    lines = ["# Comparison of runs", "", NOTE]
    for section in sections:
        names = metrics_of(section.table)
        best, marked = _best(section), selected_on_test(section)
        lines += ["", f"## {section.dataset}: {section.title}", "", f"{section.line}.", ""]
        lines.append(_line(["Run", "Seeds", "d", *(TITLES.get(n, n) for n in names)]))
        lines.append(_line(["---"] * (3 + len(names))))
        for row in section.table.to_dict("records"):
            name = row["name"].replace("|", "\\|")
            name = f"**{name}**" if row["name"] in best else name
            name += f" {MARK}" if row["name"] in marked else ""
            values = [cell(row, metric) for metric in names]
            lines.append(_line([name, row["seeds"], row.get("dimension", ""), *values]))
        lines += ["", f"{MARK} {SELECTED_ON_TEST}."] if marked else []
        lines += _published(section)
        lines += _pairs(section)
    return "\n".join(lines) + "\n"


def _line(cells: "Sequence") -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |"


def _titled(title: str, head: "Sequence[str]", rows: list[list[str]]) -> list[str]:
    """Write a table under its title; nothing if it has no rows."""
    if not rows:
        return []
    lines = ["", f"{title}:", "", _line(head), _line(["---"] * len(head))]
    return lines + [_line([c.replace("|", "\\|") for c in row]) for row in rows]


def published_rows(section: Section) -> list[list[str]]:
    """Return the cells under PUBLISHED_HEAD, figures in percent.

    Args:
        section: Comparable runs.

    Returns:
        One list of cells per figure.
    """
    rows = []
    for row in section.published.to_dict("records"):
        figures = [cell(row, side) for side in ("measured", "published")]
        how = row["changed"] or "as published"
        rows.append([row["run"], row["recipe"], row["metric"], *figures, how])
    return rows


def _published(section: Section) -> list[str]:
    rows = published_rows(section)
    notes = [f"\n{recipe}: {note}" for recipe, note in section.notes.items()] if rows else []
    return _titled("Published beside measured", PUBLISHED_HEAD, rows) + notes


def pair_rows(section: Section) -> list[list[str]]:
    """Return the cells under PAIRS_HEAD: the paired test of every two rows, in points.

    Args:
        section: Comparable runs.

    Returns:
        One list of cells per pair.
    """
    rows = []
    for row in section.comparison.pairs.to_dict("records"):
        span = f"{100 * row['difference']:+.2f} [{100 * row['low']:+.2f}, {100 * row['high']:+.2f}]"
        counts = f"{row['wins']} / {row['ties']} / {row['losses']}"
        verdict = "yes" if row["significant"] else "no"
        rows.append([row["a"], row["b"], span, f"{row['p_holm']:.3f}", counts, verdict])
    return rows


def _pairs(section: Section) -> list[str]:
    return _titled(PAIRS_TITLE, PAIRS_HEAD, pair_rows(section))


def csv_of(sections: Sequence[Section]) -> str:
    """Write one long table: a row per run group and protocol, values in 0 to 1."""
    parts = []
    for section in sections:
        part = section.table.copy()
        part.insert(0, "dataset", section.dataset)
        part.insert(1, "protocol", section.title)
        part.insert(2, "how", section.line)
        part["selected_on_test"] = part["name"].isin(selected_on_test(section))
        part["best"] = part["name"].isin(_best(section))
        parts.append(part)
    return pd.concat(parts, ignore_index=True).to_csv(index=False, float_format="%.6f")


def escape(text: object) -> str:
    """Write any text so that LaTeX prints it."""
    return "".join(LATEX.get(character, character) for character in str(text))


def latex_of(sections: Sequence[Section]) -> str:
    r"""Write a ``table`` for every section; needs ``\usepackage{booktabs}``."""
    lines = [r"% needs \usepackage{booktabs}", f"% {NOTE}"]
    for section in sections:
        names = metrics_of(section.table)
        best, marked = _best(section), selected_on_test(section)
        note = rf" $^\dagger$ {escape(SELECTED_ON_TEST)}." if marked else ""
        head = ["Run", "Seeds", "$d$", *(escape(TITLES.get(n, n)) for n in names)]
        lines += [
            "",
            r"\begin{table}",
            rf"\caption{{{escape(section.dataset)}, {escape(section.title)}: "
            rf"{escape(section.line)}. {escape(NOTE)}{note}}}",
            rf"\begin{{tabular}}{{lr{'r' * (1 + len(names))}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
        ]
        for row in section.table.to_dict("records"):
            name = escape(row["name"])
            name = rf"\textbf{{{name}}}" if row["name"] in best else name
            name += r"$^\dagger$" if row["name"] in marked else ""
            values = [cell(row, metric).replace("–", "--") for metric in names]
            cells = [name, row["seeds"], row.get("dimension", ""), *values]
            lines.append(" & ".join(map(str, cells)) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"
