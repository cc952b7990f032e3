"""Checks keyword arguments from YAML against the real signature of a function or class.

Layers, augmentations, optimizers and schedulers all take their arguments this way. So a misspelt name, a wrong type and a missing
value give the same message everywhere.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mnist_lite.errors import UserError, did_you_mean

TYPE_NAMES = {
    float: "a finite number",
    int: "a whole number",
    bool: "true or false",
    str: "a word",
    type(None): "null",
    Any: "a value",
}


def bind(
    function: Callable[..., Any], given: Mapping[str, Any], where: str, supplied: Collection[str] = ()
) -> dict[str, Any]:
    """The keyword arguments for ``function``, checked and converted to the types of its signature.

    Args:
        function: A function or a class.
        given: The values from YAML.
        where: Their key in the config, for the message of an error.
        supplied: The parameters that the caller passes itself. ``given`` must not have them.

    Raises:
        UserError: an unknown name, a missing value, or a value of the wrong type.
    """
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in supplied and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    hints = _hints(function)
    result = {}
    for name, value in given.items():
        if name not in parameters:
            raise UserError(f"{where}.{name}: unknown key; {did_you_mean(name, parameters)}")
        try:
            result[name] = _convert(value, hints[name])
        except TypeError:
            raise UserError(f"{where}.{name}: {value!r} is not allowed; expected {_describe(hints[name])}") from None
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in result:
            raise UserError(f"{where}.{name}: missing; expected {_describe(hints[name])}")
    return result


def convert_types(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` with each value converted to the type of the signature. A value that does not fit stays as it is."""
    hints = _hints(function)
    result = dict(given)
    for name in given.keys() & hints.keys():
        with contextlib.suppress(TypeError):
            result[name] = _convert(given[name], hints[name])
    return result


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The default values of the parameters of ``function`` that have one."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The type of each parameter of ``function``. Without a hint, the type of the default value; else ``Any``."""
    try:
        hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    except (NameError, TypeError):  # some hints of torch name modules that only type checkers import
        hints = {}
    parameters = inspect.signature(function).parameters
    return {name: hints.get(name, _type_of(parameter.default)) for name, parameter in parameters.items()}


def _type_of(default: Any) -> Any:
    if isinstance(default, bool):
        return bool
    return float if isinstance(default, (int, float)) else Any


def _convert(value: Any, hint: Any) -> Any:
    """``value`` in the type ``hint``. Raises ``TypeError`` if it does not fit, or YAML has no values of that type."""
    if hint is Any:
        return value
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for option in args:
            with contextlib.suppress(TypeError):
                return _convert(value, option)
    elif origin is Literal and value in args:
        return value
    elif origin is list and isinstance(value, (list, tuple)):
        return [_convert(item, args[0]) for item in value]
    elif origin is tuple and isinstance(value, (list, tuple)):
        kinds = args[:1] * len(value) if args[-1] is Ellipsis else args
        if len(kinds) == len(value):
            return tuple(map(_convert, value, kinds))
    return _convert_scalar(value, hint)


def _convert_scalar(value: Any, hint: Any) -> Any:
    if hint is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if hint in (bool, int, str, type(None)) and type(value) is hint:
        return value
    raise TypeError


def _describe(hint: Any) -> str:
    """``hint`` for a user: "a finite number or null"."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        kinds = [_describe(arg) for arg in args]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind != "Tensor"))
    if origin is Literal:
        return "one of " + ", ".join(str(arg) for arg in args)
    if origin is tuple:
        return "[" + ", ".join("..." if arg is Ellipsis else _describe(arg) for arg in args) + "]"
    if origin is list:
        return f"a list of {_describe(args[0])}"
    return TYPE_NAMES.get(hint, getattr(hint, "__name__", str(hint)))
