"""Before a notebook trains: how long it will take, what to fetch, and what the network sees."""

import base64
import html
import inspect
import io
import os
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import Markdown
from PIL import Image

from retrieval.datasets.catalog import Catalog
from retrieval.settings.schema import UNTRAINED, TrainSettings
from retrieval.validation import as_size
from workbench.components.inline_gallery import STYLE, Gallery


def outlook(trainings: Sequence[TrainSettings], catalog: Catalog) -> Markdown:
    """Say how long trainings take on this machine, and which weights must be fetched.

    A few steps of every kind of training are measured, once per machine: the measurement is kept in
    the cache. With ``RETRIEVAL_MEASURE=no`` in the environment, nothing is measured.

    Args:
        trainings: Settings of the trainings at full scale, whatever the scale of the notebook.
        catalog: The data set, or the placeholder for it.

    Returns:
        A note for the notebook.
    """
    from retrieval.embedding.pretrained import missing_weights  # load TensorFlow
    from retrieval.progress import duration
    from retrieval.settings.resolve import resolve
    from retrieval.training.devices import describe_devices, unused_gpu
    from retrieval.training.step_time import feature_seconds, step_time

    trainings = [one for one in trainings if one.loss != UNTRAINED]
    if not trainings:
        return Markdown("Nothing is trained at full scale, so that no time is measured.")
    needed = dict.fromkeys(
        missing_weights(one.backbone, one.weights, one.image_size) for one in trainings
    )
    commands = [command for command in needed if command is not None]
    lines = [
        "**Weights to fetch** before training at full scale: "
        + ", ".join(f"`{command}`" for command in commands)
        + "."
        if commands
        else "All pretrained weights of the full scale are on this disk."
    ]
    if (warning := unused_gpu()) is not None:
        lines.append(f"⚠ {warning}.")
    if os.environ.get("RETRIEVAL_MEASURE") == "no":
        return Markdown("\n\n".join(["The time was not measured: RETRIEVAL_MEASURE=no.", *lines]))
    rows, total, features, days = [], 0.0, 0.0, set()
    for (name, batch, steps), group in _kinds(trainings):
        measured = step_time(group[0], catalog)
        features = max(features, feature_seconds(measured, resolve(group[0], catalog), catalog))
        each, seconds = measured.of_step(group[0]), measured.of_training(group[0])
        total += len(group) * seconds
        days.add(measured.measured)
        rows.append(
            f"| {name} | {len(group)} | {steps:,} | {batch} | {duration(each)} "
            f"| {duration(len(group) * seconds)} |"
        )
    device = describe_devices(resolve(trainings[0], catalog))
    extracted = (
        f", and the features of the frozen backbone {duration(features)}, once" if features else ""
    )
    table = [
        "| training | runs | steps | P x K | a step | all steps |",
        "|---|---|---|---|---|---|",
    ]
    note = (
        f"Measured over a few steps on {', '.join(sorted(days))} and multiplied up to the batch "
        "and the number of steps: a busy machine takes longer. Evaluations come on top. A finished "
        "run of equal settings is kept, not trained again."
    )
    head = f"**At full scale, all steps take about {duration(total)} on this machine**{extracted} "
    head += f"({device})."
    return Markdown("\n\n".join([head, "\n".join(table + rows), note, *lines]))


def _kinds(
    trainings: Sequence[TrainSettings],
) -> list[tuple[tuple[str, str, int], list[TrainSettings]]]:
    """Group trainings that take equally long: network, batch and number of steps."""
    from retrieval.training.step_time import wanted_batch

    groups: dict[tuple[str, str, int], list[TrainSettings]] = {}
    for one in trainings:
        what = "head on frozen" if one.freeze_backbone else "whole"
        size = f", {one.image_size} px" if one.image_size else ""
        name = f"{what} {one.backbone}{size}"
        batch = " x ".join(map(str, wanted_batch(one)))
        groups.setdefault((name, batch, one.steps), []).append(one)
    return list(groups.items())


def batch_grid(settings: TrainSettings, catalog: Catalog, *, classes: int = 6) -> Gallery:
    """Show the first batch of a training as the network sees it: cropped, flipped and augmented.

    Args:
        settings: Settings of the training.
        catalog: The data set.
        classes: Number of the P classes that are shown, one per row. Defaults to 6.

    Returns:
        Self-contained HTML: a row per class with its K images.
    """
    from retrieval.settings.resolve import resolve, resolved
    from retrieval.training.data import first_batch  # loads TensorFlow

    settings = resolve(settings, catalog)
    images, labels, names = first_batch(settings, catalog)
    p, k = resolved(settings.classes_per_batch), resolved(settings.samples_per_class)
    shown = list(dict.fromkeys(labels.tolist()))[:classes]
    rest = f", {len(shown)} of them shown" if len(shown) < p else ""
    lines = [
        f'<p class="rw-title">A batch: {p} classes (P){rest}, {k} images of each (K) '
        f"<span>{p * k} images of {as_size(images.shape[1:3])} px, with their augmentation</span>"
        "</p>"
    ]
    for label in shown:
        members = np.flatnonzero(labels == label)
        name = html.escape(str(names[members[0]]))
        pictures = "".join(
            f'<figure><img src="{_as_url(images[i])}" alt="{name}">'
            f"<figcaption>label {label}<br>{name}</figcaption></figure>"
            for i in members
        )
        lines.append(f'<div class="rw-line">{pictures}</div>')
    return Gallery(STYLE + "".join(lines))


def _as_url(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    picture = Image.fromarray(np.asarray(image, np.uint8))
    picture.thumbnail((96, 96))
    picture.save(buffer, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def network_summary(settings: TrainSettings, catalog: Catalog) -> pd.DataFrame:
    """Summarize the network of a training: its parts, their outputs and parameters.

    The network is built with random weights, so that none need be fetched for it.

    Args:
        settings: Settings of the training.
        catalog: The data set, which decides how open settings are filled in.

    Returns:
        One row per part and one for the whole: ``output`` (shape, B images), ``parameters`` and
        ``trained`` (how many of them a step changes).
    """
    from retrieval.embedding.network import describe_parts  # loads TensorFlow
    from retrieval.settings.resolve import resolve

    parts = describe_parts(resolve(settings, catalog))
    table = pd.DataFrame(parts).set_index("part")
    for column in ("parameters", "trained"):
        table[column] = table[column].map("{:,}".format)
    return table


def loss_formula(*losses: str | TrainSettings) -> Markdown:
    """Show what losses compute: a sentence, the formula and the options.

    Args:
        *losses: Names of losses, or the settings of a training, whose options are then shown.

    Returns:
        The documentation of the losses, up to where it explains the formula.
    """
    from retrieval.losses import get_loss, recommended_options

    parts = []
    for one in losses:
        name, given = (one, {}) if isinstance(one, str) else (one.loss, one.loss_options)
        text = inspect.getdoc(type(get_loss(name))) or ""
        explained = re.split(r"\n(?:Args|Shapes|Reference):", text)[0].strip()
        explained = re.sub(r":\w+:`~?[\w.]*?(\w+)`|``(.+?)``", _as_code, explained)
        options = recommended_options(name) | given
        settings = ", ".join(f"`{key} = {value}`" for key, value in options.items())
        parts.append(f"**{name}**. {explained}\n\nOptions: {settings or 'none'}.")
    return Markdown("\n\n".join(parts))


def _as_code(match: re.Match[str]) -> str:
    return f"`{match[1] or match[2]}`"
