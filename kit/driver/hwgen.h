/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a network of hwgen from Linux: registers through UIO, frames through AXI DMA engines and u-dma-buf.
 *
 *   hwgen *net;
 *   if (hwgen_open(&net, NULL) != HWGEN_OK) { puts(hwgen_message()); return 1; }
 *   const void *x[] = {images};            float32 [frames][hwgen_network.input[0].size]
 *   double *y[] = {results};               [frames][hwgen_network.output[0].size]
 *   if (hwgen_run(net, x, HWGEN_FLOAT32, y, frames) != HWGEN_OK) puts(hwgen_message());
 *   hwgen_close(net);
 *
 * Numbers are those of `hwgen simulate`, bit for bit; of an output behind a softmax, up to the rounding of exp and log.
 * A handle is for one thread at a time. A function that fails leaves the reason in hwgen_message(); hwgen_reset makes the
 * network ready again.
 */
#ifndef HWGEN_H
#define HWGEN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hwgen_status {
    HWGEN_OK,
    HWGEN_NO_DEVICE,   /* a device file is missing or cannot be opened */
    HWGEN_IN_USE,      /* by another process */
    HWGEN_WRONG_BUILD, /* what is in the device is not this build */
    HWGEN_TOO_SMALL,   /* the DMA buffer */
    HWGEN_BAD_CALL,    /* an argument is wrong; nothing was sent */
    HWGEN_DMA_FAILED,  /* a DMA engine met an error of the bus or of a descriptor */
    HWGEN_SHORT,       /* a frame came back with too few or too many words */
    HWGEN_TLAST,       /* the network counted other frames than were sent */
    HWGEN_TIMEOUT,
    HWGEN_NOT_LOADED   /* a list of weights did not arrive as it was sent */
};

enum hwgen_type { HWGEN_FLOAT32, HWGEN_FLOAT64 };
enum hwgen_rounding {
    HWGEN_HALF_EVEN,
    HWGEN_HALF_ODD,
    HWGEN_HALF_UP,
    HWGEN_HALF_AWAY,
    HWGEN_FLOOR,
    HWGEN_CEIL,
    HWGEN_TO_ZERO
};
enum hwgen_operation { HWGEN_ADD, HWGEN_SUB, HWGEN_MUL, HWGEN_DIV };

/* An operation with `count` numbers, of which each is for `run` elements of the frame, again and again. */
struct hwgen_step {
    enum hwgen_operation operation;
    size_t count, run;
    const double *value;
};

/* What goes over one stream: `size` integers from low to high, each worth 2^exponent. */
struct hwgen_stream {
    const char *name;
    size_t frames;                     /* that the network counts as one: of a network with time steps there may be several */
    size_t size;                       /* activations in a frame, and numbers in the user's */
    size_t channels, rows, columns;    /* which the stream has as row, column, channel */
    size_t side, beat;                 /* activations in a beat, and words that it takes: the last may be empty */
    unsigned width;                    /* of a word: 8, 16, 32 or 64 bits */
    int64_t low, high;
    int exponent;
    const uint32_t *view;              /* NULL, or of an input where each activation [channel][row][column] lies in the
                                          user's frame; of an output where each of the user's numbers lies in it */
    size_t steps;
    const struct hwgen_step *step;     /* of an input before it is rounded, of an output at the end */
    enum hwgen_rounding rounding;
    size_t softmax, inner;             /* 0, or numbers that a softmax is over, and how far they are from each other */
    int logarithm;                     /* whether it is a log_softmax */
};

struct hwgen_network {
    const char *name;
    uint32_t build_id;
    uint32_t modes;
    uint32_t layers;                   /* whose weights can be loaded */
    int load_stream;                   /* whether by a DMA engine */
    size_t align;                      /* of a frame in memory, bytes: a DMA engine reads and writes whole beats */
    size_t sample;                     /* frames that belong together */
    double clock_mhz;
    size_t inputs, outputs;
    const struct hwgen_stream *input, *output;
};

extern const struct hwgen_network hwgen_network;

struct hwgen_options {
    size_t batch;            /* frames of a transfer; 0: 128, or as many as the buffer holds */
    unsigned slots;          /* transfers under way, 2 to 8; 0: 2 */
    unsigned timeout_ms;     /* without a result; 0: 1000 */
};

struct hwgen_counters {
    uint32_t frames_in, frames_out;
    uint64_t cycles, input_stalls, output_stalls, starved;
};

typedef struct hwgen hwgen;

int hwgen_open(hwgen **net, const struct hwgen_options *options);
void hwgen_close(hwgen *net);

/* Frames of all inputs, in their order, to numbers of all outputs; results of the first frames come while later ones are
 * sent. An output has frames * hwgen_network.output[i].frames / hwgen_network.input[0].frames. */
int hwgen_run(hwgen *net, const void *const *x, enum hwgen_type type, double *const *y, size_t frames);

/* Empties the network and the DMA engines, whatever they do. */
int hwgen_reset(hwgen *net);

/* Register writes of `hwgen weights`, pairs of offset and value; between runs. */
int hwgen_load(hwgen *net, const uint32_t *pairs, size_t count);

/* The mode of frames that are sent from now on, of a build with several. */
int hwgen_mode(hwgen *net, uint32_t mode);

/* Of the last run. */
void hwgen_count(hwgen *net, struct hwgen_counters *counters);

uint32_t hwgen_read(hwgen *net, uint32_t offset);
void hwgen_write(hwgen *net, uint32_t offset, uint32_t value);

/* Without a copy: a run of `frames` frames as the network counts them (0: until hwgen_reset) of transfers that the caller fills and reads in place,
 * `hwgen_batch` frames each at most, slot after slot from hwgen_next on. hwgen_submit(slot, n) sends what hwgen_input(slot) holds of n
 * frames; hwgen_wait(slot) waits for their results, which then are at hwgen_output(slot), each frame `*stride` bytes
 * behind the one before; hwgen_finish waits for the end of the run. */
int hwgen_start(hwgen *net, uint32_t frames);
size_t hwgen_batch(const hwgen *net);
unsigned hwgen_slots(const hwgen *net);
unsigned hwgen_next(const hwgen *net);
void *hwgen_input(hwgen *net, unsigned slot, size_t input);
const void *hwgen_output(hwgen *net, unsigned slot, size_t output, size_t *stride);
int hwgen_submit(hwgen *net, unsigned slot, size_t frames);
int hwgen_wait(hwgen *net, unsigned slot);
int hwgen_finish(hwgen *net);

/* The words of one frame of a stream from the user's numbers, and the user's numbers from the words of one frame. HWGEN_BAD_CALL where a number is
 * not finite. */
int hwgen_pack(const hwgen *net, size_t input, const void *x, enum hwgen_type type, void *words);
void hwgen_unpack(const hwgen *net, size_t output, const void *words, double *y);

/* What went wrong last, in this thread. */
const char *hwgen_message(void);

#ifdef __cplusplus
}
#endif
#endif
