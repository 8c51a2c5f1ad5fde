"""The exact search in shards is that of one machine, to the last digit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import UserError
from retrieval.evaluation.protocol import sides
from retrieval.evaluation.relevance import rules_of
from retrieval.evaluation.search import shards as sharded
from retrieval.evaluation.search.plan import BlockSizes, Search
from retrieval.evaluation.search.search import empty_ranking, search
from retrieval.evaluation.search.shard_files import ShardedSearch, Workers, run_here
from retrieval.evaluation.search.shards import count_part, default_shards, merge_parts, parts_of
from retrieval.evaluation.search.threads import worker_pool
from retrieval.validation import Distance, choices_of


def assert_equal(one, other):
    """Check that two rankings are the same, bit for bit."""
    for name in (
        "queries", "ids", "similarities", "n_positive", "n_excluded", "n_excluded_positive",
        "first_relevant_rank", "first_relevant_item",
    ):  # fmt: skip
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.scores.keys() == other.scores.keys()
    for name, values in one.scores.items():
        np.testing.assert_array_equal(values, other.scores[name], err_msg=name)


def in_shards(embeddings, codes, parts, distance, k, *, pool, shards, sizes, judgments):
    """Search each part of the gallery apart, and merge in a mixed order."""
    job = Search(embeddings, codes, parts, distance, k, sizes, judgments)
    out = empty_ranking(parts, k, judgments)
    for group in job.groups():
        partials = [
            count_part(job, group, part, pool) for part in parts_of(len(parts.gallery), shards)
        ]
        merge_parts(job, group, partials[1:] + partials[:1], out, pool)
    return out


@st.composite
def cases(draw):
    """Draw items with duplicates and ties, roles, rules, and a division."""
    n, d = draw(st.integers(3, 60)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    coarse = draw(st.booleans())  # few values: ties everywhere
    rows = rng.integers(-1, 2, (n, d)) if coarse else rng.normal(size=(n, d))
    rows = rows[rng.integers(0, n, n)].astype(np.float32)
    roles = None
    if draw(st.booleans()):
        roles = rng.choice(["query", "gallery", "both"], n).astype(object)
        roles[:2] = "query", "gallery"
    return {
        "embeddings": rows,
        "codes": np.unique(rng.integers(0, draw(st.integers(1, n)), n), return_inverse=True)[1],
        "roles": roles,
        "distance": draw(st.sampled_from(choices_of(Distance))),
        "k": draw(st.integers(0, 12)),
        "shards": draw(st.integers(1, 9)),
        "sizes": BlockSizes(
            queries=draw(st.integers(1, 9)), tile=draw(st.integers(1, 20)), group_bytes=1 << 12
        ),
        "rules": draw(st.sampled_from(["none", "exclude", "junk", "lists"])),
        "column": rng.integers(0, 3, n),
        "rng": rng,
    }


def judgments_of(case, parts):
    """Return the judgments of the rules of a case."""
    codes, given = case["codes"], {}
    if case["rules"] == "exclude":
        given = {"exclude_same": {"store": case["column"]}}
    elif case["rules"] == "junk":
        given = {"junk_same": {"camera": case["column"]}, "metrics": ("minp", "map@3")}
    elif case["rules"] == "lists":
        lists = [
            {int(i): float(case["rng"].integers(1, 4)) for i in parts.gallery if i % 3 == q % 3}
            for q in parts.queries
        ]
        given = {"relevance": lists, "metrics": ("ndcg@5",)}
        given["ignore"] = [parts.gallery[parts.gallery % 5 == 0] for _ in parts.queries]
    return rules_of(codes, parts, **given).judgments


@given(cases())
@settings(max_examples=80, deadline=None)
def test_any_number_of_shards_gives_the_ranking_of_one_search(case):
    parts = sides(len(case["codes"]), case["roles"])
    of = (case["embeddings"], case["codes"], parts, case["distance"], case["k"])
    with worker_pool(2) as pool:
        common = {"pool": pool, "sizes": case["sizes"], "judgments": judgments_of(case, parts)}
        assert_equal(search(*of, **common), in_shards(*of, shards=case["shards"], **common))


def test_a_gallery_on_disk_is_read_in_chunks_and_gives_the_same(tmp_path):
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(500, 6)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    codes = np.sort(rng.integers(0, 40, 500))
    parts = sides(500, None)
    judgments = rules_of(codes, parts).judgments
    sizes = BlockSizes(queries=64, tile=32, chunk_bytes=100 * (8 * 6 + 16), group_bytes=1 << 16)
    with worker_pool(1) as pool:
        whole = search(rows, codes, parts, "euclidean", 20, pool=pool)
        found = in_shards(
            mapped, codes, parts, "euclidean", 20, pool=pool, shards=3, sizes=sizes,
            judgments=judgments,
        )  # fmt: skip
    assert_equal(whole, found)


@pytest.mark.parametrize("shards", [1, 3, 10, 99])
def test_parts_cover_the_gallery_once(shards):
    parts = parts_of(10, shards)
    assert [i for part in parts for i in part] == list(range(10))
    assert all(len(part) for part in parts)


def test_a_small_search_is_not_divided():
    assert default_shards(60_502, 60_502) == 1
    assert default_shards(10_000, 10_000_000) == 5


@pytest.mark.parametrize("all_by_all", [True, False])
def test_a_search_that_computes_each_similarity_once_is_not_divided(
    tmp_path, items, monkeypatch, all_by_all
):
    monkeypatch.setattr(sharded, "PAIRS", 1000)
    rows, codes, parts = items
    parts = sides(len(rows), None) if all_by_all else parts
    divided, asked = ShardedSearch(tmp_path / "work"), ShardedSearch(tmp_path / "asked", 2)
    with worker_pool(1) as pool:
        whole = search(rows, codes, parts, pool=pool)
        assert_equal(whole, divided(rows, codes, parts, pool=pool))
        assert_equal(whole, asked(rows, codes, parts, pool=pool))
    assert (tmp_path / "work").exists() != all_by_all
    assert (tmp_path / "asked").exists()


def mapped(folder, rows):
    """Write rows to a file, and map it."""
    np.save(folder / "rows.npy", rows)
    return np.load(folder / "rows.npy", mmap_mode="r")


@pytest.fixture(scope="module")
def items():
    """Rows with duplicates, their classes, and the sides of a query -> gallery protocol."""
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(300, 5)).astype(np.float32)[rng.integers(0, 200, 300)]
    roles = np.where(np.arange(300) < 60, "query", "gallery").astype(object)
    return rows, np.unique(rng.integers(0, 30, 300), return_inverse=True)[1], sides(300, roles)


class Killed(BaseException):
    """Stands for a kill of the process."""


@pytest.mark.parametrize("distance", choices_of(Distance))
def test_a_killed_search_continues_and_computes_no_shard_twice(tmp_path, items, distance):
    rows, codes, parts = items
    rows, computed = mapped(tmp_path, rows), []
    judgments = rules_of(codes, parts, junk_same={"camera": codes % 2}, metrics=("minp",)).judgments

    def run(function, calls, until=99):
        for number, call in enumerate(calls):
            if number == until:
                raise Killed
            computed.append(call["number"])
            yield from run_here(function, [call])

    def dies(function, calls):
        yield from run(function, calls, until=2)

    with worker_pool(1) as pool:
        of = {"pool": pool, "judgments": judgments}
        whole = search(rows, codes, parts, distance, 9, **of)
        for _ in range(2):
            with pytest.raises(Killed):
                ShardedSearch(tmp_path / "work", 7, Workers(dies))(
                    rows, codes, parts, distance, 9, **of
                )
        found = ShardedSearch(tmp_path / "work", 7, Workers(run))(
            rows, codes, parts, distance, 9, **of
        )
    assert_equal(whole, found)
    assert computed == list(range(7))


def test_shards_of_other_inputs_are_not_used(tmp_path, items):
    rows, codes, parts = items
    with worker_pool(1) as pool:
        for case, (scale, k, shards) in enumerate([(1, 9, 3), (2, 9, 3), (1, 5, 3), (1, 9, 4)]):
            changed = (rows * np.linspace(1, scale, 5)).astype(np.float32)
            divided = ShardedSearch(tmp_path / "work", shards)
            found = divided(changed, codes, parts, "cosine", k, pool=pool)
            assert_equal(search(changed, codes, parts, "cosine", k, pool=pool), found)
            plans = [path for path in (tmp_path / "work").iterdir() if path.is_dir()]
            assert len(plans) == case + 1


@pytest.mark.parametrize("form", ["reversed", "every other", "changed", "fewer columns", "doubles"])
def test_a_view_of_a_map_is_not_taken_for_its_file(tmp_path, items, form):
    """It names the file, but its values are others."""
    rows, codes, parts = items
    whole = np.concatenate([rows, rows[::-1]]) if form == "every other" else rows
    whole = np.hstack([whole, whole]) if form == "fewer columns" else whole
    np.save(tmp_path / "rows.npy", whole.astype(np.float64 if form == "doubles" else np.float32))
    found = np.load(tmp_path / "rows.npy", mmap_mode="c" if form == "changed" else "r")
    if form == "changed":
        found[3] = 7
    view = {"reversed": found[::-1], "every other": found[::2], "fewer columns": found[:, :5]}.get(
        form, found
    )
    with worker_pool(1) as pool:
        assert_equal(
            search(np.array(view), codes, parts, "euclidean", 9, pool=pool),
            ShardedSearch(tmp_path / "work", 2)(view, codes, parts, "euclidean", 9, pool=pool),
        )
    is_its_file = ShardedSearch(tmp_path / "work").file_of(view) == tmp_path / "rows.npy"
    assert is_its_file == (form == "doubles")


def test_a_damaged_shard_is_named_and_computed_again(tmp_path, items):
    rows, codes, parts = items
    divided = ShardedSearch(tmp_path / "work", 3)
    with worker_pool(1) as pool:
        whole = divided(rows, codes, parts, pool=pool)
        file = next((tmp_path / "work").glob("*/shard-00001.npz"))
        file.write_bytes(file.read_bytes()[:200])
        with pytest.raises(UserError, match=r"shard-00001\.npz: damaged"):
            divided(rows, codes, parts, pool=pool)
        assert_equal(whole, divided(rows, codes, parts, pool=pool))


def test_a_node_that_does_not_share_the_folder_is_told(tmp_path, items):
    rows, codes, parts = items

    def elsewhere(function, calls):
        yield from (None for _ in calls)

    with worker_pool(1) as pool, pytest.raises(UserError, match="3 of 3 shards have no file"):
        ShardedSearch(tmp_path / "work", 3, Workers(elsewhere))(rows, codes, parts, pool=pool)
