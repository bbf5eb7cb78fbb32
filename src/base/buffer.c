#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buffer_free(struct buffer *buffer) {
    free(buffer->data);
    *buffer = BUFFER_INIT(buffer->max);
}

void buffer_clear(struct buffer *buffer) {
    buffer->len = 0;
    buffer->failed = false;
    if (buffer->data)
        buffer->data[0] = '\0';
}

char *buffer_reserve(struct buffer *buffer, size_t n) {
    if (buffer->failed || n > buffer->max - buffer->len) {
        buffer->failed = true;
        return NULL;
    }
    size_t need = buffer->len + n + 1;
    if (need > buffer->cap) {
        size_t cap = buffer->cap ? buffer->cap * 2 : 256;
        if (cap < need)
            cap = need;
        char *data = realloc(buffer->data, cap);
        if (!data) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->cap = cap;
    }
    return buffer->data + buffer->len;
}

void buffer_add(struct buffer *buffer, const void *bytes, size_t n) {
    bool fits = buffer->cap && n < buffer->cap - buffer->len && !buffer->failed &&
                n <= buffer->max - buffer->len;
    char *room = fits ? buffer->data + buffer->len : buffer_reserve(buffer, n);
    if (!room)
        return;
    if (n)
        memcpy(room, bytes, n);
    buffer->len += n;
    buffer->data[buffer->len] = '\0';
}

void buffer_puts(struct buffer *buffer, const char *text) {
    buffer_add(buffer, text, strlen(text));
}

void buffer_putc(struct buffer *buffer, char c) {
    buffer_add(buffer, &c, 1);
}

void buffer_put_uint(struct buffer *buffer, uint64_t n) {
    char digits[20], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + n % 10);
    while (n /= 10);
    buffer_add(buffer, at, (size_t)(digits + sizeof digits - at));
}

void buffer_printf(struct buffer *buffer, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t left = buffer->failed || !buffer->data ? 0 : buffer->cap - buffer->len;
    int n = vsnprintf(left ? buffer->data + buffer->len : NULL, left, format, args);
    va_end(args);
    char *room = n < 0 ? NULL : buffer_reserve(buffer, (size_t)n);
    if (room && (size_t)n >= left) /* it did not fit at once */
        vsnprintf(room, (size_t)n + 1, format, again);
    if (room)
        buffer->len += (size_t)n;
    else if (left)
        buffer->data[buffer->len] = '\0'; /* nothing of it stays */
    va_end(again);
}

void buffer_consume(struct buffer *buffer, size_t n) {
    buffer->len -= n;
    memmove(buffer->data, buffer->data + n, buffer->len);
    buffer->data[buffer->len] = '\0';
}

char *buffer_take(struct buffer *buffer) {
    char *data = buffer->failed ? NULL : buffer->data ? buffer->data : strdup("");
    if (data == buffer->data)
        buffer->data = NULL;
    buffer_free(buffer);
    return data;
}
