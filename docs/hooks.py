"""Hooks of MkDocs: pages that are generated, and docstrings turned into Markdown.

* ``losses.md`` is written from the registry of losses and the docstrings of their classes. The
  sources are parsed, never imported, so building the site does not load TensorFlow.
* ``contributing.md`` and ``changelog.md`` are the files of the repository's root.
* ``architecture.md`` gets its pictures of the rooms from the import test, which holds their order.
* :class:`DocstringMarkdown` does for the API pages what ``losses.md`` needs too: it turns the roles
  and the examples of docstrings into Markdown.
"""

import ast
import contextlib
import functools
import inspect
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
LOSSES = ROOT / "retrieval" / "losses"
ROOT_PAGES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}

INTRODUCTION = """\
# Losses

Every loss is a Keras loss, `loss(labels, embeddings) -> scalar`, with $O(B^2)$ memory in the batch
size $B$ and finite gradients for any batch. This page is generated from the registry
(`retrieval.losses.LOSSES`) and the docstrings of the losses, so it lists exactly what the code has.
It lists {count} losses.

The defaults below are the recommended settings of the paper, or of the published baseline: they are
what you get if you name the loss alone.

```python
import numpy as np
from retrieval import get_loss

rng = np.random.default_rng(0)
labels = np.repeat(np.arange(4), 4)
embeddings = rng.normal(size=(16, 8)).astype("float32")
loss = get_loss("hard_triplet", margin="soft", distance="cosine")
print(float(loss(labels, embeddings)))
```

On the command line, options are pairs: `retrieval train --loss hard_triplet --loss-option
margin=soft`. To add a loss, see [Add a loss](how-to/add-a-loss.md). If you come from another
library, see [Migrating](migrating.md).

## Overview

**P × K** is the recommended batch: P classes with K images each. **Normalized** says whether the
embeddings are L2-normalized while training. **Memory** marks the losses that a
[cross-batch memory](#cross-batch-memory) can wrap.
"""
FAMILIES = {
    False: ("Losses over the pairs of a batch", ""),
    True: (
        "Losses with trainable vectors per class",
        "These losses own weights: proxies, class weights or centers. Call "
        "`loss.build(num_classes, embedding_size)`, pass labels 0 .. `num_classes` - 1, and train "
        "with `retrieval.RankingModel` (or `retrieval train`), which also updates the loss's own "
        "weights. Plain `model.compile(loss=...)` leaves them at their initial values.",
    ),
}
SPACING = '%%{init: {"flowchart": {"rankSpacing": 24, "wrappingWidth": 640}}}%%'
LAYOUTS = {
    "any": "in any order",
    "pairs": "where rows 2i and 2i + 1 share a label",
    "blocks": "where four consecutive rows share a label",
}
TUPLES = {
    "triplet": "an anchor with a positive and a negative",
    "positive_pair": "two items of one class",
    "pair": "any two items",
}


@dataclass
class Docstring:
    """A Google-style docstring, taken apart.

    Attributes:
        summary: The first line.
        body: Markdown of what follows, up to the first section.
        arguments: Name -> Markdown of the ``Args`` section.
        references: Markdown of each paragraph of the ``Reference`` section.
        example: Markdown of the ``Example`` section.
    """

    summary: str
    body: str
    arguments: dict[str, str]
    references: list[str]
    example: str


@dataclass
class Loss:
    """What the page says about one loss.

    Attributes:
        name: Name in the registry, and of the file.
        entry: The fields of its registry entry, defaults included.
        doc: The docstring of its class.
        defaults: Option -> source text of its default value.
        memory: Whether a cross-batch memory can wrap it.
    """

    name: str
    entry: dict[str, Any]
    doc: Docstring
    defaults: dict[str, str]
    memory: bool


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site.

    Args:
        files: The files of the site, extended in place.
        config: The site's configuration.

    Returns:
        The same files.
    """
    pages = {"losses.md": losses_page(read_losses())}
    for target, source in ROOT_PAGES.items():
        pages[target] = root_page((ROOT / source).read_text(encoding="utf-8"))
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Put the pictures of the rooms into the page on the architecture.

    Args:
        markdown: The page's text.
        page: The page.

    Returns:
        The text to build the page from.
    """
    if page.file.src_uri != "architecture.md":
        return markdown
    return re.sub(r"<!-- rooms of (\w+) -->", lambda match: rooms_picture(match[1]), markdown)


