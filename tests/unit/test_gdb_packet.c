#include "gdb/packet.h"
#include "unit.h"

/* The packets of `bytes` in a readable form, fed in pieces of `step`: "+", "-", "$payload",
 * "%payload", each on its own line, with "!" before those that are not intact. */
static char *fed(const char *bytes, size_t n, size_t step) {
    struct packet_reader reader = PACKET_READER_INIT;
    struct buffer out = BUFFER_INIT((size_t)32 << 20);
    struct packet packet;
    for (size_t at = 0; at < n;) {
        size_t piece = step < n - at ? step : n - at, taken = piece + 1;
        bool got = packet_next(&reader, bytes + at, piece, &taken, &packet);
        cr_assert(taken > 0 && taken <= piece && (got || taken == piece), "taken");
        at += taken;
        if (!got)
            continue;
        cr_assert_eq(packet.data[packet.len], '\0', "no NUL behind the payload");
        if (!packet.intact)
            buffer_putc(&out, '!');
        buffer_putc(&out, "+-$%"[packet.kind]);
        for (size_t i = 0; i < packet.len; i++)
            buffer_printf(&out, packet.data[i] >= ' ' && packet.data[i] <= '~' ? "%c" : "\\%02x",
                          (unsigned char)packet.data[i]);
        buffer_putc(&out, '\n');
    }
    packet_reader_free(&reader);
    return buffer_take(&out);
}

static void expect_fed(const char *bytes, size_t n, const char *want) {
    for (size_t step = 1; step <= n + 1; step += step < 9 ? 1 : n / 7 + 1) {
        char *got = fed(bytes, n, step);
        SHOULD_BE(got, want, bytes);
        free(got);
    }
}

static void expect_text(const char *text, const char *want) {
    expect_fed(text, strlen(text), want);
}

/* Puts a frame around what stands on the wire. */
static void frame(struct buffer *out, char begin, const char *body, size_t n) {
    unsigned sum = 0;
    buffer_putc(out, begin);
    for (size_t i = 0; i < n; i++)
        sum += (unsigned char)body[i];
    buffer_add(out, body, n);
    buffer_printf(out, "#%02x", sum & 0xff);
}

static void expect_body(const char *body, size_t n, const char *want) {
    struct buffer wire = BUFFER_INIT(4096);
    char line[1024];
    frame(&wire, '$', body, n);
    snprintf(line, sizeof line, "%s\n", want);
    expect_fed(wire.data, wire.len, line);
    buffer_free(&wire);
}

#define BODY(text, want) expect_body(text, sizeof(text) - 1, want)

Test(gdb_packet, frames) {
    expect_text("$OK#9a", "$OK\n");
    expect_text("$#00", "$\n");
    expect_text("+$OK#9a+-$E01#a6", "+\n$OK\n+\n-\n$E01\n");
    expect_text("$T05thread:01;#07%Stop:T05thread:02;#e8", "$T05thread:01;\n%Stop:T05thread:02;\n");
    expect_text("$m+-%#6c", "!$m+-%\n");
    expect_text("$m+-%#EA$m+-%#ea", "$m+-%\n$m+-%\n");
    expect_text("", "");
}

Test(gdb_packet, noise_between_packets_is_skipped) {
    expect_text("abc#12\r\n\x03$OK#9a#9a$OK#9a..", "$OK\n$OK\n");
    expect_fed("\0\0$OK#9a\0\xff+", 11, "$OK\n+\n");
}

Test(gdb_packet, bad_checksums) {
    expect_text("$OK#9b$OK#8a$OK#9a", "!$OK\n!$OK\n$OK\n");
    expect_text("%OK#00", "!%OK\n");
    expect_text("$OK#9z+", "!$OK\n+\n");
}

/* Disabled: take() shifts digit(c), which is -1 here, to the left: undefined, and told by
 * -fsanitize=undefined. */
Test(gdb_packet, a_checksum_that_is_no_digits) {
    expect_text("$OK#z9$OK#zz$OK#9a", "!$OK\n!$OK\n$OK\n");
    expect_text("$OK#\xff\xff+", "!$OK\n+\n");
    expect_text("$OK#$1$OK#9a", "!$OK\n$OK\n");
}

