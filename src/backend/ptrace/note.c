#include "backend/ptrace/note.h"

#include "backend/ptrace/uri.h"
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRIES 65535
#define INT3 0xcc

struct entry {
    uint64_t address;
    int32_t pid;
    uint8_t original;
    atomic_uchar armed;
};

struct note {
    atomic_uint count;
    struct entry entries[ENTRIES];
};

int note_create(void) {
    int fd = memfd_create("pickglass-note", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, sizeof(struct note))) {
        close(fd);
        return -1;
    }
    return fd;
}

struct note *note_map(int fd) {
    struct stat stat;
    if (fd < 0 || fstat(fd, &stat) || stat.st_size != sizeof(struct note))
        return NULL;
    void *note = mmap(NULL, sizeof(struct note), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return note == MAP_FAILED ? NULL : note;
}

void note_unmap(struct note *note) {
    if (note)
        munmap(note, sizeof *note);
}

uint32_t note_put(struct note *note, uint32_t entry, pid_t pid, uint64_t address,
                  uint8_t original) {
    if (!note)
        return 0;
    if (!entry && note->count < ENTRIES)
        entry = atomic_fetch_add(&note->count, 1) + 1;
    if (!entry)
        return 0;
    struct entry *at = &note->entries[entry - 1];
    at->address = address;
    at->pid = pid;
    at->original = original;
    atomic_store(&at->armed, 1);
    return entry;
}

void note_drop(struct note *note, uint32_t entry) {
    if (note && entry)
        atomic_store(&note->entries[entry - 1].armed, 0);
}

size_t note_redeem(const struct note *note, pid_t pid, int memory) {
    size_t redeemed = 0;
    for (uint32_t i = 0; note && i < note->count && i < ENTRIES; i++) {
        const struct entry *entry = &note->entries[i];
        uint8_t there;
        if (entry->armed && entry->pid == pid &&
            pread(memory, &there, 1, (off_t)entry->address) == 1 && there == INT3)
            redeemed += pwrite(memory, &entry->original, 1, (off_t)entry->address) == 1;
    }
    return redeemed;
}

int note_open(const char *uri, pid_t *pid) {
    char path[64];
    if (strncmp(uri, native_repair_prefix, strlen(native_repair_prefix)))
        return -1;
    *pid = atoi(uri + strlen(native_repair_prefix));
    snprintf(path, sizeof path, "/proc/%d/mem", *pid);
    return open(path, O_RDWR | O_CLOEXEC);
}
