# SPDX-License-Identifier: MIT
"""The library's results as exceptions."""
from __future__ import annotations

from typing import Any

from ._native import ffi, lib


class Error(Exception):
    """Everything that Tulle refuses or cannot do. `result` is the C library's name for it."""

    result: str = "TULLE_ERROR_INVALID_ARGUMENT"


class InvalidArgument(Error, ValueError):
    """An argument is out of its range."""


class InvalidType(Error, TypeError):
    """An argument is of a type that cannot be taken."""


class PatternSyntaxError(Error, ValueError):
    """A pattern spec could not be read."""


class ArrayError(Error, ValueError):
    """An array that a pattern spec names could not be had."""


class WorkspaceLimit(Error, ValueError):
    """workspace_limit is below the least that will do."""


class Unsupported(Error, RuntimeError):
    """This device cannot; of a plan: no kernel serves it."""


class NoDevice(Error, RuntimeError):
    """No Vulkan, or no such device."""


class DeviceLost(Error, RuntimeError):
    """The device was lost: its contexts and plans are of no more use."""


class VulkanError(Error, RuntimeError):
    """Another failure of Vulkan's."""


class OutOfMemory(Error, MemoryError):
    """No host memory or no device memory is left."""


_BY_RESULT: dict[int, type[Error]] = {
    lib.TULLE_ERROR_INVALID_ARGUMENT: InvalidArgument,
    lib.TULLE_ERROR_SYNTAX: PatternSyntaxError,
    lib.TULLE_ERROR_UNSUPPORTED: Unsupported,
    lib.TULLE_ERROR_WORKSPACE_LIMIT: WorkspaceLimit,
    lib.TULLE_ERROR_NO_VULKAN: NoDevice,
    lib.TULLE_ERROR_NO_DEVICE: NoDevice,
    lib.TULLE_ERROR_OUT_OF_HOST_MEMORY: OutOfMemory,
    lib.TULLE_ERROR_OUT_OF_DEVICE_MEMORY: OutOfMemory,
    lib.TULLE_ERROR_DEVICE_LOST: DeviceLost,
    lib.TULLE_ERROR_VULKAN: VulkanError,
    lib.TULLE_ERROR_CALLBACK: ArrayError,
}


def check(result: int, error: Any) -> None:
    """Raises what a C function returned and said."""
    if result:
        raised = _BY_RESULT.get(result, Error)(ffi.string(error.message).decode("utf-8", "replace"))
        raised.result = ffi.string(lib.tulle_result_name(result)).decode()
        raise raised
