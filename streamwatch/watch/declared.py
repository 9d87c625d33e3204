"""Tables of the monitors file as frozen classes; what is wrong in one is an error that names file and key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from streamwatch.errors import ConfigError

Declared = TypeVar("Declared", bound=Struct)


def convert(
    values: Mapping[str, Any],
    kind: type[Declared],
    *,
    rule: Mapping[str, Any],
    key: str,
    place: str,
    expected: Mapping[str, str],
) -> Declared:
    """Return a table as its class.

    Args:
        values: The table, with what is written in our own way (durations, times of day) already read.
        kind: The class.
        rule: The table as it stands in the file: what an error shows as found.
        key: Where it stands, such as `monitor[2]`.
        place: The file.
        expected: By field, what an error says was expected; else it is what the class says.

    Raises:
        ConfigError: A key is unknown or missing, or a value is wrong.
    """
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `")
        where = where.removeprefix("key` in `")
        name = where.rstrip("`").removeprefix("$").lstrip(".").partition("[")[0].partition(".")[0]
        if "unknown field" in reason:
            known = ", ".join(item.encode_name for item in msgspec.structs.fields(kind))
            unknown = f"{key}.{reason.split('`')[1]}"
            raise ConfigError(place, unknown, "an unknown key", f"one of: {known}") from error
        if "missing required field" in reason:
            raise ConfigError(place, f"{key}.{reason.split('`')[1]}", "nothing", "a value") from error
        wanted = expected.get(name, reason.removeprefix("Expected ").replace("`", ""))
        raise ConfigError(place, f"{key}.{name}", rule.get(name), wanted) from error
