"""Any images are embedded to a file as the run embeds its own; the run stays as it is."""

import errno
import shutil

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from retrieval import load_catalog, open_run
from retrieval.deployment import embed_to_file as module
from retrieval.deployment.embed_to_file import embed_to_file
from retrieval.deployment.embedder import settings_of
from retrieval.errors import UserError
from retrieval.experiment.pipeline import train
from retrieval.failures import as_user_error
from retrieval.runs.embedding_files import read_embeddings
from retrieval.runs.embedding_folder import ITEMS, open_embedding_folder
from retrieval.runs.embedding_output import export_run, items_path
from retrieval.runs.embedding_parts import Parts
from retrieval.runs.embedding_source import Source, read_source
from retrieval.runs.importing import import_files, read_items
from tests.deployment.helpers import files_of, refusal

SEVEN = 7  # images per part: 48 images are seven parts


class Colors:
    """Embeds images by their mean color, in no time; stands for the network of a run."""

    step, digest, views, width = 6, 1, ("center",), 3

    def __init__(self, settings, path):
        self.settings = settings
        self.source = Source(str(path), "a", 6, 3, "cosine", "16", None, "none", "normalized")

    def embed_views(self, files):
        for file in files:
            with Image.open(file) as image:
                yield np.asarray(image.convert("RGB"), np.float32).mean((0, 1))[None, None]

    def combine(self, views):
        return views[:, 0]


@pytest.fixture
def colors(monkeypatch):
    monkeypatch.setattr(
        module,
        "load_embedder",
        lambda path, checkpoint, **views: Colors(settings_of(path, **views), path),
    )


@pytest.fixture
def test_list(run, tmp_path):
    """Return the run's test items as the original baseline would list them."""
    path = tmp_path / "test.csv"
    run.items[["label", "path"]].to_csv(path, header=False, index=False)
    return path


def embed(run, images, out, **options):
    return embed_to_file(run.path, images, out, part_images=SEVEN, progress=False, **options)


def refused(*arguments, **options):
    return refusal(embed, *arguments, **options)


def test_the_test_split_gets_the_vectors_of_the_run_and_its_figures(
    run, settings, test_list, tmp_path
):
    before, out = files_of(run.path), tmp_path / "x.h5"
    made = embed(run, test_list, out, image_root=settings.data)
    assert (made.n, made.width, made.step) == (*run.embeddings.shape, 6)
    np.testing.assert_array_equal(read_embeddings(out), run.embeddings)
    with h5py.File(out) as file:  # no emb_aug, as there is one view
        assert set(file) == {"emb", "augmentation_types"}
    listed = read_items(tmp_path / "x.items.csv")
    assert listed["path"].tolist() == run.items["path"].tolist()
    imported = import_files(
        tmp_path / "runs/mine/x", [(out, test_list)], image_root=settings.data, progress=False
    )
    for name in ("recall@1", "map@r", "nmi"):
        assert open_run(imported).result().metric(name).value == run.result().metric(name).value
    assert files_of(run.path) == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"freeze_backbone": True}, {"loss": "none"}])
def test_a_frozen_backbone_and_an_untrained_network_embed_images_as_their_run(
    settings, tmp_path, changes
):
    run = open_run(train(settings.with_(**changes), runs=tmp_path, progress=False))
    run.items[["path"]].to_csv(tmp_path / "paths.txt", header=False, index=False)
    made = embed(run, tmp_path / "paths.txt", tmp_path / "x.npy", image_root=settings.data)
    np.testing.assert_allclose(np.load(made.out), run.embeddings, atol=1e-5)
    views = tmp_path / "views.h5"
    embed(run, tmp_path / "paths.txt", views, image_root=settings.data, test_time="flip")
    with h5py.File(views) as file:
        np.testing.assert_allclose(file["emb_aug"][0], run.embeddings, atol=1e-5)
        assert np.abs(file["emb_aug"][1] - file["emb_aug"][0]).max() > 1e-4


def test_an_hdf5_file_has_the_axes_of_the_baseline(run, settings, test_list, tmp_path):
    out = tmp_path / "x.h5"
    embed(run, test_list, out, image_root=settings.data, test_time="flip", test_time_mean="plain")
    with h5py.File(out) as file:
        emb, views = file["emb"][()], file["emb_aug"][()]
        assert file["augmentation_types"][()].tolist() == [b"center", b"center_flip"]
    assert views.shape == (2, *run.embeddings.shape)
    np.testing.assert_allclose(views[0], run.embeddings, atol=1e-6)
    np.testing.assert_allclose(views.mean(0), emb, atol=1e-6)
    with h5py.File(out, "a") as file:
        del file["emb"]
    np.testing.assert_allclose(read_embeddings(out), emb, atol=1e-6)


