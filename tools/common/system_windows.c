// SPDX-License-Identifier: MIT
//
// Windows 7 and later. Its names of files are UTF-16, its errors its own: `wide` and `set_errno`.
#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0601
#include "common/system.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#include <shellapi.h>

#ifndef ENABLE_VIRTUAL_TERMINAL_PROCESSING
#define ENABLE_VIRTUAL_TERMINAL_PROCESSING 4
#endif

// -------------------------------------------------------------------------------------------------
// Text and errors

static wchar_t *wide(const char *text) {
    const int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *result = length > 0 ? malloc((size_t)length * sizeof *result) : NULL;
    if (result) MultiByteToWideChar(CP_UTF8, 0, text, -1, result, length);
    else errno = length > 0 ? ENOMEM : EILSEQ;
    return result;
}

static char *narrow(const wchar_t *text) {
    const int length = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *result = length > 0 ? malloc((size_t)length) : NULL;
    if (result) WideCharToMultiByte(CP_UTF8, 0, text, -1, result, length, NULL, NULL);
    else errno = length > 0 ? ENOMEM : EILSEQ;
    return result;
}

static void set_errno(void) {
    switch (GetLastError()) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_NAME:
    case ERROR_INVALID_DRIVE:
    case ERROR_BAD_NETPATH: errno = ENOENT; break;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
    case ERROR_WRITE_PROTECT: errno = EACCES; break;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS: errno = EEXIST; break;
    case ERROR_DISK_FULL: errno = ENOSPC; break;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY: errno = ENOMEM; break;
    default: errno = EIO; break;
    }
}

// -------------------------------------------------------------------------------------------------
// The program and its terminal

static UINT console_encoding;  // as it was before us

static void restore_console(void) { SetConsoleOutputCP(console_encoding); }

static void start_console(void) {
    static const DWORD streams[] = { STD_OUTPUT_HANDLE, STD_ERROR_HANDLE };
    DWORD mode;
    _setmode(_fileno(stdout), _O_BINARY);
    _setmode(_fileno(stderr), _O_BINARY);
    console_encoding = GetConsoleOutputCP();  // 0: no console
    if (console_encoding && SetConsoleOutputCP(CP_UTF8)) atexit(restore_console);
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        const HANDLE handle = GetStdHandle(streams[i]);
        if (GetConsoleMode(handle, &mode))
            SetConsoleMode(handle, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
    }
}

bool system_start(int *argc, char ***argv) {
    int count = 0;
    start_console();
    wchar_t **given = CommandLineToArgvW(GetCommandLineW(), &count);
    char **arguments = calloc((size_t)count + 1, sizeof *arguments);  // for as long as we run
    bool good = given && arguments;
    for (int i = 0; good && i < count; i++) good = (arguments[i] = narrow(given[i])) != NULL;
    LocalFree(given);
    *argc = count;
    *argv = arguments;
    return good;
}

bool is_terminal(FILE *stream) {
    DWORD mode;
    return GetConsoleMode((HANDLE)_get_osfhandle(_fileno(stream)), &mode);
}

bool utf8_locale(void) { return !is_terminal(stdout) || GetConsoleOutputCP() == CP_UTF8; }

int terminal_columns(void) {
    CONSOLE_SCREEN_BUFFER_INFO info;
    if (!GetConsoleScreenBufferInfo(GetStdHandle(STD_OUTPUT_HANDLE), &info)) return 120;
    const int columns = info.srWindow.Right - info.srWindow.Left + 1;
    return columns >= 20 ? columns : 120;
}

// -------------------------------------------------------------------------------------------------
// Time and threads

double clock_step_seconds(void) {
    LARGE_INTEGER per_second;  // neither this call nor the next fails since Windows XP
    QueryPerformanceFrequency(&per_second);
    return 1 / (double)per_second.QuadPart;
}

double now_seconds(void) {
    LARGE_INTEGER ticks;
    QueryPerformanceCounter(&ticks);
    return (double)ticks.QuadPart * clock_step_seconds();
}

uint32_t processor_count(void) { return GetActiveProcessorCount(ALL_PROCESSOR_GROUPS); }

static DWORD WINAPI run_body(LPVOID user) {
    struct thread *thread = user;
    thread->body(thread->user);
    return 0;
}

bool thread_start(struct thread *thread, void (*body)(void *user), void *user) {
    thread->body = body;
    thread->user = user;
    thread->handle = CreateThread(NULL, 0, run_body, thread, 0, NULL);
    return thread->handle != NULL;
}

