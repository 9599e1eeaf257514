# SPDX-License-Identifier: MIT
"""Plans: one attention of one shape, scheduled and compiled, to be run any number of times."""
from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, Mapping, Optional, Sequence, Union

import numpy as np
import numpy.typing as npt

from . import _arrays
from ._arrays import AXES, DTYPES, LAYOUTS, LENGTH_MOST, Layout
from ._context import Context, default_context
from ._errors import InvalidArgument, InvalidType, check
from ._handles import Handle
from ._native import ffi, lib
from ._pattern import PatternLike, as_pattern

Dtype = Literal["float32", "float16", "bfloat16"]
Broadcast = Union[str, Mapping[str, Sequence[str]]]
Integers = Union[Sequence[int], npt.NDArray[Any]]
Floats = Union[Sequence[float], npt.NDArray[Any]]


def _trees(trees: npt.ArrayLike, entries: int) -> npt.NDArray[np.uint32]:
    """[entries, t, t] or [t, t] of bool or of 0 and 1, as words of 32 bits."""
    matrices = np.asarray(trees)
    if matrices.ndim == 2:
        matrices = np.broadcast_to(matrices, (entries, *matrices.shape))
    side = matrices.shape[-1] if matrices.ndim == 3 else 0
    if matrices.shape != (entries, side, side) or not 1 <= side <= 256:
        raise InvalidArgument(f"trees is of shape {np.shape(trees)}; (t, t) or ({entries}, t, t) is wanted, of up to 256 query rows")
    if not np.isin(matrices, (0, 1)).all():
        raise InvalidArgument("trees holds other numbers than 0 and 1")
    words = np.zeros((entries, side, (side + 31) // 32 * 32), np.uint8)
    words[:, :, :side] = matrices
    return np.packbits(words, axis=2, bitorder="little").view("<u4").astype(np.uint32)


@dataclass(frozen=True)
class PlanInfo:
    """What a plan does; bytes and milliseconds."""

    kernel: str
    tile_rows: int
    chunk_keys: int
    workspace_bytes: int
    workspace_minimum: int
    visited: int   # rows × keys that the kernels run over
    dispatches: int
    items: int
    host_bytes: int
    device_bytes: int
    plan_ms: float
    compile_ms: float


@dataclass(frozen=True)
class Variant:
    """A kernel; `reason` is why it does not serve, else empty."""

    name: str
    serves: bool
    reason: str


class Plan:
    """One attention of one shape with its pattern. Immutable; any number of threads may run it at once.

    Arguments as of tulle.attention, which makes plans by itself and keeps them.
    """

    def __init__(
        self, *, heads: int, q_len: int, kv_len: int, head_dim: int, batch: int = 1, kv_heads: Optional[int] = None,
        v_head_dim: Optional[int] = None, dtype: Dtype = "float32", out_dtype: Optional[Dtype] = None,
        pattern: Optional[PatternLike] = None, head_pattern: Optional[Integers] = None, causal: bool = False,
        scale: Optional[float] = None, softcap: Optional[float] = None, alibi_slopes: Optional[Floats] = None,
        sink_logits: Optional[Floats] = None, return_lse: bool = False, q_align: Literal["last", "first"] = "last",
        q_offsets: Union[int, Integers, None] = None, q_lengths: Optional[Integers] = None, kv_lengths: Optional[Integers] = None,
        kv_starts: Optional[Integers] = None, cu_q: Optional[Integers] = None, cu_kv: Optional[Integers] = None,
        entry_pattern: Optional[npt.ArrayLike] = None, trees: Optional[npt.ArrayLike] = None, broadcast: Broadcast = "", kernel: Optional[str] = None, workspace_limit: int = 0,
        dispatch_pairs: int = 0, context: Optional[Context] = None,
    ) -> None:
        """broadcast: those of "qkv" of which one row serves all of batch, heads and length; or of each the axes along which one
        entry serves all, {"k": ["batch"], "v": ["batch", "heads"]}. Those are copied to the device once."""
        parent = (context or default_context())._handle   # not the context itself, which keeps plans: no cycle
        self.shape_q = (_whole("batch", batch), _whole("heads", heads), _whole("q_len", q_len), _whole("head_dim", head_dim))
        kv_heads = heads if kv_heads is None else kv_heads
        v_head_dim = head_dim if v_head_dim is None else v_head_dim
        self.shape_k = (batch, _whole("kv_heads", kv_heads), _whole("kv_len", kv_len), head_dim)
        self.shape_v = (batch, kv_heads, kv_len, _whole("v_head_dim", v_head_dim))
        self.shape_o = (batch, heads, q_len, v_head_dim)
        self.dtype = one_of("dtype", dtype, tuple(DTYPES))
        self.out_dtype = dtype if out_dtype is None else one_of("out_dtype", out_dtype, tuple(dict.fromkeys((dtype, "float32"))))
        self.return_lse = bool(return_lse)
        self.broadcast = _broadcast(broadcast)
        self.pattern = as_pattern(pattern)

        keep: list[Any] = []   # what the descriptor points to

        def pointer(name: str, values: Any, of: Any, count: int) -> Any:
            """[count] numbers of one type; None: NULL."""
            if values is None:
                return ffi.NULL
            array = _vector(name, values, of, count)
            keep.append(array)
            return ffi.cast({"i": "int32_t *", "u": "uint32_t *", "f": "float *"}[array.dtype.kind], array.__array_interface__["data"][0])

        desc = ffi.new("tulle_attention_desc *")
        desc.batch, desc.heads, desc.q_len, desc.head_dim = self.shape_q
        desc.kv_heads, desc.kv_len, desc.v_head_dim = kv_heads, kv_len, v_head_dim
        desc.dtype = DTYPES[dtype]
        desc.o_dtype = lib.TULLE_O_F32 if self.out_dtype == "float32" else lib.TULLE_O_AS_INPUT
        for name, shape in (("q", self.shape_q), ("k", self.shape_k), ("v", self.shape_v)):
            if self.broadcast[name]:
                setattr(desc, name, _strides_once(shape, self.broadcast[name]))
                setattr(desc, name + "_broadcast", True)
        desc.scale, desc.softcap = _scale(scale), 0.0 if softcap is None else softcap
        desc.causal, desc.lse = causal, self.return_lse
        desc.alibi_slopes = pointer("alibi_slopes", alibi_slopes, np.float32, heads)
        desc.sink_logits = pointer("sink_logits", sink_logits, np.float32, heads)
        desc.q_align = {"last": lib.TULLE_ALIGN_LAST_KEY, "first": lib.TULLE_ALIGN_FIRST_KEY}[one_of("q_align", q_align, ("last", "first"))]
        sequences = batch
        if cu_q is not None:
            sequences = desc.sequences = max(len(np.atleast_1d(np.asarray(cu_q))) - 1, 0)
        desc.cu_q = pointer("cu_q", cu_q, np.int32, sequences + 1)
        desc.cu_kv = pointer("cu_kv", cu_kv, np.int32, sequences + 1)
        if entry_pattern is not None:
            dealt = np.asarray(entry_pattern)
            if dealt.shape != (sequences, heads):
                raise InvalidArgument(f"entry_pattern is of shape {dealt.shape}; ({sequences}, {heads}) is wanted, a number for each head of each"
                                      " batch entry or sequence")
            desc.entry_pattern = pointer("entry_pattern", dealt.ravel(), np.uint32, sequences * heads)
        if trees is not None:
            bits = _trees(trees, sequences)
            desc.tree_rows = bits.shape[1]
            desc.trees = pointer("trees", bits.ravel(), np.uint32, bits.size)
        if q_offsets is not None:
            offsets = np.atleast_1d(np.asarray(q_offsets))
            desc.q_align = lib.TULLE_ALIGN_GIVEN
            desc.q_offset_count = 1 if len(offsets) == 1 else sequences
            desc.q_offsets = pointer("q_offsets", offsets, np.int32, desc.q_offset_count)
        desc.q_lengths = pointer("q_lengths", q_lengths, np.int32, batch)
        desc.kv_lengths = pointer("kv_lengths", kv_lengths, np.int32, batch)
        desc.kv_starts = pointer("kv_starts", kv_starts, np.int32, batch)
        desc.head_pattern = pointer("head_pattern", head_pattern, np.uint32, heads)
        desc.buffer_usage = lib.TULLE_USAGE_HOST
        if kernel is not None:
            keep.append(ffi.new("char[]", kernel.encode("utf-8")))
            desc.kernel = keep[-1]
        desc.workspace_limit = _whole("workspace_limit", workspace_limit, 0, 2**64 - 1)
        desc.dispatch_pairs = _whole("dispatch_pairs", dispatch_pairs, 0, 2**64 - 1)

        out, error = ffi.new("tulle_plan **"), ffi.new("tulle_error *")
        with parent.use() as context_pointer:
            if self.pattern is None:
                check(lib.tulle_plan_create(context_pointer, desc, out, error), error)
            else:
                with self.pattern._handle.use() as patterns:
                    desc.patterns, desc.pattern_count = patterns, len(self.pattern)
                    check(lib.tulle_plan_create(context_pointer, desc, out, error), error)
            self._handle = Handle("plan", out[0], lib.tulle_plan_destroy, parent)
        self._handle.owned_by(self)

    def __call__(self, q: Any, k: Any, v: Any, *, layout: Layout = "bhsd", out: Any = None) -> Any:
        """O, or (O, LSE) where the plan was made with return_lse; LSE is float32 of [batch, heads, length]."""
        one_of("layout", layout, LAYOUTS)
        views = [_arrays.view(name, array, layout) for name, array in (("q", q), ("k", k), ("v", v))]
        return self.run(views, q, layout, out)

    def run(self, views: Sequence[_arrays.View], like: Any, layout: Layout, out: Any) -> Any:
        """`like`: the array whose kind and rank O has, where `out` is None."""
        arrays = ffi.new("tulle_host_arrays *")
        for view, shape in zip(views, (self.shape_q, self.shape_k, self.shape_v)):
            if view.shape != shape:
                raise InvalidArgument(f"{view.name} is [batch, heads, length, dim] = {list(view.shape)}; the plan is for {list(shape)}")
            if view.dtype != self.dtype:
                raise InvalidType(f"{view.name} is of {view.dtype}; the plan is for {self.dtype}")
            for axis, length in zip(AXES, shape):
                if axis in self.broadcast[view.name] and axis not in view.broadcast and length > 1:
                    raise InvalidArgument(f"{view.name} has more than one entry along {axis}, of which there is one by the plan's `broadcast`")
            setattr(arrays, view.name + "_broadcast", view.all_one_row)
            setattr(arrays, view.name, ffi.cast("void *", view.address))
            setattr(arrays, view.name + "_strides", view.c_strides())
        if out is None:
            out = _arrays.empty_like(like, self.shape_o, self.out_dtype, layout)
        o = _arrays.output_view(out, layout, self.shape_o, self.out_dtype)
        arrays.o, arrays.o_strides = ffi.cast("void *", o.address), o.c_strides()
        lse = _arrays.Lse(like, self.shape_o[:3]) if self.return_lse else None
        arrays.lse = ffi.cast("float *", lse.address) if lse else ffi.NULL
        error = ffi.new("tulle_error *")
        with self._handle.use() as plan:
            check(lib.tulle_attention(plan, arrays, ffi.NULL, error), error)   # without the interpreter's lock
        return (out, lse.array) if lse else out

    @property
    def info(self) -> PlanInfo:
        """Which kernel it runs, and what it costs."""
        info = ffi.new("tulle_plan_info *")
        with self._handle.use() as plan:
            lib.tulle_plan_get_info(plan, info)
        values = {field.name: getattr(info, field.name) for field in fields(PlanInfo)}
        return PlanInfo(**{**values, "kernel": ffi.string(info.kernel).decode()})

    @property
    def pairs(self) -> int:
        """How many pairs (query, key) are selected, summed over batch and heads; counted now."""
        pairs, error = ffi.new("uint64_t *"), ffi.new("tulle_error *")
        with self._handle.use() as plan:
            check(lib.tulle_plan_count_pairs(plan, pairs, error), error)
        return int(pairs[0])

    @property
    def density(self) -> float:
        """`pairs` as a share of batch · heads · q_len · kv_len."""
        batch, heads, q_len, _ = self.shape_q
        return self.pairs / (batch * heads * q_len * self.shape_k[2])

    def explain(self) -> list[Variant]:
        """Every kernel for this dtype, in order of preference, and why those that do not serve do not."""
        found: list[Variant] = []
        user = ffi.new_handle(found)
        with self._handle.use() as plan:
            lib.tulle_plan_explain(plan, lib.tulle_python_variant, user)
        return found

    def close(self) -> None:
        """Frees it, once no call is under way."""
        self._handle.close()

    def __repr__(self) -> str:
        return f"<tulle.Plan of q {list(self.shape_q)}, k {list(self.shape_k)}, {self.dtype}, pattern {str(self.pattern or 'dense')!r}>"


def _whole(name: str, value: Any, least: int = 1, most: int = LENGTH_MOST) -> int:
    try:
        number = int(value.__index__())
    except AttributeError:
        raise InvalidType(f"{name} is a {type(value).__name__}; a whole number is wanted") from None
    if not least <= number <= most:
        raise InvalidArgument(f"{name} is {number}; it may be {least} … {most}")
    return number


def _broadcast(value: Broadcast) -> dict[str, tuple[str, ...]]:
    given: Mapping[str, Sequence[str]] = dict.fromkeys(value, AXES) if isinstance(value, str) else value
    axes = {name: tuple(of) for name, of in given.items()}
    if not set(axes) <= set("qkv") or any(axis not in AXES for of in axes.values() for axis in of):
        raise InvalidArgument(f"broadcast is {value!r}; it may be of the letters q, k and v, or give for each of them axes of {', '.join(AXES)}")
    return {name: axes.get(name, ()) for name in "qkv"}


def _strides_once(shape: Sequence[int], axes: Sequence[str]) -> dict[str, int]:
    """C order of [batch, heads, length, dim] in elements, with one entry along these axes."""
    strides, step = {}, shape[3]
    for axis, field, length in reversed(tuple(zip(AXES, ("batch", "head", "row"), shape))):
        strides[field] = 0 if axis in axes else step
        step *= 1 if axis in axes else length
    return strides


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise InvalidArgument(f"{name} is {value!r}; it may be {' or '.join(map(repr, allowed))}")
    return value


def _scale(value: Optional[float]) -> float:
    """To the C library 0 is the default, which None says here."""
    if value is None:
        return 0.0
    if float(ffi.cast("float", value)) == 0.0:
        raise InvalidArgument(f"scale is {value}; it may be any other finite number, or None for 1/√head_dim")
    return float(value)


def _vector(name: str, values: Any, dtype: Any, count: int) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.shape != (count,):
        raise InvalidArgument(f"{name} has shape {array.shape}; ({count},) is wanted")
    wanted = np.dtype(dtype)
    if wanted.kind == "f":
        if array.dtype.kind not in "fiu":
            raise InvalidType(f"{name} is of {array.dtype}; numbers are wanted")
    elif array.dtype.kind not in "iu":
        raise InvalidType(f"{name} is of {array.dtype}; whole numbers are wanted")
    elif array.size and (int(array.min()) < np.iinfo(wanted).min or int(array.max()) > np.iinfo(wanted).max):
        raise InvalidArgument(f"{name} holds {int(array.min())} … {int(array.max())}; each may be {np.iinfo(wanted).min} … {np.iinfo(wanted).max}")
    return np.ascontiguousarray(array, dtype=wanted)


@ffi.def_extern()
def tulle_python_variant(user: Any, name: Any, serves: bool, reason: Any) -> None:
    ffi.from_handle(user).append(Variant(ffi.string(name).decode(), serves, ffi.string(reason).decode("utf-8", "replace")))
