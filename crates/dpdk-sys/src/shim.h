/* What Rust sees of DPDK: this header is what bindgen reads.
 *
 * DPDK's inline functions have no symbol, so each one in use gets a real function here; they work on
 * bursts. Layouts that change between DPDK releases are given as offsets and values instead of structs. */
#ifndef SNIPE_SHIM_H
#define SNIPE_SHIM_H

#include <stddef.h>
#include <stdint.h>

#include <rte_config.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_mempool.h>
#include <rte_ring.h>

/* Where the fields of an mbuf are. Their names sit in unnamed unions that differ between releases. */
static const size_t SNIPE_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr);
static const size_t SNIPE_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off);
static const size_t SNIPE_MBUF_REFCNT = offsetof(struct rte_mbuf, refcnt);
static const size_t SNIPE_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs);
static const size_t SNIPE_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags);
static const size_t SNIPE_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len);
static const size_t SNIPE_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len);
static const size_t SNIPE_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len);
static const size_t SNIPE_MBUF_NEXT = offsetof(struct rte_mbuf, next);

/* An mbuf whose bytes belong to another mbuf or to somebody else. */
static const uint64_t SNIPE_MBUF_NOT_DIRECT = RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;

/* Macros that bindgen cannot evaluate. */
static const uint64_t SNIPE_RSS_IP = RTE_ETH_RSS_IP;
static const uint64_t SNIPE_RX_OFFLOAD_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t SNIPE_RX_OFFLOAD_TIMESTAMP = RTE_ETH_RX_OFFLOAD_TIMESTAMP;
static const uint64_t SNIPE_TX_OFFLOAD_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;

/* Receives up to n mbufs and asks for the first cache line of each packet. */
uint16_t snipe_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n);

/* Sends up to n mbufs from the front; those taken belong to the port. */
uint16_t snipe_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n);

/* Allocates n reset mbufs, or none. Returns 0 or a negative errno value. */
int snipe_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int n);

/* Data bytes that one mbuf of the pool has, headroom included. */
uint16_t snipe_pool_room(struct rte_mempool *pool);

/* Puts up to n objects in, takes up to n out; by the ring's own flags. */
unsigned int snipe_ring_enqueue(struct rte_ring *ring, void *const *objects, unsigned int n);
unsigned int snipe_ring_dequeue(struct rte_ring *ring, void **objects, unsigned int n);

/* The error of the last call on this thread. */
int snipe_errno(void);

/* The lcore id of this thread, LCORE_ID_ANY where it has none. */
unsigned int snipe_lcore_id(void);

/* Link state without waiting; struct rte_eth_link is bit fields and changed in 24.11.
 * Returns 0 or a negative errno value. */
int snipe_link(uint16_t port, int *up, uint32_t *mbps);

#endif
