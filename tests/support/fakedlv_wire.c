// Connections: what is read from them, and what is written to them.
#include "fakedlv.h"
#include <ctype.h>

struct conn *conns;

// ---- writing ----

struct write {
    uv_write_t req;
    char data[];
};

static void on_written(uv_write_t *req, int status) {
    (void)status;
    free(req);
}

static void queue_write(struct conn *c, const char *p, size_t n) {
    struct write *w = must(malloc(sizeof *w + n));
    memcpy(w->data, p, n);
    uv_buf_t b = uv_buf_init(w->data, (unsigned)n);
    if (uv_write(&w->req, (uv_stream_t *)&c->tcp, &b, 1, on_written))
        free(w);
}

void conn_write(struct conn *c, const char *p, size_t n) {
    if (c->closing || c->mute)
        return;
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)p, (unsigned)n);
    int r = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
    size_t done = r > 0 ? (size_t)r : 0;
    if (done < n && (r >= 0 || r == UV_EAGAIN))
        queue_write(c, p + done, n - done);
}

void go_silent(struct conn *c) {
    c->deaf = c->mute = true;
}

static void write_bytewise(struct conn *c, const char *p, size_t n) {
    for (size_t i = 0; i < n && !c->mute && !c->closing; i++)
        queue_write(c, p + i, 1);
}

void write_dap(struct conn *c) {
    static const char body[] =
        "{\"seq\":0,\"type\":\"response\",\"request_seq\":0,\"success\":false,\"command\":\"\","
        "\"message\":\"Internal Error\",\"body\":{\"error\":{\"id\":8888,"
        "\"format\":\"Internal Error: unable to decode a DAP message\"}}}";
    struct buf b = {0};
    putf(&b, "Content-Length: %zu\r\n\r\n%s", sizeof body - 1, body);
    conn_write(c, b.p, b.len);
    free(b.p);
}

static void write_mangled(const struct request *r, struct buf *line) {
    static const char garbage[] = "\x16\x03\x01\x02\0\xff<html>}{][\n";
    struct conn *c = r->c;
    switch (r->rule->action) {
    case ACT_HALF:
        conn_write(c, line->p, line->len / 2);
        go_silent(c);
        return;
    case ACT_GARBAGE: conn_write(c, garbage, sizeof garbage - 1); return;
    case ACT_SPLITBYTES: write_bytewise(c, line->p, line->len); return;
    default: conn_write(c, line->p, line->len);
    }
}

static void put_padding(struct buf *b, size_t want) {
    if (want < b->len + 32)
        return;
    size_t n = want - b->len - 11; // around it: {"Pad":"..."}, as a further member of the reply
    put(b, ",\"Pad\":\"");
    buf_room(b, n);
    memset(b->p + b->len, 'x', n);
    b->len += n;
    b->p[b->len] = 0;
    put(b, "\"");
}

void send_reply(const struct request *r, const char *result, const char *err) {
    const struct rule *rule = r->rule;
    struct buf b = {0};
    if (!r->c || r->c->closing)
        return;
    if (rule && rule->action == ACT_WRONGID)
        put(&b, "{\"id\":999999999");
    else
        putf(&b, "{\"id\":%s", r->id);
    put(&b, ",\"result\":");
    put(&b, err ? "null" : result);
    put(&b, ",\"error\":");
    if (err)
        put_string(&b, err);
    else
        put(&b, "null");
    if (rule && rule->action == ACT_HUGE)
        put_padding(&b, (size_t)rule->number);
    put(&b, "}\n");
    if (rule)
        write_mangled(r, &b);
    else
        conn_write(r->c, b.p, b.len);
    free(b.p);
}

// ---- reading ----

// Length of the first JSON object in p, 0 when it is not whole yet.
static size_t object_length(const char *p, size_t n) {
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        if (in_string && p[i] == '\\')
            i++;
        else if (p[i] == '"')
            in_string = !in_string;
        else if (!in_string && p[i] == '{')
            depth++;
        else if (!in_string && p[i] == '}' && --depth == 0)
            return i + 1;
    }
    return 0;
}

void parse_input(struct conn *c) {
    size_t at = 0;
    while (!c->closing && !c->deaf && !c->delayed) {
        while (at < c->in.len && isspace((unsigned char)c->in.p[at]))
            at++;
        size_t n = at < c->in.len ? object_length(c->in.p + at, c->in.len - at) : 0;
        bool bad = at < c->in.len && c->in.p[at] != '{';
        if (!n && !bad && c->in.len - at < MAX_REQUEST)
            break;
        json_t *root = n && !bad ? json_loadb(c->in.p + at, n, JSON_ALLOW_NUL, NULL) : NULL;
        if (!root) {
            conn_close(c); // as a real server does with what is not JSON
            return;
        }
        dispatch(c, root);
        json_decref(root);
        at += n;
    }
    if (c->deaf)
        at = c->in.len;
    memmove(c->in.p, c->in.p + at, c->in.len - at);
    c->in.len -= at;
}

// ---- connections ----

static void on_conn_closed(uv_handle_t *h) {
    struct conn *c = h->data;
    if (--c->handles)
        return;
    json_decref(c->delayed);
    free(c->in.p);
    free(c->seen);
    free(c);
    stats.open--;
    finish_if_done();
}

void conn_close(struct conn *c) {
    if (c->closing)
        return;
    c->closing = true;
    *c->prev = c->next;
    if (c->next)
        c->next->prev = c->prev;
    forget_conn(c->t, c);
    if (opt.single && !c->t->detached && !c->t->exited)
        stats.killed++; // a launched target dies with the only client
    if (c->t != shared)
        target_release(c->t);
    uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
    uv_close((uv_handle_t *)&c->delay, on_conn_closed);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b) {
    static char chunk[65536];
    (void)h, (void)hint;
    *b = uv_buf_init(chunk, sizeof chunk);
}

// A deaf connection is still drained, to notice its end: a real server would not.
static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b) {
    struct conn *c = s->data;
    if (n < 0) {
        conn_close(c);
    } else if (n > 0 && !c->deaf) {
        buf_add(&c->in, b->base, (size_t)n);
        parse_input(c);
    }
}

void on_connection(uv_stream_t *server, int status) {
    if (status < 0 || (opt.single && stats.connections))
        return; // single client: the next ones are left unanswered
    struct conn *c = must(calloc(1, sizeof *c));
    uv_tcp_init(loop, &c->tcp);
    uv_timer_init(loop, &c->delay);
    c->tcp.data = c->delay.data = c;
    c->handles = 2;
    c->number = (long)++stats.connections;
    c->seen = must(calloc(nrules + 1, sizeof *c->seen));
    c->t = shared ? shared : target_new();
    c->next = conns;
    c->prev = &conns;
    if (conns)
        conns->prev = &c->next;
    conns = c;
    if (++stats.open > stats.peak)
        stats.peak = stats.open;
    if (uv_accept(server, (uv_stream_t *)&c->tcp)) {
        conn_close(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}
