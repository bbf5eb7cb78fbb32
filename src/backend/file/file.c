/* A program's file: nothing runs in it, but everything that its symbols can tell is there. `check`
 * and `list` use it (`--binary FILE`, or the URI file:PATH).
 *
 * Reading is synchronous, in the worker: what is hostile about a file harms nothing else.
 * Completions come from a timer, so none runs inside of an operation. */
#include "backend/file/file.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIT(trigger) (1u << (trigger))

/* An ELF file that is no program, and what to give instead; NULL: it may be one. */
static const char *why_not(unsigned type) {
    switch (type) {
    case ET_REL: return "is not linked yet: give the program that it becomes part of";
    case ET_CORE:
        return "is a core, the memory of a program that has died: give that program's file (and "
               "of a Go program both: 'dlv+exec:dlv core PROGRAM CORE')";
    default: return NULL;
    }
}

static struct error *open_file(struct backend *b) {
    struct module *module;
    struct error *error = module_open(b->path, &module);
    if (error)
        return error;
    const char *why = why_not(module->elf->type);
    if (!why)
        return program_add(&b->program, module, 0);
    module_close(module);
    return error_new(ERROR_RUN, "%s %s", b->path, why);
}

static void tell_connected(struct backend *b) {
    struct error *error = b->program.space.count ? NULL : open_file(b);
    struct target_info info = {.at_launch = true,
                               .stays = true,
                               .core = true,
                               .server = "file",
                               .version = "",
                               .language = "",
                               .command = b->path,
                               .stopped_at = ""};
    if (!error) {
        const struct module *module = b->program.space.list[0].module;
        info.language = program_language(&b->program);
        info.version = module->elf->arch ? module->elf->arch->name : "unknown architecture";
        if (module->note)
            b->events->notice(b->owner, module->note);
    }
    b->events->connected(b->owner, error ? NULL : &info, error);
}

static void on_later(uv_timer_t *timer) {
    struct backend *b = timer->data;
    unsigned due = b->due;
    b->due = 0;
    if (due & DUE_CONNECTED)
        tell_connected(b);
    else if (due & DUE_FLUSHED)
        b->events->flushed(b->owner);
    else if (due & DUE_LEFT)
        b->events->left(b->owner);
}

static void later(struct backend *b, unsigned what) {
    b->due |= what;
    uv_timer_start(&b->later, on_later, 0, 0);
}

static struct error *file_create(const struct backend_setup *setup,
                                 const struct backend_events *events, void *owner,
                                 struct backend **out) {
    struct backend *b = calloc(1, sizeof *b);
    char *path = strdup(setup->uri + strlen("file:"));
    if (!b || !path) {
        free(b);
        free(path);
        return error_no_memory();
    }
    *b = (struct backend){.events = events, .owner = owner, .path = path};
    program_init(&b->program);
    uv_timer_init(setup->loop, &b->later);
    b->later.data = b;
    *out = b;
    return NULL;
}

static void file_connect(struct backend *b) {
    later(b, DUE_CONNECTED);
}

static void file_flush(struct backend *b) {
    later(b, DUE_FLUSHED);
}

static void file_leave(struct backend *b, enum leave_how how) {
    (void)how;
    later(b, DUE_LEFT);
}

static void on_closed(uv_handle_t *handle) {
    struct backend *b = handle->data;
    program_free(&b->program);
    free(b->path);
    free(b);
}

static void file_destroy(struct backend *b) {
    uv_close((uv_handle_t *)&b->later, on_closed);
}

/* ---- places ---- */

/* A function of the library that the program calls is in another file. */
static struct error *explain(struct backend *b, struct error *error) {
    bool library =
        error->reason == REASON_NO_NAME && b->program.space.list[0].module->elf->type == ET_DYN;
    return library ? error_wrap(error, "in %s itself", b->path) : error;
}

static void file_resolve(struct backend *b, struct query *query) {
    program_resolve(&b->program, query, NULL);
    if (query->error)
        query->error = explain(b, query->error);
}

static void file_arm(struct backend *b, struct site *site) {
    (void)b;
    site->armed = true; /* as far as a file goes: what it holds has been judged */
}

static void file_disarm(struct backend *b, struct site *site) {
    (void)b;
    site->armed = false;
}

static struct error *file_judge(struct backend *b, const struct judged *judged, struct buffer *type,
                                size_t *column, const char **unavailable) {
    return program_judge(&b->program, judged, type, column, unavailable);
}

/* ---- what a file has none of ---- */

static enum read_result file_read(struct backend *b, const struct hit *hit, const struct want *want,
                                  struct buffer *into, value_ref *out) {
    (void)hit;
    *out = want->kind == WANT_LIST ? program_list(&b->program, want, into)
                                   : value_error(into, "nothing runs in a file");
    return READ_DONE;
}

static void file_give_up(struct backend *b, const char *why) {
    (void)b;
    (void)why;
}

static void file_nothing(struct backend *b) {
    (void)b;
}

/* A session of a file is never resumed (`core`); it would wait for ever. */
static void file_resume(struct backend *b) {
    b->events->lost(b->owner, error_new(ERROR_RUN, "%s: nothing runs in a file", b->path));
}

static const struct backend_caps file_caps = {
    .name = "file",
    .triggers = BIT(TRIGGER_AT) | BIT(TRIGGER_CALL) | BIT(TRIGGER_RETURN_OF) | BIT(TRIGGER_WATCH) |
                BIT(TRIGGER_TIMER) | BIT(TRIGGER_SIGNAL) | BIT(TRIGGER_PANIC) | BIT(TRIGGER_EXIT) |
                BIT(TRIGGER_SYSCALL),
    .conditions = true,
    .hit_conditions = true,
    .registers = true,
    .goroutines = true,
    .abi = true,
    .modules = true,
    .hardware = true,
};

const struct backend_ops file_ops = {
    .caps = &file_caps,
    .create = file_create,
    .connect = file_connect,
    .inspect = file_connect,
    .resolve = file_resolve,
    .judge = file_judge,
    .arm = file_arm,
    .disarm = file_disarm,
    .read = file_read,
    .give_up = file_give_up,
    .flush = file_flush,
    .resume = file_resume,
    .halt = file_nothing,
    .leave = file_leave,
    .destroy = file_destroy,
};
