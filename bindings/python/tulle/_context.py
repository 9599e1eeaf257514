# SPDX-License-Identifier: MIT
"""Devices, and contexts on them."""
from __future__ import annotations

import logging
import os
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Callable, Hashable, Optional, TypeVar, Union

from ._errors import InvalidType, check
from ._handles import Handle
from ._native import ffi, lib

PLANS_KEPT = 16   # by a context for tulle.attention

_log = logging.getLogger("tulle")
_log.addHandler(logging.NullHandler())   # an error is an exception; who wants it in a log too says so to `logging`
_LEVELS = {
    lib.TULLE_LOG_ERROR: logging.ERROR,
    lib.TULLE_LOG_WARNING: logging.WARNING,
    lib.TULLE_LOG_INFO: logging.INFO,
    lib.TULLE_LOG_DEBUG: logging.DEBUG,
}
_TYPES = ("other", "integrated GPU", "discrete GPU", "virtual GPU", "CPU")   # VkPhysicalDeviceType's


@dataclass(frozen=True)
class Device:
    """What Vulkan says of a device."""

    index: int
    name: str
    driver: str
    driver_info: str
    uuid: uuid.UUID
    type: str
    api_version: tuple[int, int, int]
    vendor_id: int
    device_id: int
    subgroup_size: int
    unified_memory: bool
    buffer_device_address: bool


def _device(info: Any) -> Device:
    text = {name: ffi.string(getattr(info, name)).decode("utf-8", "replace") for name in ("name", "driver", "driver_info")}
    version = info.api_version
    return Device(
        index=info.index, **text, uuid=uuid.UUID(bytes=bytes(info.uuid)), type=_TYPES[info.type] if info.type < len(_TYPES) else "other",
        api_version=(version >> 22 & 0x7F, version >> 12 & 0x3FF, version & 0xFFF), vendor_id=info.vendor_id, device_id=info.device_id,
        subgroup_size=info.subgroup_size, unified_memory=info.unified_memory, buffer_device_address=info.buffer_device_address)


def devices() -> list[Device]:
    """Every Vulkan device, in Vulkan's order."""
    count, error = ffi.new("uint32_t *"), ffi.new("tulle_error *")
    check(lib.tulle_devices(count, ffi.NULL, error), error)
    infos = ffi.new("tulle_device_info[]", max(count[0], 1))
    check(lib.tulle_devices(count, infos, error), error)
    return [_device(infos[i]) for i in range(count[0])]


_T = TypeVar("_T")


class Context:
    """A Vulkan device: `device` is an index, a part of a name, a uuid.UUID, a tulle.Device, or None for the best.

    Any number of threads may use it at once. It lives as long as it or a plan of it is used; `close` (or `with`) lets go of it
    and of the plans that tulle.attention keeps here.
    """

    def __init__(self, device: Union[int, str, uuid.UUID, Device, None] = None, *, validation: bool = False) -> None:
        params, error = ffi.new("tulle_context_params *"), ffi.new("tulle_error *")
        params.log = lib.tulle_python_log
        params.validation = validation
        if isinstance(device, Device):
            device = device.uuid
        if isinstance(device, int) and not isinstance(device, bool):
            params.device_by, params.device_index = lib.TULLE_DEVICE_BY_INDEX, device
        elif isinstance(device, str):
            text = ffi.new("char[]", device.encode("utf-8"))
            params.device_by, params.device_name = lib.TULLE_DEVICE_BY_NAME, text
        elif isinstance(device, uuid.UUID):
            params.device_by, params.device_uuid = lib.TULLE_DEVICE_BY_UUID, device.bytes
        elif device is not None:
            raise InvalidType(f"device is a {type(device).__name__}; an index, a part of a name, a uuid.UUID or a tulle.Device is wanted")
        out = ffi.new("tulle_context **")
        check(lib.tulle_context_create(params, out, error), error)
        self._handle = Handle("context", out[0], lib.tulle_context_destroy)
        self._handle.owned_by(self)
        self._plans: OrderedDict[Hashable, Any] = OrderedDict()
        self._plans_lock = threading.Lock()

    @property
    def device(self) -> Device:
        """What this context runs on."""
        info = ffi.new("tulle_device_info *")
        with self._handle.use() as context:
            lib.tulle_context_info(context, info)
        return _device(info)

    def clear(self) -> None:
        """Lets go of the plans that tulle.attention keeps here."""
        with self._plans_lock:
            self._plans.clear()

    def close(self) -> None:
        """The device's resources are freed once no plan is left."""
        self.clear()
        self._handle.close()

    def __enter__(self) -> Context:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<tulle.Context on {self.device.name}>"

    def kept(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """The plan of that key, made where there is none; the PLANS_KEPT used last stay."""
        with self._plans_lock:
            if key in self._plans:
                self._plans.move_to_end(key)
                found: _T = self._plans[key]
                return found
        made = make()   # planning is slow: others go on meanwhile
        with self._plans_lock:
            self._plans[key] = made
            self._plans.move_to_end(key)
            if len(self._plans) > PLANS_KEPT:
                self._plans.popitem(last=False)
        return made


_default: Optional[Context] = None
_default_lock = threading.Lock()


def default_context() -> Context:
    """On the best device; made when first asked for, and shared by all that names none."""
    global _default
    with _default_lock:
        if _default is None:
            _default = Context()
        return _default


def _forget() -> None:
    global _default, _default_lock
    _default, _default_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)   # Vulkan's objects do not live on in the child


@ffi.def_extern()
def tulle_python_log(user: Any, level: int, message: Any) -> None:
    _log.log(_LEVELS.get(level, logging.DEBUG), "%s", ffi.string(message).decode("utf-8", "replace"))
