/* What is wrong with a recipe is said at its line and column. */
#include "recipes.h"

struct trap {
    const char *line; /* the fifth line of a recipe, in its probe */
    unsigned column;  /* 0: anywhere on the line */
    const char *part;
};

static void check(const struct trap *trap) {
    char *text = with_lines(trap->line), *errors = errors_of(text), where[32];
    if (trap->column)
        snprintf(where, sizeof where, "r.yaml:5:%u: ", trap->column);
    else
        snprintf(where, sizeof where, "r.yaml:5:");
    cr_expect(strstr(errors, where) && strstr(errors, trap->part),
              "%s\n  expected: %s ...%s...\n  got:      %s", trap->line, where, trap->part, errors);
    free(errors);
    free(text);
}

static const struct trap yaml_traps[] = {
    {"    when: !ok", 11, "quote it"},
    {"    when: !ok && x", 0, "quote it"},
    {"    when: !a.b == 3", 11, "quote it"},
    {"    when: ! ok", 11, "quote it"},
    {"    when: !!str 5", 11, "quote it"},
    {"    when: !(a || b)", 0, "quote it"},
    {"    when: &x == nil", 11, "quote it"},
    {"    when: &x", 11, "quote it"},
    {"    when: &x.y == nil", 0, "quote it"},
    {"    when: *p == 3", 11, "quote it"},
    {"    when: *p.next != nil", 0, "quote it"},
    {"    capture: [&x]", 15, "quote it"},
    {"    capture: [*p]", 15, "quote it"},
    {"    capture: ! [a]", 14, "quote it"},
    {"    capture: !x {a: b}", 14, "quote it"},
    {"    capture: &x [a]", 14, "quote it"},
    {"    *x : 5", 5, "quote it"},
    {"    when: null", 11, "quote it"},
    {"    when: ~", 11, "quote it"},
    {"    when: NULL", 11, "quote it"},
    {"    when:", 0, "quote it"},
    {"    ~: 5", 5, "quote it"},
    {"    capture: {n: f(a,b)}", 18, "quote it"},
    {"    capture: [f(a,b)]", 15, "quote it"},
    {"    capture: {n: a[0]}", 0, "quote"},
    {"    capture: [a[0]]", 0, "quote"},
    {"    when: a] > 3", 11, "quote it"},
    {"    when: f(a", 11, "quote it"},
    {"    when: @x", 0, "quote"},
    {"    when: `x`", 0, "quote"},
    {"    hit_cond: % 100", 0, "quote"},
    {"    hit_cond: > 10", 0, "quote"},
    {"    hit_cond: >= 10", 0, "quote"},
    {"    log: a: b", 0, "quote"},
    {"    when: s == \"a #b\"", 0, "quote it"},
    {"    capture: {n: s == \"a,b\"}", 0, "quote it"},
    {"    when: %x", 11, "quote it"},
};

Test(recipe_traps, what_yaml_would_rewrite_says_quote_it) {
    for (size_t i = 0; i < COUNT(yaml_traps); i++)
        check(&yaml_traps[i]);
}

static const struct trap tabs[] = {
    {"\twhen: x", 1, "indented with blanks"},
    {"  \twhen: x", 3, "indented with blanks"},
};

Test(recipe_traps, tabs_are_not_said_to_want_quotes) {
    for (size_t i = 0; i < COUNT(tabs); i++) {
        char *text = with_lines(tabs[i].line), *errors = errors_of(text);
        check(&tabs[i]);
        cr_expect_null(strstr(errors, "quote it"), "%s", errors);
        free(errors);
        free(text);
    }
}

