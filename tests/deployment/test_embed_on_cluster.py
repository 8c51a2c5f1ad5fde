"""The actors of a Ray cluster embed images in parts: the vectors are those of one process."""

import contextlib
import json
import os
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest

from retrieval import open_run
from retrieval.cluster import Node, Outcome
from retrieval.deployment import embed_to_file as module
from retrieval.deployment.embed_to_file import Actors, embed_to_file
from retrieval.deployment.gallery import open_gallery
from retrieval.deployment.image_parts import part_worker
from retrieval.deployment.index import write_index
from retrieval.errors import UserError
from retrieval.experiment.pipeline import train
from retrieval.models import conv4
from retrieval.runs.embedding_folder import open_embedding_folder
from retrieval.runs.embedding_parts import Parts
from retrieval.runs.importing import import_files
from tests.deployment.helpers import files_of, refusal

pytestmark = pytest.mark.slow  # what the tests share takes long

SEVEN = 7  # images per part: 48 images are seven parts
WIDTHS = (32, 64, 128, 256)  # of the blocks of conv4
ON_RAY = Actors("ray", count=2)


@pytest.fixture(scope="module", autouse=True)
def _whole_network():
    """Have all blocks of conv4 in this process too, as the actors have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv4, "WIDTHS", WIDTHS)
        yield


@pytest.fixture(scope="module")
def trained(settings, tmp_path_factory):
    """The folder of a trained run."""
    made = settings.with_(steps=2, eval_every=2)
    return train(made, runs=tmp_path_factory.mktemp("runs"), name="whole", progress=False)


@pytest.fixture
def listing(settings, tmp_path):
    """Return a list of the images, twice each, with one that is missing and one damaged."""
    root = tmp_path / "images"
    shutil.copytree(settings.data, root)
    (root / "class 1/0.png").write_bytes(b"no image")
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    (root / "class 2/1.png").unlink()
    copies = [f"{name.removesuffix('.png')} {copy}.png" for name in names for copy in range(2)]
    for copy in copies:
        source = root / f"{copy[:-6]}.png"
        if source.exists():
            os.link(source, root / copy)
    table = pd.DataFrame({"path": copies, "label": [copy.split("/")[0] for copy in copies]})
    table["price"] = np.arange(len(table)) / 4
    table.to_csv(root / "list.csv", index=False)
    return root / "list.csv"


def embed(run, images, out, **options):
    options = {"part_images": SEVEN, "progress": False} | options
    return embed_to_file(run, images, out, **options)


class Stop(KeyboardInterrupt):
    """A signal, after some parts."""


def stop_after(n, monkeypatch, at=None):
    """Stop the next command after n parts; call a function after the part with another number."""
    counted = []

    def count(bar, done):
        counted.append(done)
        if at is not None and len(counted) == at[0]:
            at[1]()
        if len(counted) == n:
            raise Stop

    monkeypatch.setattr(module, "_count", count)


def test_what_a_cluster_leaves_undone_one_process_finishes_with_the_same_vectors(
    machines, trained, listing, tmp_path, monkeypatch
):
    """Six parts by this process, then a cluster that loses a node and is stopped, then the rest."""
    whole, out = tmp_path / "whole/x.npy", tmp_path / "parted/x.npy"
    embed(trained, listing, whole, part_images=3)
    save = Parts.save
    with monkeypatch.context() as patch:
        patch.setattr(
            Parts, "save", lambda *args: (_ for _ in ()).throw(Stop) if args[1] > 5 else save(*args)
        )
        with pytest.raises(Stop, match="18 of 96 images are saved"):
            embed(trained, listing, out, part_images=3)
    machines.keep(1)
    try:
        with monkeypatch.context() as patch:
            stop_after(25, patch, at=(10, lambda: machines.keep(0)))
            with pytest.raises(Stop, match="go on with the same command"):
                embed(trained, listing, out, part_images=3, actors=ON_RAY)
    finally:
        machines.keep(2)
    assert 25 <= Parts.of(out).count() < 32
    assert not out.exists()
    made = embed(trained, listing, out, part_images=3)
    assert (made.n, made.width, sorted(made.skipped)[0]) == (92, 8, "class 1/0 0.png")
    assert files_of(out.parent) == files_of(whole.parent)


def in_this_process(monkeypatch, failing):
    """Let this process stand for the cluster; some parts fail, by number."""

    def run_here(make, arguments, items, *, actors, resources):
        work = make(**arguments)
        for index, item in enumerate(items):
            if index in failing:
                yield Outcome(index, error=failing[index])
                continue
            try:
                yield Outcome(index, work(item))
            except UserError as error:
                yield Outcome(index, error=error)

    monkeypatch.setattr(module, "run_on_actors", run_here)
    monkeypatch.setattr(module, "connected", lambda on: contextlib.nullcontext())
    monkeypatch.setattr(module, "check_shared", lambda folder: None)
    monkeypatch.setattr(module, "nodes", lambda: [Node("a", "10.0.0.1", 2, 0, 1)])


def refused(*arguments, **options):
    return refusal(embed, *arguments, **options)


def test_failed_parts_are_named_and_the_same_command_embeds_only_them(
    trained, listing, tmp_path, monkeypatch
):
    out = tmp_path / "x.npy"
    with monkeypatch.context() as patch:
        in_this_process(patch, {3: RuntimeError("two\nlines"), 9: RuntimeError("other")})
        message = refused(trained, listing, out, actors=ON_RAY)
    assert "2 parts of 14 failed (3, 9)" in message
    assert "part 3, images 21 to 27 of the list: RuntimeError: two lines" in message
    assert "go on with the same command" in message
    assert Parts.of(out).count() == 12
    in_this_process(monkeypatch, {})
    saved, save = [], Parts.save
    monkeypatch.setattr(Parts, "save", lambda *args: (saved.append(args[1]), save(*args)))
    embed(trained, listing, out, actors=ON_RAY)
    assert saved == [3, 9]


def test_a_command_gives_up_when_twenty_parts_have_failed(trained, listing, tmp_path, monkeypatch):
    in_this_process(monkeypatch, {number: MemoryError() for number in range(24)})
    message = refused(trained, listing, tmp_path / "x.npy", actors=ON_RAY, part_images=4)
    assert "20 parts of 24 failed (0, 1, 2, 3, 4, ...), and the rest was given up" in message
    assert "not enough memory" in message
    assert not Parts.of(tmp_path / "x.npy").folder.exists()


def test_a_strict_command_is_refused_by_the_first_unreadable_image(
    trained, listing, tmp_path, monkeypatch
):
    in_this_process(monkeypatch, {})
    there = pd.read_csv(listing)
    there[~there["path"].str.startswith("class 2/1")].to_csv(listing, index=False)
    message = refused(trained, listing, tmp_path / "x.npy", actors=ON_RAY, strict=True)
    assert "class 1/0 0.png" in message
    assert "drop --strict" in message


@pytest.fixture
def work(trained, listing, tmp_path, monkeypatch):
    """Return a function that makes an actor's function, with some arguments changed."""
    taken = {}

    def take(make, arguments, items, *, actors, resources):
        taken.update(arguments, item=items[0])
        yield Outcome(0, error=RuntimeError("stopped here"))

    in_this_process(monkeypatch, {})
    monkeypatch.setattr(module, "run_on_actors", take)
    refused(trained, listing, tmp_path / "x.npy", actors=ON_RAY)
    item = taken.pop("item")
    taken["folder"].mkdir()
    (taken["folder"] / "plan.json").write_text(json.dumps(taken["plan"]))

    def call(**changes):
        with pytest.raises(UserError) as caught:
            part_worker(**taken | changes)(item)
        return str(caught.value)

    return call


