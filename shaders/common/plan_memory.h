// SPDX-License-Identifier: MIT
//
// Plan memory: what the host writes and every kernel reads. Included by GLSL and by C: #define
// lines only.
//
// A plan's memory is an array of 16-byte texels (uvec4), cut into SEGMENTS that each fit the
// device's texel buffer (65,536 texels are guaranteed). A dispatch sees one segment; every offset
// below is relative to its start, in texels or in 32-bit words as named. A segment is
// self-contained:
//
//     header | bh lists, slopes, sink logits | items | runs | index lists | bits | combine tables
//
// HEADER: 8 texels. Strides are in units of 4 elements ("pieces") modulo 2^32; so is all address
// arithmetic.
#define PM_HEADER_SHAPE 0  // heads, kv_heads, q_len, 0
#define PM_HEADER_Q 1      // Q's strides: batch, head, row; w: head_dim / 4
#define PM_HEADER_K 2      // K's strides: batch, kv head, row; w: v_head_dim / 4
// V's strides: batch, kv head, row; w: word offset of the ALiBi slopes (float per head, times log2
// e)
#define PM_HEADER_V 3
// O's strides: batch, head, row; w: word offset of the sink logits (float per head, times log2 e)
#define PM_HEADER_O 4
#define PM_HEADER_SCALE 5  // floats: scale·log2 e | scale/softcap | softcap·log2 e | 0
#define PM_HEADER_TEXELS 8
//
// Scores are kept in log2 units throughout: without softcap z2 = (scale·log2 e)·q·k, with it
// z2 = (softcap·log2 e)·tanh((scale/softcap)·q·k); ALiBi then subtracts slope2·|p − j|.
//
// BH LIST: one word per (batch, head) that shares the dispatch's items: batch · heads + head.
//
// ITEM: 1 texel, one workgroup's (or one invocation group's) work for each entry of the bh list.
//     x  first query row i of the item; its rows are i, i + step, i + 2·step … (step: push
//     constant) y  texel offset of its first run z  run count (bits 0 … 15) | rows (bits 16 … 23, 1
//     … tile rows) | PM_ITEM_DIRECT (bit 24) | PM_ITEM_DEAD | PM_ITEM_RESUMES w  not direct: slot,
//     the row of the workspace that takes the first row's partial result
//        resumes: word offset of `rows` words, each the slot of that row's partial result so far,
//        or PM_SLOT_NONE
#define PM_ITEM_RUNS_MASK 0xffffu
#define PM_ITEM_ROWS_SHIFT 16
#define PM_ITEM_ROWS_MASK 0xffu
#define PM_ITEM_DIRECT 0x1000000u
// its rows do not exist (past the batch entry's length): O 0, LSE −inf, no sink logit
#define PM_ITEM_DEAD 0x2000000u
// direct, and its rows begin with what an earlier dispatch left of them in the workspace
#define PM_ITEM_RESUMES 0x4000000u
#define PM_SLOT_NONE 0xffffffffu
// A direct item writes finished O and LSE of its rows; another writes partials. An item may have no
// runs: its rows are then what they resume, or empty (O 0, LSE −inf or the sink logit). An item
// that resumes has a slot for some row.
//
// RUN: 1 texel. Its keys are c = 0 … count − 1; key c stands at position j = first + c·step (range)
// or j = words[first + c] (list). Row r is the item's r-th row, at position p = i + r·step +
// q_offset.
//     x  first key, or word offset of the first list entry
//     y  kind (bits 30, 31) | source (bit 29) | full: count (bits 0 … 28)
//                                             | band, bits: count (bits 0 … 14), first row (15 …
//                                             21), last row (22 … 28)
//     z  band: lo (int)   bits: word offset of the bits
//     w  band: hi (int)   bits: 0
#define PM_RUN_KIND_SHIFT 30
// every row takes every key; count is a multiple of the variant's keys per chunk
#define PM_RUN_FULL 0u
// row r in [first row, last row] takes the keys with r + lo ≤ c ≤ r + hi; others take none
#define PM_RUN_BAND 1u
// row r takes key c where bit c mod 32 of words[z + (c / 32) · tile_rows + r] is set
#define PM_RUN_BITS 2u
#define PM_RUN_LIST 0x20000000u
#define PM_RUN_FULL_COUNT_MASK 0x1fffffffu
#define PM_RUN_COUNT_MASK 0x7fffu
#define PM_RUN_ROW_FIRST_SHIFT 15
#define PM_RUN_ROW_LAST_SHIFT 22
#define PM_RUN_ROW_MASK 0x7fu
// Bands never have a list source. The last chunk of a band or bits run may be short: keys from
// count on do not exist, and loads must be clamped to key count − 1 (of a list: to that entry).
// tile_rows is the variant's. The runs of one item are disjoint. An unselected key may hold NaN or
// Inf in K and in V: neither may reach a row.
//
// WORKSPACE: rows of partial results, each v_pieces + 1 vec4: the unnormalised accumulator Σ
// exp2(z2 − m)·v in v_head_dim/4 vec4, then (m, l, 0, 0). Empty: m = PM_EMPTY, l = 0, accumulator
// 0. Row index of row r of an item for entry y of the bh list: ws_row_base + y · ws_rows + slot + r
// (modulo 2^32).
#define PM_EMPTY -1.0e30
//
// COMBINE: rows that no direct item writes. A combine item is 1 texel:
#define PM_COMBINE_ROWS 32u  // of a combine item, at most
#define PM_PARTS_MOST 8u
//     x  first row i   y  rows (consecutive)   z  1: dead rows (no part, no sink logit), else 0   w
//                      0
// The rows of the wave are [range_first, range_first + range_rows). Part k is 1 texel of the part
// table:
//     x  step   y  tile rows   z  word offset of its tile table   w  0
// The tile table has two words a tile: slot of its first partial, and how many partials follow each
// other at a distance of tile-rows rows (0: the part selects nothing there). With u = i −
// range_first, a = u mod step, q = range_rows / step, rem = range_rows mod step, t1 = ceil((q + 1)
// / tile), t0 = ceil(q / tile): row i is row (u / step) mod tile of tile  (a < rem ? a · t1 : rem ·
// t1 + (a − rem) · t0) + (u / step) / tile. Partials are merged in the order part, split; then the
// sink logit enters, once.

