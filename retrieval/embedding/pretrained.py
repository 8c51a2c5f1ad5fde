"""Pretrained weights of backbones: which are on this disk, and fetching those that are not.

A training downloads what it can by itself. A compute node without network cannot, so the weights
are fetched ahead of time, to the cache that a training looks in.
"""

import contextlib
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from pooch.hashes import hash_matches

from retrieval.datasets.download import download
from retrieval.errors import UserError, unknown_option
from retrieval.files import atomic_path, file_lock
from retrieval.models import BACKBONES
from retrieval.models.packages import (
    PACKAGES,
    find_packaged_weights,
    install_command,
    packaged_weights,
)
from retrieval.models.presets import (
    HUB,
    fetched_elsewhere,
    find_preset,
    is_preset,
    read_preset,
)
from retrieval.models.published_presets import published_presets
from retrieval.validation import ImageSize

COPY = 1 << 20  # bytes


@dataclass(frozen=True, kw_only=True)
class WeightsArchive:
    """A public archive that holds the weights of one backbone in one file.

    Attributes:
        url: Address to download it from.
        digest: ``"sha256:..."``.
        size: Size of the archive in bytes.
        unpacked: Size in bytes to reserve for the file of weights.
    """

    url: str
    digest: str
    size: int
    unpacked: int


# All other backbones are fetched by the library that they come from, or need nothing.
ARCHIVES = {
    "inception_v1": WeightsArchive(
        url="http://download.tensorflow.org/models/inception_v1_2016_08_28.tar.gz",
        # TF-slim published no digest. This one, and the size, are those that the Open Model Zoo
        # (openvinotoolkit/open_model_zoo, models/public/googlenet-v1-tf/model.yml) recorded.
        digest="sha256:7a620c430fcaba8f8f716241f5148c4c47c035cce4e49ef02cfbe6cd1adf96a6",
        size=24_642_554,
        unpacked=30_000_000,
    )
}


def missing_weights(
    backbone: str, weights: str | None = "imagenet", image_size: ImageSize | None = None
) -> str | None:
    """Return the command that fetches the weights of a backbone, if they are not on this disk.

    Args:
        backbone: A key of :data:`BACKBONES`, or ``hub:NAME``.
        weights: The setting of that name: ``"imagenet"``, ``"none"`` or a path. Defaults to
            "imagenet".
        image_size: The setting of that name: some backbones have other weights for other sizes.
            Defaults to None, the size of the registry.

    Returns:
        The command; None if nothing is to be fetched.
    """
    if weights != "imagenet":
        return None
    if is_preset(backbone):
        here = find_preset(backbone.removeprefix(HUB)) is not None
        return None if here else f"retrieval fetch weights {backbone}"
    if _without_files(backbone):
        return None
    if find_weights(backbone, image_size) is not None:
        return None
    if backbone in PACKAGES:
        return install_command(backbone)
    entry = BACKBONES[backbone]
    side = entry.weights_side(image_size)
    size = "" if side == entry.image_size else f" --image-size {side}"
    return f"retrieval fetch weights {backbone}{size}"


def find_weights(backbone: str, image_size: ImageSize | None = None) -> Path | None:
    """Return the file or folder of a backbone's pretrained weights; None if there is none here.

    Args:
        backbone: A key of :data:`BACKBONES`.
        image_size: Size of the input. Defaults to None, that of the registry.
    """
    if backbone in PACKAGES:
        return find_packaged_weights(backbone)
    entry = BACKBONES[backbone]
    if entry.weights_files is None:
        return None
    pattern = entry.weights_files.format(side=entry.weights_side(image_size))
    return next(iter(sorted(entry.weights_folder().glob(pattern))), None)


