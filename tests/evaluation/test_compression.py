"""Smaller forms of an embedding: what is stored, and that the search of it is exact."""

import faiss
import numpy as np
import pytest
from sklearn.decomposition import PCA as Components

from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.evaluation.compression import (
    BINARY,
    FLOAT16,
    FULL,
    INT8,
    PCA,
    PQ,
    TRUNCATE,
    Form,
    default_widths,
    fit_line,
    form_of,
    forms_for,
    ranks_in_form,
    store,
    why_not,
)
from retrieval.evaluation.protocol import sides
from retrieval.evaluation.relevance import RowLists

N, WIDTH = 320, 16
LABELS = np.repeat(np.arange(40), 8)
ROLES = np.where(np.arange(N) % 8 < 2, "query", "gallery").astype(object)
ALL_FORMS = (
    Form(FLOAT16), Form(INT8), Form(BINARY), Form(PQ, 4), Form(TRUNCATE, 6), Form(PCA, 6)
)  # fmt: skip


@pytest.fixture(scope="module")
def embeddings():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, WIDTH))[LABELS] + 1.2 * rng.standard_normal((N, WIDTH)) + 0.4
    return x.astype(np.float32)


def unit(rows):
    return rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)


def first_ranks(distances, labels, queries, gallery):
    """Rank the gallery of every query in a plain loop, ties by index; the query left out."""
    ranks = []
    for at, query in enumerate(queries):
        order = sorted(range(len(gallery)), key=lambda j, at=at: (distances[at, j], j))
        order = [gallery[j] for j in order if gallery[j] != query]
        ranks.append(1 + [labels[item] == labels[query] for item in order].index(True))
    return np.array(ranks)


def by_loops(form, x, distance="cosine"):
    """Compare every query with every stored vector, all written out for these forms."""
    parts = sides(N, ROLES)
    queries, gallery = x[parts.queries], x[parts.gallery]
    if distance == "cosine":
        queries, gallery = unit(queries), unit(gallery)
    if form.kind == INT8:
        low, high = gallery.min(axis=0), gallery.max(axis=0)
        step = (high - low) / 255
        codes = np.floor((gallery - low) / (high - low) * 255)
        gallery = low + (codes + 0.5) * step
        gallery = np.where(codes == 255, high + step / 2, gallery)
    elif form.kind == FLOAT16:
        gallery = gallery.astype(np.float32).astype(np.float16).astype(np.float64)
    elif form.kind == BINARY:
        mean = gallery.mean(axis=0)
        queries, gallery = queries > mean, gallery > mean
        return (queries[:, None] != gallery[None]).sum(axis=2), parts
    elif form.kind == TRUNCATE:
        queries, gallery = unit(queries[:, : form.size]), unit(gallery[:, : form.size])
    elif form.kind == PCA:
        mean = gallery.mean(axis=0)
        _, vectors = np.linalg.eigh(np.cov((gallery - mean).T))
        components = vectors[:, ::-1][:, : form.size]
        queries, gallery = (queries - mean) @ components, (gallery - mean) @ components
    return np.square(queries[:, None] - gallery[None]).sum(axis=2), parts


@pytest.mark.parametrize("form", [f for f in ALL_FORMS if f.kind != PQ], ids=lambda f: f.name)
def test_ranks_are_those_of_plain_loops(form, embeddings):
    distances, parts = by_loops(form, embeddings)
    found = ranks_in_form(form, embeddings, LABELS, parts)
    wanted = first_ranks(distances, LABELS, parts.queries, parts.gallery)
    np.testing.assert_array_equal(found.first_relevant_rank, wanted)


def test_levels_of_int8_are_those_of_a_loop(embeddings):
    gallery = unit(embeddings).astype(np.float32)
    found = store(Form(INT8), gallery, gallery).gallery
    for column, stored in zip(gallery.T, found.T, strict=True):
        step = (column.max() - column.min()) / 255
        for value, decoded in zip(column, stored, strict=True):
            assert abs(value - decoded) <= step / 2 + 1e-6
        assert len(np.unique(stored.round(6))) <= 256


def test_product_quantization_ranks_as_an_index_of_faiss(embeddings):
    parts = sides(N, ROLES)
    gallery = unit(embeddings[parts.gallery]).astype(np.float32)
    gallery = np.concatenate([gallery, gallery + 0.01], dtype=np.float32)[:300]
    queries = unit(embeddings[parts.queries]).astype(np.float32)
    index = faiss.IndexPQ(WIDTH, 4, 8)
    index.pq.cp.seed, index.pq.cp.min_points_per_centroid = 0, 1
    index.train(gallery)
    index.add(gallery)
    found = store(Form(PQ, 4), queries, gallery, "euclidean")
    np.testing.assert_allclose(found.gallery, index.reconstruct_n(0, len(gallery)), atol=1e-6)
    wanted, _ = index.search(queries, 5)
    exact = np.square(queries[:, None] - found.gallery[None]).sum(axis=2)
    np.testing.assert_allclose(np.sort(exact, axis=1)[:, :5], wanted, atol=1e-5)


