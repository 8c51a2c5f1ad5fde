"""Training on presets: saved, loaded and resumed bit for bit; LoRA, layer-wise rates, heat maps."""

import dataclasses
import re

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from retrieval import TrainSettings
from retrieval.deployment.embedder import load_embedder
from retrieval.embedding.network import build_network, describe_parts
from retrieval.errors import UserError
from retrieval.experiment.pipeline import train
from retrieval.losses import get_loss
from retrieval.models.depth import last_block, layers_above
from retrieval.models.lora import base_digest, trained_weights
from retrieval.runs.run import Run
from retrieval.training.checkpoints import (
    WEIGHTS,
    checkpoint_bytes,
    load_network,
    restore_checkpoint,
    save_checkpoint,
    step_folder,
)
from retrieval.training.inspection import open_inspector
from retrieval.training.memory_estimate import dry_run
from retrieval.training.model import RankingModel
from tests.models.helpers import images, run
from tests.presets import TRANSFORMERS, write_preset
from tests.training.helpers import write_model

LABELS = np.array([0, 0, 1])


def settings_of(backbone, **changes):
    common = {"dataset": "folder", "image_size": 32, "embedding_size": 4, "normalize": True}
    return TrainSettings(backbone=backbone, loss="ntxent", **common | changes)


def ranking(settings, optimizer=None):
    keras.utils.set_random_seed(settings.seed)
    multipliers = {} if settings.layer_decay == 1 else {"layer_decay": settings.layer_decay}
    model = RankingModel(build_network(settings), get_loss("ntxent"), multipliers=multipliers)
    model.compile(optimizer=optimizer or keras.optimizers.Adam(1e-2), run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    return model


def assert_equal_weights(one, other):
    for a, b in zip(one.network.get_weights(), other.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# Every family once, with LoRA where a family has queries and values.
CHANGES = {
    "dinov3": {"lora_rank": 2},
    "clip": {"lora_rank": 2, "head": "fc1024"},
    "deit": {"lora_rank": 1, "lora_layers": "dense,output", "pooling": "gem"},
    "vit": {"layer_decay": 0.5},
    "swin": {"layer_decay": 0.5},
    "dinov2": {"pooling": "cls+average"},
}
TRAINED = [*TRANSFORMERS, "swin", "resnet", "efficientnet"]


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_resumed_training_continues_bit_for_bit(name, preset, tmp_path):
    settings = settings_of(preset(name), **CHANGES.get(name, {}))
    first, again = ranking(settings), ranking(settings.with_(seed=1))
    pixels = images(32)
    first.train_on_batch(pixels, LABELS)
    save_checkpoint(tmp_path, first, 1)
    assert restore_checkpoint(tmp_path, again) == 1
    assert_equal_weights(first, again)
    first.train_on_batch(pixels, LABELS)
    again.train_on_batch(pixels, LABELS)
    assert_equal_weights(first, again)
    save_checkpoint(tmp_path, first, 2)
    again.network.get_layer("head").set_weights(
        [0 * weight for weight in again.network.get_layer("head").get_weights()]
    )
    assert load_network(tmp_path, again.network) == 2
    np.testing.assert_array_equal(run(again.network, pixels), run(first.network, pixels))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_a_whole_model_is_saved_and_loaded_as_one_file(name, preset, tmp_path):
    model = ranking(settings_of(preset(name)))
    model.train_on_batch(images(32), LABELS)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(run(loaded.network, images(32)), run(model.network, images(32)))


class TestLoRA:
    def test_only_factors_and_head_are_trained_and_stored(self, preset, tmp_path):
        settings = settings_of(preset("vit"), lora_rank=2)
        model, pixels = ranking(settings), images(32)
        plain = ranking(settings.with_(lora_rank=0))
        backbone = model.network.get_layer("backbone")
        # Two blocks, queries and values: A (16, 2, 2) and B (2, 8) of kernels (16, 2, 8).
        shapes = sorted(tuple(w.shape) for w in backbone.trainable_weights)
        assert shapes == 4 * [(2, 8)] + 4 * [(16, 2, 2)]
        # B starts as zeros: nothing has changed yet.
        np.testing.assert_array_equal(
            run(backbone, pixels), run(plain.network.get_layer("backbone"), pixels)
        )
        digest = base_digest(model.network)
        before = [np.array(w) for w in backbone.weights]
        model.train_on_batch(pixels, LABELS)
        moved = {
            weight.path.split("/")[-1]
            for weight, old in zip(backbone.weights, before, strict=True)
            if not np.array_equal(weight, old)
        }
        assert moved <= {"lora_kernel_a", "lora_kernel_b"}
        assert "lora_kernel_b" in moved
        assert base_digest(model.network) == digest
        save_checkpoint(tmp_path, model, 1)
        with h5py.File(step_folder(tmp_path, 1) / WEIGHTS) as file:
            stored = [file[f"trained/{i:04d}"].shape for i in range(len(file["trained"]))]
        assert sorted(stored) == sorted([*shapes, (16, 4), (4,)])
        assert checkpoint_bytes(model) < checkpoint_bytes(plain) / 10

    def test_other_base_weights_are_refused_in_one_line(self, preset, tmp_path):
        model = ranking(settings_of(preset("vit"), lora_rank=2))
        save_checkpoint(tmp_path / "checkpoints", model, 1)
        other = write_preset(tmp_path / "other", "vit", seed=5)
        elsewhere = ranking(settings_of(other, lora_rank=2))
        with pytest.raises(UserError, match=r"trained beside other base weights \(\w{12}\)") as hit:
            restore_checkpoint(tmp_path / "checkpoints", elsewhere)
        assert "\n" not in str(hit.value)
        rank3 = ranking(settings_of(preset("vit"), lora_rank=3))
        with pytest.raises(UserError, match="of other shapes fit"):
            restore_checkpoint(tmp_path / "checkpoints", rank3)

    @pytest.mark.parametrize(
        ("name", "layers", "words"),
        [
            ("dinov3", "qwery", r"dense layers are down_proj, k_proj, o_proj, q_proj, up_proj, v_"),
            ("dinov3", "value,q_proj,fc*", r"--lora-layers fc\*: no such layer"),
            ("dinov3", "", r"--lora-layers : no such layer"),
            ("resnet", "query", "it has no dense layers"),
        ],
    )
    def test_layers_that_there_are_not(self, name, layers, words, preset):
        with pytest.raises(UserError, match=words):
            build_network(settings_of(preset(name), lora_rank=2, lora_layers=layers))

    def test_the_description_of_the_network_counts_what_is_trained(self, preset):
        backbone, head, whole = describe_parts(settings_of(preset("vit"), lora_rank=2))
        assert backbone["part"].endswith("vit0, cls pooling")
        assert backbone["trained"] == 4 * (16 * 2 * 2 + 2 * 8)
        assert whole["trained"] == backbone["trained"] + head["trained"]


class TestLayerDecay:
    @pytest.mark.slow
    def test_steps_of_a_block_are_those_of_the_next_times_the_decay(self, preset):
        """Plain gradient descent moves a weight by rate x gradient: compare two trainings."""
        for name in ("vit", "siglip"):
            settings, pixels = settings_of(preset(name)), images(32)
            steps = []
            for decay in (1.0, 0.5):
                model = ranking(settings.with_(layer_decay=decay), keras.optimizers.SGD(0.1))
                before = [np.array(w) for w in model.network.trainable_weights]
                model.train_on_batch(pixels, LABELS)
                weights = model.network.trainable_weights
                moved = [np.array(w) - old for w, old in zip(weights, before, strict=True)]
                steps.append([(w.path, step) for w, step in zip(weights, moved, strict=True)])
            seen = set()
            for (path, step), (_, plain) in zip(steps[1], steps[0], strict=True):
                # By hand: two blocks, so the embedding is 3 layers below the head of the network.
                block = re.search(r"(?:transformer_block|encoder_block)_(\d)", path)
                number = None if block is None else int(block.group(1)) + (name == "siglip")
                below = 3 if "embedding/" in path else 0
                below = below if number is None else 3 - number
                if path.startswith("embedding/") and path.split("/")[1] in ("kernel", "bias"):
                    below = 0 if step.shape[-1] == 4 else 3  # the head's own layer
                seen.add(below)
                np.testing.assert_allclose(step, 0.5**below * plain, atol=1e-6)
            assert seen == {0, 1, 2, 3}

    def test_depths_follow_the_blocks(self, preset):
        backbone = build_network(settings_of(preset("dinov3"))).get_layer("backbone")
        found = layers_above(backbone)
        above = {w.path.removeprefix("dinov3_backbone_"): found[id(w)] for w in backbone.weights}
        assert above["embeddings/cls_token"] == above["embeddings/register_tokens"] == 3
        assert above["encoder/layers_0/norm1/gamma"] == 2
        assert above["encoder/layers_1/attention/q_proj/kernel"] == 1
        assert above["layernorm/gamma"] == 0
        assert last_block(backbone).name.endswith("layers_1")

    def test_a_network_without_blocks_is_refused(self, preset):
        for backbone in (preset("resnet"), "conv4"):
            model = ranking(settings_of(backbone, layer_decay=0.5))
            with pytest.raises(UserError, match="no blocks of attention"):
                model.train_on_batch(images(32), LABELS)


class TestHeatMaps:
    @pytest.fixture(scope="class")
    def inspected(self, preset, tmp_path_factory):
        """Return a function: family and settings -> the inspector of a run, a match, embeddings."""

        def inspect(name, **changes):
            # With random weights, which take less time to build.
            settings = settings_of(preset(name), weights="none", **changes)
            inspector = open_inspector(write_model(tmp_path_factory.mktemp("run"), settings))
            pixels = images(32)[:2]
            return inspector, inspector.match(pixels), inspector.embed(pixels)

        return inspect

    @pytest.mark.slow
    @pytest.mark.parametrize("name", TRANSFORMERS)
    def test_averaged_patches_are_decomposed_exactly(self, name, inspected):
        _, match, embeddings = inspected(name, pooling="average")
        assert match.method == "exact"
        assert match.first.shape == (4, 4)
        similarity = float(embeddings[0] @ embeddings[1])
        for total in (match.similarity, match.first.sum(), match.second.sum()):
            assert total == pytest.approx(similarity, abs=1e-5)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", TRANSFORMERS)
    def test_the_papers_poolings_are_approximated_and_say_how(self, name, inspected):
        _, match, embeddings = inspected(name)
        # Attention pooling reads the last tokens; class tokens do not.
        assert match.method == ("map gradient" if name == "siglip" else "token gradient")
        assert match.first.shape == match.second.shape == (4, 4)
        assert match.similarity == pytest.approx(float(embeddings[0] @ embeddings[1]), abs=1e-5)
        # Not the gradient at tokens that are normalized afterwards, which is orthogonal to them.
        assert np.abs(match.first).max() > 1e-4

    def test_the_approximation_is_activation_times_gradient_at_the_last_attention(self, inspected):
        """The last block written out: what its attention reads is a variable of the tape."""
        inspector, match, _ = inspected("vit")
        backbone, head = (inspector.network.get_layer(n) for n in ("backbone", "head"))
        encoder = next(layer for layer in backbone.layers if isinstance(layer, keras.Model))
        embed, blocks = encoder.layers[1], encoder.layers[2]
        x = backbone.get_layer("preprocessing")(images(32)[:2])
        x = blocks.encoder_layers[0](embed(x))
        last = blocks.encoder_layers[1]
        with tf.GradientTape() as tape:
            read = last.layer_norm_1(x)
            tape.watch(read)
            y = last.mha(read, read) + x
            y = blocks.layer_norm(last.mlp(last.layer_norm_2(y)) + y)
            e = head(y[:, 0])
            similarity = tf.reduce_sum(e[0] * e[1])
        parts = tf.reduce_sum(read * tape.gradient(similarity, read), axis=-1)[:, 1:]
        np.testing.assert_allclose(match.first.ravel(), parts[0], atol=1e-6)
        np.testing.assert_allclose(match.second.ravel(), parts[1], atol=1e-6)

    def test_nothing_is_left_behind_in_the_network(self, inspected):
        inspector, match, _ = inspected("dinov2")
        again = inspector.match(images(32)[:2])
        np.testing.assert_array_equal(again.first, match.first)
        assert all(norm.call.__self__ is norm for norm in inspector.block.norms)

    def test_other_families_are_decomposed_exactly(self, inspected):
        for name in ("swin", "resnet"):
            _, match, embeddings = inspected(name)
            assert match.method == "exact"
            total = float(embeddings[0] @ embeddings[1])
            assert match.first.sum() == pytest.approx(total, abs=1e-5)


class TestMemory:
    def test_attention_is_counted(self, preset):
        small, large = (dry_run(settings_of(preset("vit"), image_size=s)) for s in (32, 128))
        # Per image and block: 2 heads of n x n weights, which the softmax keeps for its gradient;
        # n = 1 + 16 x 16 tokens at 128 px. Beside them, about 30 arrays of n x 16.
        n, blocks, heads, width = 1 + 16 * 16, 2, 2, 16
        least = 4 * blocks * heads * n * n
        most = 4 * blocks * (6 * heads * n * n + 60 * n * width)
        assert least < large.per_image < most
        assert large.per_image > 16 * small.per_image  # more than the pixels: the square of n

    def test_lora_saves_gradients_and_copies_of_the_optimizer(self, preset):
        settings = settings_of(preset("vit"), classes_per_batch=2, samples_per_class=2)
        lora = settings.with_(lora_rank=2)
        full, factors = dry_run(settings), dry_run(lora)
        assert full.trained == full.weights
        assert factors.trained == 4 * sum(
            w.shape.num_elements()
            for w in map(tf.convert_to_tensor, trained_weights(build_network(lora)))
        )
        assert factors.trained < full.trained / 10
        alike = dataclasses.replace(factors, operations=full.operations)
        assert alike.fixed(lora, chunked=False) < full.fixed(settings, chunked=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes"), [("dinov3", {"lora_rank": 2}), ("siglip", {"freeze_backbone": True})]
)
def test_a_run_is_trained_embedded_and_embedded_again(
    name, changes, preset, shapes, tmp_path, module_cache
):
    settings = settings_of(
        preset(name), data=str(shapes), classes_per_batch=3, samples_per_class=2, steps=2, **changes
    )
    path = train(settings, runs=tmp_path, name=name, progress=False)
    found = Run(path)
    resolved = found.network_settings()
    assert resolved.pooling == {"dinov3": "cls", "siglip": "head"}[name]
    again = load_embedder(path).embed([shapes / each for each in found.items["path"][:3]])
    np.testing.assert_allclose(again, found.embeddings[:3], atol=1e-5)
