"""What a P x K batch is, which classes and images it holds, and that a run can be resumed."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import UserError
from retrieval.sampling import PKSampler


@st.composite
def cases(draw):
    """Class sizes (few or many classes), in mixed order, with a P that fits, a K and a seed."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=12))
    labels = draw(st.permutations(np.repeat(np.arange(len(sizes)) * 7 + 3, sizes).tolist()))
    p = draw(st.integers(1, len(sizes)))
    return np.array(labels), p, draw(st.integers(1, 6)), draw(st.integers(0, 2**40))


def draws(sampler: PKSampler, steps: int) -> np.ndarray:
    """Items of the first batches, (steps * P, K): one row per visit to a class."""
    batches = [sampler.batch(step) for step in range(steps)]
    return np.concatenate(batches).reshape(-1, sampler.samples_per_class)


class TestShape:
    @given(cases())
    @settings(max_examples=100, deadline=None)
    def test_p_different_classes_with_k_consecutive_rows_each(self, case):
        labels, p, k, seed = case
        sampler = PKSampler(labels, p, k, seed)
        for step in range(2 * len(sampler.classes)):
            batch = sampler.batch(step)
            assert batch.dtype == np.int64
            assert batch.shape == (p * k,)
            by_class = labels[batch].reshape(p, k)
            assert (by_class == by_class[:, :1]).all()
            assert len(set(by_class[:, 0])) == p

    def test_k_2_gives_anchors_and_positives_in_alternate_rows(self):
        labels = np.repeat(np.arange(10), 5)
        batch = PKSampler(labels, 6, 2).batch(0)
        anchors, positives = batch[::2], batch[1::2]
        np.testing.assert_array_equal(labels[anchors], labels[positives])
        assert (anchors != positives).all()

    def test_labels_may_be_strings(self):
        labels = np.array(["cat", "dog", "cat", "dog", "emu"])
        sampler = PKSampler(labels, 2, 2)
        assert sampler.classes.tolist() == ["cat", "dog", "emu"]
        by_class = labels[sampler.batch(0)].reshape(2, 2)
        assert (by_class[:, 0] == by_class[:, 1]).all()


