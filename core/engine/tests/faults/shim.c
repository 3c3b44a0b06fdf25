/* Makes a call of the C library fail on files below a folder: for tests of what a program does when
   the system fails it. Loaded with LD_PRELOAD; told what to do by the environment:

   FAULT_FOLDER  files below it count
   FAULT_KIND    open, write, sync, rename, mkdir, unlink or truncate
   FAULT_AT      which call of the kind fails, from 1; 0 for none
   FAULT_ERRNO   with which error
   FAULT_FROM_ON 1 if all later ones fail, too, as on a full disk
   FAULT_PARTLY  1 if half of what is to be written is written before
   FAULT_COUNTS  file that gets the number of calls of the kind */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

static int counts(const char *kind, const char *path) {
    const char *wanted = getenv("FAULT_KIND"), *folder = getenv("FAULT_FOLDER");
    return wanted && folder && path && !strcmp(wanted, kind) && !strncmp(path, folder, strlen(folder));
}

/* Whether this call is to fail; sets errno. */
static int fails(const char *kind, const char *path) {
    if (!counts(kind, path)) return 0;
    long call = atomic_fetch_add(&calls, 1) + 1, at = number("FAULT_AT");
    if (at == 0 || call < at || (call > at && !number("FAULT_FROM_ON"))) return 0;
    errno = (int)number("FAULT_ERRNO");
    return 1;
}

static int fails_on(const char *kind, int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(kind, path);
}

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("FAULT_COUNTS");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%ld\n", (long)calls);
    fclose(file);
}

#define MODE(flags)                                                                                \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                         \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode = va_arg(rest, mode_t);                                                               \
        va_end(rest);                                                                              \
    }

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        MODE(flags)                                                                                \
        return fails("open", path) ? -1 : NEXT(name)(path, flags, mode);                           \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                               \
    int name(int folder, const char *path, int flags, ...) {                                       \
        MODE(flags)                                                                                \
        return fails("open", path) ? -1 : NEXT(name)(folder, path, flags, mode);                   \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int file, const void *bytes, size_t count) {
    if (!fails_on("write", file)) return NEXT(write)(file, bytes, count);
    int error = errno;
    if (number("FAULT_PARTLY")) NEXT(write)(file, bytes, count / 2);
    errno = error;
    return -1;
}

#define PWRITE(name, offset_type)                                                                  \
    ssize_t name(int file, const void *bytes, size_t count, offset_type offset) {                  \
        if (!fails_on("write", file)) return NEXT(name)(file, bytes, count, offset);               \
        int error = errno;                                                                         \
        if (number("FAULT_PARTLY")) NEXT(name)(file, bytes, count / 2, offset);                    \
        errno = error;                                                                             \
        return -1;                                                                                 \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

int fsync(int file) { return fails_on("sync", file) ? -1 : NEXT(fsync)(file); }
int fdatasync(int file) { return fails_on("sync", file) ? -1 : NEXT(fdatasync)(file); }
int ftruncate(int file, off_t size) { return fails_on("truncate", file) ? -1 : NEXT(ftruncate)(file, size); }
int ftruncate64(int file, off64_t size) {
    return fails_on("truncate", file) ? -1 : NEXT(ftruncate64)(file, size);
}
int rename(const char *from, const char *to) { return fails("rename", to) ? -1 : NEXT(rename)(from, to); }
int mkdir(const char *path, mode_t mode) { return fails("mkdir", path) ? -1 : NEXT(mkdir)(path, mode); }
int unlink(const char *path) { return fails("unlink", path) ? -1 : NEXT(unlink)(path); }
