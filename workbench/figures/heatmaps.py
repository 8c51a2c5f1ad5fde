"""Heat maps over images: which positions of two images make them similar."""

import base64
import io
from html import escape

import numpy as np
from PIL import Image

# Lightness rises evenly along each ramp, and the color-blind can tell orange from blue.
RAISES = ("#5f2f0b", "#a84a08", "#ef8c17", "#ffe873")
LOWERS = ("#123a63", "#1f62ad", "#4f9be8", "#b5dbff")
FULL_FROM = 0.85  # share of the strongest part from which the color is most opaque
DIMMEST, BRIGHTEST = 28, 176  # grays of the photo beneath
SIDE = 288  # pixels
OPACITY = 0.8
LABEL_WIDTH = 45  # % of the legend's bar that the label at its left end needs
LEGEND = "font-size: .82rem; line-height: 1.4; max-width: 34rem"
LABEL = "position: absolute; white-space: nowrap;"


def overlay(
    image: np.ndarray,
    parts: np.ndarray,
    strongest: float,
    side: int = SIDE,
    opacity: float = OPACITY,
) -> Image.Image:
    """Color a gray image by how much each position contributes to a similarity.

    Args:
        image: uint8 or float, (H, W, 3), 0..255.
        parts: float, (h, w), the contribution of each position: positive raises the similarity,
            negative lowers it.
        strongest: The magnitude that is drawn at full strength. Several maps that share it have
            the same scale.
        side: Longer side of the result in pixels. Defaults to 288.
        opacity: Opacity of the colors at full strength, 0..1. Defaults to 0.8.

    Returns:
        The image: brown over orange to yellow where a position raises the similarity, blue where
        it lowers it, and the bare gray photo where it has no effect.
    """
    photo = plain(image, side)
    gray = np.asarray(photo.convert("L"), np.float32)[..., None]
    small = Image.fromarray(parts.astype(np.float32))
    scaled = np.asarray(small.resize(photo.size, Image.Resampling.BICUBIC))
    level = np.clip(scaled / max(float(strongest), 1e-12), -1, 1)
    mixed = _colored(DIMMEST + (BRIGHTEST - DIMMEST) * gray / 255, level, opacity)
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _colored(gray: np.ndarray, level: np.ndarray, opacity: float) -> np.ndarray:
    """Lay colors over gray.

    Args:
        gray: float, (..., 1), 0..255.
        level: float, (...,), -1..1, the strength of the color and which ramp it is from.
        opacity: Opacity of the colors at full strength, 0..1.

    Returns:
        float, (..., 3), 0..255.
    """
    color = np.where(level[..., None] > 0, _ramp(RAISES, level), _ramp(LOWERS, -level))
    cover = opacity * np.clip(np.abs(level) / FULL_FROM, 0, 1)[..., None]
    return (1 - cover) * gray + cover * color


def _ramp(stops: tuple[str, ...], level: np.ndarray) -> np.ndarray:
    rgb = np.array([[int(s[i : i + 2], 16) for i in (1, 3, 5)] for s in stops], np.float32)
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(level, at, channel) for channel in rgb.T], -1)


def legend(
    lowest: float, strongest: float, whole: float | None, *, opacity: float = OPACITY
) -> str:
    """Draw the scale of heat maps as a bar with labels.

    Args:
        lowest: The most negative contribution, or 0.
        strongest: The magnitude that is drawn at full strength.
        whole: The similarity that the contributions add up to; the labels give them as shares of
            it. None if they do not add up.
        opacity: Opacity of the maps. Defaults to 0.8.

    Returns:
        HTML.
    """
    low = -min(1.0, -lowest / strongest) if lowest < -0.02 * strongest else 0.0
    levels = np.linspace(low, 1, 25)
    colors = _colored(np.full((25, 1), 100.0), levels, opacity)
    stops = ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in colors)
    zero = -100 * low / (1 - low)  # % of the bar, where a position has no effect

    def label(at: float, level: float) -> str:
        if whole is None:
            return _label(at, f"{'raises' if level > 0 else 'lowers'} the similarity")
        share = f"{100 * abs(level) * strongest / whole:.1f}% of the similarity"
        return _label(at, f"{'adds' if level > 0 else 'takes away'} {share}")

    labels = _label(zero, "no effect") + label(100, 1)
    if zero > LABEL_WIDTH:
        labels += label(0, low)
    bar = f"height: 10px; border-radius: 5px; background: linear-gradient(90deg, {stops})"
    return (
        f'<div class="heat-scale" style="{LEGEND}"><div style="{bar}"></div>'
        f'<div style="position: relative; height: 1.4em">{labels}</div></div>'
    )


def _label(at: float, text: str) -> str:
    style = f"{LABEL} left: {at:.1f}%; transform: translateX(-{at:.1f}%)"
    return f'<span style="{style}">{escape(text)}</span>'


def plain(image: np.ndarray, side: int = SIDE) -> Image.Image:
    """Scale an image (H, W, 3), 0..255, as the network saw it; its longer side becomes ``side``."""
    picture = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def data_url(image: Image.Image) -> str:
    """Encode an image as a data URL (WebP)."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def concentration(parts: np.ndarray, share: float = 0.25) -> float:
    """Measure how concentrated a heat map is.

    Args:
        parts: float, (h, w), the contribution of each position.
        share: Share of the positions that count as the strongest. Defaults to 0.25.

    Returns:
        The share of all positive contributions that the strongest positions make, 0..1; equal to
        ``share`` if all positions contribute equally.
    """
    positive = np.sort(np.clip(parts, 0, None).ravel())[::-1]
    count = max(1, round(share * positive.size))
    return float(positive[:count].sum() / max(positive.sum(), 1e-12))
