/* A disk that can lose its power, fill up and fail, for the tests of this folder (LD_PRELOAD).
 *
 * Files below DISK_LIVE are used as always. What is on the "platters" is kept in DISK_DURABLE: what
 * was synced, and some sectors of what was not, as if the system had begun to write it. Files of the
 * folder DISK_FAULTS switch faults on:
 *
 *   full        writes find no room (ENOSPC)
 *   fsync       syncs fail (EIO), and what they were to write is forgotten, as Linux does
 *   fsync-once  the same, for one sync
 *   read-only   files open for reading only (EROFS)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS 4096
#define FILES 64
#define SECTOR 512

struct range { off_t at; size_t length; };
struct file {
    char name[256];
    int durable;
    struct range *dirty;
    size_t count, room;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file files[FILES];
static int used;
static struct file *of_fd[FDS];
static char live_fd[FDS];
static unsigned seed;

#define REAL(type, name, ...)                                                  \
    static type (*real)(__VA_ARGS__);                                          \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int fault(const char *name) {
    const char *folder = getenv("DISK_FAULTS");
    char path[4096];
    if (!folder) return 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static int fault_once(const char *name) {
    char path[4096];
    if (!fault(name)) return 0;
    snprintf(path, sizeof path, "%s/%s", getenv("DISK_FAULTS"), name);
    return unlink(path) == 0;
}

static const char *live_name(const char *path) {
    const char *live = getenv("DISK_LIVE");
    size_t length = live ? strlen(live) : 0;
    if (!length || strncmp(path, live, length) || path[length] != '/') return NULL;
    return path + length + 1;
}

/* -shm is made again after a crash, and -lock is empty. */
static int is_durable(const char *name) {
    size_t length = strlen(name);
    return getenv("DISK_DURABLE") && !(length > 4 && !strcmp(name + length - 4, "-shm")) &&
           !(length > 5 && !strcmp(name + length - 5, "-lock"));
}

static void durable_path(const char *name, char *path, size_t size) {
    snprintf(path, size, "%s/%s", getenv("DISK_DURABLE"), name);
}

static int plain_open(const char *path, int flags, mode_t mode) {
    REAL(int, "open64", const char *, int, ...);
    return real(path, flags, mode);
}

static ssize_t plain_pwrite(int fd, const void *bytes, size_t length, off_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    return real(fd, bytes, length, at);
}

static int plain_truncate(int fd, off_t length) {
    REAL(int, "ftruncate64", int, off_t);
    return real(fd, length);
}

static struct file *find(const char *name) {
    char path[4096];
    for (int i = 0; i < used; i++)
        if (!strcmp(files[i].name, name)) return &files[i];
    if (used == FILES) abort();
    struct file *file = &files[used++];
    snprintf(file->name, sizeof file->name, "%s", name);
    durable_path(name, path, sizeof path);
    file->durable = plain_open(path, O_RDWR | O_CREAT, 0644);
    if (file->durable < 0) abort();
    return file;
}

static int opened(const char *path, int fd, int flags) {
    const char *name = live_name(path);
    if (fd < 0 || fd >= FDS || !name) return fd;
    pthread_mutex_lock(&lock);
    live_fd[fd] = 1;
    of_fd[fd] = (flags & O_DIRECTORY) || !is_durable(name) ? NULL : find(name);
    pthread_mutex_unlock(&lock);
    return fd;
}

static int open_with(const char *path, int flags, mode_t mode) {
    if (live_name(path) && (flags & O_ACCMODE) != O_RDONLY && fault("read-only")) {
        errno = EROFS;
        return -1;
    }
    return opened(path, plain_open(path, flags, mode), flags);
}

#define OPEN(name)                                                             \
    int name(const char *path, int flags, ...) {                               \
        va_list arguments;                                                     \
        va_start(arguments, flags);                                            \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0; \
        va_end(arguments);                                                     \
        return open_with(path, flags, mode);                                   \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    REAL(int, "close", int);
    if (fd >= 0 && fd < FDS) {
        pthread_mutex_lock(&lock);
        of_fd[fd] = NULL;
        live_fd[fd] = 0;
        pthread_mutex_unlock(&lock);
    }
    return real(fd);
}

