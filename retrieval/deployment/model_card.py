"""The model card of an exported network: what it is, what it was measured on, and its limits.

Everything in it is read from the run or was measured when the network was exported; what is not
known is said to be unknown. See Mitchell et al. (2019), "Model Cards for Model Reporting".
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from retrieval.datasets import DATASETS
from retrieval.deployment.formats import FORMATS, Format
from retrieval.deployment.portable import EMBEDDING, ENCODED, IMAGES, Portable
from retrieval.errors import counted, one_line
from retrieval.evaluation.metrics import metric, scale_note
from retrieval.files import write_text
from retrieval.models import backbone_of
from retrieval.models.licenses import license_of_weights
from retrieval.report.sections import reported_metrics
from retrieval.runs.records import ProtocolResult
from retrieval.runs.run import Run
from retrieval.settings.schema import SELECTED_ON_TEST, UNTRAINED, TrainSettings
from retrieval.validation import DEFAULT_DISTANCE

UNKNOWN = "unknown: ask"
FEW_CLASSES, FEW_QUERIES = 30, 500  # of a test set; below, the card calls it small
LISTED = 5  # classes and confusions
LEAST_OF_A_CLASS = 5  # queries, for a class to be listed
PACKAGES = ("retrieval-workbench", "tensorflow", "keras")
# What Markdown gives a meaning to, also HTML, which it passes on.
_MARKED = re.compile(r"([\\`*_\[\]|~$&])")


@dataclass(frozen=True)
class Change:
    """What storing a network in fewer bits changes about its searches.

    Attributes:
        n: Number of photos that were searched with.
        of: Where they were searched, in words.
        same_nearest: For how many the nearest item stayed the same.
        recall_before: Share whose nearest item is of their class, by the run's embeddings; None
            without classes.
        recall_after: The same by the file's embeddings.
        mean_cosine: Mean cosine of the file's embedding and the run's.
        least_cosine: The least one.
    """

    n: int
    of: str
    same_nearest: int
    recall_before: float | None
    recall_after: float | None
    mean_cosine: float
    least_cosine: float

    def lines(self) -> Iterator[str]:
        """Yield what changed, in sentences without a full stop."""
        yield (
            f"cosine with the run's embeddings: mean {self.mean_cosine:.4f}, least "
            f"{self.least_cosine:.4f}"
        )
        yield f"the nearest item {self.of} stays the same for {self.same_nearest} of {self.n}"
        if self.recall_before is not None and self.recall_after is not None:
            change = 100 * (self.recall_after - self.recall_before)
            yield (
                f"Recall@1 of these photos {self.of}: {100 * self.recall_before:.1f} by the run, "
                f"{100 * self.recall_after:.1f} by the file ({change:+.1f} points)"
            )


@dataclass(frozen=True)
class Checks:
    """How far the embeddings of a file are from the run's.

    Attributes:
        n: Number of photos.
        origin: What they are, in words.
        n_whole: How many of them were also checked at their own size.
        differences: What the file was given -> the largest difference of one number of an embedding
            of unit length, from what the run makes of the same pixels or bytes.
        tolerance: The largest difference that is accepted; None if none is set.
        stored: The largest difference from the embeddings that the run stores; None if they are of
            another checkpoint, or the photos are others.
        by_pillow: The least cosine with the run's embedding if Pillow decodes the photo, as in the
            card's example.
        in_full: The same if it does not let the decoder shrink a large JPEG.
        change: What changes in searches; None for float32.
    """

    n: int
    origin: str
    n_whole: int
    differences: Mapping[str, float]
    tolerance: float | None
    stored: float | None
    by_pillow: float
    in_full: float
    change: Change | None

    def lines(self) -> Iterator[str]:
        """Yield what was measured, in sentences without a full stop."""
        accepted = "" if self.tolerance is None else f" (accepted up to {self.tolerance:.0e})"
        yield (
            f"largest difference from the run, {self.n} {self.origin}: "
            f"{max(self.differences.values()):.1e}{accepted}"
        )
        if self.change is not None:
            yield from self.change.lines()


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a model card is made of.

    Attributes:
        run: The run.
        file: Name of the exported file.
        format: A key of :data:`retrieval.deployment.formats.FORMATS`.
        precision: ``float32``, ``float16`` or ``int8``.
        step: Step of the checkpoint; None for an untrained network.
        graph: What was exported.
        kind: The entry of the format.
        checks: What was measured; None if nothing was.
        own_checkpoint: Whether the checkpoint is the one that the run's figures are of.
    """

    run: Run
    file: str
    format: str
    precision: str
    step: int | None
    graph: Portable
    kind: Format
    checks: Checks | None
    own_checkpoint: bool


