"""The URL holds everything that is being looked at, so that a link shows the same view.

The URL wins whenever it changes by itself (a link, an edit, the browser's back and forward): a
parameter that it lacks then has its default. Otherwise the session wins. All parameters are written
together at the end of a run of the script, so that one action is one step of the browser's history;
``history.js`` does the rest. What the URL asks for and the page does not have is noted, and not
replaced without a word. Streamlit's own ``bind="query-params"`` is not used: it leaves out
defaults, which change as runs are added, and does not work with ``st.switch_page``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

import streamlit as st

from workbench.session.state import Value

T = TypeVar("T")

SEEN = Value[dict[str, str]]("_url_seen", {})  # each parameter's text when last read or written
SHOWN = Value[dict[str, Any]]("_url_shown", {})  # parameter of this run of the script -> default
KNOWN = Value[dict[str, str] | None]("_url_known", None)  # the URL when last read or written
WRITTEN = Value[bool]("_url_written", False)  # whether the last run of the script finished
CHANGED = Value[bool]("_url_changed", False)  # whether the URL has changed by itself since
TAKEN = Value[dict[str, str]]("_url_taken", {})  # parameter -> text that this run took from the URL
MISSED = Value[dict[str, str]]("_url_missed", {})  # the same, of those that name nothing here
CONTEXTS = Value[dict[str, object]]("_url_contexts", {})  # parameter -> what its value belongs to


@dataclass(frozen=True)
class Unmet:
    """What a URL asked for in vain, and the view that was drawn instead.

    Attributes:
        page: URL path of the page.
        view: Parameters of the view.
        missed: Parameter -> text in the URL; parameters that the page does not have are included.
    """

    page: str
    view: dict[str, str]
    missed: dict[str, str]


PAGE = Value[str]("_url_page", "")
UNMET = Value[Unmet | None]("_url_unmet", None)


def start(page: str = "") -> None:
    """Begin a run of the script, before any parameter is kept.

    Args:
        page: URL path of the page that is drawn. Defaults to the first page.
    """
    PAGE.set(page)
    TAKEN.clear()
    MISSED.clear()
    parameters = st.query_params.to_dict()
    known = KNOWN.get()
    if known is not None and _is_late(parameters):
        parameters = known
    SHOWN.set({})
    WRITTEN.set(False)
    # A URL without parameters is the link of a page, which keeps what is being looked at.
    CHANGED.set(bool(parameters) and parameters != known)
    accept(parameters)


def _is_late(parameters: dict[str, str]) -> bool:
    """Tell whether a widget was used before the browser had received the URL of the last view.

    The widget's message then carries the previous URL, as the browser's Back button does; but that
    button uses no widget.
    """
    known = KNOWN.get()
    return parameters != known and WRITTEN.get() and current() != known


def accept(parameters: dict[str, str]) -> None:
    """Take these parameters as known: finding them in the URL is no change from outside."""
    KNOWN.set(parameters)


def has_changed() -> bool:
    """Tell whether the URL changed by itself before this run of the script."""
    return CHANGED.get()


@dataclass(frozen=True)
class Parameter(Generic[T]):
    """A value of the session that the URL holds too.

    Attributes:
        key: Name in the URL, key in ``st.session_state`` and key of the widget, if it has one.
        parse: Makes the value from the text in the URL; may raise ValueError.
        always: Whether the URL names the value even where it is the default. Defaults to False.
    """

    key: str
    parse: Callable[[str], T]
    always: bool = False

    def get(self) -> T | None:
        """Return the session's value, or None if it has none."""
        return st.session_state.get(self.key)

    def set(self, value: T | None) -> None:
        """Give the session a value (for callbacks, and before the widget is drawn)."""
        st.session_state[self.key] = value

    def not_found(self) -> None:
        """Note that what the URL asks for is not here, if this run of the script asked for it."""
        text = TAKEN.get().get(self.key)
        if text is not None:
            MISSED.set(MISSED.get() | {self.key: text})

    def text_in_url(self) -> str | None:
        """Return the parameter's text in the URL, or None if the URL lacks it."""
        return (KNOWN.get() or {}).get(self.key)

    @overload
    def keep(
        self, default: T, options: Sequence[T] | None = None, *, context: object = None
    ) -> T: ...

    @overload
    def keep(
        self, default: None = None, options: Sequence[T] | None = None, *, context: object = None
    ) -> T | None: ...

    def keep(
        self,
        default: T | None = None,
        options: Sequence[T] | None = None,
        *,
        context: object = None,
    ) -> T | None:
        """Tie the session's value to the URL; call before drawing the widget.

        Args:
            default: Value where neither the URL nor the session has a valid one. Defaults to None.
            options: The valid values. Defaults to None: every value is valid.
            context: What the value belongs to, e.g. the list whose page it is. When this changes,
                the value returns to its default, unless the URL asks for another. Defaults to
                None: the value belongs to nothing in particular.

        Returns:
            The value, which the session now holds.
        """
        seen, contexts = dict(SEEN.get()), CONTEXTS.get()
        text = self.text_in_url()
        known_to_session = self.key in st.session_state
        value = st.session_state.get(self.key, default)
        if text is not None and (text != seen.get(self.key) or not known_to_session):
            TAKEN.set(TAKEN.get() | {self.key: text})
            try:
                value = self.parse(text)
            except ValueError:
                value = default
                self.not_found()
            SEEN.set(seen | {self.key: text})
        elif has_changed():
            value = default if text is None else value
        elif contexts.get(self.key, context) != context:
            value = default
        if options is not None and value not in options:
            value = default
            self.not_found()
        if not known_to_session or st.session_state[self.key] != value:
            st.session_state[self.key] = value
        CONTEXTS.set(contexts | {self.key: context})
        SHOWN.set(SHOWN.get() | {self.key: None if self.always else default})
        return value


def current() -> dict[str, str]:
    """Return the parameters of the view that was drawn, without those at their default."""
    shown = {key: (st.session_state.get(key), default) for key, default in SHOWN.get().items()}
    return {
        key: str(value)
        for key, (value, default) in shown.items()
        if value is not None and value != "" and value != default
    }


def write() -> None:
    """Write the view that was drawn to the URL; call at the end of the script or of a fragment."""
    wanted = current()
    _note_unmet(wanted)
    at_default = set(SHOWN.get()) - set(wanted)
    seen = SEEN.get() | wanted
    SEEN.set({key: text for key, text in seen.items() if key not in at_default})
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)
    accept(wanted)
    TAKEN.clear()  # a fragment that is drawn again asks for nothing anew
    MISSED.clear()
    CHANGED.set(False)
    WRITTEN.set(True)


def _note_unmet(view: dict[str, str]) -> None:
    """Note what the URL asked for in vain; this holds until another view is drawn."""
    missed = dict(MISSED.get())
    if has_changed():
        asked = KNOWN.get() or {}
        missed |= {key: text for key, text in asked.items() if key not in SHOWN.get()}
    before = UNMET.get()
    if missed or before is None or (before.page, before.view) != (PAGE.get(), view):
        UNMET.set(Unmet(PAGE.get(), view, missed))


def unmet() -> list[tuple[str, str, str | None]]:
    """Return what the URL of the view that was drawn asked for in vain; call after :func:`write`.

    Returns:
        Parameter, its text in the URL and the text of what is shown instead: empty for nothing,
        and None if the page has no such parameter.
    """
    found, shown = UNMET.get(), SHOWN.get()
    values = {key: st.session_state.get(key) for key in shown}
    return [
        (key, text, ("" if values[key] is None else str(values[key])) if key in shown else None)
        for key, text in (found.missed if found else {}).items()
    ]
