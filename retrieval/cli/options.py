"""Make the flags of ``retrieval train`` from the settings and from the options of the data sets."""

import inspect
import re
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer

from retrieval.datasets import DATASETS, csv_files, folder
from retrieval.errors import UserError
from retrieval.settings.recipes import load_recipe
from retrieval.settings.schema import (
    TrainSettings,
    about,
    choices_in,
    convert,
    default_of,
    flag_of,
    kind_of,
    pixels_of,
)
from retrieval.settings.yaml_text import parse_yaml
from retrieval.validation import check_integer, refused

Command = Callable[..., None]
SET_BY_THE_PROGRAM = ("scaled",)
SHORTER = {"image_size": ["--size"]}
DATASET_PANEL = "Options of single data sets"
WIDEST_CHOICES = 30  # characters; longer lists of choices squeeze the help texts


def with_settings(command: Command) -> Command:
    """Give a command one flag per setting and per option of a data set.

    Args:
        command: A function whose keyword ``changes`` takes the settings that were given, as a dict.

    Returns:
        A function with an explicit signature, for ``app.command()``.
    """
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "changes"]
    added, special = setting_parameters(), dataset_parameters()
    names, special_names = {p.name for p in added}, {p.name for p in special}

    def run(**values: Any) -> None:
        changes = {k: v for k, v in values.items() if k in names and v not in (None, [])}
        dataset = dataset_of(changes)
        if "loss_options" in changes:
            changes["loss_options"] = parse_loss_options(changes["loss_options"])
        if "dataset_options" in changes:
            changes["dataset_options"] = {
                name: parse_dataset_option(name, text, dataset)
                for name, text in split_pairs(changes["dataset_options"], "dataset_options").items()
            }
        given = {
            k: parse_dataset_option(k, v, dataset)
            for k, v in values.items()
            if k in special_names and v is not None
        }
        if given:
            changes["dataset_options"] = changes.get("dataset_options", {}) | given
        rest = {k: v for k, v in values.items() if k not in names | special_names}
        command(changes=changes, **rest)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature([*own, *added, *special])  # type: ignore[attr-defined]  # read by Typer
    run.__annotations__ = {p.name: p.annotation for p in [*own, *added, *special]}
    return run


def setting_parameters() -> list[inspect.Parameter]:
    """Return one keyword parameter per setting, annotated for Typer; None where it is not given."""
    parameters = []
    for name, field in TrainSettings.model_fields.items():
        if name in SET_BY_THE_PROGRAM:
            continue
        kind = kind_of(field.annotation)
        flag = flag_of(name)
        if kind is bool:
            flag += flag.replace("--", "/--no-", 1)
        option = typer.Option(
            flag,
            *SHORTER.get(name, ()),
            help=_with_default(field.description or "", default_of(name)),
            rich_help_panel=about(name).panel,
            show_default=False,
            metavar="PIXELS" if pixels_of(name) else _metavar(field.annotation, kind),
        )
        parameters.append(_parameter(name, list[str] if kind is dict else kind, option))
    return parameters


def dataset_parameters() -> list[inspect.Parameter]:
    """Return one keyword parameter per option of any data set, e.g. ``--train-csv``.

    The help text is what the loader's docstring says about the argument.
    """
    owners: dict[str, list[str]] = {}
    for name in DATASETS:
        for option in _loader_options(name):
            owners.setdefault(option, []).append(name)
    parameters = []
    for option, names in owners.items():
        # Data sets may declare options of one name differently; the value is then read as text here
        # and in the chosen data set's own type by `parse_dataset_option`.
        kinds = {option_types(name)[option] for name in names}
        kind = kinds.pop() if len(kinds) == 1 else str
        texts: dict[str, list[str]] = {}
        for name in names:
            texts.setdefault(_option_help(name, option), []).append(name)
        typer_option = typer.Option(
            flag_of(option),
            help=" ".join(f"[{', '.join(owning)}] {text}" for text, owning in texts.items()),
            rich_help_panel=DATASET_PANEL,
            show_default=False,
            metavar="true|false" if kind is bool else None,
        )
        typed = kind if kind in (int, float) else str
        parameters.append(_parameter(option, typed, typer_option))
    return parameters


def dataset_of(changes: dict[str, Any]) -> str:
    """Return the data set that is given, or the recipe's, or the default one."""
    if "dataset" in changes:
        return str(changes["dataset"])
    if "recipe" in changes:
        return load_recipe(changes["recipe"]).train_settings().dataset
    return str(default_of("dataset"))


