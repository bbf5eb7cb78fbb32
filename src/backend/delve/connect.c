/* From the URI to a stream, and the handshake. */
#include "backend/delve/delve.h"

#include "base/log.h"
#include "loop/ssh.h"
#include "session/run_id.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static const char announcement[] = "API server listening at: ";

struct error *delve_check_uri(const char *uri, bool insecure) {
    char host[256], port[8];
    const char *rest = strchr(uri, ':') + 1;
    struct ssh_way way;
    bool ok = true;
    if (!strncmp(uri, "dlv://", 6)) {
        ok = stream_split(uri + 6, host, sizeof host, port, sizeof port);
        if (ok && !insecure && !stream_is_loopback(uri + 6))
            return error_new(
                ERROR_USAGE,
                "%s is not on this machine, and Delve neither encrypts nor asks who you "
                "are: use dlv+ssh://USER@HOST/127.0.0.1:PORT, or --insecure",
                uri);
    } else if (!strncmp(uri, "dlv+ssh://", 10)) {
        ok = ssh_way(uri + 10, &way);
    } else {
        ok = *rest != '\0';
    }
    return ok ? NULL
              : error_new(ERROR_USAGE,
                          "\"%s\" is no target: dlv://HOST:PORT, dlv+unix:/PATH, dlv+exec:COMMAND, "
                          "dlv+pipe:COMMAND or dlv+ssh://USER@HOST/127.0.0.1:PORT",
                          uri);
}

static void open_stream(struct backend *b, const struct stream_address *address) {
    struct error *error = delve_claim(b, address);
    b->stream = error ? NULL : stream_open(b->loop, address, &delve_stream_events, b);
    if (!b->stream)
        delve_lost(b, error ? error : error_no_memory());
}

static void connect_tcp(struct backend *b, const char *rest) {
    open_stream(b, &(struct stream_address){.kind = STREAM_TCP, .where = rest + 2});
}

static void connect_unix(struct backend *b, const char *rest) {
    rest += strncmp(rest, "//", 2) ? 0 : 2;
    open_stream(b, &(struct stream_address){.kind = STREAM_UNIX, .where = rest});
}

static void connect_pipe(struct backend *b, const char *rest) {
    open_stream(b, &(struct stream_address){.kind = STREAM_COMMAND, .where = rest});
}

static void connect_ssh(struct backend *b, const char *rest) {
    struct ssh_way way;
    ssh_way(rest + 2, &way); /* delve_check_uri() has looked at it */
    open_stream(
        b, &(struct stream_address){.kind = STREAM_COMMAND, .where = b->uri, .argv = way.argv});
}

static void on_server_output(void *owner, const char *bytes, size_t n) {
    struct backend *b = owner;
    if (b->stream || b->dead)
        return; /* already reached: the relay shows the rest to people */
    if (b->child_output.len + n > b->child_output.max)
        buffer_clear(&b->child_output);
    buffer_add(&b->child_output, bytes, n);
    char *text = b->child_output.data ? strstr(b->child_output.data, announcement) : NULL;
    char *end = text ? strchr(text, '\n') : NULL;
    if (!end)
        return;
    text += strlen(announcement);
    *end = '\0';
    char uri[512];
    bool is_path = *text == '/';
    snprintf(uri, sizeof uri, is_path ? "dlv+unix:%s" : "dlv://%s", text);
    LOG(LOG_DELVE, 1, "the server that we started listens at %s", uri);
    if (b->reachable)
        b->reachable(b->reachable_ctx, uri);
    open_stream(
        b, &(struct stream_address){.kind = is_path ? STREAM_UNIX : STREAM_TCP, .where = text});
}

static void on_server_exit(void *owner, int64_t status, int signal) {
    struct backend *b = owner;
    const char *said = b->child_output.data ? b->child_output.data : "";
    if (!b->stream)
        delve_lost(b, error_new(ERROR_RUN, "%s: the server ended with %s %d before it listened%s%s",
                                b->uri, signal ? "signal" : "status", signal ? signal : (int)status,
                                *said ? "; it said: " : "", said));
}

