// A load generator of HTTP/1.1 for chat completions, JSON and SSE; closed-loop, or open with -q.
//
// One thread, one epoll, loopback only. Each connection sends its next request as soon as the
// last one has been answered. With -q requests are due at a steady rate, whatever becomes of those
// before: each goes out on the first connection that is free. "unsent" is how many found none.
// A JSON answer counts as good with status 200 and a whole body; a stream only with status 200,
// exactly -n content chunks and the end that its format has.
//
//   cc -O2 -o lg lg.c
//   lg -u http://127.0.0.1:PORT/v1/chat/completions -c 64 -t 3
//
//   -u URL   where to send               -c N    connections, at most 10000
//   -t S     seconds to measure          -w S    seconds of warm-up before that
//   -s       ask for streams             -n N    content chunks per stream
//   -d MS    between two chunks          -b N    chunks per upstream write
//   -f MS    to the first byte           -B N    bytes of padding in the prompt
//   -H "K: V" a header, repeatable       -R MS   spread the first requests over this time
//   -m NAME  model                       -r N    stop after this many requests
//   -q N     requests a second       -a      ask in Anthropic's format, not OpenAI's
//
// Prints one line of JSON: counts and rates of the measuring window, percentiles in microseconds
// (-1: nothing was measured), errors by kind and its own CPU seconds. The first bad answer goes to
// standard error.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 16384,        // longest response head that is accepted
    HEADERS_BYTES = 8192,      // room for all -H headers
    READ_BYTES = 262144,       // one recv
    MAX_SAMPLES = 40000000,    // per series; later ones are left out
    MAX_CONNECT_ERRORS = 20000, // then a broken server is no longer asked
    NAP_US = 250               // with -q: between two looks at all connections
};

// What the next byte of a response belongs to.
typedef enum {
    AT_HEAD,
    AT_SIZED_BODY,   // Content-Length
    AT_CHUNK_SIZE,   // Transfer-Encoding: chunked
    AT_CHUNK_DATA,
    AT_CHUNK_END,
    AT_TRAILER,
    AT_BODY_TO_CLOSE // neither: the body ends with the connection
} position;

typedef struct {
    int fd; // -1: closed
    position at;
    char head[HEAD_BYTES];
    int head_len;
    long remaining; // bytes of this chunk or body still to come
    int status;
    int keep_alive;
    uint64_t started_us;
    int busy;       // a request is in flight
    int free_next;  // with -q: the connection below it on the stack of free ones, or -1
    int connecting; // connect() has not answered yet
    int fresh;      // nothing has been received on this connection
    int sent;       // bytes of the request that have left
    char size_text[20];
    int size_len;
    int trailer_len;
    // Reading a stream. A content chunk carries "@<16 digits>", the time it was written at.
    int digits; // 0: outside a mark; else 1 + digits read
    uint64_t mark_us;
    int content_chunks;
    int has_first;    // the first content chunk has been timed
    int end_matched;  // characters of the end's word seen in a row
    int has_end;
} connection;

typedef struct {
    uint32_t *values;
    size_t count, capacity;
} series;

static struct sockaddr_in server;
static int epoll_fd;
static char *request;
static int request_len;
static int wants_stream;
static int as_anthropic;
static const char *end_word = "[DONE]";
static int chunks_wanted = 100;
static long max_requests = -1;
static uint64_t measure_from_us, measure_to_us;

static double rate_per_s; // 0: closed loop
static connection *all;
static int first_free = -1;
static uint64_t unsent;

