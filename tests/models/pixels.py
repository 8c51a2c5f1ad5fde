from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent


def photos(size):
    """The three photos, squeezed to size x size: (3, size, size, 3), uint8."""
    return np.stack(
        [
            np.asarray(
                Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
            )
            for path in sorted((HERE / "photos").glob("*.jpg"))
        ]
    )
