// SPDX-License-Identifier: Apache-2.0
//
// From a port of any width to the network's beats: of a wider port's beat the words that TKEEP names one after the other,
// of a narrower one as many beats side by side as a word takes; the first bytes lowest. A port as wide as a word is wires.
//
// tlast comes with the last word of its transfer. `torn` comes with a word that is not whole, or of a beat whose bytes are
// no whole words, one after the other from the lowest on, all of them but in the transfer's last beat. Of a narrower port a
// beat that lacks a byte, or ends the transfer amid a word, ends the word.
//
// Nothing is held of a wider port; of a narrower one beats of a word that is not yet whole, taken while `open`.
//
// bench: sim/bench_port_in.py
`default_nettype none

module port_in #(
    parameter PORT = 64,             // bits of the port's beat: 8 to 1024, a power of two
    parameter WORD = 8,              // bits of the network's: a power of two, 8 or more
    parameter TMR = 0                // 1: three copies of each register of control, see voted_reg.v
) (
    input  wire              clk,
    input  wire              rst,
    input  wire              open,

    input  wire [PORT-1:0]   s_axis_tdata,
    input  wire [PORT/8-1:0] s_axis_tkeep,
    input  wire              s_axis_tvalid,
    output wire              s_axis_tready,
    input  wire              s_axis_tlast,

    output wire [WORD-1:0]   m_axis_tdata,
    output wire              m_axis_tvalid,
    input  wire              m_axis_tready,
    output wire              m_axis_tlast,
    output wire              m_axis_torn
);

    generate
        if (PORT < 8 || PORT > 1024 || (PORT & (PORT - 1)) != 0) begin : gen_check_port
            port_in_PORT_must_be_a_power_of_two_from_8_to_1024 error_i ();
        end
        if (WORD < 8 || (WORD & (WORD - 1)) != 0) begin : gen_check_word
            port_in_WORD_must_be_a_power_of_two_from_8_on error_i ();
        end
    endgenerate

    generate
        if (PORT == WORD) begin : gen_wires
            wire unused = &{1'b0, clk, rst, open};
            assign m_axis_tdata = s_axis_tdata;
            assign m_axis_tvalid = s_axis_tvalid;
            assign s_axis_tready = m_axis_tready;
            assign m_axis_tlast = s_axis_tlast;
            assign m_axis_torn = !(&s_axis_tkeep);
        end else if (PORT > WORD) begin : gen_wider
            localparam N = PORT / WORD;
            localparam W = $clog2(N);
            localparam BYTES = WORD / 8;
            genvar i;
            wire [N-1:0] kept;               // words that have their first byte
            wire [N-1:0] whole;              // and those that have their last
            wire [W-1:0] place_q;
            wire [W-1:0] next = place_q + 1'b1;
            wire         last = (&place_q) || !kept[next];
            wire         moves = m_axis_tvalid && m_axis_tready;
            wire         unused = open;
            for (i = 0; i < N; i = i + 1) begin : gen_word
                assign kept[i] = s_axis_tkeep[BYTES*i];
                assign whole[i] = s_axis_tkeep[BYTES*(i+1)-1];
            end
            assign m_axis_tdata = s_axis_tdata[place_q*WORD +: WORD];
            assign m_axis_tvalid = s_axis_tvalid;
            assign s_axis_tready = m_axis_tready && last;
            assign m_axis_tlast = s_axis_tlast && last;
            assign m_axis_torn = |(s_axis_tkeep[PORT/8-1:1] & ~s_axis_tkeep[PORT/8-2:0]) || kept != whole || !kept[0]
                || (!kept[N-1] && !s_axis_tlast);
            voted_reg #(
                .W(W),
                .TMR(TMR)
            ) u_place (
                .clk(clk),
                .rst(rst || (moves && last)),
                .enable(moves),
                .d(next),
                .q(place_q)
            );
        end else begin : gen_narrower
            localparam N = WORD / PORT;
            localparam W = $clog2(N);
            wire [W-1:0] place_q;
            wire [W-1:0] next = place_q + 1'b1;
            wire         torn = !(&s_axis_tkeep) || (s_axis_tlast && !(&place_q));
            wire         last = (&place_q) || torn;
            wire         moves = s_axis_tvalid && s_axis_tready;
            reg  [WORD-PORT-1:0] held_q;
            assign m_axis_tdata = {s_axis_tdata, held_q};
            assign m_axis_tvalid = s_axis_tvalid && last;
            assign s_axis_tready = last ? m_axis_tready : open;
            assign m_axis_tlast = s_axis_tlast;
            assign m_axis_torn = torn;
            if (N > 2) begin : gen_shift
                always @(posedge clk) if (moves) held_q <= m_axis_tdata[WORD-1:PORT];
            end else begin : gen_one
                always @(posedge clk) if (moves) held_q <= s_axis_tdata;
            end
            voted_reg #(
                .W(W),
                .TMR(TMR)
            ) u_place (
                .clk(clk),
                .rst(rst || (moves && last)),
                .enable(moves),
                .d(next),
                .q(place_q)
            );
        end
    endgenerate

endmodule
`default_nettype wire
