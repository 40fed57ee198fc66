// A mock upstream that speaks OpenAI's chat completions, fast enough never to be the limit.
//
// One thread, one epoll, loopback only. Any POST gets a completion; any GET gets a short model
// list. By its path a POST is answered as Anthropic (".../messages") or Gemini
// ("...:generateContent", "...:streamGenerateContent") would. The prompt says how to answer, so
// that the order survives any gateway:
//
//   bench:n=<chunks>,d=<ms between chunks>,b=<chunks per write>,t=<ms to the first byte>;
//
// With "stream":true in the body: n content chunks of about 300 bytes, a finish chunk, a usage
// chunk and [DONE]; else about 600 bytes of JSON. Anthropic's and Gemini's events are as long as
// theirs are, one for each chunk. Every content chunk carries "@<16 digits>", the
// CLOCK_MONOTONIC microseconds it was written at, from which lg.c reads the time in transit.
// A stream keeps to its schedule: a late chunk does not move those after it.
//
//   cc -O2 -o mock mock.c
//   mock [PORT, else 9000]
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    WHEEL_SLOTS = 8192, // one millisecond each; later timers go round again
    FIRST_READ_BYTES = 8192,
    PROMPT_ORDER_BYTES = 100, // how far behind "bench:" the order may reach
    MARK_DIGITS = 16
};

#define ID "\"id\":\"chatcmpl-bench00000000000000000000000\","
#define CHUNK_HEAD                                                                                 \
    "data: {" ID "\"object\":\"chat.completion.chunk\",\"created\":1700000000,"                    \
    "\"model\":\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_0123456789\","

static const char json_body[] =
    "{" ID "\"object\":\"chat.completion\",\"created\":1700000000,"
    "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":"
    "{\"role\":\"assistant\",\"content\":\"The quick brown fox jumps over the lazy dog, then it "
    "sits down and writes a short benchmark answer.\",\"refusal\":null,\"annotations\":[]},"
    "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":24,"
    "\"completion_tokens\":21,\"total_tokens\":45,\"prompt_tokens_details\":"
    "{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":"
    "{\"reasoning_tokens\":0,\"audio_tokens\":0}},\"service_tier\":\"default\","
    "\"system_fingerprint\":\"fp_0123456789\"}";

// "event:" and "type" of an event of Anthropic's are the same word.
#define NAMED(name, fields) "event: " name "\ndata: {\"type\":\"" name "\"" fields "}\n\n"
#define ANTHROPIC_ID                                                                               \
    "\"id\":\"msg_bench0000000000000000000\",\"type\":\"message\",\"role\":\"assistant\","        \
    "\"model\":\"claude-bench\","
#define GEMINI_USAGE                                                                               \
    "\"usageMetadata\":{\"promptTokenCount\":24,\"candidatesTokenCount\":100,"                     \
    "\"totalTokenCount\":124,\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":24}]}," \
    "\"modelVersion\":\"gemini-bench\",\"responseId\":\"bench000000000000000000\""

static const char anthropic_body[] =
    "{" ANTHROPIC_ID "\"content\":[{\"type\":\"text\",\"text\":\"The quick brown fox jumps over "
    "the lazy dog, then it sits down and writes a short benchmark answer.\"}],"
    "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":24,"
    "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":21}}";

static const char gemini_body[] =
    "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"The quick brown fox jumps over the "
    "lazy dog, then it sits down and writes a short benchmark answer.\"}],\"role\":\"model\"},"
    "\"finishReason\":\"STOP\",\"index\":0}]," GEMINI_USAGE "}";

static const char models_body[] =
    "{\"object\":\"list\",\"data\":[{\"id\":\"gpt-4o-mini\",\"object\":\"model\",\"created\":1,"
    "\"owned_by\":\"bench\"}],\"status\":\"ok\",\"model_path\":\"gpt-4o-mini\"}";

static const char stream_head[] = "HTTP/1.1 200 OK\r\n"
                                  "Content-Type: text/event-stream; charset=utf-8\r\n"
                                  "Cache-Control: no-cache\r\n"
                                  "x-request-id: req_bench\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n";

