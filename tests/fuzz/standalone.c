/* For compilers without libFuzzer: runs every file of a corpus, and mutations of it that are the
 * same each time. A few seconds long. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INPUT_MAX (64 << 10)
#define SECONDS_MAX 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t seed = 1;

static uint32_t next(uint32_t below) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % below;
}

/* Changes `data` in place; its new size. */
static size_t mutate(uint8_t *data, size_t size) {
    static const char odd[] = "{}[](),:\"'`\\\n\0&*!|>%@#-.0123456789$~ \xff\xc3";
    size_t at = size ? next((uint32_t)size) : 0, n = 1 + next(8);
    switch (next(6)) {
    case 0: /* another byte */
        if (size)
            data[at] = (uint8_t)next(256);
        return size;
    case 1: /* a byte that means something */
        if (size)
            data[at] = (uint8_t)odd[next(sizeof odd)];
        return size;
    case 2: /* cut the end off */ return at;
    case 3: /* drop some */
        n = n < size - at ? n : size - at;
        memmove(data + at, data + at + n, size - at - n);
        return size - n;
    case 4: /* double some */
        n = n * 4 < size - at ? n * 4 : size - at;
        if (size + n > INPUT_MAX)
            return size;
        memmove(data + at + n, data + at, size - at);
        return size + n;
    default: /* a word that is off by a little, or large */
        if (at + 4 <= size)
            memcpy(data + at, (uint32_t[]){next(2) ? next(512) : UINT32_MAX - next(64)}, 4);
        return size;
    }
}

/* An exact copy on the heap, so that a sanitizer sees each byte read beyond it. */
static void run(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        return;
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t read_file(const char *folder, const char *name, uint8_t *data) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(data, 1, INPUT_MAX, file) : 0;
    if (file)
        fclose(file);
    return size;
}

static void run_file(const char *folder, const char *name, double seconds) {
    static uint8_t original[INPUT_MAX], data[INPUT_MAX];
    size_t whole = read_file(folder, name, original);
    clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    run(original, whole);
    for (int i = 0; i < 5000 && clock() < end; i++) {
        size_t size = whole;
        memcpy(data, original, whole);
        for (uint32_t times = 1 + next(4); times; times--)
            size = mutate(data, size);
        run(data, size);
    }
}

int main(int argc, char **argv) {
    struct dirent **entries;
    int n = argc == 2 ? scandir(argv[1], &entries, NULL, alphasort) : -1;
    if (n <= 2) { /* . and .. */
        fprintf(stderr, "usage: %s CORPUS (a folder with files)\n", argv[0]);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.')
            run_file(argv[1], entries[i]->d_name, (double)SECONDS_MAX / (n - 2));
        free(entries[i]);
    }
    free(entries);
    return 0;
}
