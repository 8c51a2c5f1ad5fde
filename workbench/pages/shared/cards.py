"""Image cards and maps of points that can be clicked."""

from collections.abc import Callable, Iterable, Sequence

from workbench.components import image_cards, point_images
from workbench.components.gallery import with_facts
from workbench.session.clicks import Pick, clicked_point, picked_card
from workbench.session.selection import selection


def clickable_cards(data: dict, *, key: str, on_pick: Callable[[Pick], None]) -> None:
    """Draw groups and rows of image cards, each of which is a button.

    Below each image are the columns of the items that are chosen in the sidebar.

    Args:
        data: See :func:`workbench.components.image_cards`.
        key: Unique key of these cards on the page.
        on_pick: Called with the card that is clicked, before the page is drawn again.
    """

    def picked() -> None:
        pick = picked_card(key)
        if pick is not None:
            on_pick(pick)

    chosen = selection()
    if chosen.columns:
        data = with_facts(data, {run.name: run for run in chosen.runs}, chosen.columns)
    image_cards(data, key=key, on_picked_change=picked)


def clickable_points(
    charts: Sequence[str],
    urls: Sequence[str],
    *,
    key: str,
    selected: int | None,
    neighbors: Sequence[Iterable[int]],
    found: Iterable[int],
    on_click: Callable[[int], None],
) -> None:
    """Show images on hover over charts of points, ring some points, and report clicks.

    Args:
        charts: Keys of the charts.
        urls: Address of the hover cards of each chart, to which the row is appended.
        key: Unique key on the page.
        selected: Row of the item to ring, or None.
        neighbors: Per chart, the rows to join to the selected one by lines.
        found: Rows to ring lightly.
        on_click: Called with the row of the point that is clicked, before the page is drawn again.
    """

    def clicked() -> None:
        row = clicked_point(key)
        if row is not None:
            on_click(row)

    point_images(
        charts,
        urls,
        key=key,
        selected=selected,
        neighbors=neighbors,
        found=found,
        on_clicked_change=clicked,
    )
