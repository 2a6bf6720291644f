"""What every asset of the pipeline has in common: owners, kinds, storage, and how failures are told apart.

A `LexError` is permanent: the run fails at once with its one line. A lost connection is retryable. Anything else is a
defect and keeps its traceback.
"""

import dataclasses
import functools
import typing
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import dagster as dg
from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from lex_assets.partitions import domain_partitions
from lex_assets.resources.gpu import GPU_POOL
from lex_assets.schemas import LexError
from lex_assets.settings import first_problem

OWNERS = ["team:search"]
RETRIES = 3
RETRY_WAIT_S = 30.0

WHEN_INPUTS_CHANGE = dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed()
"""Rebuild when an input has changed, unless one is missing, is being made, or failed a blocking check. Acted on only when
the sensor `automation` is switched on."""


def stage_asset(
    *,
    group: str,
    kinds: set[str],
    code_version: str,
    partitioned: bool = True,
    gpu: bool = False,
    automatic: bool = True,
    **options: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dg.asset` with the pipeline's conventions; `options` go to `dg.asset` unchanged. automatic: whether
    automation rebuilds it when an input has changed."""

    def declare(compute: Callable[..., Any]) -> dg.AssetsDefinition:
        return dg.asset(
            group_name=group,
            kinds=kinds | {"python"},
            owners=OWNERS,
            code_version=code_version,
            partitions_def=domain_partitions if partitioned else None,
            io_manager_key="tables",
            pool=GPU_POOL if gpu else None,
            automation_condition=WHEN_INPUTS_CHANGE if automatic else None,
            **options,
        )(reporting_failures(compute))

    return declare


def reporting_failures(compute: Callable[..., Any]) -> Callable[..., Any]:
    """`compute` with permanent failures reported in one line and connection failures retried."""

    @functools.wraps(compute)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return compute(*args, **kwargs)
        except LexError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        except (ConnectionError, TimeoutError) as error:
            raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_WAIT_S) from error

    return wrapped


class StageConfig(dg.Config):
    """Run config whose values are refused in one line, where pydantic writes several and a link."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            name = type(self).__name__
            raise dg.Failure(f"{name}: {first_problem(error)}; correct the run config", allow_retries=False) from error


def run_config(settings: type, *more: type) -> type[dg.Config]:
    """The Dagster run config of core settings classes: the same fields, defaults and descriptions, written once.

    Each is a pydantic model or a dataclass; the first gives its name. Literals become strings and tuples lists; the core class checks their
    values when `core_settings` builds it.
    """
    fields: dict[str, Any] = {
        name: (_config_type(kind), default) for one in (settings, *more) for name, kind, default in _fields(one)
    }
    return create_model(f"{settings.__name__}Run", __base__=StageConfig, __doc__=settings.__doc__, **fields)


def core_settings(config: dg.Config, settings: type) -> Any:
    """The core settings object that `config` describes. Raises LexError naming the field that is out of range."""
    names = {name for name, _, _ in _fields(settings)}
    values = {name: value for name, value in config.model_dump().items() if name in names}
    try:
        return settings(**values)
    except ValueError as error:
        raise LexError(
            f"configuration of {settings.__name__}: {first_problem(error)}; correct the run config"
        ) from error


def _fields(settings: Any) -> list[tuple[str, Any, Any]]:
    """(name, type, pydantic field) of every setting."""
    hints = typing.get_type_hints(settings)
    if issubclass(settings, BaseModel):
        return [(name, hints[name], _listed(field)) for name, field in settings.model_fields.items()]
    return [(field.name, hints[field.name], _dataclass_default(field)) for field in dataclasses.fields(settings)]


def _listed(field: FieldInfo) -> Any:
    """`field` with a tuple as default turned into the list that Dagster's config knows."""
    if isinstance(field.default, tuple):
        return Field(default=list(field.default), description=field.description)
    return field


def _dataclass_default(field: dataclasses.Field) -> Any:
    description = field.metadata.get("description", "")
    if field.default_factory is not dataclasses.MISSING:
        return Field(default_factory=field.default_factory, description=description)
    return _listed(FieldInfo(default=field.default, description=description))


def _config_type(kind: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return type(arguments[0])
    if origin is tuple:
        return list[arguments[0]]
    if origin is frozenset or origin is set:
        return list[arguments[0]]
    return kind
