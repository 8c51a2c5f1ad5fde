"""What smaller forms of an embedding cost, in words and tables: the same on every output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrieval.errors import UserError
from retrieval.evaluation.bootstrap import ClassScores
from retrieval.evaluation.compression import (
    FLOAT32,
    FULL,
    INT8,
    PCA,
    PQ,
    TRUNCATE,
    Form,
    fit_line,
    form_of,
)
from retrieval.evaluation.costs import UNCHANGED
from retrieval.evaluation.families import Contrasts
from retrieval.evaluation.metrics import DASH, HEADLINE, Metric
from retrieval.evaluation.metrics import metric as metric_of
from retrieval.evaluation.significance import FEWEST_SAMPLES
from retrieval.report.comparing import lack_of_scores
from retrieval.report.verdicts import joined, points, seeds_caveat
from retrieval.runs.compression import (
    FILE,
    Compressed,
    command,
    form_costs,
    form_scores,
    read_compression,
    trained_widths,
    why_no_forms,
)
from retrieval.runs.run import Run
from retrieval.settings.identity import what_matters
from retrieval.settings.schema import UNTRAINED

INTERVAL = " [95%]"  # in a heading
HEAD = ("Form", "Bytes", "Of float32", f"{{title}}{INTERVAL}", f"Cost{INTERVAL}", "Queries changed")
NESTED_COLUMNS = (
    "width", "nested", "truncated", "pca", "gain", "gain_low", "gain_high", "over_pca",
    "over_pca_low", "over_pca_high",
)  # fmt: skip
MARGIN = 0.01  # a cost that few would mind: one point


@dataclass(frozen=True)
class LossForms:
    """The smaller forms of the embedding of one loss, over all of its seeds.

    Attributes:
        title: Title of the loss.
        metric: Name of the metric.
        width: Dimension of the embedding.
        n_seeds: Number of training seeds; 0 of imports and untrained networks.
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

    @property
    def has_intervals(self) -> bool:
        """Whether a value or a cost has an interval; none has one of too few classes."""
        return bool(self.table[["low", "cost_low"]].notna().any(axis=None))


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
    compressed = _read(title, runs, protocol, metric)
    table = form_costs(runs, compressed, metric)
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
        title,
        metric,
        first.width,
        sum(run.settings is not None and run.settings.loss != UNTRAINED for run in runs),
        table,
        _left_out(compressed),
        first.n_gallery,
    )


def _read(title: str, runs: Sequence[Run], protocol: str | None, metric: str) -> list[Compressed]:
    """Read the smaller forms of a loss; refuse those without a score of every query."""
    for run in runs:
        if reason := why_no_forms(run, protocol):
            raise UserError(f"{run.path}: {reason}")
    if lack := lack_of_scores({title: runs}, protocol, metric):
        raise UserError(f"no smaller forms by {metric_of(metric).title}, since {lack}")
    return [read_compression(run, protocol) for run in runs]


@dataclass(frozen=True)
class Nested:
    """A loss trained at several widths (Matryoshka), beside the same loss at its full width only.

    Attributes:
        plain: Title of the loss at its full width only.
        nested: Title of the loss at several widths.
        metric: Name of the metric.
        table: One row per width that was trained for, the full one first. ``width``; ``nested``,
            ``truncated`` and ``pca``, the values of the loss at several widths cut off there, of
            the other one cut off there, and of its PCA (NaN at the full width); ``gain``,
            ``gain_low``, ``gain_high``, what ``nested`` is ahead of ``truncated``, and
            ``over_pca``, ``over_pca_low``, ``over_pca_high``, of ``pca``, with 95% intervals that
            hold for all of them at once.
    """

    plain: str
    nested: str
    metric: str
    table: pd.DataFrame

    @property
    def has_intervals(self) -> bool:
        """Whether a difference has an interval; none has one of too few classes."""
        return bool(self.table[["gain_low", "over_pca_low"]].notna().any(axis=None))


def nested_pairs(groups: Mapping[str, Sequence[Run]]) -> list[tuple[str, str]]:
    """Return the losses trained at several widths, each with the same loss at its full width only.

    Args:
        groups: Title of a loss -> its runs, one per seed.

    Returns:
        Titles: the loss at its full width only, and at several.
    """

    def alike(runs: Sequence[Run]) -> dict | None:
        if runs[0].settings is None:
            return None
        return {k: v for k, v in what_matters(runs[0].settings).items() if k != "matryoshka"}

    settings = {title: alike(runs) for title, runs in groups.items()}
    widths = {title: trained_widths(runs[0]) for title, runs in groups.items()}
    return [
        (plain, nested)
        for nested in groups
        for plain in groups
        if widths[nested] and not widths[plain] and settings[nested] == settings[plain]
    ]


