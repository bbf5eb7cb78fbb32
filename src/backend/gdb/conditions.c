/* Conditions that the stub decides (manual, appendix E.2, Z0): agent bytecode behind the Z packet.
 *
 * It is only a filter: what the stub reports is evaluated here again, so that a null pointer, or
 * memory that cannot be read, is told in the same words as everywhere. gdbserver reports where its
 * evaluation fails. */
#include "backend/gdb/gdb.h"

#include "base/log.h"
#include "expr/target_agent.h"
#include "lang/shape.h"
#include <inttypes.h>
#include <stdlib.h>

#define SIGNAL_INT 2
#define SIGNAL_TRAP 5
#define FALSE_REPORTS 16 /* may come of values that other threads change meanwhile */

int gdb_register_number(void *ctx, unsigned slot) {
    const struct backend *b = ctx;
    for (size_t i = 0; i < b->place_count; i++)
        if (b->places[i].slot == slot && b->places[i].size <= 8)
            return (int)b->places[i].number;
    return -1;
}

void gdb_agent_site(struct backend *b, uint64_t pc, struct agent_site *out) {
    *out = (struct agent_site){.space = &b->program.space,
                               .pc = pc,
                               .number = gdb_register_number,
                               .ctx = b,
                               .shape = lang_shape,
                               .guards = b->guards == GUARDS};
}

static void drop(struct point *point) {
    free(point->condition);
    point->condition = NULL;
    point->condition_len = 0;
}

static bool set_condition(struct backend *b, struct point *point, const char **why) {
    static struct agent agent; /* large; one thread compiles */
    struct program *p = &b->program;
    struct vantage at = program_vantage(p, point->address, point->site->where,
                                        point->site->kind == SITE_RETURN ? AT_RETURN : AT_PLACE);
    const struct compiled *compiled = program_compiled(p, point->site->filter, &at);
    struct agent_site site;
    gdb_agent_site(b, point->address, &site);
    agent = (struct agent){.len = 0};
    *why = "it is wrong here";
    if (!compiled || !compiled->expr || !target_agent_condition(compiled->expr, &site, &agent, why))
        return false;
    *why = "it is too long";
    if (!agent_check(agent.bytes, agent.len) || 2 * agent.len + 64 > b->features.packet_size)
        return false;
    point->condition = malloc(agent.len);
    point->condition_len = agent.len;
    if (point->condition)
        memcpy(point->condition, agent.bytes, agent.len);
    return point->condition != NULL;
}

void gdb_set_conditions(struct backend *b, struct site *site) {
    const char *why = NULL;
    bool all = site->filter && gdb_has(&b->features, GDB_CONDITIONS) && !b->undecided;
    for (size_t i = 0; i < site->address_count; i++) {
        struct point *point = gdb_point_at(b, site->addresses[i]);
        if (!point || point->site != site)
            continue;
        drop(point);
        all = all && set_condition(b, point, &why);
        b->wants_guards |= why != NULL;
    }
    for (size_t i = 0; i < site->address_count && !all; i++) {
        struct point *point = gdb_point_at(b, site->addresses[i]);
        if (point && point->site == site)
            drop(point);
    }
    if (why && !all)
        LOG(LOG_GDB, 1, "when: %s: evaluated here: %s", site->filter, why);
    site->filters |= all;
}

void gdb_condition_write(struct backend *b, const struct point *point) {
    buffer_printf(&b->text, ";X%zx,", point->condition_len);
    hex_write(&b->text, point->condition, point->condition_len);
}

/* ---- can it follow pointers? ---- */

#define NOWHERE 0x10 /* in the page that nobody has */

static void set_all(struct backend *b) {
    for (size_t i = 0; i < b->point_count; i++) {
        struct site *site = b->points[i].site;
        if (!site || !site->filter || b->points[i].condition ||
            site->addresses[0] != b->points[i].address)
            continue;
        gdb_set_conditions(b, site);
        for (size_t k = 0; k < site->address_count; k++) {
            struct point *point = gdb_point_at(b, site->addresses[k]);
            if (point && point->site == site && point->condition)
                gdb_point_ask(b, point, true, gdb_on_inserted);
        }
    }
}

