"""What a training leaves for those who look, and how little that may disturb it."""

import json
import math
import time

import pytest

from retrieval.errors import UserError
from retrieval.progress import progress_bar, stage
from retrieval.runs.live import list_trainings, read_live
from retrieval.runs.places import LIVE_FILE
from retrieval.settings.schema import TrainSettings
from retrieval.training.callbacks import LiveView, StepCounter
from retrieval.training.interruption import Interrupted
from retrieval.training.live import (
    LiveRecord,
    PlanRecord,
    QueueRecord,
    Thinned,
    live_record,
    planned_live,
)
from retrieval.training.optimizers import build_optimizer

SETTINGS = TrainSettings(dataset="folder", steps=100, eval_every=50, seed=3)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "folder" / ".one.partial"
    made.mkdir(parents=True)
    (made / "config.yaml").write_text("schema: 1\n")
    return made


def test_a_curve_keeps_a_bounded_number_of_points_and_averages_the_rest():
    curve = Thinned(most=4)
    for step in range(1, 4):
        curve.add(step, float(step))
    assert curve.points == [(1, 1.0), (2, 2.0), (3, 3.0)]
    for step in range(4, 9):
        curve.add(step, float(step))
    # After step 4: (1, 2) -> (2, 1.5), (3, 4) -> (4, 3.5); from there, two steps make a point.
    # After step 8 there are four again: (2, 1.5), (4, 3.5) -> (4, 2.5) and (8, 6.5).
    assert curve.points == [(4, 2.5), (8, 6.5)]
    for step in range(9, 10_000):
        curve.add(step, 1.0)
    assert len(curve.points) < 4
    curve.clear()
    curve.add(7, math.nan)
    assert curve.points == []


def test_the_record_says_at_once_who_trains_what(folder):
    record = LiveRecord(folder, SETTINGS, device="a CPU, float32", overwrite=True)
    record.start()
    said = read_live(folder)
    assert said == record.live.__class__.from_mapping(json.loads((folder / LIVE_FILE).read_text()))
    assert (said.state, said.stage, said.steps, said.device) == (
        "running", "preparing", 100, "a CPU, float32",
    )  # fmt: skip
    assert said.settings["seed"] == 3
    assert said.overwrite
    assert said.process.is_gone() is False
    assert said.memory > 1e6
    record.stop()
    assert not (folder / LIVE_FILE).exists()


def test_it_is_written_again_only_when_something_has_happened(folder):
    record = LiveRecord(folder, SETTINGS, every=0.01)
    record.start()
    before = (folder / LIVE_FILE).stat().st_mtime_ns
    time.sleep(0.1)
    assert (folder / LIVE_FILE).stat().st_mtime_ns == before
    record.enter("embedding")
    deadline = time.monotonic() + 5
    while read_live(folder).stage != "embedding" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert read_live(folder).stage == "embedding"
    record.stop()


