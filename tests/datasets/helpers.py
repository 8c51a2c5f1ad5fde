"""Files and folders for tests of the data sets."""

import numpy as np
from PIL import Image


def write_photo(path, seed=0, size=(24, 20), **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path, **save)
    return path


def write_classes(root, counts, seed=0):
    """Write ``root/<class>/<n>.jpg`` for {class: count}; another seed gives other photos."""
    for label, (name, count) in enumerate(counts.items()):
        for number in range(count):
            write_photo(root / name / f"{number}.jpg", seed=seed + 100 * label + number)
    return root


def below(folder):
    """Every file and folder under a folder, hidden ones too, as relative POSIX paths."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))
