"""Random views of training images, drawn in NumPy ahead of time: a function of seed and step.

A view is a box in relative coordinates; mirroring is a box with left and right exchanged. The
input pipeline cuts and resizes each box in one operation, so geometry costs nothing extra.
"""

import numpy as np

SCALE = (0.4, 1.0)  # area share of a random resized crop
RATIO = (3 / 4, 4 / 3)
JITTER = 0.25
VIEW_STREAM, COLOUR_STREAM = 2, 3


def draw_views(
    steps: range, batch: int, seed: int, *, keep: float, slack: int, flip: bool, resized: bool
) -> np.ndarray:
    """Draw the boxes of every image of some steps.

    Args:
        steps: Step numbers.
        batch: Images per step.
        seed: The run's seed.
        keep: Side of the crop / side of the pre-crop, 1 without a pre-crop.
        slack: Pixels the crop can move by in the pre-crop.
        flip: Mirror half of the images.
        resized: Random resized crop (area 0.4 to 1, ratio 3:4 to 4:3) instead of a moved crop.

    Returns:
        float32, (len(steps), batch, 4): top, left, bottom, right in 0..1; left > right mirrors.
    """
    views = np.empty((len(steps), batch, 4), np.float32)
    for i, step in enumerate(steps):
        u = np.random.default_rng([seed, VIEW_STREAM, step]).random((5, batch))
        if resized:
            area = SCALE[0] + u[0] * (SCALE[1] - SCALE[0])
            ratio = np.exp(np.log(RATIO[0]) + u[1] * np.log(RATIO[1] / RATIO[0]))
            height = np.minimum(np.sqrt(area / ratio), 1)
            width = np.minimum(np.sqrt(area * ratio), 1)
            top, left = u[2] * (1 - height), u[3] * (1 - width)
        else:
            height = width = np.full(batch, keep)
            # Whole pixels of the pre-crop, as a crop after resizing would move.
            moved = np.floor(u[2:4] * (slack + 1)) / max(slack, 1)
            top, left = moved * (1 - keep)
        right = left + width
        if flip:
            mirrored = u[4] < 0.5
            left, right = np.where(mirrored, right, left), np.where(mirrored, left, right)
        views[i] = np.stack([top, left, top + height, right], axis=1)
    return views


def draw_colours(steps: range, batch: int, seed: int) -> np.ndarray:
    """Draw brightness, contrast and saturation factors: float32, (len(steps), batch, 3)."""
    return np.stack(
        [
            1
            + JITTER * (2 * np.random.default_rng([seed, COLOUR_STREAM, s]).random((batch, 3)) - 1)
            for s in steps
        ]
    ).astype(np.float32)
