// SPDX-License-Identifier: MIT
#include "report/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Bytes of the character at `at`, 0 where it is not UTF-8; the character through *code.
static size_t decode(const unsigned char *at, uint32_t *code) {
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const size_t size = *at < 0x80             ? 1
                        : (*at & 0xe0) == 0xc0 ? 2
                        : (*at & 0xf0) == 0xe0 ? 3
                        : (*at & 0xf8) == 0xf0 ? 4
                                               : 0;
    if (size < 2) return *code = *at, size;
    *code = *at & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
        *code = *code << 6 | (at[i] & 0x3f);
    }
    const bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return *code < least[size] || *code > 0x10ffff || surrogate ? 0 : size;
}

static void put_character(FILE *to, const unsigned char *at, size_t size) {
    switch (size ? *at : 0) {
    case 0: fputs("\xef\xbf\xbd", to); break;
    case '&': fputs("&amp;", to); break;
    case '<': fputs("&lt;", to); break;
    case '>': fputs("&gt;", to); break;
    case '"': fputs("&quot;", to); break;
    case '\'': fputs("&#39;", to); break;
    default: fwrite(at, 1, size, to);
    }
}

void put_text_within(FILE *to, const char *text, size_t most) {
    const unsigned char *at = (const unsigned char *)text, *cut = NULL;
    size_t columns = 0;
    uint32_t code;
    // where the ellipsis would stand, if there is more than fits
    for (const unsigned char *c = at; *c && columns <= most;) {
        const size_t size = decode(c, &code);
        columns += size && code >= 0x1100 ? 2 : 1;
        if (columns + 1 <= most) cut = c + (size ? size : 1);
        c += size ? size : 1;
    }
    while (*at && (columns <= most || at < cut)) {
        const size_t size = decode(at, &code);
        put_character(to, at, size);
        at += size ? size : 1;
    }
    if (*at) fputs("\xe2\x80\xa6", to);
}

void put_text(FILE *to, const char *text) { put_text_within(to, text, SIZE_MAX); }

// 1234567 as 1,234,567; what follows the digits stays.
static void group_thousands(const char *plain, char out[MOST_LABEL]) {
    const size_t digits = strspn(plain, "0123456789");
    size_t at = 0;
    for (size_t i = 0; plain[i] && at + 2 < MOST_LABEL; i++) {
        if (i && i < digits && (digits - i) % 3 == 0) out[at++] = ',';
        out[at++] = plain[i];
    }
    out[at] = 0;
}

const char *number_text(double value, char out[MOST_LABEL]) {
    char plain[MOST_LABEL];
    if (!isfinite(value)) return out[0] = 0, out;
    if (value == 0) return snprintf(out, MOST_LABEL, "0"), out;
    // 9.995 is 10.0, not 10.00: where the three digits round up, they say the size
    snprintf(plain, sizeof plain, "%.2e", fabs(value));
    const int size = atoi(strchr(plain, 'e') + 1);
    if (size > 14 || size < -9) snprintf(plain, sizeof plain, "%.3g", value);
    else snprintf(plain, sizeof plain, "%.*f", size < 2 ? 2 - size : 0, value);
    group_thousands(plain, out);
    return out;
}

// 10.0 as 10, 2.50 as 2.5.
static void drop_zeros(char *number) {
    size_t length = strlen(number);
    if (!strchr(number, '.')) return;
    while (number[length - 1] == '0') length--;
    if (number[length - 1] == '.') length--;
    number[length] = 0;
}

static const char *time_text(double ms, bool tick, char out[MOST_LABEL]) {
    static const struct {
        double ms;
        const char *name;
    } units[] = { { 1e3, "s" }, { 1, "ms" }, { 1e-3, "µs" }, { 1e-6, "ns" }, { 1e-9, "ps" } };
    size_t u = 0;
    char number[MOST_LABEL];
    if (!isfinite(ms)) return out[0] = 0, out;
    if (ms == 0) return snprintf(out, MOST_LABEL, "0"), out;
    while (u < 4 && ms < 0.9995 * units[u].ms) u++;
    const double value = ms / units[u].ms;
    const int size = (int)floor(log10(value) + 1e-9);
    // past the largest unit and below the smallest a tick has no room for zeros
    if (tick && (size > 3 || size < -2))
        snprintf(number, sizeof number, "%.0fe%d", value / pow(10, size), size);
    else number_text(value, number);
    if (tick) drop_zeros(number);
    snprintf(out, MOST_LABEL, "%.40s %s", number, units[u].name);
    return out;
}

