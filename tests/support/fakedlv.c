// fakedlv: a scripted Delve headless server, for the faults that a real one does not have on demand
// and for a thousand sessions at once. See fakedlv.md for the options and the script language.
//
//   bytes -> frame (one JSON object) -> rule (script) -> handler -> send_reply (mangled by rule)
//
// A target is virtual: 'running' means that a continue is pending, a hit is a timer. Each
// connection has a target of its own, unless --shared.
#include "fakedlv.h"
#include <getopt.h>
#include <signal.h>
#include <sys/resource.h>

struct options opt = {.hits = -1};
struct counts stats;
uv_loop_t *loop;
struct target *shared;
struct rule *rules;
size_t nrules;
static uv_tcp_t listener;
static uv_signal_t on_term, on_int;

// ---- the end ----

static void report(void) {
    const char *sep = "";
    printf("{\"connections\":%" PRIu64 ",\"peak\":%" PRIu64 ",\"requests\":{", stats.connections,
           stats.peak);
    for (int i = 0; i < nmethods; i++)
        if (methods[i].count) {
            printf("%s\"%s\":%" PRIu64, sep, methods[i].name, methods[i].count);
            sep = ",";
        }
    if (stats.unknown)
        printf("%s\"unknown\":%" PRIu64, sep, stats.unknown);
    printf("},\"hits\":%" PRIu64 ",\"continues\":%" PRIu64 ",\"halts\":%" PRIu64
           ",\"other_commands\":%" PRIu64 ",\"violations\":%" PRIu64 ",\"left_armed\":%" PRIu64
           ",\"left_stopped\":%" PRIu64 ",\"detached\":%" PRIu64 ",\"killed\":%" PRIu64
           ",\"faults\":%" PRIu64 "}\n",
           stats.hits, stats.continues, stats.halts, stats.other_commands, stats.violations,
           stats.left_armed, stats.left_stopped, stats.detached, stats.killed, stats.faults);
    fflush(stdout);
}

static void finish(void) {
    for (struct conn *c = conns; c; c = c->next)
        if (c->t != shared)
            count_leftovers(c->t);
    if (shared)
        count_leftovers(shared);
    report();
    exit(stats.violations ? EXIT_VIOLATION : 0);
}

void finish_if_done(void) {
    if (opt.once && !stats.open && stats.connections >= (uint64_t)opt.clients)
        finish();
}

static void on_signal(uv_signal_t *h, int signum) {
    (void)h, (void)signum;
    finish();
}

// ---- options and script ----

static long number_of(const char *s, const char *what) {
    char *end;
    long n = strtol(s, &end, 10);
    if (!*s || *end || n < 0) {
        fprintf(stderr, "fakedlv: %s: not a number: %s\n", what, s);
        exit(EXIT_USAGE);
    }
    return n;
}

static void check_rule(struct rule *r, int line) {
    const char *why = NULL;
    bool resumes = !strcmp(r->method, "continue") || !strcmp(r->method, "Command");
    json_t *j = r->action == ACT_REPLY ? json_loads(r->arg, JSON_DECODE_ANY, NULL) : NULL;
    if (action_table[r->action].needs_arg && !*r->arg)
        why = "this action needs an argument";
    else if (action_table[r->action].stop_only && !resumes)
        why = "this action is for continue or Command only";
    else if (r->action == ACT_REPLY && !j)
        why = "the reply is not JSON";
    else if (r->action == ACT_DELAY || r->action == ACT_HUGE)
        r->number = number_of(r->arg, "script");
    json_decref(j);
    if (why) {
        fprintf(stderr, "fakedlv: script line %d: %s\n", line, why);
        exit(EXIT_USAGE);
    }
}

static void add_rule(char *text, int line) {
    char *save, *method = strtok_r(text, " \t\n", &save), *action = strtok_r(NULL, " \t\n", &save);
    char *arg = strtok_r(NULL, "\n", &save);
    if (!method || method[0] == '#')
        return;
    rules = must(realloc(rules, (nrules + 1) * sizeof *rules));
    struct rule *r = &rules[nrules++];
    *r = (struct rule){.action = ACT_COUNT};
    r->arg = must(strdup(arg ? arg + strspn(arg, " \t") : ""));
    char *at = strchr(method, '@'), *hash = strchr(method, '#');
    if (at)
        r->conn = number_of((*at = 0, at + 1), "script");
    if (hash)
        r->nth = number_of((*hash = 0, hash + 1), "script");
    snprintf(r->method, sizeof r->method, "%s", method);
    for (int i = 0; action && i < ACT_COUNT; i++)
        if (!strcmp(action, action_table[i].name))
            r->action = (enum action)i;
    if (r->action == ACT_COUNT) {
        fprintf(stderr, "fakedlv: script line %d: no such action: %s\n", line,
                action ? action : "");
        exit(EXIT_USAGE);
    }
    check_rule(r, line);
}

static void load_script(const char *path) {
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    if (!f) {
        perror(path);
        exit(EXIT_USAGE);
    }
    for (int n = 1; getline(&line, &cap, f) >= 0; n++)
        add_rule(line, n);
    free(line);
    fclose(f);
}

