"""Embeddings of any framework become a run; invalid input is refused before anything is written."""

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from PIL import Image

from retrieval.cli.tables import runs_table
from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.evaluation.caveats import NO_POSITIVES
from retrieval.report.writing import write_report
from retrieval.runs.array_importing import import_run
from retrieval.runs.evaluate import evaluate_run
from retrieval.runs.importing import import_files, read_items, read_sides
from retrieval.runs.lock import run_lock
from retrieval.runs.places import partial_path
from retrieval.runs.store import open_run


def csv(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def vectors(path, n=4, d=4, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    np.save(path, x)
    return path


@pytest.fixture
def good(tmp_path):
    rows = [f"{'ab'[i % 2]}/{i}.png,{'ab'[i % 2]}" for i in range(4)]
    return vectors(tmp_path / "e.npy"), csv(tmp_path / "i.csv", "path,label", *rows)


def refused(function, *arguments, **options):
    with pytest.raises(UserError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_import_makes_a_run(tmp_path, good):
    for i in range(4):
        path = tmp_path / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), (40 * i, 0, 0)).save(path)
    path = import_files(tmp_path / "runs" / "mine" / "clip", [good], image_root=tmp_path)
    run = open_run(path)
    assert (run.dataset, run.name, run.settings) == ("mine", "clip", None)
    assert run.items["label"].tolist() == [0, 1, 0, 1]
    assert run.items["label_name"].tolist() == list("abab")
    np.testing.assert_array_equal(run.embeddings, np.load(good[0]))
    expected = evaluate(np.load(good[0]), run.items["label"].to_numpy())
    assert run.result().metric("recall@1").value == expected.metrics["recall@1"]
    assert run.primary == "leave_one_out"
    np.testing.assert_array_equal(run.neighbors().ids, expected.neighbors)
    assert run.thumbnail(0)[:4] == b"RIFF"
    assert len(run.projection) == 4
    message = refused(import_files, path, [good], image_root=tmp_path)
    assert "exists; choose another --name" in message
    import_files(path, [good], image_root=tmp_path, overwrite=True)


def test_queries_and_gallery_in_separate_files(tmp_path):
    sides = [
        (vectors(tmp_path / "q.npy", 3), csv(tmp_path / "q.csv", "id,label", "x,1", "y,2", "z,9")),
        (
            vectors(tmp_path / "g.npy", 4, seed=1),
            csv(tmp_path / "g.csv", "id,label", "a,1", "b,1", "c,2", "d,2"),
        ),
    ]
    run = open_run(import_files(tmp_path / "r" / "shop" / "m", sides, image_root=tmp_path))
    assert run.items["role"].tolist() == ["query"] * 3 + ["gallery"] * 4
    protocol = run.result("query_gallery").protocol
    assert (protocol.n_queries, protocol.n_gallery, protocol.n_without_positive) == (3, 4, 1)
    assert run.primary == "query_gallery"
    assert run.neighbors().ids.min(initial=9, where=run.neighbors().ids >= 0) >= 3


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path,class", "a.png,1"], "no column 'label'"),
        (["path,labels", "a.png,1"], "column 'labels': did you mean 'label'"),
        (["label,Role", "1,query"], "column 'Role': did you mean 'role'"),
        (["label"], "holds no items"),
        (["label,path", "1,a", ",b"], "row 1 has no label"),
        (["label,role", "1,query", "1,galery"], "row 1 has role 'galery': query, gallery, both"),
        (["label,id", "1,x", "1,y", "2,x"], "row 2 repeats 'x' of row 0"),
        (["label,path", "1,x.png", "1,x.png"], "row 1 repeats 'x.png' of row 0"),
        (["label,split", "1,test", "1,train"], "row 1 has split 'train': test only"),
        (["label,path", "1,a", "1,b,c,d"], "not a CSV table"),
        (["label,path", "1,a,x", "1,b,y"], "row 0 has more fields than the header has columns"),
        (["label,path", "1,a,x,z", "1,b"], "row 0 has more fields than the header has columns"),
        (["path,label", "a,1", "b"], "row 1 has no label"),
        (["label,is_query", "1,1", "2,maybe"], "row 1 has is_query 'maybe'"),
        (["label,is_query,is_gallery", "1,1,0", "2,0,0"], "row 1 is neither query nor gallery"),
        (["label,role,is_query", "1,query,1", "2,gallery,1"],
         "row 1 is gallery by role, but query by is_query"),
        (["label,split,role", "1,query,query", "2,gallery,both"],
         "row 1 is both by role, but gallery by split"),
        (["label,split", "1,query", "2,val"], "row 1 has split 'val'"),
        (["label,image_path,filename", "1,a,b"], "'image_path' and 'filename' may both be paths"),
        (["label,is_qery", "1,1"], "did you mean 'is_query'"),
    ],
)  # fmt: skip
def test_bad_items(tmp_path, lines, message):
    path = csv(tmp_path / "i.csv", *lines)
    found = refused(read_items, path)
    assert found.startswith(str(path))
    assert message in found


