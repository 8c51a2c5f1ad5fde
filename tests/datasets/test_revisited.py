"""The ground truth of ROxford and RParis: three protocols, and a pickle that runs nothing."""

import pickle

import numpy as np
import pytest

from retrieval.datasets.revisited import read_ground_truth
from retrieval.errors import UserError
from retrieval.evaluation import evaluate

TRUTH = {
    "qimlist": ["all_souls_000013", "ashmolean_000058"],
    "imlist": ["a", "b", "c", "d", "e"],
    "gnd": [
        {"bbx": [1.5, 2, 30, 40], "easy": np.array([0, 2]), "hard": [3], "junk": [1]},
        {"bbx": [0, 0, 9, 9], "easy": [], "hard": np.array([4]), "junk": np.array([], int)},
    ],
}


def written(folder, content, protocol=2):
    path = folder / "gnd_roxford5k.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_it_is_read_whatever_the_pickle_s_protocol(tmp_path, protocol):
    truth = read_ground_truth(written(tmp_path, TRUTH, protocol))
    assert truth.queries == ("all_souls_000013", "ashmolean_000058")
    assert truth.gallery == ("a", "b", "c", "d", "e")
    assert truth.boxes.tolist() == [[1.5, 2, 30, 40], [0, 0, 9, 9]]
    assert truth.roles.tolist() == ["query"] * 2 + ["gallery"] * 5


@pytest.mark.parametrize(
    ("difficulty", "relevant", "junk"),
    [
        ("easy", [[2, 4], []], [[3, 5], [6]]),
        ("medium", [[2, 4, 5], [6]], [[3], []]),
        ("hard", [[5], [6]], [[2, 3, 4], []]),
    ],
)
def test_what_is_not_asked_for_is_junk(tmp_path, difficulty, relevant, junk):
    truth = read_ground_truth(written(tmp_path, TRUTH))
    judgments = truth.judgments(difficulty)
    assert [rows.tolist() for rows in judgments["relevance"]] == relevant
    assert [rows.tolist() for rows in judgments["ignore"]] == junk
    x = np.random.default_rng(0).standard_normal((7, 3))
    result = evaluate(x, np.zeros(7), truth.roles, **judgments, kmeans="none", n_bootstrap=0)
    assert result.n_positive.tolist() == [len(rows) for rows in relevant]
    assert result.n_excluded.tolist() == [len(rows) for rows in junk]


class Attack:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize("content", [Attack(), TRUTH | {"imlist": [Attack()]}])
def test_a_pickle_that_calls_anything_is_refused_before_it_runs(tmp_path, content, capsys):
    with pytest.raises(UserError, match=r"gnd_roxford5k.pkl: refused: .*print"):
        read_ground_truth(written(tmp_path, content))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1], "holds no imlist"),
        (TRUTH | {"gnd": TRUTH["gnd"][:1]}, "1 entries of gnd for 2 queries"),
        (TRUTH | {"gnd": [TRUTH["gnd"][0], {"ok": [1], "junk": []}]}, "query 1: lacks easy"),
        (TRUTH | {"imlist": ["a"]}, "query 0: easy lists an image that is not in the gallery"),
    ],
)
def test_what_is_no_ground_truth_is_refused(tmp_path, content, words):
    with pytest.raises(UserError, match=words):
        read_ground_truth(written(tmp_path, content))


def test_a_missing_or_damaged_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_ground_truth(tmp_path / "gnd.pkl")
    path = written(tmp_path, TRUTH)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="damaged"):
        read_ground_truth(path)
    with pytest.raises(UserError, match="difficulty = 'extreme'"):
        read_ground_truth(written(tmp_path, TRUTH)).judgments("extreme")
