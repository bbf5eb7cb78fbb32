#include "gdb/description.h"

#include "base/text.h"
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef HAVE_XML_LINE64
#define LINE_OF XML_GetCurrentLineNumber64
#else
#define LINE_OF XML_GetCurrentLineNumber
#endif

#define DEPTH_MAX 8

static const char *attribute(const char **attributes, const char *name) {
    for (; *attributes; attributes += 2)
        if (!strcmp(*attributes, name))
            return attributes[1];
    return NULL;
}

static bool is_include(const char *element) {
    const char *colon = strrchr(element, ':');
    return !strcmp(colon ? colon + 1 : element, "include");
}

static struct error *parse(const char *what, const char *text, size_t len, void *ctx,
                           XML_StartElementHandler start, XML_EndElementHandler end,
                           XML_CharacterDataHandler characters) {
    XML_Parser parser = len <= GDB_XML_MAX ? XML_ParserCreate(NULL) : NULL;
    if (!parser)
        return error_new(ERROR_RUN, "%s is larger than 1 MiB", what);
    XML_SetUserData(parser, ctx);
    XML_SetElementHandler(parser, start, end);
    XML_SetCharacterDataHandler(parser, characters);
    struct error *error = NULL;
    if (XML_Parse(parser, text, (int)len, 1) != XML_STATUS_OK)
        error =
            error_new(ERROR_RUN, "%s that the stub sent is no XML: line %lu: %s", what,
                      (unsigned long)LINE_OF(parser), XML_ErrorString(XML_GetErrorCode(parser)));
    XML_ParserFree(parser);
    return error;
}

/* ---- documents and what they include ---- */

static const struct gdb_document *document_named(const struct gdb_documents *documents,
                                                 const char *name) {
    for (size_t i = 0; i < documents->count; i++)
        if (!strcmp(documents->list[i].name, name))
            return &documents->list[i];
    return NULL;
}

struct wanted {
    const struct gdb_documents *documents;
    char *missing;
};

static void XMLCALL note_include(void *ctx, const char *element, const char **attributes) {
    struct wanted *wanted = ctx;
    const char *href = is_include(element) ? attribute(attributes, "href") : NULL;
    if (href && strlen(href) < 64 && !document_named(wanted->documents, href))
        snprintf(wanted->missing, 64, "%s", href);
}

struct error *gdb_documents_add(struct gdb_documents *documents, const char *name, char *text,
                                size_t len, char missing[static 64]) {
    *missing = '\0';
    if (documents->count == GDB_XML_FILES) {
        free(text);
        return error_new(ERROR_RUN, "the stub's target description has more than %d parts",
                         GDB_XML_FILES);
    }
    struct gdb_document *document = &documents->list[documents->count++];
    snprintf(document->name, sizeof document->name, "%s", name);
    document->text = text;
    document->len = len;
    struct wanted wanted = {documents, missing};
    for (size_t i = 0; i < documents->count; i++) {
        document = &documents->list[i];
        struct error *error = parse("the target description", document->text, document->len,
                                    &wanted, note_include, NULL, NULL);
        if (error)
            return error;
    }
    return NULL;
}

void gdb_documents_free(struct gdb_documents *documents) {
    for (size_t i = 0; i < documents->count; i++)
        free(documents->list[i].text);
    documents->count = 0;
}

/* ---- registers ---- */

struct reading {
    const struct gdb_documents *documents;
    struct gdb_description *out;
    unsigned next; /* a register without a number has the one behind its predecessor's */
    int depth;
    bool in_architecture;
    bool read[GDB_XML_FILES]; /* a document is put in once, however often it is named */
    struct error *error;
};

static void read_document(struct reading *reading, const struct gdb_document *document);

static void add_register(struct reading *reading, const char **attributes) {
    const char *name = attribute(attributes, "name"), *bits = attribute(attributes, "bitsize");
    const char *number = attribute(attributes, "regnum");
    struct gdb_description *out = reading->out;
    unsigned long n = number ? strtoul(number, NULL, 10) : reading->next;
    const char *offset =
        attribute(attributes, "offset"); /* lldb-server's, for what `g` leaves out */
    unsigned long size = bits ? strtoul(bits, NULL, 10) : 0;
    unsigned long place = offset ? strtoul(offset, NULL, 10) : 0;
    if (attribute(attributes, "value_regnums"))
        return; /* a part of another one */
    if (!name || !size || size > 65536 || n > 65535 || place > 65535 ||
        out->count == GDB_REGISTERS_MAX)
        return;
    struct gdb_register *reg = &out->list[out->count++];
    *reg = (struct gdb_register){.number = (unsigned)n, .bits = (unsigned)size};
    snprintf(reg->name, sizeof reg->name, "%s", name);
    reg->placed = offset != NULL;
    reg->offset = place;
    reading->next = (unsigned)n + 1;
}

static void XMLCALL start_element(void *ctx, const char *element, const char **attributes) {
    struct reading *reading = ctx;
    reading->in_architecture = !strcmp(element, "architecture");
    if (!strcmp(element, "reg"))
        add_register(reading, attributes);
    const char *href = is_include(element) ? attribute(attributes, "href") : NULL;
    const struct gdb_document *document = href ? document_named(reading->documents, href) : NULL;
    if (document)
        read_document(reading, document);
}

static void XMLCALL end_element(void *ctx, const char *element) {
    (void)element;
    ((struct reading *)ctx)->in_architecture = false;
}

