// SPDX-License-Identifier: Apache-2.0
//
// A model of AXI DMA 7.1 in scatter-gather mode with 64-bit addresses, from the register and descriptor tables of its
// product guide (PG021): what a driver and a stream see. One burst of 128 bytes after the other, up to four under way,
// 8 bytes a clock; no descriptor is fetched ahead.
#pragma once

#include "memory.h"

#include <algorithm>
#include <array>
#include <stdexcept>

class Dma {
public:
    Dma(Memory &memory, size_t word_in, size_t word_out) : mm2s(memory, word_in, true), s2mm(memory, word_out, false) {}

    uint32_t read(uint32_t offset) { return channel(offset).read(offset % 0x30); }

    void write(uint32_t offset, uint32_t value) {
        if (offset % 0x30 == 0 && value & 4) {  // either channel's reset is that of both
            mm2s.reset();
            s2mm.reset();
        } else {
            channel(offset).write(offset % 0x30, value);
        }
    }

    void step(uint64_t now) {
        mm2s.step(now);
        s2mm.step(now);
    }

    // the one that a device tree's first interrupt is: of what goes to memory, if there is that
    bool interrupt() const { return s2mm.word ? s2mm.interrupt() : mm2s.interrupt(); }

    class Channel {
    public:
        Channel(Memory &memory, size_t word, bool sends) : word(word), memory_(memory), sends_(sends) { reset(); }

        const size_t word;  // bytes of a beat; 0: the channel is not there

        void reset() {
            control_ = 0x00010002;
            status_ = 0x00000009;  // halted, with scatter-gather
            current_ = tail_ = next_ = 0;
            state_ = State::idle;
            pending_ = false;
            first_ = true;
            packet_ends_ = false;
            bursts_.clear();
            fifo_.clear();
            ends_.clear();
            left_ = got_ = reserved_ = 0;
            bus_free_ = 0;
            count_ = 1;
            waited_ = 0;
            resetting_ = 30;
            memory_.hung = false;
        }

        uint32_t read(uint32_t offset) const {
            switch (offset) {
            case 0x00: return control_ | (resetting_ ? 4u : 0u);
            case 0x04: return status_ | count_ << 16;
            case 0x08: return static_cast<uint32_t>(current_);
            case 0x0C: return static_cast<uint32_t>(current_ >> 32);
            case 0x10: return static_cast<uint32_t>(tail_);
            case 0x14: return static_cast<uint32_t>(tail_ >> 32);
            default: return 0;
            }
        }

        void write(uint32_t offset, uint32_t value) {
            bool halted = status_ & 1;
            if (resetting_) return;
            switch (offset) {
            case 0x00:
                control_ = (value & 0xFFFF7001) | 2;
                count_ = value >> 16 & 0xFF;
                status_ = value & 1 ? status_ & ~1u : status_ | 1;
                break;
            case 0x04: status_ &= ~(value & 0x7000); break;
            case 0x08: if (halted) current_ = (current_ >> 32 << 32) | value; break;
            case 0x0C: if (halted) current_ = (current_ & 0xFFFFFFFF) | uint64_t(value) << 32; break;
            case 0x10: if (!halted) tail_ = (tail_ >> 32 << 32) | value; break;
            case 0x14:
                if (halted) break;
                tail_ = (tail_ & 0xFFFFFFFF) | uint64_t(value) << 32;
                pending_ = true;
                break;
            default: break;
            }
        }

        bool interrupt() const { return status_ & control_ & 0x7000; }