/* Where the flags of the target begin, or NULL. */
static const char *end_of_flags(const char *command) {
    const char *stop = strstr(command, " -- ");
    size_t n = strlen(command);
    return stop || n < 3 || strcmp(command + n - 3, " --") ? stop : command + n - 3;
}

static bool has_word(const char *command, const char *word) {
    const char *stop = end_of_flags(command), *found = strstr(command, word);
    return found && (!stop || found < stop);
}

/* dlv's own flags stand before " -- ", behind which those of the target begin. */
static void connect_exec(struct backend *b, const char *rest) {
    static const struct child_events events = {on_server_output, on_server_exit};
    struct buffer command = BUFFER_INIT(64 << 10);
    const char *stop = end_of_flags(rest);
    buffer_puts(&command, "exec ");
    buffer_add(&command, rest, stop ? (size_t)(stop - rest) : strlen(rest));
    if (!has_word(rest, "--headless"))
        buffer_puts(&command, " --headless");
    if (!has_word(rest, "--listen") && !has_word(rest, " -l"))
        buffer_puts(&command, " --listen=127.0.0.1:0");
    if (!has_word(rest, "--api-version"))
        buffer_puts(&command, " --api-version=2");
    /* An attached target survives a vanished client by itself, a launched one only with this. */
    if (!has_word(rest, " attach ") && !has_word(rest, "--accept-multiclient"))
        buffer_puts(&command, " --accept-multiclient");
    buffer_puts(&command, stop ? stop : "");
    b->started = true;
    struct error *error = command.failed ? error_no_memory()
                                         : child_start(b->loop, command.data, b->relay, b->output,
                                                       &events, b, &b->child);
    if (error)
        delve_lost(b, error);
    buffer_free(&command);
}

static const struct {
    const char *prefix;
    void (*connect)(struct backend *b, const char *rest);
} schemes[] = {
    {"dlv:", connect_tcp},     {"dlv+unix:", connect_unix}, {"dlv+pipe:", connect_pipe},
    {"dlv+ssh:", connect_ssh}, {"dlv+exec:", connect_exec},
};

void delve_connect(struct backend *b) {
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t n = strlen(schemes[i].prefix);
        if (!strncmp(b->uri, schemes[i].prefix, n)) {
            schemes[i].connect(b, b->uri + n);
            return;
        }
    }
    delve_lost(b, error_new(ERROR_USAGE, "\"%s\": unknown scheme", b->uri));
}

/* The handshake: a list of requests, each with what its answer means. */

static void on_version_set(struct backend *b, struct span result) {
    (void)b, (void)result;
}

static void copy_text(struct backend *b, struct span span, char *out, size_t size) {
    json_t *text = span_decode(span, &b->scratch);
    snprintf(out, size, "%s", delve_text(text));
    json_decref(text);
}

static void on_version(struct backend *b, struct span result) {
    static const char *const names[] = {"DelveVersion", "Backend", "TargetGoVersion"};
    struct span found[3];
    char text[256], go[64];
    int major = 0, patch = 0;
    if (!span_members(result, names, found, 3))
        memset(found, 0, sizeof found);
    copy_text(b, found[0], text, sizeof text);
    copy_text(b, found[2], go, sizeof go);
    const char *version = strstr(text, "Version: ");
    version = version ? version + 9 : text;
    snprintf(b->version, sizeof b->version, "%.*s", (int)strcspn(version, "\n"), version);
    sscanf(b->version, "%d.%d.%d", &major, &b->minor, &patch);
    const char *language = strstr(go, "go1");
    snprintf(b->language, sizeof b->language, "%s", language ? language : go);
    b->core = span_equals(found[1], "core");
    if (major != 1 || b->minor < 20)
        delve_lost(b, error_new(ERROR_RUN, "%s is Delve %s: this pickglass knows 1.20 and newer",
                                b->uri, *b->version ? b->version : "of an unknown version"));
}

