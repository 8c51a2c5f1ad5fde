"""The page's address holds everything that is being looked at, so that a link shows the same view.

The URL wins whenever it changes (a link, an edit, the browser's back and forward): what it leaves
out has its default then. Otherwise the session does. All parameters are written in one go at the
end of a run of the script, so that one action is one step of the browser's history; ``history.js``
sees to the rest. Streamlit's own ``bind="query-params"`` is not used: it
leaves out defaults, which change as runs are added, and does not go with ``st.switch_page``.
"""

from collections.abc import Callable, Sequence

import streamlit as st

SEEN = "_address_seen"  # parameter -> value that the URL had when it was last read or written
SHOWN = "_address_shown"  # parameters that the current run of the script shows
WHOLE = "_address_whole"  # all that the URL held when it was last read or written
WRITTEN = "_address_written"  # whether the last run of the script came to its end
CHANGED = "_address_changed"  # whether the URL has changed by itself since


def start() -> None:
    """Begin a run of the script: nothing is shown yet."""
    whole = st.query_params.to_dict()
    if _is_late(whole):
        whole = st.session_state[WHOLE]
    st.session_state[SHOWN], st.session_state[WRITTEN] = {}, False
    # Without parameters it is a page's link, which keeps what is looked at.
    st.session_state[CHANGED] = bool(whole) and whole != st.session_state.get(WHOLE)
    expect(whole)


def _is_late(whole: dict[str, str]) -> bool:
    """Tell whether a widget was used before the browser had got the address of the last view.

    Its message brings the address of before, as the browser's Back does, which uses no widget.
    """
    known = st.session_state.get(WHOLE)
    return whole != known and bool(st.session_state.get(WRITTEN)) and current() != known


def expect(whole: dict[str, str]) -> None:
    """Take the URL's parameters as known: they are not a change that comes from outside.

    Args:
        whole: Parameter -> value.
    """
    st.session_state[WHOLE] = whole


def has_changed() -> bool:
    """Tell whether the URL changed by itself before this run of the script."""
    return bool(st.session_state.get(CHANGED))


def keep(
    key: str,
    default: object = None,
    options: Sequence | None = None,
    *,
    parse: Callable[[str], object] = str,
    always: bool = False,
) -> object:
    """Tie a value of the session to a URL parameter; call before drawing its widget.

    Args:
        key: Key in the session, name of the parameter, key of the widget.
        default: Value if neither has a valid one.
        options: Valid values; None allows every value.
        parse: Makes the value from the parameter's text; may raise ValueError.
        always: Write the parameter even where it has its default.

    Returns:
        The value, which is also in ``st.session_state[key]``.
    """
    seen = st.session_state.setdefault(SEEN, {})
    text = st.session_state[WHOLE].get(key)
    value = st.session_state.get(key, default)
    if text is not None and (text != seen.get(key) or key not in st.session_state):
        try:
            value = parse(text)
        except ValueError:
            value = default
        seen[key] = text
    elif text is None and has_changed():
        value = default
    if options is not None and value not in options:
        value = default
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value
    st.session_state[SHOWN][key] = None if always else default
    return value


def current() -> dict[str, str]:
    """Return the parameters of the view that was drawn; values at their default are left out."""
    values = {key: st.session_state.get(key) for key in st.session_state.get(SHOWN, {})}
    defaults = st.session_state.get(SHOWN, {})
    return {
        key: str(value)
        for key, value in values.items()
        if value is not None and value != "" and value != defaults[key]
    }


def write() -> None:
    """Write the view that was drawn to the URL; call at the end of the script or of a fragment."""
    wanted = current()
    st.session_state[SEEN] = {**st.session_state.get(SEEN, {}), **wanted}
    for gone in set(st.session_state[SHOWN]) - set(wanted):
        st.session_state[SEEN].pop(gone, None)
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)
    expect(wanted)
    st.session_state[CHANGED], st.session_state[WRITTEN] = False, True
