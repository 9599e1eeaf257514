// SPDX-License-Identifier: MIT
//
// Which keys of a partial chunk a row takes: those between two diagonals (band) or those whose bit
// is set (bits). A full run is not asked. After plan.glsl.
#ifndef TULLE_SELECT_GLSL
#define TULLE_SELECT_GLSL

// The keys of a run that row r may take: first ≤ c < first + count (c − first unsigned, so one
// comparison tells). Of bits: all of them.
struct RowKeys {
    int first;
    uint count;
};

RowKeys row_keys(Run run, uint r) {
    RowKeys keys = RowKeys(0, 0x7fffffffu);
    if (run.kind == PM_RUN_BAND) {
        keys.first = max(int(r) + run.lo, 0);
        const int last = min(int(r) + run.hi, int(run.count) - 1);
        const bool any = r >= run.row_first && r <= run.row_last && last >= keys.first;
        keys.count = any ? uint(last - keys.first) + 1u : 0u;
    }
    return keys;
}

// Word offset of row 0's selection bits for the 32 keys among which key c is; row r's is r further.
uint bits_at(Run run, uint c) { return run.bits + (c >> 5) * TILE_ROWS; }

// The same for one pair of a band, where a lane keeps nothing of a row from chunk to chunk (base).
bool band_takes(Run run, uint r, uint c) {
    const int d = int(c) - int(r);  // no overflow: both are small
    return d >= run.lo && d <= run.hi && r >= run.row_first && r <= run.row_last;
}

// Does the row take key c? bits: its word, shifted so that key c's is the lowest.
bool row_takes(Run run, RowKeys keys, uint bits, uint c) {
    const bool banded = uint(int(c) - keys.first) < keys.count;
    const bool set = (bits & 1u) != 0u;
    return (run.kind == PM_RUN_BITS ? set : banded) && c < run.count;
}

#endif