class TestClasses:
    @given(cases(), st.booleans())
    @settings(max_examples=150, deadline=None)
    def test_each_once_per_epoch(self, case, grouped):
        labels, p, k, seed = case
        sampler = PKSampler(labels, p, k, seed, super_labels=labels % 3 if grouped else None)
        count = len(sampler.classes)
        stream = labels[draws(sampler, 4 * count)[:, 0]]
        for epoch in range(len(stream) // count):
            seen = stream[epoch * count : (epoch + 1) * count]
            np.testing.assert_array_equal(np.sort(seen), sampler.classes)

    def test_epochs_are_shuffled_anew(self):
        stream = PKSampler(np.arange(30), 30, 1)
        orders = {tuple(stream.batch(epoch)) for epoch in range(20)}
        assert len(orders) == 20

    def test_every_pair_of_classes_meets_equally_often(self):
        # 10,000 batches hold 3 pairs each, of the 45 pairs that 10 classes make.
        sampler = PKSampler(np.arange(10), 3, 1, seed=5)
        met = Counter()
        for step in range(10_000):
            met.update(itertools.combinations(sorted(sampler.batch(step)), 2))
        assert len(met) == 45
        expected = 10_000 * 3 / 45
        chi_square = sum((n - expected) ** 2 / expected for n in met.values())
        assert chi_square < 80  # 44 degrees of freedom: p = .001 at 78.7


class TestImages:
    @given(cases())
    @settings(max_examples=100, deadline=None)
    def test_repeat_only_where_a_class_has_fewer_than_k(self, case):
        labels, p, k, seed = case
        for visit in draws(PKSampler(labels, p, k, seed), 20):
            size = np.count_nonzero(labels == labels[visit[0]])
            times = list(Counter(visit.tolist()).values())
            assert len(times) == min(size, k)
            assert max(times) - min(times) <= 1
            assert max(times) == -(-k // size)

    @given(cases())
    @settings(max_examples=100, deadline=None)
    def test_all_of_a_class_are_drawn_in_each_pass_over_it(self, case):
        labels, p, k, seed = case
        sampler = PKSampler(labels, p, k, seed)
        visits = draws(sampler, 40)
        for label in sampler.classes:
            items = np.flatnonzero(labels == label)
            own = visits[labels[visits[:, 0]] == label]
            per_pass = -(-len(items) // k)
            for first in range(0, len(own) - per_pass + 1, per_pass):
                assert set(own[first : first + per_pass].ravel()) == set(items)

    def test_every_order_of_a_class_is_equally_likely(self):
        # One class of four images read in pairs: two visits show one of 24 orders.
        visits = draws(PKSampler(np.zeros(4), 1, 2, seed=1), 2 * 24_000).reshape(-1, 4)
        counts = Counter(map(tuple, visits.tolist()))
        assert len(counts) == 24
        chi_square = sum((n - 1000) ** 2 / 1000 for n in counts.values())
        assert chi_square < 52  # 23 degrees of freedom: p = .001 at 49.7

    def test_draws_every_image_equally_often_over_time(self):
        labels = np.repeat([0, 1], [5, 7])  # neither divides by K = 3
        counts = np.bincount(draws(PKSampler(labels, 2, 3), 7_000).ravel())
        np.testing.assert_allclose(counts[:5], 7_000 * 3 / 5, rtol=0.05)
        np.testing.assert_allclose(counts[5:], 7_000 * 3 / 7, rtol=0.05)


class TestResume:
    @given(cases(), st.data())
    @settings(max_examples=100, deadline=None)
    def test_the_batch_depends_on_the_step_alone(self, case, data):
        labels, p, k, seed = case
        whole = [b.tolist() for b in itertools.islice(iter(PKSampler(labels, p, k, seed)), 60)]
        steps = data.draw(st.lists(st.integers(0, 59), min_size=1, max_size=8))
        resumed = PKSampler(labels, p, k, seed)
        assert [resumed.batch(step).tolist() for step in steps] == [whole[s] for s in steps]

    def test_jumping_far_ahead_equals_walking_there(self):
        labels = np.repeat(np.arange(23), 6)
        walked = PKSampler(labels, 17, 4, seed=3)
        for step in range(3_000):
            batch = walked.batch(step)
        np.testing.assert_array_equal(PKSampler(labels, 17, 4, seed=3).batch(2_999), batch)

    def test_seeds_differ(self):
        labels = np.repeat(np.arange(50), 5)
        assert PKSampler(labels, 20, 4, seed=0).batch(0).tolist() != (
            PKSampler(labels, 20, 4, seed=1).batch(0).tolist()
        )


class TestSuperClasses:
    def test_whole_batches_come_from_one_super_class(self):
        labels = np.repeat(np.arange(24), 2)
        super_labels = labels // 8  # three super-classes of 8 classes: two batches of 4 each
        sampler = PKSampler(labels, 4, 2, super_labels=super_labels)
        seen = [set(super_labels[sampler.batch(step)]) for step in range(60)]
        assert all(len(supers) == 1 for supers in seen)
        # Batches of a super-class do not simply follow each other.
        first = [next(iter(supers)) for supers in seen]
        assert len({tuple(first[i : i + 6]) for i in range(0, 60, 6)}) > 1

    def test_most_batches_do_when_class_counts_are_uneven(self):
        # As Stanford Online Products: 12 super-classes of uneven size, P = 20.
        counts = np.random.default_rng(0).integers(300, 1500, 12)
        super_labels = np.repeat(np.arange(12), counts)
        sampler = PKSampler(np.arange(len(super_labels)), 20, 1, super_labels=super_labels)
        pure = [len(set(super_labels[sampler.batch(step)])) == 1 for step in range(2_000)]
        assert np.mean(pure) > 0.95

    def test_small_super_classes_stay_together(self):
        labels = np.arange(30)
        super_labels = labels // 3  # ten super-classes of three classes, P = 6
        sampler = PKSampler(labels, 6, 1, super_labels=super_labels)
        for step in range(5):
            assert len(set(super_labels[sampler.batch(step)])) == 2

    def test_length_must_match(self):
        with pytest.raises(UserError, match="3 super_labels for 4 labels"):
            PKSampler([0, 0, 1, 1], 2, 2, super_labels=[0, 0, 1])


class TestBadInput:
    def test_fewer_classes_than_p(self):
        with pytest.raises(UserError, match=r"= 40, .*24 classes"):
            PKSampler(np.arange(24), 40, 2)

    @pytest.mark.parametrize(("p", "k", "named"), [(0, 2, "classes"), (2, 0, "samples")])
    def test_p_or_k_below_one(self, p, k, named):
        with pytest.raises(UserError, match=rf"{named}_per_\w+ = 0"):
            PKSampler([0, 1], p, k)

    def test_no_items(self):
        with pytest.raises(UserError, match="one label per"):
            PKSampler([], 1, 1)

    def test_negative_seed(self):
        with pytest.raises(UserError, match="seed = -1"):
            PKSampler([0, 1], 1, 1, seed=-1)


class CountingSampler(PKSampler):
    """Counts the items that are shuffled, the only work that depends on a class's size."""

    shuffled = 0

    def _shuffle(self, classes, passes):
        self.shuffled += self._sizes[classes].sum()
        super()._shuffle(classes, passes)


@pytest.mark.parametrize("images_per_class", [10, 1_000])
def test_at_most_one_item_is_shuffled_per_drawn_image(images_per_class):
    sampler = CountingSampler(np.repeat(np.arange(40), images_per_class), 20, 5)
    passes = 4
    drawn = draws(sampler, passes * 40 * images_per_class // 100).size
    assert sampler.shuffled == drawn == passes * 40 * images_per_class