/* Notes what was written, and writes some of its sectors to the platters at once. */
static void note(struct file *file, const char *bytes, size_t length, off_t at) {
    pthread_mutex_lock(&lock);
    if (!seed) seed = getenv("DISK_SEED") ? (unsigned)atoi(getenv("DISK_SEED")) : 1;
    if (file->count == file->room) {
        file->room = file->room ? file->room * 2 : 64;
        file->dirty = realloc(file->dirty, file->room * sizeof *file->dirty);
        if (!file->dirty) abort();
    }
    file->dirty[file->count++] = (struct range){at, length};
    for (size_t from = 0; from < length; from += SECTOR) {
        size_t part = length - from < SECTOR ? length - from : SECTOR;
        if (rand_r(&seed) % 4 == 0) plain_pwrite(file->durable, bytes + from, part, at + from);
    }
    pthread_mutex_unlock(&lock);
}

static int has_no_room(int fd) {
    if (fd < 0 || fd >= FDS || !live_fd[fd] || !fault("full")) return 0;
    errno = ENOSPC;
    return 1;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    if (has_no_room(fd)) return -1;
    struct file *file = fd >= 0 && fd < FDS ? of_fd[fd] : NULL;
    off_t at = file ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t written = real(fd, bytes, length);
    if (file && written > 0) note(file, bytes, (size_t)written, at);
    return written;
}

static ssize_t pwrite_with(int fd, const void *bytes, size_t length, off_t at) {
    if (has_no_room(fd)) return -1;
    ssize_t written = plain_pwrite(fd, bytes, length, at);
    struct file *file = fd >= 0 && fd < FDS ? of_fd[fd] : NULL;
    if (file && written > 0) note(file, bytes, (size_t)written, at);
    return written;
}
ssize_t pwrite(int fd, const void *b, size_t l, off_t at) { return pwrite_with(fd, b, l, at); }
ssize_t pwrite64(int fd, const void *b, size_t l, off_t at) { return pwrite_with(fd, b, l, at); }

static int truncate_with(int fd, off_t length) {
    int done = plain_truncate(fd, length);
    struct file *file = fd >= 0 && fd < FDS ? of_fd[fd] : NULL;
    if (file && !done) {
        pthread_mutex_lock(&lock);
        if (rand_r(&seed) % 2) plain_truncate(file->durable, length);
        pthread_mutex_unlock(&lock);
    }
    return done;
}
int ftruncate(int fd, off_t length) { return truncate_with(fd, length); }
int ftruncate64(int fd, off_t length) { return truncate_with(fd, length); }

static int sync_with(int fd, const char *name) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (fd < 0 || fd >= FDS || !live_fd[fd]) return real(fd);
    struct file *file = of_fd[fd];
    int fails = fault("fsync") || fault_once("fsync-once");
    if (!file) {
        if (!fails) return real(fd);
        errno = EIO;
        return -1;
    }
    pthread_mutex_lock(&lock);
    for (size_t i = 0; !fails && i < file->count; i++) {
        struct range range = file->dirty[i];
        char bytes[65536];
        while (range.length) {
            size_t part = range.length < sizeof bytes ? range.length : sizeof bytes;
            ssize_t got = pread(fd, bytes, part, range.at);
            if (got <= 0) break;
            plain_pwrite(file->durable, bytes, (size_t)got, range.at);
            range.at += got;
            range.length -= (size_t)got;
        }
    }
    file->count = 0;
    struct stat status;
    if (!fails && !fstat(fd, &status)) plain_truncate(file->durable, status.st_size);
    pthread_mutex_unlock(&lock);
    if (!fails) return 0;
    errno = EIO;
    return -1;
}
int fsync(int fd) { return sync_with(fd, "fsync"); }
int fdatasync(int fd) { return sync_with(fd, "fdatasync"); }

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    const char *name = live_name(path);
    int done = real(path);
    if (!done && name && is_durable(name)) {
        /* An empty file of SQLite is as good as none. */
        pthread_mutex_lock(&lock);
        for (int i = 0; i < used; i++)
            if (!strcmp(files[i].name, name)) {
                plain_truncate(files[i].durable, 0);
                files[i].count = 0;
            }
        pthread_mutex_unlock(&lock);
    }
    return done;
}
