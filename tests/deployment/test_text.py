"""Texts search the images of a run that lie in the space of its backbone's text tower.

The towers are small and random: no weights of a published model are on this disk.
"""

import json

import keras_hub
import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.cli.main import app
from retrieval.deployment.search import gallery_for, read_queries, search
from retrieval.deployment.search_page import search_page
from retrieval.deployment.text import cut_texts, embed_texts, is_text, why_no_text
from retrieval.errors import UserError
from retrieval.experiment.pipeline import train
from tests.models.two_towers import SIDE, WIDTH


@pytest.fixture(scope="module")
def embedder(untrained):
    return retrieval.load_embedder(untrained)


def found(embedder, given=(), **options):
    return search(read_queries(given, embedder, **options), gallery_for(embedder), embedder, 24)


def test_a_text_finds_the_images_in_the_order_of_the_models_own_scores(clip, embedder, of_clip):
    hits = found(embedder, ["red shoes"])
    run = retrieval.open_run(embedder.path)
    whole = keras_hub.models.Backbone.from_preset(str(clip))
    tokens = embedder.text_tower.tokens(["red shoes"])
    scores = []
    for path in run.items["path"]:  # one by one, through the whole model
        picture = np.asarray(Image.open(f"{of_clip.data}/{path}"), np.float32)
        pixels = picture[None] / 127.5 - 1
        scores.append(float(whole({"images": pixels, "token_ids": tokens})["text_logits"][0, 0]))
    near = np.array(scores) * 0.07  # the inverse of its scale
    np.testing.assert_allclose(hits.similarities[0], near[hits.rows[0]], atol=1e-5)
    exact = run.embeddings @ embedder.embed_texts(["red shoes"])[0]
    np.testing.assert_array_equal(hits.rows[0], np.argsort(-exact, kind="stable"))
    assert hits.table(0).columns.tolist() == ["rank", "similarity", "label", "path"]
    assert "cosine" in hits.how
    assert not hits.warnings
    page = search_page(hits)
    assert "<h2>“red shoes”</h2>" in page
    assert "Search by 1 text<" in page
    assert page.count("<img ") == 24


def test_texts_and_photos_are_asked_together_in_their_order(embedder, of_clip):
    photo = f"{of_clip.data}/class 7/3.png"
    hits = found(embedder, ["blue", photo, "a photo of green shoe"], texts=["zero.png"])
    assert hits.queries.names == ["blue", photo, "a photo of green shoe", "zero.png"]
    assert [image is None for image in hits.queries.images] == [True, False, True, True]
    vectors = embedder.embed_texts(["blue", "a photo of green shoe", "zero.png"])
    np.testing.assert_allclose(hits.queries.vectors[[0, 2, 3]], vectors, atol=1e-6)
    np.testing.assert_allclose(hits.queries.vectors[1], embedder.embed(photo)[0], atol=1e-6)


def test_a_prompt_is_put_around_a_text_and_several_are_averaged(embedder):
    tower = embedder.text_tower
    plain = embedder.embed_texts(["a photo of red", "a photo of blue"])
    np.testing.assert_array_equal(embedder.embed_texts(["red", "blue"], "a photo of {}"), plain)
    both = plain + embedder.embed_texts(["red shoe", "blue shoe"])
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    mean = embed_texts(tower, ["red", "blue"], ["a photo of {}", "{} shoe"])
    np.testing.assert_allclose(mean, both, atol=1e-6)
    for prompt in ("a photo", "{} and {}"):
        with pytest.raises(UserError, match=r"write \{\} once"):
            embedder.embed_texts(["red"], prompt)
    with pytest.raises(UserError, match="empty"):
        embedder.embed_texts(["red", " "])
    with pytest.raises(UserError, match=r"list of texts"):
        embedder.embed_texts("red")
    with pytest.raises(UserError, match="--prompt is for texts"):
        read_queries([__file__], embedder, prompt="a {}")


