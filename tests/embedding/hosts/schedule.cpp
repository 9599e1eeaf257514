// SPDX-License-Identifier: MIT
//
// A host in C++11 that links the library. It needs no device.
#include <cstdio>

#include <tulle/inspect.h>

static void add_keys(void *user, const tulle_run *run) {
    *static_cast<int64_t *>(user) += run->rows * run->keys;
}

int main() {
    tulle_error error = {};
    tulle_term term = {};
    term.kind = TULLE_WINDOW;
    term.left = 5;
    tulle_pattern *window = nullptr;
    tulle_attention_desc desc = {};
    desc.heads = 1;
    desc.q_len = desc.kv_len = 40;
    desc.head_dim = 8;
    desc.patterns = &window;
    desc.pattern_count = 1;
    int64_t visited = 0;
    if (tulle_pattern_create(&term, 1, &window, &error) ||
        tulle_schedule_walk(nullptr, &desc, 0, 0, add_keys, &visited, &error))
        std::printf("# %s\n", error.message);
    tulle_pattern_destroy(window);
    const bool fine = !error.result && visited >= 40 * 6 - 15;  // at least what is selected
    std::puts(fine ? "ok 1 - a host in C++ makes a pattern and schedules it" : "not ok 1");
    return !fine;
}
