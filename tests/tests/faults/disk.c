/* A disk that fails and forgets, put between the program and the C library (LD_PRELOAD). Built by the test that uses it.
 *
 * - Forgets: at each fsync of a file its bytes are copied aside, at each fsync of a folder its names. What is aside is what a power cut
 *   cannot take; a file is known by its inode and time of birth, so it keeps its copy when it is renamed.
 * - Fails: fsync below the folder of the journal returns EIO while the switch is on.
 * - Another boot: the kernel's boot id is read from a file of the test.
 * - Another time: the wall clock is off by so many milliseconds, the monotonic one is not.
 *
 * FAULTS_ROOT: the state folder. FAULTS_SAFE: where copies go. FAULTS_BOOT: the file with the boot id. FAULTS_SWITCHES: a file of two
 * 64-bit numbers that is mapped: fsync fails; clock offset in ms.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static char root[4096], safe[4000], boot[4096];
static volatile int64_t *switches;

__attribute__((constructor)) static void begin(void) {
    const char *env;
    if ((env = getenv("FAULTS_ROOT"))) snprintf(root, sizeof root, "%s", env);
    if ((env = getenv("FAULTS_SAFE"))) snprintf(safe, sizeof safe, "%s", env);
    if ((env = getenv("FAULTS_BOOT"))) snprintf(boot, sizeof boot, "%s", env);
    if ((env = getenv("FAULTS_SWITCHES"))) {
        int fd = syscall(SYS_openat, AT_FDCWD, env, O_RDWR);
        void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
        if (at != MAP_FAILED) switches = at;
        if (fd >= 0) close(fd);
    }
}

static void broken(int line) {
    dprintf(2, "disk.c:%d: %s\n", line, strerror(errno));
    abort();
}

/* Where an open file lies; whether that is below the state folder. */
static int place(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    size_t under = strlen(root);
    return under > 0 && strncmp(path, root, under) == 0 && (path[under] == '/' || path[under] == 0);
}

/* A file's name among the copies. */
static int name(int dir, const char *entry, char *to, size_t size) {
    struct statx about;
    int flags = AT_SYMLINK_NOFOLLOW | (entry[0] ? 0 : AT_EMPTY_PATH);
    if (statx(dir, entry, flags, STATX_INO | STATX_BTIME, &about) != 0) return -1;
    long long born = about.stx_mask & STATX_BTIME ? about.stx_btime.tv_sec * 1000000000LL + about.stx_btime.tv_nsec : 0;
    snprintf(to, size, "%llu-%lld", (unsigned long long)about.stx_ino, born);
    return 0;
}

static void keep_file(int fd, const char *id) {
    char part[4200], whole[4200], bytes[65536];
    snprintf(part, sizeof part, "%s/%s.%ld", safe, id, syscall(SYS_gettid));
    snprintf(whole, sizeof whole, "%s/%s.file", safe, id);
    int to = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    /* Opened anew: the caller's may be for writing only. */
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int from = open(link, O_RDONLY);
    if (to < 0 || from < 0) broken(__LINE__);
    off_t at = 0;
    ssize_t got;
    while ((got = pread(from, bytes, sizeof bytes, at)) > 0) {
        if (write(to, bytes, got) != got) broken(__LINE__);
        at += got;
    }
    close(from);
    close(to);
    if (rename(part, whole) != 0) broken(__LINE__);
}

static void keep_names(const char *path, const char *id) {
    char part[4200], whole[4200], entry[128];
    snprintf(part, sizeof part, "%s/%s.%ld", safe, id, syscall(SYS_gettid));
    snprintf(whole, sizeof whole, "%s/%s.names", safe, id);
    FILE *to = fopen(part, "w");
    DIR *dir = opendir(path);
    if (!to || !dir) broken(__LINE__);
    struct dirent *item;
    while ((item = readdir(dir))) {
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0) continue;
        if (name(dirfd(dir), item->d_name, entry, sizeof entry) == 0) fprintf(to, "%s %s\n", entry, item->d_name);
    }
    closedir(dir);
    fclose(to);
    if (rename(part, whole) != 0) broken(__LINE__);
}

static int synced(int fd, long call) {
    char path[4096], id[128];
    int ours = place(fd, path, sizeof path);
    if (ours && switches && switches[0] && strstr(path, "/journal")) {
        errno = EIO;
        return -1;
    }
    if (ours && safe[0] && name(fd, "", id, sizeof id) == 0) {
        struct stat about;
        /* Before the real call: what is written during it may not be on the medium. */
        if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) keep_file(fd, id);
        if (fstat(fd, &about) == 0 && S_ISDIR(about.st_mode)) keep_names(path, id);
        /* The real call proves nothing here, and takes long. */
        return 0;
    }
    return syscall(call, fd);
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static const char *redirected(const char *path) {
    return boot[0] && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 ? boot : path;
}

#define OPENS(function, before, arguments) \
    int function(before const char *path, int flags, ...) { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list more; \
            va_start(more, flags); \
            mode = va_arg(more, mode_t); \
            va_end(more); \
        } \
        return syscall(SYS_openat, arguments, redirected(path), flags | O_LARGEFILE, mode); \
    }
#define NOTHING
#define FOLDER int dir,
OPENS(open, NOTHING, AT_FDCWD)
OPENS(open64, NOTHING, AT_FDCWD)
OPENS(openat, FOLDER, dir)
OPENS(openat64, FOLDER, dir)

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, time);
    if (done == 0 && switches && clock == CLOCK_REALTIME) {
        int64_t ns = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + switches[1] * 1000000;
        time->tv_sec = ns / 1000000000;
        time->tv_nsec = ns % 1000000000;
    }
    return done;
}
