#include "base/secret.h"
#include "unit.h"

static const struct {
    const char *what, *secrets[4], *text, *want;
} cases[] = {
    {"no secrets", {NULL}, "hunter22 here", "hunter22 here"},
    {"one", {"hunter22"}, "password=hunter22;", "password=***;"},
    {"several times", {"hunter22"}, "hunter22hunter22 hunter22", "****** ***"},
    {"the whole text", {"hunter22"}, "hunter22", "***"},
    {"none inside", {"hunter22"}, "hunter2", "hunter2"},
    {"short ones are not remembered", {"abc", "1", ""}, "abc 1", "abc 1"},
    {"exactly four bytes", {"abcd"}, "xabcdx", "x***x"},
    {"two different ones", {"alpha", "omega"}, "alpha and omega", "*** and ***"},
    {"the same one twice", {"alpha", "alpha"}, "alpha", "***"},
    {"the longer of two that begin alike", {"token", "token-0123"}, "x=token-0123", "x=***"},
    {"the shorter one inside of the longer", {"0123", "tok0123en"}, "tok0123en", "***"},
    {"the longer one first", {"token-0123", "token"}, "x=token-0123 token", "x=*** ***"},
};

Test(secret, every_occurrence_is_replaced) {
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer b = BUFFER_INIT(4096);
        for (size_t s = 0; s < 4 && cases[i].secrets[s]; s++)
            secret_add(cases[i].secrets[s]);
        buffer_puts(&b, cases[i].text);
        secret_scrub(&b);
        SHOULD_BE(b.data, cases[i].want, cases[i].what);
        cr_expect_eq(b.len, strlen(b.data), "%s: length", cases[i].what);
        buffer_free(&b);
        secret_forget_all();
    }
}

Test(secret, is_found_among_bytes) {
    struct buffer b = BUFFER_INIT(64);
    secret_add("hunter22");
    buffer_add(&b, "a\0hunter22\0b", 12);
    cr_assert(secret_inside(b.data, b.len));
    cr_assert(!secret_inside(b.data, 9));
    secret_scrub(&b);
    cr_assert_eq(b.len, 7);
    cr_assert_arr_eq(b.data, "a\0***\0b", 8);
    buffer_free(&b);
    secret_forget_all();
}

Test(secret, scrubbing_nothing_is_fine) {
    struct buffer b = BUFFER_INIT(64);
    secret_add("hunter22");
    secret_scrub(&b);
    cr_assert_null(b.data);
    cr_assert(!secret_inside("", 0));
    secret_forget_all();
    cr_assert(!secret_inside("hunter22", 8), "forgotten");
}
