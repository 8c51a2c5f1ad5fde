"""A run's embedding in smaller forms: ``compression.json`` and its scores, written and read here.

``retrieval evaluate RUN --compress`` writes them, from the embeddings and under the protocols that
the run was evaluated under. A run without them is complete. The JSON file holds the figures of the
run alone. The ``.npz`` file holds the rank of the first relevant item of every query and its other
scores, so that several seeds are combined, and runs compared, by any metric.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retrieval.errors import UserError
from retrieval.evaluation.caveats import no_positives
from retrieval.evaluation.checks import class_codes
from retrieval.evaluation.compression import (
    FLOAT32,
    Form,
    form_of,
    forms_for,
    ranks_in_form,
    why_not,
)
from retrieval.evaluation.costs import costs
from retrieval.evaluation.metrics import (
    check_on_request,
    has_scores,
    ranks_runs,
    score_first_ranks,
)
from retrieval.evaluation.protocol import Sides, roles_or_none
from retrieval.evaluation.protocol import sides as sides_of
from retrieval.evaluation.relevance import BY_CLASS, OWN_LISTS, columns_in, columns_named, rules_of
from retrieval.evaluation.significance import any_counts
from retrieval.files import atomic_path, digest, write_json
from retrieval.progress import stage
from retrieval.runs.judgments import lists_of, read_judgments
from retrieval.runs.npz import map_npz
from retrieval.runs.run import NO_EMBEDDINGS, Run
from retrieval.runs.store import changed_run, check_there, locked_run, open_run
from retrieval.settings.schema import matryoshka_widths
from retrieval.validation import QUERY_GALLERY, base_protocol

FILE, SCORES_FILE = "compression.json", "compression.npz"
SCHEMA = 1
RANK, SCORE = "first_hit", "score"  # keys of the arrays, after <protocol>/<form>/


@dataclass(frozen=True)
class Compressed:
    """A run's embedding in smaller forms, under one protocol.

    Attributes:
        width: Dimension of the embedding.
        forms: The forms, the full one first.
        left_out: Name of a form -> why the embedding has none, without a full stop.
        n_gallery: Number of vectors that every form is fitted on.
        protocol: Name of the protocol.
    """

    width: int
    forms: tuple[Form, ...]
    left_out: dict[str, str]
    n_gallery: int
    protocol: str
    _arrays: Mapping[str, np.ndarray]
    _no_positive: str

    def scores_of(self, form: str, metric: str) -> NDArray[np.float64] | None:
        """Return the score of every query in a form.

        Args:
            form: Name of the form, other than the full one, whose scores are the run's own.
            metric: Name of the metric.

        Returns:
            float64, (q,), NaN for a query that is excluded; None if the run does not hold them.
        """
        at = f"{self.protocol}/{form}"
        if f"{at}/{RANK}" not in self._arrays:
            return None
        ranks = self._arrays[f"{at}/{RANK}"]
        found = score_first_ranks(metric, ranks)
        if found is None:
            found = self._arrays.get(f"{at}/{SCORE}/{metric}")
        if found is None:
            return None
        without = 0.0 if self._no_positive == "zero" else np.nan
        return np.where(ranks == 0, without, found).astype(np.float64)


def command(run: Run) -> str:
    """Return the command that evaluates a run's smaller forms."""
    return f"retrieval evaluate {shlex.quote(str(run.path))} --compress"


def why_no_forms(run: Run, protocol: str | None = None) -> str:
    """Say why a run's smaller forms cannot be evaluated, without a full stop; empty if they can.

    Args:
        run: The run.
        protocol: Name of the protocol. Defaults to the primary one.
    """
    if not run.has_embeddings:
        return f"nothing to compress: {NO_EMBEDDINGS}"
    made = run.result(protocol).protocol
    return f"nothing to compare: {no_positives(made)}" if made.has_no_positives else ""


