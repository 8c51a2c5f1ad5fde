"""Runs that the tests of reports share."""

import pandas as pd
import pytest

from tests.report.helpers import make_run


@pytest.fixture(scope="package")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    wanted = [
        (f"good-seed{s}", {"noise": 0.6, "seed": s, "loss": "good", "training_seed": s})
        for s in range(3)
    ]
    wanted += [
        ("bad_50%|run", {"noise": 3, "loss": "bad"}),
        ("other", {"noise": 0.6, "distance": "euclidean"}),
        ("fewer", {"noise": 0.6, "classes": 5}),
    ]
    with pytest.MonkeyPatch.context() as patch:
        # reports do not look at layouts, and compiling UMAP takes longer than all the rest
        patch.setattr(
            "retrieval.runs.evaluate.project", lambda x, *_, **__: pd.DataFrame(index=range(len(x)))
        )
        return [make_run(root, name, **options) for name, options in wanted]