def test_missing_items_file(tmp_path):
    assert "no such file" in refused(read_items, tmp_path / "none.csv")


def test_rows_must_pair_up(tmp_path, good):
    short = vectors(tmp_path / "short.npy", 3)
    message = refused(read_sides, [(short, good[1])])
    assert "has 3 rows" in message
    assert "has 4: row 3 has no partner" in message


def test_queries_and_gallery_must_fit_together(tmp_path):
    a = csv(tmp_path / "a.csv", "id,label", "x,1", "y,1")
    b = csv(tmp_path / "b.csv", "id,label", "z,1", "y,1")
    q, g = vectors(tmp_path / "q.npy", 2, 4), vectors(tmp_path / "g.npy", 2, 5)
    assert "4 dimensions" in refused(read_sides, [(q, a), (g, b)])
    assert "row 1 ('y') is a query too" in refused(read_sides, [(q, a), (q, b)])
    only = csv(tmp_path / "only.csv", "label,role", "1,query", "1,query")
    assert "no item is gallery" in refused(read_sides, [(q, only)])


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("name", ["label", "path", "is_query"])
def test_two_columns_of_one_name_are_refused(tmp_path, suffix, name):
    names = ["label", "path", "is_query", "is_gallery", name]
    table = pa.Table.from_arrays([pa.array(["1", "0"])] * 5, names=names)
    path = tmp_path / f"i{suffix}"
    pq.write_table(table, path) if suffix == ".parquet" else pa_csv.write_csv(table, path)
    assert f"has two columns {name!r}" in refused(read_items, path)


def test_a_table_may_begin_with_blank_lines_and_not_with_nul_characters(tmp_path):
    items = read_items(csv(tmp_path / "i.csv", "", "label;path", "a;x", "b;y"))
    assert items["path"].tolist() == ["x", "y"]
    (tmp_path / "n.csv").write_text("label,path\na,x\n", encoding="utf-16-le")  # without its mark
    assert "n.csv row 1: a NUL character" in refused(read_items, tmp_path / "n.csv")


def test_labels_stay_numbers_or_are_numbered_in_order(tmp_path):
    x = vectors(tmp_path / "e.npy", 3)
    numbers = csv(tmp_path / "n.csv", "label,super_name", "30,b", "-4,a", "7,b")
    items = read_sides([(x, numbers)])[1]
    assert items["label"].tolist() == [30, -4, 7]
    assert items["super_label"].tolist() == [1, 0, 1]
    padded = csv(tmp_path / "p.csv", "label", "01", "1", "01")
    items = read_sides([(x, padded)])[1]
    assert items["label"].tolist() == [0, 1, 0]
    assert items["label_name"].tolist() == ["01", "1", "01"]
    others = csv(tmp_path / "o.csv", "label", "1\u0662", "12", "1\u0662")  # an Arabic digit
    assert read_sides([(x, others)])[1]["label"].tolist() == [1, 0, 1]
    names = csv(tmp_path / "s.csv", "label", "pear", "apple", "é")
    items = read_sides([(x, names)])[1]
    assert items["label"].tolist() == [1, 0, 2]
    assert items["label_name"].tolist() == ["pear", "apple", "é"]