def test_it_names_the_innermost_task_of_a_stage_and_how_far_it_is(folder):
    with live_record(LiveRecord(folder, SETTINGS)) as record:
        record.enter("evaluating")
        with stage("outer", show=False):
            with progress_bar("thumbnails", 500, show=False, done=20) as advance:
                advance(100)
                said = record.snapshot()
                assert (said.task, said.done, said.total) == ("thumbnails", 120, 500)
                assert said.stage_words() == "evaluating: thumbnails, 120 of 500"
                assert said.share() == pytest.approx(0.24)
            assert record.snapshot().stage_words() == "evaluating: outer"
        assert record.snapshot().stage_words() == "evaluating"


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (UserError("bad.jpg: cannot be read"), "failed", "bad.jpg: cannot be read"),
        (MemoryError(), "failed", "not enough memory"),
        (RuntimeError("a\nb"), "failed", "RuntimeError: a b"),
        (Interrupted(15), "interrupted", None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_says_how_the_training_ended(folder, error, state, words):
    def work():
        with live_record(LiveRecord(folder, SETTINGS)):
            raise error

    with pytest.raises(type(error)):
        work()
    said = read_live(folder)
    assert said.state == state
    assert (said.error or "").startswith(words or "")
    assert "\n" not in (said.error or "")


def test_a_folder_that_cannot_be_written_to_does_not_stop_the_training(tmp_path):
    with live_record(LiveRecord(tmp_path / "gone", SETTINGS)) as record:
        record.enter("training")
        record.write()
    assert list(tmp_path.iterdir()) == []


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Model:
    optimizer = build_optimizer("momentum", 0.125)


def test_speed_and_time_left_are_of_steps_and_of_evaluations_apart(folder):
    clock, counter, record = Clock(), StepCounter(0, 100), LiveRecord(folder, SETTINGS)
    view = LiveView(counter, record, images=30, interval=50, clock=clock)
    view._model = Model()
    view.on_train_begin()
    for step in range(1, 51):
        clock.now += 60.0 if step == 1 else 0.5  # the first one builds a graph
        counter.step = step
        view.on_train_batch_end(0, {"loss": 1 / step})
    said = record.snapshot()
    assert said.images_per_second == pytest.approx(60)
    assert said.seconds_left == pytest.approx(25)
    assert (said.step, said.loss, said.checkpoint) == (50, 0.02, None)
    assert len(said.recent) == 50
    clock.now += 7  # the evaluation
    view.on_epoch_end(0, {})
    said = record.snapshot()
    assert said.seconds_left == pytest.approx(25 + 7)  # 50 steps and one evaluation
    assert said.checkpoint.step == 50
    assert said.recent == ()  # history.csv has them
    assert said.learning_rate == 0.125
    view.on_epoch_begin(1)
    clock.now += 0.5
    view.on_train_batch_end(0, {"loss": 1.0})
    assert record.rate == pytest.approx(0.5)  # without the evaluation


def test_a_step_may_take_fifty_times_the_usual_before_it_counts_as_stalled(folder):
    record = LiveRecord(folder, SETTINGS)
    record.enter("training")
    assert record.snapshot().patience == 900  # the first step builds a graph
    record.rate, record.batch = 10.0, 4
    assert record.snapshot().patience == 500
    record.rate = 0.1
    assert record.snapshot().patience == 120
    record.begin("k-means", None)
    assert record.snapshot().patience == 900


def test_a_loss_that_is_not_finite_is_left_out_of_the_file(folder):
    record = LiveRecord(folder, SETTINGS)
    record.loss = math.nan
    record.write()
    assert read_live(folder).loss is None


def test_a_queue_is_there_until_every_run_is_made(tmp_path):
    one, two = (tmp_path / "photos" / name for name in ("one", "two"))
    queue = QueueRecord([one, two], "key")
    assert [each.state for each in list_trainings(tmp_path)] == ["waiting", "waiting"]
    queue.mark(one)
    queue.mark(two, UserError("no memory"))
    (found,) = list_trainings(tmp_path)
    assert (found.path, found.state, found.error) == (two, "failed", "no memory")
    queue.mark(two)
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_plans_is_silent_at_first_and_then_says_what_it_is_at(tmp_path):
    clock, path = Clock(), tmp_path / "photos" / "one"
    plan = PlanRecord(path, SETTINGS, clock=clock)
    plan.begin("checking images", 50)
    plan.advance(10)
    assert list(tmp_path.iterdir()) == []
    clock.now = 2.0
    plan.advance(20)
    (found,) = list_trainings(tmp_path)
    assert (found.path, found.state) == (path, "running")
    assert found.live.stage_words() == "preparing: checking images, 20 of 50"
    clock.now = 3.0
    plan.advance(30)
    assert list_trainings(tmp_path)[0].live.done == 20


def test_what_a_command_says_while_it_plans_is_gone_when_it_has_planned(tmp_path, monkeypatch):
    monkeypatch.setattr("retrieval.training.live.EVERY", 0.0)
    root = tmp_path / "runs"
    with planned_live(root / "photos" / "one", SETTINGS), stage("reading it", show=False):
        (found,) = list_trainings(root)
        assert found.live.stage_words() == "preparing: reading it"
    assert list(tmp_path.iterdir()) == []
