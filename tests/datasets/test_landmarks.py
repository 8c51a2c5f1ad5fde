"""ROxford5k, RParis6k and Google Landmarks v2: judged queries, crops, splits, official counts."""

import pickle

import numpy as np
import pytest

from retrieval.datasets import DATASETS, gldv2, load_catalog, revisited
from retrieval.datasets.judgments import IGNORED
from retrieval.datasets.official import Counts
from retrieval.datasets.placeholder import write_placeholder
from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.runs.evaluate import evaluate_folder
from retrieval.runs.judgments import write_judgments
from retrieval.runs.run import Run
from retrieval.runs.writing import run_config, write_config, write_embeddings
from tests.datasets.helpers import write_photo


@pytest.fixture
def oxford(tmp_path, monkeypatch):
    """Two queries of one landmark that share image b, one of another, and two other images."""
    monkeypatch.setattr(revisited, "QUERIES", 3)
    monkeypatch.setattr(revisited, "OXFORD", revisited.Revisited("roxford5k", "", 5, "", ""))
    queries, gallery = ["hall_000001", "hall_000002", "mill_000003"], ["a", "b", "c", "d", "e"]
    lists = [([0, 1], [], [3]), ([], [1], []), ([2], [], [])]
    boxes = [[1.5, 2.4, 20.6, 22], [0, 0, 30, 30], [0, 0, 9, 9]]
    truth = {
        "qimlist": queries,
        "imlist": gallery,
        "gnd": [
            {"bbx": box, "easy": easy, "hard": hard, "junk": junk}
            for box, (easy, hard, junk) in zip(boxes, lists, strict=True)
        ],
    }
    for number, name in enumerate([*queries, *gallery]):
        write_photo(tmp_path / "jpg" / f"{name}.jpg", seed=number)
    (tmp_path / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(truth, 2))
    return tmp_path


def load_oxford(root):
    return revisited.load_revisited(root, revisited.OXFORD)


def test_queries_are_cropped_and_of_the_landmark_that_they_share_images_with(oxford):
    items = load_oxford(oxford).items
    assert items["role"].tolist() == ["query"] * 3 + ["gallery"] * 5
    assert items["label_name"].tolist() == [
        "hall", "hall", "mill", "hall", "hall", "mill", "other d", "other e",
    ]  # fmt: skip
    boxes = items[["box_x", "box_y", "box_w", "box_h"]].to_numpy()
    assert boxes[0].tolist() == [2, 2, 19, 20]  # corners rounded, as Pillow crops
    assert (boxes[3:, :2] == 0).all()
    assert (boxes[3:, 2:] > 9).all()  # the gallery is whole
    assert items["label"].nunique() == 4


def test_each_difficulty_is_a_protocol_and_medium_the_primary_one(oxford):
    judgments = load_oxford(oxford).judgments
    assert [one.name for one in judgments] == ["medium", "hard", "easy"]
    hard = judgments[1].pairs
    assert hard.loc[hard["grade"] > 0, ["query", "item"]].to_numpy().tolist() == [[1, 4]]
    left = hard[hard["grade"] == IGNORED]
    assert left[["query", "item"]].to_numpy().tolist() == [[0, 3], [0, 4], [0, 6], [2, 5]]


def test_a_wrong_count_a_missing_box_and_a_missing_file_are_refused(oxford, monkeypatch):
    monkeypatch.setattr(revisited, "QUERIES", 4)
    with pytest.raises(UserError, match="0 / 9 train / test images, found 0 / 8"):
        load_oxford(oxford)
    path = oxford / "gnd_roxford5k.pkl"
    truth = pickle.loads(path.read_bytes())
    del truth["gnd"][1]["bbx"]
    path.write_bytes(pickle.dumps(truth))
    with pytest.raises(UserError, match="query 1: has no box"):
        load_oxford(oxford)
    path.unlink()
    with pytest.raises(UserError, match=r"gnd_roxford5k.pkl is missing: take oxbuild"):
        load_catalog("roxford5k", oxford)


def test_published_counts():
    for this, images in ((revisited.OXFORD, 4993), (revisited.PARIS, 6322)):
        assert (this.counts.queries, this.counts.test_images) == (70, 70 + images)
    assert (gldv2.COUNTS.queries, gldv2.COUNTS.test_images) == (1129, 1129 + 761_757)
    assert (gldv2.COUNTS.train_images, gldv2.COUNTS.train_classes) == (1_580_470, 81_313)
    assert gldv2.TEST_IMAGES == 117_577


def test_a_data_set_without_a_training_split_says_what_can_be_done(oxford):
    with pytest.raises(UserError, match=r"no items in its 'train' split: .*--loss none"):
        load_oxford(oxford).split("train")


