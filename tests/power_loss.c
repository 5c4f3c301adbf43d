/* What a disk has when the power goes: a journal of what a process does to the files below a directory, so that a test
 * can take back what was not yet synced. Loaded with LD_PRELOAD by tests/queue_power_loss.rs, which compiles it; no part
 * of the product.
 *
 * Every change is made to the real file at once, so that the process sees what it wrote. Before that it is written down
 * with what was there before, and fsync and fdatasync are written down after they are done. The journal is in the page
 * cache, which outlives the process. The test kills it, and goes back.
 *
 *   POWER_LOSS_STATE    the directory (without a slash at the end)
 *   POWER_LOSS_JOURNAL  another one on the same file system: `journal`, and removed files by the number of their record
 *
 * Not followed: SQLite's -shm (memory, rebuilt at start), the lock file (empty), files without a name. What would get
 * past this, such as rename or a shared mapping, is written down as UNSUPPORTED, and the test fails. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE = 1, TRUNCATE, SYNC, CREATE, UNLINK, MKDIR, UNSUPPORTED };

/* As the test reads it: little endian, without gaps, followed by new octets, old octets and path. */
struct record {
    uint64_t kind;
    uint64_t inode;  /* of the file; of the directory for CREATE, UNLINK and MKDIR */
    uint64_t offset; /* WRITE: where; TRUNCATE: the new size; SYNC: records that were there when it began */
    uint64_t size;   /* of the file before */
    uint64_t new_length, old_length, path_length;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static uint64_t records;
static const char *state, *directory;

#define REAL(type, name, ...)                                  \
    static type (*real)(__VA_ARGS__);                          \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

static void fatal(const char *what) {
    perror(what);
    abort();
}

static int real_open(const char *path, int flags, mode_t mode) {
    REAL(int, "open64", const char *, int, ...);
    return real(path, flags, mode);
}

static ssize_t real_pwrite(int fd, const void *octets, size_t length, off_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    return real(fd, octets, length, at);
}

__attribute__((constructor)) static void begin(void) {
    char path[4096];
    state = getenv("POWER_LOSS_STATE");
    directory = getenv("POWER_LOSS_JOURNAL");
    if (!state || !directory) return;
    snprintf(path, sizeof path, "%s/journal", directory);
    journal = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) fatal(path);
    unsetenv("LD_PRELOAD");
}

static int below(const char *path) {
    size_t length = state ? strlen(state) : 0;
    size_t end = strlen(path);
    if (!length || strncmp(path, state, length) || (path[length] && path[length] != '/')) return 0;
    if (end > 4 && !strcmp(path + end - 4, "-shm")) return 0;
    if (end > 5 && !strcmp(path + end - 5, ".lock")) return 0;
    return end < 10 || strcmp(path + end - 10, " (deleted)");
}

/* Whether a descriptor is a file or directory of ours. It may have been duplicated: so it is asked each time. */
static int is_ours(int fd, struct stat *seen, char path[4096]) {
    char name[64];
    ssize_t length;
    int before = errno;
    if (journal < 0 || fd == journal || fstat(fd, seen)) return errno = before, 0;
    if (!S_ISREG(seen->st_mode) && !S_ISDIR(seen->st_mode)) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    length = readlink(name, path, 4095);
    if (length <= 0) return errno = before, 0;
    path[length] = 0;
    return below(path);
}

static void put(struct record record, const void *new_octets, const void *old_octets, const char *path) {
    struct iovec parts[4] = {
        {&record, sizeof record},
        {(void *)new_octets, record.new_length},
        {(void *)old_octets, record.old_length},
        {(void *)path, record.path_length = path ? strlen(path) : 0},
    };
    size_t all = sizeof record + record.new_length + record.old_length + record.path_length;
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (real(journal, parts, 4) != (ssize_t)all) fatal("power loss journal");
    records++;
}

static void unsupported(const char *what) {
    pthread_mutex_lock(&lock);
    put((struct record){.kind = UNSUPPORTED}, 0, 0, what);
    pthread_mutex_unlock(&lock);
}

/* What is in a file from there on; read through another descriptor, since this one may be for writing alone. */
static char *content(int fd, off_t at, size_t length) {
    char name[64];
    char *octets = malloc(length + 1);
    int again;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    again = real_open(name, O_RDONLY | O_CLOEXEC, 0);
    if (again < 0 || !octets || pread(again, octets, length, at) != (ssize_t)length) fatal("content");
    close(again);
    return octets;
}

