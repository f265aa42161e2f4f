/* SPDX-License-Identifier: Apache-2.0
 *
 * A network between AXI DMA engines in scatter-gather mode (product guide PG021). Engine i serves input i and output i.
 *
 * A ring of descriptors each way, in memory that is not cached: one for a slot's frames in, one for each frame out, as
 * every frame ends with tlast. Frames lie in cached memory, slot after slot.
 */
#include "internal.h"
#include "hwgen_registers.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_SLOTS = 8, MOST_ENGINES = 64, BATCH = 128, SLICE_MS = 10, RESET_MS = 100 };
enum { LONGEST = (1 << 26) - 1 }; /* bytes of a descriptor */

/* Registers of a channel; S2MM's are 0x30 further. */
enum { CONTROL = 0x00, STATUS = 0x04, CURRENT = 0x08, CURRENT_MSB = 0x0C, TAIL = 0x10, TAIL_MSB = 0x14, S2MM = 0x30 };
enum { RUN = 1, RESET = 4, ON_COUNT = 1 << 12, ON_DELAY = 1 << 13, ON_ERROR = 1 << 14, INTERRUPTS = 7 << 12 };
enum { HALTED = 1, ERRORS = 0x770 };
enum { MOST_COUNT = 255, LONGEST_DELAY = 255 };

/* Words of a descriptor. */
enum { NEXT, NEXT_MSB, BUFFER, BUFFER_MSB, LENGTH = 6, RESULT = 7, DESCRIPTOR = 64 };
enum { SENT_LAST = 1 << 26, SENT_FIRST = 1 << 27, CAME_LAST = 1 << 26, GOT = (1 << 26) - 1 };
static const uint32_t COMPLETE = UINT32_C(1) << 31, BAD = UINT32_C(7) << 28;

/* One direction of an engine. */
struct channel {
    struct device *engine;
    const char *name;
    uint32_t base;      /* of its registers */
    size_t ring;        /* of its first descriptor in the region of descriptors */
    size_t count;       /* descriptors of a slot */
    size_t data;        /* of slot 0 in the region of data */
    size_t frame;       /* bytes of a frame */
    size_t stride;      /* from frame to frame */
    size_t told;        /* after so many frames an interrupt comes */
    size_t parted[MOST_SLOTS]; /* 0, or how many of a slot's descriptors were last used, being fewer than all */
    uint32_t *order;
};

struct hwgen {
    struct device registers, engine[MOST_ENGINES + 1];
    struct region descriptors, data;
    struct channel in[MOST_ENGINES + 1], out[MOST_ENGINES]; /* weights come behind the inputs */
    size_t batch, slot_bytes, sent[MOST_SLOTS]; /* frames under way in each slot */
    unsigned slots, next, next_load; /* the rings go on from run to run */
    int timeout_ms;
    bool broken;
    char name[MOST_ENGINES + 1][16];
};

static const struct hwgen_network *const built = &hwgen_network;

uint32_t hwgen_read(hwgen *net, uint32_t offset) { return load32(net->registers.at + offset / 4); }
void hwgen_write(hwgen *net, uint32_t offset, uint32_t value) { store32(net->registers.at + offset / 4, value); }
size_t hwgen_batch(const hwgen *net) { return net->batch; }
unsigned hwgen_slots(const hwgen *net) { return net->slots; }
unsigned hwgen_next(const hwgen *net) { return net->next; }

static uint32_t get(const struct channel *c, uint32_t offset) { return load32(c->engine->at + (c->base + offset) / 4); }
static void set(const struct channel *c, uint32_t offset, uint32_t value) {
    store32(c->engine->at + (c->base + offset) / 4, value);
}

static volatile uint32_t *descriptor(hwgen *net, const struct channel *c, size_t at) {
    return (volatile uint32_t *)(void *)(net->descriptors.at + c->ring + at * DESCRIPTOR);
}

static uint64_t bus_of(const hwgen *net, const struct channel *c, size_t at) {
    return net->descriptors.bus + c->ring + at * DESCRIPTOR;
}

static size_t up(size_t size) { return (size + built->align - 1) / built->align * built->align; }
static size_t bytes(const struct hwgen_stream *s) { return s->frames * words_of(s) * (s->width / 8); }

