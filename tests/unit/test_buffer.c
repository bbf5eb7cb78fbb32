#include "base/buffer.h"
#include "unit.h"

Test(buffer, takes_exactly_its_maximum) {
    struct buffer b = BUFFER_INIT(8);
    buffer_add(&b, "12345678", 8);
    cr_assert(!b.failed);
    cr_assert_eq(b.len, 8);
    cr_assert_str_eq(b.data, "12345678");
    buffer_add(&b, "", 0);
    cr_assert(!b.failed, "nothing more still fits");
    buffer_free(&b);
}

Test(buffer, past_the_maximum_changes_nothing_but_failed) {
    struct buffer b = BUFFER_INIT(8);
    buffer_puts(&b, "12345");
    buffer_puts(&b, "6789");
    cr_assert(b.failed);
    cr_assert_eq(b.len, 5);
    cr_assert_str_eq(b.data, "12345");
    buffer_putc(&b, '6');
    cr_assert_eq(b.len, 5, "what failed stays as it was, even where one byte would fit");
    buffer_printf(&b, "%d", 6);
    cr_assert_str_eq(b.data, "12345");
    cr_assert_null(buffer_take(&b), "a failed buffer has no content to take");
    cr_assert_eq(b.len, 0);
    cr_assert_null(b.data);
    buffer_free(&b);
}

Test(buffer, refuses_sizes_that_would_wrap) {
    struct buffer b = BUFFER_INIT(16);
    buffer_puts(&b, "abc");
    cr_assert_null(buffer_reserve(&b, SIZE_MAX));
    cr_assert(b.failed);
    cr_assert_str_eq(b.data, "abc");
    buffer_free(&b);
}

Test(buffer, clear_forgets_content_and_failure) {
    struct buffer b = BUFFER_INIT(4);
    buffer_puts(&b, "12345");
    cr_assert(b.failed);
    buffer_clear(&b);
    cr_assert(!b.failed);
    buffer_puts(&b, "1234");
    cr_assert_str_eq(b.data, "1234");
    buffer_clear(&b);
    cr_assert_str_eq(b.data, "");
    buffer_free(&b);
}

Test(buffer, take_of_an_empty_one_is_an_empty_string) {
    struct buffer b = BUFFER_INIT(4);
    char *text = buffer_take(&b);
    cr_assert_str_eq(text, "");
    free(text);
    buffer_puts(&b, "1234");
    text = buffer_take(&b);
    cr_assert_str_eq(text, "1234");
    cr_assert_eq(b.len, 0);
    cr_assert_eq(b.max, 4, "it can be used again");
    free(text);
    buffer_puts(&b, "12345");
    cr_assert(b.failed);
    buffer_free(&b);
}

Test(buffer, take_after_failing_before_anything_was_added) {
    struct buffer b = BUFFER_INIT(2);
    buffer_puts(&b, "123");
    cr_assert_null(buffer_take(&b));
}

Test(buffer, reserve_counts_only_when_len_is_moved) {
    struct buffer b = BUFFER_INIT(1000);
    char *room = buffer_reserve(&b, 600);
    cr_assert_not_null(room);
    cr_assert_eq(b.len, 0);
    memset(room, 'x', 600);
    b.len += 600;
    b.data[b.len] = '\0';
    buffer_puts(&b, "y");
    cr_assert_eq(b.len, 601);
    cr_assert_eq(b.data[600], 'y');
    buffer_free(&b);
}

Test(buffer, consume_drops_from_the_front) {
    struct buffer b = BUFFER_INIT(64);
    buffer_puts(&b, "hello world");
    buffer_consume(&b, 6);
    cr_assert_str_eq(b.data, "world");
    buffer_consume(&b, 5);
    cr_assert_str_eq(b.data, "");
    cr_assert_eq(b.len, 0);
    buffer_free(&b);
}

Test(buffer, keeps_bytes_that_are_no_text) {
    struct buffer b = BUFFER_INIT(64);
    buffer_add(&b, "a\0b", 3);
    buffer_printf(&b, "%s-%03d", "x", 7);
    cr_assert_eq(b.len, 8);
    cr_assert_arr_eq(b.data, "a\0bx-007", 9);
    buffer_free(&b);
}