static void on_multiclient(struct backend *b, struct span result) {
    static const char *const names[] = {"IsMulticlient"};
    struct span found;
    b->multiclient = span_members(result, names, &found, 1) && span_true(found);
}

static void on_attached(struct backend *b, struct span result) {
    static const char *const names[] = {"Answer"};
    struct span found;
    b->attached = span_members(result, names, &found, 1) && span_true(found);
}

static size_t count_threads(const struct delve_state *state) {
    struct span rest = state->threads, element;
    bool broken;
    size_t n = 0;
    while (span_element(&rest, &element, &broken))
        n++;
    return n;
}

/* Before 1.26.1 nobody says so: one thread, no goroutine yet, at the program's entry; or in the
 * dynamic loader, whose functions Delve does not know. */
static bool is_entry(struct backend *b, const struct delve_state *state) {
    struct delve_thread thread;
    char function[128];
    if (span_equals(state->stop_reason, "launched"))
        return true;
    if (state->running || b->attached || !delve_thread_parse(state->current_thread, &thread))
        return false;
    copy_text(b, thread.function, function, sizeof function);
    bool first = count_threads(state) == 1 && !thread.goroutine && !thread.breakpoint.at;
    return first && (!*function || !strncmp(function, "_rt0_", 5) || !strcmp(function, "_start"));
}

static void find_breakpoint(struct backend *b, const struct delve_state *state) {
    struct delve_thread thread;
    struct delve_breakpoint breakpoint;
    *b->stopped_at = '\0';
    if (!state->running && delve_thread_parse(state->current_thread, &thread) &&
        thread.breakpoint.at && delve_breakpoint_parse(thread.breakpoint, &breakpoint))
        copy_text(b, breakpoint.name, b->stopped_at, sizeof b->stopped_at);
}

static void on_state(struct backend *b, struct span result) {
    struct delve_state state;
    if (!delve_state_parse(result, &state)) {
        delve_lost(b, error_new(ERROR_RUN, "%s sent a state that cannot be read", b->uri));
        return;
    }
    if (state.exited) {
        delve_lost(b, error_new(ERROR_RUN, "%s: its target has already exited", b->uri));
        return;
    }
    b->pid = b->pid ? b->pid : state.pid; /* another one is told by the next stop */
    copy_text(b, state.command_line, b->command, sizeof b->command);
    b->command[strcspn(b->command, " ")] = '\0'; /* what follows may hold secrets */
    find_breakpoint(b, &state);
    b->info = (struct target_info){.pid = state.pid,
                                   .running = state.running,
                                   .at_launch = is_entry(b, &state),
                                   .started = b->started,
                                   .stays = b->multiclient || b->attached,
                                   .core = b->core,
                                   .server = "Delve",
                                   .version = b->version,
                                   .language = b->language,
                                   .command = b->command,
                                   .stopped_at = b->stopped_at};
}

static const struct {
    enum delve_method method;
    const char *params;
    void (*on_result)(struct backend *b, struct span result);
    bool required;
} greetings[] = {
    {DELVE_SET_API_VERSION, "{\"APIVersion\":2}", on_version_set, true},
    {DELVE_GET_VERSION, "{}", on_version, true},
    {DELVE_IS_MULTICLIENT, "{}", on_multiclient, true},
    {DELVE_IS_ATTACHED, "{}", on_attached, false},
    {DELVE_STATE, "{\"NonBlocking\":true}", on_state, true},
};

static void greet_next(struct backend *b);

static void on_greeting(struct backend *b, void *ctx, struct span result, struct error *error) {
    (void)ctx;
    size_t i = b->greeting++;
    if (error && strstr(error->message, "has exited"))
        delve_lost(b, error_wrap(error, "%s: the target is gone already", b->uri));
    else if (error && greetings[i].required)
        delve_lost(b, error_wrap(error, "%s: %s", b->uri, delve_method_name(greetings[i].method)));
    else if (error)
        error_free(error);
    else
        greetings[i].on_result(b, result);
    if (b->dead)
        return;
    if (b->greeting < sizeof greetings / sizeof *greetings) {
        greet_next(b);
        return;
    }
    b->connected = true;
    b->events->connected(b->owner, &b->info, NULL);
}