static const struct trap mistakes[] = {
    {"    at: main.g", 5, "duplicate key \"at\""},
    {"    wehn: x", 5, "did you mean \"when\""},
    {"    captrue: [a]", 5, "did you mean \"capture\""},
    {"    elephant: 1", 5, "unknown key \"elephant\""},
    {"    timer: 5s", 5, "two triggers"},
    {"    signal: SIGSEG", 13, "did you mean \"SIGSEGV\""},
    {"    stack: deep", 12, "\"deep\" is not a whole number"},
    {"    stack: -1", 12, "whole number"},
    {"    stack: 99999", 12, "maximum"},
    {"    stack: [1]", 12, "found a list"},
    {"    when: {a: b}", 11, "found keys and values"},
    {"    args: yes", 11, "true or false"},
    {"    emit: some", 11, "not one of"},
    {"    then: end_rnu", 11, "did you mean \"end_run\""},
    {"    rate: fast", 11, "50/s"},
    {"    rate: 0/s", 11, "50/s"},
    {"    rate: 5", 11, "50/s"},
    {"    max_hits: 0", 15, "0"},
    {"    every: 5", 12, "duration"},
    {"    every: 5k", 12, "duration"},
    {"    hit_cond: abc5", 15, "abc5"},
    {"    hit_cond: \"% 0\"", 15, "above 0"},
    {"    after: nobody", 12, "no probe \"nobody\""},
    {"    after: p", 12, "itself"},
    {"    after: {same: thread}", 12, "needs the key \"probe\""},
    {"    at_return: {a: b}", 0, "call"},
    {"    capture: {a: {as: hex}}", 0, "needs the key \"expr\""},
    {"    capture: {a: {expr: x, as: octal}}", 32, "not one of"},
    {"    capture: {\"a b\": x}", 15, "no name"},
    {"    capture: [a, a]", 18, "twice"},
    {"    capture: {a: \"\"}", 18, "empty"},
    {"    keep: nope > 3", 11, "\"nope\""},
    {"    keep: hit.thread == hit.gorutine", 25, "did you mean \"hit.goroutine\""},
    {"    keep: 'hit.thread == nope'", 26, "\"nope\""},
    {"    keep: elapsed > 3ms", 11, "\"elapsed\""},
    {"    keep: never(p)", 11, "never"},
    {"    log: \"x {nope}\"", 14, "\"nope\""},
    {"    log: \"x {a\"", 0, "closed"},
    {"    set: {a: 1}", 5, "set"},
    {"    syscall: open", 0, "syscall"},
    {"    load: {strng: 5}", 12, "did you mean \"string\""},
    {"    load: {string: 5ms}", 20, "size"},
    {"    stop: all", 11, "not one of"},
};

Test(recipe_traps, mistakes_in_a_probe) {
    for (size_t i = 0; i < COUNT(mistakes); i++)
        check(&mistakes[i]);
}

