"""Heat maps of a match: their contributions add up, by hand and for a real network."""

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import UserError
from retrieval.runs.run import Run
from retrieval.runs.writing import write_config
from retrieval.settings.schema import TrainSettings
from retrieval.training.inspection import Inspector, decompose, open_inspector
from tests.training.helpers import SETTINGS, write_model


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = []
    for i in range(2):
        path = folder / f"{i}.png"
        small = rng.integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(small).resize((48, 40), Image.Resampling.NEAREST).save(path)
        paths.append(path)
    return paths


def test_the_contributions_of_a_hand_worked_example():
    # Two positions each, one channel in, two numbers out: W = [1 0], b = [0 1].
    # Local vectors (1,1), (3,1) with mean (2,1); and (0,1), (2,1) with mean (1,1).
    first, second = np.array([[[1.0], [3.0]]]), np.array([[[0.0], [2.0]]])
    kernel, bias = np.array([[1.0, 0.0]]), np.array([0.0, 1.0])
    a, b = decompose(first, second, kernel, bias)
    norm = np.sqrt(5) * np.sqrt(2)
    np.testing.assert_allclose(a, [[2 / (2 * norm), 4 / (2 * norm)]], rtol=1e-6)
    np.testing.assert_allclose(b, [[1 / (2 * norm), 5 / (2 * norm)]], rtol=1e-6)
    assert a.sum() == pytest.approx(3 / norm)
    assert b.sum() == pytest.approx(3 / norm)


def test_a_feature_map_of_zeros_contributes_nothing():
    a, b = decompose(np.zeros((2, 2, 3)), np.ones((2, 2, 3)), np.eye(3), np.zeros(3))
    assert not a.any()
    assert not b.any()


def test_exact_contributions_of_a_network_add_up_to_its_similarity(tmp_path, images):
    run = write_model(tmp_path / "run", SETTINGS)
    inspector = open_inspector(run)
    loaded = inspector.load(images)
    assert loaded.shape == (2, 32, 32, 3)
    embeddings = inspector.embed(loaded)
    match = inspector.match(loaded)
    assert match.exact
    assert match.similarity == pytest.approx(float(embeddings[0] @ embeddings[1]), abs=1e-5)
    assert match.first.sum() == pytest.approx(match.similarity, abs=1e-5)
    assert match.second.sum() == pytest.approx(match.similarity, abs=1e-5)


def test_a_tall_image_has_a_tall_map(tmp_path, images):
    run = write_model(tmp_path / "run", SETTINGS.with_(image_size="64x32", pre_crop="72x36"))
    inspector = open_inspector(run)
    loaded = inspector.load(images)
    assert loaded.shape == (2, 64, 32, 3)
    match = inspector.match(loaded)
    assert match.exact
    assert match.first.shape == match.second.shape == (4, 2)
    embeddings = inspector.embed_files(images)
    np.testing.assert_allclose(inspector.embed(loaded), embeddings, atol=1e-5)
    assert match.first.sum() == pytest.approx(float(embeddings[0] @ embeddings[1]), abs=1e-5)


def test_an_exact_contribution_is_what_blanking_its_position_takes_away(tmp_path, images):
    """Setting W f_p + b to zero at a position changes <e, e'> by exactly its contribution."""
    inspector = open_inspector(write_model(tmp_path / "run", SETTINGS))
    maps = np.asarray(inspector.features(inspector.load(images)), np.float64)
    kernel, bias = inspector.linear
    local = maps @ kernel + bias
    means = local.mean((1, 2))
    norm = np.linalg.norm(means[0]) * np.linalg.norm(means[1])
    blanked = local[0].copy()
    blanked[0, 1] = 0
    lost = (means[0] - blanked.mean((0, 1))) @ means[1] / norm
    assert inspector.match(inspector.load(images)).first[0, 1] == pytest.approx(lost, abs=1e-6)


def test_a_head_that_is_not_linear_is_approximated_and_says_so(tmp_path, images):
    settings = TrainSettings(**SETTINGS.to_mapping() | {"head": "fc1024"})
    inspector = open_inspector(write_model(tmp_path / "run", settings))
    assert inspector.linear is None
    match = inspector.match(inspector.load(images))
    assert not match.exact
    assert match.first.shape == inspector.features.output_shape[1:3]
    assert np.isfinite(match.first).all()


def test_the_approximation_is_activation_times_gradient(tmp_path, images):
    """For a linear tail the gradient can be written down: compare with it."""
    exact = open_inspector(write_model(tmp_path / "run", SETTINGS))
    loaded = exact.load(images)
    forced = Inspector(exact.settings, exact.network, exact.features, exact.tail, None)
    match = forced.match(loaded)
    maps = np.asarray(exact.features(loaded), np.float64)
    kernel, bias = exact.linear
    e = maps.mean((1, 2)) @ kernel + bias
    norms = np.linalg.norm(e, axis=1)
    u = e / norms[:, None]
    gradient = (u[1] - (u[0] @ u[1]) * u[0]) / norms[0] @ kernel.T / maps[0, ..., 0].size
    np.testing.assert_allclose(match.first, maps[0] @ gradient, atol=1e-6)


def test_a_run_without_a_network_is_refused_with_the_reason(tmp_path):
    write_config(tmp_path, {"settings": None})
    with pytest.raises(UserError, match="imported"):
        open_inspector(Run(tmp_path))
    write_config(tmp_path, {"settings": SETTINGS.to_mapping()})
    with pytest.raises(UserError, match="no checkpoint"):
        open_inspector(Run(tmp_path))
