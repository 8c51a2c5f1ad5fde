"""Typed access to the values that Streamlit keeps for a session."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import streamlit as st

T = TypeVar("T")


@dataclass(frozen=True)
class Value(Generic[T]):
    """One value that a session keeps from one run of the script to the next.

    Attributes:
        key: Its key in ``st.session_state``; a widget with this key reads and writes the value.
        default: What :meth:`get` returns while the session has no value. It is shared by all
            sessions: never change it in place.
    """

    key: str
    default: T

    def get(self) -> T:
        """Return the session's value, or the default if it has none."""
        return st.session_state.get(self.key, self.default)

    def set(self, value: T) -> None:
        """Give the session a value."""
        st.session_state[self.key] = value

    def clear(self) -> None:
        """Return to the default."""
        st.session_state.pop(self.key, None)