// What comes before, for each chunk and at the end. The content is not const: the digits are
// written over for each chunk.
static char openai_content[] =
    CHUNK_HEAD "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
               "\"content\":\"@0000000000000000 tok\"},\"logprobs\":null,"
               "\"finish_reason\":null}]}\n\n";

static const char openai_end[] =
    CHUNK_HEAD "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,"
               "\"finish_reason\":\"stop\"}]}\n\n" //
    CHUNK_HEAD "\"choices\":[],\"usage\":{\"prompt_tokens\":24,\"completion_tokens\":100,"
               "\"total_tokens\":124}}\n\n"
               "data: [DONE]\n\n";

static const char anthropic_start[] =
    NAMED("message_start", ",\"message\":{" ANTHROPIC_ID
          "\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{"
          "\"input_tokens\":24,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
          "\"output_tokens\":1}}")
    NAMED("content_block_start",
          ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}")
    NAMED("ping", "");

static char anthropic_content[] =
    NAMED("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\","
                                 "\"text\":\"@0000000000000000 tok\"}");

static const char anthropic_end[] =
    NAMED("content_block_stop", ",\"index\":0")
    NAMED("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
                           "\"usage\":{\"input_tokens\":24,\"output_tokens\":100}")
    NAMED("message_stop", "");

static char gemini_content[] =
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"@0000000000000000 tok\"}],"
    "\"role\":\"model\"},\"index\":0}]," GEMINI_USAGE "}\r\n\r\n";

static const char gemini_end[] =
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},"
    "\"finishReason\":\"STOP\",\"index\":0}]," GEMINI_USAGE "}\r\n\r\n";

typedef struct {
    const char *body, *start;
    char *content;
    const char *end;
    int start_len, content_len, end_len;
    char *mark_digits; // where in the content they are
    char response[2048];
    int response_len;
} format;

enum { OPENAI, ANTHROPIC, GEMINI, FORMATS };

static format formats[FORMATS] = {
    {.body = json_body, .start = "", .content = openai_content, .end = openai_end},
    {.body = anthropic_body,
     .start = anthropic_start,
     .content = anthropic_content,
     .end = anthropic_end},
    {.body = gemini_body, .start = "", .content = gemini_content, .end = gemini_end},
};

typedef enum { IDLE, STREAMING, WAITING_TO_ANSWER } activity;

typedef struct connection {
    int fd; // -1: closed
    char *in;
    int in_len, in_capacity;
    char *out;
    int out_len, out_sent, out_capacity;
    int wants_write; // epoll watches for room to write
    activity doing;
    int chunks, written, delay_ms, chunks_per_write, first_byte_ms; // the order of the prompt
    int has_head; // the stream's response head has been written
    format *speaks;
    uint64_t started_us, due_us;
    int is_queued; // in the wheel or in the ready list, which then free it
    int is_dead;
    struct connection *next;
} connection;

static int epoll_fd;
static uint64_t request_count, chunk_count;
static connection *wheel[WHEEL_SLOTS];
static uint64_t wheel_ms; // the last millisecond that has been run
static int timer_count;
static connection *ready_first, *ready_last; // streams without a delay, served in turn
static char models_response[1024];
static int models_response_len;
static volatile sig_atomic_t must_stop;

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void *must(void *memory) {
    if (!memory) {
        fprintf(stderr, "mock: out of memory\n");
        exit(1);
    }
    return memory;
}

static void put(connection *c, const char *bytes, int len) {
    if (c->out_len + len > c->out_capacity) {
        c->out_capacity = (c->out_len + len) * 2 + 4096;
        c->out = must(realloc(c->out, (size_t)c->out_capacity));
    }
    memcpy(c->out + c->out_len, bytes, (size_t)len);
    c->out_len += len;
}

static void put_http_chunk(connection *c, const char *bytes, int len) {
    char size[16];
    put(c, size, sprintf(size, "%x\r\n", len));
    put(c, bytes, len);
    put(c, "\r\n", 2);
}

