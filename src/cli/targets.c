/* What of a command line is a target. */
#include "cli/cli.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const schemes[] = {
    "dlv:", "dlv+", "file:", "gdb:", "gdb+", "native:", "native+exec:"};

static bool has_scheme(const char *word) {
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (!strncmp(word, schemes[i], strlen(schemes[i])))
            return true;
    return false;
}

static const char *behind_name(const char *word) {
    const char *p = word;
    while (isalnum((unsigned char)*p) || *p == '_' || *p == '-' || *p == '.')
        p++;
    return *p == '=' && p > word ? p + 1 : NULL;
}

/* As one that is misspelt, or lacks its scheme: gbd://HOST:PORT, pid:42, 127.0.0.1:2345. A recipe's
 * path may have a colon, too, but then there is such a file. */
static bool looks_so(const char *uri) {
    size_t head = strcspn(uri, ":/");
    return head && uri[head] == ':' && access(uri, F_OK);
}

bool is_target(const char *word) {
    const char *uri = behind_name(word);
    return has_scheme(word) || looks_so(word) || (uri && (has_scheme(uri) || looks_so(uri)));
}

/* A pipe is left alone: what is read of it, a recipe perhaps, is gone. */
bool is_program(const char *word) {
    char magic[4] = "";
    struct stat status;
    FILE *file = !stat(word, &status) && S_ISREG(status.st_mode) ? fopen(word, "re") : NULL;
    bool elf = file && fread(magic, 1, sizeof magic, file) == sizeof magic &&
               !memcmp(magic, "\177ELF", sizeof magic);
    if (file)
        fclose(file);
    return elf;
}

pick_error *add_target(pick_run *run, const char *word) {
    const char *uri = has_scheme(word) ? NULL : behind_name(word);
    if (!uri)
        return pick_run_target(run, NULL, word);
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)(uri - 1 - word), word);
    return pick_run_target(run, name, uri);
}

pick_error *add_file(pick_run *run, const char *path) {
    char uri[4096 + sizeof "file:"];
    snprintf(uri, sizeof uri, "file:%s", path);
    return pick_run_target(run, NULL, uri);
}

/* Each word as it is, whatever a shell would make of it. */
static void put_word(FILE *out, const char *word) {
    fputs(" '", out);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", out);
        else
            fputc(*word, out);
    fputc('\'', out);
}

static pick_error *add_program(pick_run *run, char **words) {
    char *uri = NULL;
    size_t len;
    FILE *out = open_memstream(&uri, &len);
    if (!out)
        return NULL;
    fputs("native+exec:", out);
    for (; *words; words++)
        put_word(out, *words);
    fclose(out);
    pick_error *error = pick_run_target(run, NULL, uri);
    free(uri);
    return error;
}

pick_error *add_native(pick_run *run, const struct options *o) {
    char uri[64];
    pick_error *error = NULL;
    for (int i = 0; i < o->pids.count && !error; i++) {
        snprintf(uri, sizeof uri, "native:%.40s", o->pids.list[i]);
        error = pick_run_target(run, NULL, uri);
    }
    return !error && o->program ? add_program(run, o->program) : error;
}