def test_an_actor_refuses_what_is_not_shared_and_a_gpu_that_is_not_there(work, trained, tmp_path):
    assert "must lie on a disk that all nodes share" in work(folder=tmp_path / "elsewhere")
    assert "drop --gpus" in work(on_gpu=True)
    other = tmp_path / "runs" / "whole"
    shutil.copytree(trained, other)
    weights = next(other.glob("checkpoints/*/model.weights.h5"))
    with h5py.File(weights, "a") as file:
        file.attrs["changed"] = True
    (weights.parent / "checkpoint.json").unlink()  # as version 0.1.0 left it, without checksums
    assert "must see the same run folder" in work(run=other)


@pytest.fixture(scope="module")
def folder(settings, trained, tmp_path_factory):
    """Vectors of the 48 images that stay in seven parts."""
    out = tmp_path_factory.mktemp("vectors") / "photos"
    embed(trained, settings.data, out)
    return out


def test_a_folder_holds_one_array_per_part_and_a_table_of_the_items(
    folder, settings, trained, tmp_path
):
    whole = embed(trained, settings.data, tmp_path / "x.npy")
    arrays = [np.load(folder / f"part-{number:05d}.npy") for number in range(7)]
    assert [len(array) for array in arrays] == [7] * 6 + [6]
    vectors = np.load(whole.out)
    np.testing.assert_array_equal(np.concatenate(arrays), vectors)
    items = pd.read_parquet(folder / "items.parquet")
    pd.testing.assert_frame_equal(items, pd.read_csv(tmp_path / "x.items.csv"))
    names = {path.name for path in folder.iterdir()}
    assert names == {"parts.json", "items.parquet", *(f"part-0000{n}.npy" for n in range(7))}
    opened = open_embedding_folder(folder)
    np.testing.assert_array_equal(opened.read(), vectors)
    parted = opened.open()
    assert (parted.shape, len(parted), parted.size) == ((48, 8), 48, 384)
    for rows in (slice(5, 23), slice(None, None, 9), slice(40, 3), [47, 0, -1, 13], 20, -48):
        np.testing.assert_array_equal(parted[rows], vectors[rows])
    with pytest.raises(IndexError):
        parted[[48]]


