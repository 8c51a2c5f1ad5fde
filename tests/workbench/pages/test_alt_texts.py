"""Every chart has an alternative text for those who cannot see it."""

import ast
from pathlib import Path

import workbench.pages

SOURCES = sorted(Path(workbench.pages.__file__).parent.rglob("*.py"))


def charts(source: str) -> list[tuple[int, bool]]:
    """Line of every chart in a page's source, and whether it has a text."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        (call.lineno, any(keyword.arg == "alt" for keyword in call.keywords))
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "plotly_chart"
    ]


def test_every_chart_has_an_alternative_text():
    found = [
        (str(path.relative_to(path.parents[1])), *chart)
        for path in SOURCES
        for chart in charts(path.read_text())
    ]
    assert len(found) >= 12
    assert [f"{name}:{line}" for name, line, told in found if not told] == []


def test_a_chart_without_one_is_noticed():
    assert charts("left.plotly_chart(f, key='x')\nst.plotly_chart(f, alt='Recall')") == [
        (1, False),
        (2, True),
    ]
