/* The target executes another program: what was armed is gone with the old one, and where things
 * are is asked anew, from the registers on. Then the session looks its places up once more. */
#include "backend/gdb/gdb.h"

#include <stdlib.h>

static void forget_program(struct backend *b) {
    gdb_libraries_free(&b->libraries);
    gdb_documents_free(&b->documents);
    b->description.count = 0;
    program_free(&b->program);
    program_init(&b->program);
    free(b->image);
    b->image = NULL;
    b->at_entry = b->at_base = b->load_at = 0;
    *b->exec_file = '\0';
    b->guessed = b->pending = false;
}

static void forget_armed(struct backend *b) {
    for (size_t i = 0; i < b->point_count; i++)
        free(b->points[i].condition);
    gdb_trace_abandon(b);
    b->point_count = b->watch_count = b->stale_count = b->signal_count = b->call_count = 0;
    b->prediction_count = 0;
    b->note_stale = true;
    b->pass_signal = 0;
    b->vforked = b->stands_on_hit = false;
    b->unwritten = b->promoted = b->no_promotion = false;
    b->moved = 0;
}

/* What the old program has collected is told. */
static void on_drained(struct backend *b) {
    forget_armed(b);
    forget_program(b);
    free(b->binary); /* the user has named the old one */
    b->binary = NULL;
    gdb_greet_anew(b);
}

void gdb_on_exec(struct backend *b) {
    gdb_drain(b, on_drained);
}

void gdb_on_executed(struct backend *b) {
    b->view.id = b->thread.tid;
    b->hit = (struct hit){.thread = b->thread.tid};
    registers_get(&b->view.registers, (unsigned)b->program.space.arch->pc, &b->hit.pc);
    program_locate(&b->program, &b->hit, NULL);
    snprintf(b->stop_what, sizeof b->stop_what, "it runs %.200s now (exec)", b->exec_file);
    gdb_deliver(b, STOP_RESTARTED);
}
