"""Ranked lists of other programs become runs, whatever form they come in."""

import gzip
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from retrieval.errors import UserError
from retrieval.report.comparing import compare_losses, estimates, scores_of
from retrieval.runs.checks import check_neighbors
from retrieval.runs.evaluate import evaluate_run
from retrieval.runs.ranked_files import read_qrels, read_ranked
from retrieval.runs.ranked_importing import RankedOptions, import_ranked
from retrieval.runs.run import Run
from retrieval.runs.store import open_run
from retrieval.runs.thresholds import write_thresholds

RUN = {"q1": {"d2": 0.9, "d1": 0.5}, "q2": {"d1": 0.8, "d3": 0.7}}
ENTRIES = [(q, d, s) for q, each in RUN.items() for d, s in each.items()]
QRELS = {"q1": {"d1": 1}, "q2": {"d1": 2, "d3": 1, "d9": 0}}
TREC = "".join(f"{q} Q0 {d} {k} {s} tag\n" for k, (q, d, s) in enumerate(ENTRIES))
FORMS = {
    "run.trec": TREC,
    "run.txt": TREC.replace(" ", "\t"),
    "run.tsv": TREC.replace(" ", "\t"),
    "commented.trec": f"# a run\n\n{TREC}# its end\n".replace(" tag", " tag of some words"),
    "commented.tsv": f"# a run\n{TREC}",
    "lists.csv": "query,item,score\n" + "".join(f"{q},{d},{s}\n" for q, d, s in ENTRIES),
    "ids.csv": "score,corpus-id,query-id,query\n"
    + "".join(f"{s},{d},{q},some text\n" for q, d, s in ENTRIES),
    "distances.csv": "query,item,distance\n" + "".join(f"{q},{d},{-s}\n" for q, d, s in ENTRIES),
    "lists.jsonl": "".join(
        json.dumps({"query": q, "item": d, "score": s}) + "\n" for q, d, s in ENTRIES
    ),
    "pytrec_eval.json": json.dumps(RUN),
    "mteb.json": json.dumps({"mteb_model_meta": {"model_name": "m"}, "default": {"test": RUN}}),
    "sentence_transformers.jsonl": "".join(
        json.dumps(
            {
                "query_id": q,
                "query": "its text",
                "results": [{"corpus_id": d, "score": s} for d, s in each.items()],
            }
        )
        + "\n"
        for q, each in RUN.items()
    ),
}


def write(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


def imported(folder, run=RUN, qrels=QRELS, **options):
    """Import one run of dicts, and open it."""
    how = RankedOptions(**{k: options.pop(k) for k in ("missing", "same_ids") if k in options})
    file = write(folder, "run.json", json.dumps(run))
    judged = write(folder, "qrels.json", json.dumps(qrels)) if qrels else None
    path = folder / "runs" / "texts" / "one"
    import_ranked([path], [file], qrels=judged, ranked=how, progress=False, **options)
    return open_run(path)


@pytest.mark.parametrize("name", FORMS)
def test_every_form_holds_the_same_lists(name, tmp_path):
    found = read_ranked(write(tmp_path, name, FORMS[name]))
    assert list(found.itertuples(index=False, name=None)) == ENTRIES


def test_a_packed_file_is_read(tmp_path):
    with gzip.open(tmp_path / "run.trec.gz", "wt") as file:
        file.write(TREC)
    assert len(read_ranked(tmp_path / "run.trec.gz")) == len(ENTRIES)


def test_runs_and_judgments_that_ranx_saves_as_parquet_are_read(tmp_path):
    run = pd.DataFrame(ENTRIES, columns=["q_id", "doc_id", "score"])
    run.to_parquet(tmp_path / "run.parquet", index=False)
    found = read_ranked(tmp_path / "run.parquet")
    assert list(found.itertuples(index=False, name=None)) == ENTRIES
    run.assign(score=[0, 1, 2, 1]).to_parquet(tmp_path / "qrels.parquet", index=False)
    assert read_qrels(tmp_path / "qrels.parquet")["grade"].tolist() == [0, 1, 2, 1]


def test_a_packed_table_is_to_be_unpacked(tmp_path):
    with gzip.open(tmp_path / "lists.csv.gz", "wt") as file:
        file.write(FORMS["lists.csv"])
    with pytest.raises(UserError, match="unpack it"):
        read_ranked(tmp_path / "lists.csv.gz")


def test_ranks_order_lists_without_scores(tmp_path):
    text = "query,item,rank\nq1,d1,2\nq1,d2,1\n"
    found = read_ranked(write(tmp_path, "ranks.csv", text))
    assert found.to_dict("list") == {"query": ["q1", "q1"], "item": ["d2", "d1"]}


def test_a_file_of_several_results_is_read_by_part(tmp_path):
    file = write(tmp_path, "mteb.json", json.dumps({"en": {"test": RUN}, "de": {"test": RUN}}))
    with pytest.raises(UserError, match="--part en/test, de/test"):
        read_ranked(file)
    assert len(read_ranked(file, "de/test")) == len(ENTRIES)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.qrels", "q1 0 d1 1\nq2 0 d1 2\nq2 0 d3 1\nq2 0 d9 0\n"),
        ("q.txt", "# of 1999\nq1 0 d1 1 by A\nq2 0 d1 2\nq2 0 d3 1\n# end\nq2 0 d9 0\n"),
        ("q.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td1\t2\nq2\td3\t1\nq2\td9\t0\n"),
        ("q.json", json.dumps(QRELS)),
    ],
)
def test_judgments_in_every_form(name, text, tmp_path):
    found = read_qrels(write(tmp_path, name, text))
    assert found["grade"].tolist() == [1, 2, 1, 0]


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.trec", "# a run\nq1 Q0 d1 1 0.5\n", "line 2 has 5 fields"),
        ("a.trec", "# a run\n", "no entries"),
        ("a.json", '{"mteb_model_meta": {}, "default": {"test": [0.1, 2.0]}}', "no ranked lists"),
        ("a.parquet", "no table", "not a Parquet table"),
        ("a.trec", "q1 Q0 d1 1 high tag\n", "row 0 has the score 'high'"),
        ("a.csv", "q1,d1,0.5\nq1,d2,0.4\n", "header"),
        ("a.csv", "query,item,score\nq1,,1\n", "row 0 has no item"),
        ("a.json", "{", "not JSON"),
        ("a.json", "{}", "no ranked lists"),
        ("a.jsonl", "[1]\n", "line 1"),
        ("a.trec", "", "no entries"),
    ],
)
def test_a_file_in_no_such_form_is_refused_by_row(name, text, what, tmp_path):
    with pytest.raises(UserError, match=what):
        read_ranked(write(tmp_path, name, text))