static const struct {
    const char *text, *where, *part;
} whole[] = {
    {"", "r.yaml:1:1: ", "empty"},
    {"# nothing\n", "r.yaml:1:1: ", "empty"},
    {"probes: {p: {at: f}}\n", "r.yaml:1:1: ", "needs the key \"recipe\""},
    {"recipe: 1\n", "r.yaml:1:1: ", "needs the key \"probes\""},
    {"recipe: 2\nprobes: {p: {at: f}}\n", "r.yaml:1:9: ", "version"},
    {"recipe: 1\nprobes: {}\n", "r.yaml:2:9: ", "at least one probe"},
    {"recipe: 1\nprobes: {p: {when: x}}\n", "r.yaml:2:10: ", "no trigger"},
    {"recipe: 1\nprobes: {1p: {at: f}}\n", "r.yaml:2:10: ", "no name"},
    {"recipe: 1\nprobes: [p]\n", "r.yaml:2:9: ", "found a list"},
    {"recipe: 1\nprobe: {p: {at: f}}\n", "r.yaml:2:1: ", "did you mean \"probes\""},
    {"recipe: 1\nprobes: {p: {at: f}}\nprobes: {q: {at: f}}\n", "r.yaml:3:1: ", "duplicate key"},
    {"recipe: 1\nallow: [set]\nprobes: {p: {at: f}}\n", "r.yaml:2:1: ", "reserved"},
    {"recipe: 1\nprobes: {p: {at: f}}\nexpect: [never(q)]\n", "r.yaml:3:", "\"q\""},
    {"recipe: 1\nprobes: {p: {at: f}}\naggregate: {x: {top: 5, sum: p.n}}\n",
     "r.yaml:3:", "\"p.n\""},
    {"recipe: 1\nprobes: {p: {at: f}}\nrequire: 5\n", "r.yaml:3:10: ", "share"},
    {"recipe: 1\nprobes: {p: {at: f}}\nrequire: 101%\n", "r.yaml:3:10: ", "share"},
    {"recipe: 1\nprobes: {p: {at: f}}\nlimits: {duration: 0s}\n", "r.yaml:3:20: ", "0s"},
    {"recipe: 1\nprobes: {p: {at: f}}\nlimits: {duration: -5s}\n", "r.yaml:3:20: ", "-5s"},
    {"recipe: 1\nprobes: {p: {at: f}}\nlimits: {max_pause: {is: 1ms, do: explode}}\n",
     "r.yaml:3:35: ", "not one of"},
    {"recipe: 1\nprobes: {p: {at: f}}\nlimits: {pause_budget: 5}\n", "r.yaml:3:24: ", "share"},
    {"recipe: 1\nprobes: {p: {at: ''}}\n", "r.yaml:2:18: ", ""},
    {"recipe: 1\nprobes: {p: {at: 'f.go:0'}}\n", "r.yaml:2:18: ", "line"},
    {"recipe: 1\nprobes: {p: {at: 'f.go:4294967333'}}\n", "r.yaml:2:18: ", ""},
    {"recipe: 1\nprobes: {p: {at: '*zz'}}\n", "r.yaml:2:18: ", "address"},
    {"recipe: 1\nprobes: {p: {at: {function: f, match: g}}}\n", "r.yaml:2:18: ", "exactly one"},
    {"recipe: 1\nprobes: {p: {at: {match: '('}}}\n", "r.yaml:2:26: ", "regular expression"},
    {"recipe: 1\nprobes: {p: {at: {file: a.go}}}\n", "r.yaml:2:18: ", "line"},
    {"recipe: 1\nprobes: {p: {call: 'a.go:3'}}\n", "r.yaml:2:20: ", "function"},
    {"recipe: 1\nprobes:\n  p:\n    at: *0x4844c0\n", "r.yaml:4:9: ", "quote it"},
    {"recipe: 1\nprobes: {p: {at: f, call: g}}\n", "r.yaml:2:21: ", "two triggers"},
    {"recipe: 1\nprobes: {p: {at: 'a.go:3', call: {function: g}}}\n",
     "r.yaml:2:28: ", "two triggers"},
    {"recipe: 1\nprobes: {p: {call: f, capture: {n: a}, at_return: {n: b}}}\n", "r.yaml:2:", "n"},
    {"recipe: 1\nprobes: {p: {timer: 1us}}\n", "r.yaml:2:21: ", "1ms"},
    {"recipe: 1\nprobes: {p: {panic: false}}\n", "r.yaml:2:21: ", "false"},
    {"recipe: 1\nprobes: {p: {watch: {access: read}}}\n",
     "r.yaml:2:21: ", "needs the key \"expr\""},
    {"recipe: 1\n---\nprobes: {}\n", "r.yaml:2:1: ", "document"},
    {"recipe: 1\nprobes: {p: {at: \"\\0\"}}\n", "r.yaml:2:18: ", "NUL"},
    {"recipe: 1\ntargets: [{name: a, uri: u}, {name: a, uri: v}]\nprobes: {p: {at: f}}\n",
     "r.yaml:2:", "two targets"},
    {"recipe: 1\ntargets: [{name: a, uri: u, params: {x: 1}}]\nprobes: {p: {at: f}}\n",
     "r.yaml:2:", "not declared"},
    {"recipe: 1\ntargets: [{uri: u}]\nprobes: {p: {at: f}}\n", "r.yaml:2:11: ", "\"name\""},
    {"- a\n- b\n", "r.yaml:1:1: ", "keys and values"},
    {"just text\n", "r.yaml:1:1: ", "keys and values"},
};

Test(recipe_traps, mistakes_in_the_whole) {
    for (size_t i = 0; i < COUNT(whole); i++) {
        char *errors = errors_of(whole[i].text);
        cr_expect(strstr(errors, whole[i].where) && strstr(errors, whole[i].part),
                  "%s\n  expected: %s ...%s...\n  got:      %s", whole[i].text, whole[i].where,
                  whole[i].part, errors);
        free(errors);
    }
}

