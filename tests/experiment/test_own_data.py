"""Own data under a name: trained, resumed, embedded and evaluated, with every column kept."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from retrieval import open_run
from retrieval.datasets.checks import find_missing
from retrieval.errors import UserError
from retrieval.experiment.pipeline import embed, train
from retrieval.runs.evaluate import evaluate_run
from retrieval.runs.records import metadata_columns
from retrieval.runs.resume import load_catalog_of
from retrieval.settings.checks import check
from tests.photos import write_colors


@pytest.fixture(scope="module")
def catalog_folder(tmp_path_factory):
    """Photos of eight classes, and a CSV file of their prices in the same folder."""
    root = write_colors(tmp_path_factory.mktemp("photos"), seed=1, scale=40)
    paths = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.png"))
    rows = [f"{p},{9 + n / 4},2024-01-{n % 28 + 1:02d},{n % 2 == 0},{'' if n % 7 == 0 else n}"
            for n, p in enumerate(paths)]  # fmt: skip
    (root / "prices.csv").write_text("\n".join(["file,price,since,sale,stock", *rows]) + "\n")
    return root


def test_prices_beside_the_photos_are_in_the_run_and_stay_there(settings, catalog_folder, tmp_path):
    named = settings.with_(dataset="shoes", data=str(catalog_folder), steps=2, eval_every=2)
    path = train(named, runs=tmp_path, name="one", progress=False)
    assert path == tmp_path / "shoes" / "one"
    run = open_run(path)
    assert metadata_columns(run.items) == ["price", "since", "sale", "stock"]
    schema = pq.read_schema(path / "items.parquet")
    kinds = {name: str(schema.field(name).type) for name in metadata_columns(run.items)}
    assert kinds == {
        "price": "double", "since": "timestamp[us]", "sale": "bool", "stock": "int64"
    }  # fmt: skip
    table = pd.read_csv(catalog_folder / "prices.csv").set_index("file")
    expected = table.loc[run.items["path"], "price"]
    assert run.items["price"].tolist() == expected.tolist()
    assert (run.dataset_config.kind, run.dataset_config.name) == ("folder", "shoes")
    assert load_catalog_of(run).name == "shoes"
    assert open_run(embed(path, progress=False)).items.equals(run.items)
    assert evaluate_run(path, progress=False).items.equals(run.items)


def test_a_list_under_a_name_is_trained_on(settings, catalog_folder, tmp_path):
    table = pd.read_csv(catalog_folder / "prices.csv")
    table["sku"] = table["file"].str.split("/").str[0]
    table.to_parquet(catalog_folder / "list.parquet")
    named = settings.with_(
        dataset="boots", data=str(catalog_folder / "list.parquet"), loss="none",
        dataset_options={"label": "sku", "path": "file"},
    )  # fmt: skip
    run = open_run(train(named, runs=tmp_path, progress=False))
    assert run.dataset_config.kind == "csv"
    assert {"price", "since", "sale", "stock"} <= set(run.items)
    assert not find_missing(run.dataset_config.root, run.items["path"].tolist())
    assert run.thumbnail(0)


def test_a_name_without_data_is_refused_before_anything_is_done(settings):
    with pytest.raises(UserError, match="unknown data set 'shoess'"):
        check(settings.with_(dataset="shoess", data=None))