void thread_join(struct thread *thread) {
    WaitForSingleObject(thread->handle, INFINITE);
    CloseHandle(thread->handle);
}

static SRWLOCK lock = SRWLOCK_INIT;
static CONDITION_VARIABLE wake = CONDITION_VARIABLE_INIT;

void system_lock(void) { AcquireSRWLockExclusive(&lock); }
void system_unlock(void) { ReleaseSRWLockExclusive(&lock); }
void system_wait(double seconds) {
    SleepConditionVariableSRW(&wake, &lock, (DWORD)(seconds * 1000), 0);
}
void system_wake(void) { WakeAllConditionVariable(&wake); }

// -------------------------------------------------------------------------------------------------
// Files

static HANDLE open_path(const char *path, DWORD access) {
    wchar_t *name = wide(path);
    if (!name) return INVALID_HANDLE_VALUE;
    // BACKUP_SEMANTICS: folders open too, and are refused as what they are
    const HANDLE handle =
        CreateFileW(name, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                    OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    if (handle == INVALID_HANDLE_VALUE) set_errno();
    free(name);
    return handle;
}

static bool inspect(HANDLE handle, struct file_state *state) {
    BY_HANDLE_FILE_INFORMATION info;
    *state = (struct file_state){ 0 };
    if (GetFileType(handle) != FILE_TYPE_DISK) return true;  // a console, a pipe
    if (!GetFileInformationByHandle(handle, &info)) {
        set_errno();
        return false;
    }
    state->regular = !(info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY);
    state->size = (uint64_t)info.nFileSizeHigh << 32 | info.nFileSizeLow;
    state->volume = info.dwVolumeSerialNumber;
    state->number = (uint64_t)info.nFileIndexHigh << 32 | info.nFileIndexLow;
    return true;
}

int file_open(const char *path) {
    const HANDLE handle = open_path(path, GENERIC_READ);
    if (handle == INVALID_HANDLE_VALUE) return -1;
    const int descriptor = _open_osfhandle((intptr_t)handle, _O_RDONLY | _O_BINARY);
    if (descriptor < 0) CloseHandle(handle);
    return descriptor;
}

bool file_inspect(int descriptor, struct file_state *state) {
    return inspect((HANDLE)_get_osfhandle(descriptor), state);
}

int64_t file_read(int descriptor, void *to, size_t size, uint64_t offset) {
    const DWORD step = size < ((size_t)1 << 30) ? (DWORD)size : (DWORD)1 << 30;
    OVERLAPPED at = { .Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32) };
    DWORD got = 0;
    if (ReadFile((HANDLE)_get_osfhandle(descriptor), to, step, &got, &at)) return got;
    if (GetLastError() == ERROR_HANDLE_EOF) return 0;
    set_errno();
    return -1;
}

void file_close(int descriptor) { _close(descriptor); }

const char *const path_separators = "/\\";

bool path_inspect(const char *path, struct file_state *state) {
    const HANDLE handle = open_path(path, 0);
    if (handle == INVALID_HANDLE_VALUE) return false;
    const bool good = inspect(handle, state);
    CloseHandle(handle);
    return good;
}

char *path_resolve(const char *path) {
    const HANDLE handle = open_path(path, 0);
    if (handle == INVALID_HANDLE_VALUE) return NULL;
    const DWORD size = GetFinalPathNameByHandleW(handle, NULL, 0, 0);
    wchar_t *name = size ? malloc(((size_t)size + 1) * sizeof *name) : NULL;
    char *result = NULL;
    if (!size) set_errno();
    else if (!name) errno = ENOMEM;
    else if (!GetFinalPathNameByHandleW(handle, name, size + 1, 0)) set_errno();
    else result = narrow(!wcsncmp(name, L"\\\\?\\", 4) && name[5] == L':' ? name + 4 : name);
    free(name);
    CloseHandle(handle);
    return result;
}

