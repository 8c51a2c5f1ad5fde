from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent


def photo_paths():
    return sorted((HERE / "photos").glob("*.jpg"))


def photos(size):
    """The three photos, squeezed to size x size: (3, size, size, 3), uint8."""
    return np.stack(
        [
            np.asarray(
                Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
            )
            for path in photo_paths()
        ]
    )
