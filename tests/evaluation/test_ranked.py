"""Ranked lists: equal to embeddings, trec_eval and ranx, and without a figure where too short."""

import json
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval

from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.evaluation.ranked import RankedLists, evaluate_ranked
from retrieval.evaluation.ranking import BEYOND

FURTHER = ("ndcg@10", "map@10", "minp", "mp@10")
LABELS = np.repeat(np.arange(12), 5)
# What ranx says of `ranx_case(seed)`, by seed: it takes minutes to compile and is not installed for
# tests. `python -m benchmarks.ranked` writes the file, and compares many more cases.
RANX = json.loads(Path(__file__).with_name("ranx.json").read_text())


def embedded():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((len(LABELS), 4)) + LABELS[:, None] / 3
    return evaluate(points, LABELS, k_neighbors=59, kmeans="none", metrics=FURTHER)


def lists_of(result, depth=None):
    """Return the neighbors of a result as ranked lists."""
    ids, scores = result.neighbors[:, :depth], result.similarities[:, :depth]
    queries = np.repeat(result.queries, ids.shape[1])
    return RankedLists(queries.astype(int), ids.ravel().astype(int), scores.ravel().astype(float))


def trec(run, qrels, **options):
    """Evaluate dicts of query -> item -> number, as pytrec_eval takes them."""
    queries = sorted(qrels)
    items = sorted({item for each in (*run.values(), *qrels.values()) for item in each})
    names = [*queries, *items]
    row_of = {item: len(queries) + i for i, item in enumerate(items)}
    entries = [(q, row_of[i], s) for q, query in enumerate(queries) for i, s in run[query].items()]
    q, i, s = zip(*entries, strict=True)
    return evaluate_ranked(
        RankedLists(np.array(q), np.array(i), np.array(s, float)),
        np.arange(len(names)),
        np.array(["query"] * len(queries) + ["gallery"] * len(items), object),
        (1, 5, 10),
        names=names,
        relevance=[{row_of[i]: g for i, g in qrels[query].items() if g > 0} for query in queries],
        metrics=("ndcg@10", "map@100"),
        unit="query",
        n_bootstrap=0,
        **{"unlisted": "never", "no_positive": "zero"} | options,
    )


def random_run(seed, *, n_items=60, depth=30, levels=6, grades=4, queries=12):
    """Make a run of many equal scores, and graded judgments."""
    rng = np.random.default_rng(seed)
    run, qrels = {}, {}
    for query in (f"q{i}" for i in range(queries)):
        items = rng.permutation(n_items)[:depth]
        run[query] = {f"d{i}": float(rng.integers(levels)) / 7 for i in items}
        judged = rng.permutation(n_items)[:20]
        qrels[query] = {f"d{i}": int(rng.integers(grades)) for i in judged}
    return run, qrels


def ranx_case(seed):
    """Make a case for ranx, which orders ties as listed up to 15 items, and takes no grade of 0."""
    run, qrels = random_run(seed, depth=12)
    return run, {query: {i: g for i, g in each.items() if g} for query, each in qrels.items()}


def by_hand(run, qrels, query, *, descending):
    """Score one query by the definitions of trec_eval, in a plain loop."""
    order = sorted(run[query].items(), key=lambda pair: pair[0], reverse=descending)
    order = [item for item, _ in sorted(order, key=lambda pair: -np.float32(pair[1]))]
    grades = [max(0, qrels[query].get(item, 0)) for item in order]
    ideal = sorted((g for g in qrels[query].values() if g > 0), reverse=True)
    r, found, total = len(ideal), 0, 0.0
    if r == 0:
        return dict.fromkeys(("map", "r_precision", "mrr", "recall@5", "ndcg@10"), 0.0)
    for rank, grade in enumerate(grades, 1):
        if grade:
            found += 1
            total += found / rank
    first = next((rank for rank, grade in enumerate(grades, 1) if grade), np.inf)
    gain = sum(g / np.log2(rank + 1) for rank, g in enumerate(grades[:10], 1))
    best = sum(g / np.log2(rank + 1) for rank, g in enumerate(ideal[:10], 1))
    return {
        "map": total / r,
        "r_precision": sum(g > 0 for g in grades[:r]) / r,
        "mrr": 1 / first,
        "recall@5": float(first <= 5),
        "ndcg@10": gain / best,
    }


def test_lists_of_the_whole_gallery_have_every_figure_and_interval_of_the_embeddings():
    whole = embedded()
    found = evaluate_ranked(lists_of(whole), LABELS, metrics=FURTHER, ties="listed")
    assert found.metrics == pytest.approx(whole.metrics)
    assert found.intervals.keys() == whole.intervals.keys()
    for name, interval in whole.intervals.items():
        assert found.intervals[name] == pytest.approx(interval)
    assert np.array_equal(found.first_relevant_rank, whole.first_relevant_rank)
    assert not found.protocol.unknown


def test_lists_cut_at_a_depth_have_only_what_the_items_below_cannot_change():
    whole = embedded()
    found = evaluate_ranked(
        lists_of(whole, 6), LABELS, None, (1, 4, 6, 7), metrics=("map@5", "map@10"), ties="listed"
    )
    assert {"recall@1", "recall@4", "recall@6", "map@r", "r_precision", "map@5"} <= set(
        found.metrics
    )
    assert not {"recall@7", "map", "mrr", "map@10"} & set(found.metrics)
    for name in ("recall@6", "map@r", "r_precision"):  # R is 4
        assert found.metrics.get(name) == pytest.approx(
            whole.metrics.get(name, np.mean(whole.first_relevant_rank <= 6))
        )
    assert "R@7 and above" in found.protocol.unknown
    assert "mAP (" in found.protocol.unknown


