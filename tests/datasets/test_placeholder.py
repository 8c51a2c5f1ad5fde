import pytest

from retrieval.datasets import list_datasets, load_catalog
from retrieval.datasets.placeholder import (
    available_or_placeholder,
    make_placeholder,
    own_folder_or_example,
    write_placeholder,
)
from retrieval.datasets.placeholder_formats import WRITERS
from retrieval.errors import UserError
from tests.datasets.helpers import below

# Images and classes of data sets without a training split: training photos are distractors of the
# first two, and one of the two queries of the last is public.
EVALUATION_ONLY = {"roxford5k": [[16, 12]], "rparis6k": [[16, 12]], "gldv2": [[7, 2]]}


@pytest.fixture(params=sorted(WRITERS))
def placeholder(request, photos, tmp_path):
    name = request.param
    return name, write_placeholder(name, photos, tmp_path / "s" / name, classes=2, per_class=4)


def test_a_placeholder_loads_like_the_real_thing_and_says_what_it_is(placeholder):
    name, root = placeholder
    catalog = load_catalog(name, root)
    assert catalog.name == name
    assert catalog.options["placeholder"] is True
    counts = catalog.items.groupby("split")["label"].agg(["size", "nunique"])
    assert counts.to_numpy().tolist() == EVALUATION_ONLY.get(name, [[8, 2], [8, 2]])
    assert "not the published data set" in (root / "PLACEHOLDER.txt").read_text()
    assert load_catalog(name, root).options["placeholder"] is True  # from the cache too


def test_its_images_are_the_photos_byte_for_byte(placeholder, photos):
    name, root = placeholder
    known = {path.read_bytes() for path in photos.root.rglob("*.jpg")}
    catalog = load_catalog(name, root)
    for path in catalog.absolute_paths():
        with open(path, "rb") as file:
            assert file.read() in known


def test_train_photos_stay_train_photos(placeholder, photos):
    name, root = placeholder
    catalog = load_catalog(name, root)
    if name in EVALUATION_ONLY:
        assert set(catalog.items["split"]) == {"test"}
        return
    source = {(photos.root / row.path).read_bytes(): row.split for row in photos.items.itertuples()}
    for row in catalog.items.itertuples():
        assert source[(catalog.root / row.path).read_bytes()] == row.split


def test_a_photo_removed_from_a_placeholder_is_missed(placeholder):
    name, root = placeholder
    catalog = load_catalog(name, root)
    (catalog.root / catalog.items["path"][0]).unlink()
    with pytest.raises(UserError, match=r"expected \d+ / \d+ .*1 file missing"):
        load_catalog(name, root)


def test_a_damaged_mark_is_refused(placeholder):
    name, root = placeholder
    (root / "PLACEHOLDER.txt").write_text("train_images = many\n")
    with pytest.raises(UserError, match=r"PLACEHOLDER\.txt "):
        load_catalog(name, root)


def test_the_list_of_data_sets_says_placeholder(placeholder):
    name, root = placeholder
    table = list_datasets(root.parent).set_index("name")
    assert table.loc[name, "on this disk"] == "placeholder"


@pytest.mark.parametrize("gone", ["*.jpg", "*.JPG", "*.txt", "*.mat"])
def test_the_list_of_data_sets_says_when_a_placeholder_is_incomplete(placeholder, gone):
    name, root = placeholder
    files = sorted(path for path in root.rglob(gone) if path.name != "PLACEHOLDER.txt")
    for path in files[:1]:
        path.unlink()
    state = list_datasets(root.parent).set_index("name").loc[name, "on this disk"]
    assert state == ("incomplete placeholder" if files else "placeholder")


def test_options_of_the_real_loader_work(photos, tmp_path):
    write_placeholder("cub200", photos, tmp_path / "s")
    items = load_catalog("cub200", tmp_path / "s", boxes=True).items
    assert (items["box_x"] + items["box_w"] <= 24).all()
    assert (items["box_w"] > 0).all()


def test_inshop_has_queries_and_a_gallery_of_the_same_classes(photos, tmp_path):
    items = load_catalog("inshop", write_placeholder("inshop", photos, tmp_path / "s")).items
    roles = {role: set(part["label"]) for role, part in items.groupby("role")}
    assert roles["query"] == roles["gallery"]
    assert roles["query"].isdisjoint(roles["both"])


