# SPDX-License-Identifier: MIT
"""Objects of the C library that are destroyed in order, whichever way their Python owners die."""
from __future__ import annotations

import contextlib
import os
import weakref
from typing import Any, Callable, Iterator, Optional

from ._errors import InvalidArgument


class Handle:
    """A C object, shared by its owner, by handles that need it (`parent`) and by calls that are under way.

    Whoever lets go last destroys it: garbage collection ends a plan and its context in any order, and at the end of the
    interpreter a daemon thread may still be inside a call. No lock: a collection may run while this thread holds it.
    """

    def __init__(self, what: str, pointer: Any, destroy: Callable[[Any], None], parent: Optional[Handle] = None) -> None:
        self._what, self._pointer, self._destroy, self._parent = what, pointer, destroy, parent
        self._process = os.getpid()
        self._holds = ["first"]   # append and pop are atomic, and "first" leaves once, last
        self._closed = False
        if parent:
            parent._hold()

    def owned_by(self, owner: object) -> None:
        """Lets go once: when the owner is collected, at the interpreter's end, or by `close`."""
        self._let_go = weakref.finalize(owner, self._release)

    def close(self) -> None:
        """No further use; those under way, and handles that need this one, go on."""
        self._closed = True
        self._let_go()

    @contextlib.contextmanager
    def use(self) -> Iterator[Any]:
        """The pointer, valid within."""
        self._hold()
        try:
            if self._closed:
                raise InvalidArgument(f"this {self._what} is closed")
            yield self._pointer
        finally:
            self._release()

    def _hold(self) -> None:
        if self._process != os.getpid():
            raise InvalidArgument(f"this {self._what} was made before the process forked: Vulkan's objects do not live on in the child")
        self._holds.append("other")
        if self._holds[0] != "first":
            raise InvalidArgument(f"this {self._what} is closed")

    def _release(self) -> None:
        if self._holds.pop() != "first":
            return
        if self._process == os.getpid():   # a child of fork leaves the parent's objects alone
            self._destroy(self._pointer)
        if self._parent:
            self._parent._release()