def write_card(path: Path, card: Card) -> None:
    """Write a model card.

    Args:
        path: The Markdown file.
        card: What it says.
    """
    write_text(path, card_text(card))


def card_text(card: Card) -> str:
    """Return a model card as Markdown.

    Args:
        card: What it says.
    """
    settings = card.run.network_settings()
    sections: list[tuple[str, list[str]]] = [
        ("What it is", _what_it_is(card, settings)),
        ("Intended use", _intended_use(card)),
        ("How to use it", _usage(card)),
        ("Input and output", _signature(card)),
        ("Data", _data(card.run)),
        ("Settings", _settings(card.run, settings)),
        ("Figures", _figures(card)),
        ("Agreement with the run", _agreement(card)),
        ("Limits", _limits(card)),
        ("License", _license(card.run, settings)),
        ("Made with", _versions(card)),
    ]
    lines = [f"# Model card: {plain(f'{card.run.dataset}/{card.run.path.resolve().name}')}"]
    for title, content in sections:
        lines += ["", f"## {title}", "", *content]
    return "\n".join(lines) + "\n"


def plain(text: object) -> str:
    r"""Escape a text, so that Markdown shows it as it is.

    >>> plain("a_b <i>")
    'a\\_b &lt;i>'

    Args:
        text: What a user may have named, such as a class.
    """
    return _MARKED.sub(r"\\\1", one_line(str(text)).replace("<", "\0")).replace("\0", "&lt;")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return a table; its cells are Markdown already."""
    return [
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
    ]


def _what_it_is(card: Card, settings: TrainSettings) -> list[str]:
    head = "" if settings.loss == UNTRAINED else f" with the head `{settings.head}`"
    trained = (
        "It was not trained: the embedding is the pooled features of the backbone."
        if settings.loss == UNTRAINED
        else f"It was trained with the loss `{settings.loss}`"
        + (", the backbone frozen" if settings.freeze_backbone else "")
        + f"; this is the checkpoint of step {card.step:,}."
    )
    return [
        f"An image embedding network: {plain(settings.backbone)}{head}. It maps an image to "
        f"{card.graph.width} numbers; images of the same thing lie near each other. {trained}",
        "",
        f"The file `{card.file}` is {card.kind.title}, {card.precision}. Preprocessing is inside.",
    ]


def _intended_use(card: Card) -> list[str]:
    measure = (
        "cosine similarity (the dot product, as vectors have unit length)"
        if card.graph.normalize
        else card.run.result().protocol.measure
    )
    return [
        "Finding images that show the same class as a query image: embed a gallery once, embed the "
        f"query, and rank the gallery by {measure}.",
        "",
        f"It was tested on {plain(_title(card.run.dataset))} only. On other images, measure it "
        "first: `retrieval embed RUN --images DIR`, then `retrieval import`. It is no classifier, "
        "gives no probabilities, and was not examined for decisions about people.",
    ]


def _title(dataset: str) -> str:
    return DATASETS[dataset].title if dataset in DATASETS else dataset


EXAMPLES = {
    "saved_model": """\
from pathlib import Path

import tensorflow as tf

model = tf.saved_model.load("{file}")
photos = [Path("photo.jpg").read_bytes()]  # JPEG, PNG, WebP, GIF or BMP
embed = model.signatures["{encoded}"]
embedding = embed({encoded}=tf.constant(photos))["{embedding}"].numpy()  # (1, {width})
""",
    "onnx": """\
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("{file}")
photo = Image.open("photo.jpg")
photo.draft("RGB", ({columns}, {rows}))  # as the run: the decoder shrinks a large JPEG
photo = ImageOps.exif_transpose(photo.convert("RGB"))
images = np.asarray(photo)[None]  # uint8, (1, height, width, 3), any size
embedding = session.run(["{embedding}"], {{"{images}": images}})[0]  # (1, {width})
""",
    "litert": """\
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

