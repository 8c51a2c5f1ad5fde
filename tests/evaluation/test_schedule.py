"""The simulated schedule of ``benchmarks/schedule.py`` against closed forms and by hand."""

import math
import statistics

import numpy as np
import pytest

from benchmarks.schedule import (
    Assumed,
    Losses,
    Machine,
    Measured,
    Spread,
    bottleneck,
    cell,
    first_number,
    interval_of,
    rates,
    read_measured,
    simulate,
    transformer_flops,
    write_page,
)


def chance(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("n", "nodes"), [(1, 1), (12, 4), (13, 4), (5, 8)])
def test_equal_parts_without_losses_take_as_many_rounds_as_there_must_be(n, nodes):
    made = simulate([7.0] * n, nodes, chance(), start=3.0)
    assert made.seconds == 3 + math.ceil(n / nodes) * 7
    assert (made.busy, made.lost, made.losses) == (7 * n, 0, 0)


def test_two_actors_of_a_node_work_at_the_same_time():
    assert simulate([7.0] * 12, 2, chance(), slots=2).seconds == 21


def test_parts_are_taken_in_order_by_whoever_is_free():
    """Actor A: 5, then 1, then 4 (from 6 to 10). Actor B: 3, then 4 (from 3 to 7)."""
    assert simulate([5, 3, 4, 1, 4], 2, chance()).seconds == 10


def test_a_node_that_is_lost_again_and_again_takes_the_expected_time():
    """A part of t seconds takes (m + r)(exp(t / m) - 1) on average: m between losses, r to return.

    The tries that fail are geometric, and each takes a truncated exponential time and r.
    """
    losses, n, t = Losses(mean_time=100.0, restart=5.0), 100, 20.0
    found = [simulate([t] * n, 1, chance(seed), losses=losses).seconds for seed in range(200)]
    expected = n * (100 + 5) * (math.exp(t / 100) - 1)
    assert abs(statistics.fmean(found) - expected) < 4 * statistics.stdev(found) / math.sqrt(200)


def test_only_parts_in_work_are_lost_with_a_node():
    made = [
        simulate([20.0] * 60, 4, chance(seed), losses=Losses(200.0, 10.0)) for seed in range(50)
    ]
    assert all(each.busy == 20 * 60 for each in made)  # every part is finished once
    assert all(each.lost <= 20 * each.losses for each in made)
    assert sum(each.losses for each in made) > 50


def test_stragglers_change_the_spread_of_times_and_not_their_mean():
    spread = Spread(sigma=0.3, tail_share=0.05, tail_index=3.0)
    factors = spread.factors(400_000, chance())
    assert factors.mean() == pytest.approx(1, abs=0.01)
    assert np.percentile(factors, 99.9) > 2.5
    np.testing.assert_array_equal(Spread().factors(5, chance()), 1)


def test_a_second_copy_ends_a_part_that_straggles():
    """Actor A is at the first part until 100; B does the others by 6, then the first by 11."""
    seconds, again = [100, 3, 3], [5, 3, 3]
    assert simulate(seconds, 2, chance()).seconds == 100
    made = simulate(seconds, 2, chance(), again=again)
    assert made.seconds == 11
    assert (made.busy, made.lost) == (3 + 3 + 5, 11)


def test_with_losses_and_copies_every_part_is_still_finished_once():
    for seed in range(30):
        made = simulate(
            [20.0] * 60, 4, chance(seed), losses=Losses(200.0, 10.0), again=[20.0] * 60, slots=2
        )
        assert made.busy == pytest.approx(20 * 60)


def test_an_interval_is_the_mean_and_the_range_of_95_of_100():
    found = interval_of(range(101))
    assert (found.mean, found.low, found.high) == (50, 2.5, 97.5)


MEASURED = Measured(
    photo_bytes=20_000, check_cpu=0.4e-3, decode_cpu=1.6e-3, part_overhead=0.1,
    thumbnail_bytes=4000, item_bytes=50, core_gemm_flops=1e11, evaluation_ratio=1.5,
)  # fmt: skip


def test_the_slowest_stage_of_a_node_is_its_bottleneck():
    """8 cores decode 8 / 2 ms = 4,000 photos a second, the GPU does 2,000, the network 50,000."""
    assumed = Assumed(gpu_flops=100e12, network=1e9)
    found = rates(Machine("", 8, 1), 50e9, MEASURED, assumed)
    assert found == {"network": 50_000, "decoding on the CPU": 4000, "GPU": 2000}
    assert bottleneck(found) == ("GPU", 2000)
    assert bottleneck(rates(Machine("", 2, 1), 50e9, MEASURED, assumed))[0] == "decoding on the CPU"
    # Without a GPU a core takes 2 ms and 50e9 / 1e11 s for a photo.
    alone = rates(Machine("", 16, 0), 50e9, MEASURED, assumed)
    assert alone["CPU"] == pytest.approx(16 / 0.502)


def test_operations_of_a_transformer_are_counted_by_hand():
    """One layer, width 2, 3 tokens: 12 x 2 x 2 weights x 3 tokens, 2 x 3 x 3 x 2; twice each."""
    assert transformer_flops(1, 2, 3) == 2 * (12 * 4 * 3) + 2 * (2 * 9 * 2)


def test_figures_are_read_from_the_results_of_the_benchmarks():
    measured = read_measured()
    assert 1e10 < measured.core_gemm_flops < 1e12
    assert 1 < measured.evaluation_ratio < 3
    assert 1e-4 < measured.decode_cpu < 1e-2
    assert first_number(cell("embed_many.md", "1,000,000 images", "bare decoding", 1)) > 100
    assert first_number("median 1,222 images/s") == 1222


def test_tables_are_put_between_the_marks_of_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A\n<!-- one -->\nold\n<!-- end -->\ntext\n<!-- two -->\n<!-- end -->\n")
    write_page(page, {"one": "| 1 |", "two": "| 2 |"})
    once = page.read_text()
    assert "old" not in once
    assert once.index("| 1 |") < once.index("text") < once.index("| 2 |")
    write_page(page, {"one": "| 1 |", "two": "| 2 |"})
    assert page.read_text() == once
    with pytest.raises(SystemExit, match="three"):
        write_page(page, {"three": ""})
