/* A key that the chosen back end cannot honour is an error at its line, never ignored. */
#include "session/session.h"

#include <ctype.h>

static struct error *refuse(const struct probe *probe, const char *key,
                            const struct backend_caps *caps, const char *why) {
    return recipe_error(probe->source, probe_key_mark(probe, key),
                        "probe \"%s\": %s: not with %s: %s", probe->name, key, caps->name, why);
}

static const char *find_register(const char *expr) {
    const char *dollar = strchr(expr, '$');
    return dollar && (dollar == expr || dollar[-1] != '"') ? dollar : NULL;
}

static bool names_argument(const char *expr) {
    for (const char *p = expr; (p = strstr(p, "arg")); p += 3) {
        bool starts = p == expr || (!text_is_name((char[]){p[-1], 0}) && p[-1] != '.');
        size_t digits = strspn(p + 3, "0123456789");
        if (starts && digits && !text_is_name((char[]){p[3 + digits] ? p[3 + digits] : ' ', 0}))
            return true;
    }
    return false;
}

bool session_names_arguments(const struct probe *probe) {
    bool names = probe->when && names_argument(probe->when);
    for (size_t i = 0; i < probe->capture_count; i++)
        names |= names_argument(probe->captures[i].expr);
    return names;
}

bool session_is_no_name(const struct backend_caps *caps, const char *why) {
    const char *const *said = caps->no_names;
    while (said && *said && !strstr(why, *said))
        said++;
    return said && *said;
}

static bool is_word(char c) {
    return c == '_' || isalnum((unsigned char)c);
}

/* `return` within an expression, outside of its texts. */
static bool needs_results(const char *expr) {
    char quote = 0;
    for (const char *p = expr; *p; p++) {
        bool starts = p == expr || (!is_word(p[-1]) && p[-1] != '.');
        if (quote && *p == '\\' && p[1] && quote != '`')
            p++;
        else if (quote)
            quote = *p == quote ? 0 : quote;
        else if (strchr("\"'`", *p))
            quote = *p;
        else if (starts && !strncmp(p, "return", 6) && !is_word(p[6]))
            return true;
    }
    return false;
}

static struct error *refuse_results(const struct probe *probe, struct mark mark, const char *key,
                                    const char *expr) {
    return recipe_error(probe->source, mark,
                        "probe \"%s\": %s: %s: with Delve `return` stands alone: capture `return`, "
                        "all results by their names, and take its part from the event; or write "
                        "the result's own name, where the source gives it one",
                        probe->name, key, expr);
}

static struct error *check_list(const struct probe *probe, const char *key,
                                const struct capture *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].expr, "return") && needs_results(list[i].expr))
            return refuse_results(probe, list[i].mark, key, list[i].expr);
    return NULL;
}

/* Delve's own language has no `return`: alone it is told from its arguments. */
static struct error *check_results(const struct probe *probe, const struct backend_caps *caps) {
    if (caps->abi)
        return NULL;
    struct error *error = check_list(probe, "at_return", probe->at_return, probe->return_count);
    if (!error)
        error = check_list(probe, "capture", probe->captures, probe->capture_count);
    if (!error && probe->when && needs_results(probe->when))
        error = refuse_results(probe, probe->when_mark, "when", probe->when);
    return error;
}

/* `arg0` by ABI, `$rax`: for back ends that look at registers themselves. */
static bool needs_abi(const char *expr) {
    return names_argument(expr) || find_register(expr) != NULL;
}

static struct error *check_exprs(const struct probe *probe, const struct backend_caps *caps) {
    static const char why[] =
        "Delve names arguments and reads registers by itself: use the argument's "
        "name, or \"registers: true\"";
    if (caps->abi)
        return NULL;
    if (probe->when && needs_abi(probe->when))
        return refuse(probe, "when", caps, why);
    for (size_t i = 0; i < probe->capture_count; i++)
        if (needs_abi(probe->captures[i].expr))
            return refuse(probe, "capture", caps, why);
    for (size_t i = 0; i < probe->return_count; i++)
        if (needs_abi(probe->at_return[i].expr))
            return refuse(probe, "at_return", caps, why);
    return NULL;
}

static struct error *check_place(const struct probe *probe, const struct backend_caps *caps) {
    const char *key = trigger_names[probe->trigger];
    if (probe->at.module && !caps->modules)
        return refuse(probe, key, caps, "a Go program is one module: leave \"module\" out");
    if (probe->at.hw && !caps->hardware)
        return refuse(probe, key, caps, "it has hardware watchpoints only: leave \"hw\" out");
    if (probe->trigger == TRIGGER_WATCH && probe->access == WATCH_READ && !caps->hardware)
        return refuse(probe, key, caps,
                      "the processor cannot tell reads alone: say \"access: rw\"");
    return NULL;
}

static bool is_code_probe(const struct probe *probe) {
    return probe->trigger == TRIGGER_AT || probe->trigger == TRIGGER_CALL ||
           probe->trigger == TRIGGER_RETURN_OF;
}

/* A probe that a watch comes from, and that is gone when the watch is armed, does no harm. */
static struct error *check_watch(const struct recipe *recipe, const struct probe *watch,
                                 const struct backend_caps *caps) {
    if (watch->trigger != TRIGGER_WATCH || !caps->watch_alone)
        return NULL;
    for (size_t i = 0; i < recipe->probe_count; i++) {
        const struct probe *other = &recipe->probes[i];
        bool gone =
            watch->watch_from == (int)i && other->max_hits == 1 && other->trigger == TRIGGER_AT;
        if (is_code_probe(other) && !gone)
            return refuse(watch, "watch", caps, caps->watch_alone);
    }
    return NULL;
}

struct error *session_fits(const struct recipe *recipe, const struct backend_caps *caps) {
    for (size_t i = 0; i < recipe->probe_count; i++) {
        const struct probe *probe = &recipe->probes[i];
        const char *why = caps->why_not[probe->trigger];
        struct error *error = NULL;
        if (!(caps->triggers & (1u << probe->trigger)))
            error = refuse(probe, trigger_names[probe->trigger], caps, why ? why : "unknown");
        else if (probe->stop == STOP_THREAD && caps->stops_all)
            error = refuse(probe, "stop", caps, "its server always stops the whole process");
        if (!error && (probe->goroutine || probe->goroutines) && !caps->goroutines)
            error = refuse(probe, probe->goroutine ? "goroutine" : "goroutines", caps,
                           "only Delve knows goroutines");
        if (!error)
            error = check_place(probe, caps);
        if (!error)
            error = check_watch(recipe, probe, caps);
        if (!error)
            error = check_exprs(probe, caps);
        if (!error)
            error = check_results(probe, caps);
        if (error)
            return error;
    }
    return NULL;
}
