/* Preloaded into a process: notes the order of the calls that change or sync files, and makes one of them fail.

   A line is "pid <tab> call <tab> path <tab> first bytes written". A change is noted before it is made, a sync after it has succeeded, so that
   "synced, then shown" in the notes was so in truth, across processes too. Nothing is noted or changed until
   calls_note is called. Which file a descriptor is: /proc/self/fd.

   A process that is started with CATHRT_TEST_WEATHER=FILE meets the weather in that file (weather.py), which may change
   at any moment: disks that fail or dawdle, and a wall clock that steps or drifts. */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))real(#name))
#define PATH_BYTES 4096
#define CONTENT_BYTES 96

static int notes = -1;
static char watched[PATH_BYTES];   /* only files whose path begins so */
static char rule_call[32];         /* "" for any call */
static char rule_suffix[256];      /* "" for any file */
static char rule_action;           /* k: SIGKILL before the call; s: SIGSTOP before it; f: it fails with EIO */
static atomic_long rule_left = 0;  /* calls that fit the rule until the one that is struck; 0: none */
static atomic_long space = -1;     /* bytes by which files may still grow; below 0: no limit */

/* One page that other processes write while this one runs; 0 for what is as ever. Errors are numbers of errno. */
struct weather {
  atomic_long write_error, sync_error, create_error; /* of files whose path begins as `below` */
  atomic_long slow_syncs, sync_ms;                   /* so many of their syncs take so long */
  atomic_long step_ns, drift_ppm, drift_from_ns;     /* of the wall clock; drift since that monotonic time */
  char below[PATH_BYTES / 2];
};

static struct weather *weather = NULL;

__attribute__((constructor)) static void look_at_the_weather(void) {
  const char *path = getenv("CATHRT_TEST_WEATHER");
  if (path == NULL) return;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) abort();
  void *page = mmap(NULL, sizeof *weather, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) abort();
  syscall(SYS_close, fd);
  weather = page;
}

/* Whether files matter at all: a confined process may not ask what a descriptor is. */
static int watching(void) {
  return notes >= 0 || (weather != NULL && (atomic_load(&weather->write_error) || atomic_load(&weather->sync_error) ||
                                            atomic_load(&weather->create_error) || atomic_load(&weather->slow_syncs)));
}

/* 0, or the errno with which a call on that path has to fail. */
static int stormy(const char *path, atomic_long *error) {
  if (weather == NULL || strncmp(path, weather->below, strlen(weather->below)) != 0) return 0;
  return (int)atomic_load(error);
}

static void dawdle(const char *path) {
  if (weather == NULL || strncmp(path, weather->below, strlen(weather->below)) != 0) return;
  if (atomic_load(&weather->slow_syncs) <= 0 || atomic_fetch_sub(&weather->slow_syncs, 1) <= 0) return;
  long ms = atomic_load(&weather->sync_ms);
  struct timespec left = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0) continue;
}

static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

static int ends_with(const char *text, const char *suffix) {
  size_t length = strlen(text), wanted = strlen(suffix);
  return length >= wanted && strcmp(text + length - wanted, suffix) == 0;
}

/* 0 if the call is to go on, else it has to fail with EIO. */
static int strike(const char *call, const char *path) {
  if (notes < 0 || strncmp(path, watched, strlen(watched)) != 0) return 0;
  if (atomic_load(&rule_left) == 0 || (rule_call[0] && strcmp(call, rule_call) != 0) || !ends_with(path, rule_suffix))
    return 0;
  if (atomic_fetch_sub(&rule_left, 1) != 1) return 0;
  if (rule_action == 'f') return 1;
  raise(rule_action == 's' ? SIGSTOP : SIGKILL);
  return 0;
}

