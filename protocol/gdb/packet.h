/* Packets of the GDB remote serial protocol: "$payload#xx", acknowledgements, notifications
 * (manual, appendix E.1 and E.2). Bytes in, packets out; nothing here waits. */
#pragma once

#include "base/buffer.h"
#include <stdint.h>

#define PACKET_MAX ((size_t)8 << 20) /* bytes of one payload, decoded */

enum packet_kind {
    PACKET_ACK,    /* + */
    PACKET_NAK,    /* -: send it again */
    PACKET_REPLY,  /* $ */
    PACKET_NOTICE, /* %: a notification */
};

struct packet {
    enum packet_kind kind;
    const char
        *data; /* escapes and run lengths are undone; NUL behind it; good until the next call */
    size_t len;
    bool intact; /* the checksum fits, and the run lengths have something to repeat */
};

struct packet_reader {
    struct buffer payload;
    int state;
    char begin, last; /* last: what a run repeats, as it stood on the wire */
    uint8_t sum, wanted;
    bool broken;
};

#define PACKET_READER_INIT ((struct packet_reader){.payload = BUFFER_INIT(PACKET_MAX)})

/* Takes bytes up to the end of the next packet; how many that were goes to *taken. True: *out is a
 * packet. False: all were taken and it is not complete; or a payload is larger than PACKET_MAX, and
 * `reader->payload.failed` says so. Noise between packets is skipped. */
bool packet_next(struct packet_reader *reader, const char *bytes, size_t n, size_t *taken,
                 struct packet *out);
void packet_reader_free(struct packet_reader *reader);

/* Appends a packet with this payload. */
void packet_write(struct buffer *out, const char *payload, size_t n);

/* Reads hexadecimal digits and moves *at behind them; false where there are none, or too many. */
bool hex_number(const char **at, const char *end, uint64_t *out);

/* Two digits a byte. How many bytes there were: up to `max`, or to the first that are no digits. */
size_t hex_bytes(const char *text, size_t len, uint8_t *out, size_t max);
void hex_write(struct buffer *out, const void *bytes, size_t n);
