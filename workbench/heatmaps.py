"""Heat maps over images: where the similarity of two images comes from. Pure functions."""

import base64
import io

import numpy as np
from PIL import Image

LOWERS = np.array([40, 110, 220], np.float32)
DARKEST = 0.16  # brightness where a position plays no part
CONTRAST = 1.15  # above 1: weak positions are darkened more
SIDE = 224


def overlay(
    image: np.ndarray, parts: np.ndarray, strongest: float, side: int = SIDE
) -> Image.Image:
    """Light an image up where it takes part in a similarity.

    Args:
        image: uint8 or float, (S, S, 3), 0..255.
        parts: float, (h, w); positive raises the similarity, negative lowers it.
        strongest: The magnitude drawn at full strength, so that several maps share a scale.
        side: Side of the result, pixels.

    Returns:
        The image: bright and in colour where a part raises the similarity, dark and grey where it
        plays no role, blue where it lowers it.
    """
    colour = np.asarray(plain(image, side), np.float32)
    grey = colour.mean(axis=2, keepdims=True)
    field = Image.fromarray(parts.astype(np.float32))
    field = np.asarray(field.resize((side, side), Image.Resampling.BICUBIC))[..., None]
    level = field / max(float(strongest), 1e-12)
    raised = np.clip(level, 0, 1) ** CONTRAST
    lit = (DARKEST + (1 - DARKEST) * raised) * (raised * colour + (1 - raised) * grey)
    lowered = np.clip(-level, 0, 1)
    mixed = (1 - 0.85 * lowered) * lit + 0.85 * lowered * LOWERS
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def plain(image: np.ndarray, side: int = SIDE) -> Image.Image:
    """Return an image (S, S, 3) as the network saw it, scaled to a side in pixels."""
    picture = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def data_url(image: Image.Image) -> str:
    """Return an image as a data URL (WebP)."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def concentration(parts: np.ndarray, share: float = 0.25) -> float:
    """Return which share of the positive parts the strongest positions carry.

    Args:
        parts: float, (h, w).
        share: Share of the positions that count as strongest.

    Returns:
        0..1; equal to ``share`` if all positions matter alike.
    """
    positive = np.sort(np.clip(parts, 0, None).ravel())[::-1]
    count = max(1, round(share * positive.size))
    return float(positive[:count].sum() / max(positive.sum(), 1e-12))