def test_every_part_of_product_quantization_is_its_nearest_center(embeddings):
    found = store(Form(PQ, 4), embeddings, embeddings, "euclidean").gallery
    for part in range(4):
        columns = slice(4 * part, 4 * part + 4)
        centers = np.unique(found[:, columns], axis=0)
        assert len(centers) <= 256
        for vector, stored in zip(embeddings[::16, columns], found[::16, columns], strict=True):
            distances = np.square(centers - vector).sum(axis=1)
            assert np.square(stored - vector).sum() <= distances.min() + 1e-5


def test_components_are_those_of_scikit_learn_and_all_of_them_lose_nothing(embeddings):
    rows = unit(embeddings).astype(np.float32)
    wanted = Components(6, svd_solver="full").fit(rows)
    found = store(Form(PCA, 6), rows, rows).gallery
    np.testing.assert_allclose(np.abs(found), np.abs(wanted.transform(rows)), atol=1e-4)
    parts = sides(N, None)
    whole = ranks_in_form(Form(PCA, WIDTH), embeddings, LABELS, parts).first_relevant_rank
    full = ranks_in_form(FULL, embeddings, LABELS, parts).first_relevant_rank
    np.testing.assert_array_equal(whole, full)


@pytest.mark.parametrize("form", ALL_FORMS, ids=lambda f: f.name)
def test_nothing_is_fitted_on_the_queries(form, embeddings):
    gallery, queries = embeddings[:300], embeddings[300:]
    one, other = (store(form, each, gallery).gallery for each in (queries, 5 - 3 * queries))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("roles", [None, ROLES], ids=["leave-one-out", "query -> gallery"])
@pytest.mark.parametrize("distance", ["cosine", "euclidean", "cityblock"])
def test_the_full_form_scores_as_the_evaluation(roles, distance, embeddings):
    result = evaluate(embeddings, LABELS, roles, distance=distance, kmeans="none", n_bootstrap=0)
    found = ranks_in_form(FULL, embeddings, LABELS, sides(N, roles), distance)
    np.testing.assert_array_equal(found.first_relevant_rank, result.first_relevant_rank)
    np.testing.assert_array_equal(found.scores["map@r"], result.per_query["map@r"])


def test_what_a_protocol_leaves_out_and_judges_is_left_out_and_judged(embeddings):
    parts = sides(N, ROLES)
    camera = {"camera": np.arange(N) % 3}
    starts = np.arange(len(parts.queries) + 1)
    relevance = RowLists(starts, np.repeat(parts.gallery[:40], 2))
    ignored = RowLists(starts, np.repeat(parts.gallery[40:80], 2))
    rules = {"junk_same": camera, "relevance": relevance, "ignore": ignored}
    result = evaluate(embeddings, LABELS, ROLES, kmeans="none", n_bootstrap=0, **rules)
    found = ranks_in_form(FULL, embeddings, LABELS, parts, **rules)
    np.testing.assert_array_equal(found.first_relevant_rank, result.first_relevant_rank)


def test_truncated_embeddings_score_as_an_evaluation_of_them(embeddings):
    result = evaluate(embeddings[:, :6], LABELS, kmeans="none", n_bootstrap=0)
    found = ranks_in_form(Form(TRUNCATE, 6), embeddings, LABELS, sides(N, None))
    np.testing.assert_array_equal(found.first_relevant_rank, result.first_relevant_rank)


def test_bytes_of_every_form():
    forms = {form.name: form.n_bytes(128) for form in forms_for(128)}
    assert forms == {
        "float32": 512, "float16": 256, "int8": 128, "binary": 16, "pq-8": 8, "pq-16": 16,
        "pq-32": 32, "truncate-64": 256, "truncate-32": 128, "truncate-16": 64, "truncate-8": 32,
        "pca-64": 256, "pca-32": 128, "pca-16": 64, "pca-8": 32,
    }  # fmt: skip
    assert Form(BINARY).n_bytes(12) == 2
    assert Form(PQ, 8).shared_bytes(128) == 256 * 128 * 4
    for form in forms_for(100, [30]):
        assert form_of(form.name) == form


def test_widths_are_powers_of_two_below_that_of_the_embedding():
    assert default_widths(100) == (64, 32, 16, 8)
    assert default_widths(64) == (32, 16, 8)
    assert default_widths(8) == ()
    with pytest.raises(UserError, match="no reduction"):
        forms_for(64, [64])


def test_why_an_embedding_has_no_such_form():
    rows = np.ones((100, 12), np.float32)
    assert "256 centers" in why_not(Form(PQ, 4), rows)
    assert "divisible" in why_not(Form(PQ, 8), rows)
    assert "12 dimensions" in why_not(Form(PCA, 16), rows)
    assert "100 vectors" in why_not(Form(PCA, 101), np.ones((100, 200)))
    assert "cityblock" in why_not(Form(PCA, 4), rows, "cityblock")
    assert "float16" in why_not(Form(FLOAT16), 1e6 * rows, "euclidean")
    assert not why_not(Form(FLOAT16), 1e6 * rows)
    with pytest.raises(UserError, match="pq-8: 12 dimensions"):
        store(Form(PQ, 8), rows, rows)
    with pytest.raises(UserError, match="int8"):
        form_of("int9")


def test_few_vectors_for_the_centers_are_said():
    assert "5 each where faiss asks for 39" in fit_line(1280)
    assert fit_line(10_000) == ""
