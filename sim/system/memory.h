// SPDX-License-Identifier: Apache-2.0
//
// The memory that a processor and its DMA engines share, each behind its own view: what is cached passes from one to the
// other only where it is synchronized, as on a system without coherent ports.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

enum class Answer { okay, slave_error, decode_error };

struct Region {
    std::string name;
    uint64_t bus;
    size_t size;
    bool cached;
    uint8_t *cpu;                 // what the processor sees
    std::vector<uint8_t> own;     // what is in the memory, if that may differ
    uint8_t *memory() { return cached ? own.data() : cpu; }
};

struct Faults {
    // the number of a burst, or of a word, that goes wrong; -1: none
    long slave_error = -1, hang = -1, early_in = -1, early_out = -1;
};

class Memory {
public:
    std::vector<Region> regions;
    std::mt19937 dice;
    Faults faults;
    unsigned least = 20, most = 60;  // clocks until a burst is answered
    bool hung = false;

    unsigned latency() {
        unsigned long many = std::uniform_int_distribution<unsigned>(least, most)(dice);
        // now and then others are served first, or the memory is refreshed
        return static_cast<unsigned>(dice() % 64 ? many : 8 * many);
    }

    Answer read(uint64_t bus, void *to, size_t size) {
        uint8_t *at = find(bus, size);
        if (!at) return Answer::decode_error;
        std::memcpy(to, at, size);
        return Answer::okay;
    }

    Answer write(uint64_t bus, const void *from, size_t size) {
        uint8_t *at = find(bus, size);
        if (!at) return Answer::decode_error;
        std::memcpy(at, from, size);
        return Answer::okay;
    }

private:
    uint8_t *find(uint64_t bus, size_t size) {
        for (Region &region : regions)
            if (bus >= region.bus && bus + size <= region.bus + region.size) return region.memory() + (bus - region.bus);
        return nullptr;
    }
};
