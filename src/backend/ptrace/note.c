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
    atomic_uint count; /* none that is armed is behind these */
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

/* An entry that stands for nothing; ENTRIES: there is none. Most often the one behind the last. */
static uint32_t find_free(const struct note *note) {
    static uint32_t next;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint32_t at = (next + i) % ENTRIES;
        if (note->entries[at].armed)
            continue;
        next = at + 1;
        return at;
    }
    return ENTRIES;
}

uint32_t note_put(struct note *note, pid_t pid, uint64_t address, uint8_t original) {
    uint32_t i = note ? find_free(note) : ENTRIES;
    if (i == ENTRIES)
        return 0;
    struct entry *at = &note->entries[i];
    at->address = address;
    at->pid = pid;
    at->original = original;
    atomic_store(&at->armed, 1);
    if (note->count <= i)
        atomic_store(&note->count, i + 1);
    return i + 1;
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
