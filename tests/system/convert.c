/* SPDX-License-Identifier: Apache-2.0
 *
 * What the driver makes of frames, without a board: words of the inputs, or numbers of the outputs.
 *
 *   convert in NUMBER float|double < numbers > words      convert out NUMBER < words > numbers
 *   convert time FRAMES                                   nanoseconds a frame of each input and output
 */
#define _GNU_SOURCE
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void stream(const struct hwgen_stream *s, bool in, enum hwgen_type type) {
    size_t number = type == HWGEN_FLOAT32 ? 4 : 8, word = s->width / 8, from = in ? number : word, to = in ? word : 8;
    size_t taken = in ? s->size : words_of(s), given = in ? words_of(s) : s->size;
    void *a = calloc(taken, from), *b = calloc(given, to);
    uint32_t *order;
    bool right = in ? order_of_input(s, &order) : order_of_output(s, &order);
    while (right && fread(a, from, taken, stdin) == taken) {
        if (in) right = pack(s, order, a, type, b);
        else unpack(s, order, a, b);
        if (right) fwrite(b, to, given, stdout);
    }
    free(order);
    free(a);
    free(b);
    if (!right) exit(3);
}

static void measure(const struct hwgen_stream *s, bool in, size_t frames) {
    float *x = calloc(s->size, sizeof *x);
    double *y = calloc(s->size, sizeof *y);
    uint64_t *words = calloc(words_of(s), sizeof *words);
    uint32_t *order;
    if (!(in ? order_of_input(s, &order) : order_of_output(s, &order))) exit(3);
    for (size_t i = 0; i < s->size; i++) x[i] = (float)rand() / (float)RAND_MAX;
    double start = now();
    for (size_t i = 0; i < frames; i++) {
        if (in) pack(s, order, x, HWGEN_FLOAT32, words);
        else unpack(s, order, words, y);
        __asm__ volatile("" ::: "memory");
    }
    printf("%s %s %zu %.1f\n", in ? "in" : "out", s->name, words_of(s) * (s->width / 8), (now() - start) / (double)frames);
    free(order);
    free(x);
    free(y);
    free(words);
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    const struct hwgen_network *net = &hwgen_network;
    bool in = !strcmp(arguments[1], "in");
    size_t number = strtoull(arguments[2], NULL, 10);
    if (!strcmp(arguments[1], "time")) {
        for (size_t i = 0; i < net->inputs; i++) measure(&net->input[i], true, number);
        for (size_t i = 0; i < net->outputs; i++) measure(&net->output[i], false, number);
    } else {
        bool narrow = in && !strcmp(arguments[3], "float");
        stream(in ? &net->input[number] : &net->output[number], in, narrow ? HWGEN_FLOAT32 : HWGEN_FLOAT64);
    }
    return 0;
}
