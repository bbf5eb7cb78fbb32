/* What was understood, for `check`. */
#include "recipe/recipe.h"

static void print_duration(struct buffer *out, const char *key, uint64_t ns) {
    char text[16];
    if (ns)
        buffer_printf(out, "    %-9s %s\n", key, text_duration(text, ns));
}

static void print_trigger(const struct probe *probe, struct buffer *out) {
    static const char *const access[] = {"", "read", "write", "read or written"};
    char text[16];
    buffer_printf(out, "  %s: %s", probe->name, trigger_names[probe->trigger]);
    if (probe->at.text)
        buffer_printf(out, " %s", probe->at.text);
    if (probe->watch)
        buffer_printf(out, " %s (%s)", probe->watch, access[probe->access]);
    if (probe->timer_ns)
        buffer_printf(out, " %s", text_duration(text, probe->timer_ns));
    if (probe->signal)
        buffer_printf(out, " %s", probe->signal);
    buffer_putc(out, '\n');
}

static void print_filters(const struct recipe *recipe, const struct probe *probe,
                          struct buffer *out) {
    static const char *const same[] = {"", ", same goroutine", ", same thread"};
    if (probe->after >= 0)
        buffer_printf(out, "    after     %s%s\n", recipe->probes[probe->after].name,
                      same[probe->after_same]);
    print_duration(out, "within", probe->after_within_ns);
    if (probe->when)
        buffer_printf(out, "    when      %s\n", probe->when);
    if (*probe->hit_cond.text)
        buffer_printf(out, "    hit_cond  %s\n", probe->hit_cond.text);
    if (probe->rate_hits)
        buffer_printf(out, "    rate      %llu hits in %.4gs\n",
                      (unsigned long long)probe->rate_hits, (double)probe->rate_per_ns / 1e9);
    if (probe->max_hits)
        buffer_printf(out, "    max_hits  %llu\n", (unsigned long long)probe->max_hits);
    print_duration(out, "every", probe->every_ns);
}

static void print_captures(const char *title, const struct capture *captures, size_t n,
                           struct buffer *out) {
    static const char *const as[] = {"", ", as addr", ", as hex", ", as text", ", as bytes"};
    for (size_t i = 0; i < n; i++)
        buffer_printf(out, "    %-9s %s = %s%s\n", title, captures[i].name, captures[i].expr,
                      as[captures[i].as]);
}

static void print_flags(const struct probe *probe, struct buffer *out) {
    const struct {
        const char *name;
        bool on;
    } flags[] = {{"args", probe->args},           {"locals", probe->locals},
                 {"registers", probe->registers}, {"goroutine", probe->goroutine},
                 {"thread", probe->thread},       {"goroutines", probe->goroutines}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (flags[i].on)
            buffer_printf(out, "    %-9s yes\n", flags[i].name);
    if (probe->emit_none)
        buffer_puts(out, "    emit      none\n");
}

static void print_probe(const struct recipe *recipe, const struct probe *probe,
                        struct buffer *out) {
    static const char *const then[] = {
        [DO_DISARM] = "disarm", [DO_END] = "end", [DO_END_RUN] = "end_run", [DO_NOTHING] = NULL};
    print_trigger(probe, out);
    print_filters(recipe, probe, out);
    print_captures("capture", probe->captures, probe->capture_count, out);
    print_captures("at_return", probe->at_return, probe->return_count, out);
    if (probe->stack)
        buffer_printf(out, "    stack     %u frames\n", probe->stack);
    if (probe->keep) {
        buffer_puts(out, "    keep      ");
        expr_print(probe->keep, out);
        buffer_putc(out, '\n');
    }
    print_flags(probe, out);
    if (probe->log_text)
        buffer_printf(out, "    log       %s\n", probe->log_text);
    if (probe->then != DO_NOTHING)
        buffer_printf(out, "    then      %s\n", then[probe->then]);
}

void recipe_print(const struct recipe *recipe, struct buffer *out) {
    char text[16];
    buffer_printf(out, "recipe %s: %zu probe%s, ", recipe->name ? recipe->name : recipe->source,
                  recipe->probe_count, recipe->probe_count == 1 ? "" : "s");
    if (recipe->limits.duration_ns)
        buffer_printf(out, "at most %s\n", text_duration(text, recipe->limits.duration_ns));
    else
        buffer_puts(out, "without an end of its own\n");
    for (size_t i = 0; i < recipe->probe_count; i++)
        print_probe(recipe, &recipe->probes[i], out);
    buffer_puts(out, recipe->judged.data ? recipe->judged.data : "");
}
