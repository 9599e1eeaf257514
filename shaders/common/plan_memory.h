// SPDX-License-Identifier: MIT
//
// The contract between host and kernels: plan memory, the workspace, push constants, specialization
// constants. Read by C and by GLSL. The words of each thing are a struct here and nowhere else;
// host and shader both name its fields.
//
// A plan's memory is an array of texels (16 bytes, uvec4), cut into SEGMENTS that each fit the
// device's texel buffer (65,536 texels are guaranteed). A dispatch sees one segment, and every
// offset below is relative to that segment's start, in texels or in words (32 bits) as named. A
// segment is self-contained:
//
//     header | slopes, sink logits | entries | runs, index lists, bits | items | combine's tables
//
// Lengths, strides and addresses of tensors are in PIECES (4 elements) modulo 2^32.
#ifndef TULLE_PLAN_MEMORY_H
#define TULLE_PLAN_MEMORY_H

#ifdef __STDC_VERSION__
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#define PM_UINT uint32_t
#define PM_INT int32_t
#define PM_FLOAT float
#define PM_ADDRESS struct pm_address
#define PM_STRUCT(name) struct name
struct pm_address {  ///< a device address; in GLSL a uvec2
    uint32_t low, high;
};
/// `field` of a struct of plan memory begins at this texel.
#define PM_AT_TEXEL(type, field, texel) \
    static_assert(offsetof(struct type, field) == 16 * (texel), #type "." #field)
#define PM_SIZE(type, bytes) static_assert(sizeof(struct type) == (bytes), #type)
#else
#define PM_UINT uint
#define PM_INT int
#define PM_FLOAT float
#define PM_ADDRESS uvec2
#define PM_STRUCT(name) name
#endif

// -------------------------------------------------------------------------------------------------
// Header: one at the start of each segment. What holds for the whole attention.

struct pm_strides {
    PM_UINT batch, head, row;  // head: of K and V the kv head's
    PM_UINT with;              // a word of another kind: the header says which
};

struct pm_header {
    PM_UINT heads, kv_heads, q_len;
    PM_UINT pages;            // PM_PAGES_…; 0 where K and V are not paged
    PM_STRUCT(pm_strides) q;  // with: pieces of a row of Q and K
    // Of paged K and V `batch` is a page's and `row` that of a row within its page.
    PM_STRUCT(pm_strides) k;  // with: pieces of a row of V and O
    PM_STRUCT(pm_strides) v;  // with: word offset of the ALiBi slopes, a float a head, times log2 e
    PM_STRUCT(pm_strides) o;  // with: word offset of the sink logits, the same
    // Scores are kept in log2 units: without softcap z = scale · q·k, with it
    // z = softcap · tanh(scale_by_softcap · q·k); ALiBi then subtracts slope · |p − j|.
    PM_FLOAT scale;             // scale · log2 e
    PM_FLOAT scale_by_softcap;  // scale / softcap
    PM_FLOAT softcap;           // softcap · log2 e
    // A power of two that weights take on before they multiply V, so that no sum of some of a row's
    // products exceeds the largest |V|: 1 over more than all keys; 1 for fp16. O takes it back.
    PM_FLOAT weight_unit;
};

// Pages of the pool, less one; behind them log2 of the rows of one.
#define PM_PAGES_LAST_MASK 0xfffffffu
#define PM_PAGES_SIZE_SHIFT 28

#define PM_HEADER_SHAPE 0
#define PM_HEADER_Q 1
#define PM_HEADER_K 2
#define PM_HEADER_V 3
#define PM_HEADER_O 4
#define PM_HEADER_SCALE 5
#define PM_HEADER_TEXELS 6

// -------------------------------------------------------------------------------------------------
// Entry: one (batch, head); with rows of several heads (PM_ROW_HEAD_SHIFT) the first of these.
// Entries that share a schedule lie side by side: the entries of a
// dispatch are its second dimension. What differs between them stands here, not in the dispatch.

struct pm_entry {
    PM_UINT index;       // batch · heads + head, where sequences are packed: head
    PM_INT q_offset;     // query row i stands at position p = i + q_offset
    PM_UINT first_row;   // the rows of Q and O at which its query row 0 lies,
    PM_UINT first_key;   //   and of K and V its key 0: where sequences are packed, else 0
    PM_UINT q_length;    // rows that exist; the others are empty
    PM_UINT kv_length;   // keys that exist
    PM_UINT page_table;  // the first cell of its row of the page table; 0 where there is none
    PM_UINT sequence;    // which batch entry, or which of the packed sequences: the host's
};

#define PM_ENTRY_PLACE 0    // texel: index, q_offset, first_row, first_key
#define PM_ENTRY_LENGTHS 1  // texel: q_length, kv_length, page_table, sequence
#define PM_ENTRY_TEXELS 2

// -------------------------------------------------------------------------------------------------
// Item: one workgroup's work, done for each entry of the dispatch.
//
// A direct item writes finished O and LSE of its rows; another writes partial results. An item may
// have no runs: its rows are then what they resume, or empty (O 0, LSE −inf or the sink logit). An
// item that resumes has a slot for some row.

struct pm_item {
    // query row i of its row 0; its rows are i, i + step, i + 2·step …
    // with PM_FLAG_LISTED_ROWS word offset of its rows: row r is words[first_row + r]. As many words
    // as a tile has rows; the last is repeated
    PM_UINT first_row;
    PM_UINT runs;   // texel offset of its first run
    PM_UINT shape;  // runs (PM_ITEM_RUNS_MASK), rows (… _ROWS_…, 1 … tile rows), PM_ITEM_…
    // not direct: slot, the workspace row that takes row 0's partial result; row r's is r further
    // resumes: word offset of a slot for each row, of its partial result so far, or PM_SLOT_NONE
    PM_UINT slot;
};

// Items of several groups in one dispatch (PM_FLAG_JOINED): each is followed by what says whose it
// is, in place of the push constants of the same names.
struct pm_joined {
    PM_UINT entries;  // texel offset of the entry of gl_WorkGroupID.y = 0
    PM_UINT ws_row_base, ws_rows;
    PM_UINT parts;  // of combine, else 0
};

struct pm_joined_combine {  // behind that
    PM_UINT part_count, range_first, range_rows, unused;
};

#define PM_JOINED_ITEM_TEXELS 2u     // from item to item: pm_item, pm_joined
#define PM_JOINED_COMBINE_TEXELS 3u  // pm_combine_item, pm_joined, pm_joined_combine

#define PM_ITEM_RUNS_MASK 0xffffu
#define PM_ITEM_ROWS_SHIFT 16
#define PM_ITEM_ROWS_MASK 0xffu
#define PM_ITEM_DIRECT 0x1000000u
// its rows do not exist (past the entry's length): O 0, LSE −inf, no sink logit
#define PM_ITEM_DEAD 0x2000000u
// direct, and its rows begin with what an earlier dispatch left of them in the workspace
#define PM_ITEM_RESUMES 0x4000000u
#define PM_SLOT_NONE 0xffffffffu
// A listed row: a query row, rising, and of the entry's head and those after it which one
#define PM_ROW_MASK 0xffffffu
#define PM_ROW_HEAD_SHIFT 24

// -------------------------------------------------------------------------------------------------
// Run: keys c = 0 … count − 1 of an item's rows. Key c stands at position first + c·step (range) or
// words[first + c] (list). The runs of one item are disjoint. Bands never have a list.
//
// The last chunk of a band or bits run may be short: keys from count on do not exist, and loads
// must be clamped to key count − 1 (of a list: to that entry). An unselected key may hold NaN or
// Inf in K and in V: neither may reach a row.

struct pm_run {
    PM_UINT first;    // key, or word offset of the first list entry
    PM_UINT shape;    // kind (PM_RUN_KIND_SHIFT), PM_RUN_LIST, and
                      //   full: count (PM_RUN_FULL_COUNT_MASK)
                      //   band, bits: count (PM_RUN_COUNT_MASK), first and last row (PM_RUN_ROW_…)
    PM_UINT lo_bits;  // band: lo (int); bits: word offset of the bits
    PM_INT hi;        // band: hi; bits: 0
};

#define PM_RUN_KIND_SHIFT 30
// every row takes every key; count is a multiple of the kernel's keys per chunk
#define PM_RUN_FULL 0u
// row r in [first row, last row] takes the keys with r + lo ≤ c ≤ r + hi; others take none
#define PM_RUN_BAND 1u
// row r takes key c where bit c mod 32 of words[bits + (c / 32) · tile_rows + r] is set
#define PM_RUN_BITS 2u
#define PM_RUN_LIST 0x20000000u
#define PM_RUN_FULL_COUNT_MASK 0x1fffffffu
#define PM_RUN_COUNT_MASK 0x7fffu
#define PM_RUN_ROW_FIRST_SHIFT 15
#define PM_RUN_ROW_LAST_SHIFT 22
#define PM_RUN_ROW_MASK 0x7fu

// -------------------------------------------------------------------------------------------------
// Combine: rows that no direct item writes. Its dispatches have items and entries of their own
// kind:

struct pm_combine_item {
    PM_UINT first_row;  // consecutive rows from here on,
    PM_UINT rows;       //   1 … PM_COMBINE_ROWS
    PM_UINT dead;       // 1: rows that do not exist (no part, no sink logit), else 0
    // with PM_FLAG_LISTED_ROWS word offset of the query rows that these are, which first_row then
    // only counts; else 0
    PM_UINT list;
};

#define PM_COMBINE_ROWS 32u

// The rows at hand are [range_first, range_first + range_rows), of several parts, each cut into
// tiles of its own step. With u = i − range_first, a = u mod step, q = range_rows / step,
// rem = range_rows mod step, t1 = ceil((q + 1) / tile_rows), t0 = ceil(q / tile_rows): row i is row
// (u / step) mod tile_rows of tile
//     (a < rem ? a · t1 : rem · t1 + (a − rem) · t0) + (u / step) / tile_rows.
// Partial results are merged in the order part, split; then the sink logit enters, once.

struct pm_part {
    PM_UINT step;
    PM_UINT tile_rows;
    PM_UINT tiles;  // word offset of a pm_tile for each tile
    PM_UINT unused;
};

struct pm_tile {     // 2 words
    PM_UINT slot;    // of its first partial result
    PM_UINT splits;  // how many follow each other, tile_rows rows apart; 0: nothing selected there
};

#define PM_PARTS_MOST 8u

// -------------------------------------------------------------------------------------------------
// Workspace: rows of partial results, each v_pieces + 1 vec4: the unnormalised accumulator
// weight_unit · Σ exp2(z − m)·v in v_pieces vec4, then (m, l, 0, 0). Empty: m = PM_EMPTY, l = 0, accumulator 0.
// Row of an item's row r for entry y: ws_row_base + y · ws_rows + slot + r (modulo 2^32).

#define PM_EMPTY -1.0e30

// -------------------------------------------------------------------------------------------------
// Push constants. The bases are those of a tensor's first element from its descriptor's start;
// 0 where the tensor is reached by address.

struct pm_attention_push {
    PM_UINT items;        // texel offset of the dispatch's first item; item: gl_WorkGroupID.x
    PM_UINT step;         // row step and key step of the dispatch's items
    PM_UINT entries;      // texel offset of the group's entries
    PM_UINT entry_first;  // entry y = entry_first + gl_WorkGroupID.y
    PM_UINT ws_row_base, ws_rows;
    PM_UINT q_base, k_base, v_base, o_base;  // pieces
    PM_UINT lse_base;                        // floats
    PM_UINT zero;                            // always 0: a value that compilers do not know
    PM_UINT segment;    // by address: texel offset of the segment in the plan's memory
    PM_UINT ws_texels;  // by texels: the workspace's first texel in its view
};

struct pm_attention_addresses {  // behind them, for kernels that reach memory by address
    PM_ADDRESS q, k, v, o, lse, workspace, plan, page_table;
};

struct pm_combine_push {
    PM_UINT items;      // texel offset of the dispatch's first pm_combine_item
    PM_UINT ws_texels;  // by texels: the workspace's first texel in its view
    PM_UINT parts;      // texel offset of the pm_parts
    PM_UINT part_count;
    PM_UINT entries, entry_first, ws_row_base, ws_rows;  // as above
    PM_UINT range_first, range_rows;
    PM_UINT o_base, lse_base;
    PM_UINT segment;  // as above
    PM_UINT unused;
};

struct pm_combine_addresses {
    PM_ADDRESS o, lse, workspace, plan;
};

struct pm_merge_push {
    PM_UINT rows, v_pieces;
    PM_UINT into_o_base, into_lse_base, from_o_base, from_lse_base;  // pieces; floats
};

// -------------------------------------------------------------------------------------------------
// Specialization constants, the same ids in every kernel.

#define PM_CONSTANT_WORKGROUP 0
#define PM_CONSTANT_HEAD_PIECES 1  // class of head_dim / 4: at least the true number
#define PM_CONSTANT_V_PIECES 2     // class of v_head_dim / 4
#define PM_CONSTANT_EXACT 3        // 1: both fill their classes
#define PM_CONSTANT_FLAGS 4        // PM_FLAG_*
#define PM_CONSTANT_TILE_ROWS 5
#define PM_CONSTANT_CHUNK_KEYS 6
#define PM_CONSTANT_ROWS_PER_LANE 7
#define PM_CONSTANT_KEYS_PER_LANE 8  // base
#define PM_CONSTANT_COLUMN_GROUPS 9  // base
#define PM_CONSTANT_SUBGROUP 10      // matrix: lanes of a subgroup,
#define PM_CONSTANT_MATRIX_M 11      //   and the matrices that the device multiplies: M × K by
#define PM_CONSTANT_MATRIX_N 12      //   K × N
#define PM_CONSTANT_MATRIX_K 13
#define PM_CONSTANTS 14

#define PM_FLAG_SOFTCAP 1u
#define PM_FLAG_ALIBI 2u
#define PM_FLAG_SINK 4u
#define PM_FLAG_LSE 8u
// What some item of the dispatches that it serves does; none resumes beside one that writes partial
// results. A kernel may leave out the code for what no flag says; for RESUME some have a module of
// their own (base, rows_texel).
#define PM_FLAG_DIRECT 16u        // writes O and LSE (PM_ITEM_DIRECT)
#define PM_FLAG_PARTIAL 32u       // writes partial results
#define PM_FLAG_RESUME 64u        // takes some up (PM_ITEM_RESUMES)
#define PM_FLAG_JOINED 256u       // items of several groups (pm_joined)
#define PM_FLAG_LISTED_ROWS 128u  // all of them: their rows come from lists (pm_item); step is 1
#define PM_FLAG_PAGED 512u        // attention: K and V lie in pages

// -------------------------------------------------------------------------------------------------
// That C sees the same words as GLSL (std430, and texel by texel).
#ifdef __STDC_VERSION__
PM_SIZE(pm_strides, 16);
PM_SIZE(pm_header, 16 * PM_HEADER_TEXELS);
PM_AT_TEXEL(pm_header, heads, PM_HEADER_SHAPE);
PM_AT_TEXEL(pm_header, q, PM_HEADER_Q);
PM_AT_TEXEL(pm_header, k, PM_HEADER_K);
PM_AT_TEXEL(pm_header, v, PM_HEADER_V);
PM_AT_TEXEL(pm_header, o, PM_HEADER_O);
PM_AT_TEXEL(pm_header, scale, PM_HEADER_SCALE);
PM_SIZE(pm_entry, 16 * PM_ENTRY_TEXELS);
PM_AT_TEXEL(pm_entry, index, PM_ENTRY_PLACE);
PM_AT_TEXEL(pm_entry, q_length, PM_ENTRY_LENGTHS);
PM_SIZE(pm_item, 16);
PM_SIZE(pm_run, 16);
PM_SIZE(pm_joined, 16);
PM_SIZE(pm_joined_combine, 16);
PM_SIZE(pm_combine_item, 16);
PM_SIZE(pm_part, 16);
PM_SIZE(pm_tile, 8);
// addresses are aligned to 8 bytes behind the words, and 128 bytes are guaranteed
PM_SIZE(pm_attention_push, 56);
PM_SIZE(pm_combine_push, 56);
PM_SIZE(pm_merge_push, 24);
static_assert(sizeof(struct pm_attention_push) + sizeof(struct pm_attention_addresses) == 120,
              "push constants of attention");
static_assert(sizeof(struct pm_combine_push) + sizeof(struct pm_combine_addresses) == 88,
              "push constants of combine");
#endif

#endif
