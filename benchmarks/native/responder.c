/*
 * The most trivial OpenAI endpoint: every POST is answered at once with the same streamed answer of one token. So that pacing
 * can be judged by somebody else than the sender, it keeps the kernel's arrival time of every request.
 *
 *     responder ARRIVALS_FILE
 *
 * Prints one line of JSON with its base URL when it listens. On SIGTERM, or when its parent dies, it writes the arrivals (int64
 * CLOCK_REALTIME ns in native byte order, in the order of reading) to the file, says in a second line how many there were and how
 * many it had to stamp itself, and ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_BYTES (64 * 1024)
#define ANCILLARY_BYTES 64
#define EVENTS 256
#define MAX_FD 65536

/* Only a connection whose request is half read has a buffer. */
struct connection {
    char *half;
    size_t half_bytes;
    int64_t arrived_ns;
};

static struct connection connections[MAX_FD];
static int64_t *arrivals;
static size_t arrival_count, arrival_room, unstamped;
static volatile sig_atomic_t stopped;

static const char events[] =
    "data: {\"id\":\"r\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"trivial\",\"choices\":[{\"index\":0,"
    "\"delta\":{\"role\":\"assistant\",\"content\":\"one\"},\"finish_reason\":\"stop\"}]}\n\n"
    "data: {\"id\":\"r\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"trivial\",\"choices\":[],"
    "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}\n\n"
    "data: [DONE]\n\n";

static char answer[2048];
static size_t answer_bytes;

static void fail(const char *what) {
    fprintf(stderr, "responder: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void stop(int number) {
    (void)number;
    stopped = 1;
}

static void note(int64_t arrived_ns) {
    if (arrival_count == arrival_room) {
        arrival_room = arrival_room ? arrival_room * 2 : 1 << 16;
        arrivals = realloc(arrivals, arrival_room * sizeof *arrivals);
        if (!arrivals) fail("realloc");
    }
    arrivals[arrival_count++] = arrived_ns;
}

/* Bytes of the first request in the text, 0 while it is not complete. */
static size_t request_bytes(const char *text, size_t length) {
    static const char name[] = "\r\ncontent-length:";
    const char *head_end = memmem(text, length, "\r\n\r\n", 4);
    if (!head_end) return 0;
    size_t head = (size_t)(head_end - text) + 4, body = 0;
    for (const char *at = text; at + sizeof name - 1 <= head_end; at++) {
        if (strncasecmp(at, name, sizeof name - 1) == 0) {
            body = strtoul(at + sizeof name - 1, NULL, 10);
            break;
        }
    }
    return head + body <= length ? head + body : 0;
}

static void forget(int fd) {
    free(connections[fd].half);
    connections[fd] = (struct connection){0};
    close(fd);
}

static void readable(int fd) {
    static char buffer[REQUEST_BYTES];
    struct connection *c = &connections[fd];
    _Alignas(struct cmsghdr) char ancillary[ANCILLARY_BYTES];
    if (c->half_bytes) memcpy(buffer, c->half, c->half_bytes);
    struct iovec part = {.iov_base = buffer + c->half_bytes, .iov_len = sizeof buffer - c->half_bytes};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = ancillary, .msg_controllen = sizeof ancillary};
    ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        forget(fd);
        return;
    }
    int64_t arrived_ns = 0;
    for (struct cmsghdr *m = CMSG_FIRSTHDR(&message); m; m = CMSG_NXTHDR(&message, m)) {
        if (m->cmsg_level == SOL_SOCKET && m->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(m), sizeof t);
            arrived_ns = t.tv_sec * 1000000000LL + t.tv_nsec;
        }
    }
    if (!arrived_ns) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        arrived_ns = t.tv_sec * 1000000000LL + t.tv_nsec;
        unstamped++;
    }
    /* A request in several segments arrived with its first one. */
    if (!c->half_bytes) c->arrived_ns = arrived_ns;
    size_t length = c->half_bytes + (size_t)got, used;
    const char *at = buffer;
    while ((used = request_bytes(at, length))) {
        note(c->arrived_ns);
        c->arrived_ns = arrived_ns;
        if (send(fd, answer, answer_bytes, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)answer_bytes) {
            forget(fd);
            return;
        }
        at += used;
        length -= used;
    }
    if (length == sizeof buffer) {
        forget(fd);
        return;
    }
    c->half_bytes = length;
    if (length) {
        char *kept = realloc(c->half, length);
        if (!kept) fail("realloc");
        memmove(kept, at, length);
        c->half = kept;
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: responder ARRIVALS_FILE\n");
        return 2;
    }
    struct sigaction on_stop = {.sa_handler = stop};
    sigaction(SIGTERM, &on_stop, NULL);
    sigaction(SIGINT, &on_stop, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);

    answer_bytes = (size_t)snprintf(
        answer, sizeof answer,
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
        sizeof events - 1, events);

    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t address_bytes = sizeof address;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* Set here it is inherited, and so holds for a request that came before its connection was accepted. */
    if (listener >= 0 && setsockopt(listener, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) < 0) fail("SO_TIMESTAMPNS");
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &address_bytes) < 0)
        fail("listen");
    int poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event interest = {.events = EPOLLIN, .data.fd = listener};
    if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &interest) < 0) fail("epoll");
    printf("{\"url\": \"http://127.0.0.1:%d/v1\", \"pids\": [%d]}\n", ntohs(address.sin_port), (int)getpid());
    fflush(stdout);

    while (!stopped) {
        struct epoll_event ready[EVENTS];
        int n = epoll_wait(poll, ready, EVENTS, 500); /* a signal between the test and the wait costs half a second */
        if (n < 0 && errno != EINTR) fail("epoll_wait");
        for (int e = 0; e < n; e++) {
            int fd = ready[e].data.fd;
            if (fd != listener) {
                readable(fd);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                struct epoll_event reading = {.events = EPOLLIN, .data.fd = fd};
                if (fd >= MAX_FD) {
                    close(fd);
                    continue;
                }
                if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 ||
                    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &reading) < 0)
                    fail("a new connection");
            }
        }
    }

    FILE *file = fopen(argv[1], "wb");
    if (!file || fwrite(arrivals, sizeof *arrivals, arrival_count, file) != arrival_count || fclose(file) != 0)
        fail(argv[1]);
    printf("{\"requests\": %zu, \"unstamped\": %zu}\n", arrival_count, unstamped);
    return 0;
}
