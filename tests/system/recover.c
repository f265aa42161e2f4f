/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs frames twice: the first time something is to go wrong, and is told; then the network is reset.
 *
 *   recover FRAMES X Y [leave]    X: float32, Y: float64, without a header; leave: the first run is left amid its frames
 */
#include "hwgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int amid(hwgen *net, const float *x, size_t frames) {
    int status = hwgen_start(net, (uint32_t)frames);
    for (unsigned slot = 0; !status && slot < hwgen_slots(net); slot++) {
        char *to = hwgen_input(net, slot, 0);
        for (size_t i = 0; !status && i < hwgen_batch(net); i++)
            status = hwgen_pack(net, 0, x, HWGEN_FLOAT32, to + i * hwgen_network.input[0].size);
        if (!status) status = hwgen_submit(net, slot, hwgen_batch(net));
    }
    return status ? status : hwgen_wait(net, 0);
}

int main(int count, char **arguments) {
    if (count < 4) return 2;
    size_t frames = strtoull(arguments[1], NULL, 10), in = hwgen_network.input[0].size, out = hwgen_network.output[0].size;
    float *x = calloc(frames * in, sizeof *x);
    double *y = calloc(frames * out, sizeof *y);
    FILE *file = fopen(arguments[2], "rb");
    if (!file || fread(x, sizeof *x, frames * in, file) != frames * in) return 2;
    fclose(file);
    struct hwgen_options options = {.batch = 8, .timeout_ms = 20};
    hwgen *net;
    if (hwgen_open(&net, &options)) return puts(hwgen_message()), 1;
    const void *from[] = {x};
    double *to[] = {y};
    int status = count > 4 ? amid(net, x, frames) : hwgen_run(net, from, HWGEN_FLOAT32, to, frames);
    printf("first %d: %s\n", status, status ? hwgen_message() : "");
    if (status && hwgen_run(net, from, HWGEN_FLOAT32, to, frames) != HWGEN_BAD_CALL) return 1;
    if (hwgen_reset(net)) return puts(hwgen_message()), 1;
    for (size_t i = 0; i < 4; i++) /* the rings go on: with any number of slots before */
        if (hwgen_run(net, from, HWGEN_FLOAT32, to, i < 3 ? i + 1 : frames)) return puts(hwgen_message()), 1;
    hwgen_close(net);
    file = fopen(arguments[3], "wb");
    if (!file || fwrite(y, sizeof *y, frames * out, file) != frames * out || fclose(file)) return 1;
    free(x);
    free(y);
    return 0;
}
