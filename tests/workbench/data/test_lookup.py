"""Results of a query: stored for scored queries, computed for every other item."""

import numpy as np
import pytest

from retrieval.runs.run import Run
from tests.runs.helpers import edit
from workbench.data import lookup


def test_a_computed_answer_is_the_stored_one(make_run):
    run = make_run("one")
    stored = lookup.answer(run, "leave_one_out", 5, 10)
    computed = lookup._computed_answer(run, "leave_one_out", 5, 10)
    assert stored.scored
    assert not computed.scored
    assert stored.ids.tolist() == computed.ids.tolist()
    np.testing.assert_allclose(stored.similarities, computed.similarities, atol=1e-6)
    assert stored.first_relevant_rank == computed.first_relevant_rank
    assert stored.first_relevant_item == computed.first_relevant_item
    assert stored.first_relevant_similarity == pytest.approx(
        computed.first_relevant_similarity, abs=1e-6
    )


def test_a_gallery_item_searches_the_gallery_without_itself(make_run):
    run = make_run("one")
    row = int(np.flatnonzero(run.items["role"] == "gallery")[0])
    found = lookup.answer(run, "query_gallery", row, 200)
    assert not found.scored
    assert row not in found.ids
    assert set(run.items["role"].iloc[found.ids]) == {"gallery"}
    assert (np.diff(found.similarities) <= 0).all()


@pytest.mark.parametrize(
    ("distance", "normalized", "expected"),
    [
        ("cosine", False, [1, 0, -1]),
        ("euclidean", False, [0, -np.sqrt(10), -4]),
        ("euclidean", True, [0, -np.sqrt(2), -2]),
        ("squared_euclidean", False, [0, -10, -16]),
        ("cityblock", False, [0, -4, -4]),
    ],
)
def test_similarity_follows_the_protocol(make_run, distance, normalized, expected):
    made = make_run("one")
    for name, value in (("distance", distance), ("normalized", normalized)):
        edit(made.path, "metrics.json", "results", 0, "protocol", name, to=value)
    run = Run(made.path)
    np.save(run.path / "embeddings.npy", np.array([[3, 0], [0, 1], [-1, 0]], np.float32))
    found = lookup.all_similarities(run, "leave_one_out", np.array([3.0, 0.0]))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_blocks_do_not_change_the_answer(make_run, monkeypatch):
    run = make_run("one")
    whole = lookup.all_similarities(run, "leave_one_out", run.embeddings[0])
    monkeypatch.setattr(lookup, "BLOCK", 50)
    np.testing.assert_allclose(
        lookup.all_similarities(run, "leave_one_out", run.embeddings[0]), whole, atol=1e-6
    )