def test_bad_input_writes_nothing_and_an_interrupted_training_is_kept(tmp_path, good):
    path = tmp_path / "runs" / "mine" / "clip"
    bad = csv(tmp_path / "bad.csv", "label", *"aaaaa")
    refused(import_files, path, [(good[0], bad)], image_root=tmp_path)
    refused(import_files, path, [good], image_root=tmp_path / "nowhere")
    refused(import_files, path, [good], image_root=tmp_path, distance="cosin")
    assert not path.parent.exists()
    (partial_path(path) / "checkpoints").mkdir(parents=True)
    message = refused(import_files, path, [good], image_root=tmp_path)
    assert "interrupted training" in message
    assert (partial_path(path) / "checkpoints").exists()


def test_a_run_that_another_process_makes_is_not_written_to(tmp_path, good):
    path = tmp_path / "runs" / "mine" / "clip"
    with run_lock(path):
        message = refused(import_files, path, [good], image_root=tmp_path)
    assert "another process" in message
    assert not partial_path(path).exists()


@pytest.mark.parametrize(
    ("lines", "roles"),
    [
        (["is_query,is_gallery", "1,0", "0,1", "1,1"], ["query", "gallery", "both"]),
        (["is_query,is_gallery", "True,false", "FALSE,true", "true,TRUE"],
         ["query", "gallery", "both"]),
        (["is_query", "1", "0", "0"], ["query", "gallery", "gallery"]),
        (["is_gallery", "0", "1", "1"], ["query", "gallery", "gallery"]),
        (["split", "query", "gallery", "Test"], ["query", "gallery", "both"]),
        (["role,is_query", "Query,1", "gallery,0", "gallery,0"], ["query", "gallery", "gallery"]),
        (["split", "test", "test", "test"], ["both"] * 3),
    ],
)  # fmt: skip
def test_roles_by_any_column_that_says_them(tmp_path, lines, roles):
    rows = [f"{'label' if n == 0 else n % 2},{line}" for n, line in enumerate(lines)]
    items = read_items(csv(tmp_path / "i.csv", *rows))
    assert items["role"].tolist() == roles
    assert set(items["split"]) == {"test"}


@pytest.mark.parametrize("empty", ["", "nan", "None"])
def test_labels_that_are_missing_altogether(tmp_path, empty):
    path = csv(tmp_path / "i.csv", "label,id", *(f"{empty},{n}" for n in range(3)))
    assert "holds no labels" in refused(read_items, path)


