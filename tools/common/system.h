// SPDX-License-Identifier: MIT
//
// All that the program asks of an operating system: system_posix.c and system_windows.c. Names of
// files are UTF-8 everywhere. What fails says so in errno.
#ifndef TULLE_TOOLS_COMMON_SYSTEM_H
#define TULLE_TOOLS_COMMON_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#ifndef _WIN32
#include <pthread.h>
#endif

// -------------------------------------------------------------------------------------------------
// The program and its terminal

/// Before all else: arguments in UTF-8, and what is printed is written as it is. False: out of
/// memory.
bool system_start(int *argc, char ***argv);

bool is_terminal(FILE *stream);

/// Does the terminal's encoding have block characters? setlocale must have been called.
bool utf8_locale(void);

/// Columns of the terminal on standard output, or 120 where there is none.
int terminal_columns(void);

// -------------------------------------------------------------------------------------------------
// Time and threads

/// Seconds of a clock that never goes back, and what it can tell apart (0: not known).
double now_seconds(void);
double clock_step_seconds(void);

uint32_t processor_count(void);

struct thread {
    void (*body)(void *user);
    void *user;
#ifdef _WIN32
    void *handle;
#else
    pthread_t handle;
#endif
};

/// Runs body(user) on a thread of its own; false where the system has none left. *thread stays
/// where it is until it is joined.
bool thread_start(struct thread *thread, void (*body)(void *user), void *user);
void thread_join(struct thread *thread);

/// The program's one lock.
void system_lock(void);
void system_unlock(void);
/// With the lock held: lets go of it for so long, or until system_wake.
void system_wait(double seconds);
void system_wake(void);

// -------------------------------------------------------------------------------------------------
// Files

struct file_state {
    bool regular;
    uint64_t size;
    uint64_t volume, number;  ///< two names of one file have the same
    unsigned mode;            ///< permissions, as chmod takes them
};

/// Opens a file to read; -1 where it cannot be. Never waits for a pipe's other end.
int file_open(const char *path);
bool file_inspect(int descriptor, struct file_state *state);
/// Reads up to `size` bytes, 1 GiB at most, from `offset` on; 0 at the end, -1 where it fails.
int64_t file_read(int descriptor, void *to, size_t size, uint64_t offset);
void file_close(int descriptor);

/// What parts the folders of a path: one of these.
extern const char *const path_separators;
/// False with ENOENT: there is none.
bool path_inspect(const char *path, struct file_state *state);
/// The name without symbolic links, from malloc; the file is there.
char *path_resolve(const char *path);
/// Makes a file that was not there, to write: its name is `path`, whose last six characters are
/// chosen. `like`: with the permissions of that file; NULL: of any new one.
FILE *path_create(char *path, const struct file_state *like);
/// Gives a file another name, in place of what has it; at once.
bool path_replace(const char *from, const char *to);
/// Gives a file a second name, where the file system can.
bool path_link(const char *from, const char *to);
bool path_remove(const char *path);
/// One that is there already is well.
bool folder_make(const char *path);

/// The user's folder for what may be lost: what snprintf returns of its name; -1: the environment
/// names none.
int cache_parent(char *path, size_t size);
#ifdef _WIN32
#define CACHE_FOLDER_NAME "%LOCALAPPDATA%\\tulle"
#define CACHE_FOLDER_VARIABLES "LOCALAPPDATA names no folder"
#else
#define CACHE_FOLDER_NAME "$XDG_CACHE_HOME/tulle (~/.cache/tulle)"
#define CACHE_FOLDER_VARIABLES "neither XDG_CACHE_HOME nor HOME names a folder"
#endif

/// Calls it when a signal, or the end of the terminal, ends the program. It may call path_remove
/// and no more.
void at_signal(void (*clean)(void));

// -------------------------------------------------------------------------------------------------
// The machine

/// Texts are empty and numbers 0 where they are not known.
struct host {
    char name[256], cpu[256], os[256], kernel[256];
    uint64_t memory_bytes;
    double load;  ///< of the last minute; NaN: not known
};

void host_describe(struct host *host);

/// Opens the Vulkan loader; NULL: there is none. *entry: its vkGetInstanceProcAddr.
void *vulkan_loader_open(void (**entry)(void));
void vulkan_loader_close(void *loader);

#endif
