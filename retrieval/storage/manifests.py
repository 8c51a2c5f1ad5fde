"""Manifests: which objects a run consists of.

An object store has no rename, so a run appears there by one put. Its files are written first, each
to an object named by its SHA-256; then the manifest, ``manifest-00000007.json``, which lists them.
The manifest of the highest number is what the run is. It is created on the condition that there is
none of its number, so that of two writers who began with the same manifest one loses.
"""

import contextlib
import itertools
import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

from retrieval.errors import UserError
from retrieval.storage.objects import Listed, Objects

SCHEMA = 1  # of manifests
OBJECTS = "objects"  # folder of the files' contents
# What was superseded or never became part of a run is kept so long: someone may be reading it.
GRACE = timedelta(minutes=15)
TRIES = 10  # to read a manifest that is replaced again and again
_NAME = re.compile(r"manifest-(\d{8})\.json")


@dataclass(frozen=True)
class Entry:
    """One file of a run.

    Attributes:
        object: Name of the object, relative to the manifest.
        bytes: Its size.
        sha256: Digest of its content, hexadecimal.
    """

    object: str
    bytes: int
    sha256: str

    @classmethod
    def of_content(cls, sha256: str, size: int) -> "Entry":
        """Return the entry of a content."""
        return cls(f"{OBJECTS}/{sha256}", size, sha256)


Files = Mapping[str, Entry]  # path below the run's folder, with slashes -> what it holds


@dataclass(frozen=True)
class Manifest:
    """What a run is.

    Attributes:
        number: Counts the states of the run; the highest is the present one.
        id: Tells this manifest from any other, also of a run that was removed and made again.
        run: Files of the finished run; None if there is none.
        training: Files of a training that is not finished; None if there is none.
        schema: Version of this form.
    """

    number: int = 0
    id: str = ""
    run: Files | None = None
    training: Files | None = None
    schema: int = SCHEMA

    def has_content_of(self, other: "Manifest") -> bool:
        """Tell whether two manifests list the same files."""
        return (self.run, self.training) == (other.run, other.training)

    def objects(self) -> set[str]:
        """Return the names of all objects that it lists."""
        listed = (*(self.run or {}).values(), *(self.training or {}).values())
        return {entry.object for entry in listed}


NOTHING = Manifest()  # before the first manifest
_MANIFEST = TypeAdapter(Manifest)


def manifest_name(number: int) -> str:
    """Return the name of the object of a manifest."""
    return f"manifest-{number:08d}.json"


def manifest_numbers(names: Iterable[str]) -> list[int]:
    """Return the numbers of the manifests among names, ascending."""
    return sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))


def newest(objects: Objects, names: Iterable[str] | None = None) -> Manifest:
    """Read the manifest of the highest number.

    Args:
        objects: The run's objects.
        names: Names directly below its URL, if they were just listed. Defaults to None.

    Returns:
        The manifest; :data:`NOTHING` if there is none.

    Raises:
        UserError: It is damaged, or of a newer version.
    """
    for _ in range(TRIES):
        numbers = manifest_numbers(objects.list() if names is None else names)
        if not numbers:
            return NOTHING
        with contextlib.suppress(FileNotFoundError):  # the listing was old, or the run is removed
            return read_manifest(objects, numbers[-1])
        names = None
    raise UserError(f"{objects.url}: is changed all the time: try again")


def read_manifest(objects: Objects, number: int) -> Manifest:
    """Read the manifest of a number.

    Raises:
        FileNotFoundError: There is none.
        UserError: It is damaged, or of a newer version.
    """
    name = f"{objects.url}/{manifest_name(number)}"
    content = objects.read(manifest_name(number))
    try:
        values = json.loads(content)
        if values["schema"] > SCHEMA:
            raise UserError(f"{name}: written by a newer version: update the workbench")
        found = _MANIFEST.validate_python(values)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise UserError(f"{name}: damaged: remove it, or publish the run again") from error
    for path in (*(found.run or {}), *(found.training or {})):
        if path.startswith("/") or "\\" in path or ".." in path.split("/"):
            raise UserError(f"{name}: damaged: {path!r} is outside of the run")
    return found


def create_manifest(
    objects: Objects, base: Manifest, run: Files | None, training: Files | None
) -> Manifest:
    """Write the manifest that follows another one; its objects must be there.

    Raises:
        FileExistsError: Another writer has written one since.
    """
    made = Manifest(base.number + 1, uuid.uuid4().hex, run, training)
    content = json.dumps(_MANIFEST.dump_python(made), indent=1).encode()
    objects.create(manifest_name(made.number), content)
    return made


def remove_superseded(objects: Objects, present: Manifest) -> int:
    """Remove manifests, and objects that no manifest lists, once they are older than the grace.

    Only the clock of the store counts. Only the one who holds the run's claim calls this.

    Args:
        objects: The run's objects.
        present: The manifest that was just written.

    Returns:
        The number of objects removed.
    """
    names = objects.list()
    now = names[manifest_name(present.number)].changed

    def is_old(listed: Listed) -> bool:
        return now is not None and listed.changed is not None and now - listed.changed > GRACE

    # A manifest is superseded when its successor is written.
    numbers = manifest_numbers(names)
    pairs = itertools.pairwise(numbers)
    old = [number for number, after in pairs if is_old(names[manifest_name(after)])]
    kept = present.objects()
    for number in numbers:
        if number not in (*old, present.number):
            kept |= read_manifest(objects, number).objects()
    contents = objects.list(OBJECTS)
    unused = [
        f"{OBJECTS}/{name}"
        for name, listed in contents.items()
        if f"{OBJECTS}/{name}" not in kept and is_old(listed)
    ]
    objects.remove([*map(manifest_name, old), *unused])
    return len(old) + len(unused)