Test(gdb_packet, a_packet_that_was_cut_off_gives_way) {
    expect_text("$T05thr$OK#9a", "$OK\n");
    expect_text("$$$$OK#9a", "$OK\n");
    expect_text("%Stop:$OK#9a", "$OK\n");
    expect_text("$OK#9", "");
    expect_text("$OK#", "");
    expect_text("$OK", "");
    expect_text("$T05%OK#9a", "!$T05%OK\n");
}

/* Disabled: take() lets '$' begin a packet in BODY alone. '}' is never followed by '$' (what it
 * would stand for needs no escape), so here too the packet before was cut off; gdb and this reader
 * take it for a run's count alone. */
Test(gdb_packet, a_packet_that_was_cut_off_in_an_escape_gives_way) {
    expect_text("$T05}$OK#9a", "$OK\n");
}

Test(gdb_packet, escapes) {
    BODY("}\x03", "$#");
    BODY("}\x04", "$$");
    BODY("}]", "$}");
    BODY("}\n", "$*");
    BODY("a}Ab", "$aab");
    BODY("} ", "$\\00");
    BODY("}\x03}\x04}]}\n", "$#$}*");
    BODY("F2;}]\x03", "$F2;}\\03");
    BODY("\x01\x7f\x80\xff", "$\\01\\7f\\80\\ff");
}

Test(gdb_packet, an_escape_at_the_end_is_broken) {
    BODY("ab}", "!$ab");
    BODY("}", "!$");
}

Test(gdb_packet, runs) {
    BODY("0* ", "$0000");
    BODY("0*!", "$00000");
    BODY("0*\"", "$000000");
    BODY("06:010**;", "$06:0100000000000000;"); /* '*' as a count */
    BODY("a*+b*-", "$aaaaaaaaaaaaaaabbbbbbbbbbbbbbbbb");
    BODY("0* 1* ", "$00001111");
    BODY("0* * ", "$0000000"); /* a run of what a run made */
    BODY("x* x", "$xxxxx");
}

Test(gdb_packet, every_count) {
    for (int count = 0; count < 256; count++) {
        if (count == '#' || count == '$')
            continue; /* these end or begin a packet: no stub writes them */
        char body[] = {'T', '0', '*', (char)count, ';'}, want[160] = "$T";
        bool good = count >= 29 && count <= 126;
        int zeros = good ? 1 + count - 29 : 1;
        memset(want + 2, '0', (size_t)zeros);
        strcpy(want + 2 + zeros, ";");
        if (!good) {
            memmove(want + 1, want, strlen(want) + 1);
            *want = '!';
        }
        expect_body(body, sizeof body, want);
    }
}

Test(gdb_packet, runs_with_nothing_to_repeat_are_broken) {
    BODY("* ", "!$");
    BODY("* abc", "!$abc");
    BODY("*~", "!$");
    expect_text("$0*#5a$OK#9a", "$OK\n"); /* '#' is the count, and the packet has no end */
}

/* Disabled: repeat() repeats the byte that an escape stood for. Runs are of what is on the wire
 * (the manual: 'the character' before the '*'), and escapes are undone after them: gdb reads it so,
 * and gdbserver writes it so. This is its reply to vFile:pread of a file with "*" and eight
 * newlines, "}" and eight "]", "#" and six bytes of 3. */
Test(gdb_packet, a_run_behind_an_escape_repeats_what_is_on_the_wire) {
    expect_text("$F1c;}\n*%}]*%}\x03*\"\x03"
                "end#1a",
                "$F1c;*\\0a\\0a\\0a\\0a\\0a\\0a\\0a\\0a}]]]]]]]]#\\03\\03\\03\\03\\03\\03end\n");
    BODY("}]* ", "$}]]]");
    BODY("}\n* ", "$*\\0a\\0a\\0a");
    BODY("}\x03* ", "$#\\03\\03\\03");
    BODY("}\x04* ", "$$\\04\\04\\04");
}

