"""The names of classes search the images of a run: figures against a plain loop."""

from pathlib import Path

import numpy as np
import pytest
import yaml

import retrieval
from retrieval.cli.main import app
from retrieval.deployment.text_to_image import PROTOCOL, evaluate_texts, words_of
from retrieval.errors import UserError
from retrieval.experiment.pipeline import train
from retrieval.report.writing import write_report
from retrieval.runs.evaluate import EvaluationOptions, evaluate_run


@pytest.fixture(scope="module")
def texts(untrained):
    path = evaluate_texts(
        untrained, ["a photo of {}", "{}"], options=EvaluationOptions(ks=(3,)), progress=False
    )
    return retrieval.open_run(path)


def test_the_items_are_one_text_per_class_and_the_images(texts, untrained):
    source = retrieval.open_run(untrained)
    names = source.items.drop_duplicates("label").sort_values("label")["label_name"].tolist()
    n = len(names)
    assert n == 4
    assert texts.path == untrained.with_name("clip-text")
    assert texts.items["role"].tolist() == ["query"] * n + ["gallery"] * len(source.items)
    assert texts.items["path"][:n].tolist() == texts.items["label_name"][:n].tolist() == names
    assert texts.items["path"][n:].tolist() == source.items["path"].tolist()
    embedder = retrieval.load_embedder(untrained)
    both = embedder.embed_texts([f"a photo of {names[0]}"]) + embedder.embed_texts(names[:1])
    np.testing.assert_allclose(texts.embeddings[0], both[0] / np.linalg.norm(both), atol=1e-6)
    np.testing.assert_array_equal(texts.embeddings[n:], source.embeddings)
    assert texts.thumbnail(n) == source.thumbnail(0)
    assert texts.thumbnail(0)
    assert len(texts.projection) == len(texts.items)


def test_the_figures_are_those_of_a_plain_loop(texts):
    labels, x = texts.items["label"].to_numpy(), texts.embeddings.astype(np.float64)
    queries = np.flatnonzero(texts.items["role"] == "query")
    gallery = np.flatnonzero(texts.items["role"] == "gallery")
    expected = {"recall@1": [], "recall@3": [], "map@r": [], "r_precision": []}
    for query in queries:
        scores = [sum(a * b for a, b in zip(x[query], x[item], strict=True)) for item in gallery]
        order = sorted(range(len(gallery)), key=lambda at: -scores[at])
        hits = [labels[gallery[at]] == labels[query] for at in order]
        r = sum(hits)
        expected["recall@1"].append(hits[0])
        expected["recall@3"].append(any(hits[:3]))
        expected["r_precision"].append(sum(hits[:r]) / r)
        precisions = [sum(hits[: i + 1]) / (i + 1) for i in range(r) if hits[i]]
        expected["map@r"].append(sum(precisions) / r)
    assert list(texts.results) == [texts.primary] == [PROTOCOL]
    result = texts.result()
    for name, values in expected.items():
        assert result.metric(name).value == pytest.approx(np.mean(values), abs=1e-6), name
    assert result.title == "text -> image"
    assert (result.protocol.n_queries, result.protocol.n_gallery) == (4, 24)
    assert result.protocol.distance == "cosine"


def test_the_report_has_a_table_of_their_own(texts, untrained, tmp_path):
    write_report([retrieval.open_run(untrained), texts], tmp_path)
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "text -> image" in report or "text → image" in report
    assert "clip-text" in report


def test_it_is_made_again_in_place_but_never_over_another_run(texts, untrained):
    config = yaml.safe_load((texts.path / "config.yaml").read_text())
    assert config["prompts"] == ["a photo of {}", "{}"]
    app(
        ["evaluate", str(untrained), "--text-queries", "one {}", "--text-name", "other"],
        standalone_mode=False,
    )
    other = untrained.with_name("other")
    assert yaml.safe_load((other / "config.yaml").read_text())["prompts"] == ["one {}"]
    evaluate_texts(untrained, name="other", progress=False)
    again = yaml.safe_load((other / "config.yaml").read_text())
    assert again["prompts"] == ["a photo of a {}."]
    with pytest.raises(UserError, match="clip exists"):
        evaluate_texts(untrained, name="clip", progress=False)
    with pytest.raises(UserError, match="its queries are texts: make it again"):
        evaluate_run(other, progress=False)
    with pytest.raises(UserError, match="was imported, not trained"):
        evaluate_texts(other, progress=False)
    with pytest.raises(UserError, match="--kmeans has no effect"):
        evaluate_texts(untrained, options=EvaluationOptions(kmeans="none"), progress=False)
    with pytest.raises(UserError, match=r"write \{\} once"):
        evaluate_texts(untrained, ["a photo"], progress=False)


def test_classes_without_names_and_runs_without_texts_are_refused(run, of_clip, tmp_path):
    with pytest.raises(UserError, match="conv4 has no text tower"):
        evaluate_texts(run.path, progress=False)
    images = tmp_path / "images"
    images.mkdir()
    for place, folder in enumerate(sorted(Path(of_clip.data).iterdir())):
        (images / str(place)).symlink_to(folder)
    numbers = train(
        of_clip.with_(data=str(images)), runs=tmp_path / "runs", name="x", progress=False
    )
    with pytest.raises(UserError, match=r"no names but numbers, such as '\d'"):
        evaluate_texts(numbers, progress=False)


def test_names_of_classes_become_words():
    assert words_of("001.Black_footed_Albatross") == "Black footed Albatross"
    assert words_of("Golden-Delicious") == "Golden Delicious"
    assert words_of("red shoes") == "red shoes"
    assert words_of("7") == "7"
