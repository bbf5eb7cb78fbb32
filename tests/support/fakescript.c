/* The script: what the target and its server do. */
#include "fakeinner.h"

/* ---- the session's side ---- */

static void on_event(void *ctx, const struct buffer *event) {
    (void)ctx;
    fake_tell(event);
}

static bool count_hit(void *ctx) {
    (void)ctx;
    return true;
}

static void end_run(void *ctx, const char *reason) {
    struct session **session = ctx;
    session_end(*session, reason);
}

static void reachable(void *ctx, struct session *session, const char *uri) {
    (void)ctx, (void)session, (void)uri;
}

static void over(void *ctx, struct session *session, enum session_outcome outcome) {
    static const char *const words[] = {"fine", "limit", "failed", "usage", "recipe"};
    struct session **place = ctx;
    fake_word("%s", words[outcome]);
    fake.over = true;
    *place = NULL;
    session_free(session);
}

static const struct session_hooks hooks = {.event = on_event,
                                           .count_hit = count_hit,
                                           .end_run = end_run,
                                           .reachable = reachable,
                                           .over = over};

/* ---- the script ---- */

static void set_variable(struct variables *variables, const char *text) {
    const char *equals = strchr(text, '=');
    struct variable *v = NULL;
    for (size_t i = 0; i < variables->count; i++)
        if (!strncmp(variables->list[i].name, text, (size_t)(equals - text)) &&
            !variables->list[i].name[equals - text])
            v = &variables->list[i];
    if (!v)
        v = &variables->list[variables->count++];
    snprintf(v->name, sizeof v->name, "%.*s", (int)(equals - text), text);
    snprintf(v->text, sizeof v->text, "%s", equals + 1);
}

static struct site *site_at(uint64_t address) {
    for (size_t i = 0; i < fake.site_count; i++)
        for (size_t k = 0; k < fake.sites[i]->address_count; k++)
            if (fake.sites[i]->addresses[k] == address)
                return fake.sites[i];
    return NULL;
}

static bool refused_by_server(const struct site *site, const struct variables *variables) {
    struct expr_value value = site->cond ? fake_evaluate(site->cond, variables)
                                         : (struct expr_value){.kind = EXPR_BOOL, .b = true};
    return value.kind == EXPR_BOOL && !value.b;
}

/* "f n=5 g=2": one hit, if a breakpoint is there. */
static void add_hit(char *text) {
    char *save, *function = strtok_r(text, " ", &save);
    struct variables *variables = &fake.at[fake.hit_count];
    struct hit hit = {
        .thread = 1, .goroutine = 1, .function = function, .file = "main.go", .line = 1};
    uint64_t address = fake_address(function);
    *variables = fake.global;
    for (char *part; (part = strtok_r(NULL, " ", &save));) {
        if (!strncmp(part, "g=", 2))
            hit.goroutine = atoi(part + 2);
        else if (!strncmp(part, "t=", 2))
            hit.thread = atoi(part + 2);
        else if (!strncmp(part, "frame=", 6))
            hit.frame = atoi(part + 6), hit.has_frame = true;
        else if (!strcmp(part, "ret"))
            address |= RETURN;
        else
            set_variable(variables, part);
    }
    hit.site = site_at(address);
    hit.pc = address;
    if (!hit.site || refused_by_server(hit.site, variables))
        return;
    fake.hits[fake.hit_count++] = hit;
}

static void step_hit(char *text, struct session *session) {
    char *save;
    (void)session;
    fake.hit_count = 0;
    for (char *one = strtok_r(text, "+", &save); one; one = strtok_r(NULL, "+", &save))
        add_hit(one);
    if (fake.hit_count)
        fake_deliver(STOP_HITS, "");
    else
        fake_word("passed");
}

static void step_changed(char *text, struct session *session) {
    (void)session;
    set_variable(&fake.global, text);
    fake.hit_count = 0;
    for (size_t i = 0; i < fake.site_count; i++)
        if (fake.sites[i]->kind == SITE_WATCH) {
            fake.at[fake.hit_count] = fake.global;
            fake.hits[fake.hit_count++] = (struct hit){
                .site = fake.sites[i], .thread = 1, .goroutine = 1, .function = "f", .file = ""};
        }
    if (fake.hit_count)
        fake_deliver(STOP_HITS, "");
    else
        fake_word("passed");
}

static void step_write(char *text, struct session *session) {
    (void)session;
    set_variable(&fake.global, text);
}

static void step_slow(char *text, struct session *session) {
    struct slow *slow = &fake.slow[fake.slow_count++];
    (void)session;
    slow->rounds = 1;
    sscanf(text, "%15s %u", slow->name, &slow->rounds);
}

static void step_halts(char *text, struct session *session) {
    (void)session;
    fake.halt_ns = (uint64_t)atoi(text) * 1000000;
}

static void step_stranger(char *text, struct session *session) {
    (void)text, (void)session;
    fake_nowhere();
    fake_deliver(STOP_STRANGER, "breakpoint 1 theirs");
}

static void step_theirs_resumed(char *text, struct session *session) {
    (void)text, (void)session;
    fake.running = true;
}

