"""A batch whose P x K gives a loss no pairs, or the wrong ones, is refused before training."""

import pytest

from retrieval.errors import UserError
from retrieval.losses import LOSSES
from retrieval.settings.checks import check
from retrieval.settings.recipes import load_recipe, recipe_names
from retrieval.settings.schema import TrainSettings


@pytest.mark.parametrize(
    ("loss", "changes", "message"),
    [
        ("npairs_loss", {"samples_per_class": 3}, "samples-per-class 3.*give an even number"),
        ("angular_loss", {"samples_per_class": 1}, "samples-per-class 1.*give an even number"),
        ("contrastive_loss", {"samples_per_class": 6}, "6: .*multiple of 4, or .* pairs=all"),
        ("hard_triplet", {"samples_per_class": 1}, "1: hard_triplet would have no positive pairs"),
        ("hard_triplet", {"classes_per_batch": 1}, "1: hard_triplet would have no negative pairs"),
    ],
)
def test_a_batch_without_the_pairs_of_a_loss_is_refused_with_the_fix(loss, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        check(TrainSettings(loss=loss, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "changes"),
    [
        ("npairs_loss", {"samples_per_class": 4}),
        ("contrastive_loss", {"samples_per_class": 3, "loss_options": {"pairs": "all"}}),
        # Positives and negatives are proxies, or in the memory.
        ("proxy_anchor", {"samples_per_class": 1, "classes_per_batch": 1}),
        ("multi_similarity", {"samples_per_class": 1, "memory_batches": 4}),
    ],
)
def test_a_batch_with_the_pairs_of_a_loss_is_accepted(loss, changes):
    check(TrainSettings(loss=loss, **changes))


def test_the_recommended_batch_of_every_loss_and_recipe_is_accepted():
    for name in LOSSES:
        check(TrainSettings(loss=name))
    for name in recipe_names():
        check(load_recipe(name).train_settings({}))