def test_the_figure_that_is_not_given_lies_between_the_two_that_are_named():
    whole = embedded()
    found = evaluate_ranked(lists_of(whole, 3), LABELS, ties="listed")
    text = next(part for part in found.protocol.unknown.split("; ") if part.startswith("MAP@R ("))
    low, high = (float(end) for end in text[len("MAP@R (") : -1].split(" to "))
    assert low <= 100 * whole.metrics["map@r"] <= high
    assert low < high


def test_a_relevant_item_below_the_list_counts_as_not_found_and_not_as_none():
    lists = RankedLists(np.array([0, 1]), np.array([2, 0]), np.array([1.0, 1.0]))
    found = evaluate_ranked(lists, np.array([0, 0, 1]), n_bootstrap=0)
    assert found.first_relevant_rank.tolist() == [BEYOND, 1, 0]  # item 2 has no positive
    assert found.metrics["recall@1"] == 0.5


def test_a_query_without_a_list_has_found_nothing():
    lists = RankedLists(np.array([1]), np.array([0]))
    found = evaluate_ranked(lists, np.array([0, 0]), ks=(1, 1000), n_bootstrap=0)
    assert found.metrics["recall@1000"] == found.metrics["mrr"] == 0.5
    assert found.protocol.n_without_list == 1


@pytest.mark.parametrize("ties", ["descending", "ascending"])
@pytest.mark.parametrize("seed", range(3))
def test_it_equals_a_plain_loop_over_lists_full_of_ties(seed, ties):
    run, qrels = random_run(seed)
    found = trec(run, qrels, ties=ties)
    loop = [by_hand(run, qrels, q, descending=ties == "descending") for q in sorted(qrels)]
    for name in loop[0]:
        assert found.per_query[name] == pytest.approx([one[name] for one in loop]), name
    assert found.protocol.ties.startswith("by id")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("grades", [2, 4])
def test_it_equals_trec_eval_ties_included(seed, grades):
    run, qrels = random_run(seed, grades=grades)
    theirs = {
        "map": "map", "r_precision": "Rprec", "mrr": "recip_rank", "recall@1": "success_1",
        "recall@5": "success_5", "recall@10": "success_10", "ndcg@10": "ndcg_cut_10",
        "map@100": "map_cut_100", "precision@1": "P_1",
    }  # fmt: skip
    asked = {"map", "Rprec", "recip_rank", "success.1,5,10", "ndcg_cut.10", "map_cut.100", "P.1"}
    judged = pytrec_eval.RelevanceEvaluator(qrels, asked).evaluate(run)
    found = trec(run, qrels)
    for name, other in theirs.items():
        values = [judged[query][other] for query in sorted(qrels)]
        assert found.per_query[name] == pytest.approx(values, abs=1e-6), name


def test_scores_that_differ_below_single_precision_are_ties_as_in_trec_eval():
    run = {"q": {"a": 0.5 + 1e-12, "b": 0.5}}
    qrels = {"q": {"b": 1}}
    assert trec(run, qrels).metrics["recall@1"] == 1  # b has the greater id
    assert trec(run, qrels, ties="ascending").metrics["recall@1"] == 0


@pytest.mark.parametrize("seed", range(len(RANX)))
def test_it_equals_ranx_ties_included(seed):
    found = trec(*ranx_case(seed), ties="listed")
    assert {name: found.metrics[name] for name in RANX[seed]} == pytest.approx(RANX[seed])


def test_the_protocol_names_ties_unit_and_lengths():
    run, qrels = random_run(0)
    found = trec(run, qrels, unlisted="unknown").protocol
    assert "trec_eval" in found.ties
    assert found.unit == "query"
    assert (found.least_depth, found.greatest_depth, found.dimension) == (30, 30, 0)
    assert found.of_lists
    assert "lists of 30 items" in str(found)


@pytest.mark.parametrize(
    ("queries", "items", "scores", "what"),
    [
        ([0, 0], [1, 1], None, "twice"),
        ([0], [1], [np.nan], "no score"),
        ([1], [1], None, "is no query"),
        ([0], [2], None, "not in the gallery"),
    ],
)
def test_a_bad_entry_is_named(queries, items, scores, what):
    lists = RankedLists(np.array(queries), np.array(items), scores and np.array(scores))
    with pytest.raises(UserError, match=what):
        evaluate_ranked(lists, np.zeros(3), np.array(["query", "gallery", "query"], object))


def test_a_query_never_counts_as_its_own_result():
    lists = RankedLists(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0]))
    found = evaluate_ranked(lists, np.array([0, 0]), n_bootstrap=0)
    assert found.neighbors.tolist() == [[1], [0]]
    assert found.metrics["recall@1"] == 1


def test_items_of_the_querys_camera_take_no_rank():
    lists = RankedLists(np.array([0, 0]), np.array([1, 2]))
    camera = {"camera": np.array([1, 1, 2])}
    roles = np.array(["query", "gallery", "gallery"], object)
    found = evaluate_ranked(lists, np.zeros(3), roles, junk_same=camera, n_bootstrap=0)
    assert found.neighbors.tolist() == [[2]]
    assert found.n_positive.tolist() == [1]
