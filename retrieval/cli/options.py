"""Make the flags of ``retrieval train`` from the settings and the data sets' options."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Annotated

import typer
import yaml

from retrieval.datasets import DATASETS, dataset_options
from retrieval.errors import UserError
from retrieval.settings.schema import TrainSettings, as_declared

Command = Callable[..., None]
SET_BY_THE_PROGRAM = ("scaled",)
SHORTER = {"image_size": ["--size"]}


def setting_parameters() -> list[inspect.Parameter]:
    """Return one keyword parameter per setting, annotated for Typer; unset means ``None``."""
    parameters = []
    for field in dataclasses.fields(TrainSettings):
        if field.name in SET_BY_THE_PROGRAM:
            continue
        kind, flag = _kind(field), "--" + field.name.replace("_", "-")
        if kind == list[str]:
            flag = flag.removesuffix("s")
        text = field.metadata["help"] + _default_text(field)
        names = (flag, f"{flag.replace('--', '--no-', 1)}") if kind is bool else (flag,)
        declared = ["/".join(names), *SHORTER.get(field.name, ())]
        option = typer.Option(
            *declared, help=text, rich_help_panel=field.metadata["panel"], show_default=False
        )
        parameters.append(
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[kind | None, option],
            )
        )
    return parameters


def dataset_parameters() -> list[inspect.Parameter]:
    """Return one keyword parameter per option of any data set, e.g. ``--train-csv``."""
    owners: dict[str, list[str]] = {}
    for name in DATASETS:
        for option in dataset_options(name):
            owners.setdefault(option, []).append(name)
    parameters = []
    for option, names in owners.items():
        flag = typer.Option(
            "--" + option.replace("_", "-"),
            help=f"Of {', '.join(names)}.",
            rich_help_panel="Options of single data sets",
            show_default=False,
        )
        parameters.append(
            inspect.Parameter(
                option,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[str | None, flag],
            )
        )
    return parameters


def with_settings(command: Command) -> Command:
    """Give a command every setting as a flag; it gets those that were set, as ``changes``.

    Args:
        command: A function whose keyword ``changes`` takes a dict of settings.

    Returns:
        A function with an explicit signature, for ``app.command()``.
    """
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "changes"]
    added, special = setting_parameters(), dataset_parameters()
    names, special_names = {p.name for p in added}, {p.name for p in special}

    def run(**values: object) -> None:
        changes = {k: v for k, v in values.items() if k in names and v not in (None, [])}
        for key in ("dataset_options", "loss_options"):
            if key in changes:
                changes[key] = parse_pairs(changes[key], key)
        given = {
            k: parse_dataset_option(k, v)
            for k, v in values.items()
            if k in special_names and v is not None
        }
        if given:
            changes["dataset_options"] = changes.get("dataset_options", {}) | given
        rest = {k: v for k, v in values.items() if k not in names | special_names}
        command(changes=changes, **rest)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature([*own, *added, *special])
    run.__annotations__ = {p.name: p.annotation for p in [*own, *added, *special]}
    return run


def parse_pairs(pairs: list[str], what: str) -> dict:
    """Turn ``["margin=0.5"]`` into ``{"margin": 0.5}``.

    Args:
        pairs: Texts ``name=value``.
        what: ``loss_options``, whose values are read as YAML, or ``dataset_options``, whose
            values have the type that the loader declares.

    Returns:
        Name -> value.

    Raises:
        UserError: A part has no ``=``, or a value cannot be read.
    """
    parsed = {}
    flag = "--" + what.removesuffix("s").replace("_", "-")
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"{flag} {pair!r} is not name=value")
        name = key.strip().replace("-", "_")
        if what == "dataset_options":
            parsed[name] = parse_dataset_option(name, value)
            continue
        try:
            parsed[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(
                f"{flag} {pair!r}: cannot read {value!r}: give a number, true, false, a word or a "
                "[list]"
            ) from error
    return parsed


def parse_dataset_option(name: str, text: str) -> object:
    """Read an option's value in the type its loader declares; an unknown option stays text.

    Args:
        name: The option, e.g. ``image_root``.
        text: What was typed.

    Returns:
        The value.

    Raises:
        UserError: It is of another type.
    """
    declared = option_types().get(name, str)
    value = {"true": True, "false": False}.get(text.lower(), text) if declared is bool else text
    return as_declared("--" + name.replace("_", "-"), value, declared)


def option_types() -> dict[str, object]:
    """Return the declared type of every option of any data set; equal names mean the same."""
    return {
        name: parameter.annotation
        for entry in DATASETS.values()
        for name, parameter in inspect.signature(entry.load).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _kind(field: dataclasses.Field) -> type:
    text = str(field.type).replace(" | None", "")
    kind = field.type if isinstance(field.type, type) else None
    if kind is None:
        kind = next(a for a in field.type.__args__ if a is not type(None))
    return list[str] if text.endswith("dict'>") or kind is dict else kind


def _default_text(field: dataclasses.Field) -> str:
    if field.default in (None, dataclasses.MISSING):
        return ""
    value = (
        {True: "on", False: "off"}.get(field.default)
        if isinstance(field.default, bool)
        else (field.default)
    )
    return f" [default: {value}]"
