"""The interface between a data set's files and everything else: a table with a row per image."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from retrieval.datasets.containment import check_names, contained_paths, linked_folders
from retrieval.datasets.judgments import Judgments, places
from retrieval.errors import UserError, counted
from retrieval.validation import PROTOCOLS, QUERY_GALLERY, Role, choices_of

SPLITS = ("train", "validation", "test")
Column = Sequence | np.ndarray  # of one value per image
ROLES = choices_of(Role)
COLUMNS = ("path", "label", "label_name", "split", "role")
TEXT_COLUMNS = ("path", "label_name", "split", "role", "super_name")  # dtype object
BOX_COLUMNS = ("box_x", "box_y", "box_w", "box_h")
OPTIONAL_COLUMNS = ("super_label", "super_name", *BOX_COLUMNS)
CONTRACT_COLUMNS = ("item", *COLUMNS, *OPTIONAL_COLUMNS)  # of items.parquet; others are metadata


@dataclass(frozen=True)
class Catalog:
    """A data set as a table: one row per image.

    Attributes:
        name: Name of the data set, e.g. ``"grocery"``.
        root: Folder that every ``path`` is relative to.
        items: DataFrame with a RangeIndex and the columns ``path`` (str, POSIX, relative to root),
            ``label`` (int64), ``label_name`` (str), ``split`` (``train``, ``test`` or, if the data
            set comes with one, ``validation``), ``role``
            (``query``, ``gallery`` or ``both``; used in the test split only) and, if the data set
            has them, ``super_label`` (int64), ``super_name`` (str) and ``box_x``, ``box_y``,
            ``box_w``, ``box_h`` (pixels), and columns of its own, such as ``camera``.
        query_gallery_title: Title of the data set's query -> gallery protocol, e.g.
            ``"cross-store"``; used only if the test split has query or gallery roles. Defaults to
            ``"query -> gallery"``.
        options: The options that the catalog was loaded with, which the run's config records.
            Defaults to none.
        remarks: What a user should know about how the data set was read, one line each: what was
            left out, and what may be meant otherwise. Defaults to nothing.
        linked_roots: Folders outside of the root that links to folders in it lead to, see
            :mod:`retrieval.datasets.containment`. Defaults to none.
        skipped: Path -> reason of images that were left out because they cannot be read. Defaults
            to none.
        keeps_singletons: Whether training classes of a single image are accepted. Defaults to
            False.
        training_copies: Number of test images whose file is that of a training image, which is
            counted when the images are checked. Defaults to 0.
        judgments: What is relevant to each query of the test split, by protocol, the primary one
            first; rows are those of ``items``. Defaults to none: the items of its class.
        kind: What reads somebody's own data: ``folder`` or ``csv``, a list. Defaults to "", for
            every other data set.
        has_labels: Whether the items have classes; without them each counts as its own. Defaults
            to True.
    """

    name: str
    root: Path
    items: pd.DataFrame
    query_gallery_title: str = PROTOCOLS[QUERY_GALLERY]
    options: dict = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    linked_roots: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    keeps_singletons: bool = False
    training_copies: int = 0
    judgments: tuple[Judgments, ...] = ()
    kind: str = ""
    has_labels: bool = True

    def __len__(self) -> int:
        return len(self.items)

    @property
    def has_validation(self) -> bool:
        """Whether the data set comes with a validation split of its own."""
        return bool((self.items["split"] == "validation").any())

    def split(self, name: str) -> pd.DataFrame:
        """Return the rows of one split, with the index of :attr:`items`.

        Args:
            name: ``train``, ``validation`` or ``test``.

        Raises:
            UserError: The split has no rows.
        """
        rows = self.items[self.items["split"] == name]
        if rows.empty:
            advice = ""
            if name == "train":
                advice = ": nothing to train on; --loss none evaluates a network as it is"
            raise UserError(f"data set {self.name!r} has no items in its {name!r} split{advice}")
        return rows

    def judgments_of(self, rows: pd.DataFrame) -> tuple[Judgments, ...]:
        """Return the judgments with the positions of some rows in place of the catalog's.

        Args:
            rows: Rows of :attr:`items`, such as the test split.
        """
        place = places(rows.index, len(self.items))
        return tuple(one.moved(place) for one in self.judgments)

    def absolute_paths(self, rows: pd.DataFrame | None = None) -> list[str]:
        """Return the absolute paths of images.

        Args:
            rows: Rows of :attr:`items`. Defaults to all of them.
        """
        root = str(self.root)
        return [f"{root}/{p}" for p in (self.items if rows is None else rows)["path"]]

    def contained_paths(self, rows: pd.DataFrame | None = None) -> list[str | None]:
        """Return the absolute paths of images to make pictures of, for others to see.

        Args:
            rows: Rows of :attr:`items`. Defaults to all of them.

        Returns:
            One path per row; None if it leads out of the root.
        """
        names = (self.items if rows is None else rows)["path"].astype(str)
        return contained_paths(self.root, names, self.linked_roots)


def make_catalog(
    name: str,
    root: Path,
    *,
    path: Column,
    label: Column,
    label_name: Column,
    split: Column,
    role: Column | str = "both",
    super_label: Column | None = None,
    super_name: Column | None = None,
    boxes: np.ndarray | None = None,
    columns: Mapping[str, Column] | None = None,
    metadata: pd.DataFrame | None = None,
    query_gallery_title: str = PROTOCOLS[QUERY_GALLERY],
    options: dict | None = None,
    remarks: Sequence[str] = (),
    keeps_singletons: bool = False,
    judgments: Sequence[Judgments] = (),
) -> Catalog:
    """Build a catalog from its columns and check them.

    Args:
        name: Name of the data set in the registry.
        root: Folder that the paths are relative to.
        path: POSIX path of each of n images, relative to ``root``.
        label: Class of each image, an integer.
        label_name: Readable name of each image's class.
        split: ``train``, ``validation`` or ``test`` for each image.
        role: ``query``, ``gallery`` or ``both`` for each image, or one value for all. Defaults to
            ``both``.
        super_label: Super class of each image, an integer. By default, there are none.
        super_name: Readable name of each image's super class. By default, there are none.
        boxes: Bounding boxes that the images are cropped to, shape (n, 4): x, y, width and height
            in pixels. By default, images are used whole.
        columns: Name -> value of each image, for columns of the data set's own such as ``camera``.
            Defaults to none.
        metadata: Further columns with types of their own, one row per image, see
            :mod:`retrieval.datasets.metadata`. Defaults to none.
        query_gallery_title: Title of the query -> gallery protocol. Defaults to
            ``"query -> gallery"``.
        options: The loader's options. Defaults to none.
        remarks: Lines about how the data set was read. Defaults to none.
        keeps_singletons: Whether training classes of a single image are accepted. Defaults to
            False.
        judgments: What is relevant to each query of the test split, by protocol, the primary one
            first. Defaults to none: the items of its class.

    Returns:
        The catalog, with the rows in the given order.

    Raises:
        UserError: There are no images, a path leads out of the root, a split or role is unknown, a
            class is in two splits, or there are queries without a gallery.
    """
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
    )
    if super_label is not None:
        items["super_label"] = np.asarray(super_label)
    if super_name is not None:
        items["super_name"] = np.asarray(super_name)
    if boxes is not None:
        items[list(BOX_COLUMNS)] = boxes
    for column, values in (columns or {}).items():
        items[column] = list(values)
    items = plain_text(items)
    if metadata is not None:
        items = pd.concat([items, metadata.reset_index(drop=True)], axis=1)
    for column, valid in (("split", SPLITS), ("role", ROLES)):
        bad = ~items[column].isin(valid)
        if bad.any():
            row = int(np.argmax(bad))
            raise UserError(
                f"data set {name!r}: row {row} has {column} {items[column][row]!r}: "
                f"valid: {', '.join(valid)}"
            )
    check_names(root, items["path"], f"data set {name!r}")
    check_class_disjoint(name, items)
    check_roles(name, items)
    return Catalog(
        name,
        Path(root),
        items,
        query_gallery_title,
        options or {},
        tuple(remarks),
        linked_folders(root, items["path"]),
        keeps_singletons=keeps_singletons,
        judgments=tuple(judgments),
    )


def check_roles(name: str, items: pd.DataFrame) -> None:
    """Refuse a test split of queries without a gallery, or of a gallery without queries.

    Args:
        name: Name of the data set, for the message.
        items: The catalog's table.

    Raises:
        UserError: Names the role that is missing.
    """
    roles = set(items.loc[items["split"] == "test", "role"])
    if len(roles) == 1 and "both" not in roles:
        (given,) = roles
        lacking = "query" if given == "gallery" else "gallery"
        raise UserError(
            f"data set {name!r}: all test items have the role {given!r}, so there is no {lacking}: "
            f"add items of the role {lacking!r} or 'both'"
        )


def number_classes(names: Iterable[str]) -> dict[str, int]:
    """Give every class the integer that is its label.

    Args:
        names: Names of the classes, in any order; they may be repeated.

    Returns:
        Name -> the number that it is, if all are integers as Python writes them (7, not 007), or
        else its position in sorted order.
    """
    known = sorted(set(names))
    if all(re.fullmatch(r"0|-?[1-9][0-9]{0,17}", name) for name in known):
        return {name: int(name) for name in known}
    return {name: label for label, name in enumerate(known)}


def crop_boxes(items: pd.DataFrame) -> np.ndarray | None:
    """Return the bounding boxes that images are cropped to, or None if images are used whole.

    Args:
        items: n rows of a catalog or of ``items.parquet``.

    Returns:
        Float32, shape (n, 4): x, y, width and height in pixels. None without numeric ``box_*``
        columns.
    """
    if not set(BOX_COLUMNS) <= set(items.columns):
        return None
    boxes = items[list(BOX_COLUMNS)]
    if not all(pd.api.types.is_numeric_dtype(kind) for kind in boxes.dtypes):
        return None  # columns of another tool, imported as text
    return boxes.to_numpy(np.float32)


def plain_text(items: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose text columns hold Python strings, whatever dtype they were read as."""
    return items.astype({column: object for column in TEXT_COLUMNS if column in items})


def check_class_disjoint(name: str, items: pd.DataFrame) -> None:
    """Refuse a class that is in more than one split.

    Args:
        name: Name of the data set, for the message.
        items: The catalog's table.

    Raises:
        UserError: Names the first class in two splits.
    """
    for one, other in itertools.combinations(SPLITS, 2):
        seen = set(items.loc[items["split"] == one, "label"])
        shared = items[(items["split"] == other) & items["label"].isin(seen)]
        if not shared.empty:
            first = shared.iloc[0]
            classes = counted(shared["label"].nunique(), "class is", "classes are")
            raise UserError(
                f"data set {name!r}: {classes} in both {one} and {other} "
                f"(first: {first['label_name']!r}); retrieval needs class-disjoint splits"
            )
