"""The command line as a user meets it: help that helps, and one clear line for every mistake."""

import sys

import numpy as np
import pytest
from PIL import Image

from retrieval.cli import app, main

COMMANDS = [c.name or c.callback.__name__ for c in app.registered_commands]


@pytest.fixture(autouse=True)
def away_from_home(tmp_path, monkeypatch):
    """Run in an empty folder, so that nothing of the user's is read or written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def retrieval(monkeypatch, capsys):
    """Type a command; get exit code, stdout and stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["retrieval", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return run


@pytest.fixture
def photos(tmp_path):
    """Six classes of three 16 px images, in ``photos/``."""
    root, rng = tmp_path / "photos", np.random.default_rng(0)
    for label in range(6):
        (root / f"class{label}").mkdir(parents=True)
        for i in range(3):
            image = Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8))
            image.save(root / f"class{label}" / f"{i}.png")
    return root


QUICK = ("--backbone", "conv4", "--weights", "none", "--image-size", 16, "--steps", 2)


def train(retrieval, *words):
    return retrieval("train", *QUICK, *words)


def one_line(result) -> str:
    """Check that a command failed as it should; return its line without ``error: ``."""
    code, _, err = result
    assert code == 1
    assert err.startswith("error: ")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return err.removeprefix("error: ").strip()


def nothing_was_left(tmp_path) -> bool:
    return not list(tmp_path.glob("runs/*/*")) and not list(tmp_path.glob("runs/*/.*"))


# --- Help


def test_no_arguments_print_the_help(retrieval):
    code, out, _ = retrieval()
    assert code == 0
    assert all(command in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(retrieval, command):
    code, out, err = retrieval(command, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: retrieval {command}" in out


def test_train_help_names_every_setting_and_its_default(retrieval):
    import dataclasses

    from retrieval.settings import TrainSettings

    out = " ".join(retrieval("train", "--help")[1].split())
    for field in dataclasses.fields(TrainSettings):
        if field.name != "scaled":
            assert f"--{field.name.replace('_', '-').removesuffix('s')}" in out
    for default in ("[default: semi_hard_triplet]", "[default: 500]", "[default: 0.0003]",
                    "[default: adam]", "[default: off]"):  # fmt: skip
        assert default in out


# --- Names


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--loss", "hard_triplett"), "unknown loss 'hard_triplett': did you mean 'hard_triplet'?"),
        (("--dataset", "grocary"), "unknown data set 'grocary': did you mean 'grocery'?"),
        (("--backbone", "conv5"), "unknown backbone 'conv5': did you mean 'conv4'?"),
        (("--recipe", "cub200/semi_hard_triple"), "did you mean 'cub200/semi_hard_triplet'?"),
        (("--optimizer", "adamm"), "unknown value of optimizer 'adamm': did you mean 'adam'?"),
        (("--head", "dirct"), "unknown head 'dirct': did you mean 'direct'?"),
        (("--monitor", "recall@3"), "unknown value of monitor 'recall@3': did you mean 'recall@"),
        (("--test-time", "flipp"), "unknown test-time view 'flipp': did you mean 'flip'?"),
        (("--losss", "npairs_loss"), "--losss"),
        (("--data-opton", "x=1"), "--data-opton"),
        (("--schedule", "cosin"), "did you mean 'cosine'?"),
        (("--recipe", "cub200/nothing"), "unknown recipe 'cub200/nothing'"),
        (("--dataset-option", "sise=1"), "data set folder has no option 'sise'; valid: "),
        (("--loss-option", "margn=1"), "did you mean 'margin'? valid: "),
    ],
)
def test_a_misspelt_name_is_met_with_the_right_one(retrieval, photos, tmp_path, words, message):
    found = one_line(train(retrieval, "--dataset", "folder", "--data", photos, *words))
    assert message in found
    assert nothing_was_left(tmp_path)


def test_an_unknown_loss_option_names_every_valid_one(retrieval, photos):
    words = ("--loss", "hard_triplet", "--loss-option", "scale=3")
    found = one_line(train(retrieval, "--dataset", "folder", "--data", photos, *words))
    assert "unknown option of hard_triplet 'scale'" in found
    assert "distance, margin" in found


def test_an_unknown_command_is_one_line_too(retrieval):
    assert "No such command 'trian'" in one_line(retrieval("trian"))


def test_fetch_makes_a_stand_in_where_that_is_asked_for(retrieval, tmp_path):
    assert "--stand-in takes no --archive" in one_line(
        retrieval("fetch", "sop", "--stand-in", "--archive", "photos.zip")
    )
    code, out, _ = retrieval("fetch", "sop", "--stand-in")
    assert (code, out) == (0, "a stand-in of sop is ready in data/standins/sop\n")
    assert (tmp_path / "data/standins/sop/STANDIN.txt").is_file()