def test_a_run_of_lists_opens_without_embeddings(tmp_path):
    run = imported(tmp_path)
    check_neighbors(run)
    assert not run.has_embeddings
    assert run.result().metric("recall@1").value == 0.5
    assert run.result().metric("ndcg@10").value == pytest.approx((1 / np.log2(3) + 1) / 2)
    assert run.result().protocol.unit == "query"
    assert run.neighbors().hits(run.items["label"].to_numpy()).tolist() == [
        [False, True],
        [True, True],
    ]
    with pytest.raises(UserError, match="no embeddings"):
        _ = run.embeddings
    with pytest.raises(UserError, match="import it again"):
        evaluate_run(run.path, progress=False)


def test_queries_without_a_list_count_as_zero_or_not_at_all(tmp_path):
    few = {"q2": RUN["q2"]}
    assert imported(tmp_path, few).result().metric("recall@1").value == 0.5
    left = imported(tmp_path, few, missing="exclude", overwrite=True).result()
    assert (left.metric("recall@1").value, left.protocol.n_queries) == (1, 1)


def test_the_classes_of_a_table_say_what_is_relevant_and_what_is_resampled(tmp_path):
    rows = ("q1,cat,query", "q2,dog,query", "d1,dog,gallery", "d2,cat,gallery", "d3,dog,gallery")
    table = "\n".join(("id,label,role", *rows))
    run = imported(tmp_path, qrels=None, items=write(tmp_path, "items.csv", table))
    assert run.result().metric("recall@1").value == 1
    assert run.result().protocol.unit == "class"
    assert run.result().protocol.n_gallery == 3


def test_an_item_that_the_table_lacks_is_named(tmp_path):
    table = write(tmp_path, "items.csv", "id,label\nq1,a\nq2,b\nd1,a\nd2,b\n")
    with pytest.raises(UserError, match="no row of item 'd3'"):
        imported(tmp_path, items=table)


def test_an_id_of_both_sides_is_the_query_only_if_it_is_said(tmp_path):
    run = {"a": {"a": 1.0, "b": 0.5}}
    qrels = {"a": {"b": 1}}
    assert imported(tmp_path, run, qrels).result().metric("recall@1").value == 0
    same = imported(tmp_path, run, qrels, same_ids=True, overwrite=True)
    assert same.result().metric("recall@1").value == 1


def test_runs_that_are_imported_together_have_the_same_items(tmp_path):
    other = {"q1": {"d7": 1.0}, "q2": {"d1": 1.0}}
    files = [write(tmp_path, f"{n}.json", json.dumps(r)) for n, r in (("a", RUN), ("b", other))]
    paths = [tmp_path / "runs" / "texts" / name for name in "ab"]
    qrels = write(tmp_path, "qrels.json", json.dumps(QRELS))
    import_ranked(paths, files, qrels=qrels, progress=False)
    first, second = (open_run(path).items for path in paths)
    pd.testing.assert_frame_equal(first, second)


def test_neither_judgments_nor_classes_is_refused(tmp_path):
    with pytest.raises(UserError, match="--qrels"):
        imported(tmp_path, qrels=None)


def test_a_damaged_run_of_lists_is_mended_by_importing_it_again(tmp_path):
    run = imported(tmp_path)
    (run.path / "metrics.json").unlink()
    with pytest.raises(UserError, match="import its ranked lists again"):
        open_run(run.path)


def test_lists_are_compared_only_as_far_as_they_reach(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"q{i},c{i % 12},query" for i in range(48)]
    rows += [f"d{i},c{i % 12},gallery" for i in range(48)]
    table = write(tmp_path, "items.csv", "\n".join(("id,label,role", *rows)))
    lists = {
        f"q{i}": {f"d{at}": 1 - rank / 9 for rank, at in enumerate(rng.permutation(48)[:8])}
        for i in range(48)
    }
    run = imported(tmp_path, lists, qrels=None, items=table)
    other = Run(shutil.copytree(run.path, run.path.with_name("two")))
    groups = {"one": [run], "two": [other]}
    reached = compare_losses(groups, name="recall@4")
    assert not reached.reason
    assert reached.n_queries == 48
    assert estimates([run, other], None, ["recall@4"])["recall@4"].value == pytest.approx(
        run.result().metric("recall@4").value
    )
    assert scores_of([run], None, "recall@8") is not None
    for name in ("recall@9", "mrr"):
        assert scores_of([run], None, name) is None
        assert np.isnan(estimates([run], None, [name])[name].value)


def test_lists_have_no_pairs_to_compare(tmp_path):
    run = imported(tmp_path)
    with pytest.raises(UserError, match="ranked lists, which have no embeddings"):
        write_thresholds(run.path, progress=False)