        // the stream: what is offered, what can be taken
        bool valid() const { return sends_ && running() && !fifo_.empty() && fifo_.size() >= beat(); }
        bool last() const { return !ends_.empty() && ends_.front() == beat(); }
        // bytes of the next beat: all, or what is left of the packet
        size_t beat() const { return ends_.empty() ? word : std::min(word, ends_.front()); }
        void peek(uint8_t *to) const {
            for (size_t i = 0; i < beat(); i++) to[i] = fifo_[i];
        }
        void sent() {
            size_t size = beat();
            fifo_.erase(fifo_.begin(), fifo_.begin() + static_cast<long>(size));
            reserved_ -= size;
            for (size_t &end : ends_) end -= size;
            if (!ends_.empty() && ends_.front() == 0) ends_.pop_front();
        }
        bool ready() const { return !sends_ && running() && fifo_.size() + word <= ROOM; }
        // keep: a bit for each byte; only a packet's last beat may lack some, at its end
        void take(const uint8_t *from, const uint8_t *keep, bool last) {
            size_t kept = 0;
            while (kept < word && keep[kept / 8] >> kept % 8 & 1) kept++;
            for (size_t i = kept; i < word; i++)
                if (keep[i / 8] >> i % 8 & 1) throw std::runtime_error("a beat to memory lacks a byte amid others");
            if (kept < word && !last) throw std::runtime_error("a beat to memory lacks bytes and is not the last");
            if (memory_.faults.early_out >= 0 && memory_.faults.early_out-- == 0) last = true;
            fifo_.insert(fifo_.end(), from, from + kept);
            if (last) ends_.push_back(fifo_.size());
        }

        void step(uint64_t now) {
            if (resetting_) {
                resetting_--;
                return;
            }
            if (!word || !running()) return;
            switch (state_) {
            case State::idle: begin(now); break;
            case State::fetch: fetched(now); break;
            case State::data: sends_ ? send(now) : receive(now); break;
            case State::finish: finish(now); break;
            }
            tell(now);
        }

    private:
        enum class State { idle, fetch, data, finish };
        struct Burst {
            uint64_t done, bus;
            size_t size;
            std::vector<uint8_t> data;
            Answer answer;
        };
        static constexpr size_t ROOM = 1024, BURST = 128, WIDTH = 8, OUTSTANDING = 4;
        static constexpr uint32_t COMPLETE = 1u << 31, LAST = 1u << 26, FIRST = 1u << 27, LENGTH = (1u << 26) - 1;

        Memory &memory_;
        const bool sends_;
        uint32_t control_, status_, count_;
        uint64_t current_, tail_, next_, ready_, bus_free_, waited_;
        State state_;
        bool pending_, first_, packet_ends_;
        std::array<uint32_t, 16> fields_{};
        std::deque<Burst> bursts_;
        std::deque<uint8_t> fifo_;
        std::deque<size_t> ends_;  // bytes of the FIFO up to the end of each packet
        size_t left_, got_, reserved_;
        unsigned resetting_;

        bool running() const { return control_ & 1 && !(status_ & 1) && !resetting_; }

        void fail(uint32_t bit) {
            status_ |= bit | 1 << 14 | 1;
            control_ &= ~1u;
            uint32_t word = got_ | (bit & 0x70 ? (bit & 0x70) << 24 : 0);
            if (bit & 0x70) memory_.write(current_ + 0x1C, &word, 4);
        }

        void begin(uint64_t now) {
            if (!pending_ || (!first_ && current_ == tail_)) {
                status_ |= 2;
                return;
            }
            if (!first_) current_ = next_;
            first_ = false;
            status_ &= ~2u;
            ready_ = now + memory_.latency();
            state_ = State::fetch;
        }

        void fetched(uint64_t now) {
            if (now < ready_) return;
            if (current_ % 64) return fail(1 << 8);
            if (memory_.read(current_, fields_.data(), 0x34) != Answer::okay) return fail(1 << 10);
            if (fields_[7] & COMPLETE) return fail(1 << 8);
            next_ = fields_[0] | uint64_t(fields_[1]) << 32;
            left_ = fields_[6] & LENGTH;
            got_ = 0;
            if (!left_) return fail(1 << 4);
            state_ = State::data;
        }

        uint64_t buffer() const { return fields_[2] | uint64_t(fields_[3]) << 32; }

        Burst *issue(uint64_t now, size_t size) {
            uint64_t start = std::max(now + memory_.latency(), bus_free_);
            bus_free_ = start + (size + WIDTH - 1) / WIDTH;
            Answer answer = Answer::okay;
            if (memory_.faults.slave_error >= 0 && memory_.faults.slave_error-- == 0) answer = Answer::slave_error;
            if (memory_.faults.hang >= 0 && memory_.faults.hang-- == 0) memory_.hung = true;
            bursts_.push_back({bus_free_, buffer() + got_, size, {}, answer});
            got_ += size;
            left_ -= size;
            return &bursts_.back();
        }