/* From gdbserver 13.1, vgdb 3.19, qemu-aarch64 7.2 and lldb-server 14. */
Test(gdb_packet, real_replies) {
    expect_text("$T0506:0*,;07:30e6f*\"7f0* ;10:704bfef7ff7f0* ;thread:p24dd.24dd;core:1;#11",
                "$T0506:0000000000000000;07:30e6ffffff7f0000;10:704bfef7ff7f0000;thread:p24dd.24dd;"
                "core:1;\n");
    expect_text("$T0506:500400ff1f0*\";07:280400ff1f0*\";10:b11140*';thread:2613;#be",
                "$T0506:500400ff1f000000;07:280400ff1f000000;10:b111400000000000;thread:2613;\n");
    expect_text("$T05thread:p01.25a2;#9f$W07#be", "$T05thread:p01.25a2;\n$W07\n");
    expect_text("$W0;process:255c#fa", "$W0;process:255c\n");
    expect_text("$m25ae#9a", "$m25ae\n");
    expect_text("$vCont;c;C;t;s;S;r#be", "$vCont;c;C;t;s;S;r\n");
    expect_text("$l<threads>\n<thread id=\"p24dd.24dd\" core=\"1\" name=\"t\"/>\n</threads>\n#3d",
                "$l<threads>\\0a<thread id=\"p24dd.24dd\" core=\"1\" name=\"t\"/>\\0a</threads>"
                "\\0a\n");
}

/* The bytes of `g`, as the stubs sent them: nearly all of it is runs. */
Test(gdb_packet, real_registers) {
    static const struct {
        const char *wire;
        size_t bytes;
        uint64_t rip;
    } cases[] = {
        {"$0*}0*+30e6f*\"7f0*}0*?704bfef7ff7f0*!2020* 330*\"2b0*}0*}0* 7f030*(f* 0*}0*}0*}0*}0*"
         "}0*c801f0* 3b0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}"
         "0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*}0*d#e6",
         2416, 0x7ffff7fe4b70},
        {"$0*}0*+600500ff1f0*}0*A70ab01040*}0*}0*:7f030*(f* "
         "0*}0*}0*}0*}0*}0*c801f0*}0*}0*}0*}0*}0*K#86",
         800, 0x401ab70},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct packet_reader reader = PACKET_READER_INIT;
        struct packet packet;
        uint8_t bytes[4096];
        uint64_t rip;
        size_t taken;
        cr_assert(packet_next(&reader, cases[i].wire, strlen(cases[i].wire), &taken, &packet));
        cr_expect(packet.intact && taken == strlen(cases[i].wire));
        cr_expect_eq(hex_bytes(packet.data, packet.len, bytes, sizeof bytes), cases[i].bytes,
                     "%zu digits", packet.len);
        memcpy(&rip, bytes + 128, sizeof rip);
        cr_expect_eq(rip, cases[i].rip, "%llx", (unsigned long long)rip);
        packet_reader_free(&reader);
    }
}

/* ---- the largest payload ---- */

/* '0' and runs of it, `total` bytes in all. */
static void long_run(struct buffer *body, size_t total) {
    buffer_putc(body, '0');
    for (size_t left = total - 1; left;) {
        size_t n = left < 97 ? left : 97;
        if (n + 29 == '#' || n + 29 == '$')
            n = 3;
        buffer_putc(body, '*');
        buffer_putc(body, (char)(n + 29));
        left -= n;
    }
}

Test(gdb_packet, the_largest_payload) {
    struct buffer body = BUFFER_INIT(1 << 20), wire = BUFFER_INIT(1 << 20);
    struct packet_reader reader = PACKET_READER_INIT;
    struct packet packet;
    size_t taken;
    long_run(&body, PACKET_MAX);
    frame(&wire, '$', body.data, body.len);
    cr_assert(packet_next(&reader, wire.data, wire.len, &taken, &packet));
    cr_expect(packet.intact && taken == wire.len);
    cr_expect_eq(packet.len, PACKET_MAX);
    buffer_clear(&body);
    buffer_clear(&wire);
    long_run(&body, PACKET_MAX + 1);
    frame(&wire, '$', body.data, body.len);
    buffer_puts(&wire, "$OK#9a");
    cr_expect(!packet_next(&reader, wire.data, wire.len, &taken, &packet));
    cr_expect(reader.payload.failed);
    cr_expect_eq(taken, wire.len);
    cr_expect(reader.payload.len <= PACKET_MAX);
    cr_expect(!packet_next(&reader, "$OK#9a", 6, &taken, &packet), "it stays failed");
    cr_expect_eq(taken, 6);
    packet_reader_free(&reader);
    buffer_free(&body);
    buffer_free(&wire);
}