def rooms_picture(package: str, test: Path = ROOT / "tests" / "test_imports.py") -> str:
    """Draw the floors of a package, from ``FLOORS`` of the import test.

    Args:
        package: ``retrieval`` or ``workbench``.
        test: The test. Defaults to ``tests/test_imports.py``.

    Returns:
        A Mermaid diagram in a fence.

    Raises:
        ValueError: The test has no ``FLOORS``.
    """
    for node in ast.parse(test.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLOORS":
            floors = ast.literal_eval(node.value)[package]
            break
    else:
        raise ValueError(f"{test} has no FLOORS")
    names = [" · ".join(rooms) for rooms in floors]
    lines = ["```mermaid", SPACING, "flowchart TB"]
    lines += [f'  floor{number}["{text}"]' for number, text in enumerate(names)]
    lines.append("  " + " --> ".join(f"floor{number}" for number in range(len(floors))))
    return "\n".join([*lines, "```"])


def root_page(text: str) -> str:
    """Rewrite the links of a file at the repository's root for a page of the site."""
    text = re.sub(r"\]\(docs/", "](", text)
    for target, source in ROOT_PAGES.items():
        text = text.replace(f"]({source})", f"]({target})")
    return text


def read_losses(folder: Path = LOSSES) -> list[Loss]:
    """Read the registry and the classes of all losses without importing them.

    Args:
        folder: The package of the losses. Defaults to ``retrieval/losses``.

    Returns:
        The losses in the order of the registry.

    Raises:
        ValueError: There is no registry, or one of its losses has no class.
    """
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in folder.rglob("*.py")}
    nodes = [node for tree in trees.values() for node in tree.body]
    classes = {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}
    losses = []
    for name, call in _registry(nodes).items():
        entry = _fields(classes["LossEntry"]) | _keywords(call)
        node = classes.get(entry["class_name"])
        if node is None or node not in trees[folder / f"{name}.py"].body:
            raise ValueError(f"no class {entry['class_name']} in {folder / name}.py")
        doc = parse_docstring(ast.get_docstring(node))
        memory = _inherits(node, "PairLoss", classes)
        losses.append(Loss(name, entry, doc, _defaults(node), memory))
    return losses


def _registry(nodes: list[ast.stmt]) -> dict[str, ast.Call]:
    """Return the entries of the dict ``LOSSES``: name -> call of ``LossEntry``."""
    for node in nodes:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "LOSSES":
            if not isinstance(node.value, ast.Dict):
                break
            pairs = zip(node.value.keys, node.value.values, strict=True)
            return {ast.literal_eval(key): call for key, call in pairs}
    raise ValueError("no dict LOSSES below retrieval/losses")


def _fields(node: ast.ClassDef) -> dict[str, Any]:
    """Return the fields of a dataclass that have a default."""
    fields = [part for part in node.body if isinstance(part, ast.AnnAssign) and part.value]
    return {ast.unparse(part.target): _value(part.value) for part in fields if part.value}


def _keywords(call: ast.Call) -> dict[str, Any]:
    """Return the keyword arguments of a call."""
    return {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}


def _value(node: ast.expr) -> Any:
    """Return the value of an expression: a literal, or a call with keywords as a dict of these.

    A call with positional arguments, a range of a search space, is read as text.
    """
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {_value(key): _value(value) for key, value in pairs if key is not None}
    if isinstance(node, ast.Call):
        return _searched(node) if node.args else _keywords(node)
    return ast.literal_eval(node)


def _searched(node: ast.Call) -> str:
    """Return what is searched of an option, in the words of ``retrieval losses``."""
    values = [ast.literal_eval(each) for each in node.args]
    if ast.unparse(node.func) == "Choice":
        return " or ".join(map(str, values[0]))
    low, high = values
    return f"{low:g} to {high:g}{' (log)' if _keywords(node).get('log') else ''}"


def _inherits(node: ast.ClassDef, base: str, classes: dict[str, ast.ClassDef]) -> bool:
    names = [ast.unparse(parent) for parent in node.bases]
    parents = [classes[name] for name in names if name in classes]
    return base in names or any(_inherits(parent, base, classes) for parent in parents)