/* Bytes in and out of so many frames in one slot. */
static size_t slot_of(size_t frames) {
    size_t size = 0;
    for (size_t i = 0; i < built->inputs; i++) size += up(frames * bytes(&built->input[i]));
    for (size_t i = 0; i < built->outputs; i++) size += frames * up(bytes(&built->output[i]));
    return size;
}

static size_t senders(void) { return built->inputs + (built->load_stream ? 1 : 0); }
static size_t descriptors_of(size_t frames) { return (senders() + built->outputs * frames) * DESCRIPTOR; }

static bool fits(const hwgen *net, size_t frames) {
    for (size_t i = 0; i < built->inputs; i++)
        if (frames * bytes(&built->input[i]) > LONGEST) return false;
    return net->slots * slot_of(frames) <= net->data.size && net->slots * descriptors_of(frames) <= net->descriptors.size;
}

static int choose_batch(hwgen *net, size_t wanted) {
    net->batch = wanted ? wanted : BATCH;
    while (net->batch > 1 && !fits(net, net->batch)) net->batch--;
    if (!fits(net, net->batch) || (wanted && net->batch != wanted))
        return failed(HWGEN_TOO_SMALL, "the DMA buffers hold %zu and %zu bytes, %u slots of %zu frames take %zu and %zu",
                      net->data.size, net->descriptors.size, net->slots, wanted ? wanted : 1,
                      net->slots * slot_of(wanted ? wanted : 1), net->slots * descriptors_of(wanted ? wanted : 1));
    net->slot_bytes = slot_of(net->batch);
    return HWGEN_OK;
}

/* Writes the parts of a channel's descriptors that stay. */
static void write_ring(hwgen *net, struct channel *c, bool sends) {
    size_t all = c->count * net->slots;
    for (size_t i = 0; i < all; i++) {
        volatile uint32_t *at = descriptor(net, c, i);
        uint64_t next = bus_of(net, c, (i + 1) % all);
        uint64_t buffer = net->data.bus + c->data + i / c->count * net->slot_bytes + i % c->count * c->stride;
        for (size_t word = 0; word < DESCRIPTOR / 4; word++) at[word] = 0;
        at[NEXT] = (uint32_t)next;
        at[NEXT_MSB] = (uint32_t)(next >> 32);
        at[BUFFER] = (uint32_t)buffer;
        at[BUFFER_MSB] = (uint32_t)(buffer >> 32);
        at[LENGTH] = sends ? 0 : (uint32_t)c->frame;
    }
    memset(c->parted, 0, sizeof c->parted);
}

/* The first descriptor of the next slot follows the one at `last` of this slot. */
static void link_slot(hwgen *net, const struct channel *c, unsigned slot, size_t last, bool to_next_slot) {
    size_t at = slot * c->count + last;
    size_t next = to_next_slot ? (slot + 1) % net->slots * c->count : at + 1;
    uint64_t bus = bus_of(net, c, next);
    descriptor(net, c, at)[NEXT] = (uint32_t)bus;
    descriptor(net, c, at)[NEXT_MSB] = (uint32_t)(bus >> 32);
}

/* An interrupt after so many frames, or, as slots that are under way may be of others, when none came for a while. */
static void run_channel(struct channel *c, size_t frames) {
    frames = frames < MOST_COUNT ? frames : MOST_COUNT;
    if (c->told == frames) return;
    c->told = frames;
    set(c, CONTROL, RUN | ON_COUNT | ON_DELAY | ON_ERROR | (uint32_t)frames << 16 | (uint32_t)LONGEST_DELAY << 24);
}

static void begin_channel(hwgen *net, struct channel *c) {
    uint64_t first = bus_of(net, c, 0);
    set(c, CURRENT, (uint32_t)first);
    set(c, CURRENT_MSB, (uint32_t)(first >> 32));
    c->told = 0;
    run_channel(c, c->count);
}

static void push(hwgen *net, const struct channel *c, unsigned slot, size_t count) {
    uint64_t last = bus_of(net, c, slot * c->count + count - 1);
    set(c, TAIL, (uint32_t)last); /* with 64-bit addresses the upper word starts the engine, and is written last */
    set(c, TAIL_MSB, (uint32_t)(last >> 32));
}

