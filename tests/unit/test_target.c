/* What expressions of the target's language mean. */
#include "own_program.h"

enum shade { DARK, LIGHT = 4 };
static struct thing {
    int number;
    const char *text;
    struct thing *next;
    signed int bits : 3;
    unsigned char bytes[4];
    enum shade shade;
    double real;
} the_thing = {-7, "seven", NULL, -2, {1, 2, 254, 255}, LIGHT, 1.5};
struct thing *the_pointer = &the_thing;

static void open_things(void) {
    the_thing.next = &the_thing;
    open_self();
}

TestSuite(target, .init = open_things, .fini = close_self);

Test(target, values) {
    is("the_thing.number", "-7");
    is("the_pointer->number + 1", "-6");
    is("the_pointer.text", "\"seven\"");
    is("the_thing.bits", "-2");
    is("the_thing.bytes[2]", "254");
    is("the_thing.shade", "\"LIGHT\"");
    is("the_thing.real * 2", "3");
    is("the_thing.next->next->next == &the_thing", "1");
    is("&the_thing == the_pointer ? the_thing.number : 0", "-7");
}

Test(target, arithmetic_of_c) {
    is("7 / 2", "3");
    is("-7 % 4", "-3");
    is("1 << 4 | 3", "19");
    is("~0", "-1");
    is("0xffffffff", "4294967295");
    is("1u - 2", "4294967295");
    is("1 ? 2.5 : 1", "2.5");
    is("sizeof(int) + sizeof the_thing.bytes", "8");
    is("'a' + 1", "98");
    is("(unsigned char)300", "44");
    is("10ms", "10000000");
}

Test(target, logic_stops_early) {
    is("0 && *(int *)8", "0");
    is("1 || *(int *)8", "1");
}

Test(target, texts_compare) {
    is("the_thing.text == \"seven\"", "1");
    is("the_thing.text != \"sevens\"", "1");
    is("the_thing.text[1]", "101");
    is("the_thing.bytes[1:3]", "{\"$bytes\":\"Av4=\"}");
}

Test(target, failures_are_answers) {
    is("1 / (the_thing.number + 7)", "division by zero");
    is("*(int *)0", "a null pointer is followed");
    is("*(int *)8", "{\"$error\":\"cannot read memory at 0x8\"}");
}

Test(target, errors_at_their_column) {
    static const struct {
        const char *text, *part;
        size_t at;
    } rows[] = {
        {"the_thing.nmber", "did you mean \"number\"", 10},
        {"1 + ", "ends where a value is expected", 4},
        {"the_thing + 1", "cannot join", 10},
        {"(1", "expected \")\"", 2},
        {"the_thing.number(3)", "cannot be called", 16},
        {"1.5 % 2", "needs integers", 4},
        {"*the_thing", "is no pointer", 0},
        {"\"open", "not closed", 0},
        {"$nosuch", "has no register", 0},
        {"arg0", "first instruction", 0},
        {"(struct none *)1", "there is no type \"struct none\"", 1},
        {"the_pointer[:]", "has no end", 11},
        {"#", "unexpected character", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct target_expr *expr = NULL;
        size_t at = 99;
        struct error *error = compile(rows[i].text, &expr, &at);
        cr_assert_not_null(error, "%s", rows[i].text);
        cr_assert(strstr(error->message, rows[i].part), "%s: %s", rows[i].text, error->message);
        cr_assert_eq(at, rows[i].at, "%s: at %zu", rows[i].text, at);
        error_free(error);
    }
}

Test(target, depth_is_bounded) {
    char text[400];
    struct target_expr *expr;
    size_t at;
    memset(text, '(', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct error *error = compile(text, &expr, &at);
    cr_assert(error && strstr(error->message, "nested too deeply"));
    error_free(error);
}
