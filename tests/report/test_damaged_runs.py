"""A report on a damaged run is one line that names the file, or a report without what is lost."""

import shutil

import pytest

from retrieval.errors import UserError
from retrieval.report import make_report
from retrieval.report.text import csv_of
from retrieval.runs.store import open_run
from workbench.report import page_html

DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "without its last line": lambda data: data[: data[:-1].rfind(b"\n") + 1],
    "another byte": lambda data: (
        data[: len(data) // 3] + b"\xff\x00[}" + data[len(data) // 3 + 4 :]
    ),
    "something else": lambda data: b"- 1\n- 2\n",
}
NEEDED = ("neighbours.npz", "config.yaml", "metrics.json", "items.parquet", "embeddings.npy")


@pytest.fixture(scope="module")
def whole(runs):
    return runs[0].path


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", NEEDED)
def test_a_damaged_file_is_named_in_one_line(whole, tmp_path, name, how):
    path = shutil.copytree(whole, tmp_path / "shapes" / "one")
    data = (path / name).read_bytes()
    (path / name).unlink()  # it shares its content with the whole run's
    (path / name).write_bytes(DAMAGE[how](data))
    with pytest.raises(UserError) as caught:
        page_html(make_report([open_run(path)]))
    assert str(path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", ["projection.parquet", "thumbnails/offsets.npy", "history.csv"])
def test_a_report_needs_no_extras(whole, tmp_path, name, how):
    path = shutil.copytree(whole, tmp_path / "shapes" / "one")
    data = (path / name).read_bytes() if (path / name).exists() else b"PK nothing at all"
    (path / name).unlink(missing_ok=True)
    (path / name).write_bytes(DAMAGE[how](data))
    run = open_run(path)
    assert run.projection is None or name != "projection.parquet"
    assert "one" in csv_of(make_report([run]))
    page_html(make_report([run]))


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "＝"])
def test_no_name_is_run_as_a_formula_by_a_spreadsheet(whole, tmp_path, sign):
    name = f"{sign}cmd|'x'!A1"
    path = shutil.copytree(whole, tmp_path / "shapes" / name.replace("/", ""))
    text = csv_of(make_report([open_run(path)]))
    assert f"'{sign}cmd" in text
    assert not any(line.startswith(sign) for line in text.splitlines())
