"""The text that the user searched with last: it outlives the box that it was typed into."""

from workbench.session.state import Value

GIVEN_TEXT = Value[str]("_given_text", "")