// Each event is an HTTP chunk of its own, as a server writes them.
static void put_events(connection *c, const char *events, int len) {
    const char *end = events + len;
    while (events < end) {
        const char *newline = events - 1;
        do // an event ends with its blank line
            newline = memchr(newline + 1, '\n', (size_t)(end - newline - 1));
        while (newline[1] != '\n' && newline[1] != '\r' && newline[1] != 0);
        const char *next = newline[1] == '\r' ? newline + 3 : newline + 2;
        put_http_chunk(c, events, (int)(next - events));
        events = next;
    }
}

static void watch_write(connection *c, int wants_write) {
    if (c->wants_write == wants_write)
        return;
    c->wants_write = wants_write;
    struct epoll_event e = {.events = EPOLLIN | (wants_write ? (uint32_t)EPOLLOUT : 0),
                            .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

// Returns 1 when everything has left, 0 when the socket is full, -1 when it is broken.
static int flush(connection *c) {
    while (c->out_sent < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_sent, (size_t)(c->out_len - c->out_sent),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            if (errno != EAGAIN)
                return -1;
            watch_write(c, 1);
            return 0;
        }
        c->out_sent += (int)n;
    }
    c->out_sent = c->out_len = 0;
    watch_write(c, 0);
    return 1;
}

static void free_connection(connection *c) {
    free(c->in);
    free(c->out);
    free(c);
}

static void close_connection(connection *c) {
    close(c->fd);
    c->fd = -1;
    c->is_dead = 1;
    if (!c->is_queued)
        free_connection(c);
}

static void wake_at(connection *c, uint64_t due_us) {
    uint64_t ms = due_us / 1000;
    if (ms <= wheel_ms)
        ms = wheel_ms + 1;
    c->due_us = due_us;
    c->next = wheel[ms % WHEEL_SLOTS];
    wheel[ms % WHEEL_SLOTS] = c;
    c->is_queued = 1;
    timer_count++;
}

static void wake_in_turn(connection *c) {
    c->next = NULL;
    c->is_queued = 1;
    if (ready_last)
        ready_last->next = c;
    else
        ready_first = c;
    ready_last = c;
}

static void put_content(connection *c) {
    uint64_t t = now_us();
    for (int i = MARK_DIGITS - 1; i >= 0; i--) {
        c->speaks->mark_digits[i] = (char)('0' + t % 10);
        t /= 10;
    }
    put_http_chunk(c, c->speaks->content, c->speaks->content_len);
    c->written++;
    chunk_count++;
}

// Put the next write of a stream together; returns 1 when it was the last one.
static int put_next_chunks(connection *c) {
    for (int i = 0; i < c->chunks_per_write; i++) {
        if (c->written < c->chunks) {
            put_content(c);
            continue;
        }
        put_events(c, c->speaks->end, c->speaks->end_len);
        put(c, "0\r\n\r\n", 5);
        return 1;
    }
    return 0;
}

static void take_requests(connection *c);

// The connection's time has come: send the JSON answer, or the next part of the stream.
static void go_on(connection *c) {
    int is_last;
    if (c->doing == WAITING_TO_ANSWER) {
        put(c, c->speaks->response, c->speaks->response_len);
        is_last = 1;
    } else {
        if (!c->has_head) {
            c->has_head = 1;
            put(c, stream_head, (int)sizeof stream_head - 1);
            put_events(c, c->speaks->start, c->speaks->start_len);
        }
        is_last = put_next_chunks(c);
    }
    int flushed = flush(c);
    if (flushed < 0) {
        close_connection(c);
        return;
    }
    if (is_last) {
        c->doing = IDLE;
        take_requests(c);
        return;
    }
    if (c->delay_ms) {
        uint64_t writes = (uint64_t)(c->written / c->chunks_per_write);
        uint64_t after_ms = (uint64_t)c->first_byte_ms + writes * (uint64_t)c->delay_ms;
        wake_at(c, c->started_us + after_ms * 1000);
    } else if (flushed) {
        wake_in_turn(c);
    } // else the socket is full: EPOLLOUT goes on with it
}

static int number_behind(const char *p, const char *end, const char *name, int otherwise) {
    size_t len = strlen(name);
    for (; p < end && *p != ';'; p++)
        if (!strncmp(p, name, len))
            return atoi(p + len);
    return otherwise;
}

static void read_order(connection *c, const char *body, int len) {
    const char *order = memmem(body, (size_t)len, "bench:", 6);
    const char *end = body + len;
    if (!order)
        order = end;
    if (end - order > PROMPT_ORDER_BYTES)
        end = order + PROMPT_ORDER_BYTES;
    c->chunks = number_behind(order, end, "n=", 100);
    c->delay_ms = number_behind(order, end, "d=", 0);
    c->chunks_per_write = number_behind(order, end, "b=", 1);
    c->first_byte_ms = number_behind(order, end, "t=", 0);
    if (c->chunks_per_write < 1)
        c->chunks_per_write = 1;
}

// Which format a request is to be answered in; whether as a stream Gemini says in the path too.
static format *find_format(const char *head, int *is_stream) {
    const char *line_end = memchr(head, '\r', FIRST_READ_BYTES);
    size_t len = line_end ? (size_t)(line_end - head) : 0;
    *is_stream = memmem(head, len, ":streamGenerateContent", 22) != NULL;
    if (*is_stream || memmem(head, len, ":generateContent", 16))
        return &formats[GEMINI];
    return &formats[memmem(head, len, "/messages", 9) ? ANTHROPIC : OPENAI];
}

static void answer_post(connection *c, const char *body, int len) {
    int is_stream;
    c->speaks = find_format(c->in, &is_stream);
    read_order(c, body, len);
    c->started_us = now_us();
    c->written = 0;
    c->has_head = 0;
    if (is_stream || memmem(body, (size_t)len, "\"stream\":true", 13) ||
        memmem(body, (size_t)len, "\"stream\": true", 14))
        c->doing = STREAMING;
    else if (c->first_byte_ms)
        c->doing = WAITING_TO_ANSWER;
    else
        put(c, c->speaks->response, c->speaks->response_len);
}

// Returns the length of the first whole request in the buffer, 0 when there is none yet, and sets
// where its body is.
static int find_request(connection *c, char **body, int *body_len) {
    char *blank = memmem(c->in, (size_t)c->in_len, "\r\n\r\n", 4);
    if (!blank)
        return 0;
    int head_len = (int)(blank - c->in) + 4;
    *blank = 0; // so that the searches end with the head
    char *length = strcasestr(c->in, "\r\ncontent-length:");
    char *chunked = strcasestr(c->in, "\r\ntransfer-encoding: chunked");
    *blank = '\r';
    *body = c->in + head_len;
    *body_len = 0;
    if (chunked) {
        char *last = memmem(*body, (size_t)(c->in_len - head_len), "0\r\n\r\n", 5);
        if (!last)
            return 0;
        *body_len = (int)(last - *body) + 5; // its size lines do not disturb the search for words
    } else if (length) {
        *body_len = atoi(length + 17);
    }
    return head_len + *body_len <= c->in_len ? head_len + *body_len : 0;
}

// Answer the whole requests that have come in, until one of them takes time.
static void take_requests(connection *c) {
    while (c->doing == IDLE) {
        char *body;
        int body_len;
        int len = find_request(c, &body, &body_len);
        if (!len)
            return;
        request_count++;
        if (!strncmp(c->in, "GET", 3))
            put(c, models_response, models_response_len);
        else
            answer_post(c, body, body_len);
        memmove(c->in, c->in + len, (size_t)(c->in_len - len));
        c->in_len -= len;
        if (c->doing != IDLE && c->first_byte_ms) {
            wake_at(c, c->started_us + (uint64_t)c->first_byte_ms * 1000);
            return;
        }
        if (c->doing != IDLE) {
            go_on(c);
            return;
        }
        if (flush(c) < 0) {
            close_connection(c);
            return;
        }
    }
}

static void accept_all(int listener) {
    for (;;) {
        int one = 1;
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0)
            return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connection *c = must(calloc(1, sizeof *c));
        c->fd = fd;
        c->in_capacity = FIRST_READ_BYTES;
        c->in = must(malloc(FIRST_READ_BYTES));
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
    }
}