def test_how_images_are_prepared_is_no_matter_of_a_text(embedder, of_clip):
    flipped = retrieval.load_embedder(embedder.path, test_time="flip")
    assert not found(flipped, ["red"]).warnings
    (line,) = found(flipped, ["red", f"{of_clip.data}/class 7/3.png"]).warnings
    assert "test_time none / flip" in line


def test_a_text_that_is_cut_is_said(embedder):
    long = "red shoes " * 9
    assert cut_texts(embedder.text_tower, ["red"]) == []
    (line,) = found(embedder, [long, "blue"]).warnings
    assert line.startswith("cut to the 8 tokens")
    assert "red shoes red" in line


def test_what_looks_like_a_file_is_no_text(embedder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "red shoes").write_bytes(b"")
    assert is_text("red shoes, size 42/43")
    assert is_text("x" * 5000)
    for query in ("red shoes", "Shoes.JPG", "https://example.org/shoes.jpg", "photos/7"):
        assert not is_text(query)
    with pytest.raises(UserError, match=r"shoes\.jpg: no such image .*--text"):
        read_queries(["shoes.jpg"], embedder)


def test_each_run_without_texts_says_why_and_what_to_use(settings, of_clip, run):
    resolved = of_clip.with_(pooling="head")
    assert why_no_text(resolved) is None
    for other, words in (
        (settings, "conv4 has no text tower; make a run of the untrained network: .*clip, "),
        (resolved.with_(weights="none"), "image tower are random"),
        (resolved.with_(pooling="cls"), "pooled by cls, and texts lie beside .* head"),
        (
            resolved.with_(loss="npairs_loss"),
            r"a head \(direct\) was trained on top .*or train with --head none",
        ),
    ):
        assert why_no_text(other) is not None
        with pytest.raises(AssertionError, match=words):
            raise AssertionError(why_no_text(other))
    with pytest.raises(UserError, match=r"one: no search by text: conv4 has no text tower"):
        retrieval.load_embedder(run.path).embed_texts(["red"])


@pytest.mark.slow
def test_a_network_trained_without_a_head_stays_in_the_space_of_texts(of_clip, tmp_path):
    tuned = of_clip.with_(
        loss="npairs_loss", head="none", lora_rank=2, embedding_size=WIDTH, image_size=SIDE,
        steps=2, eval_every=2, classes_per_batch=3, samples_per_class=2,
    )  # fmt: skip
    with pytest.raises(UserError, match=f"give --embedding-size {WIDTH}"):
        train(tuned.with_(embedding_size=8), runs=tmp_path, name="narrow", progress=False)
    with pytest.raises(UserError, match="leaves nothing to train"):
        train(
            tuned.with_(freeze_backbone=True, lora_rank=0),
            runs=tmp_path,
            name="frozen",
            progress=False,
        )
    embedder = retrieval.load_embedder(train(tuned, runs=tmp_path, name="tuned", progress=False))
    hits = found(embedder, ["red shoes"])
    exact = retrieval.open_run(embedder.path).embeddings.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    near = exact @ embedder.embed_texts(["red shoes"])[0]
    np.testing.assert_allclose(hits.similarities[0], np.sort(near)[::-1], atol=1e-6)
    (line,) = hits.warnings
    assert "image tower was trained further" in line


def test_another_distance_than_the_cosine_is_refused(of_clip, tmp_path):
    other = train(of_clip.with_(distance="euclidean"), runs=tmp_path, name="l2", progress=False)
    with pytest.raises(UserError, match=r"compared by euclidean distance.*--distance cosine"):
        found(retrieval.load_embedder(other), ["red"])


def test_the_command_line_searches_by_text(untrained, capsys):
    app(
        ["search", str(untrained), "shoes", "--text", "red.jpg", "--prompt", "a photo of {}",
         "-k", "3", "--json"],
        standalone_mode=False,
    )  # fmt: skip
    printed = json.loads(capsys.readouterr().out)
    assert [each["query"] for each in printed["queries"]] == ["shoes", "red.jpg"]
    assert [len(each["hits"]) for each in printed["queries"]] == [3, 3]