static int reset_engine(const struct channel *c) {
    int64_t end = milliseconds() + RESET_MS;
    set(c, CONTROL, RESET);
    while (get(c, CONTROL) & RESET)
        if (milliseconds() > end)
            return failed(HWGEN_TIMEOUT, "%s does not come out of its reset: load the bitstream again", c->name);
    return HWGEN_OK;
}

int hwgen_reset(hwgen *net) {
    int status = HWGEN_OK;
    for (size_t i = 0; i < senders() && !status; i++) status = reset_engine(&net->in[i]);
    for (size_t i = 0; i < built->outputs && !status; i++) status = reset_engine(&net->out[i]);
    if (status) return status;
    hwgen_write(net, HWGEN_CONTROL, HWGEN_CONTROL_SOFT_RESET);
    (void)hwgen_read(net, HWGEN_STATUS); /* the write has arrived before an engine sends */
    hwgen_write(net, HWGEN_INTERRUPT_ENABLE, HWGEN_INTERRUPT_DONE | HWGEN_INTERRUPT_TLAST_ERROR);
    for (size_t i = 0; i < senders(); i++) write_ring(net, &net->in[i], true);
    for (size_t i = 0; i < built->outputs; i++) write_ring(net, &net->out[i], false);
    barrier();
    for (size_t i = 0; i < senders(); i++) begin_channel(net, &net->in[i]);
    for (size_t i = 0; i < built->outputs; i++) begin_channel(net, &net->out[i]);
    memset(net->sent, 0, sizeof net->sent);
    net->next = net->next_load = 0;
    net->broken = false;
    return HWGEN_OK;
}

static int lay_out(hwgen *net) {
    size_t ring = 0, data = 0;
    if (built->load_stream) { /* its buffer is that of all slots, as no run is under way */
        size_t engine = built->inputs > built->outputs ? built->inputs : built->outputs;
        net->in[built->inputs] = (struct channel){.engine = &net->engine[engine], .name = net->name[engine], .count = 1};
        ring = net->slots * DESCRIPTOR;
    }
    for (size_t i = 0; i < built->inputs + built->outputs; i++) {
        bool sends = i < built->inputs;
        size_t number = sends ? i : i - built->inputs;
        const struct hwgen_stream *s = sends ? &built->input[number] : &built->output[number];
        struct channel *c = sends ? &net->in[number] : &net->out[number];
        c->engine = &net->engine[number];
        c->name = net->name[number];
        c->base = sends ? 0 : S2MM;
        c->frame = bytes(s);
        c->stride = sends ? c->frame : up(c->frame);
        c->count = sends ? 1 : net->batch;
        c->ring = ring;
        c->data = data;
        ring += c->count * net->slots * DESCRIPTOR;
        data += up(net->batch * c->stride);
        if (!(sends ? order_of_input(s, &c->order) : order_of_output(s, &c->order)))
            return failed(HWGEN_TOO_SMALL, "there is no memory for the order of %s", s->name);
    }
    return HWGEN_OK;
}

static int check_build(hwgen *net) {
    uint32_t id = hwgen_read(net, HWGEN_ID), build = hwgen_read(net, HWGEN_BUILD_ID);
    if (id != UINT32_C(0x4857474E))
        return failed(HWGEN_WRONG_BUILD, "hwgen-net is no network of hwgen: its ID reads 0x%08X: load the bitstream", id);
    if (build != built->build_id)
        return failed(HWGEN_WRONG_BUILD, "the bitstream is of build 0x%08X, this driver of 0x%08X (%s): load its own kit",
                      build, built->build_id, built->name);
    return HWGEN_OK;
}