static uint64_t ok, err, err_status, err_conn, err_short, refused;
static uint64_t chunks, reads, requests_started;
static series total_us, first_us, transit_us, refused_us;

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void add(series *s, uint64_t value) {
    if (s->count == s->capacity) {
        if (s->capacity >= MAX_SAMPLES)
            return;
        s->capacity = s->capacity ? s->capacity * 2 : 65536;
        s->values = realloc(s->values, s->capacity * sizeof *s->values);
        if (!s->values) {
            fprintf(stderr, "lg: out of memory\n");
            exit(1);
        }
    }
    s->values[s->count++] = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void sort(series *s) {
    if (s->count)
        qsort(s->values, s->count, sizeof *s->values, by_value);
}

// The series must be sorted.
static double percentile(const series *s, double share) {
    if (!s->count)
        return -1;
    return s->values[(size_t)(share * (double)(s->count - 1) + 0.5)];
}

static void watch(connection *c, int operation, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(epoll_fd, operation, c->fd, &e);
}

static void open_connection(connection *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) {
        err++;
        err_conn++;
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (void *)&server, sizeof server) < 0 && errno != EINPROGRESS) {
        close(c->fd);
        c->fd = -1;
        err++;
        err_conn++;
        return;
    }
    c->connecting = 1;
    c->fresh = 1;
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void close_connection(connection *c) {
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
}

static void send_rest(connection *c) {
    while (c->sent < request_len) {
        ssize_t n = send(c->fd, request + c->sent, (size_t)(request_len - c->sent),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            if (errno == EAGAIN)
                watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return; // any other error comes back as a read of 0
        }
        c->sent += (int)n;
    }
}

static void start_request(connection *c) {
    if (max_requests >= 0 && (long)requests_started >= max_requests)
        return;
    requests_started++;
    c->at = AT_HEAD;
    c->head_len = 0;
    c->status = 0;
    c->keep_alive = 1;
    c->sent = 0;
    c->busy = 1;
    c->digits = 0;
    c->content_chunks = 0;
    c->has_first = 0;
    c->end_matched = 0;
    c->has_end = 0;
    c->started_us = now_us();
    if (c->fd < 0)
        open_connection(c);
    else
        send_rest(c);
}

static void count_content_chunk(connection *c, uint64_t now) {
    c->content_chunks++;
    if (now >= measure_from_us && now < measure_to_us) {
        chunks++;
        add(&transit_us, now < c->mark_us ? 0 : now - c->mark_us);
    }
    if (!c->has_first) {
        c->has_first = 1;
        if (c->started_us >= measure_from_us)
            add(&first_us, now - c->started_us);
    }
}

static void look_for_end(connection *c, const char *p, const char *end) {
    for (; p < end; p++) {
        if (*p != end_word[c->end_matched]) {
            c->end_matched = *p == *end_word;
        } else if (!end_word[++c->end_matched]) {
            c->has_end = 1;
            c->end_matched = 0;
        }
    }
}

// Count marks and the end in the payload; any split is allowed, also inside a mark.
static void read_payload(connection *c, const char *p, long len, uint64_t now) {
    const char *end = p + len;
    if (!wants_stream)
        return;
    while (p < end) {
        if (c->digits) {
            while (p < end && *p >= '0' && *p <= '9' && c->digits <= 16) {
                c->mark_us = c->mark_us * 10 + (uint64_t)(*p++ - '0');
                c->digits++;
            }
            if (p < end || c->digits > 16) {
                if (c->digits > 10) // shorter: an "@" of somebody else's
                    count_content_chunk(c, now);
                c->digits = 0;
            }
            continue;
        }
        const char *mark = memchr(p, '@', (size_t)(end - p));
        if (!mark) {
            if (c->content_chunks)
                look_for_end(c, p, end);
            return;
        }
        p = mark + 1;
        c->digits = 1;
        c->mark_us = 0;
    }
}

