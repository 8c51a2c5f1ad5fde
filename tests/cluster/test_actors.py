"""Many items through actors that load what they need once."""

import pytest

from retrieval.cluster import run_on_actors
from retrieval.errors import UserError
from tests.cluster.functions import make_adder, make_nothing

pytestmark = pytest.mark.usefixtures("machines")


def values(outcomes):
    return [each.value for each in sorted(outcomes, key=lambda outcome: outcome.index)]


def test_every_item_is_handled_by_one_of_the_actors(tmp_path):
    found = run_on_actors(make_adder, {"amount": 5, "folder": tmp_path}, range(9), actors=2)
    assert values(found) == [n + 5 for n in range(9)]
    assert 1 <= len(list(tmp_path.iterdir())) <= 2


def test_a_bad_item_stops_no_other():
    found = sorted(run_on_actors(make_adder, {"amount": 1}, [1, "fail", 3], actors=2),
                   key=lambda outcome: outcome.index)  # fmt: skip
    assert [each.value for each in found] == [2, None, 4]
    assert str(found[1].error) == "this item is bad"


def test_a_lost_actor_is_replaced_and_its_item_handed_out_again(tmp_path):
    items = [1, tmp_path / "died", 3, 4]
    assert values(run_on_actors(make_adder, {"amount": 1}, items, actors=1)) == [2, "lived", 4, 5]


def test_an_item_that_kills_every_actor_is_an_error_of_its_own():
    found = sorted(run_on_actors(make_adder, {"amount": 1}, ["die", 1], actors=2, retries=1),
                   key=lambda outcome: outcome.index)  # fmt: skip
    assert "lost its node or process 2 times" in str(found[0].error)
    assert found[1].value == 2


def test_what_making_raises_is_raised():
    with pytest.raises(UserError, match="no network there"):
        list(run_on_actors(make_nothing, {}, [1, 2], actors=2))
