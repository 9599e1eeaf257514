# SPDX-License-Identifier: MIT
"""Arrays of others, looked at in place: NumPy's, what has __array_interface__, and DLPack on the CPU."""
from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ._errors import InvalidArgument, InvalidType
from ._native import ffi, lib

DTYPES = {"float32": lib.TULLE_F32, "float16": lib.TULLE_F16, "bfloat16": lib.TULLE_BF16}
ITEM_SIZES = {"float32": 4, "float16": 2, "bfloat16": 2}
Layout = Literal["bhsd", "bshd"]
LAYOUTS = ("bhsd", "bshd")
AXES = ("batch", "heads", "length")
LENGTH_MOST = 2**31 - 1
# of DLPack: (code, bits), and the devices whose memory is the host's
_DLPACK_DTYPES = {(2, 32): "float32", (2, 16): "float16", (4, 16): "bfloat16"}
_DLPACK_HOST = (1, 3, 11)


@dataclass(frozen=True)
class View:
    """[batch, heads, length, dim] of elements in memory that `owner` keeps alive."""

    name: str
    address: int
    shape: tuple[int, int, int, int]
    strides: tuple[int, int, int]   # in elements, of batch, head and row; dim is contiguous
    dtype: str
    writable: bool
    owner: Any

    @property
    def all_one_row(self) -> bool:
        """Broadcast along all of batch, heads and length: to the C library all-zero strides alone mean the plan's."""
        return self.strides == (0, 0, 0)

    @property
    def broadcast(self) -> tuple[str, ...]:
        """The axes along which one entry stands for all."""
        return tuple(axis for axis, stride in zip(AXES, self.strides) if stride == 0)

    def c_strides(self) -> Any:
        return {"batch": self.strides[0], "head": self.strides[1], "row": self.strides[2]}