static void finish_request(connection *c, uint64_t now, int is_whole) {
    c->busy = 0;
    if (now < measure_from_us || now > measure_to_us)
        return;
    if (c->status != 200) {
        err++;
        if (c->status == 503 && is_whole) {
            refused++;
            if (c->started_us >= measure_from_us)
                add(&refused_us, now - c->started_us);
        }
        if (err_status++ == 0) {
            c->head[c->head_len < HEAD_BYTES - 1 ? c->head_len : HEAD_BYTES - 1] = 0;
            fprintf(stderr, "bad status %d: %.600s\n", c->status, c->head);
        }
        return;
    }
    if (!is_whole || (wants_stream && (c->content_chunks != chunks_wanted || !c->has_end))) {
        err++;
        if (err_short++ == 0)
            fprintf(stderr, "short answer: %d of %d chunks, done %d\n", c->content_chunks,
                    wants_stream ? chunks_wanted : 0, c->has_end);
        return;
    }
    ok++;
    if (c->started_us >= measure_from_us)
        add(&total_us, now - c->started_us);
}

// Take in head bytes; returns how many were used, 0 when more are needed, -1 when it is too long.
static int read_head(connection *c, const char *p, long len, uint64_t now) {
    int before = c->head_len;
    int room = HEAD_BYTES - 1 - before;
    int taken = len > room ? room : (int)len;
    memcpy(c->head + before, p, (size_t)taken);
    c->head_len += taken;
    c->head[c->head_len] = 0;
    char *blank = strstr(c->head + (before > 3 ? before - 3 : 0), "\r\n\r\n");
    if (!blank)
        return c->head_len >= HEAD_BYTES - 1 ? -1 : 0;
    int head_len = (int)(blank - c->head) + 4;
    char kept = blank[2];
    blank[2] = 0; // so that the searches below end with the head
    c->status = atoi(c->head + 9);
    c->keep_alive = !strcasestr(c->head, "\r\nconnection: close");
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    if (strcasestr(c->head, "\r\ntransfer-encoding: chunked")) {
        c->at = AT_CHUNK_SIZE;
        c->size_len = 0;
    } else if (length) {
        c->remaining = atol(length + 17);
        c->at = AT_SIZED_BODY;
    } else {
        c->at = AT_BODY_TO_CLOSE;
        c->keep_alive = 0;
    }
    blank[2] = kept;
    if (!wants_stream && c->started_us >= measure_from_us)
        add(&first_us, now - c->started_us);
    return head_len - before;
}

// Take in body bytes up to the end of this chunk or body; returns how many were used.
static long read_body(connection *c, const char *p, long len, uint64_t now) {
    long taken = len < c->remaining ? len : c->remaining;
    read_payload(c, p, taken, now);
    c->remaining -= taken;
    return taken;
}

// Take in received bytes; returns 1 when the answer is whole, 0 when not yet, -1 when it is bad.
static int read_response(connection *c, const char *p, long len, uint64_t now) {
    const char *end = p + len;
    while (p < end || c->at == AT_SIZED_BODY) {
        switch (c->at) {
        case AT_HEAD: {
            int used = read_head(c, p, end - p, now);
            if (used <= 0)
                return used;
            p += used;
            break;
        }
        case AT_SIZED_BODY:
            p += read_body(c, p, end - p, now);
            if (!c->remaining)
                return 1;
            if (p >= end)
                return 0;
            break;
        case AT_CHUNK_SIZE: {
            char ch = *p++;
            if (ch != '\n') {
                if (c->size_len < (int)sizeof c->size_text - 1)
                    c->size_text[c->size_len++] = ch;
                break;
            }
            c->size_text[c->size_len] = 0;
            c->size_len = 0;
            c->remaining = strtol(c->size_text, NULL, 16);
            c->trailer_len = 0;
            c->at = c->remaining ? AT_CHUNK_DATA : AT_TRAILER;
            break;
        }
        case AT_CHUNK_DATA:
            p += read_body(c, p, end - p, now);
            if (!c->remaining)
                c->at = AT_CHUNK_END;
            break;
        case AT_CHUNK_END:
            if (*p++ == '\n')
                c->at = AT_CHUNK_SIZE;
            break;
        case AT_TRAILER: {
            char ch = *p++;
            if (ch == '\n') {
                if (c->trailer_len == 0)
                    return 1;
                c->trailer_len = 0;
            } else if (ch != '\r') {
                c->trailer_len++;
            }
            break;
        }
        case AT_BODY_TO_CLOSE:
            read_payload(c, p, end - p, now);
            return 0;
        }
    }
    return 0;
}