static int open_all(hwgen *net, const struct hwgen_options *options) {
    int status = open_device(&net->registers, "hwgen-net", true);
    size_t engines = built->inputs > built->outputs ? built->inputs : built->outputs;
    if (built->load_stream) engines++;
    if (!status) status = check_build(net);
    for (size_t i = 0; i < engines && !status; i++) {
        memcpy(net->name[i], "hwgen-dma", 9);
        net->name[i][9] = (char)('0' + (i > 9 ? i / 10 : i));
        if (i > 9) net->name[i][10] = (char)('0' + i % 10);
        status = open_device(&net->engine[i], net->name[i], false);
    }
    if (!status) status = open_region(&net->descriptors, "hwgen-descriptors", false);
    if (!status) status = open_region(&net->data, "hwgen-data", true);
    if (!status) status = choose_batch(net, options->batch);
    if (!status) status = lay_out(net);
    return status ? status : hwgen_reset(net);
}

int hwgen_open(hwgen **found, const struct hwgen_options *options) {
    static const struct hwgen_options none = {0};
    options = options ? options : &none;
    *found = NULL;
    if (options->slots == 1 || options->slots > MOST_SLOTS)
        return failed(HWGEN_BAD_CALL, "%u slots: use 2 to %d", options->slots, MOST_SLOTS);
    hwgen *net = calloc(1, sizeof *net);
    if (!net) return failed(HWGEN_TOO_SMALL, "there is no memory for the driver");
    net->registers.file = net->data.sync_for_cpu = net->data.sync_for_device = -1;
    net->descriptors.sync_for_cpu = net->descriptors.sync_for_device = -1;
    for (size_t i = 0; i <= MOST_ENGINES; i++) net->engine[i].file = -1;
    net->slots = options->slots ? options->slots : 2;
    net->timeout_ms = options->timeout_ms ? (int)options->timeout_ms : 1000;
    int status = open_all(net, options);
    if (status) {
        net->broken = true;
        hwgen_close(net);
        return status;
    }
    *found = net;
    return HWGEN_OK;
}

void hwgen_close(hwgen *net) {
    if (!net) return;
    if (!net->broken) { /* an engine must not write to memory that is another's by then */
        for (size_t i = 0; i < senders(); i++) reset_engine(&net->in[i]);
        for (size_t i = 0; i < built->outputs; i++) reset_engine(&net->out[i]);
        hwgen_write(net, HWGEN_CONTROL, HWGEN_CONTROL_SOFT_RESET);
    }
    for (size_t i = 0; i < MOST_ENGINES; i++) {
        free(net->in[i].order);
        free(net->out[i].order);
    }
    for (size_t i = 0; i <= MOST_ENGINES; i++) close_device(&net->engine[i]);
    close_region(&net->data);
    close_region(&net->descriptors);
    close_device(&net->registers);
    free(net);
}

void *hwgen_input(hwgen *net, unsigned slot, size_t input) {
    return net->data.at + net->in[input].data + slot * net->slot_bytes;
}

const void *hwgen_output(hwgen *net, unsigned slot, size_t output, size_t *stride) {
    *stride = net->out[output].stride;
    return net->data.at + net->out[output].data + slot * net->slot_bytes;
}

int hwgen_start(hwgen *net, uint32_t frames) {
    if (net->broken) return failed(HWGEN_BAD_CALL, "the run before failed: call hwgen_reset first");
    if (hwgen_read(net, HWGEN_STATUS) & HWGEN_STATUS_UNLOADED)
        return failed(HWGEN_NOT_LOADED, "a layer has no weights: call hwgen_load first");
    hwgen_write(net, HWGEN_INTERRUPT, HWGEN_INTERRUPT_DONE | HWGEN_INTERRUPT_TLAST_ERROR);
    hwgen_write(net, HWGEN_FRAMES, frames);
    hwgen_write(net, HWGEN_CONTROL, HWGEN_CONTROL_START);
    return HWGEN_OK;
}

static void arm_output(hwgen *net, struct channel *c, unsigned slot, size_t frames) {
    if (c->parted[slot]) link_slot(net, c, slot, c->parted[slot] - 1, false);
    c->parted[slot] = frames < c->count ? frames : 0;
    if (c->parted[slot]) link_slot(net, c, slot, frames - 1, true);
    for (size_t i = 0; i < frames; i++) descriptor(net, c, slot * c->count + i)[RESULT] = 0;
}

