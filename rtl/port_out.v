// SPDX-License-Identifier: Apache-2.0
//
// From the network's beats to a port of any width: to a narrower port a word goes as several beats, to a wider one words
// go side by side, the first lowest, until its beat is full or a frame ends; TKEEP names their bytes, others are zero. A port as wide as a
// word is wires.
//
// `held`: a beat waits for the sink.
//
// bench: sim/bench_port_out.py
`default_nettype none

module port_out #(
    parameter PORT = 64,             // bits of the port's beat: 8 to 1024, a power of two
    parameter WORD = 8,              // bits of the network's: a power of two, 8 or more
    parameter TMR = 0                // 1: three copies of each register of control, see voted_reg.v
) (
    input  wire              clk,
    input  wire              rst,
    output wire              held,

    input  wire [WORD-1:0]   s_axis_tdata,
    input  wire              s_axis_tvalid,
    output wire              s_axis_tready,
    input  wire              s_axis_tlast,

    output wire [PORT-1:0]   m_axis_tdata,
    output wire [PORT/8-1:0] m_axis_tkeep,
    output wire              m_axis_tvalid,
    input  wire              m_axis_tready,
    output wire              m_axis_tlast
);

    generate
        if (PORT < 8 || PORT > 1024 || (PORT & (PORT - 1)) != 0) begin : gen_check_port
            port_out_PORT_must_be_a_power_of_two_from_8_to_1024 error_i ();
        end
        if (WORD < 8 || (WORD & (WORD - 1)) != 0) begin : gen_check_word
            port_out_WORD_must_be_a_power_of_two_from_8_on error_i ();
        end
    endgenerate

    generate
        if (PORT == WORD) begin : gen_wires
            wire unused = &{1'b0, clk, rst};
            assign held = 1'b0;
            assign m_axis_tdata = s_axis_tdata;
            assign m_axis_tkeep = {(PORT/8){1'b1}};
            assign m_axis_tvalid = s_axis_tvalid;
            assign s_axis_tready = m_axis_tready;
            assign m_axis_tlast = s_axis_tlast;
        end else if (PORT < WORD) begin : gen_narrower
            localparam N = WORD / PORT;
            localparam W = $clog2(N);
            wire [W-1:0] place_q;
            wire [W-1:0] next = place_q + 1'b1;     // behind the last comes the first
            wire         last = &place_q;
            assign held = 1'b0;
            assign m_axis_tdata = s_axis_tdata[place_q*PORT +: PORT];
            assign m_axis_tkeep = {(PORT/8){1'b1}};
            assign m_axis_tvalid = s_axis_tvalid;
            assign s_axis_tready = m_axis_tready && last;
            assign m_axis_tlast = s_axis_tlast && last;
            voted_reg #(
                .W(W),
                .TMR(TMR)
            ) u_place (
                .clk(clk),
                .rst(rst),
                .enable(m_axis_tvalid && m_axis_tready),
                .d(next),
                .q(place_q)
            );
        end else begin : gen_wider
            localparam N = PORT / WORD;
            localparam BYTES = WORD / 8;
            genvar i;
            wire [N-1:0] place_q;               // a bit: of the word that comes next
            wire [N-1:0] kept_q;                // words that the beat has
            wire         full_q;
            wire         last_q;
            wire         moves = s_axis_tvalid && s_axis_tready;
            wire         ends = s_axis_tlast || place_q[N-1];
            wire [N-1:0] kept_d = place_q[0] ? place_q : place_q | kept_q;
            wire [N-1:0] place_d = {place_q[N-2:0], 1'b0};
            assign held = full_q;
            assign s_axis_tready = !full_q || m_axis_tready;
            assign m_axis_tvalid = full_q;
            assign m_axis_tlast = last_q;
            for (i = 0; i < N; i = i + 1) begin : gen_word
                reg [WORD-1:0] word_q;
                assign m_axis_tdata[WORD*i +: WORD] = word_q;
                assign m_axis_tkeep[BYTES*i +: BYTES] = {BYTES{kept_q[i]}};
                always @(posedge clk)
                    if (i > 0 && moves && place_q[0]) word_q <= {WORD{1'b0}};
                    else if (moves && place_q[i]) word_q <= s_axis_tdata;
            end
            voted_reg #(
                .W(N),
                .RESET(1),
                .TMR(TMR)
            ) u_place (
                .clk(clk),
                .rst(rst || (moves && ends)),
                .enable(moves),
                .d(place_d),
                .q(place_q)
            );
            voted_reg #(
                .W(N + 1),
                .TMR(TMR)
            ) u_kept (
                .clk(clk),
                .rst(1'b0),
                .enable(moves),
                .d({kept_d, s_axis_tlast}),
                .q({kept_q, last_q})
            );
            voted_reg #(
                .TMR(TMR)
            ) u_full (
                .clk(clk),
                .rst(rst),
                .enable((moves && ends) || m_axis_tready),
                .d(moves && ends),
                .q(full_q)
            );
        end
    endgenerate

endmodule
`default_nettype wire
