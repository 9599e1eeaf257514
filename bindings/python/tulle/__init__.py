# SPDX-License-Identifier: MIT
"""Tulle: exact sparse attention on any Vulkan device."""
from ._attention import attention
from ._context import Context, Device, default_context, devices
from ._errors import (ArrayError, DeviceLost, Error, InvalidArgument, InvalidType, NoDevice, OutOfMemory, PatternSyntaxError, Unsupported,
                      VulkanError, WorkspaceLimit)
from ._native import ffi as _ffi, lib as _lib
from ._pattern import Pattern
from ._plan import Plan, PlanInfo, Variant

__version__: str = _ffi.string(_lib.tulle_version()).decode()

__all__ = [
    "ArrayError", "Context", "Device", "DeviceLost", "Error", "InvalidArgument", "InvalidType", "NoDevice", "OutOfMemory", "Pattern",
    "PatternSyntaxError", "Plan", "PlanInfo", "Unsupported", "Variant", "VulkanError", "WorkspaceLimit", "attention", "default_context",
    "devices",
]

for _name in __all__:   # tracebacks and pickles name them as users do
    globals()[_name].__module__ = "tulle"
