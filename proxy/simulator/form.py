"""Forms as a provider takes them: small fields kept, files counted while they come and not kept."""

import hashlib
import re
from typing import Final

from msgspec import Struct, field

from proxy.domain.errors import InvalidRequest

KEPT_BYTES: Final = 1024 * 1024
"""Of one part: a longer field is refused, of a longer file only its size is known."""

_BOUNDARY = re.compile(r'multipart/form-data;.*?boundary="?([^";]+)"?', re.IGNORECASE)
_NAME = re.compile(rb'(?:^|;)\s*name="([^"]*)"', re.IGNORECASE)
_FILE_NAME = re.compile(rb'(?:^|;)\s*filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)


class FormFile(Struct):
    """One file of a form."""

    name: str
    """Of the field."""
    file_name: str
    size_bytes: int = 0
    content: bytes = b""
    """What it holds; b"" where that is more than is kept."""
    sha256: str = ""


class Form(Struct):
    """What a form holds."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: list[FormFile] = field(default_factory=list)

    def find(self, name: str) -> str | None:
        """Return the last value of a field, as most servers do."""
        values = self.fields.get(name)
        return values[-1] if values else None


def find_boundary(content_type: str) -> str | None:
    """Return the boundary that a content type tells, None if it is no form's."""
    found = _BOUNDARY.match(content_type.strip())
    return None if found is None else found[1]


class FormCounter:
    """Takes a form piece by piece; what it has of it stands in `form` once `finish` was called."""

    def __init__(self, boundary: str) -> None:
        self.form = Form()
        self._delimiter = b"\r\n--" + boundary.encode("latin-1")
        # The first boundary has no line before it.
        self._held = b"\r\n"
        self._is_in_head = False
        self._is_over = False
        self._name = ""
        self._file: FormFile | None = None
        self._digest = hashlib.sha256()
        self._value = bytearray()
        self._has_begun = False

    def feed(self, data: bytes) -> None:
        """
        Take the next bytes.

        Raises:
            InvalidRequest: a part has no name, or a field is too long.
        """
        self._held += data
        while not self._is_over and self._step():
            continue
        if self._is_over:
            self._held = b""

    def finish(self) -> Form:
        """Return the form; InvalidRequest if it was cut off."""
        if not self._is_over:
            raise InvalidRequest("The form ends too early.")
        return self.form

    def _step(self) -> bool:
        if self._is_in_head:
            end = self._held.find(b"\r\n\r\n")
            if end < 0:
                return False
            self._begin_part(self._held[:end])
            # A value may be empty: the line that ends it is then that of the head.
            self._held = self._held[end + 4 :]
            self._is_in_head = False
            return True
        place = self._held.find(self._delimiter)
        if place < 0:
            certain = max(len(self._held) - len(self._delimiter), 0)
            self._take(self._held[:certain])
            self._held = self._held[certain:]
            return False
        behind = self._held[place + len(self._delimiter) :]
        if len(behind) < 2:
            return False
        self._take(self._held[:place])
        self._end_part()
        self._held = behind[2:]
        self._is_over = behind.startswith(b"--")
        self._is_in_head = True
        return True

    def _begin_part(self, head: bytes) -> None:
        line = next(
            (
                each
                for each in head.split(b"\r\n")
                if each.lower().startswith(b"content-disposition:")
            ),
            b"",
        )
        name = _NAME.search(line)
        if name is None:
            raise InvalidRequest("A part of the form has no name.")
        self._has_begun = True
        self._name = name[1].decode("utf-8", "replace")
        file_name = _FILE_NAME.search(line)
        self._file = None
        if file_name is not None:
            self._file = FormFile(self._name, file_name[1].decode("utf-8", "replace"))
        self._digest = hashlib.sha256()
        self._value = bytearray()

    def _take(self, data: bytes) -> None:
        if not self._has_begun or not data:
            return
        if self._file is not None:
            self._file.size_bytes += len(data)
            self._digest.update(data)
        if len(self._value) <= KEPT_BYTES:
            self._value += data
        if self._file is None and len(self._value) > KEPT_BYTES:
            raise InvalidRequest("A field of the form is too long.", param=self._name)

    def _end_part(self) -> None:
        if not self._has_begun:
            return
        if self._file is None:
            values = self.form.fields.setdefault(self._name, [])
            values.append(self._value.decode("utf-8", "replace"))
            return
        if self._file.size_bytes <= KEPT_BYTES:
            self._file.content = bytes(self._value)
        self._file.sha256 = self._digest.hexdigest()
        self.form.files.append(self._file)
