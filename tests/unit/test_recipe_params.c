#include "base/secret.h"
#include "recipes.h"

/* A parameter `v` of `type` with `value`, put into `when` (the target's language). */
static char *when_with(const char *type, const char *value, const char *when) {
    struct buffer out = BUFFER_INIT(1 << 16);
    buffer_printf(&out,
                  "recipe: 1\nparams: {v: {type: %s}}\nprobes:\n  p:\n    at: f\n    when: '%s'\n",
                  type, when);
    struct settings given = {0};
    error_free(settings_add(&given, "v", value));
    struct recipe *r = NULL;
    struct error *error = recipe_parse("r.yaml", out.data, out.len, &given, NULL, &r);
    char *got = strdup(error ? error->message : r->probes[0].when);
    error_free(error);
    recipe_free(r);
    settings_free(&given);
    buffer_free(&out);
    return got;
}

static const struct {
    const char *type, *value, *when, *want;
} target_language[] = {
    {"int", "50", "n > ${v}", "n > 50"},
    {"int", "-50", "n > ${v}", "n > -50"},
    {"float", "0.5", "n > ${v}", "n > 0.5"},
    {"bool", "true", "n == ${v}", "n == true"},
    {"string", "abc", "s == ${v}", "s == \"abc\""},
    {"string", "a\"b\\c", "s == ${v}", "s == \"a\\\"b\\\\c\""},
    {"string", "a\nb\tc", "s == ${v}", "s == \"a\\nb\\tc\""},
    {"string", "\x01\x7f", "s == ${v}", "s == \"\\x01\\x7f\""},
    {"string", "", "s == ${v}", "s == \"\""},
    {"string", "5ms", "s == ${v}", "s == \"5ms\""},
    {"string", "${w}", "s == ${v}", "s == \"${w}\""},
    {"size", "64KiB", "n > ${v}", "n > 65536"},
    {"size", "7", "n > ${v}", "n > 7"},
    {"duration", "20ms", "n > ${v}", "n > 20000000"},
    {"expr", "a || b", "${v} && c", "(a || b) && c"},
    {"int", "1", "cost == $$v && n == ${v}", "cost == $v && n == 1"},
    {"int", "1", "$rax == ${v}", "$rax == 1"},
    {"int", "1", "s == \"$${v}\"", "s == \"${v}\""},
    {"int", "20", "n > ${v}ms", "n > 20000000"},
};

Test(recipe_params, become_literals_of_the_targets_language) {
    for (size_t i = 0; i < COUNT(target_language); i++) {
        char *got =
            when_with(target_language[i].type, target_language[i].value, target_language[i].when);
        SHOULD_BE(got, target_language[i].want, target_language[i].type);
        free(got);
    }
}

static const struct {
    const char *type, *value;
} misfits[] = {{"int", "x"},
               {"int", "1.5"},
               {"int", ""},
               {"int", "5ms"},
               {"int", "99999999999999999999"},
               {"int", " 5"},
               {"float", "x"},
               {"float", "inf"},
               {"float", "nan"},
               {"bool", "yes"},
               {"bool", "1"},
               {"size", "5ms"},
               {"size", "big"},
               {"size", "5%"},
               {"duration", "5"},
               {"duration", "5k"}};

Test(recipe_params, must_fit_their_type) {
    for (size_t i = 0; i < COUNT(misfits); i++) {
        char *got = when_with(misfits[i].type, misfits[i].value, "n == ${v}");
        cr_expect(strstr(got, "r.yaml:2:10: ") && strstr(got, misfits[i].type),
                  "%s \"%s\" gives %s", misfits[i].type, misfits[i].value, got);
        free(got);
    }
}

static const struct {
    const char *when, *part;
} wrong[] = {{"s == \"${v}\"", "inside quotes"},
             {"s == `x${v}`", "inside quotes"},
             {"s == ${w}", "\"${w}\""},
             {"s == ${v", "not closed"},
             {"s == ${}", "${}"}};

Test(recipe_params, wrong_uses_are_named) {
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char *got = when_with("string", "x", wrong[i].when);
        cr_expect(!strncmp(got, "r.yaml:6:11: ", 13) && strstr(got, wrong[i].part), "%s gives %s",
                  wrong[i].when, got);
        free(got);
    }
}

