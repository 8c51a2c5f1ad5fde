"""Opening runs for the app, which needs the neighbors of every protocol."""

import numpy as np

from tests.workbench.damage import opening


def test_every_protocol_needs_its_neighbors_not_the_primary_alone(made):
    assert made.primary == "query_gallery"
    arrays = dict(np.load(made.path / "neighbours.npz"))
    np.savez(made.path / "neighbours.npz", **{k: v for k, v in arrays.items() if "leave" not in k})
    assert "no neighbors under protocol 'leave_one_out'" in opening(made)
    arrays["leave_one_out/first_hit_item"] = arrays["leave_one_out/first_hit_item"] + 1000
    np.savez(made.path / "neighbours.npz", **arrays)
    assert "'leave_one_out' does not fit items.parquet" in opening(made)