/* With the lock. */
static void before_write(int fd, const struct stat *seen, const void *octets, size_t length, off_t at) {
    off_t end = at + (off_t)length < seen->st_size ? at + (off_t)length : seen->st_size;
    size_t old = end > at ? (size_t)(end - at) : 0;
    char *before = content(fd, at, old);
    put((struct record){.kind = WRITE, .inode = seen->st_ino, .offset = at, .size = seen->st_size,
                        .new_length = length, .old_length = old},
        octets, before, 0);
    free(before);
}

static void before_truncate(int fd, const struct stat *seen, off_t size) {
    size_t old = size < seen->st_size ? (size_t)(seen->st_size - size) : 0;
    char *before = content(fd, size, old);
    put((struct record){.kind = TRUNCATE, .inode = seen->st_ino, .offset = size, .size = seen->st_size,
                        .old_length = old},
        0, before, 0);
    free(before);
}

ssize_t write(int fd, const void *octets, size_t length) {
    struct stat seen;
    char path[4096];
    ssize_t written;
    REAL(ssize_t, "write", int, const void *, size_t);
    if (!is_ours(fd, &seen, path)) return real(fd, octets, length);
    pthread_mutex_lock(&lock);
    fstat(fd, &seen);
    before_write(fd, &seen, octets, length,
                 fcntl(fd, F_GETFL) & O_APPEND ? seen.st_size : lseek(fd, 0, SEEK_CUR));
    written = real(fd, octets, length);
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t pwrite64(int fd, const void *octets, size_t length, off_t at) {
    struct stat seen;
    char path[4096];
    ssize_t written;
    if (!is_ours(fd, &seen, path)) return real_pwrite(fd, octets, length, at);
    pthread_mutex_lock(&lock);
    fstat(fd, &seen);
    before_write(fd, &seen, octets, length, at);
    written = real_pwrite(fd, octets, length, at);
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t pwrite(int fd, const void *octets, size_t length, off_t at) { return pwrite64(fd, octets, length, at); }

int ftruncate64(int fd, off_t size) {
    struct stat seen;
    char path[4096];
    int done;
    REAL(int, "ftruncate64", int, off_t);
    if (!is_ours(fd, &seen, path)) return real(fd, size);
    pthread_mutex_lock(&lock);
    fstat(fd, &seen);
    before_truncate(fd, &seen, size);
    done = real(fd, size);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int synced(int fd, int (*real)(int)) {
    struct stat seen;
    char path[4096];
    uint64_t before;
    int done;
    if (!is_ours(fd, &seen, path)) return real(fd);
    pthread_mutex_lock(&lock);
    before = records;
    pthread_mutex_unlock(&lock);
    done = real(fd);
    if (done) return done;
    pthread_mutex_lock(&lock);
    put((struct record){.kind = SYNC, .inode = seen.st_ino, .offset = before}, 0, 0, path);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    return synced(fd, real);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    return synced(fd, real);
}

static uint64_t inode_of_parent(const char *path) {
    char parent[4096];
    struct stat seen;
    char *slash;
    snprintf(parent, sizeof parent, "%s", path);
    slash = strrchr(parent, '/');
    if (slash) *slash = 0;
    if (stat(parent, &seen)) fatal(parent);
    return seen.st_ino;
}

/* Absolute paths alone: what is below a directory that the configuration names. */
static int opened(const char *path, int flags, mode_t mode) {
    struct stat seen;
    int fd, is_new;
    if (journal < 0 || !below(path) || (flags & O_TMPFILE) == O_TMPFILE) return real_open(path, flags, mode);
    if (!(flags & (O_CREAT | O_TRUNC))) return real_open(path, flags, mode);
    pthread_mutex_lock(&lock);
    is_new = stat(path, &seen) != 0;
    if (!is_new && flags & O_TRUNC) {
        fd = real_open(path, O_RDONLY | O_CLOEXEC, 0);
        if (fd < 0) fatal(path);
        before_truncate(fd, &seen, 0);
        close(fd);
    }
    fd = real_open(path, flags, mode);
    if (fd >= 0 && is_new) {
        int before = errno;
        put((struct record){.kind = CREATE, .inode = inode_of_parent(path)}, 0, 0, path);
        errno = before;
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE(flags)                                    \
    mode_t mode = 0;                                   \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list more;                                  \
        va_start(more, flags);                         \
        mode = va_arg(more, mode_t);                   \
        va_end(more);                                  \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return opened(path, flags, mode);
}

static int opened_at(int at, const char *path, int flags, mode_t mode) {
    REAL(int, "openat64", int, const char *, int, ...);
    if (path[0] == '/') return opened(path, flags, mode);
    struct stat seen;
    char base[4096];
    if (flags & O_CREAT && at != AT_FDCWD && is_ours(at, &seen, base)) unsupported("openat");
    return real(at, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...) {
    MODE(flags)
    return opened_at(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...) {
    MODE(flags)
    return opened_at(at, path, flags, mode);
}

int unlink(const char *path) {
    char kept[4200];
    int done;
    REAL(int, "unlink", const char *);
    if (journal < 0 || !below(path)) return real(path);
    pthread_mutex_lock(&lock);
    snprintf(kept, sizeof kept, "%s/%llu", directory, (unsigned long long)records);
    if (!link(path, kept)) put((struct record){.kind = UNLINK, .inode = inode_of_parent(path)}, 0, 0, path);
    done = real(path);
    pthread_mutex_unlock(&lock);
    return done;
}

int mkdir(const char *path, mode_t mode) {
    int done;
    REAL(int, "mkdir", const char *, mode_t);
    if (journal < 0 || !below(path)) return real(path, mode);
    pthread_mutex_lock(&lock);
    done = real(path, mode);
    if (!done) put((struct record){.kind = MKDIR, .inode = inode_of_parent(path)}, 0, 0, path);
    pthread_mutex_unlock(&lock);
    return done;
}

/* What is not followed. */

int unlinkat(int at, const char *path, int flags) {
    struct stat seen;
    char base[4096];
    REAL(int, "unlinkat", int, const char *, int);
    if (at != AT_FDCWD ? is_ours(at, &seen, base) : below(path)) unsupported("unlinkat");
    return real(at, path, flags);
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    if (journal >= 0 && (below(from) || below(to))) unsupported("rename");
    return real(from, to);
}

int rmdir(const char *path) {
    REAL(int, "rmdir", const char *);
    if (journal >= 0 && below(path)) unsupported("rmdir");
    return real(path);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    struct stat seen;
    char path[4096];
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (is_ours(fd, &seen, path)) unsupported("writev");
    return real(fd, parts, count);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) {
    struct stat seen;
    char path[4096];
    REAL(ssize_t, "pwritev64", int, const struct iovec *, int, off_t);
    if (is_ours(fd, &seen, path)) unsupported("pwritev");
    return real(fd, parts, count, at);
}

int fallocate64(int fd, int mode, off_t at, off_t length) {
    struct stat seen;
    char path[4096];
    REAL(int, "fallocate64", int, int, off_t, off_t);
    if (is_ours(fd, &seen, path)) unsupported("fallocate");
    return real(fd, mode, at, length);
}

int posix_fallocate64(int fd, off_t at, off_t length) {
    struct stat seen;
    char path[4096];
    REAL(int, "posix_fallocate64", int, off_t, off_t);
    if (is_ours(fd, &seen, path)) unsupported("posix_fallocate");
    return real(fd, at, length);
}

ssize_t copy_file_range(int from, off_t *from_at, int fd, off_t *at, size_t length, unsigned flags) {
    struct stat seen;
    char path[4096];
    REAL(ssize_t, "copy_file_range", int, off_t *, int, off_t *, size_t, unsigned);
    if (is_ours(fd, &seen, path)) unsupported("copy_file_range");
    return real(from, from_at, fd, at, length, flags);
}

ssize_t sendfile64(int fd, int from, off_t *at, size_t length) {
    struct stat seen;
    char path[4096];
    REAL(ssize_t, "sendfile64", int, int, off_t *, size_t);
    if (is_ours(fd, &seen, path)) unsupported("sendfile");
    return real(fd, from, at, length);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t at) {
    struct stat seen;
    char path[4096];
    REAL(void *, "mmap64", void *, size_t, int, int, int, off_t);
    if (fd >= 0 && protection & PROT_WRITE && flags & MAP_SHARED && is_ours(fd, &seen, path)) unsupported("mmap");
    return real(address, length, protection, flags, fd, at);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t at) {
    return mmap64(address, length, protection, flags, fd, at);
}
