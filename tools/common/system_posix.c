// SPDX-License-Identifier: MIT
#define _DEFAULT_SOURCE 1  // struct winsize, getloadavg
#define _XOPEN_SOURCE 700
#include "common/system.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

// -------------------------------------------------------------------------------------------------
// The program and its terminal

bool system_start(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    return true;
}

bool is_terminal(FILE *stream) { return isatty(fileno(stream)); }

bool utf8_locale(void) {
    const char *codeset = nl_langinfo(CODESET);
    return !strcasecmp(codeset, "UTF-8") || !strcasecmp(codeset, "UTF8");
}

int terminal_columns(void) {
    struct winsize size;
    if (isatty(STDOUT_FILENO) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col >= 20)
        return size.ws_col;
    return 120;
}

// -------------------------------------------------------------------------------------------------
// Time and threads

double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double clock_step_seconds(void) {
    struct timespec step;
    if (clock_getres(CLOCK_MONOTONIC, &step)) return 0;
    return (double)step.tv_sec + 1e-9 * (double)step.tv_nsec;
}

uint32_t processor_count(void) {
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (uint32_t)count;
}

static void *run_body(void *user) {
    struct thread *thread = user;
    thread->body(thread->user);
    return NULL;
}

bool thread_start(struct thread *thread, void (*body)(void *user), void *user) {
    thread->body = body;
    thread->user = user;
    return !pthread_create(&thread->handle, NULL, run_body, thread);
}

void thread_join(struct thread *thread) { pthread_join(thread->handle, NULL); }

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake;
static pthread_once_t wake_once = PTHREAD_ONCE_INIT;

static void make_wake(void) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void system_lock(void) { pthread_mutex_lock(&lock); }
void system_unlock(void) { pthread_mutex_unlock(&lock); }

void system_wait(double seconds) {
    struct timespec until;
    pthread_once(&wake_once, make_wake);
    clock_gettime(CLOCK_MONOTONIC, &until);
    const int64_t ns = until.tv_nsec + (int64_t)(seconds * 1e9);
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_cond_timedwait(&wake, &lock, &until);
}

void system_wake(void) {
    pthread_once(&wake_once, make_wake);
    pthread_cond_broadcast(&wake);
}

// -------------------------------------------------------------------------------------------------
// Files

static void take_state(const struct stat *from, struct file_state *to) {
    *to = (struct file_state){ .regular = S_ISREG(from->st_mode),
                               .size = (uint64_t)from->st_size,
                               .volume = (uint64_t)from->st_dev,
                               .number = (uint64_t)from->st_ino,
                               .mode = from->st_mode & 0777 };
}

int file_open(const char *path) { return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); }

bool file_inspect(int descriptor, struct file_state *state) {
    struct stat found;
    if (fstat(descriptor, &found)) return false;
    take_state(&found, state);
    return true;
}

int64_t file_read(int descriptor, void *to, size_t size, uint64_t offset) {
    // Linux reads no more than about 2 GiB at once
    const size_t step = size < ((size_t)1 << 30) ? size : (size_t)1 << 30;
    for (;;) {
        const ssize_t got = pread(descriptor, to, step, (off_t)offset);
        if (got >= 0 || errno != EINTR) return got;
    }
}

void file_close(int descriptor) { close(descriptor); }

const char *const path_separators = "/";

bool path_inspect(const char *path, struct file_state *state) {
    struct stat found;
    if (stat(path, &found)) return false;
    take_state(&found, state);
    return true;
}

char *path_resolve(const char *path) { return realpath(path, NULL); }

FILE *path_create(char *path, const struct file_state *like) {
    const mode_t mask = umask(0);
    umask(mask);
    const int descriptor = mkstemp(path);
    if (descriptor < 0) return NULL;
    fchmod(descriptor, like ? (mode_t)like->mode : 0666 & ~mask);
    FILE *file = fdopen(descriptor, "wb");
    if (file) return file;
    const int error = errno;
    close(descriptor);
    unlink(path);
    errno = error;
    return NULL;
}

bool path_replace(const char *from, const char *to) { return !rename(from, to); }
bool path_link(const char *from, const char *to) { return !link(from, to); }
bool path_remove(const char *path) { return !unlink(path); }
bool folder_make(const char *path) { return !mkdir(path, 0700) || errno == EEXIST; }

int cache_parent(char *path, size_t size) {
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (base && *base == '/') return snprintf(path, size, "%s", base);
    if (home && *home == '/') return snprintf(path, size, "%s/.cache", home);
    return -1;
}

static void (*clean_up)(void);

static void clean_and_die(int number) {
    clean_up();
    signal(number, SIG_DFL);
    raise(number);
}

void at_signal(void (*clean)(void)) {
    // the last: who reads what is printed may go first
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
    clean_up = clean;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action;
        // What the caller's shell ignores (nohup) stays ignored.
        if (sigaction(numbers[i], NULL, &action) || action.sa_handler != SIG_DFL) continue;
        memset(&action, 0, sizeof action);
        action.sa_handler = clean_and_die;
        sigaction(numbers[i], &action, NULL);
    }
}

// -------------------------------------------------------------------------------------------------
// The machine

// What stands behind `key` in a text file of lines KEY SEPARATOR VALUE, the first.
static void line_value(const char *path, const char *key, char separator, char *found,
                       size_t size) {
    char line[400];
    FILE *file = fopen(path, "r");
    while (file && !*found && fgets(line, sizeof line, file)) {
        char *value = strchr(line, separator);
        if (strncmp(line, key, strlen(key)) || !value) continue;
        value += strspn(value, (const char[]){ separator, ' ', '"', 0 });
        value[strcspn(value, "\"\n")] = 0;
        snprintf(found, size, "%.*s", (int)size - 1, value);
    }
    if (file) fclose(file);
}

void host_describe(struct host *host) {
    struct utsname name;
    memset(host, 0, sizeof *host);
    if (!uname(&name)) {
        snprintf(host->name, sizeof host->name, "%s", name.nodename);
        snprintf(host->kernel, sizeof host->kernel, "%.60s %.80s %.60s", name.sysname, name.release,
                 name.machine);
    }
    line_value("/proc/cpuinfo", "model name", ':', host->cpu, sizeof host->cpu);
    line_value("/etc/os-release", "PRETTY_NAME", '=', host->os, sizeof host->os);
    host->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (getloadavg(&host->load, 1) != 1) host->load = NAN;
}

void *vulkan_loader_open(void (**entry)(void)) {
    void *loader = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    void *symbol = loader ? dlsym(loader, "vkGetInstanceProcAddr") : NULL;
    // POSIX makes this copy right where ISO C has no conversion from an object's to a function's
    // address.
    memcpy(entry, &symbol, sizeof symbol);
    if (symbol) return loader;
    if (loader) dlclose(loader);
    return NULL;
}

void vulkan_loader_close(void *loader) { dlclose(loader); }
