/* SPDX-License-Identifier: Apache-2.0
 *
 * The user's numbers to the words of a stream and back, as the network's own description says.
 */
#include "internal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

enum { BLOCK = 256 }; /* numbers at a time: they stay in the first cache */

/* The word of an activation [channel][row][column]: in the stream row comes first, channel last. */
static size_t place(const struct hwgen_stream *s, size_t at) {
    size_t area = s->rows * s->columns, number = at % area * s->channels + at / area;
    return number / s->side * s->beat + number % s->side;
}

static bool is_plain(const struct hwgen_stream *s) {
    return !s->view && s->side == s->beat && (s->channels == 1 || s->rows * s->columns == 1);
}

bool order_of_input(const struct hwgen_stream *s, uint32_t **order) {
    *order = NULL;
    if (is_plain(s)) return true;
    if (!(*order = malloc(words_of(s) * sizeof **order))) return false;
    for (size_t i = 0; i < words_of(s); i++) (*order)[i] = (uint32_t)s->size;
    for (size_t i = 0; i < s->size; i++) (*order)[place(s, i)] = s->view ? s->view[i] : (uint32_t)i;
    return true;
}

bool order_of_output(const struct hwgen_stream *s, uint32_t **order) {
    *order = NULL;
    if (is_plain(s)) return true;
    if (!(*order = malloc(s->size * sizeof **order))) return false;
    for (size_t i = 0; i < s->size; i++) (*order)[i] = (uint32_t)place(s, s->view ? s->view[i] : i);
    return true;
}

static void apply(const struct hwgen_step *step, size_t from, size_t count, double *x) {
    for (size_t i = 0; i < count;) {
        size_t at = from + i, many = step->run - at % step->run;
        double value = step->value[at / step->run % step->count];
        many = many < count - i ? many : count - i;
        switch (step->operation) {
        case HWGEN_ADD: for (size_t j = i; j < i + many; j++) x[j] += value; break;
        case HWGEN_SUB: for (size_t j = i; j < i + many; j++) x[j] -= value; break;
        case HWGEN_MUL: for (size_t j = i; j < i + many; j++) x[j] *= value; break;
        default: for (size_t j = i; j < i + many; j++) x[j] /= value;
        }
        i += many;
    }
}

static double rounded(double x, enum hwgen_rounding rounding) {
    double below = floor(x), rest = x - below;
    bool up = rest > 0.5, odd = fmod(below, 2) != 0;
    switch (rounding) {
    case HWGEN_HALF_EVEN: up |= rest == 0.5 && odd; break;
    case HWGEN_HALF_ODD: up |= rest == 0.5 && !odd; break;
    case HWGEN_HALF_UP: up |= rest == 0.5; break;
    case HWGEN_HALF_AWAY: up |= rest == 0.5 && below >= 0; break;
    case HWGEN_FLOOR: up = false; break;
    case HWGEN_CEIL: up = rest > 0; break;
    default: up = rest > 0 && below < 0;
    }
    return below + up;
}

/* What is rounded after it is clamped is what is clamped after it is rounded, for the ends are integers. Words are signed as they are: the network
 * looks at its own bits alone. */
#define QUANTIZE(NAME, REAL, WHOLE, WORD)                                                                              \
    static bool NAME(const REAL *x, size_t count, REAL scale, REAL low, REAL high, WORD *words) {                      \
        int wrong = 0;                                                                                                 \
        for (size_t i = 0; i < count; i++) {                                                                           \
            REAL y = x[i] * scale;                                                                                     \
            wrong |= !(x[i] - x[i] == 0);                                                                              \
            y = y < low ? low : y;                                                                                     \
            y = y > high ? high : y;                                                                                   \
            WHOLE whole = (WHOLE)y; /* toward zero */                                                                  \
            whole -= (REAL)whole > y;                                                                                  \
            whole += y - (REAL)whole >= (REAL)0.5;                                                                     \
            words[i] = (WORD)whole;                                                                                    \
        }                                                                                                              \
        return !wrong;                                                                                                 \
    }
QUANTIZE(quantize_8, float, int32_t, uint8_t)
QUANTIZE(quantize_16, float, int32_t, uint16_t)

static void store(void *words, unsigned width, size_t at, int64_t value) {
    switch (width) {
    case 8: ((uint8_t *)words)[at] = (uint8_t)value; break;
    case 16: ((uint16_t *)words)[at] = (uint16_t)value; break;
    case 32: ((uint32_t *)words)[at] = (uint32_t)value; break;
    default: ((uint64_t *)words)[at] = (uint64_t)value;
    }
}

