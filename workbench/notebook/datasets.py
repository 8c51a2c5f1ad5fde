"""A data set in a notebook: opened, counted and shown, before anything is trained."""

import base64
import html
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from IPython.display import Markdown, display
from PIL import Image, ImageOps

from retrieval.datasets import load_catalog
from retrieval.datasets.catalog import Catalog
from retrieval.datasets.official import describe_placeholder
from retrieval.datasets.placeholder import available_or_placeholder, own_folder_or_example
from workbench import figures
from workbench.components.inline_gallery import STYLE, Gallery
from workbench.notebook.environment import SMALL_PREFIX, find_folder, scale

THUMBNAIL_SIDE = 96  # pixels


@dataclass(frozen=True)
class OpenedDataset:
    """A data set as a notebook found it.

    Attributes:
        catalog: Table of its items.
        folder: The folder it was loaded from.
        placeholder: Whether it is a synthetic placeholder for the published data set.
        small: Whether to train at the small scale, because that was asked for or because the data
            set is a placeholder.
    """

    catalog: Catalog
    folder: Path
    placeholder: bool
    small: bool

    def run_name(self, name: str) -> str:
        """Return a run's name, marked unless the run is the published experiment at full scale."""
        prefix = "placeholder-" if self.placeholder else SMALL_PREFIX if self.small else ""
        return prefix + name


def open_dataset(
    name: str, folder: str | Path | None = None, wanted_scale: str = "full"
) -> OpenedDataset:
    """Open a data set, or a synthetic placeholder for it where it is not on this disk.

    A note in the notebook says so if the data set is a placeholder, or if the scale is small.

    Args:
        name: ``cub200``, ``cars196``, ``sop``, ``inshop`` or ``grocery``.
        folder: The data set's folder; a relative one as in :func:`.environment.find_folder`. By
            default, ``data/<name>`` if it exists, or else a placeholder.
        wanted_scale: ``full`` or ``small``. Defaults to ``full``; a placeholder is always small.

    Returns:
        The data set.

    Raises:
        UserError: ``folder`` was given and does not hold the data set.
    """
    chosen_scale = scale(wanted_scale)
    root, placeholder = available_or_placeholder(name, find_folder(folder))
    catalog = load_catalog(name, root)
    if placeholder:
        text = describe_placeholder(root)
        display(
            Markdown(
                f"> ⚠ **Synthetic placeholder.** {name} is not in `data/{name}`. {text} All "
                "numbers and images below come from the placeholder: they show how the notebook "
                "works, not how well a loss does on the published data set."
            )
        )
    elif chosen_scale == "small":
        display(
            Markdown("> **Small scale.** The real data set, but a short, scaled-down training.")
        )
    return OpenedDataset(catalog, root, placeholder, placeholder or chosen_scale == "small")


def open_folder(folder: str | Path | None = None, **options: Any) -> tuple[Catalog, Path]:
    """Open your own images, one folder per class, or an example of such a folder.

    Args:
        folder: The folder that holds one folder per class; a relative one as in
            :func:`.environment.find_folder`. By default, an example is written to ``data/`` and a
            note in the notebook says so.
        **options: Options of the data set ``folder``, such as ``test_fraction``.

    Returns:
        The catalog, and the folder it was loaded from.

    Raises:
        UserError: ``folder`` does not exist.
    """
    root, example = own_folder_or_example(find_folder(folder))
    if example:
        display(Markdown(f"> **Example.** No folder of yours was named, so this runs on `{root}`."))
    return load_catalog("folder", root, **options), root


def split_sizes(catalog: Catalog) -> pd.DataFrame:
    """Count the images and classes of each split.

    Args:
        catalog: A data set as :func:`open_dataset` loaded it.

    Returns:
        One row per split: ``images``, ``classes``, the sizes of the smallest, the median and the
        largest class and, where a split has roles, ``queries`` and ``gallery``.
    """
    rows = {}
    for split, part in catalog.items.groupby("split", sort=False):
        sizes = part.groupby("label").size()
        rows[split] = {
            "images": len(part),
            "classes": len(sizes),
            "smallest class": sizes.min(),
            "median class": int(sizes.median()),
            "largest class": sizes.max(),
        }
        if (part["role"] != "both").any():
            rows[split] |= {
                "queries": int((part["role"] != "gallery").sum()),
                "gallery": int((part["role"] != "query").sum()),
            }
    return pd.DataFrame(rows).T.astype("Int64")


def class_sizes(catalog: Catalog, split: str | None = None) -> go.Figure:
    """Draw how many classes have how many images.

    Args:
        catalog: A data set as :func:`open_dataset` loaded it.
        split: ``train`` or ``test``. By default, both.

    Returns:
        A histogram.
    """
    items = catalog.items if split is None else catalog.split(split)
    return figures.class_sizes(items.groupby("label").size().to_numpy())


def sample_grid(
    catalog: Catalog, split: str = "test", *, classes: int = 6, per_class: int = 8, seed: int = 0
) -> Gallery:
    """Show images of a few randomly chosen classes, one class per row.

    Args:
        catalog: A data set as :func:`open_dataset` loaded it.
        split: ``train`` or ``test``. Defaults to ``test``.
        classes: Number of classes. Defaults to 6.
        per_class: Largest number of images per class. Defaults to 8.
        seed: Seed of the random choice. Defaults to 0.

    Returns:
        Self-contained HTML.
    """
    rng = np.random.default_rng(seed)
    rows = catalog.split(split)
    labels = rows["label"].unique()
    lines = []
    for label in np.sort(rng.permutation(labels)[:classes]):
        members = rows[rows["label"] == label]
        chosen = members.iloc[np.sort(rng.permutation(len(members))[:per_class])]
        name = html.escape(str(chosen["label_name"].iloc[0]))
        pictures = "".join(
            f'<figure><img src="{_thumbnail_url(path)}" alt="{name}"></figure>'
            for path in catalog.absolute_paths(chosen)
        )
        count = f"{len(members)} images in {split}"
        lines.append(f'<p class="rw-title">{name} <span>{count}</span></p>')
        lines.append(f'<div class="rw-line">{pictures}</div>')
    return Gallery(STYLE + "".join(lines))


def _thumbnail_url(path: str) -> str:
    with Image.open(path) as image:
        small = ImageOps.exif_transpose(image).convert("RGB")
        small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
