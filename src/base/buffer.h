/* A byte buffer that grows up to a hard maximum. Appending past the maximum, or without memory,
 * sets `failed` and changes nothing: writers append freely and look at `failed` once, at the end.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data; /* NUL-terminated whenever it is not NULL */
    size_t len, cap;
    size_t max; /* bytes; the hard maximum of len */
    bool failed;
};

#define BUFFER_INIT(maximum) ((struct buffer){.max = (maximum)})

void buffer_free(struct buffer *buffer);

/* Forgets the content and `failed`, keeps the memory. */
void buffer_clear(struct buffer *buffer);

/* Makes room for `n` more bytes; NULL if that is refused. The bytes become part of the buffer only
 * when the caller adds to `len`. */
char *buffer_reserve(struct buffer *buffer, size_t n);

void buffer_add(struct buffer *buffer, const void *bytes, size_t n);
void buffer_puts(struct buffer *buffer, const char *text);
void buffer_putc(struct buffer *buffer, char c);
void buffer_put_uint(struct buffer *buffer, uint64_t n); /* decimal */
void buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drops the first `n` bytes (n <= len). */
void buffer_consume(struct buffer *buffer, size_t n);

/* The content as a C string that the caller owns, "" if nothing was added; NULL if it failed. The
 * buffer is empty afterwards. */
char *buffer_take(struct buffer *buffer);
