"""Judgments in a run: read from files, stored, evaluated by every command, damaged or absent."""

import numpy as np
import pandas as pd
import pytest

from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.runs.evaluate import EvaluationOptions, evaluate_run
from retrieval.runs.importing import import_files
from retrieval.runs.judgments import FILE, judgments_from, read_judgments
from retrieval.runs.run import Run
from retrieval.runs.store import open_run
from retrieval.runs.thresholds import check_pairs
from retrieval.validation import LEAVE_ONE_OUT

N = 20


@pytest.fixture
def files(tmp_path):
    """20 items of 4 classes and 2 cameras, of which the first 5 ask."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    rows = [f"i{n},{n % 4},c{n % 2}" for n in range(N)]
    (tmp_path / "items.csv").write_text("\n".join(["id,label,camera", *rows]) + "\n")
    lists = [{5: 1, 6: 3, 7: 0}, {8: 2, 1: 1}, {9: 1}, {10: 1, 11: 1}, {}]
    qrels = [f"i{q} 0 i{i} {grade}" for q, each in enumerate(lists) for i, grade in each.items()]
    (tmp_path / "topics.qrels").write_text("\n".join([*qrels, "i4 0 i5 0"]) + "\n")
    (tmp_path / "junk.qrels").write_text("i0 0 i6 1\ni0 0 i12 1\ni2 0 i13 1\n")
    return tmp_path, x, lists


def made(files, **options):
    folder, _, _ = files
    path = import_files(
        folder / "mine" / "a", [(folder / "x.npy", folder / "items.csv")],
        qrels=folder / "topics.qrels", progress=False, **options,
    )  # fmt: skip
    return open_run(path)


def expected(files, ignore=None, **options):
    """Evaluate by hand: queries are the four that something is relevant to."""
    _, x, lists = files
    role = np.where(np.arange(N) < 4, "both", "gallery")
    relevance = [
        {i: g for i, g in each.items() if g > 0 and i != q} for q, each in enumerate(lists)
    ]
    if ignore:
        options["ignore"] = ignore
    return evaluate(
        x, np.arange(N) % 4, role, relevance=relevance[:4], kmeans="none", n_bootstrap=0, **options
    )


def test_an_import_is_judged_by_its_lists_with_grades(files):
    run = made(files)
    assert run.primary == "query_gallery.topics"
    assert list(run.results) == [LEAVE_ONE_OUT, run.primary]
    assert run.result().title == "query -> gallery, topics"
    assert (run.items["role"] == "both").sum() == 4
    by_hand = expected(files, metrics=["ndcg@10"])
    for name in ("recall@1", "mrr", "ndcg@10"):
        assert run.result().metric(name).value == by_hand.metrics[name]
    assert run.result().protocol.relevance.startswith("graded lists")
    neighbors, lists = run.neighbors(), files[2]
    for query, ids, marked in zip(
        neighbors.queries, neighbors.ids, neighbors.relevant, strict=True
    ):  # pages mark what is listed, not what is of the query's class
        assert marked.tolist() == [lists[query].get(int(row), 0) > 0 for row in ids]


def test_what_is_left_out_goes_with_it_and_columns_leave_out_more(files):
    folder, _, _ = files
    options = EvaluationOptions(exclude_same=("camera",))
    run = made(files, ignored=folder / "junk.qrels", options=options)
    assert list(run.results) == [
        LEAVE_ONE_OUT, "query_gallery.topics", "query_gallery.topics-same-camera",
    ]  # fmt: skip
    assert run.primary == "query_gallery.topics-same-camera"
    assert run.result().title == "query -> gallery, topics, without same camera"
    ignore = [[6, 12], [], [13], []]
    for name, more in (
        ("query_gallery.topics", {}),
        (run.primary, {"exclude_same": {"camera": np.arange(N) % 2}}),
    ):
        by_hand = expected(files, ignore, **more)
        assert run.result(name).metric("mrr").value == by_hand.metrics["mrr"]
        assert run.result(name).protocol.n_excluded == by_hand.protocol.n_excluded


def test_an_evaluation_keeps_what_the_run_has_and_takes_other_lists(files):
    folder, _, _ = files
    run = made(files)
    value = run.result().metric("mrr").value
    again = evaluate_run(run.path, progress=False)
    assert (again.primary, again.result().metric("mrr").value) == (run.primary, value)
    (folder / "other.tsv").write_text("query\titem\tgrade\ni0\ti9\t1\n")
    other = evaluate_run(run.path, qrels=folder / "other.tsv", progress=False)
    assert list(other.results) == [LEAVE_ONE_OUT, "query_gallery.other"]
    # Queries that nothing is relevant to are open-set queries, and in no mean.
    assert other.result().protocol.n_without_positive == 3


def test_thresholds_are_of_classes_and_say_so(files):
    run = made(files)
    with pytest.raises(UserError, match="relevant items of its own"):
        check_pairs(run, run.primary)
    check_pairs(run, LEAVE_ONE_OUT)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("i0 0 i99 1\n", "topics.qrels: no item of the run has the id of the item 'i99'"),
        ("q0 0 i9 1\n", "topics.qrels: no item of the run has the id of the query 'q0'"),
        ("i0 0 i9 0\n", "topics.qrels: judgments 'topics': no item is relevant"),
        ("i0 0 i9 1\ni0 0 i9 2\n", "judges item 'i9' for query 'i0' again"),
    ],
)
def test_lists_that_do_not_fit_are_refused_before_anything_is_written(files, text, words):
    folder, _, _ = files
    (folder / "topics.qrels").write_text(text)
    with pytest.raises(UserError, match=words):
        made(files)
    assert not (folder / "mine").exists()


def test_items_that_are_left_out_need_to_know_what_is_relevant(files):
    folder, _, _ = files
    with pytest.raises(UserError, match="--ignored goes with --qrels"):
        import_files(
            folder / "mine" / "a", [(folder / "x.npy", folder / "items.csv")],
            ignored=folder / "junk.qrels", progress=False,
        )  # fmt: skip


def test_a_damaged_or_changed_file_is_named(files):
    run = made(files)
    file = run.path / FILE
    frame = pd.read_parquet(file)
    assert frame.columns.tolist() == ["protocol", "query", "item", "grade"]
    frame.iloc[:-1].to_parquet(file)
    with pytest.raises(UserError, match=r"judgments.parquet: not the file that metrics.json"):
        open_run(run.path)
    file.write_bytes(b"no table")
    with pytest.raises(UserError, match=r"judgments.parquet: damaged"):
        evaluate_run(run.path, progress=False)
    assert Run(run.path).primary == "query_gallery.topics"
    assert read_judgments(run.path.parent) == ()


def test_a_name_is_made_from_the_file_s(tmp_path):
    (tmp_path / "dev set.v2.txt").write_text("a 0 b 1\n")
    assert judgments_from(tmp_path / "dev set.v2.txt", None, ["a", "b"]).name == "dev-set"