def _defaults(node: ast.ClassDef) -> dict[str, str]:
    """Return the options of a class's constructor and the source text of their defaults."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            arguments = part.args.args[1:]
            values = [ast.unparse(value) for value in part.args.defaults]
            values = ["required"] * (len(arguments) - len(values)) + values
            named = zip(arguments, values, strict=True)
            return {argument.arg: value for argument, value in named if argument.arg != "name"}
    return {}


def parse_docstring(text: str | None) -> Docstring:
    """Take a Google-style docstring apart.

    Args:
        text: The docstring, or None.

    Returns:
        Its summary, its body and the sections that the page shows.
    """
    parts = re.split(r"^(\w+):\n(?=    )", inspect.cleandoc(text or ""), flags=re.MULTILINE)
    summary, _, body = parts[0].partition("\n")
    sections = {
        title: textwrap.dedent(part).strip("\n")
        for title, part in zip(parts[1::2], parts[2::2], strict=True)
    }
    arguments = {}
    for argument in re.split(r"\n(?=\w+:)", sections.get("Args", "")):
        name, _, meaning = argument.partition(":")
        arguments[name] = to_markdown(" ".join(meaning.split()))
    references = re.split(r"\n\s*\n", sections.get("Reference", ""))
    return Docstring(
        to_markdown(summary),
        to_markdown(body.strip()),
        arguments,
        [to_markdown(" ".join(one.lstrip("-* ").split())) for one in references if one],
        to_markdown(sections.get("Example", sections.get("Examples", ""))),
    )


def to_markdown(text: str) -> str:
    """Turn the reStructuredText of a docstring into Markdown.

    Examples that begin with ``>>>`` become fences. Roles such as ``:func:`` become code, with a
    link where an API page describes the name. Formulas, which MathJax draws, stay as they are,
    except that two equations in one formula come one below the other, since pages are narrow.

    Args:
        text: Text of a docstring.

    Returns:
        Markdown.
    """
    text = re.sub(r"\$\$\n(.*?)\n\$\$", _stacked, text, flags=re.DOTALL)
    text = re.sub(r"^( *)>>> .*\n?(?:\1\S.*\n?)*", _session, text, flags=re.MULTILINE)
    return re.sub(r":(?:class|func|meth|attr|data|mod|exc):`(~?)([\w.]+)`", _reference, text)


def _stacked(match: re.Match[str]) -> str:
    rows, breaks = re.subn(r" \\qquad\n|\n\\qquad ", r" \\\\[1ex]\n", match[1])
    if not breaks:
        return match[0]
    return f"$$\n\\begin{{gathered}}\n{rows}\n\\end{{gathered}}\n$$"


def _session(match: re.Match[str]) -> str:
    return f"{match[1]}```pycon\n{match[0].rstrip()}\n{match[1]}```\n"


def _reference(match: re.Match[str]) -> str:
    name = match[2]
    shown = name.rsplit(".", 1)[-1] if match[1] else name
    target = _public_names().get(name, name)
    return f'<autoref optional identifier="{target}"><code>{shown}</code></autoref>'


@functools.cache
def _public_names() -> dict[str, str]:
    """Return where the names that ``retrieval`` imports on first use are defined."""
    for node in ast.parse((ROOT / "retrieval" / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOME":
            homes = ast.literal_eval(node.value)
            return {f"retrieval.{name}": f"{home}.{name}" for name, home in homes.items()}
    return {}


def losses_page(losses: list[Loss]) -> str:
    """Write the page of all losses.

    Args:
        losses: What :func:`read_losses` returned.

    Returns:
        Markdown.
    """
    parts = [INTRODUCTION.format(count=len(losses)), _overview(losses)]
    for needs_classes, (title, text) in FAMILIES.items():
        parts += [f"## {title}", text]
        parts += [_section(loss) for loss in losses if loss.entry["needs_classes"] == needs_classes]
    parts += [_wrapper(name) for name in WRAPPERS]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _overview(losses: list[Loss]) -> str:
    rows = ["| loss | class | P × K | normalized | memory |", "|---|---|---|---|---|"]
    for loss in losses:
        rows.append(
            f"| [`{loss.name}`](#{loss.name}) | `{loss.entry['class_name']}` "
            f"| {_batch(loss.entry)} | {'yes' if loss.entry['normalize'] else 'no'} "
            f"| {'yes' if loss.memory else 'no'} |"
        )
    return "\n".join(rows)


def _batch(entry: dict[str, Any]) -> str:
    return f"{entry['classes_per_batch']} × {entry['samples_per_class']}"


def _section(loss: Loss) -> str:
    entry = loss.entry
    least = "one item" if entry["needs_classes"] else TUPLES[entry["smallest_tuple"]]
    parts = [
        f"### `{loss.name}` {{ #{loss.name} }}",
        loss.doc.summary,
        loss.doc.body,
        _options(loss.doc.arguments, loss.defaults),
        _better(entry["better"]),
        _space(entry["space"]),
        f"Recommended batch: {_batch(entry)}, {LAYOUTS[entry['layout']]}. Embeddings are "
        f"{'' if entry['normalize'] else 'not '}L2-normalized. "
        f"A batch has a loss other than 0 only if it holds {least}.",
        loss.doc.example,
        *(f"- {reference}" for reference in loss.doc.references),
    ]
    return "\n\n".join(part for part in parts if part)


def _better(better: dict[str, Any] | None) -> str:
    """Name the setting that is known to beat the baseline's definition; empty if none is."""
    if better is None:
        return ""
    options = " and ".join(f"`{name}={value}`" for name, value in better["options"].items())
    return (
        "The defaults are the definition of the published baseline. On Grocery (frozen backbone, "
        f"mean of three seeds), {options} reached a Recall@1 of {better['recall']:.3f}, and the "
        f"defaults {better['definition_recall']:.3f}."
    )


