"""Querying with an image of one's own, uploaded or read from a path."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import streamlit as st

from retrieval.errors import UserError
from retrieval.runs.run import Run
from workbench.components import image_cards
from workbench.components.gallery import card
from workbench.data import network
from workbench.data.loading import stamp
from workbench.data.lookup import search_vector
from workbench.figures.heatmaps import data_url
from workbench.layout.run_colors import pair_colors
from workbench.layout.theme import plain
from workbench.session.selection import Selection
from workbench.session.trail import go_to

TYPES = ["jpg", "jpeg", "png", "webp", "gif", "bmp"]
LOCAL = ("localhost", "127.0.0.1", "::1")
KEPT = "own_image"  # the session's last image: it outlives the box it was dropped in


@dataclass(frozen=True)
class Kept:
    """An image that was given, with what is needed to show its results again.

    Attributes:
        name: Of its file.
        image: It, its picture small.
        size: Width and height of the picture that was given, in words.
        vectors: Run's path and stamp -> its embedding, float32 (D,).
    """

    name: str
    image: network.OwnImage
    size: str
    vectors: dict[tuple, np.ndarray] = field(default_factory=dict)


def own_image(chosen: Selection) -> None:
    """Draw the upload box, and what runs A and B find for the image.

    Args:
        chosen: What is being looked at.
    """
    left, right = st.columns(2)
    upload = left.file_uploader(
        "An image", type=TYPES, key="upload", max_upload_size=20, on_change=_forget
    )
    path = ""
    if st.get_option("server.address") in LOCAL:  # others must not open this computer's files
        path = right.text_input(
            "Or the path of one on this computer", key="upload_path", on_change=_forget
        )
    try:
        kept = _kept_image(upload, (path or "").strip())
        if kept is not None:
            _results(chosen, kept)
        else:
            st.caption("It is embedded by the network of each run; TensorFlow is loaded for that.")
    except UserError as error:
        st.error(plain(str(error)))


def _forget() -> None:
    st.session_state.pop(KEPT, None)


def _kept_image(upload, path: str) -> Kept | None:
    """Return the image that was given last; see :func:`read_image`."""
    if KEPT not in st.session_state:
        image = read_image(upload, path)
        if image is None:
            return None
        name = upload.name if upload is not None else Path(path).name
        size = f"{image.picture.width} × {image.picture.height} px"
        image.picture.thumbnail((320, 320))
        st.session_state[KEPT] = Kept(name, image, size)
    return st.session_state[KEPT]


def read_image(upload, path: str) -> network.OwnImage | None:
    """Read the image that was uploaded, else the one at a path.

    Args:
        upload: What the upload box holds, or None.
        path: On this computer; may start with ``~``; empty for none.

    Returns:
        The image, or None if neither is given.

    Raises:
        UserError: It cannot be read or is no image.
    """
    if upload is not None:
        return network.check_image(upload.getvalue(), upload.name)
    if not path:
        return None
    try:
        file = Path(path).expanduser()
        if not file.is_file():
            raise UserError(f"{path}: no such file")
        with file.open("rb") as opened:
            data = opened.read(network.MOST_BYTES + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: ~somebody who is not a user
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path[:100]}: cannot be read ({reason})") from error
    return network.check_image(data, file.name)


def _results(chosen: Selection, kept: Kept) -> None:
    lines = []
    runs = zip("AB", (chosen.a, chosen.b), pair_colors(chosen), strict=True)
    for name, run, color in runs:
        if run is None:
            continue
        line = {"title": f"{name}  {run.name}", "color": color, "layout": "line", "size": 92}
        reason = network.why_not(run)
        if reason:
            lines.append(line | {"cards": [], "empty": reason})
            continue
        ids, scores = search_vector(run, chosen.protocol, _vector(run, kept), chosen.k)
        cards = [
            card(run, int(row), rank=rank, score=f"{score:.3f}")
            for rank, (row, score) in enumerate(zip(ids, scores, strict=True), 1)
        ]
        lines.append(line | {"cards": cards})
    lead = {"src": data_url(kept.image.picture), "label": "Your image", "alt": "your image"}
    lead |= {"kind": "query", "pickable": False, "row": -1, "lines": [kept.name, kept.size]}
    image_cards(
        {"groups": [{"lead": lead, "size": 200, "rows": lines}]},
        key="own_results",
        on_pick=_look_at,
    )


def _vector(run: Run, kept: Kept) -> np.ndarray:
    key = (str(run.path), stamp(run.path))
    if key not in kept.vectors:
        kept.vectors[key] = network.embed_image(run, kept.image)
    return kept.vectors[key]


def _look_at(choice: dict) -> None:
    go_to(int(choice["row"]))
