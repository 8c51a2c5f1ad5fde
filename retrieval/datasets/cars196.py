"""Cars196: 16,185 photos of 196 models of cars (Krause et al., 2013).

Split by class as in Song et al., CVPR 2016: classes 1 to 98 are the training split, 99 to 196 the
test split. The annotations' own ``test`` flag is a classification split, with every class on both
sides.
"""

from pathlib import Path

import numpy as np

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.official import Counts, load_official
from retrieval.errors import UserError

COUNTS = Counts(train_images=8054, test_images=8131, train_classes=98, test_classes=98)
ANNOTATIONS = "cars_annos.mat"
CORNERS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")


def load(root: Path, *, boxes: bool = False) -> Catalog:
    """Load ``root/cars_annos.mat`` and ``root/car_ims/``.

    Args:
        root: The data set's folder.
        boxes: Whether to crop each image to its bounding box. Defaults to False.

    Returns:
        The catalog; labels are 1 to 196.

    Raises:
        UserError: The annotations are missing or malformed, or the counts are not official.
    """
    return load_official(
        "cars196",
        root,
        COUNTS,
        sources=[root / ANNOTATIONS],
        build=lambda counts: _build(root, counts, boxes=boxes),
        options={"boxes": boxes},
    )


def _build(root: Path, counts: Counts, *, boxes: bool) -> Catalog:
    rows, names = read_annotations(root / ANNOTATIONS)
    labels = rows["class"].astype(np.int64)
    left, top, right, bottom = (rows[corner].astype(np.float64) for corner in CORNERS)
    # Corners count pixels from 1 and belong to the box.
    corners_and_sizes = np.column_stack([left - 1, top - 1, right - left + 1, bottom - top + 1])
    return make_catalog(
        "cars196",
        root,
        path=[str(path) for path in rows["relative_im_path"]],
        label=labels,
        label_name=[str(names[label - 1]) for label in labels],
        split=["train" if label <= counts.train_classes else "test" for label in labels],
        boxes=corners_and_sizes if boxes else None,
    )


def read_annotations(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the annotations from their MATLAB file.

    Args:
        path: ``cars_annos.mat``.

    Returns:
        The records ``annotations``, shape (n,), and the names of the classes in the order of their
        labels, which start at 1.

    Raises:
        UserError: The file is not the expected one.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path, squeeze_me=True)
        rows, names = content["annotations"], np.atleast_1d(content["class_names"])
        missing = {"relative_im_path", "class", *CORNERS} - set(rows.dtype.names or ())
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise UserError(f"{path}: not the annotations of Cars196 ({error})") from error
    if missing:
        raise UserError(f"{path}: the annotations lack {', '.join(sorted(missing))}")
    return rows, names


ENTRY = Dataset(
    name="cars196",
    title="Cars196 (Stanford Cars)",
    load=load,
    how_to_get=(
        "its original site is gone: from a mirror (github.com/pytorch/vision/issues/7545 lists "
        "some) take car_ims.tgz (md5 d5c8f0aa497503f355e17dc7886c3f14) and cars_annos.mat (md5 "
        "b407c6086d669747186bd1d764ff9dbc); then `mkdir -p data/cars196 && tar -xzf car_ims.tgz "
        "-C data/cars196 && cp cars_annos.mat data/cars196`"
    ),
    license="non-commercial research",
    source="Krause et al., 3D Object Representations for Fine-Grained Categorization, 2013",
    n_images=COUNTS.images,
    n_classes=COUNTS.classes,
    splits="classes 1-98 train, 99-196 test",
    download="about 2 GB",
    needs=(ANNOTATIONS, "car_ims"),
)
