"""The search: Optuna's points depend on results alone, however often it was killed."""

import pytest

from retrieval.errors import UserError
from retrieval.losses.registry import recommended_point, search_space
from retrieval.runs.tuning import COMPLETE, DIVERGED, STOPPED, Trial, TrialResult
from retrieval.tuning.search import JOURNAL, Search, least_values, open_storage
from tests.tuning.helpers import made_up

LOSS, CHECKS, TRIALS, AT_ONCE = "proxy_anchor", 4, 17, 5
RECOMMENDED = recommended_point(LOSS, 3e-4)


def opened(folder, digest="0"):
    """Open the search of one loss."""
    return Search(
        open_storage(folder), LOSS, search_space(LOSS), RECOMMENDED,
        trials=TRIALS, at_once=AT_ONCE, seed=0, digest=digest,
    )  # fmt: skip


def finish(folder, *, order=1):
    """Run a search to its end; results of a generation come in one order or in reverse."""
    search = opened(folder)
    while not search.is_done():
        least = least_values(search.told(), CHECKS)
        for each in search.generation()[::order]:
            if each.result is None:
                search.keep(each.number, made_up(changes=each.point, least=least))
        search.tell()
    return search.told()


def points(trials):
    return [(trial.number, trial.point, trial.result) for trial in trials]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The trials of a search that nobody killed."""
    return finish(tmp_path_factory.mktemp("search"))


def test_the_first_trial_is_the_recommended_point(undisturbed):
    assert undisturbed[0].point == RECOMMENDED
    assert undisturbed[0].result.state == COMPLETE


def test_every_point_lies_in_the_space_and_the_count_is_exact(undisturbed):
    assert [trial.number for trial in undisturbed] == list(range(TRIALS))
    for trial in undisturbed:
        for name, dimension in search_space(LOSS).items():
            assert dimension.holds(trial.point[name])


def test_the_search_learns(undisturbed):
    best = max(t.result.value for t in undisturbed if t.result.state == COMPLETE)
    assert best > undisturbed[0].result.value


def test_no_more_than_half_of_the_trials_are_stopped_at_once(undisturbed):
    stopped = sum(t.result.state == STOPPED for t in undisturbed)
    assert 0 < stopped < TRIALS * 2 / 3


def test_points_do_not_depend_on_the_order_of_the_results(tmp_path, undisturbed):
    assert points(finish(tmp_path, order=-1)) == points(undisturbed)


def test_a_search_killed_at_any_line_of_its_journal_ends_as_undisturbed(tmp_path, undisturbed):
    (tmp_path / "whole").mkdir()
    finish(tmp_path / "whole")
    lines = (tmp_path / "whole" / JOURNAL).read_bytes().splitlines(keepends=True)
    for kept in range(0, len(lines), 31):
        folder = tmp_path / str(kept)
        folder.mkdir()
        torn = lines[kept][: len(lines[kept]) // 2]
        (folder / JOURNAL).write_bytes(b"".join(lines[:kept]) + torn)
        (folder / f"{JOURNAL}.lock").symlink_to(folder / JOURNAL)
        assert points(finish(folder)) == points(undisturbed), kept


def test_a_journal_of_another_plan_is_refused_though_its_record_was_removed(tmp_path):
    finish(tmp_path)
    with pytest.raises(UserError, match="trials of proxy_anchor with another plan or other data"):
        opened(tmp_path, digest="1")


@pytest.mark.parametrize(
    "line", [b"garbage{\n", b"\xff\xfe\x00\n", b"[]\n", b"3\n", b'{"op_code": 99}\n']
)
def test_a_damaged_journal_is_named(tmp_path, line):
    finish(tmp_path)
    file = tmp_path / JOURNAL
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:5], line, *lines[6:]]))
    with pytest.raises(UserError, match=r"journal.log: damaged, .* remove it"):
        opened(tmp_path)


def test_a_trial_without_its_result_is_named(tmp_path):
    finish(tmp_path)
    file = tmp_path / JOURNAL
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(line for line in lines if b'"result"' not in line))
    with pytest.raises(UserError, match="damaged: trial 0 of proxy_anchor has no result"):
        opened(tmp_path)


def trial(number, checks, state=STOPPED):
    return Trial(number, {}, TrialResult(state, (tuple(checks),), 1, 0.0))


def test_the_bound_is_the_median_with_stopped_trials_as_the_worst():
    earlier = [
        trial(0, [0.5, 0.6, 0.7], COMPLETE),
        trial(1, [0.4, 0.5, 0.4], COMPLETE),
        trial(2, [0.3]),
        trial(3, [0.2]),
        trial(4, [], DIVERGED),
    ]
    # Of five values: .5 .4 .3 .2 and the diverged; then .6 .5 and three that are gone.
    assert least_values(earlier, 3) == [0.3, None, None]
    assert least_values(earlier[:3], 3) == [0.4, 0.5, 0.4]
    assert least_values([], 2) == [None, None]