// Returns 0 when the other side has gone.
static int receive(connection *c) {
    for (;;) {
        if (c->in_len == c->in_capacity) {
            c->in_capacity *= 2;
            c->in = must(realloc(c->in, (size_t)c->in_capacity));
        }
        int room = c->in_capacity - c->in_len;
        ssize_t n = recv(c->fd, c->in + c->in_len, (size_t)room, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return 1;
        if (n <= 0)
            return 0;
        c->in_len += (int)n;
        if (n < room)
            return 1;
    }
}

static void on_event(connection *c, uint32_t events) {
    if (c->is_dead)
        return;
    if (events & EPOLLOUT) {
        int flushed = flush(c);
        if (flushed < 0) {
            close_connection(c);
            return;
        }
        if (flushed && c->doing == STREAMING && !c->delay_ms && !c->is_queued)
            wake_in_turn(c);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        if (receive(c))
            take_requests(c);
        else
            close_connection(c);
    }
}

static void run_timers(void) {
    uint64_t until_ms = now_us() / 1000;
    while (wheel_ms < until_ms) {
        wheel_ms++;
        connection *c = wheel[wheel_ms % WHEEL_SLOTS];
        wheel[wheel_ms % WHEEL_SLOTS] = NULL;
        while (c) {
            connection *next = c->next;
            timer_count--;
            c->is_queued = 0;
            if (c->is_dead)
                free_connection(c);
            else if (c->due_us / 1000 > wheel_ms + 1)
                wake_at(c, c->due_us);
            else
                go_on(c);
            c = next;
        }
    }
}

static void run_ready(void) {
    connection *c = ready_first;
    ready_first = ready_last = NULL;
    while (c) {
        connection *next = c->next;
        c->is_queued = 0;
        if (c->is_dead)
            free_connection(c);
        else
            go_on(c);
        c = next;
    }
}

static void serve(int listener) {
    struct epoll_event events[512];
    wheel_ms = now_us() / 1000;
    while (!must_stop) {
        int timeout_ms = ready_first ? 0 : timer_count ? 1 : 1000;
        int count = epoll_wait(epoll_fd, events, 512, timeout_ms);
        if (!timer_count)
            wheel_ms = now_us() / 1000;
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                on_event(events[i].data.ptr, events[i].events);
            else
                accept_all(listener);
        }
        if (timer_count)
            run_timers();
        if (ready_first)
            run_ready();
    }
}

