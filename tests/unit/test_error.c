#include "base/error.h"
#include "unit.h"

Test(error, carries_class_and_message) {
    struct error *error = error_new(ERROR_USAGE, "no such option: %s", "--x");
    cr_assert_eq(error->class, ERROR_USAGE);
    cr_assert_str_eq(error->message, "no such option: --x");
    error_free(error);
}

Test(error, wrap_puts_the_context_in_front) {
    struct error *error = error_new(ERROR_LIMIT, "refused");
    error = error_wrap(error, "connect to %s:%d", "h", 4040);
    error = error_wrap(error, "target %s", "api-1");
    cr_assert_str_eq(error->message, "target api-1: connect to h:4040: refused");
    cr_assert_eq(error->class, ERROR_LIMIT, "a wrap keeps the class");
    error_free(error);
}

Test(error, null_is_fine_everywhere) {
    cr_assert_null(error_wrap(NULL, "context"));
    cr_assert_null(error_copy(NULL));
    error_free(NULL);
}

Test(error, copy_is_independent) {
    struct error *error = error_new(ERROR_RECIPE, "100%% of %s", "%s%n");
    struct error *copy = error_copy(error);
    error_free(error);
    cr_assert_str_eq(copy->message, "100% of %s%n");
    cr_assert_eq(copy->class, ERROR_RECIPE);
    error_free(copy);
}

Test(error, a_reason_stays_with_it) {
    struct error *error = error_because(error_new(ERROR_RUN, "refused"), REASON_NO_PEER);
    error = error_wrap(error, "connecting");
    struct error *copy = error_copy(error);
    cr_assert_eq(error->reason, REASON_NO_PEER);
    cr_assert_eq(copy->reason, REASON_NO_PEER);
    error_free(error);
    error_free(copy);
    cr_assert_null(error_because(NULL, REASON_NO_NAME));
    cr_assert_eq(error_because(error_no_memory(), REASON_NO_NAME)->reason, REASON_OTHER);
}

Test(error, out_of_memory_is_shared_and_survives_being_freed) {
    struct error *error = error_no_memory();
    cr_assert_not_null(error);
    cr_assert_eq(error_wrap(error, "context"), error);
    error_free(error);
    error_free(error);
    cr_assert_str_eq(error_no_memory()->message, "out of memory");
    cr_assert_eq(error_no_memory()->class, ERROR_RUN);
}

Test(error, classes_are_the_exit_codes) {
    cr_assert_eq(ERROR_USAGE, 1);
    cr_assert_eq(ERROR_RECIPE, 2);
    cr_assert_eq(ERROR_RUN, 3);
    cr_assert_eq(ERROR_LIMIT, 5);
    cr_assert_eq(ERROR_NO_HITS, 6);
}
