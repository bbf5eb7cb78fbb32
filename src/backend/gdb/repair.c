/* Should the worker die, main starts another with the note that this one has left: the target's URI
 * with what stands in its code behind a '#':
 *
 *   gdb://127.0.0.1:2345#pid=1a2b;exe=2f62;int=1;z0,401136,1;z2,404028,4
 *
 * (`int=1`: an interrupt is on its way to the target, which would die of it once it is let go.)
 * The second worker connects, takes it out and lets the target go (farewell.c), where the stub
 * serves another client: gdbserver without --once, a serial line. */
#include "backend/gdb/gdb.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NOTE_MAX (32u << 10)

static void put_removal(void *ctx, const struct buffer *payload) {
    struct buffer *note = ctx;
    buffer_putc(note, ';');
    buffer_add(note, payload->data, payload->len);
}

bool gdb_note_is_due(const struct backend *b) {
    return b->note_stale || b->noted_interrupt != (b->interrupts > 0);
}

void gdb_note(struct backend *b) {
    struct buffer note = BUFFER_INIT(NOTE_MAX);
    b->note_stale = false;
    b->noted_interrupt = b->interrupts > 0;
    if (!b->reachable || !gdb_uri_again(&b->target))
        return;
    size_t base = strcspn(b->uri, b->target.kind == STREAM_SERIAL ? "#" : "?#");
    buffer_add(&note, b->uri, base);
    if (b->target.extended)
        buffer_puts(&note, "?extended=yes");
    buffer_printf(&note, "#pid=%" PRIx64 ";exe=", (uint64_t)b->info.pid);
    hex_write(&note, b->exec_file, strlen(b->exec_file));
    if (b->noted_interrupt)
        buffer_puts(&note, ";int=1");
    gdb_removals(b, put_removal, &note);
    if (b->trace.count)
        buffer_puts(&note, ";QTStop;QTinit");
    if (!note.failed)
        b->reachable(b->reachable_ctx, note.data);
    buffer_free(&note);
}

/* "z0,401136,1", these, and nothing else: it has come over a command line, perhaps. */
static bool is_removal(const char *text, size_t n) {
    static const char *const others[] = {"QTStop", "QTinit", "QCatchSyscalls:0"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (n == strlen(others[i]) && !memcmp(text, others[i], n))
            return true;
    bool fine = n > 5 && n < 64 && text[0] == 'z' && text[1] >= '0' && text[1] <= '4';
    for (size_t i = 2; fine && i < n; i++)
        fine = text[i] == ',' || isxdigit((unsigned char)text[i]);
    return fine;
}

void gdb_compose_removals(struct backend *b) {
    for (const char *at = b->target.note, *next; at; at = next ? next + 1 : NULL) {
        next = strchr(at, ';');
        size_t n = next ? (size_t)(next - at) : strlen(at);
        b->catches |= *at == 'Q' && at[1] == 'C';
        if (is_removal(at, n))
            gdb_farewell_add(b, at, n);
        else if (n == 5 && !strncmp(at, "int=1", 5))
            b->interrupts = 1;
        else if (n > 4 && !strncmp(at, "pid=", 4))
            b->info.pid = (int64_t)strtoull(at + 4, NULL, 16);
        else if (n > 4 && !strncmp(at, "exe=", 4))
            b->exec_file[hex_bytes(at + 4, n - 4, (uint8_t *)b->exec_file,
                                   sizeof b->exec_file - 1)] = '\0';
    }
}

/* Nothing is armed any more, and the connection has ended: whatever is asked for is done. */
void gdb_repaired(struct backend *b, bool done) {
    if (!done) {
        b->dead = true;
        gdb_end(b);
        return;
    }
    stream_close(b->stream);
    b->stream = NULL;
    uv_timer_stop(&b->deadline);
    error_free(b->death);
    b->death = NULL;
    b->dead = false;
    b->exited = b->connected = true;
    b->info = (struct target_info){.pid = b->info.pid,
                                   .stays = true,
                                   .server = "GDB remote stub",
                                   .version = "",
                                   .language = "",
                                   .command = "",
                                   .stopped_at = ""};
    b->events->connected(b->owner, &b->info, NULL);
}
