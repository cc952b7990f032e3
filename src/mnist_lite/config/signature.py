"""Checks keyword arguments that come from YAML against the real signature of what they are meant for.

Layers, augmentations, optimisers and schedulers all take their arguments this way, so that a misspelt name, a wrong type
or a missing value is the same one line everywhere.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mnist_lite.errors import UserError, did_you_mean


def bind(
    function: Callable[..., Any], given: Mapping[str, Any], where: str, supplied: Collection[str] = ()
) -> dict[str, Any]:
    """The keyword arguments for ``function``, checked.

    ``given`` are the values from YAML, ``where`` is the key under which they stand, ``supplied`` names the parameters
    that the caller fills in itself. Lists become tuples where the signature asks for a tuple.

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
        hint = hints.get(name, _hint_from_default(parameters[name].default))
        try:
            result[name] = _fit(value, hint)
        except TypeError:
            raise UserError(f"{where}.{name}: {value!r} is not allowed; expected {_describe(hint)}") from None
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in result:
            raise UserError(f"{where}.{name}: missing; expected {_describe(hints.get(name, Any))}")
    return result


def convert_types(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` with every value in the type that the signature asks for. A value that does not fit stays as it is."""
    parameters, hints = inspect.signature(function).parameters, _hints(function)
    result = dict(given)
    for name in given.keys() & parameters.keys():
        with contextlib.suppress(TypeError):
            result[name] = _fit(given[name], hints.get(name, _hint_from_default(parameters[name].default)))
    return result


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The default values of the parameters of ``function`` that have one."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function.__init__ if inspect.isclass(function) else function
    try:
        return get_type_hints(target)
    except (NameError, TypeError):  # a torch class whose hints name things that are imported for type checkers only
        return {}


def _hint_from_default(default: Any) -> Any:
    if isinstance(default, bool):
        return bool
    return float if isinstance(default, (int, float)) else Any


def _fit(value: Any, hint: Any) -> Any:
    """The value as the hint wants it, or ``TypeError``. Hints that YAML cannot say (tensors, callables) fit nothing."""
    if hint is Any:
        return value
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for option in args:
            try:
                return _fit(value, option)
            except TypeError:
                continue
        raise TypeError
    if origin is Literal:
        if value in args:
            return value
        raise TypeError
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = (args[0],) * len(value) if len(args) == 2 and args[1] is Ellipsis else args
        if len(kinds) != len(value):
            raise TypeError
        return tuple(_fit(item, kind) for item, kind in zip(value, kinds, strict=True))
    if origin is list and isinstance(value, (list, tuple)):
        return [_fit(item, args[0]) for item in value]
    return _fit_plain(value, hint)


def _fit_plain(value: Any, hint: Any) -> Any:
    if hint is type(None) and value is None:
        return None
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if hint in (bool, int, str) and type(value) is hint:
        return value
    raise TypeError


def _describe(hint: Any) -> str:
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
    names = {
        float: "a finite number",
        int: "a whole number",
        bool: "true or false",
        str: "a word",
        type(None): "null",
        Any: "a value",
    }
    return names.get(hint, getattr(hint, "__name__", str(hint)))