static const struct {
    const char *when, *want;
} units[] = {
    {"n > 1Mi", "n > 1048576"},
    {"n > 20ms", "n > 20000000"},
    {"n > 1.5us", "n > 1500"},
    {"n > 2k && m < 3G", "n > 2000 && m < 3000000000"},
    {"n > 64KiB", "n > 65536"},
    {"n == 0s", "n == 0"},
    {"s == \"5ms\" && n > 5ms", "s == \"5ms\" && n > 5000000"},
    {"s == `5ms`", "s == `5ms`"},
    {"s == \"a\\\"5ms\"", "s == \"a\\\"5ms\""},
    {"x5ms == 1", "x5ms == 1"},
    {"x_5s == a5m", "x_5s == a5m"},
    {"n == 0x1F", "n == 0x1F"},
    {"n == 0b11", "n == 0b11"},
    {"n % 5 == 0", "n % 5 == 0"},
    {"n > 1e3", "n > 1e3"},
    {"arr[5].s == 5", "arr[5].s == 5"},
};

Test(recipe_params, units_in_when_become_numbers) {
    for (size_t i = 0; i < COUNT(units); i++) {
        char *got = when_with("int", "1", units[i].when);
        SHOULD_BE(got, units[i].want, units[i].when);
        free(got);
    }
}

/* The same in our own language: `keep` as it is printed. */
static char *keep_with(const char *type, const char *value, const char *keep) {
    struct buffer out = BUFFER_INIT(1 << 16), text = BUFFER_INIT(1 << 16);
    buffer_printf(
        &out,
        "recipe: 1\nparams: {v: {type: %s}}\nprobes:\n  p:\n    at: f\n    capture: {n: n}\n"
        "    keep: '%s'\n",
        type, keep);
    struct settings given = {0};
    error_free(settings_add(&given, "v", value));
    struct recipe *r = NULL;
    struct error *error = recipe_parse("r.yaml", out.data, out.len, &given, NULL, &r);
    if (error)
        buffer_puts(&text, error->message);
    else
        expr_print(r->probes[0].keep, &text);
    error_free(error);
    recipe_free(r);
    settings_free(&given);
    buffer_free(&out);
    return buffer_take(&text);
}

