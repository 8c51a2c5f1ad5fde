"""A part of the gallery on a device of TensorFlow says what it says on the CPU."""

import numpy as np
import pytest
from hypothesis import given, settings

from retrieval.errors import UserError
from retrieval.evaluation.protocol import sides
from retrieval.evaluation.search.device import count_part_on
from retrieval.evaluation.search.plan import BlockSizes, Search
from retrieval.evaluation.search.search import empty_ranking, search
from retrieval.evaluation.search.shard_files import ShardedSearch, Workers
from retrieval.evaluation.search.shards import merge_parts, parts_of
from retrieval.evaluation.search.threads import worker_pool
from retrieval.validation import Distance, choices_of
from tests.evaluation.test_shards import assert_equal, cases, judgments_of

CPU = "/CPU:0"


def on_device(embeddings, codes, parts, distance, k, *, pool, shards, sizes, judgments, tile):
    """Search each part of the gallery on a device, and merge."""
    job = Search(embeddings, codes, parts, distance, k, sizes, judgments)
    out = empty_ranking(parts, k, judgments)
    for group in job.groups():
        found = [
            count_part_on(job, group, part, CPU, tile)
            for part in parts_of(len(parts.gallery), shards)
        ]
        merge_parts(job, group, found, out, pool)
    return out


@pytest.mark.slow
@given(cases())
@settings(max_examples=10, deadline=None)
def test_a_device_gives_the_ranking_of_one_search(case):
    parts = sides(len(case["codes"]), case["roles"])
    judgments = judgments_of(case, parts)
    of = (case["embeddings"], case["codes"], parts, case["distance"], case["k"])
    with worker_pool(1) as pool:
        common = {"pool": pool, "sizes": case["sizes"], "judgments": judgments}
        whole = search(*of, **common)
        assert_equal(whole, on_device(*of, shards=case["shards"], tile=1, **common))


@pytest.mark.slow
@pytest.mark.parametrize("distance", choices_of(Distance))
@pytest.mark.parametrize("order", ["mixed", "nearest last"])
def test_many_positives_and_many_tiles(distance, order):
    # Classes of 3 to 300: counted one by one, and marked. Of a gallery that comes nearer and
    # nearer, every tile displaces what the tiles before have found.
    rng = np.random.default_rng(5)
    codes = np.repeat([0, 1, 2, 3], [3, 20, 300, 900])
    rows = (rng.normal(size=(4, 6))[codes] + 2 * rng.normal(size=(len(codes), 6))).astype(
        np.float32
    )
    if order == "nearest last":
        at = np.argsort(-np.linalg.norm(rows - rows[7], axis=1))
        rows, codes = rows[at], codes[at]
    parts, sizes = sides(len(codes), None), BlockSizes(queries=200)
    judgments = judgments_of({"rules": "none", "codes": codes}, parts)
    with worker_pool(1) as pool:
        of = (rows, codes, parts, distance, 20)
        whole = search(*of, pool=pool)
        found = on_device(
            *of, pool=pool, shards=2, sizes=sizes, judgments=judgments, tile=200 * 150
        )
    assert_equal(whole, found)


def test_without_a_gpu_one_line_says_so(tmp_path, monkeypatch):
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    with worker_pool(1) as pool:
        of = (rows, np.arange(20) % 4, sides(20, None))
        divided = ShardedSearch(tmp_path, workers=Workers(device="gpu"))
        with pytest.raises(UserError, match="--device gpu: TensorFlow sees no GPU here"):
            divided(*of, pool=pool)
        monkeypatch.setattr("retrieval.evaluation.search.device.first_gpu", lambda: CPU)
        assert_equal(search(*of, pool=pool), divided(*of, pool=pool))