int hwgen_submit(hwgen *net, unsigned slot, size_t frames) {
    if (frames < 1 || frames > net->batch || slot != net->next || net->sent[slot])
        return failed(HWGEN_BAD_CALL, "%zu frames in slot %u: give 1 to %zu in slot %u, once it was waited for", frames,
                      slot, net->batch, net->next);
    int status = for_device(&net->data, slot * net->slot_bytes, net->slot_bytes);
    if (status) return status;
    for (size_t i = 0; i < built->outputs; i++) arm_output(net, &net->out[i], slot, frames);
    for (size_t i = 0; i < built->inputs; i++) {
        volatile uint32_t *at = descriptor(net, &net->in[i], slot);
        at[LENGTH] = (uint32_t)(frames * net->in[i].frame) | SENT_FIRST | SENT_LAST;
        at[RESULT] = 0;
    }
    barrier();
    for (size_t i = 0; i < built->outputs; i++) {
        run_channel(&net->out[i], frames);
        push(net, &net->out[i], slot, frames);
    }
    for (size_t i = 0; i < built->inputs; i++) push(net, &net->in[i], slot, 1);
    net->sent[slot] = frames;
    net->next = (slot + 1) % net->slots;
    return HWGEN_OK;
}

static int broke(hwgen *net, int status) {
    net->broken = true;
    return status;
}

static int check_channel(hwgen *net, const struct channel *c) {
    uint32_t status = get(c, STATUS);
    if (!(status & ERRORS)) return HWGEN_OK;
    return broke(net, failed(HWGEN_DMA_FAILED, "%s, %s, stopped at the descriptor 0x%08X%08X: %s", c->name,
                             c->base ? "to memory" : "from memory", get(c, CURRENT_MSB), get(c, CURRENT),
                             status & 0x440 ? "no memory at an address"
                             : status & 0x220 ? "the memory answered with an error"
                                              : "a descriptor or a transfer is wrong"));
}

/* What is wrong in the network or an engine, if anything is. */
static int check_all(hwgen *net) {
    int status = HWGEN_OK;
    for (size_t i = 0; i < senders() && !status; i++) status = check_channel(net, &net->in[i]);
    for (size_t i = 0; i < built->outputs && !status; i++) status = check_channel(net, &net->out[i]);
    if (!status && hwgen_read(net, HWGEN_STATUS) & HWGEN_STATUS_TLAST_ERROR)
        status = broke(net, failed(HWGEN_TLAST, "a transfer to the network ended amid a frame, after %u whole ones",
                                   hwgen_read(net, HWGEN_FRAMES_IN)));
    return status;
}

static int check_frames(hwgen *net, const struct channel *c, unsigned slot, size_t frames) {
    for (size_t i = 0; i < frames; i++) {
        uint32_t result = descriptor(net, c, slot * c->count + i)[RESULT];
        if (result & BAD) return check_channel(net, c);
        if ((result & GOT) != c->frame || !(result & CAME_LAST))
            return broke(net, failed(HWGEN_SHORT, "frame %zu of a transfer came back with %u bytes, not %zu", i,
                                     result & GOT, c->frame));
    }
    return HWGEN_OK;
}

/* Until the last of the slot's descriptors is complete. */
static int await(hwgen *net, const struct channel *c, volatile uint32_t *last) {
    int64_t end = milliseconds() + net->timeout_ms;
    while (!(*last & COMPLETE)) {
        int status = check_all(net);
        if (status) return status;
        int64_t left = end - milliseconds();
        if (left <= 0)
            return broke(net, failed(HWGEN_TIMEOUT, "no result in %d ms: %u frames went in, %u came out",
                                     net->timeout_ms, hwgen_read(net, HWGEN_FRAMES_IN),
                                     hwgen_read(net, HWGEN_FRAMES_OUT)));
        set(c, STATUS, INTERRUPTS);
        if (!(*last & COMPLETE)) await_interrupt(c->engine, left < SLICE_MS ? (int)left : SLICE_MS);
    }
    return HWGEN_OK;
}