def fetch_weights(
    backbone: str, archive: Path | None = None, image_size: ImageSize | None = None
) -> str:
    """Fetch the pretrained weights of a backbone, unless they are there.

    Those of a public archive are downloaded (an interrupted download continues), compared with the
    archive's digest, loaded into the network once, and only then put in place. All others are
    fetched by the library that the backbone comes from.

    Args:
        backbone: A key of :data:`BACKBONES`.
        archive: A copy of the public archive. Defaults to None: it is downloaded.
        image_size: Size of the input: some backbones have other weights for other sizes. Defaults
            to None, the size of the registry.

    Returns:
        What a user may want to know: where the weights are, or why there is nothing to fetch.

    Raises:
        UserError: An unknown backbone, no connection, an archive with other content than the
            published one, an archive for a backbone that is not in one, or weights whose package is
            not installed.
    """
    if is_preset(backbone):
        if archive is not None:
            raise UserError("--archive goes with other weights: put a preset's files in a folder")
        return _fetch_preset(backbone)
    if backbone not in BACKBONES:
        raise unknown_option("backbone", backbone, BACKBONES)
    entry, public = BACKBONES[backbone], ARCHIVES.get(backbone)
    if archive is not None and public is None:
        raise UserError(
            f"--archive goes with the weights of {', '.join(ARCHIVES)}; those of {backbone} are "
            "files of another kind: train with --weights FILE"
        )
    if backbone in PACKAGES:
        return f"nothing to fetch: {backbone} has its weights, {packaged_weights(backbone)}"
    if _without_files(backbone):
        return f"{backbone} has no pretrained weights: nothing to fetch"
    if public is not None:
        _fetch_archive(backbone, public, archive)
    else:
        # Its library downloads and checks them.
        entry.build(image_size or entry.image_size, "imagenet")
    return f"the weights of {backbone} are ready in {entry.weights_folder()}"


def _fetch_preset(name: str) -> str:
    """Download all files of a preset, its tokenizer too, unless they are here."""
    short = name.removeprefix(HUB)
    if (folder := find_preset(short)) is not None:
        return f"{name} is ready in {folder}"
    published = published_presets()
    if short not in published:
        read_preset(name)  # says what is wrong with the name
    import kagglehub  # comes with keras-hub

    try:
        folder = Path(kagglehub.model_download(published[short].handle))
    except Exception as error:  # of its many layers, any
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(
            f"cannot download {name}: {fetched_elsewhere(published[short])} ({reason})"
        ) from error
    if find_preset(short) is None:
        raise UserError(
            f"keras-hub publishes {short} as {folder.parent.name}: give --backbone hub:{folder}"
        )
    return f"{name} is ready in {folder}"


def _without_files(backbone: str) -> bool:
    """Tell whether a backbone has no pretrained weights at all."""
    return BACKBONES[backbone].weights_files is None and backbone not in PACKAGES


def _fetch_archive(backbone: str, public: WeightsArchive, archive: Path | None) -> None:
    """Put the file of weights in its place, complete and checked, or leave everything as it was."""
    entry = BACKBONES[backbone]
    target = entry.weights_folder() / str(entry.weights_files)
    if target.exists():
        _check_loads(backbone, target)
        return
    with file_lock(target.parent / f".{target.name}.lock"):
        if target.exists():  # another process has fetched it meanwhile
            return
        file = archive
        if file is None:
            file = download(
                public.url,
                target.parent / ".downloads" / public.url.rsplit("/", 1)[-1],
                digest=public.digest,
                unpacked=public.unpacked,
            )
        else:
            _check_copy(file, public)
        with atomic_path(target) as temporary:
            _extract(file, target.name, temporary)
            _check_loads(backbone, temporary)
        if archive is None:
            file.unlink()
            with contextlib.suppress(OSError):  # it holds other downloads
                file.parent.rmdir()


def _check_copy(file: Path, public: WeightsArchive) -> None:
    if not file.is_file():
        raise UserError(f"no archive at {file}: give the path of a copy of {public.url}")
    if (size := file.stat().st_size) != public.size:
        raise UserError(f"{file}: {size:,} bytes, where {public.url} has {public.size:,}")
    if not hash_matches(file, public.digest):
        raise UserError(f"{file}: not the published content of {public.url}: download it again")


def _extract(archive: Path, name: str, target: Path) -> None:
    """Write the one member of an archive that has a name; folders do not count."""
    try:
        with tarfile.open(archive) as members:
            member = next((m for m in members if m.isfile() and Path(m.name).name == name), None)
            content = None if member is None else members.extractfile(member)
            if content is None:
                raise UserError(f"{archive}: holds no {name}")
            with target.open("wb") as file:
                while block := content.read(COPY):
                    file.write(block)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{archive}: damaged ({error}): fetch it again") from error


def _check_loads(backbone: str, file: Path) -> None:
    entry = BACKBONES[backbone]
    entry.build(entry.image_size, str(file))