def nested_of(
    groups: Mapping[str, Sequence[Run]],
    plain: str,
    nested: str,
    protocol: str | None = None,
    metric: str = HEADLINE,
) -> Nested:
    """Compare a loss trained at several widths with the same loss at its full width only.

    Args:
        groups: Title of a loss -> its runs, one per seed, on the same items.
        plain: Title of the loss at its full width only.
        nested: Title of the loss at several widths.
        protocol: Name of the protocol. Defaults to the primary one of each run.
        metric: Name of the metric. Defaults to ``recall@1``.

    Raises:
        UserError: See :func:`forms_of`; or a width was not evaluated of both.
    """
    scores: dict[tuple[str, str], np.ndarray] = {}
    for title in (plain, nested):
        runs = groups[title]
        compressed = _read(title, runs, protocol, metric)
        for form in compressed[0].forms:
            rows = form_scores(runs, compressed, metric, form.name)
            if rows is not None:
                scores[title, form.name] = rows
    full = read_compression(groups[nested][0], protocol).width
    columns: list[tuple[int, list[tuple[str, str]]]] = [
        (full, [(nested, FLOAT32), (plain, FLOAT32)])
    ]
    for width in sorted(trained_widths(groups[nested][0]), reverse=True):
        cut, components = Form(TRUNCATE, width).name, Form(PCA, width).name
        wanted = [(nested, cut), (plain, cut), (plain, components)]
        if missing := [key for key in wanted[:2] if key not in scores]:
            run = groups[missing[0][0]][0]
            raise UserError(
                f"{run.path}: not evaluated at width {width}: `{command(run)} --widths {width}`"
            )
        columns.append((width, [key for key in wanted if key in scores]))
    first = groups[plain][0]
    labels = first.items["label"].to_numpy()[first.neighbors(protocol).queries]
    return Nested(plain, nested, metric, _contrasted(columns, scores, labels))


def _contrasted(
    columns: Sequence[tuple[int, list[tuple[str, str]]]],
    scores: Mapping[tuple[str, str], np.ndarray],
    labels: np.ndarray,
) -> pd.DataFrame:
    """Tabulate differences of the first column of every width and its others, as one family."""
    keys = list(dict.fromkeys(key for _, each in columns for key in each))
    keep = np.all([np.isfinite(scores[key]).all(axis=0) for key in keys], axis=0)
    summed = ClassScores.of([scores[key][:, keep] for key in keys], labels[keep])
    pairs = [(keys.index(each[0]), keys.index(other)) for _, each in columns for other in each[1:]]
    found = Contrasts(summed, FEWEST_SAMPLES).members(pairs, with_p=False)
    ends = iter(zip(found.difference, found.low, found.high, strict=True))
    rows = []
    for width, each in columns:
        row: dict[str, float] = {"width": width}
        for name, key in zip(("nested", "truncated", "pca"), each, strict=False):
            row[name] = float(summed.means[keys.index(key)])
        for name, _ in zip(("gain", "over_pca"), each[1:], strict=False):
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), next(ends), strict=True))
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=list(NESTED_COLUMNS))


def nested_line(nested: Nested) -> str:
    """Say what training at several widths gains and costs, without a full stop."""
    found = metric_of(nested.metric)
    full, narrow = nested.table.iloc[0], nested.table.iloc[-1]
    gain = found.format_difference(narrow["gain"], narrow["gain_low"], narrow["gain_high"])
    whole = found.format_difference(full["gain"], full["gain_low"], full["gain_high"])
    line = (
        f"cut off at {narrow['width']:.0f} dimensions, {nested.nested} is at "
        f"{found.format_with_unit(narrow['nested'])}, {gain}{points(found)} beside {nested.plain}"
    )
    if np.isfinite(narrow["pca"]):
        over = found.format_difference(
            narrow["over_pca"], narrow["over_pca_low"], narrow["over_pca_high"]
        )
        line += f" cut off there and {over} beside its PCA"
    return f"{line}; at the full width, {whole}"


