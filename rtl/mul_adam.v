// SPDX-License-Identifier: Apache-2.0
//
// Multiplies two unsigned bytes approximately, by logarithms (Mitchell 1962), with T bits of each mantissa.
//
// With ka = floor(log2 a) and xa = the T bits behind a's highest one, a is about (1 + xa / 2^T) * 2^ka; the product is
// (1 + m / 2^T) * 2^(ka + kb + c), {c, m} = xa + xb, cut to whole numbers, and 0 where a factor is 0. No unit of hwgen has
// it: docs/faults.md tells why.
//
// PROTECT = 1, after AdAM (adaptive approximate multiplier, 2024), as we read it: where both factors are small, the lowest
// full adders of the mantissas add zeros, and as many as these, or the rest if that is fewer, of the highest sum bits, and
// the carry, are computed again; one that differs is sent as 0. The idle adders themselves would close a combinational loop
// through a chain, so others compute them: as many as can ever be idle and of use.
//
// bench: sim/bench_mul_adam.py
`default_nettype none

module mul_adam #(
    parameter T = 5,                 // bits of a mantissa, 1 to 7
    parameter PROTECT = 0            // 1: the highest sum bits twice where adders are idle; 0: plain
) (
    input  wire [7:0]  a,
    input  wire [7:0]  b,
    output wire [15:0] p
);

    generate
        if (T < 1 || T > 7) begin : gen_check_t
            mul_adam_T_must_be_1_to_7 error_i ();
        end
        if (PROTECT < 0 || PROTECT > 1) begin : gen_check_protect
            mul_adam_PROTECT_must_be_0_or_1 error_i ();
        end
    endgenerate

    reg  [2:0]   ka;
    reg  [2:0]   kb;
    integer      k;
    always @* begin
        ka = 3'd0;
        kb = 3'd0;
        for (k = 1; k < 8; k = k + 1) begin
            if (a[k]) ka = k[2:0];
            if (b[k]) kb = k[2:0];
        end
    end

    // the highest one is in bit 7, which is not looked at
    /* verilator lint_off UNUSEDSIGNAL */
    wire [7:0]   a_normal = a << (3'd7 - ka);
    wire [7:0]   b_normal = b << (3'd7 - kb);
    /* verilator lint_on UNUSEDSIGNAL */
    wire [T-1:0] xa = a_normal[6:7-T];
    wire [T-1:0] xb = b_normal[6:7-T];
    wire [T:0]   sum;

    generate
        genvar i;
        if (PROTECT == 0) begin : gen_plain
            assign sum = {1'b0, xa} + {1'b0, xb};
        end else begin : gen_twice
            localparam MOST = T / 2;     // bits that are ever computed twice
            wire [2:0]   highest = (ka > kb) ? ka : kb;
            wire [31:0]  place = {29'd0, highest};
            /* verilator lint_off UNUSEDSIGNAL */
            wire [31:0]  idle = (place >= T) ? 32'd0 : (T - place < place) ? T - place : place;
            /* verilator lint_on UNUSEDSIGNAL */
            wire [3:0]   twice = idle[3:0];
            wire [T:0]   carry;
            wire [T-1:0] once;
            assign carry[0] = 1'b0;
            for (i = 0; i < T; i = i + 1) begin : gen_adder
                assign once[i] = xa[i] ^ xb[i] ^ carry[i];
                assign carry[i+1] = (xa[i] & xb[i]) | (carry[i] & (xa[i] ^ xb[i]));
            end

            if (MOST == 0) begin : gen_none
                wire unused = &{1'b0, twice};
                assign sum = {carry[T], once};
            end else begin : gen_some
                // the highest bits once more, in adders that synthesis must not take for those above
                wire [T-1:0] a_high = xa >> (T - {28'd0, twice});
                wire [T-1:0] b_high = xb >> (T - {28'd0, twice});
                (* keep = "true" *) wire [MOST-1:0] again;
                (* keep = "true" *) wire [MOST:0]   carry_again;
                wire [T:0]   carries = carry >> (T - {28'd0, twice});
                assign carry_again[0] = carries[0];
                for (i = 0; i < MOST; i = i + 1) begin : gen_again
                    assign again[i] = a_high[i] ^ b_high[i] ^ carry_again[i];
                    assign carry_again[i+1] = (a_high[i] & b_high[i]) | (carry_again[i] & (a_high[i] ^ b_high[i]));
                end
                // ones where a bit is computed once
                wire [T-1:0] again_wide = {{(T-MOST){1'b0}}, again};
                wire [T-1:0] same = (again_wide << (T - {28'd0, twice})) | ~({T{1'b1}} << (T - {28'd0, twice}));
                wire [MOST:0] carry_at = carry_again >> twice;
                assign sum = {carry[T] & (carry_at[0] | twice == 4'd0), once & same};
                wire unused = &{1'b0, a_high[T-1:MOST], b_high[T-1:MOST], carries[T:1], carry_at[MOST:1]};
            end
        end
    endgenerate

    wire [3:0]    exponent = {1'b0, ka} + {1'b0, kb} + {3'd0, sum[T]};
    wire [15+T:0] shifted = {15'd0, 1'b1, sum[T-1:0]} << exponent;
    assign p = (a == 8'd0 || b == 8'd0) ? 16'd0 : shifted[15+T:T];
    wire unused_below = &{1'b0, shifted[T-1:0]};

endmodule
`default_nettype wire