def test_a_folder_of_vectors_is_searched_indexed_and_imported_as_a_file_is(
    folder, settings, trained, tmp_path
):
    gallery = open_gallery(folder)
    assert (len(gallery), gallery.source.step) == (48, 2)
    manifest = write_index(gallery, tmp_path / "index", "flat", n_checked=20)
    assert (manifest.n, manifest.recall) == (48, 1.0)
    file = embed(trained, settings.data, tmp_path / "x.parquet").out
    values = [
        open_run(
            import_files(
                tmp_path / f"runs/mine/{each.stem}",
                [(each, None)],
                image_root=settings.data,
                progress=False,
            )
        ).result().metric("map@r").value
        for each in (folder, file)
    ]  # fmt: skip
    assert values[0] == values[1]


def test_a_damaged_folder_and_one_that_is_something_else_are_refused(
    folder, settings, trained, tmp_path
):
    copy = tmp_path / "photos"
    shutil.copytree(folder, copy)
    content = (copy / "part-00002.npy").read_bytes()
    (copy / "part-00002.npy").write_bytes(content[:-1] + b"!")
    with pytest.raises(UserError, match=r"part-00002\.npy: missing or damaged"):
        open_embedding_folder(copy).read()
    (copy / "part-00002.npy").unlink()
    with pytest.raises(UserError, match=r"part-00002\.npy: missing or damaged"):
        open_embedding_folder(copy).open()[:]
    assert "photos exists; choose another --out" in refused(trained, settings.data, copy)
    embed(trained, settings.data, copy, overwrite=True)
    assert files_of(copy) == files_of(folder)
    (copy / "parts.json").write_text("{}")
    with pytest.raises(UserError, match=r"parts\.json: cannot be read"):
        open_embedding_folder(copy)
    (copy / "parts.json").unlink()
    assert "no folder of vectors" in refused(trained, settings.data, copy, overwrite=True)
