"""Read YAML that a user wrote: strict about what PyYAML takes in silence."""

from collections.abc import Hashable
from typing import Any

import yaml

from retrieval.errors import UserError

MOST_VALUES = 100_000  # of a file, with aliases spelled out
LONGEST = 1 << 20  # characters


def parse_yaml(text: str) -> Any:
    """Parse a YAML text.

    Args:
        text: The text.

    Returns:
        Mappings, lists and plain values.

    Raises:
        UserError: The text is not valid YAML, gives a key of a mapping twice, or stands for more
            than :data:`MOST_VALUES` values. Says in which line, but not in which file.
    """
    if len(text) > LONGEST:
        raise UserError(f"{len(text):,} characters: give {LONGEST:,} at most")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise UserError(f"not valid YAML ({' '.join(str(error).split())})") from error
    except RecursionError as error:
        raise UserError("not valid YAML (nested too deeply)") from error
    except ValueError as error:  # of a date, or a number of 5,000 digits
        words = " ".join(str(error).split())
        raise UserError(f"not valid YAML (a value cannot be read: {words})") from error


def _check(root: yaml.Node) -> None:
    sizes: dict[int, int] = {}  # node -> number of values below it, with aliases spelled out
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        line = node.start_mark.line + 1
        if id(node) in open_nodes:
            raise UserError(f"line {line}: an alias stands inside of what it stands for")
        open_nodes.add(id(node))
        total = 1
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            total += sum(size(part) for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(map(size, node.value))
        if total > MOST_VALUES:
            raise UserError(
                f"line {line}: stands for more than {MOST_VALUES:,} values: give fewer, or drop "
                "aliases"
            )
        open_nodes.remove(id(node))
        sizes[id(node)] = total
        return total

    size(root)


def _check_keys(node: yaml.MappingNode) -> None:
    seen: dict[Hashable, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        line = key.start_mark.line + 1
        first = seen.get((key.tag, key.value))
        if first is not None:
            raise UserError(
                f"line {line}: the key {key.value!r} is given twice, first in line {first}: drop "
                "one of them"
            )
        seen[key.tag, key.value] = line