def split_pairs(pairs: list[str], setting: str) -> dict[str, str]:
    """Turn ``["margin=0.5"]`` into ``{"margin": "0.5"}``.

    Args:
        pairs: Texts ``name=value``; a dash in a name stands for an underscore.
        setting: The setting they are given for, e.g. ``loss_options``.

    Returns:
        Name -> text of the value.

    Raises:
        UserError: A pair has no ``=``.
    """
    parts = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"{flag_of(setting)} {pair!r} is not name=value")
        parts[name.strip().replace("-", "_")] = value
    return parts


def parse_loss_options(pairs: list[str]) -> dict[str, Any]:
    """Turn ``["margin=0.5"]`` into ``{"margin": 0.5}``: values are read as YAML.

    Raises:
        UserError: A pair has no ``=``, or a value cannot be read.
    """
    parsed: dict[str, Any] = {}
    for name, text in split_pairs(pairs, "loss_options").items():
        try:
            parsed[name] = parse_yaml(text)
        except UserError as error:
            raise UserError(
                f"{flag_of('loss_options')} '{name}={text}': cannot read {text!r}: give a number, "
                "true, false, a word or a [list]"
            ) from error
    return parsed


def parse_dataset_option(name: str, given: object, dataset: str) -> object:
    """Return an option's value in the type that the data set's loader declares.

    Args:
        name: The option, e.g. ``image_root``.
        given: The text of the command line, or the number that Typer made of it.
        dataset: Name of the data set. An option that it does not have stays text.

    Returns:
        The value.

    Raises:
        UserError: The value is of another type.
    """
    kind = option_types(dataset).get(name, str)
    flag = flag_of(name)
    if kind is bool:
        flags = {"true": True, "false": False}
        if str(given).lower() not in flags:
            raise refused(flag, given, "give true or false")
        return flags[str(given).lower()]
    value = convert(given, kind)
    if kind in (int, float) and not isinstance(value, kind):
        raise refused(flag, given, f"give a {'whole ' * (kind is int)}number")
    return value


def parse_ks(text: str, name: str = "ks") -> tuple[int, ...]:
    """Read values of K such as ``3,5``, or other whole numbers.

    Args:
        text: The numbers, separated by commas.
        name: The option that they are given for, for the error. Defaults to ``ks``.

    Raises:
        UserError: One of them is not a whole number of at least 1.
    """
    return tuple(
        check_integer(name, convert(k.strip(), int), least=1) for k in text.split(",") if k.strip()
    )


def option_types(dataset: str) -> dict[str, type]:
    """Return the declared type of every option of a data set.

    Args:
        dataset: Name of the data set. Own data, under any other name, have the options of folders
            and of lists.
    """
    own = (folder.ENTRY.name, csv_files.ENTRY.name)
    types: dict[str, type] = {}
    for name in (dataset,) if dataset in DATASETS else own:
        hints = typing.get_type_hints(DATASETS[name].load)
        types |= {option: kind_of(hints[option]) for option in _loader_options(name)}
    return types


def argument_docs(function: Callable[..., object]) -> dict[str, str]:
    """Return what the ``Args:`` section of a function's docstring says about each argument."""
    section = re.search(r"^Args:\n((?: .*\n|\n)*)", inspect.getdoc(function) or "", re.MULTILINE)
    if section is None:
        return {}
    entries = re.findall(r"^ {4}(\w+): ((?:.*\n)(?: {5,}.*\n)*)", section[1] + "\n", re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _loader_options(dataset: str) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(DATASETS[dataset].load).parameters
    return {n: p for n, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def _option_help(dataset: str, option: str) -> str:
    options = _loader_options(dataset)
    text = argument_docs(DATASETS[dataset].load).get(option, "")
    for name in options:
        text = text.replace(f"``{name}``", flag_of(name))
    for value in (True, False):
        text = text.replace(f"Defaults to {value}.", f"Defaults to {str(value).lower()}.")
    return _with_default(text.replace("``", "`"), options[option].default)


def _with_default(text: str, default: object) -> str:
    """Add the default to a help text that does not state it."""
    if default in (None, {}) or "Defaults to" in text:
        return text
    shown = {True: "on", False: "off"}[default] if isinstance(default, bool) else default
    return f"{text} Defaults to {shown}."


def _metavar(annotation: object, kind: type) -> str | None:
    """Return what stands for a flag's value in the help; None leaves it to Typer: ``<str>``."""
    choices = "|".join(choices_in(annotation))
    if choices and len(choices) <= WIDEST_CHOICES:
        return choices
    return "NAME=VALUE" if kind is dict else None


def _parameter(name: str, kind: object, option: object) -> inspect.Parameter:
    annotation = Annotated[kind | None, option]  # type: ignore[valid-type]  # made at run time
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )
