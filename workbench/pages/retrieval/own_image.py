"""Searching with an image of the user, uploaded or read from a path."""

from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from retrieval.errors import UserError
from retrieval.runs.run import Run
from workbench.analysis.nearness import nearness_text
from workbench.components.gallery import card
from workbench.data import network
from workbench.data.hosts import is_users_own_machine
from workbench.data.loading import stamp
from workbench.data.lookup import search_vector
from workbench.figures.heatmaps import data_url
from workbench.layout.theme import plain
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.named_runs import named_runs
from workbench.session.own_image import GIVEN_IMAGE, GivenImage
from workbench.session.selection import Selection
from workbench.session.trail import go_to

TYPES = ["jpg", "jpeg", "png", "webp", "gif", "bmp"]


def own_image(chosen: Selection) -> None:
    """Draw the upload box, and the results of the image under runs A and B.

    Args:
        chosen: The choices made in the sidebar.
    """
    left, right = st.columns(2)
    upload = left.file_uploader(
        "Image file", type=TYPES, key="upload", max_upload_size=20, on_change=GIVEN_IMAGE.clear
    )
    path = ""
    # Users on other computers must not read the files of this one.
    if is_users_own_machine():
        path = right.text_input(
            "Or the path of an image on this computer",
            key="upload_path",
            on_change=GIVEN_IMAGE.clear,
        )
    try:
        given = _given_image(upload, (path or "").strip())
        if given is not None:
            _results(chosen, given)
        else:
            st.caption(
                "Give an image to search with it. The network of each run embeds the image, which "
                "loads TensorFlow the first time."
            )
    except UserError as error:
        st.error(plain(str(error)))


def _given_image(upload: UploadedFile | None, path: str) -> GivenImage | None:
    """Return the image that was given last; see :func:`read_image`."""
    given = GIVEN_IMAGE.get()
    if given is None:
        image = read_image(upload, path)
        if image is None:
            return None
        name = upload.name if upload is not None else Path(path).name
        size = f"{image.picture.width} × {image.picture.height} px"
        image.picture.thumbnail((320, 320))
        given = GivenImage(name, image, size)
        GIVEN_IMAGE.set(given)
    return given


def read_image(upload: UploadedFile | None, path: str) -> network.OwnImage | None:
    """Read the image that was uploaded, else the one at a path.

    Args:
        upload: Content of the upload box, or None.
        path: Path on this computer, which may start with ``~``; empty for none.

    Returns:
        The image, or None if neither is given.

    Raises:
        UserError: The file cannot be read or is not an image.
    """
    if upload is not None:
        return network.check_image(upload.getvalue(), upload.name)
    if not path:
        return None
    try:
        file = Path(path).expanduser()
        if not file.is_file():
            raise UserError(f"{path}: no such file")
        with file.open("rb") as stream:
            data = stream.read(network.MOST_BYTES + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: ~somebody who is not a user
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path[:100]}: cannot be read ({reason})") from error
    return network.check_image(data, file.name)


def _results(chosen: Selection, given: GivenImage) -> None:
    lines: list[dict] = []
    for named in named_runs(chosen):
        run = named.run
        line = {"title": named.title, "color": named.color, "layout": "line", "size": 92}
        reason = network.reason_without_network(run)
        if reason:
            lines.append(line | {"cards": [], "empty": reason})
            continue
        ids, scores = search_vector(run, chosen.protocol, _vector(run, given), chosen.k)
        cards = [
            card(run, int(row), rank=rank, score=nearness_text(run, score))
            for rank, (row, score) in enumerate(zip(ids, scores, strict=True), 1)
        ]
        lines.append(line | {"cards": cards})
    lead = {
        "row": -1,
        "kind": "query",
        "pickable": False,
        "src": data_url(given.image.picture),
        "alt": "your image",
        "label": "Your image",
        "lines": [given.name, given.size],
    }
    clickable_cards(
        {"groups": [{"lead": lead, "size": 200, "rows": lines}]},
        key="own_results",
        on_pick=lambda pick: go_to(pick.row),
    )


def _vector(run: Run, given: GivenImage) -> np.ndarray:
    key = (str(run.path), stamp(run.path))
    if key not in given.vectors:
        given.vectors[key] = network.embed_image(run, given.image)
    return given.vectors[key]
