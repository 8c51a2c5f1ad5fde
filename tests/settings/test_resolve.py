"""Classes from which nothing can be learned, and figures by which no network can be chosen."""

import numpy as np
import pytest

from retrieval.datasets.catalog import make_catalog
from retrieval.errors import UserError
from retrieval.evaluation.caveats import NO_POSITIVES, ONE_CLASS
from retrieval.settings.resolve import held_out_caveat, resolve
from retrieval.settings.schema import TrainSettings


def catalog_of(train, test):
    labels = [*train, *test]
    return make_catalog(
        "mine", "/data",
        path=[f"{n}.jpg" for n in range(len(labels))],
        label=labels, label_name=list(map(str, labels)),
        split=["train"] * len(train) + ["test"] * len(test),
    )  # fmt: skip


def settings_of(**changes):
    return TrainSettings(dataset="folder", backbone="conv4", weights="none", **changes)


TRAIN = [0, 0, 1, 1, 2, 2, 3, 3]


def test_one_training_class_teaches_nothing():
    catalog = catalog_of([0, 0, 0], [1, 1, 2, 2])
    with pytest.raises(UserError, match="one training class"):
        resolve(settings_of(), catalog)
    resolve(settings_of(loss="none"), catalog)


@pytest.mark.parametrize(("test", "why"), [([7, 7, 7], ONE_CLASS), ([7, 8, 9], NO_POSITIVES)])
@pytest.mark.parametrize("choice", [{"use_checkpoint": "best"}, {"patience": 2}])
def test_no_checkpoint_is_chosen_by_figures_that_cannot_differ(test, why, choice):
    catalog = catalog_of(TRAIN, test)
    with pytest.raises(UserError, match=why):
        resolve(settings_of(eval_split="test", **choice), catalog)
    resolve(settings_of(eval_split="test"), catalog)
    resolve(settings_of(), catalog)


@pytest.mark.parametrize(("labels", "why"), [([7, 7], ONE_CLASS), ([7, 8], NO_POSITIVES)])
def test_validation_that_says_nothing_is_named_or_refused(labels, why):
    assert why in held_out_caveat(settings_of(eval_split="validation"), np.array(labels))
    settings = settings_of(eval_split="validation", use_checkpoint="best")
    with pytest.raises(UserError, match="hold out more classes"):
        held_out_caveat(settings, np.array(labels))
    assert held_out_caveat(settings_of(eval_split="validation"), np.array([7, 7, 8])) is None


@pytest.mark.parametrize(
    ("changes", "every"),
    [
        ({"schedule": "step", "steps": 300}, 100),
        ({"schedule": "step", "steps": 300, "warmup_steps": 30}, 90),
        ({"schedule": "step", "steps": 2}, 1),
        ({"schedule": "step", "steps": 300, "decay_every": 7}, 7),
        ({"schedule": "cosine", "steps": 300}, None),
    ],
)
def test_the_step_schedule_decays_after_each_third_of_the_training(changes, every):
    assert resolve(settings_of(**changes), catalog_of(TRAIN, [7, 7, 8, 8])).decay_every == every
