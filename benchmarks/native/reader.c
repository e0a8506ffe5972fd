/*
 * The floor: what it costs to read many streams with one epoll loop, stamp each read with the kernel's arrival time, and do
 * next to nothing else. Closed loop: N keep-alive connections send the same streaming request over and over for a given time.
 *
 *     reader PORT STREAMS SECONDS TOKENS
 *
 * It follows framing only as far as the simulator's answers need: chunked bodies whose last read ends in "0\r\n\r\n".
 * One line of JSON at the end; CPU is user + system, from the first arrival to the last token. Exit 1 on anything unexpected.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES (64 * 1024)
#define ANCILLARY_BYTES 64 /* as much as openloop gives the kernel */
#define EVENTS 256
#define DRAIN_NS 30000000000LL

struct stream {
    int fd;
    int in_flight;
    int status_seen;
    uint64_t requests;
    char tail[4]; /* the bytes before this read: "0\r\n\r\n" may be split over two */
};

/* What a reader must at least keep of a read. */
struct record {
    int64_t arrived_ns;
    uint32_t stream;
    uint32_t bytes;
};

static struct record *records;
static size_t record_count, record_room;

static void fail(const char *what) {
    fprintf(stderr, "reader: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t cpu_ns(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000LL + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000LL;
}

static int connect_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0) fail("TCP_NODELAY");
    if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) < 0) fail("SO_TIMESTAMPNS");
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) fail("O_NONBLOCK");
    return fd;
}

static void send_request(struct stream *s, uint32_t index, int tokens) {
    char request[2048], body[1024];
    int body_bytes = snprintf(
        body, sizeof body,
        "{\"model\":\"simulated\",\"messages\":[{\"role\":\"user\",\"content\":\"one two three four five six seven eight "
        "nine ten eleven twelve thirteen fourteen fifteen sixteen\"}],\"max_tokens\":%d,\"stream\":true,"
        "\"stream_options\":{\"include_usage\":true}}",
        tokens);
    int n = snprintf(
        request, sizeof request,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        "accept: text/event-stream\r\nx-request-id: reader-%u-%llu\r\ncontent-length: %d\r\n\r\n%s",
        index, (unsigned long long)s->requests, body_bytes, body);
    if (send(s->fd, request, (size_t)n, MSG_NOSIGNAL) != n) fail("send");
    s->requests++;
    s->in_flight = 1;
    s->status_seen = 0;
}

/* Non-empty content deltas: the same events that openloop makes token rows of. */
static uint64_t count_tokens(const char *text, size_t length) {
    static const char key[] = "\"content\":\"";
    uint64_t found = 0;
    const char *end = text + length, *at = text;
    while ((at = memmem(at, (size_t)(end - at), key, sizeof key - 1))) {
        at += sizeof key - 1;
        if (at < end && *at != '"') found++;
    }
    return found;
}

static void record(int64_t arrived_ns, uint32_t stream, size_t bytes) {
    if (record_count == record_room) {
        record_room = record_room ? record_room * 2 : 1 << 20;
        records = realloc(records, record_room * sizeof *records);
        if (!records) fail("realloc");
    }
    records[record_count++] = (struct record){arrived_ns, stream, (uint32_t)bytes};
}

