"""Lines above a page: what the URL asked for in vain, and what became of the runs looked at."""

from collections.abc import Iterable

from streamlit.delta_generator import DeltaGenerator

from retrieval.runs.run import Run
from workbench.layout.theme import plain
from workbench.session import url
from workbench.session.parameters import TITLES
from workbench.session.selection import Selection
from workbench.session.state import Value

LONGEST = 60  # characters of a text of the URL that are repeated
# What happened to the runs that were looked at, and the view in which it is said.
HAPPENED = Value[tuple[dict[str, str], tuple[str, ...]] | None]("_happened", None)


def what_happened(
    before: Selection | None, chosen: Selection, readable: Iterable[Run]
) -> list[str]:
    """Say which runs that were looked at are gone or were replaced, and what is shown instead.

    Args:
        before: What was chosen in the previous run of the script, if there was one.
        chosen: What is chosen now.
        readable: All runs that can be read now.

    Returns:
        One line for each such run.
    """
    if before is None:
        return []
    paths = {run.path for run in readable}
    lines = []
    for letter, old, new in (("A", before.a, chosen.a), ("B", before.b, chosen.b)):
        if old is None:
            continue
        if old.path not in paths:
            why = "can no longer be read" if old.path.exists() else "was deleted or renamed"
            shown = "none" if new is None else new.name
            if new is not None and new.dataset != old.dataset:
                shown += f" of {new.dataset}"
            lines.append(f"Run {old.name} {why}. Run {letter} is now {shown}.")
        elif old.has_changed():
            lines.append(f"Run {old.name} was replaced on disk. What is shown is the new run.")
    return list(dict.fromkeys(lines))


def draw_notices(place: DeltaGenerator, happened: list[str]) -> None:
    """Draw the lines; call after :func:`workbench.session.url.write`.

    Args:
        place: Container above the page.
        happened: See :func:`what_happened`. A line stays until another view is drawn.
    """
    view = url.current()
    lasting = HAPPENED.get()
    if happened or lasting is None or lasting[0] != view:
        HAPPENED.set((view, tuple(happened)))
    else:
        happened = list(lasting[1])
    for line in happened:
        place.warning(plain(line), icon=":material/sync_problem:")
    missed = url.unmet()
    if missed:
        place.warning(plain(unmet_line(missed)), icon=":material/link_off:")


def unmet_line(missed: list[tuple[str, str, str | None]]) -> str:
    """Say what the URL asked for in vain, and what is shown instead.

    Args:
        missed: See :func:`workbench.session.url.unmet`.

    Returns:
        One line of plain text.
    """
    parts = []
    for key, text, shown in missed:
        asked = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
        instead = (
            "this page has no such choice" if shown is None else f"shown: {shown or 'the default'}"
        )
        parts.append(f"{TITLES.get(key, key)} “{asked}” ({instead})")
    return f"The address asks for what is not here: {'; '.join(parts)}."
