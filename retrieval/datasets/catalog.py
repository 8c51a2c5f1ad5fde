"""The one interface between files on disk and everything else: a table of items."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from retrieval.errors import UserError, counted

SPLITS = ("train", "test")
ROLES = ("query", "gallery", "both")
COLUMNS = ("path", "label", "label_name", "split", "role")
TEXT_COLUMNS = ("path", "label_name", "split", "role", "super_name")  # dtype object
BOX_COLUMNS = ("box_x", "box_y", "box_w", "box_h")
OPTIONAL_COLUMNS = ("super_label", "super_name", *BOX_COLUMNS)


@dataclass(frozen=True)
class Catalog:
    """A data set as a table: one row per image.

    Attributes:
        name: The data set's name in the registry, e.g. ``"grocery"``.
        root: Folder that every ``path`` is relative to.
        items: DataFrame with a RangeIndex and the columns ``path`` (str, POSIX, relative to root),
            ``label`` (int64), ``label_name`` (str), ``split`` (``train`` or ``test``), ``role``
            (``query``, ``gallery`` or ``both``; matters in the test split only) and, where the set
            has them, ``super_label`` (int64), ``super_name`` (str) and ``box_x/y/w/h`` (pixels).
        query_gallery_title: What the query -> gallery protocol of this set is called, e.g.
            ``"cross-store"``; used only when the test split has query or gallery roles.
        options: The options the catalog was loaded with; they go into the run's config.
    """

    name: str
    root: Path
    items: pd.DataFrame
    query_gallery_title: str = "query -> gallery"
    options: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    def split(self, name: str) -> pd.DataFrame:
        """Return the rows of one split, keeping the catalog's index.

        Raises:
            UserError: The split has no rows.
        """
        rows = self.items[self.items["split"] == name]
        if rows.empty:
            raise UserError(f"data set {self.name!r} has no items in its {name!r} split")
        return rows

    def has_roles(self) -> bool:
        """Tell whether the test split distinguishes queries from gallery items."""
        return bool((self.items.loc[self.items["split"] == "test", "role"] != "both").any())

    def absolute_paths(self, rows: pd.DataFrame | None = None) -> list[str]:
        """Return the absolute image paths of the given rows (default: all)."""
        root = str(self.root)
        return [f"{root}/{p}" for p in (self.items if rows is None else rows)["path"]]


def make_catalog(
    name: str,
    root: Path,
    *,
    path: Sequence[str],
    label: Sequence[int],
    label_name: Sequence[str],
    split: Sequence[str],
    role: Sequence[str] | str = "both",
    query_gallery_title: str = "query -> gallery",
    options: dict | None = None,
    **extra: Sequence,
) -> Catalog:
    """Build a catalog from columns, checking values and class-disjointness.

    Args:
        name: Registry name of the data set.
        root: Folder the paths are relative to.
        path: Image paths, POSIX, relative to ``root``.
        label: Integer class of each item.
        label_name: Readable class of each item.
        split: ``train`` or ``test`` per item.
        role: ``query``, ``gallery`` or ``both`` per item, or one value for all.
        query_gallery_title: See :class:`Catalog`.
        options: See :class:`Catalog`.
        **extra: Any of the optional columns (``super_label``, ``super_name``, ``box_*``).

    Returns:
        The catalog, rows in the given order.

    Raises:
        UserError: No items, an unknown split, role or column, or a class in both splits.
    """
    unknown = set(extra) - set(OPTIONAL_COLUMNS)
    if unknown:
        raise UserError(f"unknown catalog columns {sorted(unknown)}: valid: {OPTIONAL_COLUMNS}")
    if len(path) == 0:
        raise UserError(f"data set {name!r} at {root}: no images found")
    items = pd.DataFrame(
        {
            "path": list(path),
            "label": np.asarray(label, np.int64),
            "label_name": list(label_name),
            "split": list(split),
            "role": [role] * len(path) if isinstance(role, str) else list(role),
        }
        | {key: np.asarray(values) for key, values in extra.items()}
    )
    items = plain_text(items)
    for column, valid in (("split", SPLITS), ("role", ROLES)):
        bad = ~items[column].isin(valid)
        if bad.any():
            row = int(np.argmax(bad))
            raise UserError(
                f"data set {name!r}: row {row} has {column} {items[column][row]!r}: "
                f"valid: {', '.join(valid)}"
            )
    check_class_disjoint(name, items)
    return Catalog(name, Path(root), items, query_gallery_title, options or {})


def crop_boxes(items: pd.DataFrame) -> np.ndarray | None:
    """Return the boxes that images are cropped to, or None where they are used whole.

    Args:
        items: Rows of a catalog or of ``items.parquet``.

    Returns:
        float32, (n, 4): x, y, width, height in pixels; None without numeric ``box_*`` columns.
    """
    if not set(BOX_COLUMNS) <= set(items.columns):
        return None
    boxes = items[list(BOX_COLUMNS)]
    if not all(pd.api.types.is_numeric_dtype(kind) for kind in boxes.dtypes):
        return None  # another tool's columns, imported as text
    return boxes.to_numpy(np.float32)


def plain_text(items: pd.DataFrame) -> pd.DataFrame:
    """Return the table with its text columns as Python strings, whatever they were read as."""
    return items.astype({column: object for column in TEXT_COLUMNS if column in items})


def check_class_disjoint(name: str, items: pd.DataFrame) -> None:
    """Refuse a split in which a class is both trained on and tested on.

    Raises:
        UserError: Names the first shared class.
    """
    in_train = set(items.loc[items["split"] == "train", "label"])
    shared = items[(items["split"] == "test") & items["label"].isin(in_train)]
    if not shared.empty:
        first = shared.iloc[0]
        classes = counted(shared["label"].nunique(), "class is", "classes are")
        raise UserError(
            f"data set {name!r}: {classes} in both train and test "
            f"(first: {first['label_name']!r}); retrieval needs class-disjoint splits"
        )
