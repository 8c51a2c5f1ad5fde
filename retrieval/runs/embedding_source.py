"""What a file of embeddings was made with, so that nobody compares vectors of two networks.

An HDF5 or Parquet file carries it in its metadata; beside ``x.npy`` stands ``x.source.json``.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import pyarrow.parquet as pq

from retrieval.errors import UserError
from retrieval.runs.embedding_files import HDF5

KEY = "retrieval"  # of the metadata of a file


@dataclass(frozen=True)
class Source:
    """The network that embedded, and how.

    Attributes:
        run: Folder of the run, as an absolute path.
        network: Fingerprint of the weights and the architecture: equal for equal networks.
        step: Step of the checkpoint; None for an untrained network.
        width: Dimension D of the embeddings.
        distance: Distance of the run's evaluation, e.g. ``cosine``.
        image_size: Size of the network input, as the setting.
        pre_crop: Size before the center is cropped, as the setting; None for no crop.
        test_time: Test-time views, e.g. ``flip``.
        test_time_mean: Average over the views.
        images: Folder that the paths of the embedded images are relative to. Defaults to the empty
            text: not known.
        linked_roots: Folders outside of it that its own links lead to, see
            :func:`retrieval.datasets.containment.linked_folders`. Defaults to none.
    """

    run: str
    network: str
    step: int | None
    width: int
    distance: str
    image_size: str
    pre_crop: str | None
    test_time: str
    test_time_mean: str
    images: str = ""
    linked_roots: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the source as JSON."""
        return json.dumps(dataclasses.asdict(self))

    @property
    def words(self) -> str:
        """The run and the checkpoint in words."""
        return f"{self.run}" + ("" if self.step is None else f", step {self.step}")

    def how_embedded(self) -> dict[str, Any]:
        """Return the settings that may differ between embeddings of one network."""
        names = ("image_size", "pre_crop", "test_time")
        return {name: getattr(self, name) for name in names} | (
            {} if self.test_time == "none" else {"test_time_mean": self.test_time_mean}
        )


def parse_source(text: str | bytes, where: Path) -> Source:
    """Read a source from JSON.

    Args:
        text: The JSON.
        where: The file it is from, for the message.

    Raises:
        UserError: It is damaged, or of a newer version.
    """
    try:
        return source_from(json.loads(text))
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{where}: what it says about its network cannot be read: embed the images again"
        ) from error


def source_from(content: Mapping[str, Any]) -> Source:
    """Return a source from its fields, as JSON has them.

    Raises:
        TypeError: A field is missing, unknown, or of another type.
        ValueError: A folder has characters that no folder can have.
    """
    source = Source(**content)
    source = dataclasses.replace(source, linked_roots=tuple(source.linked_roots))
    check_folders(source.images, *source.linked_roots)
    return source


def check_folders(*folders: str) -> None:
    """Check that what a file records as folders can be folders.

    Raises:
        TypeError: One is no text.
        ValueError: One has characters that no folder can have.
    """
    for folder in folders:
        os.path.realpath(folder)


def source_path(file: Path) -> Path | None:
    """Return the file beside a file of embeddings that says where they are from; None if inside."""
    return file.with_suffix(".source.json") if file.suffix.lower() == ".npy" else None


def read_source(file: Path) -> Source | None:
    """Return what a file of embeddings was made with; None if it does not say.

    Args:
        file: An existing file of embeddings.

    Raises:
        UserError: What it says is damaged.
    """
    beside, suffix = source_path(file), file.suffix.lower()
    text: str | bytes | None = None
    if beside is not None:
        text = beside.read_bytes() if beside.exists() else None
    elif suffix == ".parquet":
        text = (pq.read_schema(file).metadata or {}).get(KEY.encode())
    elif suffix in HDF5:
        with h5py.File(file, "r") as opened:
            text = opened.attrs.get(KEY)
    return None if text is None else parse_source(text, file)