def test_the_same_seed_writes_the_same_files(photos, tmp_path):
    one, two = (write_placeholder("sop", photos, tmp_path / n, per_class=2) for n in ("a", "b"))
    assert below(one) == below(two)
    other = write_placeholder("sop", photos, tmp_path / "c", per_class=2, classes=2, seed=1)
    assert (one / "Stanford_Online_Products/Ebay_test.txt").read_text() != (
        other / "Stanford_Online_Products/Ebay_test.txt"
    ).read_text()


def test_bad_requests_are_refused_and_nothing_is_written(photos, tmp_path):
    with pytest.raises(UserError, match="'cub200'"):
        write_placeholder("cub", photos, tmp_path / "s")
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="mine "):
        write_placeholder("sop", photos, tmp_path / "mine")
    photos.items.loc[photos.items["split"] == "test", "label"] = range(50, 62)
    with pytest.raises(UserError, match="test class"):
        write_placeholder("sop", photos, tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_an_existing_data_set_is_opened(name, photos, tmp_path):
    place = write_placeholder(name, photos, tmp_path / "data" / name, classes=2, per_class=3)
    assert available_or_placeholder(name, data=tmp_path / "data") == (place, True)
    (place / "PLACEHOLDER.txt").unlink()
    assert available_or_placeholder(name, data=tmp_path / "data") == (place, False)
    assert available_or_placeholder(name, place) == (place, False)


def test_a_missing_data_set_gets_a_placeholder_once(tmp_path):
    place, placeholder = available_or_placeholder("cub200", data=tmp_path)
    assert (place, placeholder) == (tmp_path / "placeholders" / "cub200", True)
    catalog = load_catalog("cub200", place)
    assert catalog.options["placeholder"] is True
    assert set(catalog.items["split"]) == {"train", "test"}
    before = below(place)
    assert available_or_placeholder("cub200", data=tmp_path) == (place, True)
    assert below(place) == before


def test_a_placeholder_is_made_on_request_and_only_once(tmp_path):
    place = make_placeholder("sop", data=tmp_path)
    assert place == tmp_path / "placeholders" / "sop"
    assert load_catalog("sop", place).options["placeholder"] is True
    before = below(place)
    assert make_placeholder("sop", data=tmp_path) == place
    assert below(place) == before
    next(place.rglob("*.JPG")).unlink()
    with pytest.raises(UserError, match="1 file missing"):
        make_placeholder("sop", data=tmp_path)


def test_no_placeholder_overwrites_a_folder(photos, tmp_path):
    with pytest.raises(UserError, match="photos "):
        make_placeholder("sop", photos.root, data=tmp_path)
    with pytest.raises(UserError, match=r"'omniglot'.*cars"):
        make_placeholder("omniglot", data=tmp_path)


def test_a_folder_that_was_given_is_never_replaced_by_a_placeholder(tmp_path):
    with pytest.raises(UserError, match="'sop'"):
        available_or_placeholder("sop", tmp_path / "nowhere", data=tmp_path)
    with pytest.raises(UserError, match="one sub-folder per class"):
        own_folder_or_example(tmp_path / "nowhere", data=tmp_path)
    assert below(tmp_path) == ["work"]


def test_the_example_of_a_folder_loads_as_one(tmp_path):
    folder, example = own_folder_or_example(data=tmp_path)
    assert example
    catalog = load_catalog("folder", folder)
    assert catalog.items["label"].nunique() == len([p for p in folder.iterdir() if p.is_dir()])
    assert own_folder_or_example(folder, data=tmp_path) == (folder, False)


def test_a_placeholder_of_version_0_1_0_is_still_found(photos, tmp_path):
    place = write_placeholder("sop", photos, tmp_path / "standins" / "sop", classes=2, per_class=3)
    (place / "PLACEHOLDER.txt").rename(place / "STANDIN.txt")
    assert available_or_placeholder("sop", data=tmp_path) == (place, True)
    assert make_placeholder("sop", data=tmp_path) == place
    assert load_catalog("sop", place).options["placeholder"] is True
