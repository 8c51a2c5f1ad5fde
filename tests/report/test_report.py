"""Reports: comparable runs share a table, seeds share a row, text is safe in every format."""

import io
import shutil
import warnings
from importlib.metadata import EntryPoints
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from retrieval.errors import UserError
from retrieval.report.sections import group_runs, make_report, reported_metrics
from retrieval.report.text import escape, published_rows
from retrieval.report.writing import page_writer, write_report
from retrieval.runs.importing import import_run
from retrieval.runs.store import open_run, write_settings
from retrieval.settings.recipes import load_recipe
from retrieval.settings.schema import TrainSettings
from tests.runs.helpers import with_dataset_options
from workbench.report import write_page

CLASSES, EACH = 12, 6


def make_run(root, name, *, noise, seed=0, loss=None, training_seed=0, classes=CLASSES, **options):
    """A real run from synthetic embeddings; with ``loss``, as if trained."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), EACH)
    centers = np.random.default_rng(99).standard_normal((classes, 16))
    x = centers[labels] + noise * rng.standard_normal((len(labels), 16))
    np.save(root / "e.npy", x.astype(np.float32))
    frame = pd.DataFrame({"path": [f"{i}.jpg" for i in range(len(labels))], "label": labels})
    frame.to_csv(root / "i.csv", index=False)
    path = import_run(
        root / "runs" / "shapes" / name,
        [(root / "e.npy", root / "i.csv")],
        image_root=root,
        progress=False,
        **options,
    )
    if loss:
        write_settings(path, TrainSettings(loss=loss, seed=training_seed, steps=5))
    return open_run(path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    wanted = [
        (f"good-seed{s}", {"noise": 0.6, "seed": s, "loss": "good", "training_seed": s})
        for s in range(3)
    ]
    wanted += [
        ("bad_50%|run", {"noise": 3, "loss": "bad"}),
        ("other", {"noise": 0.6, "distance": "euclidean"}),
        ("fewer", {"noise": 0.6, "classes": 5}),
    ]
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.filterwarnings("ignore", ".*no thumbnail")
        # reports do not look at layouts, and compiling UMAP takes longer than all the rest
        patch.setattr(
            "retrieval.runs.evaluate.project", lambda x, *_, **__: pd.DataFrame(index=range(len(x)))
        )
        return [make_run(root, name, **options) for name, options in wanted]


def test_only_comparable_runs_share_a_table(runs):
    sections = make_report(runs)
    rows = [set(section.table["name"]) for section in sections]
    assert {"good", "bad_50%|run"} in rows
    assert {"other"} in rows  # another distance
    assert {"fewer"} in rows  # other items
    assert len(sections) == 3


def test_seeds_share_a_row_with_their_mean_and_interval(runs):
    section = next(s for s in make_report(runs) if "good" in s.groups)
    assert [run.name for run in section.groups["good"]] == [f"good-seed{s}" for s in range(3)]
    row = section.table.set_index("name").loc["good"]
    values = [run.result().metric("map@r").value for run in runs[:3]]
    assert row["map@r"] == pytest.approx(np.mean(values))
    assert row["map@r/low"] < row["map@r"] < row["map@r/high"]
    assert row["seeds"] == 3
    single = section.table.set_index("name").loc["bad_50%|run"]
    stored = runs[3].result().metric("recall@1")
    assert (single["recall@1"], single["recall@1/low"]) == (stored.value, stored.low)


def test_a_repeated_seed_is_no_second_seed():
    """Copies of one run under the names of other seeds would narrow the interval."""
    seeds = {"good-s0": 0, "good-s1": 1, "good-s2": 0, "good-s3": 0}
    runs = [
        SimpleNamespace(name=name, settings=TrainSettings(loss="good", seed=seed))
        for name, seed in seeds.items()
    ]
    groups = {name: [run.name for run in group] for name, group in group_runs(runs).items()}
    assert groups == {
        "good": ["good-s0", "good-s1"],
        "good-s2": ["good-s2"],
        "good-s3": ["good-s3"],
    }


def test_the_better_loss_is_named_and_counts_are_stated(runs):
    section = next(s for s in make_report(runs) if "good" in s.groups)
    pair = section.comparison.pairs.iloc[0]
    assert (pair["a"], pair["b"], bool(pair["significant"])) == ("good", "bad_50%|run", True)
    assert "72 queries of 12 classes, 72 gallery items" in section.line
    assert "leave-one-out, cosine distance" in section.line


def test_files(runs, tmp_path):
    sections = write_report(runs, tmp_path / "out", ["recall@1", "nmi"])
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert "| **good** | 3 | 16 |" in markdown
    assert "bad_50%\\|run" in markdown
    table = pd.read_csv(io.StringIO((tmp_path / "out" / "report.csv").read_text()))
    assert len(table) == sum(len(s.table) for s in sections) == 4
    row = table.set_index("name").loc["good"]
    expected = next(s for s in sections if "good" in s.groups).table.set_index("name").loc["good"]
    assert row["recall@1 (%)"] == pytest.approx(100 * expected["recall@1"], abs=1e-6)
    assert row["best"]
    latex = (tmp_path / "out" / "report.tex").read_text()
    assert r"bad\_50\%|run & 1 & 16 &" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 3
    width = len(r"lrrrr")
    for line in latex.splitlines():
        if line.endswith(r" \\"):
            assert line.count(" & ") == width - 1


def test_latex_text_is_escaped_once():
    assert escape(r"a_b \ 50% {x} ~^ <&>#$") == (
        r"a\_b \textbackslash{} 50\% \{x\} \textasciitilde{}\textasciicircum{} "
        r"\textless{}\&\textgreater{}\#\$"
    )


def test_the_columns_are_the_k_that_the_field_reports_on_the_data_set():
    assert reported_metrics("sop")[:4] == ("recall@1", "recall@10", "recall@100", "recall@1000")
    official = tuple(f"recall@{k}" for k in (1, 10, 20, 30, 40, 50))
    assert reported_metrics("inshop")[:6] == official
    for dataset in ("cub200", "cars196", "imported"):
        assert reported_metrics(dataset)[:4] == ("recall@1", "recall@2", "recall@4", "recall@8")


def test_a_placeholder_is_called_one_above_its_table(tmp_path):
    run = make_run(tmp_path, "bird", noise=0.6)
    (section,) = make_report([run])
    assert "placeholder" not in section.line
    with_dataset_options(run, placeholder=True)
    moved = run.path.parent.rename(tmp_path / "runs" / "sop") / run.name
    (section,) = write_report([open_run(moved)], tmp_path / "out")
    assert section.line.startswith(
        "synthetic placeholder, not the published data set; leave-one-out, "
    )
    (line,) = [
        line for line in (tmp_path / "out/report.md").read_text().splitlines() if "R@1 " in line
    ]
    assert line.startswith("| Run | Seeds | d | R@1 | R@10 | R@100 | R@1000 | R-Precision |")


def test_nothing_to_report():
    with pytest.raises(UserError, match="no runs"):
        make_report([])


def test_the_installed_workbench_draws_the_page_and_a_missing_one_is_named(monkeypatch):
    assert page_writer() is write_page
    monkeypatch.setattr("retrieval.report.writing.entry_points", lambda **_: EntryPoints())
    with pytest.raises(UserError, match="needs the package workbench, which is not installed"):
        page_writer()


def test_page_holds_figures_and_tables_and_needs_no_network(runs, tmp_path):
    write_page(make_report(runs), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("plotly-graph-div") >= 2
    assert "<td>good</td>" in page
    assert "bad_50%|run" in page
    assert 'src="http' not in page
    assert "<script src" not in page


def test_published_figures_stand_beside_measured_ones(tmp_path):
    run = make_run(tmp_path, "bird", noise=0.6)
    recipe = load_recipe("cub200/npairs_loss")
    for changes, word in (
        ({}, "as published"),
        ({"steps": 5}, "not comparable: settings changed (steps 5)"),
    ):
        write_settings(run.path, recipe.train_settings(changes))
        write_report([open_run(run.path)], tmp_path / "out")
        text = (tmp_path / "out" / "report.md").read_text()
        (line,) = [line for line in text.splitlines() if "| R@1 |" in line and "cub200" in line]
        assert line.endswith(f"| 46.52 | {word} |")
        write_page(make_report([open_run(run.path)]), tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text()
        assert f"<td>46.52</td><td>{word}</td>" in page
        for written in (text, page):
            assert "cub200/npairs_loss: The published R@4 (59.26) looks like a slip" in written


def test_a_figure_published_under_another_protocol_has_a_dash_beside_it():
    why = "not comparable: published under leave-one-out"
    row = {"run": "a", "recipe": "inshop/npairs_loss", "metric": "recall@1", "measured": np.nan}
    table = pd.DataFrame([row | {"published": 0.9, "changed": why}])
    cells = ["a", "inshop/npairs_loss", "R@1", "–", "90.0", why]
    assert published_rows(SimpleNamespace(published=table)) == [cells]


def test_a_run_selected_on_the_test_set_is_marked_in_every_format(runs, tmp_path):
    chosen = {"loss": "bad", "seed": 0, "eval_split": "test", "use_checkpoint": "best"}
    copy = Path(shutil.copytree(runs[3].path, tmp_path / "shapes" / runs[3].name))
    write_settings(copy, TrainSettings(**chosen))
    fair, flattered = open_run(runs[0].path), open_run(copy)
    sections = write_report([fair, flattered], tmp_path)
    write_page(sections, tmp_path / "report.html")
    marked = "the checkpoint, or when to stop, was selected on the test set"
    for suffix, row in (("md", "bad_50%\\|run †"), ("html", "bad_50%|run †"),
                        ("tex", r"bad\_50\%|run$^\dagger$ & 1")):  # fmt: skip
        text = (tmp_path / f"report.{suffix}").read_text()
        assert row in text
        assert text.count(marked) == 1
    table = pd.read_csv(tmp_path / "report.csv").set_index("name")["selected_on_test"]
    assert table.to_dict() == {"good-seed0": False, "bad_50%|run": True}
    assert marked not in (write_report([fair], tmp_path) and (tmp_path / "report.md").read_text())
