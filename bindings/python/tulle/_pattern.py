# SPDX-License-Identifier: MIT
"""Patterns: which keys each query attends to."""
from __future__ import annotations

import os
from typing import Any, Mapping, Optional, Union

import numpy as np
import numpy.typing as npt

from ._errors import InvalidArgument, InvalidType, check
from ._handles import Handle
from ._native import ffi, lib


class Pattern:
    """What a spec says: terms joined by '+', patterns for the heads in turn joined by ';'. Immutable, hashable.

    A FILE in the spec is first looked up in `arrays`, and is else a .npy file: ``Pattern("blocks:64,mask", {"mask": m})``.
    """

    def __init__(self, spec: str, arrays: Optional[Mapping[str, npt.ArrayLike]] = None) -> None:
        if not isinstance(spec, str):
            raise InvalidType(f"pattern is a {type(spec).__name__}; a spec such as 'window:255,0' or a tulle.Pattern is wanted")
        if "\0" in spec:
            raise InvalidArgument("pattern has a NUL in it")
        loads = _Loads(arrays or {})
        user = ffi.new_handle(loads)
        loader = ffi.new("tulle_array_loader *", {"load": lib.tulle_python_load, "release": lib.tulle_python_release, "user": user})
        out, count, error = ffi.new("tulle_pattern ***"), ffi.new("uint32_t *"), ffi.new("tulle_error *")
        try:
            check(lib.tulle_pattern_parse(spec.encode("utf-8"), loader, out, count, error), error)
        except Exception as raised:
            raise raised from loads.failure
        self._count = patterns = int(count[0])
        self._handle = Handle("pattern", out[0], lambda pointer: lib.tulle_patterns_free(pointer, patterns))
        self._handle.owned_by(self)
        self._text = ";".join(_printed(out[0][i]) for i in range(self._count))
        # two patterns that print alike may have loaded other numbers under one name
        self._loaded = tuple((name, loads.values[name].shape, loads.values[name].tobytes()) for name in sorted(loads.values))

    def __len__(self) -> int:
        """How many patterns there are for the heads to take in turn."""
        return self._count

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"tulle.Pattern({self._text!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pattern):
            return NotImplemented
        return self._text == other._text and self._loaded == other._loaded

    def __hash__(self) -> int:
        return hash((self._text, self._loaded))

    def selects(self, p: int, j: int, *, head: int = 0, heads: int = 1, kv_heads: Optional[int] = None, kv_len: int,
                causal: bool = False) -> bool:
        """Does the query at position p attend to key j? A slow, plain answer, for pictures and debugging."""
        site = ffi.new("tulle_pattern_site *", {"head": head, "heads": heads, "kv_heads": kv_heads or 0, "kv_len": kv_len,
                                                "causal": causal})
        with self._handle.use() as patterns:
            return bool(lib.tulle_pattern_selects(patterns[head % self._count], site, p, j))

    def mask(self, q_len: int, kv_len: int, *, causal: bool = False, head: int = 0, heads: int = 1,
             kv_heads: Optional[int] = None, q_offset: Optional[int] = None) -> npt.NDArray[np.bool_]:
        """[q_len, kv_len]: all answers of `selects`, with the last query at the last key where q_offset is not given."""
        offset = kv_len - q_len if q_offset is None else q_offset
        site = ffi.new("tulle_pattern_site *", {"head": head, "heads": heads, "kv_heads": kv_heads or 0, "kv_len": kv_len,
                                                "causal": causal})
        selected = np.empty((q_len, kv_len), dtype=np.bool_)
        with self._handle.use() as patterns:
            for i in range(q_len):
                for j in range(kv_len):
                    selected[i, j] = lib.tulle_pattern_selects(patterns[head % self._count], site, i + offset, j)
        return selected


PatternLike = Union[Pattern, str]


def as_pattern(pattern: Optional[PatternLike]) -> Optional[Pattern]:
    return pattern if pattern is None or isinstance(pattern, Pattern) else Pattern(pattern)


def _printed(pattern: Any) -> str:
    size = lib.tulle_pattern_print(pattern, ffi.NULL, 0) + 1
    text = ffi.new("char[]", size)
    lib.tulle_pattern_print(pattern, text, size)
    return str(ffi.string(text).decode("utf-8"))


class _Loads:
    """The arrays of one spec: where they come from, and what was loaded."""

    def __init__(self, given: Mapping[str, npt.ArrayLike]) -> None:
        self.given = given
        self.values: dict[str, npt.NDArray[np.int64]] = {}
        self.failure: Optional[BaseException] = None

    def load(self, name: str, array: Any) -> None:
        if name in self.given:
            found = np.asarray(self.given[name])
        elif os.path.exists(name):
            found = np.load(name, allow_pickle=False)
        else:
            raise FileNotFoundError(f"'{name}' is neither in `arrays` nor a file")
        if not isinstance(found, np.ndarray) or not 1 <= found.ndim <= 3:
            raise ValueError(f"'{name}' has shape {getattr(found, 'shape', '?')}; an array of one to three axes is wanted")
        integer = found.dtype.kind in "iub"
        if found.dtype.kind == "u" and found.size and int(found.max()) >= 2**63:
            raise ValueError(f"'{name}' holds a number that is not below 2^63")
        # what is not of whole numbers the term refuses, and never looks at
        values = np.ascontiguousarray(found, dtype=np.int64) if integer else np.zeros(found.shape, dtype=np.int64)
        # a term may name one FILE twice: what C reads of it stays as it was handed over first
        values = self.values.setdefault(name, values)
        array.values = ffi.cast("int64_t *", values.__array_interface__["data"][0])
        array.dimensions = found.ndim
        for axis, length in enumerate(found.shape):
            array.shape[axis] = length
        array.is_integer = integer
        array.is_bool = found.dtype.kind == "b"
        array.is_index = found.dtype in (np.dtype(np.int32), np.dtype(np.int64))
        array.type = _type_names.setdefault(found.dtype.name, ffi.new("char[]", found.dtype.name.encode()))


_type_names: dict[str, Any] = {}   # must outlive the messages


@ffi.def_extern()
def tulle_python_load(user: Any, name: Any, array: Any, message: Any, message_size: int) -> bool:
    loads = ffi.from_handle(user)
    try:
        loads.load(ffi.string(name).decode("utf-8"), array)
    except Exception as failure:   # through C no exception passes: `Pattern` raises it as the cause
        loads.failure = failure
        text = str(failure).encode("utf-8")[: message_size - 1]
        ffi.memmove(message, text + b"\0", len(text) + 1)
        return False
    return True


@ffi.def_extern()
def tulle_python_release(user: Any, array: Any) -> None:
    """The values are kept by _Loads, as long as the spec is read."""
