/* Which program runs, which libraries, and where they were loaded. A file is believed only if its
 * build-id is the one in the target's memory; a program that is not on this machine is read through
 * the stub. */
#include "backend/gdb/gdb.h"

#include "base/log.h"
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define IMAGE_MAX ((size_t)1 << 30)

/* ---- is it the file that runs? ---- */

static const struct elf_section *id_section(struct module *module) {
    struct elf_section *section = elf_section_named(module->elf, ".note.gnu.build-id");
    return section && section->address && section->size <= 128 ? section : NULL;
}

static void on_note(struct backend *b, void *ctx, const char *reply, size_t len) {
    void (*verified)(struct backend * b, bool same) = (void (*)(struct backend *, bool))ctx;
    const struct elf_section *section = id_section(b->opened);
    uint8_t theirs[128], ours[128];
    if (!reply)
        return;
    size_t n = hex_bytes(reply, len, theirs, sizeof theirs);
    bool readable = len && *reply != 'E' && n == section->size;
    elf_read(b->opened->elf, section->address, ours, section->size);
    verified(b, readable ? !memcmp(ours, theirs, n) : !b->guessed);
}

/* Memory that cannot be read yet proves nothing. */
static void verify(struct backend *b, void (*verified)(struct backend *b, bool same)) {
    const struct elf_section *section = id_section(b->opened);
    if (!section) {
        verified(b, !b->guessed);
        return;
    }
    gdb_ask(b, on_note, (void *)verified, "m%" PRIx64 ",%" PRIx64,
            section->address + b->opened_bias, section->size);
    gdb_send(b);
}

static uint64_t program_bias(struct backend *b, const struct module *module) {
    return b->at_entry ? b->at_entry - module->elf->entry : 0;
}

/* It may be anywhere, and nobody says where. */
static bool is_lost(const struct backend *b, const struct module *module) {
    return module->elf->type == ET_DYN && !b->at_entry;
}

/* ---- the program ---- */

static void take_program(struct backend *b) {
    struct module *module = b->opened;
    b->opened = NULL;
    struct error *error = NULL;
    if (!module->elf->arch) {
        error = error_new(ERROR_RUN, "%s is for a processor that pickglass does not know",
                          module->path);
        module_close(module);
    }
    if (!error && is_lost(b, module)) {
        error = error_new(ERROR_RUN,
                          "the stub does not say where it has loaded %s (its auxiliary vector is "
                          "not there, or no such thing), which can be anywhere",
                          module->path);
        module_close(module);
    } else if (!error && module->note)
        b->events->notice(b->owner, module->note);
    if (!error)
        error = program_add(&b->program, module, b->opened_bias);
    if (!error)
        error = gdb_lay_out_registers(b);
    if (error)
        gdb_greet_failed(b, error);
    else
        gdb_greet_next(b);
}

static struct error *wrong_program(const char *path) {
    return error_new(ERROR_RUN,
                     "%s is not the program that runs there: its build-id is another one. Give the "
                     "right file with --binary, or as `binary` of the target",
                     path);
}

static void on_named_verified(struct backend *b, bool same) {
    if (same) {
        take_program(b);
        return;
    }
    struct error *error = wrong_program(b->opened->path);
    module_close(b->opened);
    b->opened = NULL;
    gdb_greet_failed(b, error);
}

static void open_remote(struct backend *b);

static struct error *no_program(void) {
    return error_new(ERROR_RUN, "the stub does not say which program it runs: give its file with "
                                "--binary, or as `binary` of the target");
}

static void on_local_verified(struct backend *b, bool same) {
    if (same) {
        take_program(b);
        return;
    }
    LOG(LOG_GDB, 1, "%s here is another build than there", b->exec_file);
    module_close(b->opened);
    b->opened = NULL;
    if (b->guessed)
        gdb_greet_failed(b, no_program());
    else
        open_remote(b);
}

/* A stub on this machine that does not tell its program: the process may. */
static void guess_program(struct backend *b) {
    char path[64];
    int64_t pid = b->thread.pid > 0 ? b->thread.pid : b->thread.tid;
    if (*b->exec_file || !b->local || pid <= 1)
        return;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/exe", pid);
    ssize_t n = readlink(path, b->exec_file, sizeof b->exec_file - 1);
    b->exec_file[n > 0 ? n : 0] = '\0';
    b->guessed = n > 0;
}

void gdb_find_program(struct backend *b) {
    struct error *error = NULL;
    if (!b->binary)
        guess_program(b);
    const char *path = b->binary ? b->binary : b->exec_file;
    if (!*path)
        error = no_program();
    else
        error = module_open(path, &b->opened);
    if (!error) {
        b->opened_bias = program_bias(b, b->opened);
        verify(b, b->binary ? on_named_verified : on_local_verified);
    } else if (b->binary || !*path) {
        gdb_greet_failed(b, error);
    } else {
        error_free(error);
        open_remote(b);
    }
}

/* ---- through the stub: vFile (manual, appendix E.7) ---- */

static void remote_failed(struct backend *b, const char *why) {
    gdb_greet_failed(b, error_new(ERROR_RUN,
                                  "the program %s cannot be read: it is not on this machine, and "
                                  "through the stub: %s. Give its file with --binary",
                                  b->exec_file, why));
}