/* bytes: what is written, of which the beginning is noted with dots for what is no plain ASCII; NULL for other calls. */
static void note(const char *call, const char *path, const void *bytes, size_t count) {
  char line[PATH_BYTES + CONTENT_BYTES + 64], content[CONTENT_BYTES + 1];
  if (notes < 0 || strncmp(path, watched, strlen(watched)) != 0) return;
  size_t noted = bytes == NULL ? 0 : count < CONTENT_BYTES ? count : CONTENT_BYTES;
  for (size_t at = 0; at < noted; at++) {
    char byte = ((const char *)bytes)[at];
    content[at] = byte >= ' ' && byte <= '~' ? byte : '.';
  }
  content[noted] = '\0';
  int length = snprintf(line, sizeof line, "%ld\t%s\t%s\t%s\n", (long)getpid(), call, path, content);
  if (syscall(SYS_write, notes, line, (size_t)length) != length) abort();
}

static const char *path_of(int fd, char *buffer) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, buffer, PATH_BYTES - 1);
  buffer[length < 0 ? 0 : length] = '\0';
  return buffer;
}

/* What path will be called once it is opened: absolute, "." and ".." left as they are. */
static const char *absolute(const char *path, char *buffer) {
  if (path[0] == '/' || getcwd(buffer, PATH_BYTES / 2) == NULL) return path;
  strcat(buffer, "/");
  strncat(buffer, path, PATH_BYTES / 2 - 2);
  return buffer;
}

/* How many of the bytes fit on the disk; -1 with ENOSPC if none does. end: offset behind the last of them. */
static ssize_t fitting(int fd, const char *path, size_t bytes, off_t end) {
  struct stat found;
  if (notes < 0 || atomic_load(&space) < 0 || strncmp(path, watched, strlen(watched)) != 0 || fstat(fd, &found) != 0)
    return (ssize_t)bytes;
  long growth = end > found.st_size ? (long)(end - found.st_size) : 0;
  long left = atomic_load(&space);
  if (growth <= left) {
    atomic_fetch_sub(&space, growth);
    return (ssize_t)bytes;
  }
  ssize_t fits = (ssize_t)bytes - (growth - left);
  if (fits <= 0) {
    errno = ENOSPC;
    return -1;
  }
  atomic_store(&space, 0);
  return fits;
}

PUBLIC void calls_note(const char *log, const char *prefix) {
  strncpy(watched, prefix, sizeof watched - 1);
  notes = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (notes < 0) abort();
}

PUBLIC void calls_strike(const char *call, const char *suffix, long nth, char action) {
  strncpy(rule_call, call, sizeof rule_call - 1);
  strncpy(rule_suffix, suffix, sizeof rule_suffix - 1);
  rule_action = action;
  atomic_store(&rule_left, nth);
}

PUBLIC void calls_space(long bytes) { atomic_store(&space, bytes); }

static ssize_t noted_pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  char buffer[PATH_BYTES];
  if (!watching()) return syscall(SYS_pwrite64, fd, bytes, count, offset);
  const char *path = path_of(fd, buffer);
  if (strike("write", path)) return errno = EIO, -1;
  if (weather != NULL && (errno = stormy(path, &weather->write_error)) != 0) return -1;
  note("write", path, bytes, count);
  ssize_t fits = fitting(fd, path, count, offset + (off_t)count);
  return fits < 0 ? -1 : syscall(SYS_pwrite64, fd, bytes, (size_t)fits, offset);
}

PUBLIC ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  return noted_pwrite(fd, bytes, count, offset);
}
PUBLIC ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
  return noted_pwrite(fd, bytes, count, offset);
}

PUBLIC ssize_t write(int fd, const void *bytes, size_t count) {
  char buffer[PATH_BYTES];
  if (!watching()) return syscall(SYS_write, fd, bytes, count);
  const char *path = path_of(fd, buffer);
  if (strike("write", path)) return errno = EIO, -1;
  if (weather != NULL && (errno = stormy(path, &weather->write_error)) != 0) return -1;
  note("write", path, bytes, count);
  struct stat found;
  off_t at = 0;
  if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode))
    at = fcntl(fd, F_GETFL) & O_APPEND ? found.st_size : lseek(fd, 0, SEEK_CUR);
  ssize_t fits = fitting(fd, path, count, at + (off_t)count);
  return fits < 0 ? -1 : syscall(SYS_write, fd, bytes, (size_t)fits);
}

