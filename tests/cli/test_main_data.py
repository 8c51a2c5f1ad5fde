"""Unusable images and tables are named; data sets are listed and fetched."""

from tests.cli.helpers import nothing_was_left, one_line, train


def test_a_missing_folder_is_named(retrieval, tmp_path):
    found = one_line(train(retrieval, "--dataset", "folder", "--data", tmp_path / "nowhere"))
    assert f"--data {tmp_path / 'nowhere'}: no such folder or file" in found
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
    for name in range(1, 6):
        for i in (1, 2):
            (photos / f"class{name}" / f"{i}.png").unlink()
    found = one_line(train(retrieval, "--dataset", "folder", "--data", photos))
    assert "2 training classes have one image, first: 'class" in found
    assert "--singletons drop" in found


def test_training_classes_of_one_image_each_leave_nothing_to_train_on(retrieval, photos):
    for name in range(6):
        for i in (1, 2):
            (photos / f"class{name}" / f"{i}.png").unlink()
    found = one_line(train(retrieval, "--dataset", "folder", "--data", photos))
    assert "every training class has one image" in found
    assert "--loss none" in found


def test_a_csv_row_that_names_no_file_is_given_by_its_number(retrieval, photos, tmp_path):
    table = tmp_path / "items.csv"
    rows = [f"{c},class{c}/{i}.png" for c in range(6) for i in range(3)]
    rows[4] = "1,class1/gone.png"
    table.write_text("\n".join(["class id,relative path", *rows]))
    found = one_line(train(retrieval, "--dataset", "csv", "--data", photos, "--csv", table))
    assert f"{table} row 6: no file {photos / 'class1/gone.png'}" in found
    assert nothing_was_left(tmp_path)


def test_fetch_makes_a_placeholder_on_request(retrieval, tmp_path):
    assert "--placeholder takes no --archive" in one_line(
        retrieval("fetch", "sop", "--placeholder", "--archive", "photos.zip")
    )
    code, out, _ = retrieval("fetch", "sop", "--placeholder")
    assert code == 0
    assert out.endswith("is ready in data/placeholders/sop\n")
    assert retrieval("fetch", "sop", "--stand-in")[:2] == (0, out)  # its name in version 0.1.0
    assert (tmp_path / "data/placeholders/sop/PLACEHOLDER.txt").is_file()


def test_data_sets_are_looked_for_in_the_given_folder(retrieval, tmp_path):
    (tmp_path / "elsewhere" / "inshop" / "img").mkdir(parents=True)
    out = retrieval("datasets", "--data", tmp_path / "elsewhere")[1]
    (line,) = [line for line in out.splitlines() if line.strip().startswith("inshop")]
    assert "incomplete: no Eval/list_eval_partition.txt" in line
