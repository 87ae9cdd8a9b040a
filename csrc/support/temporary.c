/* temporary.c: names, locks, and what dead processes left. */
#include "temporary.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK ".tmp"
#define SECOND "-data"
enum { LONGEST_NAME = 255, LONGEST_TAIL = 48 }; /* the tail: mark, numbers, SECOND */

/* Bytes of a name that leave room for the tail; no letter of UTF-8 is cut in two. */
static int stem_length(const char *name) {
    size_t n = strlen(name);
    if (n <= LONGEST_NAME - LONGEST_TAIL) return (int)n;
    for (n = LONGEST_NAME - LONGEST_TAIL; n > 0 && ((unsigned char)name[n] & 0xC0) == 0x80;) n--;
    return (int)n;
}

/* Did nobody take it for a dead one before the lock was there? */
static bool is_kept(int fd) {
    struct stat st;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
    return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* ---- What dead processes left ---- */

static char *second_path(const char *first) {
    char *text;
    return asprintf(&text, "%s" SECOND, first) < 0 ? NULL : text;
}

/* NAME.tmp123-4: up to there, only digits come after the last mark. */
static bool is_temporary(const char *name) {
    const char *at = name, *mark = NULL;
    while ((at = strstr(at, MARK)) != NULL) mark = at++;
    if (mark == NULL) return false;
    at = mark + strlen(MARK);
    size_t process = strspn(at, "0123456789"), number;
    if (process == 0 || at[process] != '-') return false;
    number = strspn(at + process + 1, "0123456789");
    return number > 0 && at[process + 1 + number] == '\0';
}

/* Only of our own: in a folder for all, as /tmp, others may call their files so. */
static void remove_dead(const char *path) {
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return;
    char *second = second_path(path);
    bool ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid();
    if (second != NULL && ours && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        unlink(second);
        unlink(path);
    }
    free(second);
    close(fd);
}

/* The number of files in the folder. */
static size_t clean(const char *folder) {
    size_t n = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL) return 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL; n++) {
        char *path;
        if (!is_temporary(entry->d_name)) continue;
        if (asprintf(&path, "%s%s", folder, entry->d_name) < 0) break;
        remove_dead(path);
        free(path);
    }
    closedir(dir);
    return n;
}

/* To look through a folder of n files at each of n calls would take n * n: once in n does. */
static void clean_now_and_then(const char *folder) {
    enum { FOLDERS = 64 }; /* one that is forgotten is looked through once more */
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct {
        char *folder;
        size_t wait;
    } seen[FOLDERS];
    static size_t next;
    size_t i = 0;
    pthread_mutex_lock(&lock);
    while (i < FOLDERS && (seen[i].folder == NULL || strcmp(seen[i].folder, folder) != 0)) i++;
    if (i == FOLDERS) {
        i = next++ % FOLDERS;
        free(seen[i].folder);
        seen[i].folder = strdup(folder);
        seen[i].wait = 0;
    }
    if (seen[i].wait == 0)
        seen[i].wait = clean(folder);
    else
        seen[i].wait--;
    pthread_mutex_unlock(&lock);
}

/* ---- New ones ---- */

int bc_temporary_create(char **path, const char *folder, const char *name) {
    static atomic_uint serial; /* two threads may write the same path */
    size_t size = strlen(folder) + LONGEST_NAME + 1;
    char *text = malloc(size);
    if (text == NULL) return -1;
    clean_now_and_then(folder);
    int fd;
    do {
        snprintf(text, size, "%s%.*s" MARK "%ld-%u", folder, stem_length(name), name,
                 (long)getpid(), atomic_fetch_add(&serial, 1));
        fd = open(text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST) {
            free(text);
            return -1;
        }
        if (fd >= 0 && !is_kept(fd)) {
            close(fd);
            fd = -1;
        }
    } while (fd < 0);
    *path = text;
    return fd;
}

int bc_temporary_second(char **path, const char *first) {
    struct stat st;
    char *text = second_path(first);
    if (text == NULL) return -1;
    int fd = stat(first, &st) == 0 ? open(text, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd < 0) {
        free(text);
        return -1;
    }
    *path = text;
    int rc = fchmod(fd, st.st_mode & 0777);
    close(fd);
    return rc;
}
