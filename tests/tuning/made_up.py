"""A record of a tuning that names runs of the workbench's tests."""

from retrieval.runs.tuning import (
    COMPLETE,
    DIVERGED,
    RECOMMENDED,
    STOPPED,
    TUNED,
    Budget,
    Fold,
    Trial,
    TrialResult,
    Tuning,
    write_tuning,
)

A, B = "semi_hard_triplet", "contrastive_loss"


def result(*folds, state=COMPLETE):
    """Return a result of 10 steps per evaluation."""
    return TrialResult(state, folds, 10 * sum(map(len, folds)), 1.0)


def record(**changes):
    """Return a finished tuning of two losses, of which the second kept its recommended settings."""
    trials = {
        A: (
            Trial(0, {"learning_rate": 3e-4, "margin": 0.2}, result((0.4, 0.5), (0.5, 0.6))),
            Trial(1, {"learning_rate": 1e-3, "margin": 0.5}, result((0.3,), state=STOPPED)),
            Trial(2, {"learning_rate": 2e-3, "margin": 0.1}, result((0.5, 0.6), (0.6, 0.8))),
        ),
        B: (
            Trial(0, {"learning_rate": 3e-4, "pairs": "blocks"}, result((0.4, 0.5), (0.4, 0.5))),
            Trial(1, {"learning_rate": 3e-3, "pairs": "all"}, result((), state=DIVERGED)),
            Trial(2, {"learning_rate": 1e-4, "pairs": "all"}, result((0.1,), state=STOPPED)),
        ),
    }
    made = Tuning(
        dataset="photos",
        name="fair",
        metric="map@r",
        seed=0,
        budget=Budget(3, 2, 20, 2, 2, 1, early_stopping=True),
        settings={"dataset": "photos"},
        spaces={loss: dict.fromkeys(of[0].point, "some") for loss, of in trials.items()},
        sources=dict.fromkeys(trials, "a paper"),
        folds=(Fold((0, 2), ("ant", "bee"), 12), Fold((4, 6), ("cat", "dog"), 11)),
        digest="0",
        trials=trials,
        runs={
            A: {TUNED: ("semi_hard_triplet-s0",), RECOMMENDED: ("lifted_loss-s0",)},
            B: dict.fromkeys((TUNED, RECOMMENDED), ("contrastive_loss-s0", "contrastive_loss-s1")),
        },
        finished=True,
    )
    return made.with_(**changes)


def put(root, tuning):
    """Write a record among runs."""
    write_tuning(root / tuning.dataset / ".tuning" / tuning.name, tuning)
