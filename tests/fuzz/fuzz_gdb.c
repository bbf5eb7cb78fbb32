/* Bytes from a stub: packets, whole and split, and each payload through every reader there is. */
#include "gdb/agent.h"
#include "gdb/description.h"
#include "gdb/features.h"
#include "gdb/stop.h"
#include "gdb/trace.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fine) {
    if (!fine)
        abort();
}

#define NOTED_MAX ((size_t)4 << 20)
#define READ_MAX 16 /* payloads of an input that the readers see: a bound on the time it takes */

/* All packets of `bytes`, fed in pieces of one to `step` bytes, one behind the other. */
static void note(const char *bytes, size_t n, size_t step, struct buffer *out) {
    struct packet_reader reader = PACKET_READER_INIT;
    struct packet packet;
    size_t piece = step;
    for (size_t at = 0; at < n;) {
        piece = piece == 1 ? step : piece - 1;
        size_t given = piece < n - at ? piece : n - at, taken = given + 1;
        bool got = packet_next(&reader, bytes + at, given, &taken, &packet);
        must(taken > 0 && taken <= given && (got || taken == given));
        at += taken;
        if (!got)
            continue;
        must(packet.len <= PACKET_MAX && packet.data[packet.len] == '\0');
        must(packet.kind <= PACKET_NOTICE && (packet.kind >= PACKET_REPLY || packet.intact));
        buffer_printf(out, "%d%d%zu:", packet.kind, packet.intact, packet.len);
        buffer_add(out, packet.data, packet.len);
    }
    must(reader.payload.len <= PACKET_MAX);
    buffer_printf(out, "%d", reader.payload.failed);
    packet_reader_free(&reader);
}

/* What is written is read back as it was. */
static void there_and_back(const char *bytes, size_t n) {
    struct packet_reader reader = PACKET_READER_INIT;
    struct buffer wire = BUFFER_INIT((size_t)1 << 20);
    struct packet packet;
    size_t taken;
    packet_write(&wire, bytes, n);
    must(wire.failed || packet_next(&reader, wire.data, wire.len, &taken, &packet));
    must(wire.failed || (taken == wire.len && packet.intact && packet.kind == PACKET_REPLY));
    must(wire.failed || (packet.len == n && !memcmp(packet.data, bytes, n)));
    packet_reader_free(&reader);
    buffer_free(&wire);
}

static void stop(const char *text, size_t n) {
    struct gdb_stop stop;
    struct gdb_thread back;
    if (!gdb_stop_parse(text, n, &stop))
        return;
    must(stop.kind <= GDB_NONE_RESUMED && stop.reason <= REASON_CREATE);
    must(stop.register_count <= GDB_EXPEDITED);
    for (size_t i = 0; i < stop.register_count; i++) {
        uint8_t bytes[64];
        const struct gdb_expedited *reg = &stop.registers[i];
        must(reg->hex >= text && reg->hex + reg->len <= text + n);
        must(hex_bytes(reg->hex, reg->len, bytes, sizeof bytes) * 2 <= reg->len);
    }
    struct buffer out = BUFFER_INIT(256);
    gdb_thread_write(&out, stop.thread);
    const char *at = out.data;
    must(gdb_thread_parse(&at, out.data + out.len, &back) && at == out.data + out.len);
    must(back.tid == stop.thread.tid && back.pid == stop.thread.pid);
    gdb_signal_name(stop.code);
    buffer_free(&out);
}

static void features(const char *text, size_t n) {
    struct gdb_features features;
    gdb_features_parse(text, n, &features);
    must(features.packet_size >= 64 && features.packet_size <= 256 << 10);
    must(features.has >> GDB_FEATURE_COUNT == 0);
    gdb_actions_have(text, n, 'c');
}

static void check_description(const struct gdb_description *description) {
    must(description->count <= GDB_REGISTERS_MAX);
    for (size_t i = 0; i < description->count; i++) {
        const struct gdb_register *reg = &description->list[i];
        must(reg->bits && reg->offset + (reg->bits + 7) / 8 <= description->size);
        must(!i || reg->number >= description->list[i - 1].number);
        must(gdb_register_numbered(description, reg->number) != NULL);
    }
}