@pytest.mark.usefixtures("colors")
def test_a_folder_is_embedded_in_the_order_of_names_with_its_classes(run, settings, tmp_path):
    made = embed(run, settings.data, tmp_path / "x.npy")
    items = pd.read_csv(tmp_path / "x.items.csv")
    assert made.n == len(items) == 48
    assert items["path"].tolist() == sorted(items["path"])
    assert (items["label"] == items["path"].str.split("/").str[0]).all()
    flat = embed(run, f"{settings.data}/class 0", tmp_path / "flat.parquet")
    assert pq.read_schema(flat.out).names == ["path", "embedding"]
    first = items["label"] == "class 0"
    np.testing.assert_array_equal(read_embeddings(flat.out), np.load(made.out)[first])


@pytest.mark.slow
def test_every_kept_checkpoint_can_be_chosen_and_no_other(settings, tmp_path):
    chosen = settings.with_(eval_split="test", use_checkpoint="best", learning_rate=1.0)
    run = open_run(train(chosen, runs=tmp_path, progress=False))
    kept = sorted(int(p.name.removeprefix("step-")) for p in run.path.glob("checkpoints/step-*"))
    for step in kept:
        out = tmp_path / f"{step}.npy"
        assert embed(run, settings.data, out, checkpoint=str(step)).step == step
    best = embed(run, settings.data, tmp_path / "own.npy")
    rows = pd.read_csv(tmp_path / "own.items.csv")["path"].isin(run.items["path"])
    np.testing.assert_allclose(np.load(best.out)[rows], run.embeddings, atol=1e-6)
    for which in ("1", "last", "-3"):
        message = refused(run, settings.data, tmp_path / "no.npy", checkpoint=which)
        assert f"--checkpoint {which}" in message
        assert str(kept[-1]) in message
    assert not (tmp_path / "no.npy").exists()


@pytest.fixture
def damaged(settings, tmp_path):
    """Copy the images; one is damaged, one is missing in the list of all."""
    root = tmp_path / "images"
    shutil.copytree(settings.data, root)
    (root / "class 1/0.png").write_bytes(b"no image")
    names = sorted(str(p.relative_to(root)) for p in root.rglob("*.png"))
    (root / "class 2/1.png").unlink()
    (tmp_path / "all.csv").write_text("path\n" + "\n".join(names) + "\n")
    return root


@pytest.mark.usefixtures("colors")
def test_unreadable_images_are_refused_or_left_out_and_listed(run, damaged, tmp_path):
    out = tmp_path / "x.npy"
    message = refused(run, tmp_path / "all.csv", out, image_root=damaged, strict=True)
    assert "class 2/1.png" in message
    assert "drop --strict" in message
    message = refused(run, damaged, out, strict=True)
    assert "class 1/0.png" in message
    assert "drop --strict" in message
    assert not out.exists()
    made = embed(run, tmp_path / "all.csv", out, image_root=damaged)
    assert (made.n, sorted(made.skipped)) == (46, ["class 1/0.png", "class 2/1.png"])
    skipped = pd.read_csv(tmp_path / "x.skipped.csv")
    assert skipped["path"].tolist() == ["class 1/0.png", "class 2/1.png"]
    items = pd.read_csv(tmp_path / "x.items.csv")
    assert len(items) == len(np.load(out)) == 46
    whole = load_catalog("folder", damaged, skip_unreadable=True).items["path"]
    assert sorted(items["path"]) == sorted(whole)


@pytest.mark.usefixtures("colors")
def test_what_has_no_readable_image_is_refused(run, tmp_path):
    (tmp_path / "bad").mkdir()
    assert "no images" in refused(run, tmp_path / "bad", tmp_path / "x.npy")
    (tmp_path / "bad/0.png").write_bytes(b"no image")
    message = refused(run, tmp_path / "bad", tmp_path / "x.npy")
    assert "no image can be read" in message


class Stop(KeyboardInterrupt):
    """A signal, after some parts."""


@pytest.mark.usefixtures("colors")
def test_an_interrupted_command_goes_on_after_its_last_complete_part(
    run, settings, tmp_path, monkeypatch
):
    out, saved, save = tmp_path / "x.h5", [], Parts.save

    def stop_after_two(parts, number, part):
        if len(saved) == 2:
            raise Stop
        saved.append(number)
        save(parts, number, part)

    monkeypatch.setattr(Parts, "save", stop_after_two)
    with pytest.raises(Stop, match=r"14 of 48 images are saved in .*\.x\.h5\.partial"):
        embed(run, settings.data, out)
    assert not out.exists()
    monkeypatch.setattr(Parts, "save", lambda *args: (saved.append(args[1]), save(*args)))
    message = refused(run, settings.data, out, test_time="flip")
    assert "interrupted command" in message
    assert "--overwrite" in message
    parts = Parts.of(out)
    parts.path(1).write_bytes(parts.path(1).read_bytes()[:-9])  # a part that the disk damaged
    embed(run, settings.data, out)
    assert saved == [0, 1, *range(1, 7)]
    whole = embed(run, settings.data, tmp_path / "whole.npy")
    np.testing.assert_array_equal(read_embeddings(out), np.load(whole.out))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.usefixtures("colors")
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(run, settings, tmp_path, monkeypatch):
    out, saved, write = tmp_path / "x.npy", [], np.save

    def fill_up(path, array):
        if len(saved) == 3:
            path.write_bytes(b"half a part")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        saved.append(path)
        write(path, array)

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", fill_up)
        with pytest.raises(OSError, match="No space left") as caught:
            embed(run, settings.data, out)
    message = str(as_user_error(caught.value))
    assert "the disk is full: make room" in message
    assert "\n" not in message
    assert Parts.of(out).count() == 3
    monkeypatch.setattr(np, "save", lambda path, array: (saved.append(path), write(path, array)))
    embed(run, settings.data, out)
    assert len(saved) == 7  # 48 images in parts of seven: three before, four now
    assert len(np.load(out)) == 48
    assert not list(tmp_path.glob(".*"))


