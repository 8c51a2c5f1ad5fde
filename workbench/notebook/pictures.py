"""Pictures of a data set, before anything is trained."""

import base64
import html
import io

import numpy as np
from PIL import Image, ImageOps

from retrieval.datasets.catalog import Catalog
from workbench.components.inline_gallery import STYLE, Gallery

SIDE = 96


def sample_grid(
    catalog: Catalog, split: str = "test", *, classes: int = 6, per_class: int = 8, seed: int = 0
) -> Gallery:
    """Show some images of some classes, one class per line.

    Args:
        catalog: The data set.
        split: ``train`` or ``test``.
        classes: Lines.
        per_class: Images per line, at most.
        seed: Seeds the choice.

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
            f'<figure><img src="{_data(path)}" alt="{name}"></figure>'
            for path in catalog.absolute_paths(chosen)
        )
        count = f"{len(members)} images in {split}"
        lines.append(f'<p class="rw-title">{name} <span>{count}</span></p>')
        lines.append(f'<div class="rw-line">{pictures}</div>')
    return Gallery(STYLE + "".join(lines))


def _data(path: str) -> str:
    with Image.open(path) as image:
        small = ImageOps.exif_transpose(image).convert("RGB")
        small.thumbnail((SIDE, SIDE))
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