def _space(space: dict[str, Any]) -> str:
    """Say what ``retrieval tune`` searches of a loss, and where its ranges come from."""
    searched = {**space.get("settings", {}), **space["options"]}
    words = ", ".join(f"`{name}` {values}" for name, values in searched.items())
    return f"Searched by `retrieval tune`: {words} ({space['source']})."


def _options(arguments: dict[str, str], defaults: dict[str, str]) -> str:
    rows = ["| option | default | meaning |", "|---|---|---|"]
    for name, default in defaults.items():
        meaning = arguments.get(name, "").replace("|", "\\|")
        rows.append(f"| `{name}` | `{default}` | {meaning} |")
    return "\n".join(rows)


# File of a wrapper -> its title, and how it is used in Python and on the command line.
WRAPPERS = {
    "cross_batch_memory": (
        "Cross-batch memory",
        'get_loss("multi_similarity", cross_batch_memory={"size": 4096})',
        "retrieval train --memory-batches 50",
    ),
    "matryoshka": (
        "Matryoshka",
        'get_loss("proxy_anchor", matryoshka=[32, 64])',
        "retrieval train --matryoshka 32,64",
    ),
}


def _wrapper(name: str) -> str:
    """Describe a wrapper, which is no entry of the registry."""
    title, in_python, on_command_line = WRAPPERS[name]
    tree = ast.parse((LOSSES / f"{name}.py").read_text(encoding="utf-8"))
    node = next(part for part in tree.body if isinstance(part, ast.ClassDef))
    doc = parse_docstring(ast.get_docstring(node))
    return "\n\n".join(
        [
            f"## {title} {{ #{name.replace('_', '-')} }}",
            doc.summary,
            doc.body,
            _options(doc.arguments, _defaults(node)),
            f"In Python: `{in_python}`. On the command line: `{on_command_line}`.",
        ]
    )


class DocstringMarkdown(griffe.Extension):
    """Turn the docstrings that the API pages show into Markdown."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Convert the docstring of a module, class, function or attribute."""

        def full_name(match: re.Match[str]) -> str:
            """Complete a name by what it means where the docstring stands."""
            with contextlib.suppress(griffe.NameResolutionError):
                return f'identifier="{obj.resolve(match[1])}"'
            return match[0]

        if obj.docstring is not None:
            text = to_markdown(obj.docstring.value)
            obj.docstring.value = re.sub(r'identifier="([\w.]+)"', full_name, text)