/* Numbers from..from+count of a frame to words; `order` already looked up: x is in the order of the words. */
static bool quantize(const struct hwgen_stream *s, const double *x, size_t count, void *words, size_t at) {
    bool right = true;
    double scale = ldexp(1, -s->exponent);
    for (size_t i = 0; i < count; i++) {
        double y = x[i] * scale;
        right &= y == y; /* steps may make of finite numbers what is none */
        y = rounded(y < (double)s->low ? (double)s->low : y > (double)s->high ? (double)s->high : y, s->rounding);
        store(words, s->width, at + i, y == y ? (int64_t)y : 0);
    }
    return right;
}

static double number(const void *x, enum hwgen_type type, size_t at) {
    return type == HWGEN_FLOAT32 ? (double)((const float *)x)[at] : ((const double *)x)[at];
}

/* The words in the user's order. Floats of 24 bits hold all that a narrow quantizer looks at. */
static bool convert(const struct hwgen_stream *s, const void *x, enum hwgen_type type, void *words) {
    if (type == HWGEN_FLOAT32 && !s->steps && s->rounding == HWGEN_HALF_UP && s->width <= 16 && abs(s->exponent) < 64) {
        float scale = ldexpf(1, -s->exponent), low = (float)s->low, high = (float)s->high;
        if (s->width == 8) return quantize_8(x, s->size, scale, low, high, words);
        return quantize_16(x, s->size, scale, low, high, words);
    }
    bool right = true;
    for (size_t from = 0; from < s->size; from += BLOCK) {
        double block[BLOCK];
        size_t count = s->size - from < BLOCK ? s->size - from : BLOCK;
        for (size_t i = 0; i < count; i++) {
            block[i] = number(x, type, from + i);
            right &= isfinite(block[i]);
        }
        for (size_t step = 0; step < s->steps; step++) apply(&s->step[step], from, count, block);
        right &= quantize(s, block, count, words, from);
    }
    return right;
}

static void gather(const uint32_t *order, size_t count, unsigned width, const void *from, void *to) {
    switch (width) {
    case 8: for (size_t i = 0; i < count; i++) ((uint8_t *)to)[i] = ((const uint8_t *)from)[order[i]]; break;
    case 16: for (size_t i = 0; i < count; i++) ((uint16_t *)to)[i] = ((const uint16_t *)from)[order[i]]; break;
    case 32: for (size_t i = 0; i < count; i++) ((uint32_t *)to)[i] = ((const uint32_t *)from)[order[i]]; break;
    default: for (size_t i = 0; i < count; i++) ((uint64_t *)to)[i] = ((const uint64_t *)from)[order[i]];
    }
}

bool pack(const struct hwgen_stream *s, const uint32_t *order, const void *x, enum hwgen_type type, void *words) {
    if (!order) return convert(s, x, type, words);
    void *aside = malloc((s->size + 1) * (s->width / 8));
    bool right = aside && convert(s, x, type, aside);
    if (right) store(aside, s->width, s->size, 0);
    if (right) gather(order, words_of(s), s->width, aside, words);
    free(aside);
    return right;
}

static double value(const struct hwgen_stream *s, const void *words, size_t at) {
    bool is_signed = s->low < 0; /* of two types in one ?: C would make one, unsigned */
    switch (s->width) {
    case 8: return is_signed ? (double)((const int8_t *)words)[at] : (double)((const uint8_t *)words)[at];
    case 16: return is_signed ? (double)((const int16_t *)words)[at] : (double)((const uint16_t *)words)[at];
    case 32: return is_signed ? (double)((const int32_t *)words)[at] : (double)((const uint32_t *)words)[at];
    default: return is_signed ? (double)((const int64_t *)words)[at] : (double)((const uint64_t *)words)[at];
    }
}

static void softmax(const struct hwgen_stream *s, double *y) {
    size_t many = s->softmax, step = s->inner;
    for (size_t first = 0; first < s->size; first++) {
        if (first / step % many) continue;
        double *at = y + first, greatest = at[0], sum = 0;
        for (size_t i = 1; i < many; i++) greatest = fmax(greatest, at[i * step]);
        for (size_t i = 0; i < many; i++) sum += exp(at[i * step] - greatest);
        for (size_t i = 0; i < many; i++) {
            double less = at[i * step] - greatest;
            at[i * step] = s->logarithm ? less - log(sum) : exp(less) / sum;
        }
    }
}

void unpack(const struct hwgen_stream *s, const uint32_t *order, const void *words, double *y) {
    double scale = ldexp(1, s->exponent);
    for (size_t i = 0; i < s->size; i++) y[i] = value(s, words, order ? order[i] : i) * scale;
    for (size_t step = 0; step < s->steps; step++) apply(&s->step[step], 0, s->size, y);
    if (s->softmax) softmax(s, y);
}
