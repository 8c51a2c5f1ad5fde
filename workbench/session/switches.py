"""The switches of a session: marking items with a click, and loading the network."""

from workbench.session.state import Value

MARKING = Value[bool]("marking", False)  # key of the switch: a click on an image marks its item
MARKED_ROW = Value[int | None]("_marked_row", None)  # the item whose note is open in the dialog
NETWORK_WANTED = Value[bool]("_network_wanted", False)  # loading it takes seconds: on request only
