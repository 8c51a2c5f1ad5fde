"""Write the sections of a report as Markdown, CSV and LaTeX."""

from collections.abc import Mapping, Sequence

import pandas as pd

from retrieval.evaluation.metrics import in_printed_scale, metric, scale_note
from retrieval.report import compression, tuning
from retrieval.report.sections import Section
from retrieval.report.slices import family_line, slice_head, slice_rows, slices_headline
from retrieval.report.spreadsheet import spreadsheet_csv
from retrieval.report.verdicts import (
    BEST_HEAD,
    DIFFERENCE_HEAD,
    against_rows,
    baseline_family,
    best_family,
    best_rows,
    disagreement,
    headline,
    margin_head,
    pair_rows,
    pairs_family,
    plan_line,
    points,
    seeds_caveat,
)
from retrieval.settings.schema import SELECTED_ON_TEST

TITLE = "Comparison of runs"
COLUMNS = ("Run", "Seeds", "d")  # before those of the metrics
INTERVALS = (
    "In brackets: 95% interval, by a studentized bootstrap over classes and, for several training "
    "seeds, over seeds."
)
ONE_SEED = "Where a run has one seed, the variation between training seeds is not counted."
MARK = "†"
PUBLISHED_TITLE = "Measured and published results"
PUBLISHED_HEAD = ("Run", "Recipe", "Metric", "Measured", "Published", "Settings")
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    ">": r"\textgreater{}",
    "<": r"\textless{}",
} | {c: f"\\{c}" for c in "&%$#_{}"}
# Of verdicts, in the fonts that every LaTeX has.
LATEX_SIGNS = {"▲": r"$\triangle$", "▼": r"$\bigtriangledown$", "≈": r"$\approx$"}


def note_on(sections: Sequence[Section]) -> str:
    """Return the note on the intervals and the bold names of a report.

    Args:
        sections: The sections of the report, ranked and tested by one metric.
    """
    tested = [
        s.comparison for s in sections if s.comparison.n_queries and not s.comparison.no_claim
    ]
    if not tested:
        return f"{INTERVALS} {ONE_SEED}"
    return (
        f"{INTERVALS} Bold: every run that may be the best by {metric(tested[0].metric).title}, "
        "which holds the truly best one with 95% confidence (multiple comparisons with the best). "
        f"{ONE_SEED}"
    )


def metrics_of(table: pd.DataFrame) -> list[str]:
    """Return the metrics of a section's table."""
    return [c for c in table if c not in ("name", "seeds", "dimension") and "/" not in c]


def cell(row: Mapping, name: str) -> str:
    """Return the text of a metric's value in a row of a section's table, with its interval."""
    return metric(name).format(row[name], row.get(f"{name}/low"), row.get(f"{name}/high"))


def units(section: Section) -> str:
    """Return the sentence on the scale in which a section's metrics are printed."""
    names = metrics_of(section.table)
    return f"Scale: {scale_note(names)}." if names else "No figures."


def devices(section: Section) -> str:
    """Return the sentence on what a section's runs were computed on; empty if none recorded it."""
    found: dict[str, list[str]] = {}
    for name, runs in section.groups.items():
        for device in dict.fromkeys(run.provenance.device for run in runs):
            found.setdefault(device or "not recorded", []).append(name)
    if set(found) <= {"not recorded"}:
        return ""
    if len(found) == 1:
        return f"Computed on {next(iter(found))}."
    return f"Computed on {'; '.join(f'{each}: ' + ', '.join(found[each]) for each in found)}."


def best_of(section: Section) -> set[str]:
    """Return the rows that may be the best by the metric of the section's tests; none untested."""
    if section.comparison.no_claim:
        return set()
    summary = section.comparison.summary
    return set(summary.loc[summary["best_group"], "name"])


def selected_on_test(section: Section) -> set[str]:
    """Return the rows with a network that was selected by its results on the test set."""
    return {
        name
        for name, runs in section.groups.items()
        if any(run.selected_on == "test" for run in runs)
    }


def markdown_of(sections: Sequence[Section]) -> str:
    """Return all sections as Markdown: tables of metrics, published results and paired tests."""
    lines = [f"# {TITLE}", "", note_on(sections)]
    for section in sections:
        names = metrics_of(section.table)
        best, marked = best_of(section), selected_on_test(section)
        lines += [
            "",
            f"## {section.dataset}: {section.title}",
            "",
            f"{section.line}. {units(section)}",
            "",
            *([devices(section), ""] if devices(section) else []),
        ]
        lines.append(_line([*COLUMNS, *(metric(n).title for n in names)]))
        lines.append(_line(["---"] * (len(COLUMNS) + len(names))))
        for row in section.table.to_dict("records"):
            name = f"**{row['name']}**" if row["name"] in best else row["name"]
            name += f" {MARK}" if row["name"] in marked else ""
            values = [cell(row, n) for n in names]
            lines.append(_line([name, row["seeds"], row.get("dimension", ""), *values]))
        lines += ["", f"{MARK} {SELECTED_ON_TEST}."] if marked else []
        lines += _published(section)
        lines += [line for sentence in conclusion(section) for line in ("", sentence)]
        for table in tests_of(section):
            lines += _titled(*table)
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |"