/* Whether the body's last chunk has now been read. */
static int ended(struct stream *s, const char *data, size_t length) {
    static const char end_mark[] = "0\r\n\r\n";
    char last[5];
    if (length >= 5) {
        memcpy(last, data + length - 5, 5);
    } else {
        char both[9];
        memcpy(both, s->tail, 4);
        memcpy(both + 4, data, length);
        memcpy(last, both + length - 1, 5);
    }
    memcpy(s->tail, last + 1, 4);
    return memcmp(last, end_mark, 5) == 0;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: reader PORT STREAMS SECONDS TOKENS\n");
        return 2;
    }
    int port = atoi(argv[1]), streams = atoi(argv[2]), tokens = atoi(argv[4]);
    double seconds = atof(argv[3]);
    if (port <= 0 || streams <= 0 || tokens <= 0 || seconds <= 0) {
        fprintf(stderr, "reader: every argument is a number above zero\n");
        return 2;
    }

    struct stream *all = calloc((size_t)streams, sizeof *all);
    char *buffer = malloc(BUFFER_BYTES);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (!all || !buffer || poll < 0) fail("setup");
    for (int i = 0; i < streams; i++) {
        struct epoll_event interest = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        all[i].fd = connect_to(port);
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &interest) < 0) fail("epoll_ctl");
    }

    /* The first requests are spread as openloop spreads the starts of closed slots. */
    int64_t spread_ns = (int64_t)((seconds * 0.05 < 1.0 ? seconds * 0.05 : 1.0) * 1e9);
    int64_t start_ns = clock_ns(CLOCK_MONOTONIC), stop_ns = start_ns + (int64_t)(seconds * 1e9);
    int64_t first_ns = 0, last_ns = 0, first_cpu_ns = 0, last_cpu_ns = 0;
    uint64_t reads = 0, token_count = 0, responses = 0, unstamped = 0;
    int started = 0, active = 0;

    for (;;) {
        int64_t now = clock_ns(CLOCK_MONOTONIC);
        while (started < streams && now >= start_ns + spread_ns * started / streams) {
            send_request(&all[started], (uint32_t)started, tokens);
            started++;
            active++;
        }
        if (started == streams && active == 0) break;
        if (now > stop_ns + DRAIN_NS) {
            fprintf(stderr, "reader: %d answers had not ended %lld s after the stop\n", active, DRAIN_NS / 1000000000LL);
            return 1;
        }
        struct epoll_event ready[EVENTS];
        int n = epoll_wait(poll, ready, EVENTS, started < streams ? 1 : 1000);
        if (n < 0 && errno != EINTR) fail("epoll_wait");
        for (int e = 0; e < n; e++) {
            uint32_t index = ready[e].data.u32;
            struct stream *s = &all[index];
            _Alignas(struct cmsghdr) char ancillary[ANCILLARY_BYTES];
            struct iovec part = {.iov_base = buffer, .iov_len = BUFFER_BYTES};
            struct msghdr message = {
                .msg_iov = &part, .msg_iovlen = 1, .msg_control = ancillary, .msg_controllen = sizeof ancillary};
            ssize_t got = recvmsg(s->fd, &message, 0);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0) fail("the connection ended");

            int64_t arrived_ns = 0;
            for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
                    struct timespec t;
                    memcpy(&t, CMSG_DATA(c), sizeof t);
                    arrived_ns = t.tv_sec * 1000000000LL + t.tv_nsec;
                }
            }
            if (!arrived_ns) {
                arrived_ns = clock_ns(CLOCK_REALTIME);
                unstamped++;
            }
            record(arrived_ns, index, (size_t)got);
            reads++;
            if (!first_ns) {
                first_ns = clock_ns(CLOCK_MONOTONIC);
                first_cpu_ns = cpu_ns();
            }
            if (!s->status_seen) {
                if (got < 12 || memcmp(buffer, "HTTP/1.1 200", 12) != 0) {
                    fprintf(stderr, "reader: not a 200: %.*s\n", (int)(got < 200 ? got : 200), buffer);
                    return 1;
                }
                s->status_seen = 1;
            }
            token_count += count_tokens(buffer, (size_t)got);
            if (ended(s, buffer, (size_t)got)) {
                responses++;
                s->in_flight = 0;
                last_ns = clock_ns(CLOCK_MONOTONIC);
                last_cpu_ns = cpu_ns();
                if (last_ns < stop_ns) send_request(s, index, tokens);
                else active--;
            }
        }
    }

    printf("{\"tokens\": %llu, \"reads\": %llu, \"responses\": %llu, \"unstamped\": %llu, \"first_ns\": %lld, "
           "\"last_ns\": %lld, \"cpu_s\": %.6f}\n",
           (unsigned long long)token_count, (unsigned long long)reads, (unsigned long long)responses,
           (unsigned long long)unstamped, (long long)first_ns, (long long)last_ns,
           (double)(last_cpu_ns - first_cpu_ns) / 1e9);
    return 0;
}
