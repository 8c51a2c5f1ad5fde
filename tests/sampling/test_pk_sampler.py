"""P x K batches: who is in them, in what order, and that a step is a function of the seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import UserError
from retrieval.sampling import PKSampler

catalogues = st.lists(st.integers(1, 9), min_size=1, max_size=12).flatmap(
    lambda sizes: st.tuples(
        st.permutations(np.repeat(np.arange(len(sizes)), sizes).tolist()),
        st.integers(1, len(sizes)),
        st.integers(1, 5),
        st.integers(0, 3),
    )
)


@given(catalogues)
@settings(max_examples=60, deadline=None)
def test_a_batch_is_p_classes_side_by_side_and_repeats_rows_only_when_it_must(drawn):
    labels, p, k, seed = drawn
    labels = np.array(labels)
    sampler = PKSampler(labels, p, k, seed)
    for step in range(7):
        rows = sampler.batch(step).reshape(p, k)
        classes = labels[rows]
        assert (classes == classes[:, :1]).all()
        assert len(set(classes[:, 0])) == p
        for row_group in rows:
            available = int((labels == labels[row_group[0]]).sum())
            assert len(set(row_group)) == min(k, available)


@given(catalogues)
@settings(max_examples=40, deadline=None)
def test_every_class_is_drawn_once_before_the_last_batch_is_filled_up(drawn):
    labels, p, k, seed = drawn
    labels = np.array(labels)
    sampler = PKSampler(labels, p, k, seed)
    drawn_classes = np.concatenate(
        [labels[sampler.batch(s).reshape(p, k)[:, 0]] for s in range(sampler.batches_per_epoch)]
    )
    count = len(np.unique(labels))
    assert sorted(drawn_classes[:count]) == sorted(np.unique(labels))


@given(catalogues, st.lists(st.integers(0, 40), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_any_step_in_any_order_gives_what_an_uninterrupted_run_gave(drawn, steps):
    labels, p, k, seed = drawn
    straight = PKSampler(np.array(labels), p, k, seed)
    whole = [straight.batch(step) for step in range(41)]
    resumed = PKSampler(np.array(labels), p, k, seed)
    for step in steps:
        np.testing.assert_array_equal(resumed.batch(step), whole[step])


def test_all_rows_of_a_class_are_drawn_before_any_comes_again():
    sampler = PKSampler(np.zeros(12, int), 1, 4, seed=3)
    for start in (0, 3, 6):
        rows = np.concatenate([sampler.batch(start + i) for i in range(3)])
        assert sorted(rows) == list(range(12))


def test_seeds_differ_and_epochs_differ():
    labels = np.repeat(np.arange(30), 8)
    one, other = PKSampler(labels, 10, 4, seed=1), PKSampler(labels, 10, 4, seed=2)
    assert not np.array_equal(one.batch(0), other.batch(0))
    assert not np.array_equal(one.batch(0), one.batch(3))


def test_classes_of_one_super_class_share_a_batch_as_long_as_there_are_p_of_them():
    labels = np.repeat(np.arange(26), 3)
    super_labels = np.where(labels < 13, 0, 1)
    sampler = PKSampler(labels, 4, 2, seed=0, super_labels=super_labels)
    kinds = [set(super_labels[sampler.batch(s)]) for s in range(sampler.batches_per_epoch)]
    assert sum(len(kind) == 1 for kind in kinds) >= 6


def test_too_few_classes_say_how_many_there_are():
    with pytest.raises(UserError, match="5 classes per batch, but only 3 classes to train on"):
        PKSampler(np.array([0, 1, 2, 2]), 5, 2)
