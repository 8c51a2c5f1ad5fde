"""Classes of a single image are refused where something is learned from pairs, and only there."""

import pytest

from retrieval.errors import UserError
from retrieval.experiment.pipeline import plan_run
from retrieval.settings.resolve import catalog_of, check_pairs
from retrieval.settings.schema import TrainSettings
from tests.datasets.helpers import write_classes


@pytest.fixture
def one_photo_each(tmp_path):
    return write_classes(tmp_path / "photos", dict.fromkeys("abcdef", 1))


def test_one_photo_per_product_is_embedded_with_loss_none_and_not_trained_on(
    one_photo_each, tmp_path
):
    given = {"dataset": "shop", "data": str(one_photo_each)}
    planned = plan_run(TrainSettings(loss="none", **given), tmp_path / "run")
    assert len(planned.catalog) == 6
    with pytest.raises(UserError, match=r"every training class has one image.*--loss none"):
        plan_run(TrainSettings(loss="proxy_anchor", **given), tmp_path / "run")


def test_a_data_set_that_accepts_such_classes_is_trained_on(one_photo_each):
    settings = TrainSettings(
        dataset="shop", data=str(one_photo_each), dataset_options={"singletons": "keep"}
    )
    check_pairs(settings, catalog_of(settings))