def write_compression(
    path: Path | str, widths: Sequence[int] = (), *, progress: bool = True
) -> Run:
    """Evaluate a run's embedding in smaller forms, and write the figures to the run.

    Nothing else of the run changes. It is evaluated under each of its protocols.

    Args:
        path: Folder of the run.
        widths: Widths to reduce the embedding to, besides powers of two and those that it was
            trained for. Defaults to none.
        progress: Whether to show the stage at work. Defaults to True.

    Returns:
        The run, opened.

    Raises:
        UserError: The run has no embeddings, no query with a relevant item, or damage, or another
            process changes it; or a width is not below that of the embedding.
    """
    path = Path(path)
    check_there(path)
    with locked_run(path):
        run = open_run(path, neighbors=True)
        reasons = [why_no_forms(run, name) for name in run.protocol_titles]
        if all(reasons):
            raise UserError(f"{path}: {reasons[0]}")
        forms = forms_for(run.embeddings.shape[1], (*trained_widths(run), *widths))
        found = [_under(run, name, forms, progress=progress) for name in run.protocol_titles]
        arrays = {key: values for _, each in found for key, values in each.items()}
        with changed_run(path) as folder:
            with atomic_path(folder / SCORES_FILE) as temporary:
                np.savez(temporary, allow_pickle=False, **arrays)
            write_json(
                folder / FILE,
                {
                    "schema": SCHEMA,
                    "computed_from": dict(run.computed_from),
                    "scores": digest(folder / SCORES_FILE),
                    "width": run.embeddings.shape[1],
                    "results": {
                        name: entry
                        for name, (entry, _) in zip(run.protocol_titles, found, strict=True)
                    },
                },
            )
    return open_run(path)


def trained_widths(run: Run) -> tuple[int, ...]:
    """Return the widths that a run was trained for besides the full one; empty for most."""
    return () if run.settings is None else matryoshka_widths(run.settings)