Test(recipe_traps, five_mistakes_are_all_reported) {
    char *errors = errors_of("recipe: 1\n"
                             "limits: {duration: soon}\n"
                             "probes:\n"
                             "  a:\n"
                             "    at: main.f\n"
                             "    wehn: x\n"
                             "    stack: deep\n"
                             "  b:\n"
                             "    timer: 5s\n"
                             "    keep: nope == 1\n"
                             "expect:\n"
                             "  - never(crash)\n");
    static const char *const marks[] = {
        "r.yaml:2:20: ", "r.yaml:6:5: ", "r.yaml:7:12: ", "r.yaml:10:11: ", "r.yaml:12:11: "};
    for (size_t i = 0; i < COUNT(marks); i++)
        SHOULD_HOLD(errors, marks[i], "one of five");
    SHOULD_HOLD(errors, "    6 |     wehn: x\n      |     ^", "the line, with a caret");
    free(errors);
}

Test(recipe_traps, more_mistakes_than_are_shown_are_counted) {
    struct buffer text = BUFFER_INIT(1 << 16);
    buffer_puts(&text, "recipe: 1\nprobes: {p: {at: f}}\n");
    for (int i = 0; i < 30; i++)
        buffer_printf(&text, "unknown%d: 1\n", i);
    char *errors = errors_of(text.data);
    SHOULD_HOLD(errors, "10 more", "nothing is dropped in silence");
    free(errors);
    buffer_free(&text);
}

Test(recipe_traps, suggestions_are_not_what_was_written) {
    char *errors = errors_of("recipe: 1\nprobes: {p: {at: f, keep: elapsed > 1ms}}\n");
    SHOULD_LACK(errors, "did you mean", "the same word is no help, nor its sister");
    free(errors);
    errors = errors_of("recipe: 1\nprobes: {p: {call: f, keep: elapsd > 1ms}}\n");
    SHOULD_HOLD(errors, "did you mean \"elapsed\"", "where there is a return");
    free(errors);
}

Test(recipe_traps, who_waits_in_a_circle_never_hits) {
    char *errors = errors_of("recipe: 1\n"
                             "probes:\n"
                             "  a: {at: f, after: b}\n"
                             "  b: {watch: {expr: x, from: c}}\n"
                             "  c: {at: f, after: a}\n"
                             "  d: {at: f, after: d}\n"
                             "  e: {at: f, after: a}\n");
    SHOULD_HOLD(errors, "r.yaml:3:21: probe \"a\" waits for \"b\", which waits for it", "once");
    SHOULD_HOLD(errors, "r.yaml:6:21: probe \"d\": a probe cannot wait for itself", "itself");
    for (int line = 4; line < 8; line += line == 5 ? 2 : 1) {
        char where[32];
        snprintf(where, sizeof where, "r.yaml:%d:", line);
        SHOULD_LACK(errors, where, "nobody else");
    }
    free(errors);
}

Test(recipe_traps, an_exit_takes_no_keys_that_it_cannot_honour) {
    char *errors = errors_of("recipe: 1\n"
                             "probes:\n"
                             "  fine: {exit: true, then: end_run}\n"
                             "  bad: {exit: true, when: x == 1, capture: [x], stack: 3}\n");
    static const char *const keys[] = {"when", "capture", "stack"};
    for (size_t i = 0; i < COUNT(keys); i++) {
        char part[64];
        snprintf(part, sizeof part, "alone; leave \"%s\" out", keys[i]);
        SHOULD_HOLD(errors, part, "each at its place");
    }
    SHOULD_LACK(errors, "r.yaml:3:", "what it can");
    free(errors);
}

Test(recipe_traps, a_syntax_error_is_the_only_one) {
    struct settings given = {0};
    error_free(settings_add(&given, "min", "5"));
    char *errors = errors_with("recipe: 1\nparams: {min: {type: int}}\nprobes: [\n", &given, NULL);
    SHOULD_LACK(errors, "-p min", "what was not read cannot be missing");
    free(errors);
    settings_free(&given);
}

Test(recipe_traps, size_and_depth_are_bounded) {
    struct buffer text = BUFFER_INIT(4 << 20);
    for (int i = 0; i < 200; i++)
        buffer_puts(&text, "[");
    char *errors = errors_of(text.data);
    SHOULD_HOLD(errors, "too deep", "depth");
    free(errors);
    buffer_clear(&text);
    for (int i = 0; i < (1 << 20) / 8 + 1; i++)
        buffer_puts(&text, "#2345678");
    errors = errors_of(text.data);
    SHOULD_HOLD(errors, "1 MiB", "size");
    free(errors);
    buffer_free(&text);
}
