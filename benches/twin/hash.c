/* The peer of the tunnel table: DPDK's hash table, lock-free for readers, with keys of the same 8 bytes. */
#include <rte_eal.h>
#include <rte_hash.h>
#include <stdint.h>
#include <stdio.h>
#include <stddef.h>

/* Once in a process: EAL with this much memory, on huge pages or without. Returns 0 where that worked. */
int twin_hash_start(unsigned megabytes, int huge) {
    char memory[16];
    snprintf(memory, sizeof memory, "%u", megabytes);
    char *huge_args[] = {"benches", "--in-memory", "--no-pci", "--no-telemetry", "--log-level=3", "-l", "0", "-m", memory, NULL};
    char *small_args[] = {"benches", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "--log-level=3", "-l", "0", "-m", memory, NULL};
    int argc = huge ? 9 : 10;
    return rte_eal_init(argc, huge ? huge_args : small_args) < 0;
}

/* A table; NULL where there is no memory for it. Never freed. */
void *twin_hash_new(uint32_t entries) {
    struct rte_hash_parameters parameters = {
        .name = "tunnels",
        .entries = entries,
        .key_len = sizeof(uint64_t),
        .extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF,
    };
    return rte_hash_create(&parameters);
}

int twin_hash_add(void *table, uint64_t key, uint64_t value) {
    return rte_hash_add_key_data(table, &key, (void *)(uintptr_t)value);
}

/* Looks up at most 64 keys; a bit for each that was found, whose value is written. */
uint64_t twin_hash_lookup(void *table, const uint64_t *keys, uint32_t count, uint64_t *values) {
    const void *pointers[RTE_HASH_LOOKUP_BULK_MAX];
    uint64_t found = 0;
    for (uint32_t i = 0; i < count; i++)
        pointers[i] = &keys[i];
    rte_hash_lookup_bulk_data(table, pointers, count, &found, (void **)values);
    return found;
}