static void on_remote_closed(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx, (void)len;
    if (!reply)
        return;
    size_t size = b->transfer.len;
    b->image = buffer_take(&b->transfer);
    struct error *error =
        b->image ? module_open_image(b->exec_file, b->image, size, &b->opened) : error_no_memory();
    if (error) {
        gdb_greet_failed(b, error);
        return;
    }
    b->opened_bias = program_bias(b, b->opened);
    take_program(b);
}

static void ask_remote_part(struct backend *b);

static void on_remote_part(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx;
    if (!reply)
        return;
    const char *data = memchr(reply, ';', len), *at = reply + 1;
    uint64_t n;
    if (!len || *reply != 'F' || !data || !hex_number(&at, data, &n) ||
        n > len - (size_t)(data + 1 - reply)) {
        remote_failed(b, "reading it failed");
        return;
    }
    buffer_add(&b->transfer, data + 1, (size_t)n);
    if (b->transfer.failed)
        remote_failed(b, "it is larger than 1 GiB");
    else if (n)
        ask_remote_part(b);
    else
        gdb_ask(b, on_remote_closed, NULL, "vFile:close:%" PRIx64, (uint64_t)b->remote_file);
}

static void ask_remote_part(struct backend *b) {
    size_t part = b->features.packet_size / 2; /* escapes may double it */
    gdb_ask(b, on_remote_part, NULL, "vFile:pread:%" PRIx64 ",%zx,%zx", (uint64_t)b->remote_file,
            part, b->transfer.len);
    gdb_send(b);
}

static void on_remote_open(struct backend *b, void *ctx, const char *reply, size_t len) {
    (void)ctx;
    if (!reply)
        return;
    const char *at = reply + 1;
    uint64_t file;
    if (len < 2 || *reply != 'F' || !hex_number(&at, reply + len, &file)) {
        remote_failed(b, len ? "it cannot be opened there" : "it reads no files");
        return;
    }
    b->remote_file = (int64_t)file;
    buffer_clear(&b->transfer);
    b->transfer.max = IMAGE_MAX;
    ask_remote_part(b);
}

static void open_remote(struct backend *b) {
    gdb_ask(b, NULL, NULL, "vFile:setfs:0");
    buffer_puts(&b->text, "vFile:open:");
    hex_write(&b->text, b->exec_file, strlen(b->exec_file));
    buffer_puts(&b->text, ",0,0");
    gdb_ask_text(b, on_remote_open, NULL);
    gdb_send(b);
}

/* ---- libraries ---- */

static void next_library(struct backend *b);

static bool is_loaded(const struct backend *b, uint64_t bias) {
    for (size_t i = 0; i < b->program.space.count; i++)
        if (b->program.space.list[i].bias == bias)
            return true;
    return false;
}

static void on_library_verified(struct backend *b, bool same) {
    char text[4200];
    struct module *module = b->opened;
    b->opened = NULL;
    if (same) {
        error_free(program_add(&b->program, module, b->opened_bias));
        b->libraries_changed = true;
    } else {
        snprintf(text, sizeof text, "%.4000s here is another build than the one that runs there",
                 module->path);
        b->events->notice(b->owner, text);
        module_close(module);
    }
    next_library(b);
}

/* "./plugin.so" is relative to where the target runs: to be seen on this machine alone. The vDSO
 * has a name and no file. */
static bool library_path(const struct backend *b, const struct gdb_library *library, char *out,
                         size_t size) {
    const char *slash = library->name ? strchr(library->name, '/') : NULL;
    if (!slash || (*library->name != '/' && !b->local))
        return false;
    if (*library->name == '/')
        snprintf(out, size, "%s", library->name);
    else
        snprintf(out, size, "/proc/%" PRId64 "/cwd/%s",
                 b->thread.pid > 0 ? b->thread.pid : b->thread.tid, library->name);
    return true;
}

static void next_library(struct backend *b) {
    char path[4300];
    while (b->next_library < b->libraries.count) {
        const struct gdb_library *library = &b->libraries.list[b->next_library++];
        if (!library_path(b, library, path, sizeof path) || is_loaded(b, library->bias))
            continue;
        struct error *error = module_open(path, &b->opened);
        if (error) {
            LOG(LOG_GDB, 1, "%s", error->message);
            error_free(error);
            continue;
        }
        b->opened_bias = library->bias;
        verify(b, on_library_verified);
        return;
    }
    gdb_libraries_free(&b->libraries);
    b->after_libraries(b);
}

static bool is_gone(void *ctx, const struct loaded *loaded) {
    const struct backend *b = ctx;
    for (size_t i = 0; i < b->libraries.count; i++)
        if (b->libraries.list[i].bias == loaded->bias)
            return false;
    return true;
}

static void on_list(struct backend *b, bool there) {
    struct error *error = NULL;
    gdb_libraries_free(&b->libraries);
    b->next_library = 0;
    if (there)
        error = gdb_libraries_read(b->transfer.data ? b->transfer.data : "", b->transfer.len,
                                   &b->libraries);
    if (error)
        b->events->notice(b->owner, error->message);
    else if (there)
        b->libraries_changed = program_unload(&b->program, is_gone, b);
    error_free(error);
    next_library(b);
}

void gdb_find_libraries(struct backend *b, void (*then)(struct backend *b)) {
    b->after_libraries = then;
    if (gdb_has(&b->features, GDB_LIBRARIES))
        gdb_transfer(b, "libraries-svr4", "", on_list);
    else
        then(b);
}
