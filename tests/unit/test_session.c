/* What a session does with a target, step by step: data/session.txt, over the scripted fake back
 * end. A case is
 *
 *   == NAME [launched|stopped|server|resume|check|refused N]...
 *   the recipe
 *   -> what happens at first
 *   STEP -> what it leads to
 *
 * and is run twice: with values that are asked for, and with values that have come with the stop;
 * the words are the same. With SESSION_WORDS set the file is printed as it should be, for a look at
 * the difference. */
#include "fakeback.h"
#include "unit.h"

static char *read_cases(void) {
    struct buffer text = BUFFER_INIT(1 << 20);
    FILE *file = fopen(TEST_DATA "/session.txt", "r");
    cr_assert_not_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        buffer_putc(&text, (char)c);
    fclose(file);
    return buffer_take(&text);
}

static void set_up(struct fake_setup *setup, const char *head) {
    const char *flags = strchr(head, '[');
    const char *refused = flags ? strstr(flags, "refused ") : NULL;
    *setup = (struct fake_setup){.mode = SESSION_RUN};
    if (!flags)
        return;
    setup->found = strstr(flags, "launched")  ? FAKE_LAUNCHED
                   : strstr(flags, "stopped") ? FAKE_STOPPED
                                              : FAKE_RUNNING;
    setup->server = strstr(flags, "server");
    setup->resume = strstr(flags, "resume");
    setup->mode = strstr(flags, "check") ? SESSION_CHECK : SESSION_RUN;
    setup->refusals = refused ? (unsigned)atoi(refused + 8) : 0;
}

/* `text` is one case, without the "== ". */
static void try(char *text) {
    struct fake_setup setup;
    char *recipe = strchr(text, '\n') + 1, *script = strstr(recipe, "\n->");
    cr_assert_not_null(script, "%s", text);
    recipe[-1] = *script = '\0';
    set_up(&setup, text);
    setup.recipe = recipe;
    setup.script = script + 1;
    char *asked = fake_run(&setup);
    setup.came = true;
    char *came = fake_run(&setup);
    if (getenv("SESSION_WORDS"))
        fprintf(stderr, "== %s\n%s\n%s\n\n", text, recipe, asked);
    SHOULD_BE(asked, setup.script, text);
    SHOULD_BE(came, asked, text);
    free(asked);
    free(came);
}

Test(session, does_what_it_should) {
    char *cases = read_cases(), *next = strstr(cases, "== ");
    size_t n = 0;
    while (next) {
        char *text = next + 3, *end = strstr(text, "\n== ");
        next = end ? end + 1 : NULL;
        end = end ? end : text + strlen(text);
        while (end[-1] == '\n')
            end--;
        *end = '\0';
        try(text);
        n++;
    }
    cr_expect(n > 60, "%zu cases", n);
    free(cases);
}
