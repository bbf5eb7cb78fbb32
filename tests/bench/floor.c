// floor: the least a client can do for Delve hits, the figure pickglass is compared with.
// Blocking socket, ready-made requests, and of each reply only its end (the newline) is looked for.
#include <jansson.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REPLY_MAX = 64 << 20 };

static int fd;
static char *reply;
static size_t reply_len, reply_cap;
static int next_id = 1;

static const char BP_NAME[] = "pgfloor";

static void die(const char *what) {
    fprintf(stderr, "floor: %s\n", what);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void dial(const char *addr) {
    char host[256];
    const char *colon = strrchr(addr, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int one = 1;
    if (!colon || (size_t)(colon - addr) >= sizeof host)
        die("ADDR is HOST:PORT");
    snprintf(host, sizeof host, "%.*s", (int)(colon - addr), addr);
    if (getaddrinfo(host, colon + 1, &hints, &found))
        die("cannot resolve ADDR");
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen))
        die("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    freeaddrinfo(found);
}

static void send_all(const char *p, size_t n) {
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            die("the server went away");
        p += k;
        n -= (size_t)k;
    }
}

// One reply, up to its newline. Replies never overlap: one request is under way at a time.
static void read_reply(void) {
    for (reply_len = 0;;) {
        if (reply_len + 1 >= reply_cap) {
            reply_cap = reply_cap ? reply_cap * 2 : 1 << 16;
            reply = reply_cap > REPLY_MAX ? NULL : realloc(reply, reply_cap);
            if (!reply)
                die("reply too big");
        }
        ssize_t k = recv(fd, reply + reply_len, reply_cap - reply_len - 1, 0);
        if (k <= 0)
            die("the server went away");
        reply_len += (size_t)k;
        if (reply[reply_len - 1] == '\n')
            break;
    }
    reply[reply_len] = 0;
}

static void send_request(const char *method, json_t *params) {
    json_t *r = json_pack("{s:s+,s:[o],s:i}", "method", "RPCServer.", method, "params", params,
                          "id", next_id++);
    char *text = r ? json_dumps(r, JSON_COMPACT) : NULL;
    if (!text)
        die("out of memory");
    send_all(text, strlen(text));
    free(text);
    json_decref(r);
}

static bool call(const char *method, json_t *params) {
    send_request(method, params);
    read_reply();
    return strstr(reply, "\"error\":null") != NULL;
}

static void must_call(const char *method, json_t *params) {
    if (call(method, params))
        return;
    fprintf(stderr, "floor: %s: %s", method, reply);
    exit(1);
}

static void arm(const char *function, char **vars, int nvars) {
    json_t *list = json_array();
    for (int i = 0; i < nvars; i++)
        json_array_append_new(list, json_string(vars[i]));
    must_call("SetApiVersion", json_pack("{s:i}", "APIVersion", 2));
    must_call("State", json_pack("{s:b}", "NonBlocking", 1));
    if (strstr(reply, "\"Running\":true"))
        must_call("Command", json_pack("{s:s}", "name", "halt"));
    must_call("CreateBreakpoint",
              json_pack("{s:{s:s,s:s,s:i,s:o}}", "Breakpoint", "name", BP_NAME, "functionName",
                        function, "line", -1, "variables", list));
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure(long n) {
    static const char request[] =
        "{\"method\":\"RPCServer.Command\",\"params\":[{\"name\":\"continue\"}],\"id\":7}";
    uint64_t *ns = calloc((size_t)n, sizeof *ns);
    if (!ns)
        die("out of memory");
    uint64_t begin = now_ns(), t = begin;
    for (long i = 0; i < n; i++) {
        send_all(request, sizeof request - 1);
        read_reply();
        uint64_t after = now_ns();
        ns[i] = after - t;
        t = after;
    }
    double seconds = (double)(t - begin) / 1e9;
    // Only the last reply is looked at: once a target has exited, every further reply says so.
    if (!strstr(reply, BP_NAME))
        die("the last continue did not end at the breakpoint");
    qsort(ns, (size_t)n, sizeof *ns, by_size);
    printf("{\"hits\":%ld,\"seconds\":%.6f,\"hits_per_s\":%.1f,\"median_us\":%.1f}\n", n, seconds,
           (double)n / seconds, (double)ns[n / 2] / 1e3);
    free(ns);
}

int main(int argc, char **argv) {
    long n = argc > 4 ? strtol(argv[3], NULL, 10) : 0;
    if (n <= 0) {
        fprintf(stderr, "usage: floor ADDR FUNCTION N VAR...\n");
        return 2;
    }
    dial(argv[1]);
    arm(argv[2], argv + 4, argc - 4);
    measure(n);
    must_call("ClearBreakpoint", json_pack("{s:s}", "Name", BP_NAME));
    send_request("Command", json_pack("{s:s}", "name", "continue"));
    close(fd);
    free(reply);
    return 0;
}
