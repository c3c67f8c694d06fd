"""Parses request bodies strictly: what the provider does not know is a contract fault."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tests.standins.errors import ContractFault


class WireModel(BaseModel):
    """A JSON object on the wire: no coercion, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


WireModelT = TypeVar("WireModelT", bound=BaseModel)


def parse_json(model: type[WireModelT], body: bytes) -> WireModelT:
    """Read a JSON body.

    Args:
        model: what the body must be.
        body: the bytes received.

    Returns:
        The body, parsed.

    Raises:
        ContractFault: it is no JSON, or has missing, unknown or wrong fields.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise ContractFault(problems_of(error)) from None


def problems_of(error: ValidationError) -> list[str]:
    """Return a sentence for each problem, with the field's path and without its value."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    return [
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
        for problem in problems
    ]
