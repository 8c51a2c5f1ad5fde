"""The selected item, and the way back to what was looked at before."""

from workbench.session import url
from workbench.session.parameters import DATASET, ITEM, MATCH, OF_ONE_DATASET, SOURCE
from workbench.session.state import Value

OWN_IMAGE, OWN_TEXT = "Your own image", "Text"
SOURCES = ("From the data set", OWN_IMAGE, OWN_TEXT)
OWN = SOURCES[1:]  # stand for the results of the user's image or text among the items of the trail
TRAIL_LENGTH = 50

TRAIL = Value[tuple[int | str, ...]]("_trail", ())  # rows of items, or one of OWN; the oldest first
TRAIL_DATASET = Value[str | None]("_trail_dataset", None)  # the data set that the rows belong to


def current_item(n_items: int) -> int | None:
    """Return the row of the selected item, from the URL or the session.

    Args:
        n_items: Number of items of run A; a row beyond them counts as no selection.

    Returns:
        A valid row, or None if no item is selected.
    """
    before = _here()
    row, dataset = ITEM.keep(), DATASET.get()
    if TRAIL_DATASET.get() not in (None, dataset):
        TRAIL.clear()
    elif url.has_changed():
        source = SOURCE.text_in_url()
        _follow_browser(before, source if source in OWN else row)
    TRAIL_DATASET.set(dataset)
    if row is None or 0 <= row < n_items:
        return row
    ITEM.not_found()
    return None


def _here() -> int | str | None:
    source = SOURCE.get()
    return source if source in OWN else ITEM.get()


def _follow_browser(before: int | str | None, after: int | str | None) -> None:
    """Let the app's Back button follow the browser's back and forward buttons.

    Args:
        before: What was looked at.
        after: What the URL asks for.
    """
    if after is None or before is None or after == before:
        return
    trail = TRAIL.get()
    if trail and trail[-1] == after:
        TRAIL.set(trail[:-1])
    else:
        _remember(before)


def _remember(place: int | str) -> None:
    TRAIL.set((*TRAIL.get(), place)[-TRAIL_LENGTH:])


def show_item(row: int) -> None:
    """Select an item without adding to the trail, e.g. the one that a page opens on."""
    ITEM.set(int(row))


def go_to(row: int) -> None:
    """Select another item (for callbacks) and remember what was looked at before, for Back."""
    before = _here()
    if before is not None and before != row:
        _remember(before)
    _arrive(int(row))


def go_back() -> None:
    """Return to what was looked at before (for callbacks)."""
    trail = TRAIL.get()
    if trail:
        TRAIL.set(trail[:-1])
        _arrive(trail[-1])


def can_go_back() -> bool:
    """Tell whether there is anything to go back to."""
    return bool(TRAIL.get())


def last_of(rows: set[int]) -> int | None:
    """Return the item of these that was looked at last; None if none of them was."""
    return next((int(place) for place in reversed(TRAIL.get()) if place in rows), None)


def _arrive(place: int | str) -> None:
    if isinstance(place, str):
        SOURCE.set(place)
        return
    if SOURCE.get() in OWN:
        SOURCE.set(SOURCES[0])
    if ITEM.get() != place:
        MATCH.set(None)  # it was a result of the item before
    ITEM.set(int(place))


def forget_items() -> None:
    """Forget rows and labels (for callbacks): another data set gives them to other things."""
    for parameter in OF_ONE_DATASET:
        parameter.set(None)
    TRAIL.clear()