static void step_panic(char *text, struct session *session) {
    (void)session;
    fake_nowhere();
    fake_deliver(STOP_PANIC, *text ? text : "fatal error");
}

static void step_restart(char *text, struct session *session) {
    (void)text, (void)session;
    fake_nowhere();
    fake.pid++;
    while (fake.site_count)
        fake.sites[--fake.site_count]->armed = false;
    fake_deliver(STOP_RESTARTED, "");
}

static void step_exit(char *text, struct session *session) {
    (void)session;
    fake.stop.exit_status = atoi(text);
    fake.hit_count = 0;
    while (fake.site_count)
        fake.sites[--fake.site_count]->armed = false;
    fake_deliver(STOP_EXITED, "");
}

static void step_killed(char *text, struct session *session) {
    fake.stop.by_signal = true;
    step_exit(text, session);
}

static void step_lost(char *text, struct session *session) {
    (void)text, (void)session;
    fake.flush_at = fake.stop_at = 0;
    fake.events->lost(fake.owner, error_new(ERROR_RUN, "the server closed the connection"));
}

static void step_congest(char *text, struct session *session) {
    (void)text;
    session_congest(session, true);
}

static void step_drain(char *text, struct session *session) {
    (void)text;
    session_congest(session, false);
}

static void step_end(char *text, struct session *session) {
    fake.ended = true;
    session_end(session, text);
}

static const struct {
    const char *word;
    void (*step)(char *text, struct session *session);
    bool runs; /* the target must run for it */
} steps[] = {{"hit", step_hit, true},
             {"changed", step_changed, true},
             {"write", step_write, false},
             {"slow", step_slow, false},
             {"halts", step_halts, false},
             {"stranger", step_stranger, true},
             {"theirs-resumed", step_theirs_resumed, false},
             {"panic", step_panic, true},
             {"restart", step_restart, true},
             {"exit", step_exit, true},
             {"killed", step_killed, true},
             {"lost", step_lost, false},
             {"congest", step_congest, false},
             {"drain", step_drain, false},
             {"end", step_end, false}};

static void carry_out(char *text, struct session *session) {
    size_t n = strcspn(text, " ");
    char *rest = text + n + (text[n] == ' ');
    if (*text == '+') {
        fake_go_by((uint64_t)atoi(text + 1) * (strstr(text, "ms") ? 1000000 : 1000000000));
        return;
    }
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (strlen(steps[i].word) != n || strncmp(steps[i].word, text, n))
            continue;
        if (steps[i].runs && !fake.running)
            fake_word("(it stands)");
        else
            steps[i].step(rest, session);
        fake_settle();
        return;
    }
    fake_word("BUG(no step \"%s\")", text);
}

/* A step is what stands before its "->". */
static void follow(const char *script, struct session **session) {
    char *copy = strdup(script), *save;
    fake_settle();
    for (char *step = strtok_r(copy, "\n", &save); step && *session;
         step = strtok_r(NULL, "\n", &save)) {
        char *arrow = strstr(step, " ->");
        if (!strncmp(step, "->", 2))
            continue;
        if (arrow)
            *arrow = '\0';
        buffer_printf(&fake.words, "\n%s ->", step);
        carry_out(step, *session);
    }
    free(copy);
}

char *fake_run(const struct fake_setup *setup) {
    struct session_options options = {
        .mode = setup->mode, .resume = setup->resume, .connect_ms = 1000};
    struct settings none = {0};
    struct buffer text = BUFFER_INIT(1 << 16);
    struct recipe *recipe;
    struct session *session = NULL;
    static uv_loop_t loop;
    buffer_printf(&text, "recipe: 1\n%s\n", setup->recipe);
    struct error *error = recipe_parse("r.yaml", text.data, text.len, &none, NULL, &recipe);
    buffer_free(&text);
    if (error) {
        char *words = strdup(error->message);
        error_free(error);
        return words;
    }
    fake_clock_start();
    fake = (struct backend){.setup = setup,
                            .words = BUFFER_INIT(1 << 20),
                            .refusals = setup->refusals,
                            .scratch = BUFFER_INIT(1 << 16),
                            .running = setup->found == FAKE_RUNNING,
                            .global = {{{"n", "0"}}, 1},
                            .pid = 42};
    fake_caps = (struct backend_caps){.name = "fake",
                                      .triggers = ~0u,
                                      .conditions = setup->server,
                                      .hides_false = setup->server,
                                      .registers = true,
                                      .goroutines = true,
                                      .stops_all = true};
    fake_ops.came = setup->came ? fake_came : NULL;
    buffer_puts(&fake.words, "->");
    error_free(
        session_new(&loop, "1", "it", "fake:", NULL, recipe, &options, &hooks, &session, &session));
    session_start(session);
    follow(setup->script, &session);
    if (session && !fake.ended) {
        buffer_puts(&fake.words, "\nend the script ->");
        session_end(session, "the script");
    }
    fake_go_by(60000000000);
    if (!fake.over)
        fake_word("BUG(it does not end)");
    recipe_free(recipe);
    buffer_free(&fake.scratch);
    return buffer_take(&fake.words);
}
