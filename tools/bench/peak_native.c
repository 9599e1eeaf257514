// SPDX-License-Identifier: MIT
//
// The processor's own peak, to check the peak that a CPU driver's shader reaches (tulle bench
// --verify-peak).
#include "bench/peak.h"

// gcc for Windows puts vectors of 256 bits on a stack that is aligned to 128 (its bug 54412)
#if defined(__x86_64__) && (!defined(_WIN32) || defined(__clang__))
#define WIDE_VECTORS 1
#include <immintrin.h>
#else
#define WIDE_VECTORS 0
#endif

#include "common/system.h"

// some 0.07 s: a virtual machine may take tens of milliseconds to give each thread a core
#define STEPS 32000000
#define MOST_THREADS 256
#define RUNS 5

// As many chains as in shaders/bench/peak.comp. Here they are independent: this compiler keeps the
// order of statements.
#define EACH(X) \
    X(0)        \
    X(1)        \
    X(2)        \
    X(3)        \
    X(4)        \
    X(5)        \
    X(6)        \
    X(7)        \
    X(8)        \
    X(9)        \
    X(10)       \
    X(11)
#define CHAINS 12

typedef float vector4 __attribute__((vector_size(16)));
typedef float vector8 __attribute__((vector_size(32)));
typedef float vector16 __attribute__((vector_size(64)));

static volatile float start_value = 0.25f, sink;

// The multiply and the add are statements of their own: no compiler may fuse them then.
#define STEP_APART(i) t##i = x##i * a;
#define STEP_ADD(i) x##i = t##i + b;
#define START(i) type x##i = a * (float)(i), t##i;
#define UNUSED(i) (void)t##i;
#define SUM(i) a += x##i;

#define DEFINE_CHAINS(name, attributes, vector, body) \
    attributes static void name(void) {               \
        typedef vector type;                          \
        type a = { 0 }, b;                            \
        a = a + start_value;                          \
        b = a + 1.0f;                                 \
        EACH(START)                                   \
        EACH(UNUSED_START)                            \
        for (int n = 0; n < STEPS; n++) {             \
            body                                      \
        }                                             \
        EACH(SUM)                                     \
        sink = a[0];                                  \
    }
#define UNUSED_START(i) \
    t##i = x##i;        \
    UNUSED(i)

#define APART EACH(STEP_APART) EACH(STEP_ADD)

DEFINE_CHAINS(apart_128, , vector4, APART)
#if WIDE_VECTORS
#define TARGET(features) __attribute__((target(features)))
#define STEP_FUSED_256(i) x##i = _mm256_fmadd_ps(x##i, a, b);
#define STEP_FUSED_512(i) x##i = _mm512_fmadd_ps(x##i, a, b);
DEFINE_CHAINS(apart_256, TARGET("avx2"), vector8, APART)
DEFINE_CHAINS(apart_512, TARGET("avx512f"), vector16, APART)
DEFINE_CHAINS(fused_256, TARGET("avx2,fma"), __m256, EACH(STEP_FUSED_256))
DEFINE_CHAINS(fused_512, TARGET("avx512f"), __m512, EACH(STEP_FUSED_512))
#endif

static void (*chains_for(int bits, bool fused))(void) {
    if (bits == 128 && !fused) return apart_128;
#if WIDE_VECTORS
    __builtin_cpu_init();
    if (bits == 256 && __builtin_cpu_supports("avx2"))
        return !fused ? apart_256 : __builtin_cpu_supports("fma") ? fused_256 : NULL;
    if (bits == 512 && __builtin_cpu_supports("avx512f")) return fused ? fused_512 : apart_512;
#endif
    return NULL;
}

struct worker {
    struct thread thread;
    void (*chains)(void);
};

static void work(void *argument) {
    const struct worker *worker = argument;
    worker->chains();
}

double native_peak(int bits, bool fused) {
    static struct worker workers[MOST_THREADS];
    void (*const chains)(void) = chains_for(bits, fused);
    if (!chains) return 0;
    const uint32_t processors = processor_count();
    const int wanted = processors > MOST_THREADS ? MOST_THREADS : (int)processors;
    double best = 0;
    for (int run = 0; run < RUNS; run++) {
        int started = 0;
        const double start = now_seconds();
        while (started < wanted) {
            workers[started].chains = chains;
            if (!thread_start(&workers[started].thread, work, &workers[started])) break;
            started++;
        }
        for (int i = 0; i < started; i++) thread_join(&workers[i].thread);
        const double gflops =
            2.0 * CHAINS * (bits / 32) * STEPS * started / (now_seconds() - start) * 1e-9;
        if (gflops > best) best = gflops;
    }
    return best;
}