# --- Values


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--steps", "0"), "steps = 0: give a number of at least 1"),
        (("--steps", "many"), "--steps"),
        (("--learning-rate", "-1"), "learning_rate = -1.0: give a number above 0"),
        (("--loss-option", "margin=wide"), "option margin = 'wide': give a number"),
        (("--patience", "2"), "patience needs in-training evaluation: add --eval-split"),
        (("--use-checkpoint", "best"), "use_checkpoint = best needs in-training evaluation"),
        (("--classes-per-batch", "4"), "'folder' has 3 training classes: give at most 3"),
        (("--test-fraction", "2"), "test_fraction = 2"),
        (("--seeds", "0"), "--seeds"),
        (("--name", "a/b"), "run name 'a/b'"),
        (("--name", ".hidden"), "run name '.hidden'"),
        (("--same-super-class",), "'folder' has no super-classes; drop --same-super-class"),
        (("--weights", "no.h5"), "no.h5"),
        (("--clip-norm", "-1"), "clip_norm = -1.0: give a number above 0"),
        (("--loss-option", "margin=[1"), "--loss-option 'margin=[1': cannot read '[1'"),
        (("--loss-option", "margin"), "--loss-option 'margin' is not name=value"),
        (("--dataset-option", "test_fraction=half"), "--test-fraction = 'half': give a number"),
        (("--split-seed", "1.5"), "--split-seed = '1.5': give a whole number"),
        (("--dataset", "csv", "--csv", "1", "--image-root", "5"), "no image folder at 5"),
        (("--dataset", "cub200", "--boxes", "maybe"), "--boxes = 'maybe': give true or false"),
        (("--backbone-multiplier", "-1"), "backbone_multiplier = -1.0"),
        (("--pre-crop", "8"), "pre_crop = 8 is smaller than the image size: give 16 or more"),
        (("--loss", "proxy_anchor", "--memory-batches", "4"), "cannot have a cross-batch memory"),
        (("--freeze-backbone", "--augment", "crop"), "--freeze-backbone"),
        (("--freeze-backbone", "--flip"), "--flip has no effect with --freeze-backbone"),
        (("--loss", "all", "--freeze-backbone", "--flip"), "--flip has no effect"),
    ],
)
def test_a_bad_value_is_refused_before_any_work(retrieval, photos, tmp_path, words, message):
    found = one_line(train(retrieval, "--dataset", "folder", "--data", photos, *words))
    assert message in found
    assert nothing_was_left(tmp_path)


# --- Data


def test_a_missing_folder_is_named(retrieval, tmp_path):
    found = one_line(train(retrieval, "--dataset", "folder", "--data", tmp_path / "nowhere"))
    assert f"is not at {tmp_path / 'nowhere'}" in found
    assert nothing_was_left(tmp_path)


def test_a_truncated_image_is_named_before_training(retrieval, photos, tmp_path):
    broken = photos / "class3" / "1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    assert str(broken) in one_line(train(retrieval, "--dataset", "folder", "--data", photos))
    assert nothing_was_left(tmp_path)


def test_a_file_that_is_no_image_is_named(retrieval, photos):
    (photos / "class2" / "notes.jpg").write_text("not a photo")
    found = one_line(train(retrieval, "--dataset", "folder", "--data", photos))
    assert str(photos / "class2" / "notes.jpg") in found


def test_an_empty_class_folder_is_named(retrieval, photos):
    (photos / "empty").mkdir()
    found = one_line(train(retrieval, "--dataset", "folder", "--data", photos))
    assert f"class folder {photos / 'empty'} has no images" in found


def test_a_training_class_of_one_image_is_named_with_the_way_out(retrieval, photos):
    for name in range(6):
        for i in (1, 2):
            (photos / f"class{name}" / f"{i}.png").unlink()
    found = one_line(train(retrieval, "--dataset", "folder", "--data", photos))
    assert "3 training classes have one image, first: 'class" in found
    assert "singletons=drop" in found


def test_a_csv_row_that_names_no_file_is_given_by_its_number(retrieval, photos, tmp_path):
    table = tmp_path / "items.csv"
    rows = [f"{c},class{c}/{i}.png" for c in range(6) for i in range(3)]
    rows[4] = "1,class1/gone.png"
    table.write_text("\n".join(["class id,relative path", *rows]))
    found = one_line(train(retrieval, "--dataset", "csv", "--data", photos, "--csv", table))
    assert f"{table} row 6: no file {photos / 'class1/gone.png'}" in found
    assert nothing_was_left(tmp_path)


