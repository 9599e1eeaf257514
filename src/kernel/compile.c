// SPDX-License-Identifier: MIT
#include "kernel/compile.h"

#include "common/thread.h"

struct job {
    struct thread thread;
    struct pipeline_cache *cache;
    const struct wanted *wanted;
    bool elsewhere;  ///< on a thread of its own
    tulle_result result;
    tulle_error error;
};

static void run_job(void *user) {
    struct job *job = user;
    job->result = pipeline_get(job->cache, &job->wanted->key, job->wanted->out, &job->error);
}

tulle_result compile_wanted(struct pipeline_cache *cache, const struct wanted *wanted,
                            uint32_t count, uint32_t threads, double *compile_ms,
                            tulle_error *error) {
    struct job jobs[COMPILE_MOST];
    uint32_t missing = 0, failed = 0;
    *compile_ms = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!pipeline_ready(cache, &wanted[i].key, wanted[i].out))
            jobs[missing++] = (struct job){ .cache = cache, .wanted = &wanted[i] };
    if (!missing) return TULLE_OK;
    const double start = clock_ms();
    // The first is the caller's; where the system has no thread left the others are too.
    for (uint32_t i = 1; i < missing && i < threads; i++)
        jobs[i].elsewhere = thread_start(&jobs[i].thread, run_job, &jobs[i]);
    for (uint32_t i = 0; i < missing; i++) {
        if (jobs[i].elsewhere) continue;
        run_job(&jobs[i]);
        if (jobs[i].result) break;
    }
    for (uint32_t i = 0; i < missing; i++)
        if (jobs[i].elsewhere) thread_join(&jobs[i].thread);
    *compile_ms = clock_ms() - start;
    while (failed < missing && !jobs[failed].result) failed++;
    if (failed == missing) return TULLE_OK;
    if (error) *error = jobs[failed].error;
    return jobs[failed].result;
}
