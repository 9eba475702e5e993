#include "shim.h"

#include <rte_prefetch.h>

/* Rust reads these fields with the widths it assumes. */
#define WIDTH(field, bytes) \
	_Static_assert(sizeof(((struct rte_mbuf *)0)->field) == (bytes), "width of rte_mbuf." #field)
WIDTH(buf_addr, sizeof(void *));
WIDTH(data_off, 2);
WIDTH(refcnt, 2);
WIDTH(nb_segs, 2);
WIDTH(ol_flags, 8);
WIDTH(pkt_len, 4);
WIDTH(data_len, 2);
WIDTH(buf_len, 2);
WIDTH(next, sizeof(void *));

uint16_t
snipe_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	uint16_t got = rte_eth_rx_burst(port, queue, mbufs, n);

	for (uint16_t i = 0; i < got; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], const void *));
	return got;
}

uint16_t
snipe_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	return rte_eth_tx_burst(port, queue, mbufs, n);
}

int
snipe_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int n)
{
	return rte_pktmbuf_alloc_bulk(pool, mbufs, n);
}

uint16_t
snipe_pool_room(struct rte_mempool *pool)
{
	return rte_pktmbuf_data_room_size(pool);
}

unsigned int
snipe_ring_enqueue(struct rte_ring *ring, void *const *objects, unsigned int n)
{
	return rte_ring_enqueue_burst(ring, objects, n, NULL);
}

unsigned int
snipe_ring_dequeue(struct rte_ring *ring, void **objects, unsigned int n)
{
	return rte_ring_dequeue_burst(ring, objects, n, NULL);
}

int
snipe_errno(void)
{
	return rte_errno;
}

unsigned int
snipe_lcore_id(void)
{
	return rte_lcore_id();
}

int
snipe_link(uint16_t port, int *up, uint32_t *mbps)
{
	struct rte_eth_link link;
	int ret = rte_eth_link_get_nowait(port, &link);

	if (ret != 0)
		return ret;
	*up = link.link_status == RTE_ETH_LINK_UP;
	*mbps = link.link_speed;
	return 0;
}