        bool answered(uint64_t now) const { return !memory_.hung && !bursts_.empty() && now >= bursts_.front().done; }

        void failed_burst(Answer answer) { fail(answer == Answer::slave_error ? 1 << 5 : 1 << 6); }

        void send(uint64_t now) {
            size_t size = std::min(left_, BURST - (buffer() + got_) % BURST);
            if (left_ && bursts_.size() < OUTSTANDING && reserved_ + size <= ROOM) {
                issue(now, size);
                reserved_ += size;
            }
            if (answered(now)) {
                Burst burst = bursts_.front();
                bursts_.pop_front();
                burst.data.resize(burst.size);
                if (burst.answer == Answer::okay) burst.answer = memory_.read(burst.bus, burst.data.data(), burst.size);
                if (burst.answer != Answer::okay) return failed_burst(burst.answer);
                for (uint8_t byte : burst.data) {
                    fifo_.push_back(byte);
                    if (memory_.faults.early_in >= 0 && memory_.faults.early_in-- == 0)
                        ends_.push_back((fifo_.size() + word - 1) / word * word);
                }
                if (!left_ && bursts_.empty() && fields_[6] & LAST) ends_.push_back(fifo_.size());
            }
            packet_ends_ = fields_[6] & LAST;
            if (!left_ && bursts_.empty()) leave(now);
        }

        void receive(uint64_t now) {
            size_t have = ends_.empty() ? fifo_.size() : ends_.front();
            size_t size = std::min({left_, have, BURST - (buffer() + got_) % BURST});
            bool whole = size && (size == left_ || !ends_.empty() || (buffer() + got_ + size) % BURST == 0);
            if (whole && !packet_ends_ && bursts_.size() < OUTSTANDING) {
                Burst *burst = issue(now, size);
                burst->data.assign(fifo_.begin(), fifo_.begin() + static_cast<long>(size));
                fifo_.erase(fifo_.begin(), fifo_.begin() + static_cast<long>(size));
                for (size_t &end : ends_) end -= size;
                if (!ends_.empty() && ends_.front() == 0) {
                    ends_.pop_front();
                    packet_ends_ = true;
                }
            }
            if (answered(now)) {
                Burst burst = bursts_.front();
                bursts_.pop_front();
                if (burst.answer == Answer::okay) burst.answer = memory_.write(burst.bus, burst.data.data(), burst.size);
                if (burst.answer != Answer::okay) return failed_burst(burst.answer);
            }
            if (bursts_.empty() && (packet_ends_ || !left_)) leave(now);
        }

        void leave(uint64_t now) {
            ready_ = now + memory_.latency();
            state_ = State::finish;
        }

        void finish(uint64_t now) {
            if (now < ready_) return;
            uint32_t word = COMPLETE | static_cast<uint32_t>(got_) | (!sends_ && packet_ends_ ? LAST | FIRST : 0);
            if (memory_.write(current_ + 0x1C, &word, 4) != Answer::okay) return fail(1 << 10);
            if (packet_ends_) {
                waited_ = now;
                if (count_ && --count_ == 0) {
                    status_ |= 1 << 12;
                    count_ = control_ >> 16 & 0xFF;
                }
            }
            packet_ends_ = false;
            state_ = State::idle;
        }

        // the delay interrupt: no packet for so long, with some that no interrupt told of
        void tell(uint64_t now) {
            uint32_t delay = control_ >> 24;
            if (delay && count_ != (control_ >> 16 & 0xFF) && now - waited_ == 125 * uint64_t(delay)) {
                status_ |= 1 << 13;
                count_ = control_ >> 16 & 0xFF;
            }
        }
    };

    Channel mm2s, s2mm;

private:
    Channel &channel(uint32_t offset) { return offset < 0x30 ? mm2s : s2mm; }
};
