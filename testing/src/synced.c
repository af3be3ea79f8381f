// Notes how much of each file is on disk for certain: after each fsync and fdatasync, the file's inode and
// the size that it had before the call.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int noted(int file, const char *name) {
    int (*call)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    struct stat before;
    int known = fstat(file, &before);
    int result = call(file);
    const char *path = getenv("SYNCED");
    if (result == 0 && known == 0 && path) {
        int notes = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (notes >= 0) {
            dprintf(notes, "%lld %lld\n", (long long)before.st_ino, (long long)before.st_size);
            close(notes);
        }
    }
    return result;
}

int fsync(int file) { return noted(file, "fsync"); }
int fdatasync(int file) { return noted(file, "fdatasync"); }
