"""The state of a session has one owner, and no two of its values share a key."""

import ast
from collections import Counter
from pathlib import Path

import pytest

import workbench
from workbench.session import (
    clicks,
    lasso,
    navigation,
    own_image,
    parameters,
    selection,
    switches,
    trail,
    url,
)
from workbench.session.state import Value

ROOT = Path(workbench.__file__).parent
MODULES = (clicks, lasso, navigation, own_image, parameters, selection, switches, trail, url)


def touches_state(source: str) -> bool:
    """Tell whether a file names ``session_state`` in its code."""
    nodes = ast.walk(ast.parse(source))
    return any(
        (isinstance(node, ast.Attribute) and node.attr == "session_state")
        or (isinstance(node, ast.Constant) and node.value == "session_state")
        or (isinstance(node, ast.alias) and node.name == "session_state")
        for node in nodes
    )


def test_only_the_session_room_touches_the_state_of_a_session():
    files = [*ROOT.rglob("*.py"), ROOT.parent / "app.py"]
    found = {path.relative_to(ROOT.parent) for path in files if touches_state(path.read_text())}
    assert found
    assert {path.parent for path in found} == {Path("workbench/session")}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("st.session_state['item'] = 1", True),
        ("from streamlit import session_state", True),
        ("getattr(st, 'session_state')", True),
        ("'in ``st.session_state``'", False),
    ],
)
def test_a_use_of_the_state_is_noticed(source, found):
    assert touches_state(source) == found


def test_no_two_values_share_a_key():
    named = [
        thing
        for module in MODULES
        for thing in vars(module).values()
        if isinstance(thing, Value | url.Parameter)
    ]
    keys = Counter(thing.key for thing in {id(thing): thing for thing in named}.values())
    assert len(keys) > 30
    assert [key for key, count in keys.items() if count > 1] == []


def test_a_value_is_set_and_returns_to_its_default(session):
    value = Value("_tried", 0)
    assert value.get() == 0
    value.set(3)
    assert value.get() == 3
    value.clear()
    assert value.get() == 0
    assert not session


def test_another_data_set_forgets_rows_and_labels(session):
    for parameter in (parameters.ITEM, parameters.MATCH, parameters.CLASS):
        parameter.set(5)
    parameters.PAIR.set("1-2")
    parameters.SEARCH.set("lemon")
    trail.TRAIL.set((1, 2))
    trail.forget_items()
    forgotten = (parameters.ITEM, parameters.MATCH, parameters.CLASS, parameters.PAIR)
    assert [parameter.get() for parameter in forgotten] == [None] * 4
    assert trail.TRAIL.get() == ()
    assert parameters.SEARCH.get() == "lemon"