def test_a_run_has_every_protocol_of_the_ground_truth(photos, tmp_path):
    catalog = load_catalog("rparis6k", write_placeholder("rparis6k", photos, tmp_path / "set"))
    rows = catalog.split("test")
    folder = tmp_path / "rparis6k" / "run"
    folder.mkdir(parents=True)
    x = np.random.default_rng(0).standard_normal((len(rows), 4)).astype(np.float32)
    write_embeddings(folder, x, rows)
    write_judgments(folder, catalog.judgments_of(rows))
    evaluate_folder(folder, catalog, "cosine", images=False, progress=False)
    write_config(folder, run_config(None, catalog, {}))
    run = Run(folder)
    names = [f"query_gallery.{one}" for one in ("medium", "hard", "easy")]
    assert list(run.results) == ["leave_one_out", *names]
    assert run.primary == names[0]
    assert run.result().title == "query -> gallery, medium"
    truth = revisited.read_ground_truth(tmp_path / "set" / "gnd_rparis6k.pkl")
    for name in names:
        metrics = DATASETS["rparis6k"].metrics
        expected = evaluate(
            x, rows["label"], truth.roles, **truth.judgments(name.partition(".")[2]),
            metrics=metrics, kmeans="none", n_bootstrap=0,
        )  # fmt: skip
        for metric in (*metrics, "recall@1"):
            assert run.result(name).metric(metric).value == expected.metrics[metric]
        assert run.result(name).protocol.n_excluded > 0
        np.testing.assert_array_equal(run.neighbors(name).ids, expected.neighbors)


@pytest.fixture
def landmarks(tmp_path, monkeypatch):
    monkeypatch.setattr(gldv2, "COUNTS", Counts(3, 2 + 4, 2, 0, queries=2))
    monkeypatch.setattr(gldv2, "TEST_IMAGES", 3)
    ids = {"index": ["abc1", "abc2", "abd3", "fff4"], "test": ["q111", "q222"]}
    ids["train"] = ["t111", "t222", "t333"]
    for folder, names in ids.items():
        for number, name in enumerate(names):
            place = tmp_path / folder / name[0] / name[1] / name[2] / f"{name}.jpg"
            write_photo(place, seed=number + 10 * len(folder))
    (tmp_path / gldv2.INDEX).write_text("id,landmark_id\nabc1,7\nabc2,7\nabd3,9\nfff4,2\n")
    (tmp_path / gldv2.SOLUTION).write_text(
        "id,images,Usage\nq111,abc1 abc2 abd3,Private\nq000,None,Ignored\nq222,fff4,Public\n"
    )
    (tmp_path / gldv2.CLEAN).write_text("landmark_id,images\n7,t111 t222\n8,t333\n")
    return tmp_path


def test_a_query_is_of_the_landmark_of_most_of_its_images(landmarks):
    catalog = load_catalog("gldv2", landmarks)
    assert catalog.items["path"].tolist() == [
        "test/q/1/1/q111.jpg", "index/a/b/c/abc1.jpg", "index/a/b/c/abc2.jpg",
        "index/a/b/d/abd3.jpg", "index/f/f/f/fff4.jpg",
    ]  # fmt: skip
    assert catalog.items["label"].tolist() == [7, 7, 7, 9, 2]
    (judged,) = catalog.judgments
    assert judged.name == "private"
    assert judged.pairs["item"].tolist() == [1, 2, 3]


def test_all_queries_and_the_training_set_on_request(landmarks):
    catalog = load_catalog("gldv2", landmarks, queries="all", clean_train=True)
    assert catalog.items["split"].value_counts().to_dict() == {"test": 6, "train": 3}
    assert catalog.judgments[0].pairs["item"].tolist() == [2, 3, 4, 5]
    # Landmark 7 of the training set is another one than landmark 7 of the index.
    assert catalog.split("train")["label"].nunique() == 2
    assert "not class-disjoint" in catalog.remarks[0]
    assert load_catalog("gldv2", landmarks, queries="public").items["label"].tolist()[0] == 2


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (gldv2.SOLUTION, "q222,fff4,Public", "q222,fff4,Ignored", "expected 2 queries, found 1"),
        (gldv2.SOLUTION, "fff4,Public", "fff4,Other", "row 4: Usage 'Other'"),
        (gldv2.SOLUTION, "abc1 abc2", "abc1 none", "query q111 lists image 'none'"),
        (gldv2.SOLUTION, "abc1 abc2 abd3", "", "query q111 lists no image"),
        (gldv2.SOLUTION, "q000,None,Ignored\n", "", "expected 3 test images, found 2"),
        (gldv2.INDEX, "fff4,2\n", "", "expected 4 index images, found 3"),
        (gldv2.INDEX, "abd3,9", "abd3,nine", "row 4: landmark_id 'nine'"),
        (gldv2.INDEX, "landmark_id", "landmark", "has no column 'landmark_id'"),
        (gldv2.CLEAN, "8,t333\n", "", "expected 3 images of 2 landmarks, found 2 of 1"),
    ],
)
def test_lists_that_are_not_the_official_ones_are_refused(landmarks, file, old, new, words):
    text = (landmarks / file).read_text()
    assert old in text
    (landmarks / file).write_text(text.replace(old, new))
    with pytest.raises(UserError, match=words):
        load_catalog("gldv2", landmarks, clean_train=True)


def test_other_queries_are_named(landmarks):
    with pytest.raises(UserError, match="queries = 'hidden'"):
        load_catalog("gldv2", landmarks, queries="hidden")