// A new file that may be removed while it is open.
static HANDLE create_new(const char *path) {
    wchar_t *name = wide(path);
    if (!name) return INVALID_HANDLE_VALUE;
    const HANDLE handle =
        CreateFileW(name, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL,
                    CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
    if (handle == INVALID_HANDLE_VALUE) set_errno();
    free(name);
    return handle;
}

FILE *path_create(char *path, const struct file_state *like) {
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz012345";
    char *end = path + strlen(path) - 6;
    HANDLE handle = INVALID_HANDLE_VALUE;
    (void)like;  // what may be done with it, its folder says
    for (int attempt = 0; attempt < 100; attempt++) {
        LARGE_INTEGER ticks;
        QueryPerformanceCounter(&ticks);
        uint64_t number = (uint64_t)ticks.QuadPart * 0x9E3779B97F4A7C15u ^ GetCurrentProcessId();
        for (int i = 0; i < 6; i++, number >>= 5) end[i] = digits[number & 31];
        handle = create_new(path);
        if (handle != INVALID_HANDLE_VALUE || errno != EEXIST) break;
    }
    if (handle == INVALID_HANDLE_VALUE) return NULL;
    const int descriptor = _open_osfhandle((intptr_t)handle, _O_BINARY);
    FILE *file = descriptor < 0 ? NULL : _fdopen(descriptor, "wb");
    if (file) return file;
    if (descriptor < 0) CloseHandle(handle);
    else _close(descriptor);
    path_remove(path);
    errno = EMFILE;
    return NULL;
}

bool path_replace(const char *from, const char *to) {
    wchar_t *old_name = wide(from), *new_name = wide(to);
    bool good = old_name && new_name;
    if (good && !(good = MoveFileExW(old_name, new_name, MOVEFILE_REPLACE_EXISTING))) set_errno();
    free(old_name);
    free(new_name);
    return good;
}

bool path_link(const char *from, const char *to) {
    wchar_t *old_name = wide(from), *new_name = wide(to);
    bool good = old_name && new_name;
    if (good && !(good = CreateHardLinkW(new_name, old_name, NULL))) set_errno();
    free(old_name);
    free(new_name);
    return good;
}

bool path_remove(const char *path) {
    wchar_t *name = wide(path);
    const bool good = name && DeleteFileW(name);
    if (name && !good) set_errno();
    free(name);
    return good;
}

bool folder_make(const char *path) {
    wchar_t *name = wide(path);
    const bool good =
        name && (CreateDirectoryW(name, NULL) || GetLastError() == ERROR_ALREADY_EXISTS);
    if (name && !good) set_errno();
    free(name);
    return good;
}

int cache_parent(char *path, size_t size) {
    const wchar_t *value = _wgetenv(L"LOCALAPPDATA");
    char *base = value && *value ? narrow(value) : NULL;
    const int length = base ? snprintf(path, size, "%s", base) : -1;
    free(base);
    return length;
}

static void (*clean_up)(void);

static BOOL WINAPI on_console_event(DWORD event) {
    (void)event;
    clean_up();
    return FALSE;  // and we end, as without it
}

void at_signal(void (*clean)(void)) {
    clean_up = clean;
    SetConsoleCtrlHandler(on_console_event, TRUE);
}

// -------------------------------------------------------------------------------------------------
// The machine

static void registry_text(const wchar_t *key, const wchar_t *name, char *to, size_t size) {
    wchar_t value[200];
    DWORD bytes = sizeof value;
    if (RegGetValueW(HKEY_LOCAL_MACHINE, key, name, RRF_RT_REG_SZ, NULL, value, &bytes)) return;
    char *text = narrow(value);
    if (text) snprintf(to, size, "%s", text);
    free(text);
}

void host_describe(struct host *host) {
    static const wchar_t version[] = L"SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";
    MEMORYSTATUSEX memory = { .dwLength = sizeof memory };
    char build[40] = "";
    DWORD size = sizeof host->name;
    memset(host, 0, sizeof *host);
    if (!GetComputerNameA(host->name, &size)) host->name[0] = 0;
    registry_text(L"HARDWARE\\DESCRIPTION\\System\\CentralProcessor\\0", L"ProcessorNameString",
                  host->cpu, sizeof host->cpu);
    registry_text(version, L"ProductName", host->os, sizeof host->os);
    registry_text(version, L"CurrentBuild", build, sizeof build);
    if (*build) snprintf(host->kernel, sizeof host->kernel, "Windows NT, build %s", build);
    if (GlobalMemoryStatusEx(&memory)) host->memory_bytes = memory.ullTotalPhys;
    host->load = NAN;
}

void *vulkan_loader_open(void (**entry)(void)) {
    const HMODULE loader = LoadLibraryW(L"vulkan-1.dll");
    *entry = loader ? (void (*)(void))GetProcAddress(loader, "vkGetInstanceProcAddr") : NULL;
    if (*entry) return loader;
    if (loader) FreeLibrary(loader);
    return NULL;
}

void vulkan_loader_close(void *loader) { FreeLibrary(loader); }