static int open_listener(int port) {
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&address, sizeof address) || listen(fd, 4096)) {
        perror("mock: bind");
        exit(1);
    }
    return fd;
}

static int build_json_response(char *response, const char *body) {
    return sprintf(response,
                   "HTTP/1.1 200 OK\r\n"
                   "Content-Type: application/json\r\n"
                   "x-request-id: req_bench\r\n"
                   "Content-Length: %d\r\n\r\n%s",
                   (int)strlen(body), body);
}

static void on_signal(int number) {
    (void)number;
    must_stop = 1;
}

int main(int argc, char **argv) {
    int port = argc > 1 ? atoi(argv[1]) : 9000;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    models_response_len = build_json_response(models_response, models_body);
    for (format *f = formats; f < formats + FORMATS; f++) {
        f->start_len = (int)strlen(f->start);
        f->content_len = (int)strlen(f->content);
        f->end_len = (int)strlen(f->end);
        f->mark_digits = strchr(f->content, '@') + 1;
        f->response_len = build_json_response(f->response, f->body);
    }

    int listener = open_listener(port);
    epoll_fd = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
    fprintf(stderr, "mock on %d: json %zu B, sse chunk %zu B\n", port, sizeof json_body - 1,
            sizeof openai_content - 1);
    serve(listener);
    fprintf(stderr, "mock: %" PRIu64 " requests, %" PRIu64 " chunks\n", request_count, chunk_count);
    return 0;
}
