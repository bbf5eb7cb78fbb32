// A request finds its rule and its method.
#include "fakedlv.h"

// In the order of enum action.
const struct action_row action_table[] = {
    {"reply", true, false},       {"error", true, false},        {"close", false, false},
    {"half", false, false},       {"stall", false, false},       {"garbage", false, false},
    {"huge", true, false},        {"wrongid", false, false},     {"delay", true, false},
    {"splitbytes", false, false}, {"pidchange", false, false},   {"dap", false, false},
    {"twohits", false, true},     {"strangerstop", false, true}, {"otherrun", false, true},
    {"evalfails", true, true},    {"panic", false, true},        {"bpgone", false, false},
};
_Static_assert(sizeof action_table / sizeof *action_table == ACT_COUNT, "an action has no name");

static struct method *find_method(const char *full) {
    if (strncmp(full, "RPCServer.", 10))
        return NULL;
    for (int i = 0; i < nmethods; i++)
        if (!strcmp(methods[i].name, full + 10))
            return &methods[i];
    return NULL;
}

static bool rule_names(const struct rule *r, const char *method, const char *command) {
    return !strcmp(r->method, "*") || !strcmp(r->method, method) ||
           (!strcmp(method, "Command") && !strcmp(r->method, command));
}

// The first rule that fits; every rule counts, whether or not it was its turn.
static const struct rule *match_rule(struct conn *c, const char *method, const char *command) {
    const struct rule *found = NULL;
    for (size_t i = 0; i < nrules; i++) {
        const struct rule *r = &rules[i];
        if ((r->conn && r->conn != c->number) || !rule_names(r, method, command))
            continue;
        long n = ++c->seen[i];
        if (!found && (!r->nth || r->nth == n))
            found = r;
    }
    return found;
}

// True: the rule has dealt with the request.
static bool apply_rule(struct call *q) {
    const struct rule *rule = q->r.rule;
    struct conn *c = q->c;
    switch (rule->action) {
    case ACT_REPLY:
        q->r.rule = NULL;
        send_reply(&q->r, rule->arg, NULL);
        return true;
    case ACT_ERROR:
        q->r.rule = NULL;
        send_reply(&q->r, NULL, rule->arg);
        return true;
    case ACT_CLOSE: conn_close(c); return true;
    case ACT_DAP: write_dap(c); return true;
    case ACT_STALL: go_silent(c); return false;
    case ACT_BPGONE: bps_vanish(q->t); return false;
    case ACT_PIDCHANGE:
        bps_vanish(q->t);
        restart(q->t);
        return false;
    default: return false;
    }
}

static void execute(struct conn *c, json_t *root, const struct rule *rule) {
    const char *full = str_of(root, "method");
    struct method *m = find_method(full);
    struct call q = {.c = c, .t = c->t};
    char *id = json_dumps(json_object_get(root, "id"), JSON_ENCODE_ANY);
    q.params = json_array_get(json_object_get(root, "params"), 0);
    q.r = (struct request){.c = c, .rule = rule};
    snprintf(q.r.id, sizeof q.r.id, "%s", id && strlen(id) < ID_MAX ? id : "null");
    free(id);
    if (rule && apply_rule(&q))
        return;
    if (!m) {
        fail(&q, "unknown method: %s", full);
    } else if (m->locks && q.t->running) {
        violation(c, "needs the target lock while the target runs: connection wedged", m->name);
        c->deaf = q.later = true;
    } else {
        m->run(&q);
    }
    if (!q.later)
        send_reply(&q.r, q.out.p ? q.out.p : "null", q.err.len ? q.err.p : NULL);
    free(q.out.p);
    free(q.err.p);
}

static void on_delay_over(uv_timer_t *timer) {
    struct conn *c = timer->data;
    json_t *root = c->delayed;
    c->delayed = NULL;
    execute(c, root, NULL);
    json_decref(root);
    parse_input(c);
}

void dispatch(struct conn *c, json_t *root) {
    const char *full = str_of(root, "method");
    struct method *m = find_method(full);
    json_t *params = json_array_get(json_object_get(root, "params"), 0);
    if (m)
        m->count++;
    else
        stats.unknown++;
    const struct rule *rule = match_rule(c, m ? m->name : full, str_of(params, "name"));
    stats.faults += rule != NULL;
    if (rule && rule->action == ACT_DELAY) {
        c->delayed = json_incref(root);
        uv_timer_start(&c->delay, on_delay_over, (uint64_t)rule->number, 0);
        return;
    }
    execute(c, root, rule);
}