static int synced(long number, int fd) {
  char buffer[PATH_BYTES];
  if (!watching()) return (int)syscall(number, fd);
  const char *path = path_of(fd, buffer);
  if (strike("sync", path)) return errno = EIO, -1;
  dawdle(path);
  if (weather != NULL && (errno = stormy(path, &weather->sync_error)) != 0) return -1;
  int result = (int)syscall(number, fd);
  if (result == 0) note("sync", path, NULL, 0);
  return result;
}

PUBLIC int fsync(int fd) { return synced(SYS_fsync, fd); }
PUBLIC int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }

static int truncated(int fd, off_t size) {
  char buffer[PATH_BYTES];
  if (!watching()) return (int)syscall(SYS_ftruncate, fd, size);
  const char *path = path_of(fd, buffer);
  if (strike("truncate", path)) return errno = EIO, -1;
  note("truncate", path, NULL, 0);
  return (int)syscall(SYS_ftruncate, fd, size);
}

PUBLIC int ftruncate(int fd, off_t size) { return truncated(fd, size); }
PUBLIC int ftruncate64(int fd, off_t size) { return truncated(fd, size); }

PUBLIC int rename(const char *from, const char *to) {
  char buffer[PATH_BYTES];
  const char *path = absolute(to, buffer);
  if (strike("rename", path)) return errno = EIO, -1;
  note("rename", path, NULL, 0);
  return REAL(rename)(from, to);
}

PUBLIC int unlink(const char *name) {
  char buffer[PATH_BYTES];
  const char *path = absolute(name, buffer);
  if (strike("unlink", path)) return errno = EIO, -1;
  note("unlink", path, NULL, 0);
  return REAL(unlink)(name);
}

static int created(int folder, const char *name, int flags, mode_t mode) {
  char buffer[PATH_BYTES];
  if (folder == AT_FDCWD && flags & O_CREAT && syscall(SYS_faccessat, AT_FDCWD, name, F_OK) != 0) {
    const char *path = absolute(name, buffer);
    if (strike("create", path)) return errno = EIO, -1;
    if (weather != NULL && (errno = stormy(path, &weather->create_error)) != 0) return -1;
    note("create", path, NULL, 0);
  }
  return (int)syscall(SYS_openat, folder, name, flags, mode);
}

PUBLIC int mkdir(const char *name, mode_t mode) {
  char buffer[PATH_BYTES];
  if (weather != NULL && syscall(SYS_faccessat, AT_FDCWD, name, F_OK) != 0 &&
      (errno = stormy(absolute(name, buffer), &weather->create_error)) != 0)
    return -1;
  return REAL(mkdir)(name, mode);
}

/* The wall clock of the weather. Asked of the kernel, not of the real function, which may not be found yet. */
PUBLIC int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = (int)syscall(SYS_clock_gettime, clock, now);
  if (result != 0 || clock != CLOCK_REALTIME || weather == NULL) return result;
  struct timespec steady;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &steady);
  long long drifted = (steady.tv_sec * 1000000000LL + steady.tv_nsec - atomic_load(&weather->drift_from_ns)) *
                      atomic_load(&weather->drift_ppm) / 1000000;
  long long at = now->tv_sec * 1000000000LL + now->tv_nsec + atomic_load(&weather->step_ns) + drifted;
  now->tv_sec = at / 1000000000;
  now->tv_nsec = at % 1000000000;
  return 0;
}

#define WITH_MODE                                        \
  mode_t mode = 0;                                       \
  if (flags & O_CREAT) {                                 \
    va_list rest;                                        \
    va_start(rest, flags);                               \
    mode = va_arg(rest, mode_t);                         \
    va_end(rest);                                        \
  }

PUBLIC int open(const char *name, int flags, ...) { WITH_MODE return created(AT_FDCWD, name, flags, mode); }
PUBLIC int open64(const char *name, int flags, ...) { WITH_MODE return created(AT_FDCWD, name, flags, mode); }
PUBLIC int openat(int folder, const char *name, int flags, ...) { WITH_MODE return created(folder, name, flags, mode); }
PUBLIC int openat64(int folder, const char *name, int flags, ...) { WITH_MODE return created(folder, name, flags, mode); }
