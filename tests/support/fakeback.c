/* The table of operations, and what is owed to the session for them. */
#include "fakeinner.h"

struct backend fake; /* outlives its session, which destroys it early */
struct backend_caps fake_caps;

void fake_word(const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_printf(&fake.words, " %s", text);
}

static void must_stand(const char *what) {
    if (fake.running)
        fake_word("BUG(%s while it runs)", what);
}

/* ---- names ---- */

uint64_t fake_address(const char *function) {
    return function && *function >= 'a' && *function <= 'z' && !function[1]
               ? (uint64_t)(*function - 'a' + 1) << 8
               : 0;
}

static const char *name_of(const struct site *site) {
    static char name[64];
    if (site->kind == SITE_WATCH || site->kind == SITE_PANIC)
        snprintf(name, sizeof name, "%s", site->kind == SITE_WATCH ? site->watch : "panic");
    else
        snprintf(name, sizeof name, "%c%s", (int)('a' + (site->addresses[0] >> 8) - 1),
                 site->addresses[0] & RETURN ? ".ret" : "");
    return name;
}

/* ---- the table of operations ---- */

static struct error *create(const struct backend_setup *setup, const struct backend_events *events,
                            void *owner, struct backend **out) {
    (void)setup;
    fake.events = events;
    fake.owner = owner;
    *out = &fake;
    return NULL;
}

static void connect_now(struct backend *b) {
    b->connecting = true;
}

static void resolve(struct backend *b, struct query *query) {
    (void)b;
    must_stand("resolve");
    uint64_t address = fake_address(query->location->function);
    if (!address) {
        query->error =
            error_new(ERROR_RECIPE, "could not find function %s", query->location->function);
        return;
    }
    query->places = calloc(1, sizeof *query->places);
    query->places[0].addresses = calloc(1, sizeof(uint64_t));
    query->places[0].addresses[0] = address | (query->returns ? RETURN : 0);
    query->places[0].function = strdup(query->location->function);
    query->places[0].file = strdup("main.go");
    query->places[0].count = query->count = query->cap = 1;
}

static void arm(struct backend *b, struct site *site) {
    must_stand("arm");
    if (site->watch_from_hit)
        fake_word("arm(%s of t=%d)", name_of(site), (int)site->watch_thread);
    else
        fake_word(site->cond ? "arm(%s if %s)" : "arm(%s)", name_of(site), site->cond);
    if (!site->armed)
        b->sites[b->site_count++] = site;
    site->armed = true;
}

static void forget(struct backend *b, const struct site *site) {
    for (size_t i = 0; i < b->site_count; i++)
        if (b->sites[i] == site)
            b->sites[i] = b->sites[--b->site_count];
}

static void disarm(struct backend *b, struct site *site) {
    must_stand("disarm");
    fake_word("disarm(%s)", name_of(site));
    forget(b, site);
    site->armed = false;
}

static struct expr_value lookup(void *ctx, const char *name) {
    const struct variables *variables = ctx;
    char *end;
    for (size_t i = 0; i < variables->count; i++) {
        const char *text = variables->list[i].text;
        if (strcmp(variables->list[i].name, name))
            continue;
        long long number = strtoll(text, &end, 10);
        if (!*end)
            return (struct expr_value){.kind = EXPR_INT, .i = number};
        return (struct expr_value){.kind = EXPR_STRING, .text = text, .len = strlen(text)};
    }
    return expr_failed("could not find symbol value");
}

static bool known(void *ctx, const char *name) {
    (void)ctx, (void)name;
    return true;
}

static const char *no_name(void *ctx, size_t i) {
    (void)ctx, (void)i;
    return NULL;
}

struct expr_value fake_evaluate(const char *text, const struct variables *variables) {
    static const struct expr_scope scope = {.known = known, .name = no_name};
    struct buffer none = BUFFER_INIT(16);
    struct expr *expr;
    size_t at;
    struct error *error = expr_parse(text, &scope, &expr, &at);
    if (error) {
        error_free(error);
        return expr_failed("expression refused");
    }
    buffer_clear(&fake.scratch);
    struct expr_env env = {&none, lookup, (void *)variables, &fake.scratch};
    struct expr_value value = expr_eval(expr, &env);
    expr_free(expr);
    return value;
}

static value_ref show(struct buffer *into, const char *expr, const struct variables *variables) {
    struct expr_value value = fake_evaluate(expr, variables);
    switch (value.kind) {
    case EXPR_BOOL: return value_bool(into, value.b);
    case EXPR_INT: return value_int(into, value.i);
    case EXPR_STRING: return value_string(into, value.text, value.len);
    case EXPR_FAILED: return value_error(into, "%s", value.text);
    default: return value_new(into, VALUE_NULL);
    }
}

static struct slow *slowness(const char *expr) {
    for (size_t i = 0; expr && i < fake.slow_count; i++)
        if (fake.slow[i].done < fake.slow[i].rounds && strstr(expr, fake.slow[i].name))
            return &fake.slow[i];
    return NULL;
}

bool fake_came(struct backend *b, const struct hit *hit, const struct want *want) {
    (void)b;
    return hit->site && want->kind == WANT_EXPR && !slowness(want->expr);
}