const char *ms_text(double ms, char out[MOST_LABEL]) { return time_text(ms, false, out); }
const char *ms_tick_text(double ms, char out[MOST_LABEL]) { return time_text(ms, true, out); }

const char *percent_text(double share, char out[MOST_LABEL]) {
    char number[MOST_LABEL];
    snprintf(out, MOST_LABEL, "%.40s %%", number_text(100 * share, number));
    return out;
}

const char *bytes_text(double bytes, char out[MOST_LABEL]) {
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    size_t u = 0;
    char number[MOST_LABEL];
    if (!isfinite(bytes)) return out[0] = 0, out;
    for (; bytes >= 1024 && u < 4; u++) bytes /= 1024;
    snprintf(number, sizeof number, "%.*f", u && bytes < 10 && bytes != floor(bytes) ? 1 : 0,
             bytes);
    snprintf(out, MOST_LABEL, "%.40s %s", number, units[u]);
    return out;
}

const char *count_text(uint64_t count, char out[MOST_LABEL]) {
    char plain[MOST_LABEL];
    snprintf(plain, sizeof plain, "%" PRIu64, count);
    group_thousands(plain, out);
    return out;
}

const char *lengths_text(const struct shape *shape, char out[MOST_LABEL]) {
    char queries[MOST_LABEL], keys[MOST_LABEL], fewest[MOST_LABEL];
    if (shape->kv_least != shape->kv_len)
        snprintf(out, MOST_LABEL, "%.18s × %.18s–%.18s", count_text(shape->q_len, queries),
                 count_text(shape->kv_least, fewest), count_text(shape->kv_len, keys));
    else if (shape->q_len == shape->kv_len) count_text(shape->kv_len, out);
    else
        snprintf(out, MOST_LABEL, "%.28s × %.28s", count_text(shape->q_len, queries),
                 count_text(shape->kv_len, keys));
    return out;
}

const char *heads_text(const struct shape *s, char out[MOST_LABEL]) {
    int used = 0;
    if (s->batch > 1) used = snprintf(out, MOST_LABEL, "%" PRIu64 " × ", s->batch);
    used += snprintf(out + used, MOST_LABEL - (size_t)used, "%" PRIu64, s->heads);
    if (s->kv_heads != s->heads)
        snprintf(out + used, MOST_LABEL - (size_t)used, " / %" PRIu64, s->kv_heads);
    return out;
}

const char *head_sizes_text(const struct shape *s, char out[MOST_LABEL]) {
    const int used = snprintf(out, MOST_LABEL, "%" PRIu64, s->head_dim);
    if (s->v_head_dim != s->head_dim)
        snprintf(out + used, MOST_LABEL - (size_t)used, " / %" PRIu64, s->v_head_dim);
    return out;
}

void put_setting(FILE *to, const struct shape *s) {
    if (s->batch > 1) fprintf(to, "batch %" PRIu64 ", ", s->batch);
    fprintf(to, "%" PRIu64 " head%s", s->heads, s->heads == 1 ? "" : "s");
    if (s->kv_heads != s->heads) fprintf(to, " on %" PRIu64, s->kv_heads);
    fprintf(to, ", head size %" PRIu64, s->head_dim);
    if (s->v_head_dim != s->head_dim) fprintf(to, " (V’s %" PRIu64 ")", s->v_head_dim);
    fputs(", ", to);
    put_text_within(to, s->dtype, 12);
}

static void put_terms(FILE *to, const char *pattern) {
    fputs("<span class=\"pattern\">", to);
    for (const char *at = pattern, *end; *at; at = end) {
        char term[512];
        end = at + strcspn(at, "+;");
        if (*end) end++;
        snprintf(term, sizeof term, "%.*s", (int)(end - at), at);
        put_text(to, term);
        if (*end) fputs("<wbr>", to);
    }
    fputs("</span>", to);
}

void put_name(FILE *to, const struct shape *s) {
    if (*s->model) {
        put_text(to, s->model);
        fputs(": ", to);
    }
    put_terms(to, s->pattern);
    if (s->causal) fputs(" causal", to);
    if (s->sink_logits) fputs(" sink logits", to);
    if (!*s->asked_kernel) return;
    fputs(" by ", to);
    put_terms(to, s->asked_kernel);
}

void name_text(const struct shape *s, char *out, size_t size) {
    snprintf(out, size, "%s%s%s%s%s%s%s", s->model, *s->model ? ": " : "", s->pattern,
             s->causal ? " causal" : "", s->sink_logits ? " sink logits" : "",
             *s->asked_kernel ? " by " : "", s->asked_kernel);
}
