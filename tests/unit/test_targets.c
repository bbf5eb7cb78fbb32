#include "recipes.h"

static void clear(struct target *targets, size_t count) {
    for (size_t i = 0; i < count; i++)
        target_clear(&targets[i]);
    free(targets);
}

static const struct {
    const char *what, *text;
    size_t count;
    const char *name, *uri; /* of the last */
} cases[] = {
    {"one URI", "dlv://127.0.0.1:4040\n", 1, "target-1", "dlv://127.0.0.1:4040"},
    {"no newline at the end", "dlv://h:1\ndlv://h:2", 2, "target-2", "dlv://h:2"},
    {"a name", "api-1=dlv://h:1\n", 1, "api-1", "dlv://h:1"},
    {"an = within the URI", "dlv://h:1?x=y\n", 1, "target-1", "dlv://h:1?x=y"},
    {"comments and empty lines", "# fleet\n\ndlv://h:1\n  \n# end\n", 1, "target-1", "dlv://h:1"},
    {"carriage returns and blanks", "dlv://h:1  \r\n", 1, "target-1", "dlv://h:1"},
    {"blanks in front", "dlv://h:1\n  api=dlv://h:2\n", 2, "api", "dlv://h:2"},
    {"nothing", "", 0, NULL, NULL},
    {"the recipe's list", "- {name: a, uri: 'dlv://h:1'}\n- name: b\n  uri: dlv://h:2\n", 2, "b",
     "dlv://h:2"},
    {"the recipe's list as JSON", "[{\"name\": \"a\", \"uri\": \"dlv://h:1\"}]", 1, "a",
     "dlv://h:1"},
    {"the recipe's list behind a comment", "# fleet\n- {name: a, uri: 'dlv://h:1'}\n", 1, "a",
     "dlv://h:1"},
    {"with labels and params",
     "- {name: a, uri: 'dlv://h:1', labels: {zone: a}, params: {min: 20}}\n", 1, "a", "dlv://h:1"},
};

Test(targets, lists) {
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct target *targets = NULL;
        size_t count = 0;
        struct error *error =
            targets_parse("fleet", cases[i].text, strlen(cases[i].text), &targets, &count);
        cr_expect_null(error, "%s: %s", cases[i].what, error ? error->message : "");
        cr_expect_eq(count, cases[i].count, "%s: %zu targets", cases[i].what, count);
        if (count && cases[i].count == count) {
            SHOULD_BE(targets[count - 1].name, cases[i].name, cases[i].what);
            SHOULD_BE(targets[count - 1].uri, cases[i].uri, cases[i].what);
        }
        error_free(error);
        clear(targets, count);
    }
}

Test(targets, params_of_a_target_reach_its_recipe) {
    static const char list[] = "- {name: a, uri: 'dlv://h:1', params: {min: 20}}\n";
    struct target *targets = NULL;
    size_t count = 0;
    struct error *error = targets_parse("fleet", list, strlen(list), &targets, &count);
    cr_expect_null(error, "%s", error ? error->message : "");
    error_free(error);
    cr_assert_eq(count, 1);
    struct recipe *r = parsed_with("recipe: 1\nparams: {min: {type: int, default: 50}}\n"
                                   "probes: {p: {at: f, when: \"n > ${min}\"}}\n",
                                   NULL, &targets[0]);
    SHOULD_BE(r->probes[0].when, "n > 20", "per target");
    recipe_free(r);
    clear(targets, count);
}

Test(targets, mistakes_have_a_place) {
    static const struct {
        const char *text, *part;
    } wrong[] = {
        {"- {name: a}\n", "fleet:1:3: "},
        {"- {name: a, uri: u}\n- {name: a, uri: v}\n", "fleet:2:3: "},
        {"- {name: a, uir: u}\n", "did you mean \"uri\""},
        {"- a\n", "fleet:1:3: "},
        {"[", "fleet:"},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct target *targets = NULL;
        size_t count = 0;
        struct error *error =
            targets_parse("fleet", wrong[i].text, strlen(wrong[i].text), &targets, &count);
        SHOULD_HOLD(error ? error->message : "no error", wrong[i].part, wrong[i].text);
        error_free(error);
        clear(targets, count);
    }
}