// PUSH CONSTANTS of the attention kernels, in words. `*_base` are in pieces (lse_base: in floats),
// relative to the bound range, modulo 2^32.
//     0 items      texel offset of the dispatch's first item; item index = gl_WorkGroupID.x
//     1 step       row step and key step of the dispatch's items
//     2 q_offset   int: p = i + q_offset
//     3 bh_list    word offset of the bh list
//     4 bh_first   entry y = bh_first + gl_WorkGroupID.y
//     5 ws_row_base   6 ws_rows
//     7 q_base  8 k_base  9 v_base  10 o_base  11 lse_base
//     12 zero      always 0 (a value the compiler does not know)
//     13 segment   texel offset of the segment in the plan's memory (kernels that read it by
//                  address); for others
//        ws_texels the workspace's first texel in its view (rows_texel)
//     14 … 27      addresses (low, high word): Q, K, V, O, LSE, workspace, plan memory — kernels
//                  with addresses only; a tensor's address already includes its base, and q_base …
//                  lse_base are then 0
// and of combine:
//     0 items   1 ws_texels: the workspace's first texel in its view (combine_rows)   2 parts:
//               texel offset of the part table
//     3 part_count   4 bh_list   5 bh_first   6 ws_row_base   7 ws_rows   8 range_first   9
//                                             range_rows   10 o_base   11 lse_base
//     12 segment   13 unused   14 … 21 addresses: O, LSE, workspace, plan memory (combine_rows by
//                              address only)
//
// SPECIALIZATION CONSTANTS, the same ids in every kernel:
//     0 workgroup size   1 head pieces (padded class of head_dim / 4)   2 v pieces (padded class)
//     3 exact: head_dim and v_head_dim fill their classes   4 flags   5 tile rows   6 keys per
//                                                           chunk
//     7 … shape of the family (tile: 7 rows per lane, 8 keys per lane, 9 column groups; rows: 7
//     rows per lane)
#define PM_FLAG_SOFTCAP 1u
#define PM_FLAG_ALIBI 2u
#define PM_FLAG_SINK 4u
#define PM_FLAG_LSE 8u
// What some item of the dispatches that it serves does; none takes up partial results beside one
// that writes some. A kernel may leave out the code for what no flag says; for RESUME some have a
// module of their own (tile, rows_texel).
#define PM_FLAG_DIRECT 16u   // writes O and LSE (PM_ITEM_DIRECT)
#define PM_FLAG_PARTIAL 32u  // writes partial results
#define PM_FLAG_RESUME 64u   // takes some up (PM_ITEM_RESUMES)