static enum read_result read_one(struct backend *b, const struct hit *hit, const struct want *want,
                                 struct buffer *into, value_ref *out) {
    const struct variables *variables = &b->global;
    if (hit >= b->hits && hit < b->hits + HITS_MAX && hit->site)
        variables = &b->at[hit - b->hits];
    if (slowness(want->expr) && b->given_up) {
        *out = value_error(into, "not read");
        return READ_DONE;
    }
    if (slowness(want->expr)) {
        must_stand("read");
        b->asked = true;
        return READ_AGAIN;
    }
    if (want->kind == WANT_EXPR || want->kind == WANT_RESULTS)
        *out = show(into, want->kind == WANT_EXPR ? want->expr : "result", variables);
    else
        *out = value_new(into, VALUE_OBJECT);
    return READ_DONE;
}

static void give_up(struct backend *b, const char *why) {
    (void)why;
    b->given_up = true;
    b->asked = false;
    b->flush_at = 0;
}

static void flush(struct backend *b) {
    if (b->flush_at)
        fake_word("BUG(flush within a flush)");
    b->flush_at = uv_hrtime() + (b->asked ? ROUND_NS : 0);
}

static void resume(struct backend *b) {
    must_stand("resume");
    if (b->flush_at)
        fake_word("BUG(resume within a flush)");
    fake_word("go");
    b->running = true;
}

static void halt(struct backend *b) {
    fake_word("halt");
    if (!b->running || b->stop_at)
        fake_word("BUG(halt)");
    b->stop_at = uv_hrtime() + b->halt_ns;
}

static void leave(struct backend *b, enum leave_how how) {
    fake_word("%s(%s%s)", how == LEAVE_KILL ? "kill" : "leave", b->running ? "running" : "stopped",
              b->site_count ? ", armed!" : "");
    b->leaving = true;
}

static void destroy(struct backend *b) {
    b->events = NULL;
}

struct backend_ops fake_ops = {.caps = &fake_caps,
                               .create = create,
                               .connect = connect_now,
                               .inspect = connect_now,
                               .resolve = resolve,
                               .arm = arm,
                               .disarm = disarm,
                               .read = read_one,
                               .give_up = give_up,
                               .flush = flush,
                               .resume = resume,
                               .halt = halt,
                               .leave = leave,
                               .destroy = destroy};

/* In the place of the registry's. */
const struct backend_ops *backend_find(const char *uri, const char **why) {
    (void)uri, (void)why;
    return &fake_ops;
}

/* ---- what is owed to the session ---- */

void fake_deliver(enum stop_reason reason, const char *what) {
    fake.running = false;
    fake.stop = (struct stop){.reason = reason,
                              .hits = fake.hits,
                              .count = fake.hit_count,
                              .pid = fake.pid,
                              .exit_status = fake.stop.exit_status,
                              .by_signal = fake.stop.by_signal,
                              .what = what,
                              .seen_ns = uv_hrtime()};
    fake.stop_at = 0;
    fake.given_up = false;
    for (size_t i = 0; i < fake.slow_count; i++)
        fake.slow[i].done = 0;
    if (fake.events)
        fake.events->stopped(fake.owner, &fake.stop);
}

void fake_nowhere(void) {
    fake.hits[0] = (struct hit){.thread = 1, .function = "", .file = ""};
    fake.hit_count = 1;
}

static bool connect_owed(void) {
    if (!fake.connecting)
        return false;
    fake.connecting = false;
    if (fake.refusals) {
        fake.refusals--;
        fake_word("refused");
        fake.events->connected(
            fake.owner, NULL,
            error_because(error_new(ERROR_RUN, "connecting to fake: connection refused"),
                          REASON_NO_PEER));
        return true;
    }
    struct target_info info = {.pid = fake.pid,
                               .running = fake.running,
                               .at_launch = fake.setup->found == FAKE_LAUNCHED,
                               .stays = true,
                               .server = "fake",
                               .version = "1",
                               .language = "go",
                               .command = "",
                               .stopped_at = ""};
    fake.events->connected(fake.owner, &info, NULL);
    return true;
}

static bool flush_owed(void) {
    if (!fake.flush_at || fake.flush_at > uv_hrtime())
        return false;
    fake.flush_at = 0;
    for (size_t i = 0; fake.asked && i < fake.slow_count; i++)
        fake.slow[i].done++;
    fake.asked = false;
    fake.events->flushed(fake.owner);
    return true;
}

static bool halt_owed(void) {
    if (!fake.stop_at || fake.stop_at > uv_hrtime())
        return false;
    fake_nowhere();
    fake_deliver(STOP_HALTED, "");
    return true;
}

static bool leave_owed(void) {
    if (!fake.leaving)
        return false;
    fake.leaving = false;
    fake.events->left(fake.owner);
    return true;
}

void fake_settle(void) {
    while ((fake.events && (connect_owed() || flush_owed() || halt_owed() || leave_owed())) ||
           fake_clock_run())
        continue;
}

static uint64_t next_owed(void) {
    uint64_t next = fake_clock_next();
    next = fake.flush_at && fake.flush_at < next ? fake.flush_at : next;
    return fake.stop_at && fake.stop_at < next ? fake.stop_at : next;
}

void fake_go_by(uint64_t ns) {
    uint64_t until = uv_hrtime() + ns, next;
    while ((next = next_owed()) <= until) {
        fake_clock_set(next);
        fake_settle();
    }
    fake_clock_set(until);
    fake_settle();
}