def _titled(title: str, head: Sequence[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table under its title; none if it has no rows."""
    if not rows:
        return []
    lines = ["", f"{title}:", "", _line(head), _line(["---"] * len(head))]
    return lines + [_line(row) for row in rows]


def published_rows(section: Section) -> list[list[str]]:
    """Return the cells under :data:`PUBLISHED_HEAD`.

    Args:
        section: A section of comparable runs.

    Returns:
        One list of cells per result.
    """
    rows = []
    for row in section.published.to_dict("records"):
        one = metric(row["metric"])
        figures = [one.title, one.format(row["measured"]), one.quote(row["published"])]
        rows.append([row["run"], row["recipe"], *figures, row["changed"] or "as published"])
    return rows


def _published(section: Section) -> list[str]:
    rows = published_rows(section)
    notes = [f"\n{recipe}: {note}" for recipe, note in section.notes.items()] if rows else []
    return _titled(PUBLISHED_TITLE, PUBLISHED_HEAD, rows) + notes


def tests_of(section: Section) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """Return the tables of a section's tests: of rows, of slices and of smaller forms.

    Args:
        section: A section of comparable runs.

    Returns:
        Title, which names the family of comparisons, head and rows of each table that has rows.
    """
    compared, found = section.comparison, metric(section.comparison.metric)
    unit = f"{found.title}, {points(found).strip() or 'difference'}"
    tables: list[tuple[str, Sequence[str], list[list[str]]]] = [
        (f"Comparisons with the best ({unit}; {best_family(compared)})", BEST_HEAD,
         best_rows(compared)),
    ]  # fmt: skip
    if section.baseline:
        name, margin = section.baseline, section.margin
        head = ["Run", *DIFFERENCE_HEAD]
        head += [] if margin is None else [margin_head(margin, found)]
        title = f"Comparisons with {name} ({unit}; {baseline_family(compared, name)})"
        tables.append((title, head, against_rows(compared, name, margin)))
    if section.all_pairs:
        head = ["Better", "Other", *DIFFERENCE_HEAD]
        title = f"All pairs ({unit}; {pairs_family(compared)})"
        tables.append((title, head, pair_rows(compared)))
    return [
        *(table for table in tables if table[2]),
        *_slices_of(section),
        *_forms_of(section),
        *(table for each in section.tunings for table in tuning.tables_of(each)),
    ]


def _forms_of(section: Section) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """Return the tables of smaller forms: of every row, and of rows trained at several widths."""
    return [
        *(
            (f"Smaller forms of {each.title} ({compression.family_line(each)})",
             compression.table_head(each.metric, intervals=each.has_intervals),
             compression.table_rows(each))
            for each in section.forms
        ),
        *(
            (f"Widths of {each.nested} beside {each.plain} ({compression.nested_family(each)})",
             compression.nested_head(each.metric, intervals=each.has_intervals),
             compression.nested_rows(each))
            for each in section.nested
        ),
    ]  # fmt: skip


def _slices_of(section: Section) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """Return the tables of a section's slices: of every row, and of the best against another."""
    if not section.slices:
        return []
    first = section.slices[0]
    found = metric(first.metric)
    sizes = [slice_rows(first)[at][:3] for at in range(len(first.table))]
    figures = [
        [found.format(*values) for values in zip(each["a"], each["a_low"], each["a_high"],
                                                 strict=True)]
        for each in (sliced.table for sliced in section.slices)
    ]  # fmt: skip
    rows = [[*size, *cells] for size, cells in zip(sizes, zip(*figures, strict=True), strict=True)]
    head = [*slice_head(first)[:3], *(sliced.names[0] for sliced in section.slices)]
    tables: list[tuple[str, Sequence[str], list[list[str]]]] = [
        (f"{found.title} by {first.column}", head, rows)
    ]
    if (pair := section.sliced_pair) is not None:
        a, b = pair.names
        title = f"{a} minus {b} by {pair.column} ({family_line(pair)})"
        tables.append((title, slice_head(pair), slice_rows(pair, pair.by_difference())))
    return tables


def conclusion(section: Section) -> list[str]:
    """Return what a section's tests say, one sentence each: the headline, and what more it takes.

    Args:
        section: A section of comparable runs.
    """
    compared = section.comparison
    said = [headline(compared, seeds_caveat(section.n_seeds))]
    if said[0] and not compared.no_claim:
        first, second = compared.summary["name"][:2]
        line = plan_line(compared.plan(first, second), metric(compared.metric), compared.unit)
        said.append(line[0].upper() + line[1:])
    said.append(disagreement(section.leaders))
    if section.sliced_pair is not None:
        said.append(slices_headline(section.sliced_pair))
    said.append(section.unsliced)
    said += [compression.widths_line(title, runs) for title, runs in section.groups.items()]
    if section.forms:
        first = section.forms[0]
        said.append(f"{first.title}: {compression.headline(first)}")
        said += [_capital(note) for note in compression.fit_notes(first)]
    said += [_capital(compression.nested_line(each)) for each in section.nested]
    said += section.without_forms
    tuned = [line for each in section.tunings for line in tuning.conclusions(each)]
    return [f"{sentence}." for sentence in said if sentence] + tuned


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def csv_of(sections: Sequence[Section]) -> str:
    """Return one long table as CSV: a row per group of runs and protocol.

    Metrics have the scale of the other formats, with six decimals; the name of a column in percent
    says so.
    """
    parts = []
    for section in sections:
        part = section.table.copy()
        part.insert(0, "dataset", section.dataset)
        part.insert(1, "protocol", section.title)
        part.insert(2, "how", section.line)
        part["selected_on_test"] = part["name"].isin(selected_on_test(section))
        part["best"] = part["name"].isin(best_of(section))
        part = part.merge(_leads(section), on="name", how="left")
        if section.tunings:
            part = part.merge(_tuning_columns(section), on="name", how="left")
        parts.append(part)
    table = in_printed_scale(pd.concat(parts, ignore_index=True))
    return spreadsheet_csv(table, float_format="%.6f")


def _leads(section: Section) -> pd.DataFrame:
    """Return the comparisons with the best: columns ``<metric>/lead`` and so on, and verdict."""
    compared = section.comparison
    table = compared.summary[["name", "lead", "lead_low", "lead_high", "verdict"]]
    names = {name: f"{compared.metric}/{name}" for name in ("lead", "lead_low", "lead_high")}
    return table.rename(columns=names)


def _tuning_columns(section: Section) -> pd.DataFrame:
    """Return what the rows of a section were tuned to: ``tuning``, ``settings``, ``validation``."""
    rows = []
    for name, runs in section.groups.items():
        for each in section.tunings:
            if (known := tuning.sources_of(each).get(runs[0].name)) is not None:
                _, kind, value = known
                rows.append((name, each.tuning.name, kind, each.tuning.metric, value))
    columns = ["name", "tuning", "settings", "validation_metric", "validation"]
    return pd.DataFrame(rows, columns=columns).drop_duplicates("name")


def escape(text: object) -> str:
    """Escape text so that LaTeX prints it as it is."""
    return "".join(LATEX.get(character, character) for character in str(text))


def latex_of(sections: Sequence[Section]) -> str:
    r"""Return a LaTeX ``table`` for every section; needs ``\usepackage{booktabs}``."""
    note_on_all = note_on(sections)
    lines = [r"% needs \usepackage{booktabs}", f"% {note_on_all}"]
    for section in sections:
        names = metrics_of(section.table)
        best, marked = best_of(section), selected_on_test(section)
        note = rf" $^\dagger$ {escape(SELECTED_ON_TEST)}." if marked else ""
        head = ["Run", "Seeds", "$d$", *(escape(metric(n).title) for n in names)]
        lines += [
            "",
            r"\begin{table}",
            rf"\caption{{{escape(section.dataset)}, {escape(section.title)}: "
            rf"{escape(section.line)}. {escape(units(section))} "
            rf"{escape(' '.join([*conclusion(section), note_on_all]))}{note}}}",
            rf"\begin{{tabular}}{{lr{'r' * (1 + len(names))}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
        ]
        for row in section.table.to_dict("records"):
            name = escape(row["name"])
            name = rf"\textbf{{{name}}}" if row["name"] in best else name
            name += r"$^\dagger$" if row["name"] in marked else ""
            values = [cell(row, n).replace("–", "--") for n in names]
            cells = [name, row["seeds"], row.get("dimension", ""), *values]
            lines.append(" & ".join(map(str, cells)) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
        for each in section.tunings:
            for table in tuning.tables_of(each):
                lines += _latex_table(*table)
    return "\n".join(lines) + "\n"


def _latex_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a LaTeX ``table`` of texts under a caption."""
    body = [" & ".join(map(_latex_cell, cells)) + r" \\" for cells in (head, *rows)]
    return [
        "",
        r"\begin{table}",
        rf"\caption{{{escape(title)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        r"\toprule",
        body[0],
        r"\midrule",
        *body[1:],
        *(r"\bottomrule", r"\end{tabular}", r"\end{table}"),
    ]


def _latex_cell(text: str) -> str:
    for sign, command in LATEX_SIGNS.items():
        text = text.replace(sign, "\0" + command + "\0")
    parts = text.split("\0")
    return "".join(part if n % 2 else escape(part) for n, part in enumerate(parts)).replace(
        "–", "--"
    )
