"""When two runs are the same run, or repetitions of one experiment: the one table behind it.

What each setting affects is declared with its field in :class:`TrainSettings` (see :class:`About`).
Here it is turned into answers, which reports, the app, sweeps and interrupted runs share:

============  =====================================================================
affects       another value makes
============  =====================================================================
result        another experiment
seed          another run of the same experiment
selection     another experiment, if evaluations choose the network
batch_split   another experiment, if batch norms are trained
place         another experiment, if the data are the user's
speed         the same run
record        the same run
label         the same run
============  =====================================================================

"The same run" means that a finished run is kept rather than trained again, and that an interrupted
run goes on, with the new values from there on.
"""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from retrieval.datasets import DATASETS, dataset_options
from retrieval.models import HEADS
from retrieval.settings.schema import (
    UNTRAINED,
    TrainSettings,
    about,
    default_of,
    matryoshka_widths,
    selects,
)
from retrieval.validation import RESIZED_CROPS

OF_THE_LOSS = tuple(name for name in TrainSettings.model_fields if about(name).of_the_loss)
ONLY_FOR_TRAINING = tuple(
    name for name in TrainSettings.model_fields if about(name).untrained != "used"
)
REFUSED_UNTRAINED = {
    name: default_of(name)
    for name in TrainSettings.model_fields
    if about(name).untrained == "refused"
}

DECAY_SETTINGS = ("decay_every", "decay_factor")  # of the step schedule


def what_matters(settings: TrainSettings) -> dict[str, Any]:
    """Return the settings that can change a run's network or its figures, given the others.

    Args:
        settings: A run's settings, preferably resolved: None is a value like any other.

    Returns:
        Setting -> value, in the order of the fields, without the seed and without settings that
        have no effect: those of the cross-batch memory without one, those that choose a checkpoint
        if the last one is taken, those of the training for the untrained network, and so on. The
        options of the data set that were not given are spelled out.
    """
    return {
        name: _value(name, settings)
        for name in TrainSettings.model_fields
        if _has_effect(name, settings)
    }


def _has_effect(name: str, settings: TrainSettings) -> bool:
    """Tell whether another value of a setting could change the result, given the other settings."""
    if settings.loss == UNTRAINED and name in ONLY_FOR_TRAINING:
        return False
    match about(name).affects:
        case "result":
            if name in ("memory_start", "memory_weight"):
                return settings.memory_batches > 0
            if name in DECAY_SETTINGS:
                return settings.schedule == "step"
            if name == "crop_area":
                return settings.augment in RESIZED_CROPS
            if name == "lora_layers":
                return settings.lora_rank > 0
            if name == "epsilon":
                return settings.optimizer != "momentum"
            if name == "validation_fraction":
                return settings.eval_split == "validation"
            return name != "test_time_mean" or settings.test_time != "none"
        case "selection":
            # The first two are what selects; a validation split takes classes from the training.
            return name in ("patience", "use_checkpoint", "eval_split") or selects(settings)
        case "batch_split":
            return trains_batch_norms(settings)
        case "place":
            return is_users_own(settings.dataset)
        case "seed" | "speed" | "record" | "label":
            return False


def _value(name: str, settings: TrainSettings) -> Any:
    """Return the value of a setting, equal values written in the same way."""
    value = getattr(settings, name)
    if name == "data":
        return str(Path(value or Path("data") / settings.dataset))
    if name == "dataset_options":
        return dataset_options(settings.dataset) | value
    if name == "distribute" and value == "workers":  # which share the statistics of batch norms
        return "none"
    if name == "matryoshka":  # the width of the embedding goes without saying
        return ",".join(map(str, matryoshka_widths(settings))) or None
    if name == "eval_split" and value == "test" and not selects(settings):
        return "none"  # figures that chose nothing
    return value


def differing(one: TrainSettings, other: TrainSettings) -> list[str]:
    """Name the settings that make two runs different runs.

    Args:
        one: Settings of a run.
        other: Settings of another run.

    Returns:
        Names in the order of the fields; empty if one run stands for the other.
    """
    a, b = what_matters(one), what_matters(other)
    given, wanted = one.to_mapping(), other.to_mapping()
    absent = object()
    return [
        name
        for name in TrainSettings.model_fields
        if given[name] != wanted[name]
        and (a.get(name, absent) != b.get(name, absent) or about(name).affects == "seed")
    ]


def same_experiment(one: TrainSettings, other: TrainSettings) -> bool:
    """Tell whether two runs are repetitions of one experiment: they differ at most in the seed."""
    return what_matters(one) == what_matters(other)


def experiment_key(settings: TrainSettings) -> Hashable:
    """Return a key that two runs share exactly if they are of the :func:`same_experiment`."""
    return _hashable(what_matters(settings))


def is_users_own(dataset: str) -> bool:
    """Tell whether the content of a data set depends on the user's files, not on its name alone."""
    return dataset not in DATASETS or DATASETS[dataset].n_images is None


def trains_batch_norms(settings: TrainSettings) -> bool:
    """Tell whether batch norms normalize by the statistics of what they are given in training.

    If so, a batch that is embedded in chunks or by several devices gives other gradients.
    """
    head = HEADS.get(settings.head)
    if head is None or head.hidden is not None:
        return True
    pretrained = settings.weights != "none"
    held = settings.freeze_batch_norm and pretrained and not settings.freeze_batch_norm_steps
    return not (settings.freeze_backbone or settings.lora_rank or held)


def _hashable(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        return frozenset((name, _hashable(item)) for name, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(_hashable(item) for item in value)
    return value if isinstance(value, Hashable) else repr(value)