/* The payload is each document that is asked for, so that it may include itself. */
static void described(const char *text, size_t n) {
    static struct gdb_description description;
    static struct gdb_documents documents;
    struct error *error = NULL;
    char missing[64] = "target.xml";
    for (int i = 0; i < 4 && *missing && !error; i++) {
        char name[64], *copy = malloc(n ? n : 1);
        if (!copy)
            break;
        memcpy(copy, text, n);
        memcpy(name, missing, sizeof name);
        error = gdb_documents_add(&documents, name, copy, n, missing);
        must(memchr(missing, '\0', sizeof missing) != NULL && strcmp(missing, name) != 0);
    }
    error_free(error);
    error_free(gdb_description_read(&documents, &description));
    check_description(&description);
    gdb_documents_free(&documents);
}

static void libraries(const char *text, size_t n) {
    struct gdb_libraries list;
    error_free(gdb_libraries_read(text, n, &list));
    must(list.count <= GDB_LIBRARIES_MAX);
    for (size_t i = 0; i < list.count; i++)
        must(list.list[i].name && *list.list[i].name);
    gdb_libraries_free(&list);
}

/* An include costs a reading of what it includes, eight deep: more than a few of them are only
 * slow. */
static bool includes_much(const char *text, size_t n) {
    int count = 0;
    for (size_t i = 0; i + 7 <= n; i++)
        count += !memcmp(text + i, "include", 7);
    return count > 2;
}

static void frames(const uint8_t *at, const uint8_t *end) {
    struct gdb_frame frame;
    struct gdb_block block;
    for (const uint8_t *before = at; gdb_frame_next(&at, end, &frame); before = at) {
        must(at > before && at <= end && frame.data + frame.size == at);
        const uint8_t *inside = frame.data;
        while (gdb_block_next(&inside, at, &block))
            must(inside <= at && (block.kind == 'V' || block.bytes + block.size == inside));
    }
}

static void agent(const uint8_t *bytes, size_t n) {
    struct buffer text = BUFFER_INIT((size_t)1 << 20);
    bool fine = agent_check(bytes, n);
    must(!fine || (n && n <= AGENT_MAX && bytes[n - 1] == AGENT_END));
    if (n <= AGENT_MAX)
        agent_print(bytes, n, &text);
    buffer_free(&text);
}

static void payload(const char *text, size_t n) {
    there_and_back(text, n);
    stop(text, n);
    features(text, n);
    libraries(text, n);
    if (n <= 64 << 10 && !includes_much(text, n))
        described(text, n);
    if (n && (*text == 'l' || *text == 'm')) /* a part of a document, and its mark */
        payload(text + 1, n - 1);
}

static void payloads(const char *bytes, size_t n) {
    struct packet_reader reader = PACKET_READER_INIT;
    struct packet packet;
    int seen = 0;
    for (size_t at = 0, taken; at < n && seen < READ_MAX; at += taken)
        if (packet_next(&reader, bytes + at, n - at, &taken, &packet) &&
            packet.kind >= PACKET_REPLY && packet.len <= 256 << 10) {
            payload(packet.data, packet.len);
            seen++;
        }
    packet_reader_free(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const size_t steps[] = {1, 2, 7};
    const char *bytes = (const char *)data;
    struct buffer whole = BUFFER_INIT(NOTED_MAX), split = BUFFER_INIT(NOTED_MAX);
    note(bytes, size, size ? size : 1, &whole);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        buffer_clear(&split);
        note(bytes, size, steps[i], &split);
        must(whole.failed == split.failed);
        must(whole.failed ||
             (whole.len == split.len && !memcmp(whole.data, split.data, whole.len)));
    }
    frames(data, data + size);
    agent(data, size);
    payload(bytes, size);
    payloads(bytes, size);
    buffer_free(&whole);
    buffer_free(&split);
    return 0;
}
