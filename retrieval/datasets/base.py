"""The registry's entry of a data set."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from retrieval.datasets.catalog import Catalog
from retrieval.validation import DEFAULT_KS


@dataclass(frozen=True)
class Dataset:
    """How to load a data set, how to get it, and its facts.

    Attributes:
        name: Name in the registry, which is also the default folder ``data/<name>``.
        title: Name as people write it, e.g. in tables.
        load: ``load(root, **options) -> Catalog``. Its keyword-only parameters are the data set's
            options; their annotations, defaults and lines in ``Args:`` make the command line's
            flags.
        fetch: ``fetch(root, archive, repair=False) -> None`` writes the data set to ``root``, from
            ``archive`` if that is not None, or else by download; with ``repair``, it fetches again
            what is missing or damaged there. Defaults to None: nothing can be fetched.
        how_to_get: One line: the command, or the manual steps if there is no download.
        license: License or terms of use, in a few words.
        source: Web page or paper.
        n_images: Number of images. Defaults to None: it depends on the user's files.
        n_classes: Number of classes. Defaults to None, likewise, or it is not published.
        splits: The class-disjoint split in words.
        download: Size of the download in words. Defaults to no text: there is no download.
        needs: Files and folders under ``root`` that must all exist; a tuple names alternatives.
            Defaults to the folder itself.
        unpacked: The folder that the public archive creates; ``root`` itself may be that folder.
            Defaults to ``"."``.
        flip: Whether a flipped image still shows its class, so that horizontal flips are valid
            augmentation. Defaults to True.
        needs_files: Whether the images must exist before they are loaded. Defaults to True; False
            for data sets that create their images on first use.
        small_classes: Whether training classes of a single image are accepted, because the official
            split has them. Defaults to False.
        ks: The K of Recall@K that the field reports on the data set. Defaults to (1, 2, 4, 8,
            16).
        junk_same: Columns of the official protocol: test items of the query's class that share its
            values of all of them are left out of its ranking. Defaults to none.
        exclude_same: Columns likewise, of items that are left out whatever their class. Defaults to
            none.
        metrics: Metrics of the official evaluation that are computed on request only, such as
            ``map_trapezoid``. Defaults to none.
    """

    name: str
    title: str
    load: Callable[..., Catalog]
    fetch: Callable[..., None] | None = None
    how_to_get: str = ""
    license: str = ""
    source: str = ""
    n_images: int | None = None
    n_classes: int | None = None
    splits: str = ""
    download: str = ""
    needs: tuple[str | tuple[str, ...], ...] = (".",)
    unpacked: str = "."
    flip: bool = True
    needs_files: bool = True
    small_classes: bool = False
    ks: tuple[int, ...] = DEFAULT_KS
    junk_same: tuple[str, ...] = ()
    exclude_same: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """How to get the data set, short enough for a table."""
        if self.n_images is None:
            return "--data DIR"
        if self.needs_files:
            return f"retrieval fetch {self.name}" + ("" if self.fetch else " says how")
        return "nothing: made on first use"

    def missing(self, root: Path) -> list[str]:
        """Return what is missing of :attr:`needs` under ``root``."""
        absent = []
        for base in dict.fromkeys((root / self.unpacked, root)):
            wanted = [(need,) if isinstance(need, str) else need for need in self.needs]
            absent.append([n[0] for n in wanted if not any((base / path).exists() for path in n)])
        return min(absent, key=len)

    def is_begun(self, root: Path) -> bool:
        """Tell whether part of the data set is there, so that loading says what is missing."""
        return len(self.missing(root)) < len(self.needs)
