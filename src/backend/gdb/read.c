/* Memory and registers at a stop: everything that all captures of a hit want, in one write. What
 * the last hit of a site has needed is asked for at once with what is known to be wanted: a further
 * level of pointers costs a round trip at the first hit alone. */
#include "backend/gdb/gdb.h"

#include <inttypes.h>
#include <stdlib.h>

#define PAGE 4096
#define PREDICTED_BYTES 4096 /* of one range: what is large may have moved */

static void ask_memory(struct backend *b, uint64_t address, size_t size);

static void on_memory(struct backend *b, void *ctx, const char *reply, size_t len) {
    struct fetch fetch = *(struct fetch *)ctx;
    struct memory *memory = &b->program.memory;
    free(ctx);
    if (!reply || fetch.stop != b->stop_number)
        return;
    b->fetching--;
    uint8_t *bytes = malloc(fetch.size);
    size_t n = bytes && len && *reply != 'E' ? hex_bytes(reply, len, bytes, fetch.size) : 0;
    size_t to_page = PAGE - fetch.address % PAGE;
    if (n)
        memory_fill(memory, fetch.address, bytes, n, n);
    if (n < fetch.size && n) {
        ask_memory(b, fetch.address + n, fetch.size - n);
    } else if (!n && to_page < fetch.size) { /* one page of it may be there */
        ask_memory(b, fetch.address, to_page);
        ask_memory(b, fetch.address + to_page, fetch.size - to_page);
    } else if (!n) {
        memory_fill(memory, fetch.address, "", 0, fetch.size);
    }
    free(bytes);
    if (b->fetching || !b->after_fetch)
        return;
    void (*then)(struct backend * b) = b->after_fetch;
    b->after_fetch = NULL;
    then(b);
}

static void ask_memory(struct backend *b, uint64_t address, size_t size) {
    size_t most = (b->features.packet_size - 16) / 2;
    for (size_t n; size; address += n, size -= n) {
        struct fetch *fetch = malloc(sizeof *fetch);
        n = size < most ? size : most;
        if (!fetch)
            return;
        *fetch = (struct fetch){address, n, b->stop_number};
        b->fetching++;
        gdb_ask(b, on_memory, fetch, "m%" PRIx64 ",%zx", address, n);
    }
}

static void after_registers(struct backend *b) {
    void (*then)(struct backend * b) = b->after_fetch;
    if (b->fetching || !then)
        return;
    b->after_fetch = NULL;
    then(b);
}

void gdb_fetch(struct backend *b, void (*then)(struct backend *b)) {
    struct memory *memory = &b->program.memory;
    b->after_fetch = then;
    gdb_over_want(b);
    if (b->view.lacks && !b->view.whole)
        gdb_ask_registers(b, after_registers);
    else if (b->view.lacks && b->view.singly)
        gdb_ask_single_registers(b, after_registers);
    b->view.lacks = false;
    for (size_t i = 0; i < memory->want_count; i++)
        ask_memory(b, memory->wants[i].address, memory->wants[i].size);
    memory->want_count = 0;
}

/* ---- what the next hit will want ---- */

static struct prediction *prediction_of(struct backend *b, const struct site *site, bool add) {
    for (size_t i = 0; i < b->prediction_count; i++)
        if (b->predictions[i].site == site)
            return &b->predictions[i];
    if (!add || b->prediction_count == sizeof b->predictions / sizeof *b->predictions)
        return NULL;
    struct prediction *prediction = &b->predictions[b->prediction_count++];
    prediction->site = site;
    return prediction;
}

void gdb_remember_reads(struct backend *b) {
    const struct memory *memory = &b->program.memory;
    struct prediction *prediction =
        b->stands_on_hit && memory->count ? prediction_of(b, b->hit.site, true) : NULL;
    if (!prediction)
        return;
    prediction->count = 0;
    for (size_t i = 0; i < memory->count && prediction->count < PREDICTED; i++) {
        const struct memory_block *block = &memory->blocks[i];
        if (!block->fault && block->size <= PREDICTED_BYTES)
            prediction->ranges[prediction->count++] =
                (struct memory_range){block->address, block->size};
    }
}

/* Only noted: it goes out with what the first look at the hit wants, if that wants anything. */
void gdb_predict(struct backend *b, const struct site *site) {
    const struct prediction *prediction = prediction_of(b, site, false);
    for (size_t i = 0; prediction && i < prediction->count; i++)
        memory_want(&b->program.memory, prediction->ranges[i].address, prediction->ranges[i].size);
}

/* ---- reading ---- */

/* What a watch shows is where it was found, whatever is in scope now. */
#define PASSED_TRIES 200

/* Of a hit that has passed, what was not collected could not be read there. */
static void know_the_rest(struct backend *b) {
    struct memory *memory = &b->program.memory;
    b->view.whole |= b->view.lacks;
    b->view.singly &= !b->view.lacks;
    for (size_t i = 0; i < memory->want_count; i++)
        memory_fill(memory, memory->wants[i].address, "", 0, memory->wants[i].size);
    memory->want_count = 0;
}

enum read_result gdb_read(struct backend *b, const struct hit *hit, const struct want *want,
                          struct buffer *into, value_ref *out) {
    const struct watchpoint *watch = want->kind == WANT_EXPR ? gdb_watch_of(b, want->expr) : NULL;
    if (watch)
        return program_show(&b->program, &b->view, &watch->operand, want, into, out);
    enum read_result result = program_read(&b->program, &b->view, hit, want, into, out);
    for (int i = 0; b->trace.passing && result == READ_AGAIN && i < PASSED_TRIES; i++) {
        know_the_rest(b);
        result = program_read(&b->program, &b->view, hit, want, into, out);
    }
    const struct value *value = result == READ_DONE && want->truth ? value_get(into, *out) : NULL;
    if (value && value->kind == VALUE_BOOL && hit->site && hit->site->filters)
        gdb_condition_was(b, value->b);
    return result;
}

void gdb_give_up(struct backend *b, const char *why) {
    program_give_up(&b->program, why);
    b->stop_number++; /* answers that are still to come are dropped */
    b->after_fetch = b->after_registers = NULL;
    b->fetching = 0;
    b->batch_open = false;
}
