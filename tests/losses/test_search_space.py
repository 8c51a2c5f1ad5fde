"""Search spaces: every loss has one, which holds what is recommended and only what it takes."""

import optuna
import pytest

from retrieval.losses import LOSSES, get_loss, recommended_options
from retrieval.losses.registry import recommended_point, search_space
from retrieval.losses.search_space import Choice, Real, Whole
from retrieval.settings.checks import check
from retrieval.settings.schema import TrainSettings, default_of
from retrieval.tuning.space import distribution, settings_of

RATE = default_of("learning_rate")


@pytest.mark.parametrize("loss", LOSSES)
def test_the_recommended_values_lie_in_the_space(loss):
    point = recommended_point(loss, RATE)
    assert list(point) == list(search_space(loss))
    for name, dimension in search_space(loss).items():
        assert dimension.holds(point[name]), name


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_declares_options_it_has_and_names_a_source(loss):
    space = LOSSES[loss].space
    assert space.source
    assert space.options
    assert set(space.options) <= set(recommended_options(loss))
    assert set(space.settings) <= {"normalize"}
    assert ("loss_multiplier" in search_space(loss)) == (
        "learning_rate_multiplier" in recommended_options(loss)
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_drawn_from_a_space_passes_the_checks(loss):
    drawn = {name: distribution(dimension) for name, dimension in search_space(loss).items()}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(5):
        point = study.ask(drawn).params
        settings = TrainSettings.from_mapping(
            {"dataset": "typefaces", "loss": loss} | settings_of(loss, point)
        )
        check(settings)
        get_loss(loss, **settings.loss_options)


def test_ranges_hold_their_ends_and_nothing_beyond():
    assert Real(0.1, 1.0).holds(0.1)
    assert Real(0.1, 1.0).holds(1)
    assert not Real(0.1, 1.0).holds(1.01)
    assert not Real(0.1, 1.0).holds("soft")
    assert Whole(2, 5).holds(5)
    assert not Whole(2, 5).holds(2.5)
    assert Choice(("a", 1)).holds("a")
    assert not Choice(("a", 1)).holds("b")


def test_ranges_are_those_of_the_search():
    real, whole = distribution(Real(1e-4, 1e-2, log=True)), distribution(Whole(2, 20))
    assert (real.low, real.high, real.log, real.single()) == (1e-4, 1e-2, True, False)
    assert (whole.low, whole.high, whole.log, whole.step) == (2, 20, False, 1)
    assert distribution(Choice(("a", "b"))).choices == ("a", "b")


def test_ranges_read_well():
    assert str(Real(0.1, 1.0, log=True)) == "0.1 to 1 (log)"
    assert str(Whole(2, 20)) == "2 to 20"
    assert str(Choice((False, True))) == "False or True"