Test(gdb_packet, a_payload_without_end) {
    struct packet_reader reader = PACKET_READER_INIT;
    struct packet packet;
    char bytes[4096];
    size_t taken, n = 0;
    memset(bytes, 'x', sizeof bytes);
    *bytes = '$';
    cr_assert(!packet_next(&reader, bytes, sizeof bytes, &taken, &packet));
    *bytes = 'x';
    for (; !reader.payload.failed && n < 2 * PACKET_MAX; n += sizeof bytes)
        cr_assert(!packet_next(&reader, bytes, sizeof bytes, &taken, &packet));
    cr_expect(reader.payload.failed && n <= PACKET_MAX);
    packet_reader_free(&reader);
}

/* ---- there and back ---- */

static uint64_t seed = 1;

static unsigned next_random(unsigned below) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % below;
}

/* Bytes of which many are special, and many are alike. */
static size_t random_bytes(char *out, size_t max) {
    static const char special[] = "$#}*]+-%\n\3\4 ~";
    size_t n = next_random((unsigned)max + 1), at = 0;
    while (at < n) {
        char c =
            (char)(next_random(2) ? special[next_random(sizeof special)] : (char)next_random(256));
        for (unsigned times = next_random(3) ? 1 : next_random(130); times && at < n; times--)
            out[at++] = c;
    }
    return n;
}

static void expect_back(const struct buffer *wire, const char *payload, size_t n) {
    struct packet_reader reader = PACKET_READER_INIT;
    struct packet packet = {0};
    bool got = false;
    for (size_t at = 0; at < wire->len && !got;) {
        size_t piece = 1 + next_random(64), taken;
        piece = piece < wire->len - at ? piece : wire->len - at;
        got = packet_next(&reader, wire->data + at, piece, &taken, &packet);
        at += taken;
        cr_assert(!got || at == wire->len, "it ends too early");
    }
    cr_assert(got && packet.intact && packet.kind == PACKET_REPLY);
    cr_assert(packet.len == n && !memcmp(packet.data, payload, n), "%zu bytes of %zu", packet.len,
              n);
    packet_reader_free(&reader);
}

Test(gdb_packet, what_is_written_reads_back) {
    char bytes[600];
    for (int i = 0; i < 3000; i++) {
        struct buffer wire = BUFFER_INIT(4096);
        size_t n = random_bytes(bytes, sizeof bytes);
        packet_write(&wire, bytes, n);
        expect_back(&wire, bytes, n);
        buffer_free(&wire);
    }
}

Test(gdb_packet, written) {
    struct buffer wire = BUFFER_INIT(4096);
    packet_write(&wire, "", 0);
    packet_write(&wire, "vCont?", 6);
    packet_write(&wire, "$#}*", 4);
    SHOULD_BE(wire.data, "$#00$vCont?#49$}\x04}\x03}]}\n#62", "written");
    buffer_free(&wire);
}

/* Runs of what is on the wire, as gdbserver writes them. */
static void shortened(struct buffer *out, const char *wire, size_t n) {
    for (size_t at = 0; at < n;) {
        size_t same = 1;
        while (at + same < n && same < 98 && wire[at + same] == wire[at])
            same++;
        size_t more = same - 1;
        while (more + 29 == '#' || more + 29 == '$')
            more--;
        buffer_putc(out, wire[at]);
        if (more >= 3) {
            buffer_putc(out, '*');
            buffer_putc(out, (char)(more + 29));
        } else {
            more = 0;
        }
        at += 1 + more;
    }
}

