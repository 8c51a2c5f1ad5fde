"""Every loss documents its formula, its options, its source and an example that is run here."""

import doctest
import inspect
import re
from fractions import Fraction

import pytest

import retrieval.losses
from retrieval.losses import LOSSES, get_loss, loss_class

CLASSES = [loss_class(name) for name in LOSSES] + [retrieval.losses.CrossBatchMemory]
SECTIONS = ["Args", "Shapes", "Reference", "Example"]


def sections(owner):
    """The docstring's text before its first section, and the text of each section."""
    before, *rest = re.split(
        r"^(Args|Shapes|Reference|Example):\n", inspect.getdoc(owner), flags=re.M
    )
    return before, dict(zip(rest[::2], rest[1::2], strict=True))


def documented(owner):
    """The options in the docstring: name -> description in one line."""
    items = re.split(r"^    (\w+): ", sections(owner)[1]["Args"], flags=re.M)[1:]
    return {
        name: " ".join(text.split()) for name, text in zip(items[::2], items[1::2], strict=True)
    }


def spelled(default):
    """How a docstring spells a default: 1/9 rather than 0.111..., and text in double quotes."""
    if isinstance(default, str):
        return f'"{default}"'
    if isinstance(default, float) and len(repr(default)) > 10:
        return str(Fraction(default).limit_denominator(1000))
    return repr(default)


@pytest.mark.parametrize("owner", CLASSES, ids=lambda owner: owner.__name__)
def test_the_docstring_has_a_formula_and_every_section(owner):
    before, found = sections(owner)
    assert re.search(r"\$\$\n.+?\n\$\$", before, flags=re.S), "write the formula between $$ and $$"
    assert list(found) == SECTIONS, f"write the sections {', '.join(SECTIONS)}, in this order"
    assert re.search(r"\((19|20)\d\d\)", found["Reference"]), "name authors, year and title"


@pytest.mark.parametrize("owner", CLASSES, ids=lambda owner: owner.__name__)
def test_every_option_is_described_in_a_sentence_that_states_its_default(owner):
    parameters = inspect.signature(owner).parameters
    texts = documented(owner)
    assert list(texts) == list(parameters)
    for name, parameter in parameters.items():
        assert len(texts[name].partition(" Defaults to ")[0].split()) >= 3, f"describe {name}"
        if parameter.default is not parameter.empty:
            assert f"Defaults to {spelled(parameter.default)}." in texts[name], name


@pytest.mark.parametrize("owner", CLASSES, ids=lambda owner: owner.__name__)
def test_the_example_gives_the_number_it_shows(owner):
    example = doctest.DocTestParser().get_doctest(
        inspect.getdoc(owner), {}, owner.__name__, inspect.getsourcefile(owner), 0
    )
    assert any(re.fullmatch(r"-?\d+\.\d+\n", e.want) for e in example.examples), "show a number"
    report = []
    doctest.DocTestRunner().run(example, out=report.append)
    assert not report, "".join(report)


def test_the_examples_of_the_package_run():
    for owner in (retrieval.losses, get_loss):
        finder = doctest.DocTestFinder(recurse=False)
        for example in finder.find(owner, globs={"get_loss": get_loss}):
            report = []
            doctest.DocTestRunner().run(example, out=report.append)
            assert not report, "".join(report)