def view(name: str, array: Any, layout: Layout) -> View:
    """`array` as the C library takes it, without a copy, or an exception that says what cannot be expressed."""
    address, dtype, shape, strides, writable, owner = _memory(name, array)
    if dtype not in DTYPES:
        raise InvalidType(f"{name} is of {dtype}; it may be of {', '.join(DTYPES)}")
    size = ITEM_SIZES[dtype]
    if not 2 <= len(shape) <= 4:
        raise InvalidArgument(f"{name} has shape {shape}; [length, dim], [heads, length, dim] or [batch, heads, length, dim] is wanted"
                              " (with layout='bshd' length stands before heads)")
    if 0 in shape or max(shape) > LENGTH_MOST:
        raise InvalidArgument(f"{name} has shape {shape}; each axis may be 1 … {LENGTH_MOST}")
    if strides[-1] != size and shape[-1] > 1:
        raise InvalidArgument(f"{name} has strides {strides} in bytes; the last must be {size}: the numbers of a row lie side by side")
    if any(stride % size for stride, length in zip(strides, shape) if length > 1):
        raise InvalidArgument(f"{name} has strides {strides} in bytes; each must be a multiple of the element's {size}")

    # an axis of one may have any stride; one that is not 0 says that the others are meant as they are
    axes = [(length, stride // size if length > 1 else 1) for length, stride in zip(shape[:-1], strides[:-1])]
    if layout == "bshd" and len(axes) > 1:
        axes[-2], axes[-1] = axes[-1], axes[-2]
    axes = [(1, 1)] * (3 - len(axes)) + axes
    (batch, batch_stride), (heads, head_stride), (length, row_stride) = axes
    return View(name, address, (batch, heads, length, shape[-1]), (batch_stride, head_stride, row_stride), dtype, writable, owner)


def output_view(array: Any, layout: Layout, shape: tuple[int, int, int, int], dtype: str) -> View:
    """The caller's array for O: of this shape and dtype, each element its own."""
    out = view("out", array, layout)
    if out.shape != shape:
        raise InvalidArgument(f"out is [batch, heads, length, dim] = {list(out.shape)}; O is {list(shape)}")
    if out.dtype != dtype:
        raise InvalidType(f"out is of {out.dtype}; O is of {dtype}")
    if not out.writable:
        raise InvalidArgument("out is read-only")
    reach = shape[3]
    for stride, length in sorted((abs(stride), length) for stride, length in zip(out.strides, shape) if length > 1):
        if stride < reach:
            raise InvalidArgument(f"out has strides {list(out.strides)} in elements, of batch, heads and length: its rows overlap")
        reach += stride * (length - 1)
    return out


def empty_like(array: Any, shape: tuple[int, int, int, int], dtype: str, layout: Layout) -> Any:
    """A new array for O, of the rank and kind of `array`: a torch.Tensor for one, else NumPy's."""
    batch, heads, length, dim = shape
    axes = (batch, length, heads, dim) if layout == "bshd" else shape
    if len(array.shape) == 2:
        axes = (1, 1, length, dim)
    axes_of_rank = axes[4 - len(array.shape):]
    if _is_torch(array):
        return array.new_empty(axes_of_rank, dtype=getattr(sys.modules["torch"], dtype))
    return np.empty(axes_of_rank, dtype=_numpy_dtype(dtype))


class Lse:
    """A new array for LSE: float32 of [batch, heads, length], or [heads, length] or [length] as `like` has no more axes."""

    def __init__(self, like: Any, shape: tuple[int, int, int]) -> None:
        numbers = np.empty(shape[4 - len(like.shape):], dtype=np.float32)
        self.address: int = numbers.__array_interface__["data"][0]
        self.array: Any = sys.modules["torch"].from_numpy(numbers) if _is_torch(like) else numbers   # which keeps the numbers


def _is_torch(array: Any) -> bool:
    return type(array).__module__.partition(".")[0] == "torch"


def _numpy_dtype(dtype: str) -> Any:
    if dtype != "bfloat16":
        return np.dtype(dtype)
    try:
        import ml_dtypes
    except ImportError:
        raise InvalidType("a NumPy array of bfloat16 needs the package ml_dtypes; or give `out`, or out_dtype='float32'") from None
    return np.dtype(ml_dtypes.bfloat16)


_Memory = tuple[int, str, tuple[int, ...], tuple[int, ...], bool, Any]   # address, dtype, shape, strides in bytes, writable, owner


def _memory(name: str, array: Any) -> _Memory:
    if not isinstance(array, np.ndarray) and hasattr(array, "__array_interface__"):
        array = np.asarray(array)
    if isinstance(array, np.ndarray):
        dtype = array.dtype.name if array.dtype.isnative else f"{array.dtype.name} of the other byte order"
        return array.__array_interface__["data"][0], dtype, array.shape, array.strides, array.flags.writeable, array
    if hasattr(array, "__dlpack__"):
        return _dlpack_memory(name, array)
    raise InvalidType(f"{name} is a {type(array).__name__}; an array with __array_interface__ or __dlpack__ is wanted")


_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
_capsule_pointer.argtypes = (ctypes.py_object, ctypes.c_char_p)


def _dlpack_memory(name: str, array: Any) -> _Memory:
    device, _ = array.__dlpack_device__()
    if device not in _DLPACK_HOST:
        raise InvalidArgument(f"{name} is on another device (DLPack's type {int(device)}); arrays in host memory are taken")
    try:
        capsule = array.__dlpack__()   # not renamed, so that the capsule itself ends what it holds
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidArgument(f"{name} gives no DLPack: {error}") from error
    tensor = ffi.cast("DLManagedTensor *", _capsule_pointer(capsule, b"dltensor")).dl_tensor
    kind = tensor.dtype
    dtype = _DLPACK_DTYPES.get((kind.code, kind.bits)) if kind.lanes == 1 else None
    if not dtype:
        return 0, str(getattr(array, "dtype", f"DLPack's type {kind.code} of {kind.bits} bits")), (), (), False, capsule
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    if tensor.strides:
        strides = tuple(tensor.strides[axis] * ITEM_SIZES[dtype] for axis in range(tensor.ndim))
    else:
        strides = tuple(int(np.prod(shape[axis + 1:], dtype=np.int64)) * ITEM_SIZES[dtype] for axis in range(tensor.ndim))
    address = int(ffi.cast("uintptr_t", tensor.data)) + tensor.byte_offset
    return address, dtype, shape, strides, True, capsule