embed = Interpreter("{file}").get_signature_runner()
photo = Image.open("photo.jpg")
photo.draft("RGB", ({columns}, {rows}))  # as the run: the decoder shrinks a large JPEG
photo = ImageOps.exif_transpose(photo.convert("RGB"))
photo = photo.resize(({columns}, {rows}), Image.Resampling.BILINEAR)
images = np.asarray(photo)[None]  # uint8, (1, {rows}, {columns}, 3)
embedding = embed({images}=images)["{embedding}"]  # (1, {width})
""",
}


def example(card: Card) -> str:
    """Return a Python program that embeds the file ``photo.jpg``.

    Args:
        card: What the model card is made of.
    """
    rows, columns = card.graph.loaded
    return EXAMPLES[card.format].format(
        file=card.file,
        images=IMAGES,
        encoded=ENCODED,
        embedding=EMBEDDING,
        width=card.graph.width,
        rows=rows,
        columns=columns,
    )


def _usage(card: Card) -> list[str]:
    return [f"`pip install {card.kind.runtime} pillow`", "", "```python", example(card)[:-1], "```"]


def _signature(card: Card) -> list[str]:
    graph, (rows, columns) = card.graph, card.graph.loaded
    size = "height, width" if card.kind.any_size else f"{rows}, {columns}"
    what = "RGB pixels from 0 to 255, EXIF orientation applied"
    named = [(f"`{IMAGES}`", "uint8", f"(n, {size}, 3)", what)]
    if card.format == "saved_model":
        named.append((f"`{ENCODED}`, the signature of that name", "string", "(n,)",
                      "bytes of JPEG, PNG, WebP, GIF or BMP files"))  # fmt: skip
    unit = "unit length" if graph.normalize else "not of unit length"
    named.append((f"output `{EMBEDDING}`", "float32", f"(n, {graph.width})", unit))
    inside = (
        f"Inside: resizing to {rows} x {columns} px without keeping the aspect ratio (bilinear; "
        "averaged over areas where a side shrinks to half or less), rounding to whole gray levels"
        if card.kind.any_size
        else f"Images must have {rows} x {columns} px: resize them without keeping the aspect ratio"
        ". Inside: "
    )
    rest = []
    if graph.size != graph.loaded or graph.views:
        views = f"{graph.n_views} views (`{'+'.join(graph.views)}`)" if graph.views else "a center"
        crop = f"{views} of {graph.size[0]} x {graph.size[1]} px"
        rest.append(f"crops: {crop}" + (f", averaged ({graph.mean})" if graph.views else ""))
    rest += ["the normalization of pixels that the backbone expects", "the network"]
    if graph.normalize:
        rest.append("scaling to unit length")
    joined = ", ".join(rest)
    return [
        *table(("name", "type", "shape", "content"), named),
        "",
        f"{inside}{', ' if card.kind.any_size else ''}{joined}.",
    ]


def _data(run: Run) -> list[str]:
    config, result = run.dataset_config, run.result()
    sizes = [
        None if config.n_train is None else f"{config.n_train:,} training images",
        None if config.n_test is None else f"{config.n_test:,} test images",
        f"{result.protocol.n_classes:,} test classes" if result.protocol.unit == "class" else None,
    ]
    lines = [f"{plain(_title(run.dataset))}: {', '.join(filter(None, sizes))}."]
    entry = DATASETS.get(run.dataset)
    if entry is not None and entry.source:
        lines.append(f"Source: {entry.source}.")
    if entry is not None and entry.splits:
        lines.append(f"Split: {entry.splits}.")
    if config.is_placeholder:
        lines.append(
            "**The images are a synthetic placeholder, not the data set of that name: the figures "
            "say nothing about it.**"
        )
    lines += [f"{plain(remark)}." for remark in (*config.remarks, config.skipped_note) if remark]
    return [f"* {line}" for line in lines]


def _settings(run: Run, settings: TrainSettings) -> list[str]:
    named = (
        "recipe", "loss", "loss_options", "backbone", "weights", "pooling", "head",
        "embedding_size", "freeze_backbone", "image_size", "pre_crop", "augment", "flip",
        "classes_per_batch", "samples_per_class", "steps", "optimizer", "learning_rate", "schedule",
        "weight_decay", "seed", "test_time", "use_checkpoint",
    )  # fmt: skip
    values = settings.to_mapping()
    rows = [
        (f"`{name}`", plain(values[name])) for name in named if values[name] not in (None, {}, "")
    ]
    lines = [*table(("setting", "value"), rows), "", "All others: `config.yaml` of the run."]
    if run.provenance.command:
        lines += ["", f"Command: {plain(run.provenance.command)}"]
    return lines


def _figures(card: Card) -> list[str]:
    run, lines = card.run, []
    if not card.own_checkpoint:
        lines += [
            f"**These figures are of the run's own checkpoint, not of step {card.step}, which was "
            "exported.**",
            "",
        ]
    names = reported_metrics(run.dataset)
    for title, result in ((run.protocol_titles[name], run.results[name])
                          for name in run.protocol_titles):  # fmt: skip
        found = [name for name in names if not np.isnan(result.metric(name).value)]
        if not found:
            lines += [f"{plain(title)}: no figures, {result.protocol.without_positives}.", ""]
            continue
        rows, bare = [], []
        for name in found:
            estimate = result.metric(name)
            rows.append(
                (metric(name).title, metric(name).format(
                    estimate.value, estimate.low, estimate.high))
            )  # fmt: skip
            if np.isnan(estimate.low) or np.isnan(estimate.high):
                bare.append(metric(name).title)
        lines += [
            f"### {plain(title)}",
            "",
            f"{plain(_protocol_words(result))}. Scale: {scale_note(found)}.",
            "",
            *table(("metric", "value [95% interval]" if len(bare) < len(found) else "value"), rows),
            "",
        ]
        if bare:
            lines += [f"No interval for {', '.join(bare)}: {_no_interval(result)}.", ""]
        if len(bare) < len(found):
            lines += [f"Intervals: {plain(result.protocol.interval)}; one training seed.", ""]
    lines += [f"**{plain(line)}.**" for line in run.caveats()]
    if run.selected_on == "test":
        lines.append(f"**{SELECTED_ON_TEST}.**")
    if card.precision != "float32":
        lines += ["", f"The figures are of the run in float32, not of this {card.precision} file."]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _protocol_words(result: ProtocolResult) -> str:
    protocol = result.protocol
    parts = (
        f"{protocol.rule}, {protocol.measure}",
        f"{protocol.queries}, {counted(protocol.n_gallery, 'gallery item')}",
        protocol.without_positives,
        protocol.rules,
    )
    return "; ".join(filter(None, parts))


def _no_interval(result: ProtocolResult) -> str:
    if result.protocol.n_classes < 2:
        return "an interval is over classes, and there is only one"
    return "none is computed for it, or the test set has too few classes for one"


def _agreement(card: Card) -> list[str]:
    checks = card.checks
    if checks is None:
        return [
            "**Not checked:** the file was exported with `--no-check`, and its embeddings were "
            "never compared with the run's."
        ]
    rows = [(what, f"{value:.1e}") for what, value in checks.differences.items()]
    if checks.stored is not None:
        rows.append(("photos, against the embeddings that the run stores", f"{checks.stored:.1e}"))
    accepted = (
        "No limit was set for this precision."
        if checks.tolerance is None
        else f"Accepted up to {checks.tolerance:.0e}."
    )
    lines = [
        f"Read again with {card.kind.runtime} and compared on {checks.n} {plain(checks.origin)} "
        f"({checks.n_whole} of them at their own size). Largest difference of one number of an "
        f"embedding, relative to the embedding's length. {accepted}",
        "",
        *table(("given to the file", "largest difference"), rows),
    ]
    if checks.change is not None:
        lines += ["", *(f"* {line}" for line in checks.change.lines())]
    return [
        *lines,
        "",
        "The run lets the decoder shrink large JPEGs, as `draft` does in Pillow. Photos that "
        f"Pillow decodes so have a cosine of at least {checks.by_pillow:.5f} with the run's vector"
        + ("" if card.kind.any_size else ", its resizing included")
        + f"; decoded in full, of at least {checks.in_full:.5f}. Decode gallery and queries alike.",
    ]


def _limits(card: Card) -> list[str]:
    run, result = card.run, card.run.result()
    protocol, lines = result.protocol, []
    if card.run.network_settings().loss != UNTRAINED and protocol.unit == "class":
        lines.append(
            "The test classes were never trained on (class-disjoint): the figures are about new "
            "classes of the same kind of images, not about other kinds."
        )
    if protocol.n_classes < FEW_CLASSES or protocol.n_queries < FEW_QUERIES:
        lows = [estimate.low for estimate in result.metrics.values()]
        read = (
            "It has no intervals: another test set may give quite other figures."
            if np.isnan(lows).all()
            else "Read the intervals, not the values."
        )
        lines.append(f"The test set is small: {protocol.queries}. {read}")
    lines.append(
        "Queries of things that the gallery lacks also have a nearest neighbor: choose a threshold "
        "with `retrieval thresholds` before such answers are shown."
    )
    if not card.graph.normalize:
        lines.append("The embeddings are not of unit length: compare them as the run does.")
    elif protocol.distance != DEFAULT_DISTANCE and not protocol.normalized:
        lines.append(
            f"The run compares by {protocol.measure}, this file returns vectors of unit length: "
            "where the network itself does not normalize, rankings differ from the run's "
            "(`--no-normalize` exports its vectors as they are)."
        )
    lines += _failures(run)
    return [f"* {line}" for line in lines]


def _failures(run: Run) -> list[str]:
    """Say which classes the run finds worst, and which it takes for which; nothing without."""
    if run.result().protocol.unit != "class":
        return []
    neighbors, labels = run.neighbors(), run.items["label"].to_numpy()
    named = dict(zip(labels, run.items["label_name"], strict=True))
    scored = (neighbors.first_relevant_rank > 0) & (neighbors.ids[:, 0] >= 0)
    if not scored.any():
        return []
    hits = neighbors.hits(labels)[scored, 0]
    queries, nearest = labels[neighbors.queries[scored]], labels[neighbors.ids[scored, 0]]
    shares = [
        (float(hits[queries == label].mean()), named[label], int((queries == label).sum()))
        for label in np.unique(queries)
        if (queries == label).sum() >= LEAST_OF_A_CLASS
    ]
    lines = []
    worst = [each for each in sorted(shares) if each[0] < 1][:LISTED]
    if worst:
        listed = "; ".join(f"{plain(name)} {100 * share:.0f} ({n})" for share, name, n in worst)
        lines.append(f"Classes with the lowest Recall@1 in percent (queries): {listed}.")
    wrong = Counter(zip(queries[~hits], nearest[~hits], strict=True))
    if wrong:
        listed = "; ".join(
            f"{plain(named[one])} taken for {plain(named[other])} ({n})"
            for (one, other), n in wrong.most_common(LISTED)
        )
        lines.append(
            f"{counted(int((~hits).sum()), 'query has', 'queries have')} a nearest item of another "
            f"class. Most often: {listed}. The page *Failures* of the app shows them."
        )
    return lines


def _license(run: Run, settings: TrainSettings) -> list[str]:
    entry = DATASETS.get(run.dataset)
    data = entry.license if entry is not None and entry.license else f"{UNKNOWN} its owner"
    if settings.weights in (None, "none") or not backbone_of(settings.backbone).pretrained:
        weights = "none: training began from random weights"
    elif settings.weights == "imagenet":
        weights = license_of_weights(settings.backbone)
    else:
        weights = f"{UNKNOWN} whoever made {settings.weights}"
    return [
        f"* Data set: {plain(data)}.",
        f"* Pretrained weights: {plain(weights)}.",
        f"* What was trained: {UNKNOWN} whoever trained the run.",
    ]


def _versions(card: Card) -> list[str]:
    provenance, runtime = card.run.provenance, card.kind.runtime
    now = datetime.now(UTC).isoformat(timespec="seconds")
    names = dict.fromkeys((*PACKAGES, *(p.replace("_", "-") for p in FORMATS[card.format].packages),
                           runtime))  # fmt: skip
    exported = ", ".join(f"{name} {_version(name)}" for name in names)
    trained = ", ".join(f"{name} {number}" for name, number in provenance.versions.items())
    revision = f", revision {provenance.git_revision}" if provenance.git_revision else ""
    return [
        f"* Exported {now} by {plain(exported)}.",
        f"* Trained {plain(provenance.created or 'at an unknown time')} by "
        f"{plain(trained or 'unknown versions')}{plain(revision)}, on "
        f"{plain(provenance.device or 'an unknown device')}.",
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"
