/* What the tests of target descriptions share. */
#pragma once

#include "gdb/description.h"
#include "run_errors.h"
#include "unit.h"

static struct gdb_documents documents;
static struct gdb_description description;

static inline void forget(void) {
    gdb_documents_free(&documents);
}

/* Takes a copy that is exactly as long as it must be, so that a sanitizer sees what is read beyond
 * it. */
static inline struct error *add_bare(const char *name, const char *text, size_t n,
                                     char missing[static 64]) {
    char *copy = malloc(n ? n : 1);
    memcpy(copy, text, n);
    return gdb_documents_add(&documents, name, copy, n, missing);
}

static inline const struct gdb_register *named(const char *name) {
    for (size_t i = 0; i < description.count; i++)
        if (!strcmp(description.list[i].name, name))
            return &description.list[i];
    return NULL;
}

static inline void expect_register(const char *name, unsigned number, unsigned bits,
                                   size_t offset) {
    const struct gdb_register *reg = named(name);
    cr_expect_not_null(reg, "%s is missing", name);
    if (!reg)
        return;
    cr_expect(reg->number == number && reg->bits == bits && reg->offset == offset,
              "%s: number %u, %u bits, at %zu", name, reg->number, reg->bits, reg->offset);
    cr_expect_eq(gdb_register_numbered(&description, number), reg, "%s", name);
}