def _under(
    run: Run, protocol: str, forms: Sequence[Form], *, progress: bool
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the entry of a protocol in the JSON file, and its arrays."""
    made = run.result(protocol).protocol
    parts, rules = _rules(run, protocol)
    gallery = run.embeddings[parts.gallery]
    arrays, left_out = dict[str, np.ndarray](), dict[str, str]()
    kept = [forms[0]]
    names = [name for name in run.result(protocol).metrics if has_scores(name)]
    further = tuple(name for name in names if score_first_ranks(name, np.ones(1)) is None)
    for form in forms[1:]:
        if reason := why_not(form, gallery, made.distance):
            left_out[form.name] = reason
            continue
        kept.append(form)
        with stage(f"{run.protocol_titles[protocol]}: {form.title}", show=progress):
            ranks = ranks_in_form(
                form,
                run.embeddings,
                run.items["label"].to_numpy(),
                parts,
                made.distance,
                seed=made.seed,
                metrics=check_on_request(further),
                **rules,
            )
        at = f"{protocol}/{form.name}"
        arrays[f"{at}/{RANK}"] = ranks.first_relevant_rank
        arrays |= {f"{at}/{SCORE}/{name}": ranks.scores[name] for name in further}
    found = Compressed(
        run.embeddings.shape[1],
        tuple(kept),
        left_out,
        len(gallery),
        protocol,
        arrays,
        made.no_positive,
    )
    figures: dict[str, Any] = {}
    for name in filter(ranks_runs, names):
        table = form_costs([run], [found], name)
        if table is not None:
            figures[name] = [
                {key: _json(value) for key, value in row.items()}
                for row in table.to_dict("records")
            ]
    return {
        "distance": made.distance,
        "n_gallery": len(gallery),
        "forms": [
            {
                "form": form.name,
                "bytes": form.n_bytes(found.width),
                "shared_bytes": form.shared_bytes(found.width),
            }
            for form in kept
        ],
        "left_out": left_out,
        "metrics": figures,
    }, arrays


def _rules(run: Run, protocol: str) -> tuple[Sides, dict[str, Any]]:
    """Return the queries and the gallery of a protocol, and what it leaves out and looks for.

    Raises:
        UserError: The run does not hold the lists of its protocol.
    """
    made = run.result(protocol).protocol
    has_roles = base_protocol(protocol) == QUERY_GALLERY
    roles = roles_or_none(run.items["role"].to_numpy(dtype=object)) if has_roles else None
    parts = sides_of(len(run.items), roles)
    words = [each for each in made.exclusion.split("; ") if each]
    named = "; ".join(each for each in words if not each.startswith(OWN_LISTS))
    left_out: dict[str, Any] = {
        option: columns_named(option, names, run.items)
        for option, names in (columns_in(named) if named else {}).items()
    }
    if made.relevance == BY_CLASS and len(words) == len(named.split("; ")) * bool(named):
        return parts, left_out
    codes = class_codes(run.items["label"].to_numpy())
    for one in read_judgments(run.path):
        rules = {**left_out, **lists_of(one, parts)}
        told = rules_of(codes, parts, **rules)
        if (told.relevance, set(told.exclusion.split("; "))) == (made.relevance, set(words)):
            return parts, rules
    raise UserError(
        f"{run.path}: no judgments of protocol {protocol!r}: evaluate it again with --qrels"
    )


def read_compression(run: Run, protocol: str | None = None) -> Compressed:
    """Read a run's smaller forms under one protocol.

    Args:
        run: The run.
        protocol: Name of the protocol. Defaults to the primary one.

    Raises:
        UserError: They were not computed, were computed from other files than the run has now, or
            are damaged. The line names the command that computes them.
    """
    protocol = protocol or run.primary
    file = run.path / FILE
    fix = f"`{command(run)}` computes them"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise UserError(f"{file}: of another version; {fix} again")
        if content["computed_from"] != dict(run.computed_from):
            raise UserError(f"{file}: the run was evaluated anew since; {fix} again")
        if content["scores"] != digest(run.path / SCORES_FILE):
            raise ValueError(f"{SCORES_FILE} does not belong to it")
        entry = content["results"][protocol]
        arrays = map_npz(run.path / SCORES_FILE)
        forms = tuple(form_of(each["form"]) for each in entry["forms"])
        for form in forms[1:]:
            n_queries = len(arrays[f"{protocol}/{form.name}/{RANK}"])
            if n_queries != len(run.neighbors(protocol).queries):
                raise ValueError("other queries")
        return Compressed(
            int(content["width"]),
            forms,
            {str(name): str(reason) for name, reason in entry["left_out"].items()},
            int(entry["n_gallery"]),
            protocol,
            arrays,
            run.result(protocol).protocol.no_positive,
        )
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{run.path}: its smaller forms were not evaluated; {fix}") from None
    except Exception as error:  # a damaged file may raise anything
        detail = " ".join(str(error).split())[:120]
        raise UserError(
            f"{file}: damaged ({type(error).__name__}: {detail}); {fix} again"
        ) from error


def form_costs(
    runs: Sequence[Run],
    compressed: Sequence[Compressed],
    metric: str,
) -> pd.DataFrame | None:
    """Tabulate what the smaller forms of a loss cost, over all of its seeds.

    Args:
        runs: The runs of one loss, one per seed, on the same items.
        compressed: The smaller forms of each, under one protocol.
        metric: Name of a metric with a score per query.

    Returns:
        See :func:`retrieval.evaluation.costs.costs`; the forms that all runs have. None if a run
        does not hold the scores, or if no query counts.
    """
    shared = [f for f in compressed[0].forms if all(f in each.forms for each in compressed)]
    scores: dict[str, np.ndarray] = {}
    for form in shared:
        rows = form_scores(runs, compressed, metric, form.name)
        if rows is None:
            return None
        scores[form.name] = rows
    if len(scores) < 2 or not any_counts(scores):
        return None
    first = runs[0]
    labels = first.items["label"].to_numpy()[first.neighbors(compressed[0].protocol).queries]
    return costs(scores, labels, metric)


def form_scores(
    runs: Sequence[Run],
    compressed: Sequence[Compressed],
    metric: str,
    form: str,
) -> NDArray[np.float64] | None:
    """Return the score of every query with a form of the embedding of every run.

    Args:
        runs: The runs.
        compressed: The smaller forms of each, under one protocol.
        metric: Name of the metric.
        form: Name of the form, ``float32`` for the embedding as it is.

    Returns:
        float64, (runs, q), NaN for a query that does not count; None if a run does not hold them.
    """
    rows = []
    for run, each in zip(runs, compressed, strict=True):
        rule = run.result(each.protocol).protocol.no_positive
        found = (
            run.neighbors(each.protocol).scores_of(metric, rule)
            if form == FLOAT32
            else each.scores_of(form, metric)
        )
        if found is None:
            return None
        rows.append(found)
    return np.stack(rows)


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
