"""A page without a map says why, and how to make one."""

import pytest

from tests.workbench.driver import open_page, text_of


def _damage(run, how: str) -> None:
    file = run.path / "projection.parquet"
    if how == "short":
        run.projection.head(3).to_parquet(file)
    elif how == "column":
        run.projection.drop(columns="pca_z").to_parquet(file)
    elif how == "words":
        (run.projection.astype(str) + "?").to_parquet(file)
    else:
        file.write_bytes(how.encode())


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("short", "3 positions of 216 items"),
        ("column", "pca\\_z"),
        ("words", "could not convert"),
        ("PAR1 no", "arquet"),
        ("", "arquet"),
    ],
)
def test_a_damaged_map_is_not_called_missing(make_run, monkeypatch, how, reason):
    run = make_run("one")
    _damage(run, how)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    app = open_page("map")
    assert "The map of **one** is damaged" in app.warning[0].value
    assert reason in app.warning[0].value
    assert "no map yet" not in text_of(app)
    assert app.code[0].value == f"retrieval evaluate {run.path}"


def test_two_maps_say_which_of_them_is_missing_and_which_damaged(make_run, monkeypatch):
    run = make_run("one")
    other = make_run("two", projection=False)
    _damage(run, "")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    app = open_page("compare", a="one", b="two", compared="Two maps")
    assert "The map of **one** is damaged" in app.warning[0].value
    assert "**two** has no map yet." in text_of(app)
    assert app.code[0].value == f"retrieval evaluate {run.path}\nretrieval evaluate {other.path}"
