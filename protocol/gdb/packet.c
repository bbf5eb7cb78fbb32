#include "gdb/packet.h"

#include <string.h>

enum { IDLE, BODY, ESCAPED, RUN, SUM_HIGH, SUM_LOW };

static int digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static void begin(struct packet_reader *r, char c) {
    buffer_clear(&r->payload);
    r->begin = c;
    r->sum = 0;
    r->broken = false;
    r->state = BODY;
}

/* "0*~": the byte before, as often as '~' - 29 says. */
static void repeat(struct packet_reader *r, char count) {
    int n = (unsigned char)count - 29;
    r->broken |= !r->payload.len || n < 0 || n > 97;
    for (int i = 0; i < n && !r->broken; i++)
        buffer_putc(&r->payload, r->last);
}

static void body(struct packet_reader *r, char c) {
    r->sum = (uint8_t)(r->sum + (uint8_t)c);
    if (r->state == ESCAPED || (r->state == BODY && c != '}' && c != '*'))
        r->last = c;
    if (r->state == ESCAPED) {
        buffer_putc(&r->payload, (char)(c ^ 0x20));
        r->state = BODY;
    } else if (r->state == RUN) {
        repeat(r, c);
        r->state = BODY;
    } else if (c == '}') {
        r->state = ESCAPED;
    } else if (c == '*') {
        r->state = RUN;
    } else {
        buffer_putc(&r->payload, c);
    }
}

static bool finish(struct packet_reader *r, char c, struct packet *out) {
    int low = digit(c);
    r->state = IDLE;
    r->broken |= low < 0 || (uint8_t)(r->wanted | low) != r->sum;
    *out = (struct packet){.kind = r->begin == '%' ? PACKET_NOTICE : PACKET_REPLY,
                           .data = r->payload.data ? r->payload.data : "",
                           .len = r->payload.len,
                           .intact = !r->broken};
    return !r->payload.failed;
}

/* True: a packet is complete. */
static bool take(struct packet_reader *r, char c, struct packet *out) {
    if (r->state == SUM_HIGH) {
        r->broken |= digit(c) < 0;
        r->wanted = (uint8_t)((unsigned)digit(c) << 4);
        r->state = SUM_LOW;
    } else if (r->state == SUM_LOW) {
        return finish(r, c, out);
    } else if (r->state != IDLE && c == '#' && r->state != RUN) { /* '#' may be a run's count */
        r->broken |= r->state == ESCAPED;
        r->state = SUM_HIGH;
    } else if ((r->state == BODY || r->state == ESCAPED) && c == '$') {
        begin(r, c); /* the one before was cut off */
    } else if (r->state != IDLE) {
        body(r, c);
    } else if (c == '$' || c == '%') {
        begin(r, c);
    } else if (c == '+' || c == '-') {
        *out =
            (struct packet){.kind = c == '+' ? PACKET_ACK : PACKET_NAK, .data = "", .intact = true};
        return true;
    }
    return false;
}

bool packet_next(struct packet_reader *reader, const char *bytes, size_t n, size_t *taken,
                 struct packet *out) {
    for (size_t i = 0; i < n && !reader->payload.failed; i++) {
        if (!take(reader, bytes[i], out))
            continue;
        *taken = i + 1;
        return true;
    }
    *taken = n;
    return false;
}

void packet_reader_free(struct packet_reader *reader) {
    buffer_free(&reader->payload);
}

void packet_write(struct buffer *out, const char *payload, size_t n) {
    uint8_t sum = 0;
    buffer_putc(out, '$');
    for (size_t i = 0; i < n; i++) {
        char c = payload[i];
        if (c == '$' || c == '#' || c == '}' || c == '*') {
            buffer_putc(out, '}');
            sum = (uint8_t)(sum + '}');
            c ^= 0x20;
        }
        buffer_putc(out, c);
        sum = (uint8_t)(sum + (uint8_t)c);
    }
    buffer_printf(out, "#%02x", sum);
}

bool hex_number(const char **at, const char *end, uint64_t *out) {
    const char *from = *at;
    uint64_t value = 0;
    while (*at < end && digit(**at) >= 0 && *at - from < 16)
        value = value << 4 | (uint64_t)digit(*(*at)++);
    *out = value;
    return *at > from && (*at == end || digit(**at) < 0);
}

size_t hex_bytes(const char *text, size_t len, uint8_t *out, size_t max) {
    size_t n = 0;
    while (n < max && 2 * n + 1 < len && digit(text[2 * n]) >= 0 && digit(text[2 * n + 1]) >= 0) {
        out[n] = (uint8_t)(digit(text[2 * n]) << 4 | digit(text[2 * n + 1]));
        n++;
    }
    return n;
}

void hex_write(struct buffer *out, const void *bytes, size_t n) {
    static const char digits[] = "0123456789abcdef";
    char *at = buffer_reserve(out, 2 * n);
    for (size_t i = 0; at && i < n; i++) {
        uint8_t byte = ((const uint8_t *)bytes)[i];
        at[2 * i] = digits[byte >> 4];
        at[2 * i + 1] = digits[byte & 15];
    }
    out->len += at ? 2 * n : 0;
    if (at)
        out->data[out->len] = '\0';
}
