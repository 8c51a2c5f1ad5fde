"""What the registry knows about a data set."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from retrieval.datasets.catalog import Catalog


@dataclass(frozen=True)
class Dataset:
    """One line of the registry: how to load a data set, how to get it, and its plain facts.

    Attributes:
        name: Registry name, also the default folder ``data/<name>``.
        title: Readable name.
        load: ``load(root, **options) -> Catalog``; its keyword-only parameters are the options.
        fetch: ``fetch(root, archive) -> None`` puts the data set at ``root``, from ``archive`` if
            that is not None, else by download; None where there is nothing to fetch.
        how_to_get: One line: the command, or the manual steps where no download exists.
        license: License or terms of use, in a few words.
        source: Web page or paper.
        n_images: Images in total; None where it depends on the user's files.
        n_classes: Classes in total; None as above.
        splits: The class-disjoint split in words.
        download: Size of the download in words; empty where there is none.
        needs: Lists and folders under ``root`` that all exist when the data set is there; a tuple
            names alternatives.
        unpacked: The folder that the public archive makes; ``root`` itself may be that folder.
        mirror: Whether a mirrored image still shows its class, so that flipping augments.
        needs_files: False for data sets that make their own images on first use.
        small_classes: Whether training classes of one image are accepted as part of an official
            split.
        ks: The K of Recall@K that the field reports on it.
    """

    name: str
    title: str
    load: Callable[..., Catalog]
    fetch: Callable[[Path, Path | None], None] | None = None
    how_to_get: str = ""
    license: str = ""
    source: str = ""
    n_images: int | None = None
    n_classes: int | None = None
    splits: str = ""
    download: str = ""
    needs: tuple[str | tuple[str, ...], ...] = (".",)
    unpacked: str = "."
    mirror: bool = True
    needs_files: bool = True
    small_classes: bool = False
    ks: tuple[int, ...] = (1, 2, 4, 8)

    @property
    def command(self) -> str:
        """What to do to get it, short enough for a table."""
        if self.n_images is None:
            return "--data DIR"
        if self.needs_files:
            return f"retrieval fetch {self.name}" + ("" if self.fetch else " says how")
        return "nothing: made on first use"

    def missing(self, root: Path) -> list[str]:
        """Return what of :attr:`needs` is not there; all of it where nothing is."""
        absent = []
        for base in dict.fromkeys((root / self.unpacked, root)):
            wanted = [(need,) if isinstance(need, str) else need for need in self.needs]
            absent.append([n[0] for n in wanted if not any((base / path).exists() for path in n)])
        return min(absent, key=len)

    def is_begun(self, root: Path) -> bool:
        """Tell whether at least a part of the data set is there, so that loading it says more."""
        return len(self.missing(root)) < len(self.needs)