static void greet_next(struct backend *b) {
    delve_call(b, greetings[b->greeting].method, json_loads(greetings[b->greeting].params, 0, NULL),
               on_greeting, NULL);
    delve_send(b);
}

void delve_greet(struct backend *b) {
    b->greeting = 0;
    greet_next(b);
}

void delve_inspect(struct backend *b) {
    b->greeting = sizeof greetings / sizeof *greetings - 1; /* just the state */
    greet_next(b);
}

static void tell_left_alone(struct backend *b, const char *name, enum run_life life) {
    static const char *const texts[] = {
        [RUN_ALIVE] = "another run of pickglass is at work here: Delve tells a hit to one client "
                      "only, so each of us loses what the other is told",
        [RUN_ELSEWHERE] = "it was set by a pickglass on another machine, and is left alone: after "
                          "this run somebody must resume the target where it stops"};
    char text[256];
    snprintf(text, sizeof text, "breakpoint %s: %s", name, texts[life]);
    b->events->notice(b->owner, text);
}

/* Breakpoints of runs whose process is gone. Those of a run that lives, or of another machine, are
 * somebody else's. */
static void on_breakpoints(struct backend *b, void *ctx, struct span result, struct error *error) {
    (void)ctx;
    json_t *root = error ? NULL : span_decode(result, &b->scratch), *breakpoint;
    size_t i;
    unsigned cleared = 0;
    error_free(error);
    json_array_foreach(json_object_get(root, "Breakpoints"), i, breakpoint) {
        const char *name = delve_text(json_object_get(breakpoint, "name"));
        bool own = !strncmp(name, "pg", 2) && !strncmp(name + 2, b->run, strlen(b->run));
        enum run_life life = own ? RUN_DEAD : run_id_life(name);
        if (life == RUN_DEAD) {
            delve_call(
                b, DELVE_CLEAR_BREAKPOINT,
                json_pack("{s:I}", "Id", (json_int_t)delve_int(json_object_get(breakpoint, "id"))),
                NULL, NULL);
            cleared++;
        } else if (life != RUN_NONE) {
            tell_left_alone(b, name, life);
        }
    }
    json_decref(root);
    if (cleared) {
        char text[96];
        snprintf(text, sizeof text, "cleared %u breakpoint%s that a crashed run had left behind",
                 cleared, cleared == 1 ? "" : "s");
        b->events->notice(b->owner, text);
    }
}

/* A running target had not told its Go version. */
static void on_version_again(struct backend *b, void *ctx, struct span result,
                             struct error *error) {
    (void)ctx;
    if (!error)
        on_version(b, result);
    error_free(error);
}

static void on_follow(struct backend *b, void *ctx, struct span result, struct error *error) {
    static const char *const names[] = {"Enabled"};
    struct span found;
    (void)ctx;
    b->follows = !error && span_members(result, names, &found, 1) && span_true(found);
    error_free(error);
}

/* Not a part of the handshake: it waits for the target's lock, and while the target runs that would
 * wedge the connection. */
void delve_ask_follow(struct backend *b) {
    if (!b->asked_follow && b->minor > 20)
        delve_call(b, DELVE_FOLLOW_EXEC_ENABLED, NULL, on_follow, NULL);
    b->asked_follow = true;
}

void delve_sweep(struct backend *b) {
    b->swept = true;
    delve_ask_follow(b);
    if (!*b->language)
        delve_call(b, DELVE_GET_VERSION, NULL, on_version_again, NULL);
    delve_call(b, DELVE_LIST_BREAKPOINTS, NULL, on_breakpoints, NULL);
}