@pytest.mark.usefixtures("colors")
def test_images_that_changed_during_an_interruption_are_embedded_again(
    run, settings, tmp_path, monkeypatch
):
    root, out = tmp_path / "images", tmp_path / "x.npy"
    shutil.copytree(settings.data, root)
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_output", lambda *_: (_ for _ in ()).throw(Stop))
        with pytest.raises(Stop):
            embed(run, root, out)
    shutil.copyfile(root / "class 7/5.png", root / "class 0/0.png")
    embed(run, root, out)
    vectors = np.load(out)
    np.testing.assert_allclose(vectors[0], vectors[-1], atol=1e-6)


@pytest.mark.parametrize("suffix", [".h5", ".npy", ".parquet", ""])
@pytest.mark.usefixtures("colors")
def test_columns_of_a_list_and_the_source_of_the_vectors_go_with_them(
    run, settings, damaged, tmp_path, suffix
):
    names = pd.read_csv(tmp_path / "all.csv")["path"]
    price = [None if row == 3 else row / 4 for row in range(len(names))]
    table = pd.DataFrame({"path": names, "price": price, "embedding": "text"})
    table.to_csv(tmp_path / "list.csv", index=False)
    out = tmp_path / f"x{suffix}"
    embed(run, tmp_path / "list.csv", out, image_root=damaged)
    items = items_of(out)
    kept = table[~names.isin(["class 1/0.png", "class 2/1.png"])]
    assert items["path"].tolist() == kept["path"].tolist()
    np.testing.assert_array_equal(items["price"], kept["price"])
    assert set(items["meta_embedding"]) == {"text"}
    source = read_source(out) if suffix else open_embedding_folder(out).source
    assert source.run == str(run.path.resolve())
    assert (source.images, source.distance, source.width) == (str(damaged), "cosine", 3)


def items_of(out):
    if out.suffix == ".parquet":
        return pd.read_parquet(out).drop(columns="embedding")
    return (
        pd.read_csv(out.with_suffix(".items.csv")) if out.suffix else pd.read_parquet(out / ITEMS)
    )


@pytest.mark.usefixtures("colors")
def test_nothing_is_replaced_unless_asked(run, settings, tmp_path):
    out = tmp_path / "x.npy"
    embed(run, settings.data, out)
    before = files_of(tmp_path)
    assert "x.npy exists" in refused(run, settings.data, out)
    assert files_of(tmp_path) == before
    out.unlink()
    assert "x.items.csv exists" in refused(run, settings.data, out)
    embed(run, settings.data, out, overwrite=True)
    assert files_of(tmp_path) == before
    listed = tmp_path / "x.items.csv"
    message = refused(run, listed, out, image_root=settings.data, overwrite=True)
    assert "is read, and would be replaced" in message
    assert files_of(tmp_path) == before


def test_outputs_that_cannot_be_are_refused_before_anything_is_loaded(run, settings, tmp_path):
    assert ".h5, .hdf5, .npy, .parquet" in refused(run, settings.data, tmp_path / "x.csv")
    assert "would lie in the run" in refused(run, settings.data, run.path / "x.npy")
    assert "no such folder or list" in refused(run, tmp_path / "no", tmp_path / "x.npy")
    assert "drop it" in refused(run, settings.data, tmp_path / "x.npy", image_root=tmp_path)
    assert files_of(tmp_path) == {}


@pytest.mark.parametrize("suffix", [".h5", ".npy", ".parquet", ""])
def test_the_stored_embeddings_of_a_run_are_exported(run, tmp_path, suffix):
    out = export_run(run, tmp_path / f"x{suffix}")
    vectors = read_embeddings(out) if suffix else open_embedding_folder(out).read()
    np.testing.assert_array_equal(vectors, run.embeddings)
    items = items_path(out) or out
    again = open_run(import_files(tmp_path / "r/mine/x", [(out, items)], progress=False))
    assert again.items["label"].tolist() == run.items["label"].tolist()
    assert again.items["label_name"].tolist() == run.items["label_name"].tolist()
    with pytest.raises(UserError, match="exists"):
        export_run(run, out)
    export_run(run, out, overwrite=True)
