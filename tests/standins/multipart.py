"""Reads ``multipart/form-data`` (RFC 7578) out of a whole body.

aiohttp's own reader warns of its own deprecated calls, depending on how the body happens to
arrive in pieces; where warnings are errors that fails a request now and then.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser

from aiohttp import web

from tests.standins.errors import ContractFault


@dataclass(frozen=True)
class FormFile:
    """A file of a form: the name its sender gave it, and its bytes."""

    filename: str
    content: bytes


async def read_form(request: web.Request) -> dict[str, str | FormFile]:
    """Return the form's fields by name.

    Raises:
        ContractFault: the body is no such form, or gives a field twice.
    """
    headers = Message()
    headers["Content-Type"] = request.headers.get("Content-Type", "")
    boundary = headers.get_boundary()
    if headers.get_content_type() != "multipart/form-data" or not boundary:
        raise ContractFault(f"the body must be multipart/form-data, not {request.content_type}")
    delimiter = b"\r\n--" + boundary.encode()
    before, *parts, after = (b"\r\n" + await request.read()).split(delimiter)
    if before or not after.startswith(b"--"):
        raise ContractFault("the form does not begin or end with its boundary")
    form: dict[str, str | FormFile] = {}
    for part in parts:
        name, value = _read_part(part)
        if name in form:
            raise ContractFault(f"{name}: is given twice")
        form[name] = value
    return form


def _read_part(part: bytes) -> tuple[str, str | FormFile]:
    head, separator, content = part.partition(b"\r\n\r\n")
    headers = BytesHeaderParser().parsebytes(head.lstrip(b"\r\n"))
    name = headers.get_param("name", header="Content-Disposition")
    if not separator or not isinstance(name, str):
        raise ContractFault("a part of the form has no name")
    filename = headers.get_filename()
    if filename is not None:
        return name, FormFile(filename, content)
    return name, content.decode()
