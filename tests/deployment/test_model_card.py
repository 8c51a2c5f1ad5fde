"""The model card beside an export: its code runs, its figures are the run's, names are text."""

import dataclasses
import re

import numpy as np
import pytest
from PIL import Image

from retrieval import load_embedder
from retrieval.deployment.formats import FORMATS
from retrieval.deployment.model_card import Card, _license, card_text, example, plain
from retrieval.deployment.portable import portable
from retrieval.evaluation.metrics import metric
from tests.presets import write_preset


@pytest.fixture(scope="module")
def card(_finished):
    from retrieval import open_run

    embedder = load_embedder(_finished)
    return Card(
        run=open_run(_finished),
        file="x.onnx",
        format="onnx",
        precision="float32",
        step=embedder.step,
        graph=portable(embedder.network, embedder.settings),
        kind=FORMATS["onnx"],
        checks=None,
        own_checkpoint=True,
    )


def section(text, title):
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_the_code_of_the_card_gives_the_vector_of_the_run(
    name, run, settings, exports, monkeypatch
):
    made = exports[name]
    monkeypatch.chdir(made.path.parent)
    Image.open(f"{settings.data}/{run.items['path'][0]}").resize((16, 16)).save("photo.png")
    code = re.search(r"```python\n(.*?)```", made.card.read_text(), re.DOTALL)[1]
    names = {}
    exec(code.replace("photo.jpg", "photo.png"), names)
    expected = load_embedder(run.path).embed("photo.png")
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(names["embedding"], expected, atol=2e-6)


def test_figures_are_those_of_the_run_with_intervals(card):
    figures = section(card_text(card), "Figures")
    for name in ("recall@1", "map@r", "nmi"):
        found = card.run.result().metric(name)
        shown = metric(name).format(found.value, found.low, found.high)
        assert f"| {metric(name).title} | {shown} |" in figures
    assert "nan" not in figures.lower()
    assert "leave-one-out" in figures


def test_a_missing_interval_is_explained(card, monkeypatch):
    result = card.run.result()
    bare = {
        name: dataclasses.replace(each, low=np.nan, high=np.nan)
        for name, each in result.metrics.items()
    }
    replaced = {card.run.primary: dataclasses.replace(result, metrics=bare)}
    monkeypatch.setattr(type(card.run), "results", property(lambda _: replaced))
    figures = section(card_text(card), "Figures")
    assert "nan" not in figures.lower()
    assert "No interval for R@1" in figures
    assert "| metric | value |" in figures
    limits = section(card_text(card), "Limits")
    assert "It has no intervals: another test set may give quite other figures." in limits
    assert "Read the intervals" not in limits


def test_every_section_is_there_and_what_is_unknown_is_said(card):
    text = card_text(card)
    titles = re.findall("^## (.*)$", text, re.MULTILINE)
    assert titles == [
        "What it is", "Intended use", "How to use it", "Input and output", "Data", "Settings",
        "Figures", "Agreement with the run", "Limits", "License", "Made with",
    ]  # fmt: skip
    assert "Not checked" in section(text, "Agreement with the run")
    assert "unknown: ask" in section(text, "License")
    assert "The test set is small" in section(text, "Limits")
    assert "(n, height, width, 3)" in section(text, "Input and output")
    assert re.search(r"Exported \d{4}-\d\d-\d\dT", section(text, "Made with"))
    assert example(card) in text
    assert "are of the run's own checkpoint" in card_text(
        dataclasses.replace(card, own_checkpoint=False)
    )


@pytest.fixture
def shuffled(card, monkeypatch):
    """The items of the run with classes at random, most of which are not found."""
    items = card.run.items.copy()
    items["label"] = np.random.default_rng(0).permutation(items["label"].to_numpy())
    monkeypatch.setitem(vars(card.run), "items", items)
    return items


def test_failures_are_counted_as_in_a_loop_over_queries(card, shuffled):
    labels, neighbors = shuffled["label"].to_numpy(), card.run.neighbors()
    wrong = 0
    for query, ids in zip(neighbors.queries, neighbors.ids, strict=True):
        wrong += labels[query] != labels[ids[0]]
    assert wrong > 10
    assert f"{wrong} queries have a nearest item of another class" in card_text(card)


def test_names_of_classes_are_shown_as_text(card, shuffled):
    shuffled["label_name"] = "<img src=x onerror=alert(1)>|`[a](javascript:b)\n# x"
    limits = section(card_text(card), "Limits")
    assert "&lt;img src=x" in limits
    assert "<img" not in limits
    assert "[a](" not in limits
    assert "\n# x" not in limits
    assert plain("a|b `c` <d> [e](f)\n#") == r"a\|b \`c\` &lt;d> \[e\](f)\n#".replace(r"\n", r"\\n")


def test_the_card_of_a_preset_names_the_license_of_its_weights(card, tmp_path):
    backbone = write_preset(tmp_path / "own", "vit")
    settings = card.run.network_settings().with_(backbone=backbone, weights="imagenet")
    words = " ".join(_license(card.run, settings))
    assert "Pretrained weights: unknown: ask whoever made" in words
    assert "under Apache-2.0" in words
    settings = settings.with_(backbone="efficientnet_lite0")
    assert "Pretrained weights: Apache-2.0 (Tan, Le" in " ".join(_license(card.run, settings))
