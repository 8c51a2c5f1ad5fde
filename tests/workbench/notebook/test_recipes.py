"""A notebook's tables of published figures: what cannot be compared says why."""

import pytest

from retrieval.recipes import load_recipe
from tests.runs.helpers import made_by_recipe, with_dataset_options
from workbench.notebook import published_recipes, published_results


def made_by(run, recipe, **options):
    return with_dataset_options(made_by_recipe(run, recipe), **options)


def test_published_beside_measured_with_the_recipe_s_note(make_run):
    run = make_run("one")
    table = published_results({"mine": made_by(run, "cub200/npairs_loss")})
    row = table.loc[("one", "R@1")]
    assert (row["published"], row["settings"]) == ("46.52", "as published")
    assert row["note"] == load_recipe("cub200/npairs_loss").described()
    assert "slip" in row["note"]
    assert "ahmdtaha/tf_retrieval_baseline" in row["note"]
    table = published_results({"mine": made_by(run, "cub200/resnet50_proxy_anchor")})
    assert table.loc[("one", "R@1"), "settings"].startswith("reference: ")
    assert "best epoch" in table.loc[("one", "R@1"), "note"]


@pytest.mark.parametrize("protocol", ["leave_one_out", "query_gallery"])
def test_the_other_protocol_of_inshop_shows_a_dash(make_run, protocol):
    table = published_results({"mine": made_by(make_run("one"), "inshop/lifted_loss")}, protocol)
    under_it = protocol == "leave_one_out"
    assert (table["measured"] != "–").all() == under_it
    expected = "as published" if under_it else "not comparable: published under leave-one-out"
    assert set(table["settings"]) == {expected}


def test_a_list_of_recipes_says_which_figures_are_a_reference():
    table = published_recipes("cub200")
    assert table.loc["cub200/resnet50_proxy_anchor", "figures"].startswith("reference: ")
    assert "Kim et al. 2020" in table.loc["cub200/resnet50_proxy_anchor", "source"]
    assert table.loc["cub200/hard_triplet", "figures"] == ""
    assert "Adam" in table.loc["cub200/semi_hard_triplet", "note"]
    assert table.loc["cub200/hard_triplet", "note"] == ""
