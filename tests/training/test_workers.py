"""Two workers train as one device: every loss sees the global batch."""

import numpy as np
import pytest
import tensorflow as tf

from retrieval.cluster.processes import run_processes
from retrieval.errors import UserError
from retrieval.failures import as_user_error
from retrieval.training.worker_steps import ExchangeFailed, exchanging
from retrieval.training.workers import check_shares
from tests.training.shared_training import Case, differences, train_cases

pytestmark = pytest.mark.slow  # what the tests share takes long

CASES = {
    "pairs": Case("multi_similarity"),
    "draws, a learned boundary, a memory": Case("margin_loss", memory={"size": 60, "start": 1}),
    "proxies at two widths, clipped": Case(
        "proxy_anchor", matryoshka={"widths": [4]}, clip_norm=0.3
    ),
    "batch norms, frozen at first": Case(
        "hard_triplet", batch_norm=True, options={"freeze_batch_norm_steps": 3}
    ),
}


@pytest.fixture(scope="module")
def found():
    """Return what one device and each of two workers have found; one pair of processes for all."""
    arguments = {"cases": [*CASES.values()]}
    together = run_processes(train_cases, arguments, size=2, restarts=0)
    alone = train_cases(0, ["alone"], **arguments)
    return {name: (alone[n], together[0][n], together[1][n]) for n, name in enumerate(CASES)}


@pytest.mark.parametrize("name", CASES)
def test_two_workers_give_losses_gradients_and_weights_of_one_device(found, name):
    alone, chief, _ = found[name]
    assert min(alone["losses"]) > 0, "the test needs a loss that is not zero"
    for what, largest in differences(alone, chief).items():
        assert largest < 1e-5, what


@pytest.mark.parametrize("name", CASES)
def test_all_workers_hold_the_same_weights_to_the_last_bit(found, name):
    _, chief, other = found[name]
    for a, b in zip(chief["weights"], other["weights"], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_that_workers_cannot_share_is_refused():
    check_shares(120, 4)
    with pytest.raises(UserError, match=r"120 images equally among 7 workers: .* multiple of 7"):
        check_shares(120, 7)
    with pytest.raises(UserError, match=r"5 workers with 16 GPUs each: .* multiple of 80"):
        check_shares(120, 5, 16)


def test_a_lost_worker_is_no_error_that_the_others_show_to_the_user():
    """It would end the run, which is to start again."""
    with pytest.raises(ExchangeFailed) as raised, exchanging():
        raise tf.errors.UnavailableError(None, None, "Connection reset by peer")
    assert as_user_error(raised.value) is None
