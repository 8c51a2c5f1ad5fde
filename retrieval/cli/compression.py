"""What ``retrieval evaluate --compress`` does and prints."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from retrieval.cli.options import parse_ks
from retrieval.cli.tables import print_table
from retrieval.errors import UserError
from retrieval.report.compression import (
    family_line,
    fit_notes,
    forms_of,
    headline,
    table_head,
    table_rows,
)
from retrieval.runs.compression import FILE, why_no_forms, write_compression


def compress_and_print(path: Path, widths: str, others: Sequence[str]) -> None:
    """Evaluate a run's smaller forms, write the figures to the run, and print them.

    Args:
        path: Folder of the run.
        widths: Widths besides the usual ones, separated by commas.
        others: Flags of an evaluation that were given too, which do not go with this.

    Raises:
        UserError: There are such flags, a width is invalid, or see
            :func:`retrieval.runs.compression.write_compression`.
    """
    if others:
        raise UserError(
            f"{others[0]} does not go with --compress, which keeps the evaluation of the run: "
            f"evaluate with {others[0]} first, then with --compress alone"
        )
    run = write_compression(path, parse_ks(widths, "widths"))
    for name, title in run.protocol_titles.items():
        if reason := why_no_forms(run, name):
            print(f"\n{title}: {reason}.")
            continue
        forms = forms_of(run.name, [run], name)
        print(f"\n{title}: {headline(forms)}.\n")
        head = table_head(forms.metric, intervals=forms.has_intervals)
        print_table(pd.DataFrame(table_rows(forms), columns=head))
        for line in (family_line(forms), *fit_notes(forms)):
            print(f"{line[:1].upper()}{line[1:]}.")
    print(f"\nWritten: {path / FILE}")