def widths_line(title: str, runs: Sequence[Run]) -> str:
    """Say which widths a loss was trained at, without a full stop; empty if only at the full one.

    Args:
        title: Title of the loss.
        runs: Its runs.
    """
    widths = trained_widths(runs[0])
    if not widths:
        return ""
    return (
        f"{title}: the loss is the mean of the loss of the embedding and of its first "
        f"{joined([str(width) for width in widths])} dimensions (Kusupati et al. 2022)"
    )


def nested_head(metric: str, *, intervals: bool = True) -> list[str]:
    """Return the headings of :func:`nested_rows`; see :func:`table_head`."""
    title = metric_of(metric).title
    titles = [
        "Dimensions", f"Matryoshka {title}", f"Plain {title}", f"PCA of plain {title}",
        f"Matryoshka minus plain{INTERVAL}", f"Matryoshka minus PCA{INTERVAL}",
    ]  # fmt: skip
    return titles if intervals else _bare(titles)


def nested_rows(nested: Nested) -> list[list[str]]:
    """Return a row of cells for every width, the full one first."""
    found = metric_of(nested.metric)
    return [
        [
            f"{row['width']:.0f}",
            *(found.format(row[name]) for name in ("nested", "truncated", "pca")),
            *(
                found.format_difference(row[name], row[f"{name}_low"], row[f"{name}_high"])
                for name in ("gain", "over_pca")
            ),
        ]
        for row in nested.table.to_dict("records")
    ]


def _left_out(compressed: Sequence[Compressed]) -> dict[str, str]:
    return {name: why for each in compressed for name, why in each.left_out.items()}


def forms_of_groups(
    groups: Mapping[str, Sequence[Run]], protocol: str | None, metric: str
) -> tuple[tuple[LossForms, ...], tuple[Nested, ...], tuple[str, ...]]:
    """Return the smaller forms of all losses that have them.

    Args:
        groups: Title of a loss -> its runs, one per seed.
        protocol: Name of the protocol; None for the primary one of each run.
        metric: Name of the metric.

    Returns:
        The forms; the losses that were trained at several widths, each beside the plain one; and
        why others have none though some of their runs do.
    """
    found, reasons = dict[str, LossForms](), list[str]()
    for title, runs in groups.items():
        if not any((run.path / FILE).exists() for run in runs):
            continue
        try:
            found[title] = forms_of(title, runs, protocol, metric)
        except UserError as error:
            reasons.append(str(error))
    nested = []
    for first, second in nested_pairs(groups):
        if first in found and second in found:
            try:
                nested.append(nested_of(groups, first, second, protocol, metric))
            except UserError as error:
                reasons.append(str(error))
    return tuple(found.values()), tuple(nested), tuple(reasons)


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
    return f"{cost_line(chosen, forms.metric)}; {smallest_line(forms)}"


def family_line(forms: LossForms) -> str:
    """Say what the intervals of costs hold for, without a full stop."""
    n = len(forms.table) - 1
    costs = "costs are the value of float32 minus that of the form, on the same queries"
    if not forms.has_intervals:
        return f"{costs}; without intervals, which so few classes do not carry"
    return (
        f"{costs}; their 95% intervals hold for all {n} forms at once"
        f"{seeds_caveat([forms.n_seeds])}"
    )


def nested_family(nested: Nested) -> str:
    """Say what the intervals of :func:`nested_rows` hold for, without a full stop."""
    if not nested.has_intervals:
        return "no intervals, which so few classes do not carry"
    return "95% intervals that hold for all differences of the table at once"


def fit_notes(forms: LossForms) -> list[str]:
    """Return what limits the figures, one clause each without a full stop."""
    notes = [
        f"every form is fitted on the {forms.n_gallery:,} vectors of the gallery, without labels"
    ]
    if any(kind == PQ for kind in forms.table["kind"]) and (line := fit_line(forms.n_gallery)):
        notes.append(line)
    notes += [f"no {form_of(name).title}: {why}" for name, why in forms.left_out.items()]
    return notes


def table_head(metric: str, *, intervals: bool = True) -> list[str]:
    """Return the headings of :func:`table_rows`.

    Args:
        metric: Name of the metric.
        intervals: Whether any of the figures has an interval. Defaults to True.
    """
    titles = [title.format(title=metric_of(metric).title) for title in HEAD]
    return titles if intervals else _bare(titles)


def _bare(titles: list[str]) -> list[str]:
    """Return headings of figures that have no intervals."""
    return [title.removesuffix(INTERVAL) for title in titles]


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
