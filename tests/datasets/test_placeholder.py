import pytest

from retrieval.datasets import list_datasets, load_catalog
from retrieval.datasets.placeholder import write_standin
from retrieval.datasets.placeholder_formats import WRITERS
from retrieval.errors import UserError
from tests.datasets.conftest import below


@pytest.fixture(params=sorted(WRITERS))
def standin(request, photos, tmp_path):
    name = request.param
    return name, write_standin(name, photos, tmp_path / "s" / name, classes=2, per_class=4)


def test_a_stand_in_loads_like_the_real_thing_and_says_what_it_is(standin):
    name, root = standin
    catalog = load_catalog(name, root)
    assert catalog.name == name
    assert catalog.options["stand_in"] is True
    counts = catalog.items.groupby("split")["label"].agg(["size", "nunique"])
    assert counts.to_numpy().tolist() == [[8, 2], [8, 2]]
    assert "not the published data set" in (root / "STANDIN.txt").read_text()
    assert load_catalog(name, root).options["stand_in"] is True  # from the cache too


def test_its_images_are_the_photos_byte_for_byte(standin, photos):
    name, root = standin
    known = {path.read_bytes() for path in photos.root.rglob("*.jpg")}
    catalog = load_catalog(name, root)
    for path in catalog.absolute_paths():
        with open(path, "rb") as file:
            assert file.read() in known


def test_train_photos_stay_train_photos(standin, photos):
    name, root = standin
    source = {(photos.root / row.path).read_bytes(): row.split for row in photos.items.itertuples()}
    catalog = load_catalog(name, root)
    for row in catalog.items.itertuples():
        assert source[(catalog.root / row.path).read_bytes()] == row.split


def test_a_photo_removed_from_a_stand_in_is_missed(standin):
    name, root = standin
    catalog = load_catalog(name, root)
    (catalog.root / catalog.items["path"][0]).unlink()
    with pytest.raises(UserError, match=r"expected 8 / 8 .*1 file missing"):
        load_catalog(name, root)


def test_a_damaged_mark_is_refused(standin):
    name, root = standin
    (root / "STANDIN.txt").write_text("train_images = many\n")
    with pytest.raises(UserError, match=r"STANDIN\.txt is damaged"):
        load_catalog(name, root)


def test_the_list_of_data_sets_says_stand_in(standin):
    name, root = standin
    table = list_datasets(root.parent).set_index("name")
    assert table.loc[name, "on this disk"] == "stand-in"


@pytest.mark.parametrize("gone", ["*.jpg", "*.JPG", "*.txt", "*.mat"])
def test_the_list_of_data_sets_says_when_a_stand_in_is_incomplete(standin, gone):
    name, root = standin
    files = sorted(path for path in root.rglob(gone) if path.name != "STANDIN.txt")
    for path in files[:1]:
        path.unlink()
    state = list_datasets(root.parent).set_index("name").loc[name, "on this disk"]
    assert state == ("incomplete stand-in" if files else "stand-in")


def test_options_of_the_real_loader_work(photos, tmp_path):
    write_standin("cub200", photos, tmp_path / "s")
    items = load_catalog("cub200", tmp_path / "s", boxes=True).items
    assert (items["box_x"] + items["box_w"] <= 24).all()
    assert (items["box_w"] > 0).all()


def test_inshop_has_queries_and_a_gallery_of_the_same_classes(photos, tmp_path):
    items = load_catalog("inshop", write_standin("inshop", photos, tmp_path / "s")).items
    roles = {role: set(part["label"]) for role, part in items.groupby("role")}
    assert roles["query"] == roles["gallery"]
    assert roles["query"].isdisjoint(roles["both"])


def test_the_same_seed_writes_the_same_files(photos, tmp_path):
    one, two = (write_standin("sop", photos, tmp_path / n, per_class=2) for n in ("a", "b"))
    assert below(one) == below(two)
    other = write_standin("sop", photos, tmp_path / "c", per_class=2, classes=2, seed=1)
    assert (one / "Stanford_Online_Products/Ebay_test.txt").read_text() != (
        other / "Stanford_Online_Products/Ebay_test.txt"
    ).read_text()


def test_bad_requests_are_refused_and_nothing_is_written(photos, tmp_path):
    with pytest.raises(UserError, match="did you mean 'cub200'"):
        write_standin("cub", photos, tmp_path / "s")
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="mine exists"):
        write_standin("sop", photos, tmp_path / "mine")
    photos.items.loc[photos.items["split"] == "test", "label"] = range(50, 62)
    with pytest.raises(UserError, match="no test class with 2 images"):
        write_standin("sop", photos, tmp_path / "s")
    assert not (tmp_path / "s").exists()
