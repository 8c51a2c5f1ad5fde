"""`retrieval embed`, `search` and `index` print what was found, and refuse in one line."""

import json
import re

import pandas as pd
import pytest

from retrieval.cli.main import main


@pytest.fixture
def command(monkeypatch, capsys):
    """Run `retrieval ...` in this process; return its exit code, output and errors."""

    def give(*words):
        monkeypatch.setattr("sys.argv", ["retrieval", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return ended.value.code, shown.out, shown.err

    return give


@pytest.fixture
def prices(run, settings, tmp_path):
    """Vectors of a list with prices; one of its images is missing."""
    table = run.items[["path"]].assign(price=[row / 4 for row in range(24)])
    table.loc[24] = ["class 0/99.png", 7.0]
    table.to_csv(tmp_path / "list.csv", index=False)
    return tmp_path / "list.csv"


def test_columns_that_miss_values_and_large_prices_are_shown(command, run, settings, tmp_path):
    table = run.items[["path"]].head(4).assign(
        price=[12999.99, 5.5, None, 1234567.89],
        stock=pd.array([3, None, 1, 0], "Int64"),
        sale=pd.array([True, None, False, True], "boolean"),
        shelf=pd.Categorical(["x", None, "y", "x"]),
        since=pd.to_datetime(["2024-02-29", None, None, None]),
    )  # fmt: skip
    table.to_parquet(tmp_path / "list.parquet")
    out, page = tmp_path / "x.parquet", tmp_path / "page.html"
    words = ("--images", tmp_path / "list.parquet", "--image-root", settings.data, "--out", out)
    assert command("embed", run.path, *words)[0] == 0
    photo = f"{settings.data}/{table['path'][0]}"
    code, shown, _ = command("search", run.path, photo, "--gallery", out, "--html", page)
    assert code == 0
    assert re.search(r"12999\.99 +3 +yes +x +2024-02-29", shown)
    assert "nan" not in shown.lower()
    assert "NaT" not in shown
    assert "<dd>12999.99</dd>" in page.read_text()
    assert "<dd>1234567.89</dd>" in page.read_text()


@pytest.mark.parametrize("suffix", [".parquet", ".npy", ".h5"])
def test_what_a_run_stores_is_searched_as_a_file_without_a_warning(
    command, run, settings, tmp_path, suffix
):
    out, photo = tmp_path / f"x{suffix}", f"{settings.data}/{run.items['path'][8]}"
    assert command("export", run.path, "--out", out)[0] == 0
    code, shown, errors = command("search", run.path, photo, "--gallery", out, "-k", "2", "--json")
    assert (code, errors) == (0, "")
    hits = json.loads(shown)["queries"][0]["hits"]
    assert hits[0]["path"] == run.items["path"][8]
    assert hits[0]["label"] == run.items["label_name"][8]
    page = tmp_path / "page.html"
    command("search", run.path, photo, "--gallery", out, "-k", "2", "--html", page)
    assert page.read_text().count("<img ") == 3


def test_from_a_list_with_prices_to_the_price_beside_each_result(
    command, run, settings, prices, tmp_path
):
    out = tmp_path / "x.parquet"
    words = ("embed", run.path, "--images", prices, "--image-root", settings.data, "--out", out)
    code, _, errors = command(*words, "--strict")
    assert code == 1
    assert "class 0/99.png" in errors
    assert "drop --strict" in errors
    code, shown, _ = command(*words)
    assert code == 0
    assert "24 vectors of 8 dimensions" in shown
    assert "x.skipped.csv: 1 image left out" in shown
    skipped = pd.read_csv(tmp_path / "x.skipped.csv").to_numpy().tolist()
    assert skipped == [["class 0/99.png", "missing"]]
    photo = f"{settings.data}/{run.items['path'][8]}"
    search = ("search", run.path, photo, "--gallery", out)
    page = tmp_path / "page.html"
    code, shown, _ = command(*search, "-k", "3", "--html", page)
    assert code == 0
    head, first = shown.strip().splitlines()[1:3]
    assert head.split() == ["rank", "similarity", "path", "price"]
    assert re.fullmatch(rf" *1 +1(\.0+)? +{re.escape(run.items['path'][8])} +2\.0+", first)
    assert "exact, among 24" in shown
    assert page.read_text().count("<img ") == 4
    code, _, errors = command(*search, "--html", page)
    assert code == 1
    assert "pass --overwrite" in errors
    code, shown, _ = command(*search, "--json", "-k", "1")
    assert json.loads(shown)["queries"][0]["hits"][0]["price"] == 2.0
    code, shown, _ = command("index", out, "--out", tmp_path / "index", "--type", "hnsw")
    assert code == 0
    assert "recall@10 100.00% against exact search, on 24 of its vectors" in shown
    assert "bytes per vector" in shown
    code, shown, _ = command("search", run.path, photo, "--gallery", tmp_path / "index")
    assert "by an index, hnsw (links" in shown
    assert " vectors, recall@10 100.00% against exact search" in shown
    assert "price" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--index", "annoy"), "annoy"),
        (("-k", "0"), "-k"),
        (("--gallery", "nowhere"), "nowhere: not there"),
    ],
)
def test_wrong_options_end_with_one_line(command, run, settings, words, message):
    photo = f"{settings.data}/{run.items['path'][0]}"
    code, _, errors = command("search", run.path, photo, *words)
    assert code == 1
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert message in errors
