"""The subset of JSON Schema that OpenAI accepts for tools with ``strict: true``.

Rules: OpenAI's guide "Structured model outputs", section "Supported schemas"; the ban on
``default`` is the provider's own answer ("'default' is not permitted").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_REFUSED_KEYWORDS = frozenset(
    {
        "allOf",
        "default",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "not",
        "oneOf",
        "patternProperties",
        "then",
    }
)
_KIND_KEYWORDS = ("type", "anyOf", "$ref", "enum", "const")


def strict_schema_problems(schema: Mapping[str, Any]) -> list[str]:
    """Say what makes a tool's parameters unacceptable.

    Args:
        schema: the tool's ``parameters``.

    Returns:
        A sentence for each problem; empty when there is none.
    """
    problems = list(_node_problems(schema, "parameters", schema))
    if schema.get("type") != "object":
        problems.append("parameters: the root must be of type object")
    return problems


def _node_problems(node: Any, path: str, root: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(node, Mapping):
        yield f"{path}: must be a schema object"
        return
    for keyword in sorted(_REFUSED_KEYWORDS & node.keys()):
        yield f"{path}: '{keyword}' is not permitted"
    if not any(keyword in node for keyword in _KIND_KEYWORDS):
        yield f"{path}: has none of {', '.join(_KIND_KEYWORDS)}"
    if "object" in _types_of(node):
        yield from _object_problems(node, path)
    if "array" in _types_of(node) and "items" not in node:
        yield f"{path}: an array must have items"
    if "$ref" in node and not _resolves(node["$ref"], root):
        yield f"{path}: $ref points nowhere"
    for name, child in _children(node):
        yield from _node_problems(child, f"{path}.{name}", root)


def _object_problems(node: Mapping[str, Any], path: str) -> Iterator[str]:
    if node.get("additionalProperties") is not False:
        yield f"{path}: additionalProperties must be false"
    properties = set(node.get("properties", {}))
    required = set(node.get("required", []))
    if properties != required:
        yield f"{path}: required must list exactly the properties {sorted(properties)}"


def _types_of(node: Mapping[str, Any]) -> list[Any]:
    declared = node.get("type")
    return declared if isinstance(declared, list) else [declared]


def _resolves(reference: Any, root: Mapping[str, Any]) -> bool:
    if reference == "#":
        return True
    name = str(reference).removeprefix("#/$defs/")
    return name != reference and name in root.get("$defs", {})


def _children(node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for group in ("properties", "$defs"):
        for name, child in dict(node.get(group, {})).items():
            yield (name if group == "properties" else f"$defs.{name}"), child
    for index, child in enumerate(node.get("anyOf", [])):
        yield f"anyOf[{index}]", child
    if "items" in node:
        yield "items", node["items"]
