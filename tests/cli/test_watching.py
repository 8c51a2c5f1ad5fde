"""The view of all runs of a command on a cluster."""

from pathlib import Path

from retrieval.cli.watching import RunsView, lines_of, summary
from retrieval.experiment.tasks import View
from retrieval.runs.live import RUNNING, STALLED, TRAINING, WAITING, Live, Process, Training


def training(name, state, step=50, left=100.0):
    live = Live(
        Process(7, "node7", "", 0.0), started=0.0, updated=0.0, patience=60.0, stage=TRAINING,
        step=step, steps=100, loss=0.25, seconds_left=left,
    )  # fmt: skip
    return Training(Path("runs/birds") / name, state, live=None if state == WAITING else live)


def test_the_summary_counts_every_run_and_says_when_all_are_done():
    found = [training("a", RUNNING), training("b", RUNNING), training("c", WAITING)]
    # Two run, with 100 s left for half of the steps, so the other two take 200 s: one each.
    assert summary(View(6, 1, 1, found)) == (
        "6 runs: 1 finished, 1 failed, 2 running, 2 waiting; about 5 min left"
    )
    assert summary(View(1, 1, 0, [])) == "1 run: 1 finished"


def test_the_table_has_a_row_per_run_at_work_and_fits_the_screen():
    found = [training(f"run{number}", RUNNING) for number in range(9)] + [training("s", STALLED)]
    lines = lines_of(View(12, 1, 1, found), most=20)
    assert len(lines) == 2 + 10
    assert lines[1].split() == ["run", "state", "at", "step", "loss", "left", "node"]
    assert lines[2].split()[:3] == ["run0", "running", "training"]
    assert lines[2].split()[-1] == "node7"
    short = lines_of(View(12, 1, 1, found), most=6)
    assert len(short) == 6
    assert short[-1] == "... and 7 more; `retrieval trainings` lists all"


def test_a_log_gets_a_line_per_change(capsys):
    with RunsView() as view:
        for _ in range(2):
            view.update(View(2, 0, 0, [training("a", RUNNING), training("b", WAITING)]))
        view.update(View(2, 1, 0, [training("a", STALLED)]))
    assert capsys.readouterr().out.splitlines() == [
        "runs/birds/a: running on node7 from step 50",
        "runs/birds/a: stalled on node7 from step 50",
        "2 runs: 1 finished, 1 stalled",
    ]
