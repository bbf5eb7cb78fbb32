/* Target descriptions: which registers there are, and how `g` lays them out (manual, appendix G);
 * and the list of loaded libraries. XML from outside, read by expat. */
#pragma once

#include "base/error.h"
#include "gdb/packet.h"
#include <stdbool.h>

#define GDB_REGISTERS_MAX 512
#define GDB_XML_MAX ((size_t)1 << 20) /* bytes of one document */
#define GDB_XML_FILES 32
#define GDB_LIBRARIES_MAX 4096

struct gdb_register {
    char name[32];
    unsigned number, bits;
    size_t offset; /* in the reply to `g`, in bytes */
    bool placed;   /* the stub has said so itself */
};

struct gdb_description {
    char architecture[64]; /* "i386:x86-64"; "" not told */
    struct gdb_register list[GDB_REGISTERS_MAX];
    size_t count, size; /* size: bytes of `g` */
};

/* One document of a description, by the name under which it was asked for. */
struct gdb_document {
    char name[64];
    char *text; /* owned */
    size_t len;
};

struct gdb_documents {
    struct gdb_document list[GDB_XML_FILES];
    size_t count;
};

/* Takes ownership of `text`. ERROR_RUN where it cannot be read; *missing becomes the name of a
 * document that it or an earlier one includes and that is not there yet, or "". */
struct error *gdb_documents_add(struct gdb_documents *documents, const char *name, char *text,
                                size_t len, char missing[static 64]);
void gdb_documents_free(struct gdb_documents *documents);

/* The first document, with what it includes put in. */
struct error *gdb_description_read(const struct gdb_documents *documents,
                                   struct gdb_description *out);

/* What stubs without a description mean by `g`: GDB's own tables. False: not known. */
bool gdb_description_default(const char *arch, struct gdb_description *out);

/* NULL: there is none with this number. */
const struct gdb_register *gdb_register_numbered(const struct gdb_description *description,
                                                 unsigned number);

struct gdb_library {
    char *name;    /* path on the target; owned */
    uint64_t bias; /* l_addr */
};

struct gdb_libraries {
    struct gdb_library *list;
    size_t count, cap;
};

struct error *gdb_libraries_read(const char *text, size_t len, struct gdb_libraries *out);
void gdb_libraries_free(struct gdb_libraries *libraries);
