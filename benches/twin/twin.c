/* The same work in C: what `wire::tpdu` and `ClusterKey::pin_pair` do, for a burst of packets.
 *
 * Every length is checked that the Rust checks, what it refuses is refused here, and the answers are
 * compared before anything is timed. Offsets are spelled out: this is the code one would write who
 * wants nothing but speed. */
#define _GNU_SOURCE
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct frame {
    const uint8_t *bytes;
    size_t len;
};

struct burst {
    uint64_t pins[64];
    uint8_t classes[64];
    uint64_t user_packets;
};

enum { GTP_U };

static inline uint16_t be16(const uint8_t *p) {
    uint16_t v;
    memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}

static inline uint32_t be32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

static inline uint64_t be64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

static inline uint64_t fold(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline int is_gtp_u(uint16_t source, uint16_t destination) {
    if (destination == 2152)
        return 1;
    return source == 2152 && destination != 2123 && destination != 8805 && destination != 3386;
}

static inline int names_gtp_u(uint16_t source, uint16_t destination) {
    return source == 2152 || destination == 2152;
}

static inline uint64_t pin_v4(const uint64_t key[4], uint32_t a, uint32_t b) {
    uint32_t low = a < b ? a : b, high = a < b ? b : a;
    return fold(((uint64_t)low << 32 | high) ^ key[0], key[1]);
}

static inline uint64_t pin_v6(const uint64_t key[4], const uint8_t *a, const uint8_t *b) {
    uint64_t a0 = be64(a), a1 = be64(a + 8), b0 = be64(b), b1 = be64(b + 8);
    if (b0 < a0 || (b0 == a0 && b1 < a1)) {
        uint64_t t = a0;
        a0 = b0, b0 = t;
        t = a1, a1 = b1, b1 = t;
    }
    uint64_t first = fold(a0 ^ key[2], a1 ^ key[3]);
    uint64_t second = fold(b0 ^ key[1], b1 ^ key[0]);
    return fold(first ^ key[3], (second << 32 | second >> 32) ^ key[1]);
}

/* The key of a text, as `ClusterKey::new` makes it. */
void twin_key(const uint8_t *text, size_t len, uint64_t key[4]) {
    static const uint64_t C[4] = {0x9e3779b97f4a7c15, 0x6a09e667f3bcc909, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b};
    uint64_t a = C[0];
    for (size_t i = 0; i < len; i++)
        a = fold(a ^ text[i], C[1]) + (a << 23 | a >> 41);
    key[0] = a | 1;
    key[1] = fold(a ^ C[1], C[2] ^ len) | 1;
    key[2] = fold(a ^ C[2], C[3] ^ len) | 1;
    key[3] = fold(a ^ C[3], C[1] ^ len) | 1;
}

/* 1 and the pin for a user's packet of the common shape, 0 for everything else. */
static inline __attribute__((always_inline)) int tpdu(const uint64_t key[4], const uint8_t *p, size_t len,
                                                      uint64_t *pin) {
    if (len < 50)
        return 0;
    unsigned tags = 0;
    uint16_t type;
    while ((type = be16(p + 12)) != 0x0800) {
        if (tags == 2 || (type != 0x8100 && type != 0x88a8 && type != 0x9100))
            return 0;
        tags++;
        p += 4, len -= 4;
        if (len < 50)
            return 0;
    }
    if (p[14] != 0x45 || (be16(p + 20) & 0x3fff) || p[23] != 17)
        return 0;
    if ((p[42] & 0xf0) != 0x30 || p[43] != 255)
        return 0;
    size_t total = be16(p + 16), udp = be16(p + 38), left = be16(p + 44);
    if (udp + 20 > total || left + 16 > udp || left > len - 50 || !is_gtp_u(be16(p + 34), be16(p + 36)))
        return 0;
    const uint8_t *q = p + 50;
    if (p[42] & 7) {
        if (left < 4)
            return 0;
        uint8_t next = q[3];
        q += 4, left -= 4;
        if (p[42] & 4) {
            for (unsigned count = 0; next; count++) {
                if (count == 8 || left == 0)
                    return 0;
                size_t bytes = (size_t)q[0] * 4;
                if (bytes == 0 || bytes > left)
                    return 0;
                next = q[bytes - 1];
                q += bytes, left -= bytes;
            }
        }
    }
    if (left < 20)
        return 0;
    if (q[0] == 0x45) {
        if ((be16(q + 6) & 0x3fff) || q[9] == 51 || be16(q + 2) < 24)
            return 0;
        if (q[9] == 17 && (left < 24 || names_gtp_u(be16(q + 20), be16(q + 22))))
            return 0;
        *pin = pin_v4(key, be32(q + 12), be32(q + 16));
        return 1;
    }
    if (left < 40 || q[0] >> 4 != 6 || (q[6] != 6 && q[6] != 17 && q[6] != 58) || be16(q + 4) < 4)
        return 0;
    if (q[6] == 17 && (left < 44 || names_gtp_u(be16(q + 40), be16(q + 42))))
        return 0;
    *pin = pin_v6(key, q + 8, q + 24);
    return 1;
}

/* Up to 64 packets: ask for the first two lines of each, then read them: the inner addresses are in
 * the second one. Returns which were understood. */
uint64_t twin_parse(const uint64_t key[4], const struct frame *frames, size_t n, struct burst *out) {
    for (size_t i = 0; i < n; i++) {
        __builtin_prefetch(frames[i].bytes);
        __builtin_prefetch(frames[i].bytes + 64);
    }
    uint64_t understood = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t pin;
        if (tpdu(key, frames[i].bytes, frames[i].len, &pin)) {
            out->pins[i] = pin;
            out->classes[i] = GTP_U;
            understood |= (uint64_t)1 << i;
        }
    }
    out->user_packets += (uint64_t)__builtin_popcountll(understood);
    return understood;
}

/* The least that a packet can cost: its first line is fetched, and one word of it read. */
uint64_t twin_floor(const struct frame *frames, size_t n) {
    for (size_t i = 0; i < n; i++)
        __builtin_prefetch(frames[i].bytes);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t word = 0;
        if (frames[i].len >= 8)
            memcpy(&word, frames[i].bytes, 8);
        sum += word;
    }
    return sum;
}

/* The least for whoever wants the inner addresses, which are in the second line. */
uint64_t twin_two_lines(const struct frame *frames, size_t n) {
    for (size_t i = 0; i < n; i++) {
        __builtin_prefetch(frames[i].bytes);
        __builtin_prefetch(frames[i].bytes + 64);
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t first = 0, second = 0;
        if (frames[i].len >= 72) {
            memcpy(&first, frames[i].bytes, 8);
            memcpy(&second, frames[i].bytes + 64, 8);
        }
        sum += first + second;
    }
    return sum;
}

/* Zeroed memory on huge pages where the system has some, as packet buffers are. Never freed. */
uint8_t *twin_region(size_t bytes) {
    size_t huge = (size_t)2 << 20;
    void *region = NULL;
    if (posix_memalign(&region, huge, (bytes + huge - 1) & ~(huge - 1)))
        return NULL;
    madvise(region, bytes, MADV_HUGEPAGE);
    return memset(region, 0, bytes);
}

/* Keeps the calling thread on one processor. Returns 0 where that worked. */
int twin_stay_on(unsigned processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    return sched_setaffinity(0, sizeof set, &set);
}
