"""What smaller forms of an embedding cost, in words and tables: the same on every output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrieval.errors import UserError
from retrieval.evaluation.compression import FLOAT32, FULL, INT8, PQ, fit_line, form_of
from retrieval.evaluation.costs import UNCHANGED
from retrieval.evaluation.metrics import DASH, HEADLINE, Metric
from retrieval.evaluation.metrics import metric as metric_of
from retrieval.report.comparing import lack_of_scores
from retrieval.report.verdicts import points
from retrieval.runs.compression import Compressed, form_costs, read_compression
from retrieval.runs.run import Run

HEAD = ("Form", "Bytes", "Of float32", "{title} [95%]", "Cost [95%]", "Queries changed")
MARGIN = 0.01  # a cost that few would mind: one point


@dataclass(frozen=True)
class LossForms:
    """The smaller forms of the embedding of one loss, over all of its seeds.

    Attributes:
        title: Title of the loss.
        metric: Name of the metric.
        width: Dimension of the embedding.
        n_seeds: Number of training seeds.
        table: One row per form, see :func:`retrieval.evaluation.costs.costs`, and ``bytes``,
            ``share`` (of the bytes of float32), ``kind`` and ``size``.
        left_out: Name of a form -> why the embedding has none, without a full stop.
        n_gallery: Number of vectors that the forms are fitted on.
    """

    title: str
    metric: str
    width: int
    n_seeds: int
    table: pd.DataFrame
    left_out: dict[str, str]
    n_gallery: int


def forms_of(
    title: str, runs: Sequence[Run], protocol: str | None = None, metric: str = HEADLINE
) -> LossForms:
    """Tabulate the smaller forms of the embedding of a loss.

    Args:
        title: Title of the loss.
        runs: Its runs, one per seed, on the same items.
        protocol: Name of the protocol. Defaults to the primary one of each run.
        metric: Name of the metric. Defaults to ``recall@1``.

    Raises:
        UserError: A run's smaller forms were not evaluated, or are not those of its embeddings;
            the metric has no score per query; no query counts.
    """
    if lack := lack_of_scores({title: runs}, protocol, metric):
        raise UserError(f"no smaller forms by {metric_of(metric).title}, since {lack}")
    compressed = [read_compression(run, protocol) for run in runs]
    table = form_costs(runs, compressed, protocol, metric)
    if table is None:
        raise UserError(
            f"{title}: its smaller forms have no {metric_of(metric).title}: evaluate them again "
            "with --compress, or choose another metric"
        )
    first = compressed[0]
    forms = [form_of(name) for name in table["form"]]
    sizes = [form.n_bytes(first.width) for form in forms]
    table = table.assign(
        bytes=sizes,
        share=np.array(sizes) / FULL.n_bytes(first.width),
        kind=[form.kind for form in forms],
        size=[form.size for form in forms],
    )
    return LossForms(
        title, metric, first.width, len(runs), table, _left_out(compressed), first.n_gallery
    )


def _left_out(compressed: Sequence[Compressed]) -> dict[str, str]:
    return {name: why for each in compressed for name, why in each.left_out.items()}


def share_in_words(share: float) -> str:
    """Say how much memory a form needs, as a part of that of float32.

    >>> share_in_words(0.25), share_in_words(1 / 32), share_in_words(0.3)
    ('a quarter of the memory', '1/32 of the memory', '30% of the memory')
    """
    known = {2: "half", 4: "a quarter", 8: "an eighth"}
    times = 1 / share
    if abs(times - round(times)) > 1e-9:
        return f"{100 * share:.0f}% of the memory"
    of = known.get(round(times), f"1/{round(times)}")
    return f"{of} of the memory"


def cost_line(row: Mapping, metric: str) -> str:
    """Say what a form costs, without a full stop: ``int8 costs 0.1 points [-0.3, 0.5] and ...``.

    Args:
        row: A row of :attr:`LossForms.table`.
        metric: Name of the metric.
    """
    found, form = metric_of(metric), form_of(row["form"])
    gains = row["cost"] < 0 and found.format(-row["cost"]) != found.format(0.0)
    sign = -1 if gains else 1
    ends = sorted((sign * row["cost_low"], sign * row["cost_high"]))
    span = "" if np.isnan(ends[0]) else f" [{_number(found, ends[0])}, {_number(found, ends[1])}]"
    amount = f"{_number(found, sign * row['cost'])}{points(found)}{span}"
    none = ", since no query changed," if row["rule"] == UNCHANGED else ""
    return (
        f"{form.title} {'gains' if gains else 'costs'} {amount}{none} and needs "
        f"{share_in_words(row['share'])}"
    )


def _number(found: Metric, value: float) -> str:
    """Write a difference without a plus sign, and none of -0.0."""
    text = found.format(value)
    return text if float(text) else text.removeprefix("-")


def smallest_line(forms: LossForms, margin: float = MARGIN) -> str:
    """Name the smallest form that is known to cost less than a margin, without a full stop.

    The intervals of all forms hold at once, so the choice among them does not spoil the claim.

    Args:
        forms: The forms of a loss.
        margin: The margin, as stored. Defaults to 0.01, a point.
    """
    found = metric_of(forms.metric)
    amount = f"{found.scale * margin:g}{points(found)}"
    amount = amount.removesuffix("s") if found.scale * margin == 1 else amount
    smaller = forms.table[forms.table["form"] != FLOAT32]
    if smaller["cost_high"].isna().all():
        return "the classes are too few to say what a form costs on others"
    safe = smaller[smaller["cost_high"] < margin].sort_values(["bytes", "cost"], kind="stable")
    if safe.empty:
        return f"of no form it is certain that it costs less than {amount} of {found.title}"
    row = safe.iloc[0]
    size = "" if row["kind"] == PQ else f" ({row['bytes']:,} bytes)"
    return (
        f"the smallest form that costs less than {amount} with 95% confidence is "
        f"{form_of(row['form']).title}{size}"
    )


def headline(forms: LossForms) -> str:
    """Say what int8 costs, and which form is the smallest that costs little; one sentence."""
    rows = {row["form"]: row for row in forms.table.to_dict("records")}
    chosen = rows.get(INT8) or next(row for name, row in rows.items() if name != FLOAT32)
    said = f"{cost_line(chosen, forms.metric)}; {smallest_line(forms)}"
    return said


def family_line(forms: LossForms) -> str:
    """Say what the intervals of costs hold for, without a full stop."""
    n = len(forms.table) - 1
    return (
        f"costs are the value of float32 minus that of the form, on the same queries; their 95% "
        f"intervals hold for all {n} forms at once"
    )


def fit_notes(forms: LossForms) -> list[str]:
    """Return what limits the figures, one clause each without a full stop."""
    notes = [
        f"every form is fitted on the {forms.n_gallery:,} vectors of the gallery, without labels"
    ]
    if any(kind == PQ for kind in forms.table["kind"]) and (line := fit_line(forms.n_gallery)):
        notes.append(line)
    notes += [f"no {form_of(name).title}: {why}" for name, why in forms.left_out.items()]
    return notes


def table_head(metric: str) -> list[str]:
    """Return the headings of :func:`table_rows`."""
    return [title.format(title=metric_of(metric).title) for title in HEAD]


def table_rows(forms: LossForms) -> list[list[str]]:
    """Return a row of cells for every form, the largest first."""
    found = metric_of(forms.metric)
    ordered = forms.table.sort_values("bytes", ascending=False, kind="stable")
    return [
        [
            form_of(row["form"]).title,
            f"{row['bytes']:,}",
            f"{100 * row['share']:.3g}%",
            found.format(row["value"], row["low"], row["high"]),
            DASH
            if row["form"] == FLOAT32
            else found.format_difference(row["cost"], row["cost_low"], row["cost_high"]),
            DASH if row["form"] == FLOAT32 else f"{row['changed']:,} of {row['queries']:,}",
        ]
        for row in ordered.to_dict("records")
    ]


def compression_table(forms: Sequence[LossForms]) -> pd.DataFrame:
    """Return the forms of losses as one table for files, values as stored."""
    parts = [each.table.assign(loss=each.title, seeds=each.n_seeds) for each in forms]
    columns = [
        "loss", "seeds", "form", "bytes", "share", "value", "low", "high", "cost", "cost_low",
        "cost_high", "significant", "changed", "queries", "rule",
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)[columns]