static void start_again(connection *c) {
    if (rate_per_s) {
        c->free_next = first_free;
        first_free = (int)(c - all);
    } else if (err_conn < MAX_CONNECT_ERRORS)
        start_request(c);
}

static void on_connect(connection *c) {
    int problem = 0;
    socklen_t len = sizeof problem;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &problem, &len);
    if (problem) {
        err++;
        err_conn++;
        close_connection(c);
        c->busy = 0;
        start_again(c);
        return;
    }
    c->connecting = 0;
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
    send_rest(c);
}

static void on_close(connection *c, uint64_t now) {
    int was_free = rate_per_s && !c->busy;
    // A server may close an idle connection while our request is on its way: not its fault.
    int was_stale = c->at == AT_HEAD && c->head_len == 0 && !c->fresh;
    close_connection(c);
    if (c->busy && c->at == AT_BODY_TO_CLOSE) {
        finish_request(c, now, 1);
    } else if (c->busy && !was_stale) {
        finish_request(c, now, 0);
        err_conn++;
    }
    if (was_free)
        return; // it is on the stack of free ones
    c->busy = 0;
    start_again(c);
}

static void on_readable(connection *c) {
    static char buffer[READ_BYTES];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    uint64_t now = now_us();
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        on_close(c, now);
        return;
    }
    if (now >= measure_from_us)
        reads++;
    c->fresh = 0;
    int ended = read_response(c, buffer, n, now);
    if (!ended)
        return;
    finish_request(c, now, ended > 0);
    if (!c->keep_alive || ended < 0)
        close_connection(c);
    start_again(c);
}

// Start every request that is due, as long as a connection is free.
static void start_due(uint64_t begun_us, uint64_t now) {
    uint64_t due = (uint64_t)((double)(now - begun_us) * rate_per_s / 1e6);
    while (requests_started < due) {
        if (first_free < 0) {
            unsent = due - requests_started;
            return;
        }
        connection *c = &all[first_free];
        first_free = c->free_next;
        start_request(c);
    }
    unsent = 0;
}

