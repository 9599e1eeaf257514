# SPDX-License-Identifier: MIT
"""tulle.attention."""
from __future__ import annotations

from typing import Any, Hashable, Literal, Optional, Union

import numpy as np
import numpy.typing as npt

from . import _arrays
from ._arrays import LAYOUTS, Layout
from ._context import Context, default_context
from ._errors import InvalidArgument, InvalidType
from ._pattern import PatternLike, as_pattern
from ._plan import Dtype, Floats, Integers, Plan, one_of


def attention(
    q: Any, k: Any, v: Any, *, pattern: Optional[PatternLike] = None, head_pattern: Optional[Integers] = None, causal: bool = False,
    scale: Optional[float] = None, softcap: Optional[float] = None, alibi_slopes: Optional[Floats] = None,
    sink_logits: Optional[Floats] = None, q_align: Literal["last", "first"] = "last", q_offsets: Union[int, Integers, None] = None,
    q_lengths: Optional[Integers] = None, kv_lengths: Optional[Integers] = None, kv_starts: Optional[Integers] = None,
    cu_q: Optional[Integers] = None, cu_kv: Optional[Integers] = None, entry_pattern: Optional[npt.ArrayLike] = None,
    trees: Optional[npt.ArrayLike] = None, layout: Layout = "bhsd", out: Any = None, out_dtype: Optional[Dtype] = None, return_lse: bool = False,
    kernel: Optional[str] = None, workspace_limit: int = 0, dispatch_pairs: int = 0, context: Optional[Context] = None,
) -> Any:
    """Exact attention over the pairs that the pattern selects: O, or (O, LSE) with return_lse.

    q [batch, heads, q_len, head_dim], k [batch, kv_heads, kv_len, head_dim], v [batch, kv_heads, kv_len, v_head_dim], without
    batch, or without batch and heads; with layout="bshd" length stands before heads. float32, float16 or bfloat16, all of one.
    kv_heads divides heads. Anything with __array_interface__ or DLPack whose memory is the host's, at any strides but of the
    last axis; nothing is copied on this side. O is new (a torch.Tensor where q is one) or written to `out`, which may be q.

    pattern         a spec or tulle.Pattern: "window:255,0+sink:4"; those joined by ';' are dealt to heads in turn. None: dense
    head_pattern    for each head which of them, instead
    causal          only keys at or before the query
    scale           of q·k; None: 1/√head_dim
    softcap         logits become softcap · tanh(logit / softcap); None or 0: none
    alibi_slopes    for each head: logits lose slope · |p − j|
    sink_logits     for each head: a logit more in the softmax, of no value
    q_align         "last": the last query stands at the last key; "first": the first query at the first key
    q_offsets       the first query's position instead, one for all or for each batch entry
    q_lengths, kv_lengths, kv_starts    for each batch entry: how many queries and keys there are, and the first key that is
    cu_q, cu_kv     cumulative lengths of sequences packed into one batch entry, from 0 (cu_kv None: as cu_q): each is attended to alone
    entry_pattern   [batch or sequences, heads]: which pattern each head of each entry uses, instead of head_pattern
    trees           [t, t] or [batch or sequences, t, t], bool: which of an entry's last keys, those of its own query rows, each row
                    sees, whatever pattern and causal say (speculative decoding)
    out_dtype       "float32" for float16 and bfloat16 whose O is not to be rounded; None: out's, or q's
    return_lse      also LSE, the natural logarithm of the softmax's sum: float32 [batch, heads, q_len]
    kernel, workspace_limit, dispatch_pairs    a kernel by name or its beginning; bytes; pairs of a dispatch (tulle.h)
    context         None: one on the best device that all such calls share

    The plan of each shape is made once and kept (16 of them a context). The interpreter's lock is released meanwhile.
    """
    one_of("layout", layout, LAYOUTS)
    views = [_arrays.view(name, array, layout) for name, array in (("q", q), ("k", k), ("v", v))]
    (batch, heads, q_len, head_dim), (_, kv_heads, kv_len, _), (_, _, _, v_head_dim) = (view.shape for view in views)
    for view, shape in zip(views[1:], ((batch, kv_heads, kv_len, head_dim), (batch, kv_heads, kv_len, v_head_dim))):
        if view.shape != shape:
            raise InvalidArgument(f"{view.name} is [batch, heads, length, dim] = {list(view.shape)}; beside the others it must be {list(shape)}")
        if view.dtype != views[0].dtype:
            raise InvalidType(f"{view.name} is of {view.dtype} and q of {views[0].dtype}; they must be of one")
    if out is not None and out_dtype is None:
        out_dtype = "float32" if _arrays.view("out", out, layout).dtype == "float32" else None
    options: dict[str, Any] = dict(
        batch=batch, heads=heads, kv_heads=kv_heads, q_len=q_len, kv_len=kv_len, head_dim=head_dim, v_head_dim=v_head_dim,
        dtype=views[0].dtype, out_dtype=out_dtype, pattern=as_pattern(pattern), head_pattern=head_pattern, causal=causal, scale=scale,
        softcap=softcap, alibi_slopes=alibi_slopes, sink_logits=sink_logits, return_lse=return_lse, q_align=q_align, q_offsets=q_offsets,
        q_lengths=q_lengths, kv_lengths=kv_lengths, kv_starts=kv_starts, cu_q=cu_q, cu_kv=cu_kv, entry_pattern=entry_pattern, trees=trees,
        broadcast={view.name: view.broadcast for view in views},
        kernel=kernel, workspace_limit=workspace_limit, dispatch_pairs=dispatch_pairs)
    chosen = context or default_context()
    plan = chosen.kept(tuple(_key(value) for value in options.values()), lambda: Plan(**options, context=chosen))
    return plan.run(views, q, layout, out)


def _key(value: Any) -> Hashable:
    """The same for what makes the same plan. Numbers of an array by their bytes."""
    if isinstance(value, (list, tuple, np.ndarray)) or hasattr(value, "__array__"):
        array = np.asarray(value)
        return array.dtype.str, array.shape, array.tobytes()
    key: Hashable = tuple(value.items()) if isinstance(value, dict) else value
    return key
