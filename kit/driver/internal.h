/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the driver share.
 */
#ifndef HWGEN_INTERNAL_H
#define HWGEN_INTERNAL_H

#include "hwgen.h"

#include <stdbool.h>

/* Memory that CPU and DMA engines share; `bus` is its address for them. */
struct region {
    uint8_t *at;
    uint64_t bus;
    size_t size;
    int sync_for_cpu, sync_for_device; /* files; -1: the memory is not cached */
};

/* The registers of one device, and the file on which its interrupt is waited for. */
struct device {
    volatile uint32_t *at;
    size_t size;
    int file;
};

/* Keeps the text for hwgen_message and returns the status. */
int failed(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

int open_device(struct device *device, const char *name, bool alone);
void close_device(struct device *device);
int open_region(struct region *region, const char *name, bool cached);
void close_region(struct region *region);
int for_device(const struct region *region, size_t offset, size_t size);
int for_cpu(const struct region *region, size_t offset, size_t size);

/* Waits for the interrupt, at most so long, and lets the next one come. */
void await_interrupt(const struct device *device, int milliseconds);
int64_t milliseconds(void);

/* Where each word of a stream lies in the user's frame (`size`: it is empty), and each of the user's numbers in the stream; NULL: in the same
 * order. false where there is no memory. */
bool order_of_input(const struct hwgen_stream *stream, uint32_t **order);
bool order_of_output(const struct hwgen_stream *stream, uint32_t **order);
bool pack(const struct hwgen_stream *stream, const uint32_t *order, const void *x, enum hwgen_type type, void *words);
void unpack(const struct hwgen_stream *stream, const uint32_t *order, const void *words, double *y);

/* Words of a frame in memory. */
static inline size_t words_of(const struct hwgen_stream *stream) { return stream->size / stream->side * stream->beat; }

static inline uint32_t load32(volatile const uint32_t *at) { return *at; }
static inline void store32(volatile uint32_t *at, uint32_t value) { *at = value; }

/* What was stored in shared memory is seen before a register that is written next. */
static inline void barrier(void) {
#if defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("dsb sy" ::: "memory");
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

#endif