static void standard_funcs(void) {
    static const char *const names[] = {"main.main", "main.traceMe", "main.work", "main.handle",
                                        "main.f",    "main.g",       "main.h",    "main.inner"};
    add_func("_rt0_amd64_linux", "/src/go/runtime/rt0_linux_amd64.s", 8);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        add_func(names[i], "/src/app/main.go", 11 + 10 * (int)i);
    add_func("runtime.main", "/src/go/runtime/proc.go", 149);
    add_func("runtime.goexit", "/src/go/runtime/asm_amd64.s", 1771);
    add_func("runtime.futex", "/src/go/runtime/sys_linux_amd64.s", 570);
    add_func("runtime.fatalpanic", "/src/go/runtime/panic.go", 1456);
    add_func("runtime.throw", "/src/go/runtime/panic.go", 1);
}

// NAME or NAME=FILE:LINE
static void option_func(char *arg) {
    char *eq = strchr(arg, '='), *colon = eq ? strrchr(eq, ':') : NULL;
    if (eq && !colon)
        die("--func NAME=FILE:LINE");
    if (eq)
        *eq = *colon = 0;
    add_func(arg, eq ? eq + 1 : "/src/app/extra.go",
             eq ? (int)number_of(colon + 1, "--func") : 11 + 10 * nfuncs);
}

static void option_version(const char *v) {
    opt.old = !strcmp(v, "1.20.2");
    if (!opt.old && strcmp(v, "1.27.2"))
        die("--version 1.20.2|1.27.2");
}

static void option_stopped_at(const char *name) {
    opt.stopped_at = find_func(name);
    if (!opt.stopped_at)
        die("--stopped-at: no such function (put --func before it)");
}

static void usage(void) {
    die("usage: fakedlv [--port N] [--once] [--clients N] [--shared] [--single] [--running]\n"
        "  [--stopped-at FUNC] [--hits N] [--exit-status S] [--delay-us D] [--variables-bytes N]\n"
        "  [--version 1.20.2|1.27.2] [--func NAME[=FILE:LINE]]... [--script FILE]...");
}

static void parse_options(int argc, char **argv) {
    static const struct option longs[] = {{"hits", 1, 0, 'h'},
                                          {"exit-status", 1, 0, 'e'},
                                          {"delay-us", 1, 0, 'd'},
                                          {"running", 0, 0, 'r'},
                                          {"variables-bytes", 1, 0, 'b'},
                                          {"single", 0, 0, '1'},
                                          {"stopped-at", 1, 0, 'a'},
                                          {"version", 1, 0, 'v'},
                                          {"script", 1, 0, 's'},
                                          {"once", 0, 0, 'o'},
                                          {"clients", 1, 0, 'c'},
                                          {"shared", 0, 0, 'm'},
                                          {"func", 1, 0, 'f'},
                                          {"port", 1, 0, 'p'},
                                          {"anywhere", 0, 0, 'n'},
                                          {0, 0, 0, 0}};
    int o;
    while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (o) {
        case 'h': opt.hits = number_of(optarg, "--hits"); break;
        case 'e': opt.exit_status = atol(optarg); break;
        case 'd': opt.delay_us = number_of(optarg, "--delay-us"); break;
        case 'b': opt.variables_bytes = number_of(optarg, "--variables-bytes"); break;
        case 'c':
            opt.clients = number_of(optarg, "--clients");
            opt.once = true;
            break;
        case 'p': opt.port = number_of(optarg, "--port"); break;
        case 'r': opt.running = true; break;
        case 'n': opt.anywhere = true; break;
        case '1': opt.single = opt.once = true; break;
        case 'o': opt.once = true; break;
        case 'm': opt.shared = true; break;
        case 'a': option_stopped_at(optarg); break;
        case 'v': option_version(optarg); break;
        case 's': load_script(optarg); break;
        case 'f': option_func(optarg); break;
        default: usage();
        }
    }
    if (optind < argc)
        usage();
}

// ---- start ----

static void raise_file_limit(void) {
    struct rlimit r;
    if (!getrlimit(RLIMIT_NOFILE, &r)) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in a;
    int len = sizeof a;
    standard_funcs();
    parse_options(argc, argv);
    raise_file_limit();
    signal(SIGPIPE, SIG_IGN);
    loop = uv_default_loop();
    if (opt.shared)
        shared = target_new();
    uv_tcp_init(loop, &listener);
    uv_ip4_addr(opt.anywhere ? "0.0.0.0" : "127.0.0.1", (int)opt.port, &a);
    if (uv_tcp_bind(&listener, (struct sockaddr *)&a, 0) ||
        uv_listen((uv_stream_t *)&listener, 1024, on_connection))
        die("cannot listen");
    uv_tcp_getsockname(&listener, (struct sockaddr *)&a, &len);
    uv_signal_init(loop, &on_term);
    uv_signal_init(loop, &on_int);
    uv_signal_start(&on_term, on_signal, SIGTERM);
    uv_signal_start(&on_int, on_signal, SIGINT);
    printf("API server listening at: 127.0.0.1:%d\n", ntohs(a.sin_port));
    fflush(stdout);
    uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}