Test(recipe_params, become_literals_of_our_language) {
    static const struct {
        const char *type, *value, *keep, *want;
    } cases[] = {
        {"int", "50", "n > ${v}", "(n > 50)"},
        {"int", "50", "n > ${v}ms", "(n > 50ms)"},
        {"int", "-5", "n - ${v} > 0", "((n - -5) > 0)"},
        {"float", "0.5", "n > ${v}", "(n > 0.5)"},
        {"bool", "true", "n == ${v}", "(n == true)"},
        {"string", "a\"b\\", "n == ${v}", "(n == \"a\\\"b\\\\\")"},
        {"string", "a\nb", "n == ${v}", "(n == \"a\\nb\")"},
        {"size", "64KiB", "n > ${v}", "(n > 65536)"},
        {"duration", "20ms", "n > ${v}", "(n > 20ms)"},
        {"expr", "n > 1 || n < 0", "${v} && true", "(((n > 1) || (n < 0)) && true)"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *got = keep_with(cases[i].type, cases[i].value, cases[i].keep);
        SHOULD_BE(got, cases[i].want, cases[i].value);
        free(got);
    }
    char *got = keep_with("string", "x", "n == \"${v}\"");
    SHOULD_HOLD(got, "inside quotes", "in quotes");
    free(got);
}

Test(recipe_params, locations_and_plain_texts) {
    struct settings given = {0};
    error_free(settings_add(&given, "where", "main.go:37"));
    struct recipe *r =
        parsed_with("recipe: 1\nparams: {where: {type: location}, t: {type: duration, "
                    "default: 5s}}\nprobes: {p: {at: \"${where}\"}, q: {timer: \"${t}\"}}\n",
                    &given, NULL);
    cr_expect_eq(r->probes[0].at.line, 37);
    cr_expect_eq(r->probes[1].timer_ns, UINT64_C(5000000000));
    recipe_free(r);
    settings_free(&given);
}

static const char sources[] = "recipe: 1\nparams: {v: {type: int, default: 1, env: PG_TEST_V}}\n"
                              "probes:\n  p:\n    at: f\n    when: n == ${v}\n";

static void expect_when(const struct settings *given, const struct target *target,
                        const char *want) {
    struct recipe *r = parsed_with(sources, given, target);
    SHOULD_BE(r->probes[0].when, want, "value");
    recipe_free(r);
}

Test(recipe_params, come_from_the_command_line_the_target_the_environment_the_default) {
    struct settings given = {0};
    struct target target = {0};
    unsetenv("PG_TEST_V");
    expect_when(NULL, NULL, "n == 1");
    setenv("PG_TEST_V", "2", 1);
    expect_when(NULL, NULL, "n == 2");
    error_free(settings_add(&target.params, "v", "3"));
    expect_when(NULL, &target, "n == 3");
    error_free(settings_add(&given, "v", "4"));
    expect_when(&given, &target, "n == 4");
    error_free(settings_add(&given, "v", "5"));
    expect_when(&given, &target, "n == 5");
    settings_free(&given);
    target_clear(&target);
}

Test(recipe_params, what_is_given_must_be_declared_and_what_is_used_must_be_given) {
    struct settings given = {0};
    error_free(settings_add(&given, "w", "4"));
    char *errors = errors_with(sources, &given, NULL);
    SHOULD_HOLD(errors, "-p w", "not declared");
    free(errors);
    settings_free(&given);
    errors = errors_of(
        "recipe: 1\nparams: {v: {type: int, env: PG_NONE}}\nprobes: {p: {at: f, when: \"n == "
        "${v}\"}}\n");
    SHOULD_HOLD(errors, "-p v=VALUE", "no value");
    SHOULD_HOLD(errors, "PG_NONE", "the other way to give it");
    free(errors);
}

Test(recipe_params, unknown_names_bring_a_suggestion) {
    char *errors = errors_of("recipe: 1\nparams: {minimum: {type: int, default: 5}}\n"
                             "probes: {p: {at: f, when: \"n > ${minimun}\"}}\n");
    SHOULD_HOLD(errors, "did you mean \"minimum\"", "nearest");
    free(errors);
}

Test(recipe_params, in_a_log_are_text_not_templates) {
    struct settings given = {0};
    error_free(settings_add(&given, "v", "a{b}c"));
    char *errors = errors_with(
        "recipe: 1\nparams: {v: {type: string}}\nprobes: {p: {at: f, log: \"hi ${v}\"}}\n", &given,
        NULL);
    cr_expect_str_empty(errors, "%s", errors);
    free(errors);
    errors = errors_with(
        "recipe: 1\nparams: {v: {type: string}}\nprobes: {p: {at: f, capture: {n: n}, log: "
        "\"{replace(n, ${v}, `x`)}\"}}\n",
        &given, NULL);
    SHOULD_LACK(errors, "unexpected", "inside of {...} it is a literal of our language");
    free(errors);
    settings_free(&given);
}

/* The whole of what is printed, with secrets scrubbed. */
static char *printed_secret(const char *type, const char *value) {
    struct buffer text = BUFFER_INIT(1 << 16), out = BUFFER_INIT(1 << 16);
    struct settings given = {0};
    error_free(settings_add(&given, "v", value));
    buffer_printf(&text,
                  "recipe: 1\nparams: {v: {type: %s, secret: true}}\nprobes:\n  p:\n    at: f\n"
                  "    when: s == ${v}\n    capture: {n: 'get(${v})'}\n    keep: n == ${v}\n",
                  type);
    struct recipe *r = parsed_with(text.data, &given, NULL);
    recipe_print(r, &out);
    secret_scrub(&out);
    recipe_free(r);
    settings_free(&given);
    buffer_free(&text);
    secret_forget_all();
    return buffer_take(&out);
}

Test(recipe_params, secrets_are_not_printed) {
    static const struct {
        const char *type, *value, *shown;
    } secrets[] = {
        {"string", "hunter22", "hunter22"},       {"int", "123456789", "123456789"},
        {"string", "hun\"ter22", "ter22"},        {"string", "hun\\ter22", "ter22"},
        {"string", "hunter22\nsecond", "second"}, {"size", "98765Ki", "101135360"},
    };
    for (size_t i = 0; i < COUNT(secrets); i++) {
        char *got = printed_secret(secrets[i].type, secrets[i].value);
        SHOULD_LACK(got, secrets[i].shown, secrets[i].value);
        SHOULD_HOLD(got, "***", secrets[i].value);
        free(got);
    }
}

Test(recipe_params, a_secret_of_the_wrong_type_is_not_told) {
    char *errors = errors_of("recipe: 1\nparams:\n  v:\n    type: int\n    secret: true\n"
                             "    default: hunter22\nprobes: {p: {at: f}}\n");
    SHOULD_HOLD(errors, "not of type int", "it is an error");
    SHOULD_LACK(errors, "hunter22", "and keeps the secret");
    free(errors);
    secret_forget_all();
}
