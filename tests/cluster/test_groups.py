"""Workers that run at the same time."""

import pytest

from retrieval.cluster import Resources, run_group
from retrieval.errors import UserError
from tests.cluster.functions import fail_as_rank, lose_one, meet

pytestmark = pytest.mark.usefixtures("machines")


def test_all_members_run_at_once_and_know_every_address(tmp_path):
    found = run_group(meet, {"folder": tmp_path}, size=3)
    assert [rank for rank, _, _ in found] == [0, 1, 2]
    assert len({pid for _, _, pid in found}) == 3
    addresses = found[0][1]
    assert all(each == addresses for _, each, _ in found)
    assert len(set(addresses)) == 3


def test_a_group_that_loses_a_member_starts_again(tmp_path):
    assert run_group(lose_one, {"folder": tmp_path, "dying": 1}, size=3) == [0, 1, 2]


def test_what_a_member_raises_is_raised_and_stops_the_others():
    with pytest.raises(UserError, match="the batch does not divide"):
        run_group(fail_as_rank, {"bad": 1}, size=2)


def test_a_group_that_never_fits_is_refused(monkeypatch):
    monkeypatch.setenv("RETRIEVAL_CLUSTER_PATIENCE", "0")
    with pytest.raises(UserError, match="7 workers of 1 CPU each asked for"):
        run_group(meet, {"folder": "."}, size=7, resources=Resources(cpus=1))
