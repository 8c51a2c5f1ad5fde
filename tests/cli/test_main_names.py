"""A misspelled name ends in one line with the closest valid name."""

import pytest

from tests.cli.helpers import nothing_was_left, one_line, train


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--loss", "hard_triplett"), "unknown loss 'hard_triplett': did you mean 'hard_triplet'?"),
        (("--dataset", "grocary"), "unknown data set 'grocary': did you mean 'grocery'?"),
        (("--backbone", "conv5"), "unknown backbone 'conv5': did you mean 'conv4'?"),
        (("--recipe", "cub200/semi_hard_triple"), "did you mean 'cub200/semi_hard_triplet'?"),
        (("--optimizer", "adamm"), "optimizer = 'adamm': did you mean 'adam'?"),
        (("--head", "dirct"), "unknown head 'dirct': did you mean 'direct'?"),
        (("--monitor", "recall@3"), "monitor = 'recall@3': did you mean 'recall@"),
        (("--test-time", "flipp"), "unknown test-time view 'flipp': did you mean 'flip'?"),
        (("--losss", "npairs_loss"), "--losss"),
        (("--data-opton", "x=1"), "--data-opton"),
        (("--schedule", "cosin"), "did you mean 'cosine'?"),
        (("--recipe", "cub200/nothing"), "unknown recipe 'cub200/nothing'"),
        (("--dataset-option", "sise=1"), "data set folder has no option 'sise'; valid: "),
        (("--loss-option", "margn=1"), "did you mean 'margin'? valid: "),
    ],
)
def test_a_misspelled_name_is_answered_with_the_closest_valid_one(
    retrieval, photos, tmp_path, words, message
):
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