# --- Runs


def test_commands_on_a_run_that_is_not_there_say_how_to_make_one(retrieval):
    for words in (("embed", "runs/a/b"), ("evaluate", "runs/a/b"),
                  ("train", "--resume", "runs/a/b")):  # fmt: skip
        assert "runs/a/b" in one_line(retrieval(*words))


def test_a_sweep_file_is_checked_as_a_whole_before_it_starts(retrieval, tmp_path):
    grid = tmp_path / "grid.yaml"
    grid.write_text("base: {dataset: typefaces}\ngrid: {loss: [npairs_loss, tripplet]}\n")
    assert "unknown loss 'tripplet'" in one_line(retrieval("sweep", grid))
    assert "no sweep file at" in one_line(retrieval("sweep", tmp_path / "no.yaml"))
    assert nothing_was_left(tmp_path)


def test_one_command_makes_a_whole_run_and_refuses_to_replace_it(retrieval, photos, tmp_path):
    words = ("--dataset", "folder", "--data", photos, "--loss", "npairs_loss", "--name", "first")
    code, out, _ = train(retrieval, *words)
    assert code == 0
    assert "folder/first" in out
    assert "recall@1" in out
    before = (tmp_path / "runs/folder/first/metrics.json").read_bytes()
    found = one_line(train(retrieval, *words))
    assert "runs/folder/first exists; choose another --name or pass --overwrite" in found
    assert (tmp_path / "runs/folder/first/metrics.json").read_bytes() == before
    found = one_line(retrieval("evaluate", "runs/folder/first", "--distance", "cosin"))
    assert "did you mean 'cosine'?" in found
    assert (tmp_path / "runs/folder/first/metrics.json").read_bytes() == before


def test_embeddings_and_items_alone_are_imported_and_reported_on(retrieval, tmp_path):
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(5), 4)
    for name in ("clip", "dino"):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((20, 3)))
    items = tmp_path / "items.csv"
    items.write_text("\n".join(["label", *map(str, labels)]))
    for name in ("clip", "dino"):
        assert retrieval("import", "--embeddings", f"{name}.npy", "--items", items)[0] == 0
        assert (tmp_path / "runs/imported" / name / "metrics.json").exists()
    for option, value in (("--name", "a/b"), ("--dataset", "../x"), ("--name", ".hidden")):
        words = ("import", "--embeddings", "clip.npy", "--items", items, option, value)
        assert f"run name {value!r}" in one_line(retrieval(*words))
    paths = [f"runs/imported/{name}" for name in ("clip", "dino")]
    texts = []
    for words in (paths, ["--runs", paths[0], "--runs", paths[1]], ["--runs", *paths]):
        assert retrieval("report", *words)[0] == 0
        texts.append((tmp_path / "report/report.md").read_text())
        assert "plotly-graph-div" in (tmp_path / "report/report.html").read_text()
    assert "| clip |" in texts[0]
    assert "| dino |" in texts[0]
    assert texts == texts[:1] * 3
    retrieval("report", *paths, "--metric", "recall@1", "--metric", "recall@10")
    assert "| Run | Seeds | d | R@1 | R@10 |" in (tmp_path / "report/report.md").read_text()
    assert "unknown metric of these runs 'recal@1': did you mean 'recall@1'" in one_line(
        retrieval("report", *paths, "--metric", "recal@1")
    )
    assert "no runs to report on" in one_line(retrieval("report"))


def test_a_finished_run_gives_the_same_figures_embedded_and_evaluated_again(
    retrieval, photos, tmp_path
):
    words = ("--dataset", "folder", "--data", photos, "--name", "again", "--no-evaluate")
    assert train(retrieval, *words)[0] == 0
    metrics = tmp_path / "runs/folder/again/metrics.json"
    assert not metrics.exists()
    assert "no embeddings; make them with" in one_line(retrieval("evaluate", "runs/folder/again"))
    assert retrieval("embed", "runs/folder/again")[0] == 0
    first = metrics.read_bytes()
    assert retrieval("evaluate", "runs/folder/again")[0] == 0
    assert metrics.read_bytes() == first


def test_data_sets_are_looked_for_where_they_are(retrieval, tmp_path):
    (tmp_path / "elsewhere" / "inshop" / "img").mkdir(parents=True)
    out = retrieval("datasets", "--data", tmp_path / "elsewhere")[1]
    (line,) = [line for line in out.splitlines() if line.strip().startswith("inshop")]
    assert "incomplete: no Eval/list_eval_partition.txt" in line