def photos(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(4):
        Image.new("RGB", (40, 30), (40 * i, 0, 0)).save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize("name", ["path", "image_path", "filename", "file", "image"])
def test_pictures_by_any_usual_name_of_the_column(tmp_path, name):
    root = photos(tmp_path / "im")
    items = csv(tmp_path / "i.csv", f"{name},label", *(f"{i}.png,{i % 2}" for i in range(4)))
    sides = [(vectors(tmp_path / "e.npy"), items)]
    run = open_run(import_files(tmp_path / "runs" / "d" / "r", sides, image_root=root))
    assert all(run.thumbnail(row) for row in range(4))


@pytest.mark.parametrize("given", [False, True])
def test_absolute_paths_need_no_root(tmp_path, given):
    root = photos(tmp_path / "im" / "a").parent
    (root / "b").mkdir()
    (root / "a" / "3.png").rename(root / "b" / "3.png")
    paths = [*(root / "a" / f"{i}.png" for i in range(3)), root / "b" / "3.png"]
    items = csv(tmp_path / "i.csv", "label,path", *(f"{i % 2},{p}" for i, p in enumerate(paths)))
    sides = [(vectors(tmp_path / "e.npy"), items)]
    options = {"image_root": tmp_path} if given else {}
    run = open_run(import_files(tmp_path / "runs" / "d" / "r", sides, **options))
    assert run.dataset_config.root == (tmp_path if given else root)
    assert run.items["path"][3] == ("im/b/3.png" if given else "b/3.png")
    assert all(run.thumbnail(row) for row in range(4))
    message = refused(
        import_files, tmp_path / "runs" / "d" / "s", sides, image_root=tmp_path / "im" / "a"
    )
    assert "row 3" in message
    assert "--image-root" in message


def test_what_becomes_text_or_is_left_out_is_named(tmp_path, capsys):
    prices = ["1.5", "2", "3", "4", "5", "abc"]
    file = csv(tmp_path / "i.csv", "path,price", *(f"{i}.jpg,{p}" for i, p in enumerate(prices)))
    assert read_items(file)["price"].tolist() == prices
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"{file}: price is text, because of 'abc' in row 5"  # rows as the embeddings'
    table = {"path": ["0.jpg", "1.jpg"], "size": [1, 2], "vector": [[0.5] * 9] * 2,
             "code": [[1] * 9] * 2, "file_bytes": [b"x"] * 2}  # fmt: skip
    table |= {f"emb_{i}": [0.5, 1.5] for i in range(9)}
    pd.DataFrame(table).to_parquet(tmp_path / "i.parquet")
    assert {*read_items(tmp_path / "i.parquet")} >= {"size"}
    numbered, refused = capsys.readouterr().out.splitlines()
    assert numbered.endswith("columns emb_... (9 of them) are taken for an embedding and left out")
    assert refused.endswith("no metadata, are left out: code, file_bytes, vector")


def test_a_wrong_root_is_one_plain_line(tmp_path, good, capsys):
    import_files(tmp_path / "runs" / "d" / "r", [good], image_root=tmp_path, progress=False)
    (line,) = capsys.readouterr().out.splitlines()
    assert "4 of 4 items have no picture" in line
    assert str(tmp_path / "a" / "0.png") in line
    assert "--image-root" in line
    none = csv(tmp_path / "n.csv", "label", *"aabb")
    import_files(tmp_path / "runs" / "d" / "s", [(good[0], none)], progress=False)
    (line,) = capsys.readouterr().out.splitlines()
    assert f"give {none} a column 'path'" in line


def test_paths_that_lead_out_of_the_root_have_no_picture(tmp_path, capsys):
    root = photos(tmp_path / "im")
    secret = photos(tmp_path / "secret")
    (root / "link.png").symlink_to(secret / "1.png")
    (root / "folder").symlink_to(secret)
    names = ["0.png", "../secret/1.png", "link.png", "folder/2.png"]
    items = csv(tmp_path / "i.csv", "label,path", *(f"{i % 2},{p}" for i, p in enumerate(names)))
    sides = [(vectors(tmp_path / "e.npy"), items)]
    path = import_files(tmp_path / "runs" / "d" / "r", sides, image_root=root, progress=False)
    assert [bool(open_run(path).thumbnail(row)) for row in range(4)] == [True, *[False] * 3]
    (line,) = capsys.readouterr().out.splitlines()
    assert "3 of 4 paths lead out of" in line
    assert "'../secret/1.png'" in line
    evaluate_run(path, progress=False)
    assert not any(open_run(path).thumbnail(row) for row in range(1, 4))


def test_paths_that_windows_wrote_have_their_pictures(tmp_path):
    root = tmp_path / "im"
    photos(root / "a")
    items = csv(tmp_path / "i.csv", "label,path", *(f"{i % 2},a\\{i}.png" for i in range(4)))
    sides = [(vectors(tmp_path / "e.npy"), items)]
    run = open_run(
        import_files(tmp_path / "runs" / "d" / "r", sides, image_root=root, progress=False)
    )
    assert run.items["path"].tolist() == [f"a/{i}.png" for i in range(4)]
    assert all(run.thumbnail(row) for row in range(4))


def test_items_in_a_parquet_file_may_be_those_of_the_embeddings(tmp_path):
    x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    frame = pd.DataFrame({"id": range(6), "label": [1, 1, 2, 2, 3, 3], "emb": list(x)})
    frame["is_query"] = [True, False] * 3
    frame.to_parquet(tmp_path / "all.parquet")
    sides = [(tmp_path / "all.parquet", tmp_path / "all.parquet")]
    run = open_run(import_files(tmp_path / "runs" / "d" / "r", sides, progress=False))
    np.testing.assert_array_equal(run.embeddings, x)
    assert run.items["label"].tolist() == [1, 1, 2, 2, 3, 3]
    assert run.items["role"].tolist() == ["query", "gallery"] * 3


@pytest.mark.parametrize(
    ("labels", "roles"),
    [
        (list("abcdef"), None),
        (list("aabbcc"), ["query", "query", *["gallery"] * 4]),
        (["a"], None),
    ],
)
def test_a_run_without_positives_is_a_run_without_those_figures(tmp_path, labels, roles):
    n = len(labels)
    lines = [f"{label},{role}" for label, role in zip(labels, roles or ["both"] * n, strict=True)]
    items = csv(tmp_path / "i.csv", "label,role", *lines)
    path = tmp_path / "runs" / "d" / "r"
    run = open_run(import_files(path, [(vectors(tmp_path / "e.npy", n), items)], progress=False))
    assert not {"recall@1", "map@r", "median_first_hit"} & set(run.result().metrics)
    assert run.result().caveats == [NO_POSITIVES]
    table = runs_table([path])
    assert len(table) == len(run.results)
    write_report([run], tmp_path / "out", ["recall@1"])
    for suffix in ("md", "csv", "tex"):
        assert NO_POSITIVES in (tmp_path / "out" / f"report.{suffix}").read_text()


def test_columns_beyond_a_thousand_dimensions_are_read(tmp_path):
    wide = pd.DataFrame(np.random.default_rng(0).standard_normal((4, 1200))).add_prefix("d")
    path = tmp_path / "i.parquet"
    wide.assign(label=list("aabb"), is_query=[1, 0, 1, 0]).to_parquet(path)
    items = read_items(path)
    assert items["label"].tolist() == list("aabb")
    assert items["role"].tolist() == ["query", "gallery"] * 2
    wide.to_parquet(path)
    assert len(refused(read_items, path)) < 500 + len(str(path))


@pytest.mark.parametrize("name", ["type", "subset", "Part"])
def test_roles_in_a_column_of_another_name_are_refused(tmp_path, name):
    path = csv(tmp_path / "i.csv", f"label,{name}", "a,query", "a,Gallery", "b,query")
    assert repr(name) in refused(read_items, path)


def test_items_are_read_by_their_byte_order_mark_and_separator(tmp_path):
    (tmp_path / "i.csv").write_bytes("label;path\ncafé;1.png\n".encode("utf-16"))
    assert read_items(tmp_path / "i.csv")["label"].tolist() == ["café"]
    (tmp_path / "i.csv").write_bytes("label\na\ncafé\n".encode("cp1252"))
    assert "row 3: not UTF-8" in refused(read_items, tmp_path / "i.csv")


def test_a_label_is_one_value_per_item(tmp_path):
    path = tmp_path / "i.parquet"
    pd.DataFrame({"label": [[1], [2]]}).to_parquet(path)
    assert "not one class per item" in refused(read_items, path)
    pd.DataFrame({"label": [b"a", b"b"]}).to_parquet(path)
    assert read_items(path)["label"].tolist() == ["a", "b"]
    spaced = csv(tmp_path / "i.csv", "label", " a", "a ", "none")
    assert "row 2 has no label ('none'" in refused(read_items, spaced)


@pytest.mark.parametrize(
    "lines",
    [
        ["12,a/0.jpg", "12,a/1.jpg", "7,b/0.JPG", "7,b/1.png"],
        ["12;a/0.jpg", "12;a/1.jpg", "7;b/0.JPG", "7;b/1.png"],
        ["a/0.jpg,12", "a/1.jpg,12", "b/0.JPG,7", "b/1.png,7"],
        ["", "12, a/0.jpg", "12, a/1.jpg", "", '7,"b/0.JPG"', "7 ,b/1.png"],
    ],
)
def test_a_list_without_a_header_is_read_as_the_baseline_wrote_it(tmp_path, lines):
    items = read_items(csv(tmp_path / "i.csv", *lines))
    assert items["label"].tolist() == ["12", "12", "7", "7"]
    assert items["path"].tolist() == ["a/0.jpg", "a/1.jpg", "b/0.JPG", "b/1.png"]
    assert items["has_path"].all()


def test_a_list_without_a_header_makes_the_run_that_its_header_would_make(tmp_path):
    rows = ["12,a/0.jpg", "12,a/1.jpg", "7,b/0.jpg", "7,b/1.jpg"]
    runs = [
        import_files(tmp_path / "runs/mine" / name, [(vectors(tmp_path / "e.npy"), file)])
        for name, file in (
            ("without", csv(tmp_path / "without.csv", *rows)),
            ("with", csv(tmp_path / "with.csv", "label,path", *rows)),
        )
    ]
    first, second = map(open_run, runs)
    pd.testing.assert_frame_equal(first.items, second.items)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a.jpg,b.jpg", "1,c.jpg"], "both fields of the first row"),
        (["label,b.jpg", "1,c.jpg"], "may be a header or an item"),
        (["1,a.jpg", "2"], "row 1 (of 0 to 1)"),
        (["1,a.jpg", "2,b.jpg,3"], "not a CSV table"),
        (["1,a.jpg", ",b.jpg"], "row 1"),
        (["1,a.jpg", "1,a.jpg"], "row 1 repeats 'a.jpg' of row 0"),
        (["1,a", "1,b"], "no column 'label'"),
    ],
)
def test_a_list_that_may_have_a_header_or_a_bad_row_is_refused(tmp_path, lines, message):
    assert message in refused(read_items, csv(tmp_path / "i.csv", *lines))


