"""What is left out of a ranking and what is relevant: plain loops, official codes, invariants."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import ndcg_score

from retrieval.errors import UserError
from retrieval.evaluation import RowLists, compare, evaluate
from retrieval.evaluation.protocol import ROLES, sides
from retrieval.evaluation.relevance import columns_in, rules_of
from retrieval.evaluation.search.distances import KINDS
from retrieval.evaluation.search.plan import BlockSizes
from retrieval.evaluation.search.search import search
from retrieval.evaluation.search.threads import worker_pool
from tests.evaluation.oracle import graded_scores, rank_lists, score

QUIET = {"kmeans": "none", "n_bootstrap": 0}
KS = (1, 3)
ON_REQUEST = ("map@3", "map_trapezoid", "mp@3", "minp", "ndcg@3", "ndcg_exp@3")


@st.composite
def cases(draw):
    """Items with roles, columns, and lists per query; ties abound."""
    n = draw(st.integers(2, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.integers(-2, 3, (n, 2)).astype(np.float32)
    labels = rng.integers(0, draw(st.integers(1, 5)), n)
    roles = None
    if draw(st.booleans()):
        roles = np.array(ROLES, object)[rng.integers(0, 3, n)]
        roles[:2] = "query", "gallery"
    parts = sides(n, roles)
    options = {}
    for option in ("exclude_same", "junk_same"):
        if draw(st.booleans()):
            columns = {"camera": rng.integers(0, 4, n), "store": rng.choice(["a", "b"], n)}
            options[option] = {name: columns[name] for name in draw(st.sampled_from(SUBSETS))}
    lists = [parts.gallery[rng.random(len(parts.gallery)) < 0.3] for _ in parts.queries]
    if draw(st.booleans()):
        options["ignore"] = lists
    if draw(st.booleans()):
        picked = [parts.gallery[rng.random(len(parts.gallery)) < 0.4] for _ in parts.queries]
        options["relevance"] = [
            dict(zip(rows.tolist(), rng.integers(0, 4, len(rows)).tolist(), strict=True))
            for rows in picked
        ]
    return x, labels, roles, options


SUBSETS = [("camera",), ("store",), ("camera", "store")]


def left_out(query, position, item, labels, options):
    """Whether an item is left out of the ranking of a query, by the definitions."""

    def same(option):
        columns = options.get(option)
        return columns and all(values[query] == values[item] for values in columns.values())

    return bool(
        same("exclude_same")
        or (same("junk_same") and labels[query] == labels[item])
        or item in options.get("ignore", [[]] * (position + 1))[position]
    )


@pytest.mark.parametrize("distance", list(KINDS))
@settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(case=cases())
def test_equals_plain_loops_over_the_definitions(distance, case):
    x, labels, roles, options = case
    result = evaluate(
        x, labels, roles, KS, distance, threads=1, metrics=ON_REQUEST, **options, **QUIET
    )
    n_excluded, totals, lost = 0, {}, 0
    for position, (query, ranked) in enumerate(rank_lists(x, roles, distance).items()):
        out = [g for _, g in ranked if left_out(query, position, g, labels, options)]
        kept = [(s, g) for s, g in ranked if g not in out]
        grades = options.get("relevance", [None] * (position + 1))[position]
        if grades is None:
            grades = {g: 1 for _, g in ranked if labels[g] == labels[query]}
        n_excluded += len(out)
        expected = [g for _, g in kept]
        assert result.neighbors[position][: len(expected)].tolist() == expected
        assert (result.neighbors[position][len(expected) :] == -1).all()
        assert result.n_excluded[position] == len(out)
        relevant = [g for g in expected if grades.get(g, 0) > 0]
        assert result.n_positive[position] == len(relevant)
        lost += not relevant and any(grades.get(g, 0) > 0 for g in out)
        if not relevant:
            assert result.first_relevant_rank[position] == 0
            assert result.first_relevant_item[position] == -1
            assert not result.counted[position]
            continue
        assert result.first_relevant_item[position] == relevant[0]
        assert result.first_relevant_rank[position] == expected.index(relevant[0]) + 1
        told = {g: grades.get(g, 0) > 0 for g in expected}
        scores = score(kept, True, told, KS) | graded_scores(expected, grades, 3)
        for name, value in scores.items():
            assert result.per_query[name][position] == pytest.approx(value, abs=1e-12), name
            totals.setdefault(name, []).append(value)
    protocol = result.protocol
    assert (protocol.n_excluded, protocol.n_lost_positives) == (n_excluded, lost)
    for name, values in totals.items():
        assert result.metrics[name] == pytest.approx(np.mean(values), abs=1e-12), name


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("k", [0, 1, 700])
def test_tiles_blocks_and_chunks_do_not_matter(tmp_path, on_disk, k):
    rng = np.random.default_rng(k)
    x, labels = rng.integers(-1, 2, (600, 3)).astype(np.float32), rng.integers(0, 40, 600)
    lists = [np.flatnonzero(rng.random(600) < 0.05) for _ in range(600)]
    parts = sides(600, None)
    rules = rules_of(
        labels,
        parts,
        exclude_same={"camera": rng.integers(0, 3, 600)},
        ignore=lists[::-1],
        relevance=lists,
        metrics=("ndcg@5",),
    )
    if on_disk:
        np.save(tmp_path / "x.npy", x)
    kept = np.load(tmp_path / "x.npy", mmap_mode="r") if on_disk else x
    small = BlockSizes(7, 33, pairs=500, chunk_bytes=4000, group_bytes=1 << 20)
    with worker_pool() as pool:
        whole, parted = (
            search(
                data, labels, parts, "euclidean", k, pool=pool, sizes=sizes,
                judgments=rules.judgments,
            )
            for data, sizes in ((x, BlockSizes()), (kept, small))
        )  # fmt: skip
    for name in ("ids", "similarities", "n_positive", "n_excluded", "first_relevant_rank"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parted, name), err_msg=name)
    for name, values in whole.scores.items():
        np.testing.assert_array_equal(values, parted.scores[name], err_msg=name)


# Four points on a line, one class and two cameras: 0 a, 1 a, 3 b, 6 b; and 2 of another class, a.
LINE = np.array([[0.0], [1], [3], [6], [2]])
LABELS, CAMERA = np.array([0, 0, 0, 0, 1]), np.array(["a", "a", "b", "b", "a"])


def on_line(**options):
    return evaluate(LINE, LABELS, distance="euclidean", **options, **QUIET)


def test_junk_leaves_out_the_same_class_and_exclusion_every_class():
    junk = on_line(junk_same={"camera": CAMERA})
    assert junk.neighbors[0].tolist() == [4, 2, 3, -1, -1]  # 1 is junk; 4, of another class, is not
    assert junk.first_relevant_rank.tolist() == [2, 2, 2, 2, 0]
    everything = on_line(exclude_same={"camera": CAMERA})
    assert everything.neighbors[0].tolist() == [2, 3, -1, -1, -1]  # ranks close up
    assert everything.first_relevant_rank.tolist() == [1, 1, 2, 2, 0]
    assert (junk.protocol.n_excluded, everything.protocol.n_excluded) == (4, 8)
    assert junk.protocol.exclusion == "same class and camera"
    assert everything.protocol.exclusion == "same camera"
    assert "left out: same camera (8 pairs, 4 relevant items)" in str(everything)
    assert "left out" not in str(on_line())


def test_several_columns_must_all_be_shared():
    shelf = np.array([1, 2, 2, 2, 1])
    result = on_line(exclude_same=pd.DataFrame({"camera": CAMERA, "shelf": shelf}))
    assert result.protocol.exclusion == "same camera and shelf"
    assert result.n_excluded.tolist() == [1, 0, 1, 1, 1]


def test_all_forms_of_lists_are_one():
    each = [{1: 2.0, 3: 1.0}, {}, {0: 1.0}, {1: 0.0, 4: 1.0}, {2: 3.0}]
    starts = np.array([0, 2, 2, 3, 5, 6])
    rows, grades = np.array([3, 1, 0, 4, 1, 2]), np.array([1.0, 2, 1, 1, 0, 3])
    matrix = sparse.csr_array((grades, rows, starts), shape=(5, 5))
    results = [
        on_line(relevance=given, metrics=["ndcg@2"])
        for given in (each, RowLists(starts, rows, grades), matrix)
    ]
    assert len({str(result) for result in results}) == 1
    assert results[0].n_positive.tolist() == [2, 0, 1, 1, 1]
    assert results[0].protocol.relevance.startswith("graded lists ")
    ungraded = on_line(relevance=[[1, 3], [], [0], [4], [2]])
    assert ungraded.protocol.relevance.startswith("own lists ")


def test_ndcg_equals_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 4))
    roles = np.repeat(["query", "gallery"], [1, 19])
    grades = rng.integers(0, 4, 19)
    result = evaluate(
        x, np.zeros(20), roles, distance="euclidean", metrics=["ndcg@7", "ndcg_exp@7"],
        relevance=[dict(zip(range(1, 20), grades, strict=True))], **QUIET,
    )  # fmt: skip
    nearness = -np.linalg.norm(x[1:] - x[0], axis=1)[None]
    assert result.metrics["ndcg@7"] == pytest.approx(ndcg_score(grades[None], nearness, k=7))
    exponential = ndcg_score(2.0 ** grades[None] - 1, nearness, k=7)
    assert result.metrics["ndcg_exp@7"] == pytest.approx(exponential)


def test_open_set_queries_are_told_from_those_that_lost_their_positives():
    """Item 4 is alone in its class; with one camera for all, every query loses its positives."""
    assert on_line().protocol.n_without_positive == 1
    assert on_line().protocol.n_lost_positives == 0
    same = on_line(exclude_same={"camera": np.zeros(5)}, no_positive="zero")
    assert (same.protocol.n_without_positive, same.protocol.n_lost_positives) == (5, 4)
    assert same.metrics == {}
    assert (same.neighbors == -1).all()


# The official evaluations, written again from their published code. ----------------------------


def market_1501(distances, ids, cameras, gallery_ids, gallery_cameras):
    """CMC and mAP of the official MATLAB code, over one query after another.

    Good: the same person in another camera. Junk: the same person in the same camera, and -1.
    """
    first, precisions = [], []
    for row, person, camera in zip(distances, ids, cameras, strict=True):
        good = set(np.flatnonzero((gallery_ids == person) & (gallery_cameras != camera)))
        junk = set(np.flatnonzero((gallery_ids == person) & (gallery_cameras == camera)))
        junk |= set(np.flatnonzero(gallery_ids == -1))
        recall, precision, area, found, seen = 0.0, 1.0, 0.0, 0, 0
        for item in np.argsort(row, kind="stable"):
            if item in junk:
                continue
            if item in good:
                found += 1
                if found == 1:
                    first.append(seen + 1)
            new_recall, new_precision = found / len(good), found / (seen + 1)
            area += (new_recall - recall) * (precision + new_precision) / 2
            recall, precision = new_recall, new_precision
            seen += 1
            if found == len(good):
                break
        precisions.append(area)
    return np.array(first), np.mean(precisions)


def re_identification(rng, n_query=12, n_gallery=60):
    """Queries and a gallery of 6 persons and 3 cameras, with distractors 0 and junk -1."""
    ids = np.concatenate([rng.integers(1, 7, n_query), rng.integers(-1, 7, n_gallery)])
    ids[n_query : n_query + 18] = np.repeat(np.arange(1, 7), 3)  # every person in every camera
    cameras = rng.integers(0, 3, n_query + n_gallery)
    cameras[n_query : n_query + 18] = np.tile(np.arange(3), 6)
    x = rng.standard_normal((8, 5))[ids] + rng.standard_normal((len(ids), 5))
    return x, ids, cameras, np.repeat(["query", "gallery"], [n_query, n_gallery])


@pytest.mark.parametrize("seed", range(3))
def test_market_1501_and_veri_776(seed):
    x, ids, cameras, roles = re_identification(np.random.default_rng(seed))
    query, gallery = roles == "query", roles == "gallery"
    apart = np.linalg.norm(x[query][:, None] - x[gallery], axis=2)
    first, mean_ap = market_1501(apart, ids[query], cameras[query], ids[gallery], cameras[gallery])
    kept = ids != -1  # junk of every query is no item of the catalog
    result = evaluate(
        x[kept], ids[kept], roles[kept], (1, 5, 10), "euclidean",
        junk_same={"camera": cameras[kept]}, metrics=["map_trapezoid", "minp"], **QUIET,
    )  # fmt: skip
    np.testing.assert_array_equal(result.first_relevant_rank, first)
    assert result.metrics["map_trapezoid"] == pytest.approx(mean_ap, abs=1e-12)
    for k in (1, 5, 10):
        assert result.metrics[f"recall@{k}"] == (first <= k).mean()


def revisited(ranks, ok, junk, kappas):
    """mAP and mP@K of the official Python code of ROxford and RParis; ranks is (gallery, q)."""
    areas, precisions = [], []
    for i in range(ranks.shape[1]):
        if not len(ok[i]):
            continue
        places = np.flatnonzero(np.isin(ranks[:, i], ok[i]))
        junk_places = np.flatnonzero(np.isin(ranks[:, i], junk[i]))
        places = places - np.array([(junk_places < place).sum() for place in places])
        area = 0.0
        for j, rank in enumerate(places):
            before = 1.0 if rank == 0 else j / rank
            area += (before + (j + 1) / (rank + 1)) / (2 * len(ok[i]))
        areas.append(area)
        depths = [min(places.max() + 1, kappa) for kappa in kappas]
        precisions.append([(places + 1 <= depth).sum() / depth for depth in depths])
    return np.mean(areas), np.mean(precisions, axis=0)


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_roxford_and_rparis(difficulty):
    rng = np.random.default_rng(3)
    n_query, n_gallery = 9, 50
    x = rng.standard_normal((n_query + n_gallery, 6))
    shares = {"easy": 0.1, "hard": 0.1, "junk": 0.2, "none": 0.6}
    kinds = rng.choice(list(shares), (n_query, n_gallery), p=list(shares.values()))
    kinds[0] = "none"  # a query without any relevant image is skipped
    good = {"easy": ["easy"], "medium": ["easy", "hard"], "hard": ["hard"]}[difficulty]
    bad = {"easy": ["junk", "hard"], "medium": ["junk"], "hard": ["junk", "easy"]}[difficulty]
    ok = [np.flatnonzero(np.isin(row, good)) for row in kinds]
    junk = [np.flatnonzero(np.isin(row, bad)) for row in kinds]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    ranks = np.argsort(-(unit[n_query:] @ unit[:n_query].T), axis=0, kind="stable")
    mean_ap, precisions = revisited(ranks, ok, junk, (1, 5, 10))
    result = evaluate(
        x, np.zeros(len(x)), np.repeat(["query", "gallery"], [n_query, n_gallery]),
        relevance=[rows + n_query for rows in ok], ignore=[rows + n_query for rows in junk],
        metrics=["map_trapezoid", "mp@1", "mp@5", "mp@10"], **QUIET,
    )  # fmt: skip
    assert result.metrics["map_trapezoid"] == pytest.approx(mean_ap, abs=1e-12)
    found = [result.metrics[f"mp@{k}"] for k in (1, 5, 10)]
    np.testing.assert_allclose(found, precisions, atol=1e-12)
    assert result.protocol.n_without_positive == sum(not len(rows) for rows in ok)


def landmarks(predictions, solutions, k):
    """mAP@K as the official code of Google Landmarks computes it from predictions and answers."""
    total = 0.0
    for predicted, relevant in zip(predictions, solutions, strict=True):
        found, score_of_query = 0, 0.0
        for i, item in enumerate(predicted[:k]):
            if item in relevant:
                found += 1
                score_of_query += found / (i + 1)
        total += score_of_query / min(k, len(relevant))
    return total / len(solutions)


def test_google_landmarks():
    """More relevant items than K for some queries, fewer for others; several landmarks a photo."""
    rng = np.random.default_rng(5)
    n_query, n_gallery = 10, 80
    x = rng.standard_normal((n_query + n_gallery, 4))
    solutions = [set(rng.choice(n_gallery, size, False) + n_query) for size in range(1, 40, 4)]
    roles = np.repeat(["query", "gallery"], [n_query, n_gallery])
    result = evaluate(
        x, np.zeros(len(x)), roles, relevance=[sorted(s) for s in solutions],
        metrics=["map@15"], k_neighbors=15, **QUIET,
    )  # fmt: skip
    expected = landmarks(result.neighbors.tolist(), solutions, 15)
    assert result.metrics["map@15"] == pytest.approx(expected, abs=1e-12)


# Invariants and refusals. ----------------------------------------------------------------------


def made(seed, n=60):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 8, n)
    return rng.standard_normal((8, 4))[labels] + rng.standard_normal((n, 4)), labels, rng


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_the_same_pairs_left_out_in_another_way_give_the_same_figures(seed):
    x, labels, rng = made(seed)
    camera = rng.integers(0, 4, 60)
    same = camera[:, None] == camera
    of_class = labels[:, None] == labels
    for option, pairs in (("exclude_same", same), ("junk_same", same & of_class)):
        by_column = evaluate(x, labels, **{option: {"camera": camera}}, **QUIET)
        by_list = evaluate(x, labels, ignore=[np.flatnonzero(row) for row in pairs], **QUIET)
        assert by_column.metrics == by_list.metrics
        np.testing.assert_array_equal(by_column.neighbors, by_list.neighbors)
        np.testing.assert_array_equal(by_column.n_excluded, pairs.sum(1) - 1)  # not the query


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_rules_that_change_nothing_give_the_figures_of_the_plain_protocol(seed):
    x, labels, _ = made(seed)
    plain = evaluate(x, labels, **QUIET)
    relevant = [np.flatnonzero(labels == label) for label in labels]
    for options in (
        {"exclude_same": {"item": np.arange(60)}},
        {"ignore": [[]] * 60},
        {"relevance": relevant},
    ):
        other = evaluate(x, labels, **options, **QUIET)
        assert other.metrics == plain.metrics
        np.testing.assert_array_equal(other.neighbors, plain.neighbors)
        assert other.protocol.n_excluded == 0


def test_clusters_do_not_depend_on_what_is_left_out():
    x, labels, rng = made(1)
    plain, other = (
        evaluate(x, labels, n_bootstrap=0, exclude_same=given)
        for given in (None, {"camera": rng.integers(0, 2, 60)})
    )
    np.testing.assert_array_equal(plain.clusters, other.clusters)


def test_results_of_different_rules_are_never_compared():
    x, labels, rng = made(2)
    camera = {"camera": rng.integers(0, 4, 60)}
    plain, junk = evaluate(x, labels, **QUIET), evaluate(x, labels, junk_same=camera, **QUIET)
    with pytest.raises(UserError, match="exclusion is same class and camera"):
        compare({"plain": plain, "junk": junk}, n_samples=10)
    one, two = (evaluate(x, labels, ignore=[[row]] * 60, relevance=None, **QUIET) for row in (3, 4))
    with pytest.raises(UserError, match="exclusion is own lists"):
        compare({"one": one, "two": two}, n_samples=10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exclude_same": ["camera"]}, "give the name and the values of every column"),
        ({"exclude_same": {}}, "give the name and the values of every column"),
        ({"junk_same": {"camera": [1, 2]}}, r"junk_same: camera has shape \(2,\)"),
        ({"junk_same": {"camera": [1, None, 2, 1, 1]}}, "junk_same: row 1 has no camera"),
        ({"exclude_same": {"tag": [[1], [1, 2], [3], [4], [5]]}}, "row 0 has more than one tag"),
        ({"junk_same": {"tag": ["a", "b", ["c"], "d", "e"]}}, "row 2 has more than one tag"),
        ({"ignore": [[0]]}, "ignore: 1 lists for 5 queries"),
        ({"ignore": [[0], ["a"], [], [], []]}, "ignore: list 1 does not hold row numbers"),
        ({"ignore": [[0], {"1": 1}, [], [], []]}, "list 1 does not hold row numbers"),
        ({"relevance": [{1: "x"}, [], [], [], []]}, "list 0 does not hold row numbers"),
        ({"relevance": [[], [False, True, False, False, False], [], [], []]}, "list 1 does not"),
        ({"relevance": [{1.5: 1}, [], [], [], []]}, "whole numbers"),
        ({"relevance": [None] * 5}, "whole numbers"),
        ({"ignore": [[0], [9], [], [], []]}, "ignore: query 1 lists item 9, which is no item"),
        ({"ignore": [[0], [-1], [], [], []]}, "query 1 lists item -1, which is no item"),
        ({"ignore": [[0], [2, 2], [], [], []]}, "ignore: query 1 lists item 2 twice"),
        ({"ignore": [[0.5], [], [], [], []]}, "whole numbers"),
        ({"ignore": 3}, "give a list with the item rows of each query"),
        ({"ignore": sparse.eye_array(4)}, r"the matrix has shape \(4, 4\)"),
        ({"relevance": [{1: -1}, {}, {}, {}, {}]}, "query 0 gives item 1 the grade -1"),
        ({"relevance": [{1: np.nan}, {}, {}, {}, {}]}, "query 0 gives item 1 the grade nan"),
        ({"relevance": RowLists(np.arange(6), np.arange(4))}, "starts must rise from 0"),
    ],
)
def test_bad_rules_are_refused_by_name(options, message):
    with pytest.raises(UserError, match=message):
        on_line(**options)


def test_a_listed_item_must_be_in_the_gallery():
    roles = np.array(["query", "query", "gallery", "gallery", "gallery"])
    with pytest.raises(UserError, match="query 1 lists item 0, which is not in the gallery"):
        evaluate(LINE, LABELS, roles, ignore=[[2], [0]], **QUIET)


@pytest.mark.parametrize(
    "columns",
    [
        {"exclude_same": ["store"]},
        {"junk_same": ["camera", "day"]},
        {"exclude_same": ["store", "day"], "junk_same": ["camera"]},
        {"exclude_same": ["class"]},
    ],
)
def test_the_columns_are_read_back_from_the_words(columns):
    values = np.arange(len(LABELS))
    options = {option: dict.fromkeys(names, values) for option, names in columns.items()}
    words = rules_of(LABELS, sides(len(LABELS), None), **options).exclusion
    assert columns_in(words) == columns


def test_lists_of_their_own_are_not_in_the_words():
    with pytest.raises(UserError, match="own lists"):
        columns_in("same class and camera; own lists 0123abcd")