static void expect_shortened_back(const char *payload, size_t n) {
    struct buffer wire = BUFFER_INIT(4096), body = BUFFER_INIT(4096), out = BUFFER_INIT(4096);
    packet_write(&wire, payload, n);
    shortened(&body, wire.data + 1, wire.len - 4);
    frame(&out, '$', body.data ? body.data : "", body.len);
    expect_back(&out, payload, n);
    buffer_free(&wire);
    buffer_free(&body);
    buffer_free(&out);
}

Test(gdb_packet, runs_of_hexadecimal_digits_read_back) {
    char text[600];
    for (int i = 0; i < 3000; i++) {
        size_t n = random_bytes(text, sizeof text);
        for (size_t k = 0; k < n; k++)
            text[k] = "0123456789abcdef"[text[k] & 15];
        expect_shortened_back(text, n);
    }
}

/* Disabled: see a_run_behind_an_escape_repeats_what_is_on_the_wire. */
Test(gdb_packet, runs_of_any_bytes_read_back) {
    char bytes[600];
    for (int i = 0; i < 3000; i++)
        expect_shortened_back(bytes, random_bytes(bytes, sizeof bytes));
}

/* ---- hexadecimal ---- */

Test(gdb_packet, numbers) {
    static const struct {
        const char *text;
        bool good;
        uint64_t value;
        size_t taken;
    } cases[] = {
        {"0", true, 0, 1},
        {"1a2B;x", true, 0x1a2b, 4},
        {"ffffffffffffffff", true, UINT64_MAX, 16},
        {"0000000000000001.", true, 1, 16},
        {"10000000000000000", false, UINT64_C(1) << 60, 16},
        {"00000000000000001", false, 0, 16},
        {"", false, 0, 0},
        {"g", false, 0, 0},
        {"-1", false, 0, 0},
        {" 1", false, 0, 0},
        {"0x10", true, 0, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *at = cases[i].text;
        uint64_t value = 7;
        cr_expect_eq(hex_number(&at, at + strlen(at), &value), cases[i].good, "%s", cases[i].text);
        cr_expect_eq((size_t)(at - cases[i].text), cases[i].taken, "%s", cases[i].text);
        cr_expect_eq(value, cases[i].value, "%s", cases[i].text);
    }
    const char *cut = "12345", *at = cut;
    uint64_t value;
    cr_expect(hex_number(&at, cut + 2, &value) && value == 0x12 && at == cut + 2);
}

Test(gdb_packet, bytes) {
    static const struct {
        const char *text;
        size_t max, want;
    } cases[] = {{"00ff7F", 8, 3}, {"00ff7F", 2, 2}, {"00ff7", 8, 2}, {"xxxx", 8, 0},
                 {"00xx11", 8, 1}, {"0x", 8, 0},     {"", 8, 0},      {"00", 0, 0}};
    static const uint8_t want[] = {0, 0xff, 0x7f};
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t out[8] = {9, 9, 9, 9, 9, 9, 9, 9};
        size_t n = hex_bytes(cases[i].text, strlen(cases[i].text), out, cases[i].max);
        cr_expect_eq(n, cases[i].want, "%s: %zu", cases[i].text, n);
        cr_expect(!memcmp(out, want, n) && out[n] == 9, "%s", cases[i].text);
    }
}

Test(gdb_packet, bytes_there_and_back) {
    struct buffer out = BUFFER_INIT(1024);
    uint8_t bytes[256], back[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)(255 - i);
    hex_write(&out, bytes, 0);
    cr_expect_eq(out.len, 0);
    buffer_puts(&out, "G");
    hex_write(&out, bytes, sizeof bytes);
    cr_assert_eq(out.len, 513);
    cr_expect_eq(out.data[513], '\0');
    cr_expect_eq(hex_bytes(out.data + 1, 512, back, sizeof back), 256);
    cr_expect(!memcmp(bytes, back, sizeof back));
    hex_write(&out, bytes, 256);
    cr_expect(out.failed, "beyond the maximum");
    cr_expect_eq(out.len, 513);
    buffer_free(&out);
}