static void XMLCALL take_text(void *ctx, const char *text, int n) {
    struct reading *reading = ctx;
    char *to = reading->out->architecture;
    size_t have = strlen(to);
    for (int i = 0; reading->in_architecture && i < n; i++)
        if ((unsigned char)text[i] > ' ' && have + 1 < sizeof reading->out->architecture)
            to[have++] = text[i];
    to[have] = '\0';
}

static void read_document(struct reading *reading, const struct gdb_document *document) {
    bool *read = &reading->read[document - reading->documents->list];
    if (reading->depth == DEPTH_MAX || reading->error || *read)
        return;
    *read = true;
    reading->depth++;
    struct error *error = parse("the target description", document->text, document->len, reading,
                                start_element, end_element, take_text);
    reading->depth--;
    if (reading->error)
        error_free(error);
    else
        reading->error = error;
}

static int by_number(const void *left, const void *right) {
    const struct gdb_register *a = left, *b = right;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* `g` has all registers one behind the other, in the order of their numbers. */
static void lay_out(struct gdb_description *out) {
    qsort(out->list, out->count, sizeof *out->list, by_number);
    out->size = 0;
    for (size_t i = 0; i < out->count; i++) {
        struct gdb_register *reg = &out->list[i];
        size_t size = (reg->bits + 7) / 8;
        reg->offset = reg->placed ? reg->offset : out->size;
        out->size = reg->offset + size > out->size ? reg->offset + size : out->size;
    }
}

struct error *gdb_description_read(const struct gdb_documents *documents,
                                   struct gdb_description *out) {
    struct reading reading = {.documents = documents, .out = out};
    *out->architecture = '\0';
    out->count = out->size = 0;
    if (documents->count)
        read_document(&reading, &documents->list[0]);
    lay_out(out);
    if (!reading.error && !out->count)
        reading.error = error_new(ERROR_RUN, "the stub's target description names no registers");
    return reading.error;
}

const struct gdb_register *gdb_register_numbered(const struct gdb_description *description,
                                                 unsigned number) {
    for (size_t i = 0; i < description->count; i++)
        if (description->list[i].number == number)
            return &description->list[i];
    return NULL;
}

/* A run of registers of the same size: "x" and 31 are x0 to x30. */
struct run {
    const char *arch, *name;
    unsigned count, bits;
};

static const struct run runs[] = {
    {"x86_64", "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip", 0, 64},
    {"x86_64", "eflags cs ss ds es fs gs", 0, 32},
    {"x86_64", "st", 8, 80},
    {"x86_64", "fctrl fstat ftag fiseg fioff foseg fooff fop", 0, 32},
    {"x86_64", "xmm", 16, 128},
    {"x86_64", "mxcsr", 0, 32},
    {"aarch64", "x", 31, 64},
    {"aarch64", "sp pc", 0, 64},
    {"aarch64", "cpsr", 0, 32},
    {"riscv64", "x", 32, 64},
    {"riscv64", "pc", 0, 64},
    {"arm", "r", 13, 32},
    {"arm", "sp lr pc", 0, 32},
    {"arm", "f", 8, 96},
    {"arm", "fps cpsr", 0, 32},
};

static void add_run(struct gdb_description *out, const struct run *run) {
    const char *at = run->name;
    for (unsigned i = 0; run->count ? i < run->count : *at != '\0'; i++) {
        struct gdb_register *reg = &out->list[out->count];
        int n = (int)strcspn(at, " ");
        *reg = (struct gdb_register){.number = (unsigned)out->count, .bits = run->bits};
        if (run->count)
            snprintf(reg->name, sizeof reg->name, "%s%u", run->name, i);
        else
            snprintf(reg->name, sizeof reg->name, "%.*s", n, at);
        at += run->count ? 0 : n + (at[n] == ' ');
        out->count++;
    }
}

bool gdb_description_default(const char *arch, struct gdb_description *out) {
    *out->architecture = '\0';
    out->count = out->size = 0;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        if (!strcmp(runs[i].arch, arch))
            add_run(out, &runs[i]);
    lay_out(out);
    return out->count > 0;
}

/* ---- libraries ---- */

struct listing {
    struct gdb_libraries *out;
    bool no_memory;
};

static void XMLCALL take_library(void *ctx, const char *element, const char **attributes) {
    struct listing *listing = ctx;
    struct gdb_libraries *out = listing->out;
    const char *name = attribute(attributes, "name"), *bias = attribute(attributes, "l_addr");
    if (strcmp(element, "library") || !name || !*name || !bias || out->count == GDB_LIBRARIES_MAX)
        return;
    char *copy = strdup(name);
    struct gdb_library *library = copy ? ARRAY_ADD(out->list, out->count, out->cap) : NULL;
    if (library)
        *library = (struct gdb_library){copy, strtoull(bias, NULL, 16)};
    else
        free(copy);
    listing->no_memory |= !library;
}

struct error *gdb_libraries_read(const char *text, size_t len, struct gdb_libraries *out) {
    struct listing listing = {out, false};
    *out = (struct gdb_libraries){0};
    struct error *error =
        parse("the list of libraries", text, len, &listing, take_library, NULL, NULL);
    return !error && listing.no_memory ? error_no_memory() : error;
}

void gdb_libraries_free(struct gdb_libraries *libraries) {
    for (size_t i = 0; i < libraries->count; i++)
        free(libraries->list[i].name);
    free(libraries->list);
    *libraries = (struct gdb_libraries){0};
}