int hwgen_wait(hwgen *net, unsigned slot) {
    if (slot >= net->slots || !net->sent[slot]) return failed(HWGEN_BAD_CALL, "nothing was sent in slot %u", slot);
    size_t frames = net->sent[slot];
    for (size_t i = 0; i < built->outputs; i++) {
        const struct channel *c = &net->out[i];
        int status = await(net, c, &descriptor(net, c, slot * c->count + frames - 1)[RESULT]);
        if (!status) status = check_frames(net, c, slot, frames);
        if (!status) status = for_cpu(&net->data, slot * net->slot_bytes + c->data, frames * c->stride);
        if (status) return status;
    }
    net->sent[slot] = 0;
    return HWGEN_OK;
}

int hwgen_finish(hwgen *net) {
    int64_t end = milliseconds() + net->timeout_ms;
    while (!(hwgen_read(net, HWGEN_STATUS) & HWGEN_STATUS_DONE)) {
        int status = check_all(net);
        if (status) return status;
        if (milliseconds() > end)
            return broke(net, failed(HWGEN_TIMEOUT, "the run does not end: %u frames went in, %u came out",
                                     hwgen_read(net, HWGEN_FRAMES_IN), hwgen_read(net, HWGEN_FRAMES_OUT)));
        await_interrupt(&net->registers, SLICE_MS);
    }
    return HWGEN_OK;
}

static size_t size_of(enum hwgen_type type) { return type == HWGEN_FLOAT32 ? sizeof(float) : sizeof(double); }

int hwgen_pack(const hwgen *net, size_t input, const void *x, enum hwgen_type type, void *words) {
    if (pack(&built->input[input], net->in[input].order, x, type, words)) return HWGEN_OK;
    return failed(HWGEN_BAD_CALL, "the input %s holds a number that is not finite", built->input[input].name);
}

void hwgen_unpack(const hwgen *net, size_t output, const void *words, double *y) {
    unpack(&built->output[output], net->out[output].order, words, y);
}

/* The frames from `first` on into a slot. */
static int send(hwgen *net, unsigned slot, const void *const *x, enum hwgen_type type, size_t first, size_t frames) {
    for (size_t i = 0; i < built->inputs; i++) {
        const char *from = (const char *)x[i] + first * built->input[i].frames * built->input[i].size * size_of(type);
        char *to = hwgen_input(net, slot, i);
        const struct hwgen_stream *s = &built->input[i];
        for (size_t frame = 0; frame < frames * s->frames; frame++) {
            const char *x_at = from + frame * s->size * size_of(type);
            int status = hwgen_pack(net, i, x_at, type, to + frame * (net->in[i].frame / s->frames));
            if (status) return broke(net, status);
        }
    }
    return hwgen_submit(net, slot, frames);
}

static void receive(hwgen *net, unsigned slot, double *const *y, size_t first, size_t frames) {
    for (size_t i = 0; i < built->outputs; i++) {
        size_t stride;
        const char *from = hwgen_output(net, slot, i, &stride);
        const struct hwgen_stream *s = &built->output[i];
        for (size_t frame = 0; frame < frames * s->frames; frame++) {
            const char *words = from + frame / s->frames * stride + frame % s->frames * (net->out[i].frame / s->frames);
            hwgen_unpack(net, i, words, y[i] + (first * s->frames + frame) * s->size);
        }
    }
}

int hwgen_run(hwgen *net, const void *const *x, enum hwgen_type type, double *const *y, size_t frames) {
    if (frames < 1 || frames > UINT32_MAX || frames % built->sample)
        return failed(HWGEN_BAD_CALL, "%zu frames: give whole samples of %zu, at least one", frames, built->sample);
    frames /= built->input[0].frames; /* as the network counts */
    int status = hwgen_start(net, (uint32_t)frames);
    size_t sent = 0, came = 0;
    for (unsigned oldest = net->next; !status && came < frames; oldest = (oldest + 1) % net->slots) {
        while (!status && sent < frames && !net->sent[net->next]) {
            size_t many = frames - sent < net->batch ? frames - sent : net->batch;
            status = send(net, net->next, x, type, sent, many);
            sent += many;
        }
        size_t many = net->sent[oldest];
        if (!status) status = hwgen_wait(net, oldest);
        if (!status) receive(net, oldest, y, came, many);
        came += many;
    }
    return status ? status : hwgen_finish(net);
}

