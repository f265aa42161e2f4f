// SPDX-License-Identifier: Apache-2.0
//
// A network's Verilated top between models of its DMA engines and their memory, clock by clock.
#pragma once

#include "dma.h"
#include "system_ports.h"

#include <memory>
#include <stdexcept>

class System {
public:
    Memory memory;
    uint64_t now = 0;
    std::vector<std::unique_ptr<Dma>> dma;

    explicit System(unsigned seed) {
        memory.dice.seed(seed);
        for (size_t i = 0; i < ENGINES; i++) {
            size_t bytes = 0;
            for (size_t input = 0; input < INPUTS; input++)
                if (IN_ENGINE[input] == i) bytes = IN_BYTES[input];
            dma.push_back(std::make_unique<Dma>(memory, bytes, i < OUTPUTS ? OUT_BYTES[i] : 0));
        }
        top_.aresetn = 0;
        for (int i = 0; i < 8; i++) step();
        top_.aresetn = 1;
        step();
    }

    // the network's interrupt
    bool interrupt() const { return top_.irq; }

    // an access of the processor, over an interconnect that takes its time
    uint32_t read(size_t device, uint32_t offset) {
        wait();
        if (device) return dma[device - 1]->read(offset);
        top_.s_axi_araddr = offset;
        top_.s_axi_arvalid = 1;
        top_.s_axi_rready = 1;
        settle();
        for (bool asked = false;;) {
            bool takes = top_.s_axi_arvalid && top_.s_axi_arready, answers = asked && top_.s_axi_rvalid;
            uint32_t value = top_.s_axi_rdata;
            if (answers && top_.s_axi_rresp) throw std::runtime_error("a read was answered with SLVERR");
            step();
            if (takes) top_.s_axi_arvalid = 0, asked = true;
            if (answers) {
                top_.s_axi_rready = 0;
                return value;
            }
            settle();
        }
    }

    void write(size_t device, uint32_t offset, uint32_t value) {
        wait();
        if (device) return dma[device - 1]->write(offset, value);
        top_.s_axi_awaddr = offset;
        top_.s_axi_wdata = value;
        top_.s_axi_wstrb = 15;
        top_.s_axi_awvalid = top_.s_axi_wvalid = top_.s_axi_bready = 1;
        settle();
        for (;;) {
            bool address = top_.s_axi_awvalid && top_.s_axi_awready, data = top_.s_axi_wvalid && top_.s_axi_wready;
            bool answers = top_.s_axi_bvalid;
            if (answers && top_.s_axi_bresp) throw std::runtime_error("a write was answered with SLVERR");
            step();
            if (address) top_.s_axi_awvalid = 0;
            if (data) top_.s_axi_wvalid = 0;
            if (answers) break;
            settle();
        }
        top_.s_axi_bready = 0;
    }

    void step() {
        for (size_t i = 0; i < INPUTS; i++) {
            uint8_t data[128];
            const Dma::Channel &from = dma[IN_ENGINE[i]]->mm2s;
            bool valid = from.valid();
            if (valid) from.peek(data);
            offer(top_, i, valid, data, valid ? from.beat() : 0, valid && from.last());
        }
        for (size_t i = 0; i < OUTPUTS; i++) allow(top_, i, dma[i]->s2mm.ready());
        settle();
        for (size_t i = 0; i < INPUTS; i++)
            if (taken(top_, i)) dma[IN_ENGINE[i]]->mm2s.sent(), moved = now;
        for (size_t i = 0; i < OUTPUTS; i++) {
            uint8_t data[128], keep[16];
            bool last;
            if (comes(top_, i, data, keep, last)) dma[i]->s2mm.take(data, keep, last), moved = now;
        }
        top_.aclk = 1;
        top_.eval();
        for (auto &engine : dma) engine->step(now);
        now++;
    }

    uint64_t moved = 0;  // when a word last passed a border

private:
    Vtop top_;

    void settle() {
        top_.aclk = 0;
        top_.eval();
    }
    void wait() {
        for (unsigned many = 10 + memory.dice() % 20; many; many--) step();
    }
};
