"""Truth values in settings: YAML 1.1 reads on, yes and true as True, off, no and false as False.

A field that is a switch takes them (`train.packing=on`). pydantic would let any number take them too, as 1 and 0:
`save_steps: on` would save at every step.
"""

from __future__ import annotations

from typing import Any, get_args

from tacos.types import Record


def switches(cls: type[Record], data: Any) -> Any:
    """What a settings record is given, before pydantic reads it: off is unset where a field may be unset.

    Raises: ValueError naming a field that is a number or a name and was given a truth value.
    """
    if not isinstance(data, dict):
        return data
    read = dict(data)
    for name, field in cls.model_fields.items():
        value, kinds = data.get(name), get_args(field.annotation) or (field.annotation,)
        if not isinstance(value, bool) or bool in kinds:
            continue
        if value or type(None) not in kinds:
            raise ValueError(
                f"{name} is no switch, as YAML reads on, yes and true, or off, no and false: give a number, or a name "
                "in quotes"
            )
        read[name] = None
    return read