@pytest.mark.parametrize(
    "header", ["label,path", "path,label", "label,filename", "label,image", "filename,label"]
)
def test_a_header_is_not_taken_for_an_item(tmp_path, header):
    cells = {"label": "1"}
    rows = [",".join(cells.get(name, f"{n}.jpg") for name in header.split(",")) for n in range(2)]
    items = read_items(csv(tmp_path / "i.csv", header, *rows))
    assert items["path"].tolist() == ["0.jpg", "1.jpg"]


def test_views_of_the_baseline_are_imported_without_their_mean(tmp_path):
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["emb_aug"] = np.stack([x, x + 1, x - 1])
    items = csv(tmp_path / "i.csv", "1,a.jpg", "1,b.jpg", "2,c.jpg", "2,d.jpg")
    found, table = read_sides([(tmp_path / "e.h5", items)])
    np.testing.assert_allclose(found, x, atol=1e-6)
    assert table["label"].tolist() == [1, 1, 2, 2]


def test_own_columns_are_kept_in_their_types_and_dimensions_are_not(tmp_path):
    head = ["label", "store", "n", *(f"emb_{i}" for i in range(9)), "view1", "view2"]
    rows = [["a", " A ", "3", *"123456789", "x", "y"], ["a", "", "4", *"123456789", "x", "z"]]
    path = tmp_path / "items.csv"
    path.write_text("\n".join(",".join(row) for row in (head, *rows)) + "\n")
    items = read_items(path)
    assert items["store"].iloc[0] == "A"
    assert items["store"].isna().tolist() == [False, True]
    assert items["n"].tolist() == [3, 4]
    assert {"view1", "view2"} <= set(items)
    assert not any(name.startswith("emb_") for name in items)
    assert "store" not in read_items(path, own=False)


@pytest.mark.parametrize(
    ("label", "words"),
    [(None, r"label='sku', or .*found: file, sku, price$"), ("skuu", r"'sku'.*file, sku, price$")],
)
def test_all_columns_of_a_table_with_types_are_named_where_the_class_is_not_found(label, words):
    items = pd.DataFrame({"file": ["a", "b"], "sku": ["x", "x"], "price": [1.5, 2.5]})
    with pytest.raises(UserError, match=words):
        import_run(np.eye(2), items, dataset="shop", name="x", label=label)
