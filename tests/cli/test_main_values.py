"""An invalid value ends in one line before any work is done."""

import pytest

from tests.cli.helpers import nothing_was_left, one_line, train


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--steps", "0"), "steps = 0: give a whole number from 1 to 100000000"),
        (("--steps", "many"), "--steps: give a whole number"),
        (("--learning-rate", "-1"), "learning_rate = -1.0: give a number above 0"),
        (("--loss-option", "margin=wide"), "margin = 'wide': give a number"),
        (("--patience", "2"), "patience needs evaluations during training: add --eval-split"),
        (("--use-checkpoint", "best"), "use_checkpoint = best needs evaluations during training"),
        (("--classes-per-batch", "4"), "'folder' has 3 training classes: give at most 3"),
        (("--test-fraction", "2"), "test_fraction = 2"),
        (("--seeds", "0"), "--seeds"),
        (("--name", "a/b"), "run name 'a/b'"),
        (("--name", ".hidden"), "run name '.hidden'"),
        (("--name", "n" * 250), "nnn'... is 250 bytes long: give 200 at most"),
        (("--same-super-class",), "'folder' has no super-classes; drop --same-super-class"),
        (("--weights", "no.h5"), "no.h5"),
        (("--clip-norm", "-1"), "clip_norm = -1.0: give a number above 0"),
        (("--loss-option", "margin=[1"), "--loss-option 'margin=[1': cannot read '[1'"),
        (("--loss-option", "margin"), "--loss-option 'margin' is not name=value"),
        (("--dataset-option", "test_fraction=half"), "--test-fraction = 'half': give a number"),
        (("--split-seed", "1.5"), "--split-seed: give a whole number"),
        (("--learning-rate", "fast"), "--learning-rate: give a number"),
        (("--dataset", "csv", "--csv", "1", "--image-root", "5"), "no image folder at 5"),
        (("--dataset", "cub200", "--boxes", "maybe"), "--boxes = 'maybe': give true or false"),
        (("--backbone-multiplier", "-1"), "backbone_multiplier = -1.0"),
        (("--pre-crop", "8"), "pre_crop = 8 is smaller than the image size: give 16 or more"),
        (("--pre-crop", "18x8"), "is smaller than the image size 16 in width: give 18x16 or more"),
        (("--image-size", "16x"), "image_size = '16x': give a whole number from 1 to 4096, or a"),
        (("--size", "16x9999"), "image_size = '16x9999': give a whole number from 1 to 4096 for t"),
        (("--test-time", "five_crop"), "five_crop cuts views of 16 px"),
        (("--loss", "proxy_anchor", "--memory-batches", "4"), "cannot have a cross-batch memory"),
        (("--freeze-backbone", "--augment", "crop"), "--freeze-backbone"),
        (("--freeze-backbone", "--flip"), "--flip has no effect with --freeze-backbone"),
        (("--loss", "all", "--freeze-backbone", "--flip"), "--flip has no effect"),
        (("--loss", "none", "--memory-batches", "3"), "--memory-batches has no effect with --loss"),
        (
            ("--loss", "none", "--loss-option", "margin=3"),
            "--loss-option has no effect with --loss",
        ),
        (("--warmup-steps", "100"), "--warmup-steps 100 is longer than the training"),
        (("--freeze-steps", "100"), "--freeze-steps 100 is longer than the training"),
        (("--memory-start", "0"), "--memory-start has no effect without a cross-batch memory"),
        (("--loss", "none", "--eval-split", "test"), "--eval-split has no effect with --loss none"),
        (
            ("--loss", "all", "--loss-multiplier", "3"),
            "--loss-multiplier has no effect with --loss",
        ),
        (("--freeze-backbone", "--no-freeze-batch-norm"), "--no-freeze-batch-norm has no effect"),
        (("--optimizer", "adamw"), "--optimizer adamw without weight decay is adam"),
        (("--monitor", "nmi"), "--monitor has no effect without evaluations during training"),
        (("--cache-images-gb", "-1"), "cache_images_gb = -1.0: give a number of at least 0"),
    ],
)
def test_a_bad_value_is_refused_before_any_work(retrieval, photos, tmp_path, words, message):
    found = one_line(train(retrieval, "--dataset", "folder", "--data", photos, *words))
    assert message in found
    assert nothing_was_left(tmp_path)
