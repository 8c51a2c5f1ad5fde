"""Names of runs: by their loss and the settings that distinguish them."""

from tests.runs.helpers import with_settings
from workbench.analysis.naming import group_titles


def test_a_group_is_named_by_the_settings_that_differ(make_run):
    runs = [
        make_run("one"),
        make_run("two", seed=1),
        make_run("three"),
        make_run("four", loss=None),
    ]
    runs[2] = with_settings(runs[2], embedding_size=512)
    assert group_titles(runs) == {
        "one": "semi_hard_triplet (embedding size 64)",
        "two": "semi_hard_triplet (embedding size 64)",
        "three": "semi_hard_triplet (embedding size 512)",
        "four": "four",
    }


def test_of_options_those_that_differ_are_named_and_of_paths_the_last_part(make_run):
    runs = [make_run("one"), make_run("two"), make_run("three")]
    roots = ("/x/photos", "/x/photos", "/y/photos")
    for at, (table, root) in enumerate(zip("abb", roots, strict=True)):
        options = {"train_csv": f"/home/{table}.csv", "split_seed": 0, "image_root": root}
        runs[at] = with_settings(runs[at], dataset_options=options)
    first = "semi_hard_triplet (dataset options train_csv={} image_root={})"
    assert group_titles(runs) == {
        "one": first.format("a.csv", "/x/photos"),
        "two": first.format("b.csv", "/x/photos"),
        "three": first.format("b.csv", "/y/photos"),  # whole, where the last parts are the same
    }
    runs[2] = with_settings(runs[2], dataset_options=options | {"image_root": "/x/drawings/"})
    assert group_titles(runs)["three"] == first.format("b.csv", "drawings")
    assert group_titles(runs[:2])["one"] == "semi_hard_triplet (dataset options " + (
        "train_csv=a.csv)"
    )


def test_evaluations_in_training_distinguish_a_run_only_if_they_chose_the_network(make_run):
    runs = [make_run("one"), make_run("two", seed=1)]
    runs[0] = with_settings(runs[0], eval_every=40, eval_split="test", keep_embeddings=True)
    runs[1] = with_settings(runs[1], eval_every=75, freeze_steps=0)  # 0 is the default
    assert set(group_titles(runs).values()) == {"semi_hard_triplet"}
    runs[0] = with_settings(runs[0], use_checkpoint="best")
    assert group_titles(runs)["one"] == (
        "semi_hard_triplet (eval split test, eval every 40, use checkpoint best)"
    )