/* The point's own condition again, or nothing. */
static void end_proof(struct backend *b) {
    struct point *point = gdb_point_at(b, b->proved_at);
    if (point && !point->hardware)
        gdb_point_ask(b, point, true, gdb_on_inserted);
    else
        gdb_ask(b, NULL, NULL, "z0,%" PRIx64 ",1", b->proved_at);
    b->note_stale = true;
}

/* Its end, or a signal, while everybody takes the target for stopped: told at the next resume. An
 * interrupt of ours that a hit had outrun is nobody's to hear of: the step is tried again. */
static void interrupted_proof(struct backend *b, const struct gdb_stop *stop, const char *reply,
                              size_t len) {
    bool stopped = stop->kind == GDB_STOPPED;
    b->guards = GUARDS_UNTRIED;
    if (stopped)
        end_proof(b);
    if (stopped && stop->code == SIGNAL_INT && b->interrupts)
        b->interrupts--;
    else
        buffer_add(&b->put_off, reply, len);
    gdb_send(b);
}

static void on_proof(struct backend *b, void *ctx, const char *reply, size_t len) {
    static struct gdb_stop stop; /* large; used within this call */
    uint64_t pc = 0;
    (void)ctx;
    if (!reply)
        return; /* the farewell takes out what stands there */
    b->proving = false;
    if (!gdb_stop_parse(reply, len, &stop)) {
        gdb_lost(b, gdb_refusal(reply, len, "a step of the target"));
        return;
    }
    if (stop.kind != GDB_STOPPED || stop.code != SIGNAL_TRAP ||
        (stop.reason != REASON_SIGNAL && stop.reason != REASON_SWBREAK)) {
        interrupted_proof(b, &stop, reply, len);
        return;
    }
    gdb_take_expedited(b, &stop);
    registers_get(&b->view.registers, (unsigned)b->program.space.arch->pc, &pc);
    b->guards = pc == b->proved_at ? GUARDS : GUARDS_NOT;
    b->stands_on_hit &= pc == b->proved_at;
    b->trace.told_here = b->stands_on_hit;
    b->trapped_anew =
        true; /* by another breakpoint than the hardware's: that one would hit again */
    LOG(LOG_GDB, 1, "the stub's agent %s",
        b->guards == GUARDS ? "tells bad memory" : "may not follow pointers");
    end_proof(b);
    if (b->guards == GUARDS)
        set_all(b);
    gdb_send(b);
}

/* A condition that reads where nothing is, and notices; then a step of the thread that stands
 * there: it does not come away if the condition is true. */
bool gdb_prove_guards(struct backend *b) {
    static struct agent agent; /* large; one thread compiles */
    struct agent_site site;
    bool armed = b->point_count || b->trace.count; /* else nothing needs it any more */
    bool may = armed && !b->put_off.len && b->wants_guards && b->guards == GUARDS_UNTRIED &&
               !b->acks && !b->pass_signal && (b->at_launch || b->stands_on_hit) &&
               b->thread.tid > 0 && b->has_vcont && gdb_has(&b->features, GDB_SWBREAK) &&
               gdb_has(&b->features, GDB_CONDITIONS);
    if (!may ||
        !registers_get(&b->view.registers, (unsigned)b->program.space.arch->pc, &b->proved_at))
        return false;
    gdb_agent_site(b, b->proved_at, &site);
    agent = (struct agent){.len = 0};
    b->guards = GUARDS_NOT;
    if (!target_agent_can_guard(&site, NOWHERE, &agent))
        return false;
    buffer_printf(&b->text, "Z0,%" PRIx64 ",1;X%zx,", b->proved_at, agent.len);
    hex_write(&b->text, agent.bytes, agent.len);
    gdb_ask_text(b, NULL, NULL);
    b->proving = b->note_stale = true;
    gdb_step_request(b, on_proof);
    return true;
}

/* Some may be false by now: other threads run until all have stopped. */
void gdb_condition_was(struct backend *b, bool truth) {
    b->false_reports = truth ? 0 : b->false_reports + 1;
    if (b->false_reports < FALSE_REPORTS || b->undecided)
        return;
    b->undecided = true;
    b->events->notice(b->owner, "the stub says that it decides conditions, and reports false ones: "
                                "they are evaluated by pickglass");
}
