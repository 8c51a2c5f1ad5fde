"""``history.csv`` is read back exactly, so that a resumed run decides as an uninterrupted one."""

import pandas as pd
import pytest

from retrieval.training.history import History


def evaluated(history: History, step: int, value: float) -> None:
    """Add a step with loss and metric."""
    history.append({"step": step, "loss": 0.12345678901, "learning_rate": 3e-4, "spread": 0.5})
    history.annotate({"recall@1": value})


@pytest.mark.parametrize("value", [1 / 3, 0.1 + 0.2, 2 / 3, 5e-324, 1.0], ids=repr)
def test_a_metric_is_read_back_to_its_last_digit(tmp_path, value):
    history = History(tmp_path / "history.csv")
    evaluated(history, 1, value)
    history.flush()
    assert History(history.path, 1).rows[0]["recall@1"] == value


def test_an_equal_score_is_no_improvement_even_after_a_resume(tmp_path):
    history = History(tmp_path / "history.csv")
    evaluated(history, 1, 1 / 3)
    history.flush()
    resumed = History(history.path, 1)
    for each in (history, resumed):
        evaluated(each, 2, 1 / 3)
        assert each.has_stopped_improving("recall@1", 1)


def test_rows_are_written_once_however_often_they_are_read(tmp_path):
    history = History(tmp_path / "history.csv")
    evaluated(history, 1, 1 / 3)
    history.append({"step": 2, "loss": 1e-9, "learning_rate": 3e-4, "spread": 0.5})
    history.flush()
    text = history.path.read_text(encoding="utf-8")
    assert text == (
        "step,loss,learning_rate,spread,recall@1\n"
        "1,0.1234568,0.0003,0.5,0.3333333333333333\n"
        "2,1e-09,0.0003,0.5,\n"
    )
    History(history.path, 2).flush()
    assert history.path.read_text(encoding="utf-8") == text
    assert list(pd.read_csv(history.path)["step"]) == [1, 2]


def test_rows_after_the_last_checkpoint_are_dropped(tmp_path):
    history = History(tmp_path / "history.csv")
    for step in (1, 2, 3):
        evaluated(history, step, 0.5)
    history.flush()
    assert [row["step"] for row in History(history.path, 2).rows] == [1, 2]
    assert History(history.path).rows == []


def test_patience_counts_evaluations_since_the_best(tmp_path):
    history = History(tmp_path / "history.csv")
    verdicts = []
    for step, score in enumerate([0.1, 0.3, 0.2, None, 0.3, 0.4, 0.1, 0.1], start=1):
        history.append({"step": step} | ({} if score is None else {"recall@1": score}))
        verdicts.append(history.has_stopped_improving("recall@1", 2))
    assert verdicts == [False, False, False, False, True, False, False, True]
    assert not history.has_stopped_improving("recall@1", 0)