static void on_event(connection *c, uint32_t events) {
    if (c->fd < 0)
        return;
    if (c->connecting) {
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
            on_connect(c);
        return;
    }
    if (events & EPOLLOUT) {
        send_rest(c);
        if (c->sent >= request_len)
            watch(c, EPOLL_CTL_MOD, EPOLLIN);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(c);
}

// The prompt tells the mock how to answer, so that the order survives any gateway.
static void build_request(const char *path, int port, const char *headers, const char *model,
                          int delay_ms, int chunks_per_write, int first_byte_ms, int padding) {
    char *body = malloc((size_t)padding + strlen(model) + 2048);
    const char *system = as_anthropic ? "\"max_tokens\":4096,"
                                        "\"system\":\"You are a helpful assistant.\","
                                        "\"messages\":["
                                      : "\"temperature\":0.7,\"messages\":["
                                        "{\"role\":\"system\","
                                        "\"content\":\"You are a helpful assistant.\"},";
    const char *stream = !wants_stream ? ""
                         : as_anthropic
                             ? "\"stream\":true,"
                             : "\"stream\":true,\"stream_options\":{\"include_usage\":true},";
    int len = sprintf(body,
                      "{\"model\":\"%s\",%s%s"
                      "{\"role\":\"user\",\"content\":\"bench:n=%d,d=%d,b=%d,t=%d; ",
                      model, stream, system, chunks_wanted, delay_ms, chunks_per_write,
                      first_byte_ms);
    for (int i = 0; i < padding; i++)
        body[len++] = i % 7 == 6 ? ' ' : (char)('a' + i % 26);
    len += sprintf(body + len, "\"}]}");
    request = malloc((size_t)len + HEADERS_BYTES + 2048);
    request_len = sprintf(request,
                          "POST %s HTTP/1.1\r\n"
                          "Host: 127.0.0.1:%d\r\n"
                          "Content-Type: application/json\r\n"
                          "%s"
                          "Accept: */*\r\n"
                          "User-Agent: lg/1\r\n"
                          "%s"
                          "Content-Length: %d\r\n\r\n",
                          path, port,
                          strcasestr(headers, "authorization:")
                              ? ""
                              : "Authorization: Bearer sk-bench\r\n",
                          headers, len);
    memcpy(request + request_len, body, (size_t)len);
    request_len += len;
    free(body);
}

static double cpu_s(const struct rusage *from, const struct rusage *to) {
    return (double)(to->ru_utime.tv_sec - from->ru_utime.tv_sec) +
           (double)(to->ru_stime.tv_sec - from->ru_stime.tv_sec) +
           1e-6 * (double)((to->ru_utime.tv_usec - from->ru_utime.tv_usec) +
                           (to->ru_stime.tv_usec - from->ru_stime.tv_usec));
}

static void run(int connections, int ramp_ms, struct rusage *usage_from) {
    struct epoll_event events[512];
    uint64_t begun_us = now_us();
    int started = 0, is_measuring = 0;
    for (;;) {
        uint64_t now = now_us();
        if (now >= measure_to_us)
            return;
        if (!is_measuring && now >= measure_from_us) {
            is_measuring = 1;
            getrusage(RUSAGE_SELF, usage_from);
        }
        int wanted = connections;
        if (ramp_ms)
            wanted = (int)((double)connections * (double)(now - begun_us) / (ramp_ms * 1000.0)) + 1;
        if (wanted > connections)
            wanted = connections;
        if (rate_per_s)
            start_due(begun_us, now);
        while (!rate_per_s && started < wanted)
            start_request(&all[started++]);
        if (max_requests >= 0 && (long)(ok + err) >= max_requests)
            return;
        int timeout_ms = started < connections ? 1 : (int)((measure_to_us - now) / 1000) + 1;
        if (timeout_ms > 50)
            timeout_ms = 50;
        if (rate_per_s) {
            // Asleep in epoll_wait it would be woken by each answer, at the server's expense: on a
            // virtual machine that is more than the answer itself, and no network does it.
            usleep(NAP_US);
            timeout_ms = 0;
        }
        int count = epoll_wait(epoll_fd, events, 512, timeout_ms);
        for (int i = 0; i < count; i++)
            on_event(events[i].data.ptr, events[i].events);
    }
}

static void print_result(int connections, double elapsed_s, double own_cpu_s) {
    sort(&total_us);
    sort(&first_us);
    sort(&transit_us);
    sort(&refused_us);
    printf("{\"conns\":%d,\"elapsed\":%.3f,\"ok\":%" PRIu64 ",\"err\":%" PRIu64
           ",\"err_status\":%" PRIu64 ",\"err_conn\":%" PRIu64 ",\"err_short\":%" PRIu64
           ",\"rps\":%.1f,\"chunks\":%" PRIu64 ",\"cps\":%.1f,\"reads\":%" PRIu64,
           connections, elapsed_s, ok, err, err_status, err_conn, err_short,
           (double)ok / elapsed_s, chunks, (double)chunks / elapsed_s, reads);
    printf(",\"started\":%" PRIu64 ",\"unsent\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"refused50\":%.0f,\"refused99\":%.0f",
           requests_started, unsent, refused, percentile(&refused_us, .5), percentile(&refused_us, .99));
    printf(",\"p50\":%.0f,\"p90\":%.0f,\"p99\":%.0f,\"max\":%.0f,\"ttft50\":%.0f,\"ttft99\":%.0f"
           ",\"chunk50\":%.0f,\"chunk99\":%.0f,\"lg_cpu\":%.3f}\n",
           percentile(&total_us, .5), percentile(&total_us, .9), percentile(&total_us, .99),
           percentile(&total_us, 1), percentile(&first_us, .5), percentile(&first_us, .99), percentile(&transit_us, .5),
           percentile(&transit_us, .99), own_cpu_s);
}

static int fail(const char *message) {
    fprintf(stderr, "lg: %s\n", message);
    return 2;
}

int main(int argc, char **argv) {
    const char *url = "http://127.0.0.1:9000/v1/chat/completions";
    const char *model = "gpt-4o-mini";
    int connections = 1, delay_ms = 0, chunks_per_write = 1, first_byte_ms = 0;
    int padding = 700, ramp_ms = 0;
    double measure_s = 3, warmup_s = 0.5;
    char headers[HEADERS_BYTES] = "";
    size_t headers_len = 0;
    int option;
    while ((option = getopt(argc, argv, "u:c:t:w:san:d:b:f:B:H:R:m:r:q:")) > 0) {
        switch (option) {
        case 'u': url = optarg; break;
        case 'c': connections = atoi(optarg); break;
        case 't': measure_s = atof(optarg); break;
        case 'w': warmup_s = atof(optarg); break;
        case 's': wants_stream = 1; break;
        case 'a': as_anthropic = 1, end_word = "message_stop"; break;
        case 'n': chunks_wanted = atoi(optarg); break;
        case 'd': delay_ms = atoi(optarg); break;
        case 'b': chunks_per_write = atoi(optarg); break;
        case 'f': first_byte_ms = atoi(optarg); break;
        case 'B': padding = atoi(optarg); break;
        case 'R': ramp_ms = atoi(optarg); break;
        case 'm': model = optarg; break;
        case 'r': max_requests = atol(optarg); break;
        case 'q': rate_per_s = atof(optarg); break;
        case 'H':
            if (headers_len + strlen(optarg) + 3 > sizeof headers)
                return fail("the -H headers are longer than 8 KiB together");
            headers_len += (size_t)sprintf(headers + headers_len, "%s\r\n", optarg);
            break;
        default: return 2;
        }
    }
    if (connections < 1 || connections > 10000)
        return fail("-c must be 1 to 10000");
    if (measure_s <= 0 || measure_s > 120 || warmup_s < 0)
        return fail("-t must be above 0 and at most 120, -w 0 or more");
    if (padding < 0)
        return fail("-B must be 0 or more");
    char host[64], path[512] = "/";
    int port;
    if (sscanf(url, "http://%63[^:/]:%d%511s", host, &port, path) < 2)
        return fail("-u must look like http://127.0.0.1:PORT/path");
    if (strcmp(host, "127.0.0.1"))
        return fail("-u must point to 127.0.0.1: this tool only loads servers of its own machine");

    signal(SIGPIPE, SIG_IGN);
    build_request(path, port, headers, model, delay_ms, chunks_per_write, first_byte_ms, padding);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &server.sin_addr);
    epoll_fd = epoll_create1(0);
    all = calloc((size_t)connections, sizeof *all);
    for (int i = 0; i < connections; i++)
        all[i].fd = -1;
    for (int i = 0; rate_per_s && i < connections; i++)
        start_again(&all[i]);

    struct rusage usage_from, usage_to;
    getrusage(RUSAGE_SELF, &usage_from);
    measure_from_us = now_us() + (uint64_t)(warmup_s * 1e6);
    measure_to_us = measure_from_us + (uint64_t)(measure_s * 1e6);
    run(connections, ramp_ms, &usage_from);
    getrusage(RUSAGE_SELF, &usage_to);
    uint64_t ended_us = now_us();
    double elapsed_s = ended_us > measure_from_us ? (double)(ended_us - measure_from_us) / 1e6 : 0;
    print_result(connections, elapsed_s > 0 ? elapsed_s : 1e-6, cpu_s(&usage_from, &usage_to));
    return 0;
}