/* Register writes by the DMA engine, as many at a time as the buffer holds. */
static int stream_writes(hwgen *net, const uint32_t *pairs, size_t count) {
    struct channel *c = &net->in[built->inputs];
    size_t most = (net->data.size < LONGEST ? net->data.size : LONGEST) / 8, many;
    for (; count; count -= many, pairs += 2 * many) {
        volatile uint32_t *at = descriptor(net, c, net->next_load);
        many = count < most ? count : most;
        memcpy(net->data.at, pairs, many * 8);
        int status = for_device(&net->data, 0, many * 8);
        if (status) return status;
        at[BUFFER] = (uint32_t)net->data.bus;
        at[BUFFER_MSB] = (uint32_t)(net->data.bus >> 32);
        at[LENGTH] = (uint32_t)(many * 8) | SENT_FIRST | SENT_LAST;
        at[RESULT] = 0;
        barrier();
        run_channel(c, 1);
        push(net, c, net->next_load, 1);
        net->next_load = (net->next_load + 1) % net->slots;
        status = await(net, c, &at[RESULT]);
        if (status) return status;
    }
    return HWGEN_OK;
}

/* Whether the layer's list is whole and what came is what was sent. */
static int check_list(hwgen *net, const uint32_t *pairs, size_t count) {
    uint32_t sum = 0, check = 0;
    for (size_t i = 0; i < count; i++) {
        sum = i ? sum + pairs[2 * i + 1] : pairs[1];
        check = i ? check + sum : sum;
    }
    int64_t end = milliseconds() + net->timeout_ms;
    while (!(hwgen_read(net, HWGEN_LOADED) & 1) && milliseconds() < end) {} /* the last of it is on its way */
    if (hwgen_read(net, HWGEN_LOAD_CHECK) == check && hwgen_read(net, HWGEN_LOADED) & 1) return HWGEN_OK;
    return failed(HWGEN_NOT_LOADED, "the list of layer %u did not arrive as it was sent", hwgen_read(net, HWGEN_LOAD_LAYER));
}

int hwgen_load(hwgen *net, const uint32_t *pairs, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t offset = pairs[2 * i];
        if (offset != HWGEN_LOAD_LAYER && offset != HWGEN_LOAD_WORDS && offset != HWGEN_LOAD_DATA)
            return failed(HWGEN_BAD_CALL, "write %zu is to 0x%X, which loads no weights", i, offset);
    }
    if (net->broken || hwgen_read(net, HWGEN_STATUS) & HWGEN_STATUS_BUSY)
        return failed(HWGEN_BAD_CALL, "a run is under way: load weights between runs");
    for (size_t i = 0, many; i < count; i += many) {
        const uint32_t *list = pairs + 2 * i;
        int status = HWGEN_OK;
        for (many = 1; i + many < count && list[2 * many] == HWGEN_LOAD_DATA; many++) {}
        if (built->load_stream && many > 1) status = stream_writes(net, list, many);
        else for (size_t j = 0; j < many; j++) hwgen_write(net, list[2 * j], list[2 * j + 1]);
        if (!status && list[0] != HWGEN_LOAD_LAYER) status = check_list(net, list, many);
        if (status) return status;
    }
    return HWGEN_OK;
}

int hwgen_mode(hwgen *net, uint32_t mode) {
    if (mode >= built->modes) return failed(HWGEN_BAD_CALL, "mode %u: this build has %u", mode, built->modes);
    if (built->modes > 1) hwgen_write(net, HWGEN_MODE, mode);
    return HWGEN_OK;
}

static uint64_t wide(hwgen *net, uint32_t offset) {
    uint64_t low = hwgen_read(net, offset);
    return low | (uint64_t)hwgen_read(net, offset + 4) << 32;
}

void hwgen_count(hwgen *net, struct hwgen_counters *counters) {
    counters->frames_in = hwgen_read(net, HWGEN_FRAMES_IN);
    counters->frames_out = hwgen_read(net, HWGEN_FRAMES_OUT);
    counters->cycles = wide(net, HWGEN_CYCLES);
    counters->input_stalls = wide(net, HWGEN_INPUT_STALLS);
    counters->output_stalls = wide(net, HWGEN_OUTPUT_STALLS);
    counters->starved = wide(net, HWGEN_STARVED);
}
