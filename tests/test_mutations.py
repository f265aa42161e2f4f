"""The checks bite: one thing broken in hardware or terms, and a bench or the data comparison fails."""

import re
import shutil
from dataclasses import replace

import bench_pe
import bench_term_lanes
import bench_term_sequencer
import numpy as np
import pytest
import torch
from bench_term_rom import check_sum
from torch import nn

from hwgen.adders.netlist import adder_netlist
from hwgen.config import BuildConfig
from hwgen.errors import Mismatch, ToolFailed
from hwgen.flow import build
from hwgen.lanes.entries import IMMEDIATE, NEGATE
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant
from hwgen.share import share
from hwgen.simulate import simulate
from hwgen.simulators import run_cocotb
from hwgen.verify import verify
from tests.sources import sources_of
from tests.test_rtl import BENCHES, bench_environment, side_by_side, with_open_ports

pytestmark = pytest.mark.sim

STICKY = next(n for n, config in enumerate(bench_pe.CONFIGS) if config.get("STICKY") and config["F"] > 1)
MODES = next(n for n, config in enumerate(bench_term_sequencer.CONFIGS) if "MODES" in config)
MODE_ENDS = next(n for n, config in enumerate(bench_term_lanes.CONFIGS) if "MODE_ENDS" in config)
# (bench, index into its CONFIGS, file, text, text instead)
MUTANTS = {
    "a frame in the mode of the one before": (
        "term_sequencer",
        MODES,
        "term_sequencer",
        "assign stale = fresh_q && !same;",
        "assign stale = 1'b0;",
    ),
    "a mode that is not known yet": ("term_sequencer", MODES, "term_sequencer", "mode_known && mode ==", "mode =="),
    "what was read ahead of another mode kept": (
        "term_sequencer",
        MODES + 1,
        "term_sequencer",
        "flush ? {FETCHES{1'b0}} : valid_d",
        "flush ? valid_q : valid_d",
    ),
    "a list begun a word too early": (
        "term_sequencer",
        MODES,
        "term_sequencer",
        "first_d = first_d | (LASTS[32*(n-1) +: PC_W] + 1'b1)",
        "first_d = first_d | LASTS[32*(n-1) +: PC_W]",
    ),
    "sums clamped to the ends of another mode": (
        "term_lanes",
        MODE_ENDS,
        "term_lanes",
        "assign mode_4 = mode_4q[LATE*MODE_W +: MODE_W];",
        "assign mode_4 = mode;",
    ),
    "an end of another mode": ("mode_clamp", 1, "mode_clamp", "mode == i && over", "over"),
    "a mode of a frame's later word": ("mode_ring", 0, "mode_ring", "if (begins && begun_q", "if (moves && begun_q"),
    "a frame too many inside": ("mode_ring", 0, "mode_ring", "!(first_q && |full)", "1'b1"),
    "a frame's mode told twice": ("mode_reader", 0, "mode_reader", "!taken && begun", "begun"),
    "a mode that there is not chosen": ("axil_registers", 2, "axil_registers", " && wdata_q < MODES;", ";"),
    "subtraction one too little": ("pe", 1, "pe", "result = result - x", "result = result + ~x"),
    "a bit computed twice without its carry": (
        "mul_adam",
        3,
        "mul_adam",
        "carry_again[i+1] = (a_high[i] & b_high[i]) |",
        "carry_again[i+1] =",
    ),
    "bits below lost": ("pe", 1, "pe", "shift ? below_extended[F:1] |", "1'b0 ? below_extended[F:1] |"),
    "a bit shifted out of those below forgotten": ("pe", 5, "pe", "| (below_q & KEPT)", ""),
    "late bits cleared at once": ("pe", 6, "pe", "if (clear_q) below_q", "if (clear) below_q"),
    "a tie rounded up": ("requantize", 6, "requantize", " && |sums_q[i*ALL_W +: REST_W]", ""),
    "a tie where a dropped bit is set": (
        "requantize",
        6,
        "requantize",
        "|sums_q[i*ALL_W +: REST_W]",
        "sums_q[i*ALL_W]",
    ),
    "no tie where bits were shifted out": ("pe", STICKY, "pe", "KEPT = (STICKY != 0)", "KEPT = (STICKY > 1)"),
    "a multiplier off by one": ("scale_product", 0, "scale_product", "= word[M_W-1:0];", "= word[M_W-1:0] + 1'b1;"),
    "a bias off by one": ("scale_product", 0, "scale_product", "bias_q <= bias;", "bias_q <= bias + 1'b1;"),
    "a bias of the number before": ("scale_product", 0, "scale_product", ".immediate(bias_q)", ".immediate(bias)"),
    "a tie bit missing": ("scale_level", 0, "scale_level", "own[0] && !(rest < ties)", "own[0]"),
    "a tie too many": ("scale_level", 0, "scale_level", "rest < ties", "rest <= ties"),
    "both ends alike beyond": (
        "scale_level",
        1,
        "scale_level",
        "{(LEVEL_W-1-OUT_W){above}}",
        "{(LEVEL_W-1-OUT_W){below}}",
    ),
    "a negative factor's ends taken for a positive one's": (
        "scale_product",
        1,
        "scale_product",
        "negative ? smaller : larger",
        "larger",
    ),
    "a number before its multiplier": ("scale_product", 1, "scale_product", "if (READ > 1)", "if (0)"),
    "the lower slice's sum cut": ("scale_product", 6, "scale_product", "(BASE >>> 17) -", "(BASE >>> 17) + 64'sd1 -"),
    "a row of two as one": ("scale_serial", 0, "scale_serial", "two ? {own, 1'b0}", "two ? {own[X_W-1], own}"),
    "a digit's sign ignored": ("scale_serial", 0, "scale_serial", "row, negative};", "row, 1'b0};"),
    "a sum begun with the one before": ("scale_serial", 0, "scale_serial", "phase != DIGITS[PHASE_W-1:0]", "1'b1"),
    "ties of the number before": ("scale_serial", 2, "scale_serial", "{ties_q, word[6:5]}", "{ties_q, ties_q[1:0]}"),
    "a threshold not reached at it": ("scale_steps", 0, "scale_steps", "own >= threshold", "own > threshold"),
    "a threshold that is none reached": ("scale_steps", 0, "scale_steps", "!word[X_W] && own", "own"),
    "a count begun with the one before": (
        "scale_steps",
        0,
        "scale_steps",
        "count_q <= starts ? {STEPS{1'b0}} : count",
        "count_q <= count",
    ),
    "a threshold gone before it is compared": ("scale_steps", 2, "scale_steps", "(READ > 1) ? enable : asks", "enable"),
    "a sum gone before its last digit": ("rescale", 7, "rescale", " && phase == TAKEN[PHASE_W-1:0]", ""),
    "sums looked at a bit short": ("rescale", 1, "rescale", "|chosen[IN_W-1:X_W-1]", "|chosen[IN_W-1:X_W]"),
    "channels in another order": ("rescale", 2, "rescale", "channel_q + 1'b1", "channel_q ^ 1'b1"),
    "channels go on over a list's end": ("rescale", 1, "rescale", "leaves && final_q", "1'b0"),
    "all groups in a final load": ("rescale", 1, "rescale", "FINAL != GROUPS && final_q", "1'b0"),
    "low bits a clock early": ("rescale", 1, "rescale", "if (waits_q) sums_q", "if (load) sums_q"),
    "sums that wait overwritten": ("rescale", 0, "rescale", "full = waits || (busy_q && !leaves)", "full = waits"),
    "a word shifted while it is offered": (
        "rescale",
        0,
        "rescale",
        "enable = !(arrive_q[LATE-1] && sends_q && !m_axis_tready)",
        "enable = 1'b1",
    ),
    "subtraction in a DSP slice one too much": ("pe_dsp", 0, "pe_dsp", "~x_one", "-x_one"),
    "first forgotten": ("pe_dsp", 1, "pe_dsp", "keep = !first", "keep = 1'b1"),
    "lanes doubled as one": ("pe_dsp", 0, "pe_dsp", "double_q ? old << 1", "double_q ? sum_q[l*W +: W] << l"),
    "a term lost without enable": ("pe_dsp", 0, "pe_dsp", "if (enable) sum_q", "sum_q"),
    "a product of another lane": ("pe_mac", 0, "pe_mac", "x_q[l*(X_W+1) +: X_W+1]}", "x_q[0 +: X_W+1]}"),
    "a constant lost": ("pe_mac", 0, "pe_mac", " + constant[W-1:0]", ""),
    "a slice's immediate of the term before": (
        "pe_dsp",
        0,
        "pe_dsp",
        "immediate_q ? constant_q",
        "immediate_q ? immediate",
    ),
    "a sum begun a term too early": ("term_lanes", 7, "term_lanes", ".STAGES(2)", ".STAGES(1)"),
    "no zero beside an immediate": ("term_lanes", 0, "line_memory", "(read_enable && read_zero[r])", "1'b0"),
    "no zero beside an immediate in block RAM": (
        "term_lanes",
        10,
        "line_memory",
        "(read_enable && zero_q)",
        "1'b0",
    ),
    "an immediate's ones not set": ("term_lanes", 0, "term_lanes", "if (group_immediate_3[k]) op", "if (1'b0) op"),
    "an immediate's upper bits lost": (
        "term_sequencer",
        5,
        "term_sequencer",
        "command_1[COMMAND_W-1:1], term_1[PAYLOAD_W-1:0]}",
        "{(COMMAND_W-1){1'b0}}, term_1[PAYLOAD_W-1:0]}",
    ),
    "signed maximum taken as unsigned": ("pe_max", 2, "pe_max", "(SIGNED != 0) ?", "1'b0 ?"),
    "no clamp at HIGH": ("clamp", 0, "clamp", "above ? HIGH_BITS[OUT_W-1:0] : ", ""),
    "a least result where there is none": ("clamp", 5, "clamp", "if (NO_LOW != 0)", "if (0)"),
    "a greatest result where there is none": ("clamp", 6, "clamp", "if (NO_HIGH != 0)", "if (0)"),
    "requantized to an end that is not there": ("requantize", 1, "requantize", ".NO_LOW(NO_LOW)", ".NO_LOW(0)"),
    "a sum clamped at an end that is not there": ("add", 1, "add", ".NO_HIGH(NO_HIGH)", ".NO_HIGH(0)"),
    "an average clamped at an end that is not there": ("pixel_sum", 2, "pixel_sum", ".NO_HIGH(NO_HIGH)", ".NO_HIGH(0)"),
    "a sum where a difference is meant": ("add", 4, "add", "- (b << B_SHIFT)", "+ (b << B_SHIFT)"),
    "a product's half lost": ("mul", 0, "mul", ".SEED(SEED)", ".SEED(0)"),
    "a half too great for a product's first row lost": ("mul", 5, "mul", "<< SHIFT) + REST", "<< SHIFT)"),
    "a product of a beat before": ("mul", 1, "mul", "valid_q <= made[0]", "valid_q <= both"),
    "another pixel's factor": ("mul", 3, "mul", "b_axis_tdata[n*B_W +: B_W]", "b_axis_tdata[0 +: B_W]"),
    "a product clamped at an end that is not there": ("mul", 2, "mul", ".NO_HIGH(NO_HIGH)", ".NO_HIGH(0)"),
    "one side of a concatenation for both": (
        "concat",
        0,
        "concat",
        "side_q ? b[OUT_W-1:0] : a",
        "1'b0 ? b[OUT_W-1:0] : a",
    ),
    "a run as long as the other side's": ("concat", 0, "concat", "side_q ? LAST_B[COUNT_W-1:0] : ", ""),
    "a side's grid ignored": ("concat", 0, "concat", "b_in} << B_SHIFT", "b_in}"),
    "a side's sign lost": ("concat", 1, "concat", "(A_SIGNED != 0) && a_in[A_W-1]", "1'b0"),
    "a run goes on over a reset": ("concat", 0, "concat", "side_q <= 1'b0;", "side_q <= side_q;"),
    "the first pixel's channels for all": ("concat_pixels", 1, "concat_pixels", "[(p*B_N+n)*B_W", "[n*B_W"),
    "channels of both sides at one place": (
        "concat_pixels",
        0,
        "concat_pixels",
        "(p*(A_N+B_N)+A_N+n)*OUT_W",
        "(p*(A_N+B_N)+B_N+n)*OUT_W",
    ),
    "a membrane kept from sample to sample": ("lif", 0, "lif", "held = first_q ? START[W-1:0] : kept", "held = kept"),
    "a sample that goes on over a reset": ("lif", 0, "lif", "first_q <= 1'b1;", "first_q <= first_q;"),
    "a neuron that fires at its threshold": ("lif", 0, "lif", "((AT != 0) ? 64'sd0 : 64'sd1)", "64'sd0"),
    "a leak that forgets the sign": ("lif", 0, "lif", "wire signed [W-1:0] from", "wire [W-1:0] from"),
    "a reset that takes nothing": ("lif", 0, "lif", "LESS = -THRESHOLD", "LESS = 64'sd0"),
    "a spike that nobody waits for": ("lif", 0, "lif", "go = !m_axis_tvalid || m_axis_tready", "go = 1'b1"),
    "the half of a leak lost": ("lif", 2, "lif", "rest_a = from[LEAK_A-1]", "rest_a = 1'b0"),
    "a fourth leak lost": ("lif", 9, "lif", "(LEAKS > 3) ? less_d[W:1] : less_c[W:1]", "less_c[W:1]"),
    "a leak of what is reset late": (
        "lif",
        3,
        "lif",
        "(ORDER == 1) ? u_n : u_n",
        "(ORDER == 1) ? left_2[n*W +: W] : u_n",
    ),
    "a neuron that fires and leaks": ("lif", 4, "lif", "? u_n : u_n & {W{!s}};", "? u_n : u_n;"),
    "a spike of another sample": ("lif", 4, "lif", "told[n] = !first_q && kept", "told[n] = kept"),
    "a frame that ends as it is read": ("lif", 5, "lif", "(BEATS - 1 + AHEAD) % BEATS", "BEATS - 1"),
    "a membrane written where one is read": ("lif", 5, "lif", "place_2q <= place_1q;", "place_2q <= read_q;"),
    "a threshold of its own that is reached": ("lif", 7, "lif", "(AT != 0 || |less[W-1:0])", "1'b1"),
    "a frame that is sent again when its sample is over": (
        "steps_in",
        0,
        "steps_in",
        "half_q  <= !half_q;",
        "half_q  <= half_q;",
    ),
    "a next sample that does not wait": ("steps_in", 0, "steps_in", " && left_q != 0;", ";"),
    "a margin just reached": ("steps_out", 1, "steps_out", "apart_q > $signed", "apart_q >= $signed"),
    "a second sum that is not the second": (
        "steps_out",
        0,
        "steps_out",
        "sum_valid_q && better) second_q",
        "1'b0) second_q",
    ),
    "a constant of the beat before": ("offset", 0, "offset", ".next(moves)", ".next(s_axis_tvalid && there)"),
    "the same constant for ever": ("constant_table", 2, "constant_table", ": next_q + 1'b1", ": next_q"),
    "constants that do not come again": (
        "constant_table",
        2,
        "constant_table",
        "(next_q == LAST[PLACE_W-1:0])",
        "1'b0",
    ),
    "a constant's sign lost": ("offset", 0, "offset", "{(64-K_W){k_in[K_W-1]}}", "{(64-K_W){1'b0}}"),
    "constants go on over a reset": (
        "constant_table",
        2,
        "constant_table",
        "next_q  <= {PLACE_W{1'b0}};",
        "next_q  <= next_q;",
    ),
    "a constant there a clock too early": ("constant_table", 4, "constant_table", "reads_q[READ-1];", "reads_q[0];"),
    "another activation looked up": ("lookup", 1, "lookup", "s_axis_tdata[n*X_W +: X_W]", "s_axis_tdata[0 +: X_W]"),
    "a looked-up word lost in a stall": ("lookup", 0, "lookup", "if (taken) data_q <= found", "data_q <= found"),
    "a looked-up word kept through a reset": ("lookup", 0, "lookup", "if (rst) valid_q", "if (0) valid_q"),
    "one slope for both sides": ("two_lines", 0, "two_lines", "below ? wide * SLOPE_BELOW : ", ""),
    "one start for both lines": ("two_lines", 3, "two_lines", "(below ? START_BELOW : START)", "START"),
    "a line of another activation": (
        "two_lines",
        1,
        "two_lines",
        "s_axis_tdata[n*X_W +: X_W]",
        "s_axis_tdata[0 +: X_W]",
    ),
    "a line's result lost in a stall": (
        "two_lines",
        0,
        "two_lines",
        "if (taken) data_q <= clamped",
        "data_q <= clamped",
    ),
    "a line's result kept through a reset": ("two_lines", 0, "two_lines", "if (rst) valid_q", "if (0) valid_q"),
    "negative digits taken as positive": ("product", 0, "product", "three[2] ? size : ~size, !three[2]", "~size, 1'b1"),
    "a digit of minus two as minus one": ("product", 0, "product", "? once << 1", "? once"),
    "a factor's sign lost": ("product", 2, "product", "(D_SIGNED != 0) && d[D_W-1]", "1'b0"),
    "a product of the wrong factors": ("product", 1, "product", "assign d = b;", "assign d = a;"),
    "a product that does not wait": ("product", 0, "product", "if (enable) stage_q", "stage_q"),
    "a product kept through a reset": (
        "product",
        0,
        "product",
        "if (rst) valid_q <= 1'b0;\n                    else",
        "",
    ),
    "the sum of the pixel before": ("layer_norm", 0, "layer_norm", "old = first ? {S_W{1'b0}} : s_1", "old = s_1"),
    "the variance of two pixels": ("layer_norm", 0, "layer_norm", "(first_3 ? EPS : v_q)", "v_q"),
    "a digit of a root too few": (
        "layer_norm",
        0,
        "layer_norm",
        "else if (r_q[R_W-2]) run_q",
        "else if (r_q[R_W-1]) run_q",
    ),
    "the zeros of a root not counted": (
        "layer_norm",
        0,
        "layer_norm",
        "if (leading && !digit) zeros_q",
        "if (0) zeros_q",
    ),
    "a root of once for three times": ("layer_norm", 0, "layer_norm", "1'b0}}, triple_q}", "1'b0}}, v_root}"),
    "rounding down for half up": (
        "layer_norm",
        0,
        "layer_norm",
        "{{(ROUNDED_W-1){1'b0}}, moved[0]}",
        "{ROUNDED_W{1'b0}}",
    ),
    "a pixel's last beat that does not wait": (
        "layer_norm",
        0,
        "layer_norm",
        "fifo_ready && !(last && busy_q)",
        "fifo_ready",
    ),
    "the next pixel's mean": ("layer_norm", 0, "layer_norm", "if (valid_1 && last_1) s_found", "s_found"),
    "a root taken before the pixel is out": (
        "layer_norm",
        0,
        "layer_norm",
        "done_q && (!active_q || (pop && out_last))",
        "done_q",
    ),
    "products of a pause": ("layer_norm", 8, "layer_norm", "if (!beat) x_1 <=", "if (0) x_1 <="),
    "a root that goes on with the one before": (
        "layer_norm",
        0,
        "layer_norm",
        "taken_q  <= {{(TAKEN_W-V_W){1'b0}}, v_4};",
        "",
    ),
    "the mean of the pixel behind": ("layer_norm", 0, "layer_norm", "d = times_a - {sum_a", "d = times_a - {sum_out"),
    "a normalized word lost in a stall": (
        "layer_norm",
        0,
        "layer_norm",
        "move = !valid_c || m_axis_tready",
        "move = 1'b1",
    ),
    "a normalization that a reset does not stop": (
        "layer_norm",
        0,
        "layer_norm",
        "run_q   <= 1'b0;\n            done_q",
        "done_q",
    ),
    "the maximum of the pixel before": ("softmax", 0, "softmax", "(in_q == 0 || x > most_q)", "(x > most_q)"),
    "a signed maximum as unsigned": ("softmax", 0, "softmax", "{(X_SIGNED != 0), {X_W{1'b0}}}", "{(X_W+1){1'b0}}"),
    "no end of the table": ("softmax", 0, "softmax", "beyond_q ? {E_W{1'b0}} : ", ""),
    "another word of a table's row": ("softmax", 6, "softmax", "word_q <= d_q[TABLE_W-1:PLACE_W]", "word_q <= 0"),
    "the sum of two pixels": ("softmax", 0, "softmax", "(first_e ? {SUM_W{1'b0}} : sum_q)", "sum_q"),
    "a digit of a reciprocal too few": (
        "softmax",
        0,
        "softmax",
        "digit_q   <= R_W[DIGIT_W-1:0]",
        "digit_q   <= R_W[DIGIT_W-1:0] - 1'b1",
    ),
    "a whole share that is none": ("softmax", 0, "softmax", "rounded[OUT_W] ? {OUT_W{1'b1}} : ", ""),
    "a share rounded down": ("softmax", 0, "softmax", "{{OUT_W{1'b0}}, whole[DROP-1]}", "{(OUT_W+1){1'b0}}"),
    "a last exponential that does not wait": ("softmax", 0, "softmax", "e_ready && !(last_e && busy_q)", "e_ready"),
    "a maximum that is not waited for": ("softmax", 5, "softmax", "x_ready && !(last && found_q)", "x_ready"),
    "a reciprocal that a reset leaves": ("softmax", 0, "softmax", "run_q   <= 1'b0;\n            done_q", "done_q"),
    "of like ones the last": ("topk", 0, "topk", "x > value_q", "x >= value_q"),
    "the list of the pixel before": ("topk", 1, "topk", "full = full_q && !first", "full = full_q"),
    "a list overwritten before it is sent": ("topk", 1, "topk", "!last || !sends_q || leaves", "1'b1"),
    "the order of signed ones as unsigned": ("topk", 2, "topk", "{(X_SIGNED != 0), {X_W{1'b0}}}", "{(X_W+1){1'b0}}"),
    "the same result again": ("topk", 1, "topk", "else if (m_axis_tready) sent_q", "else if (0) sent_q"),
    "a product of the first lane": ("product_sums", 1, "product_sums", "b[l*B_W +: B_W]", "b[0 +: B_W]"),
    "a product of the first slice": ("product_sums", 3, "product_sums", "b[l*B_W +: USED*B_W]", "b[0 +: USED*B_W]"),
    "products of a row that is not there": ("matmul", 0, "matmul", " && b_level_q != 0", ""),
    "products of a column that is not there": ("matmul", 1, "matmul", "a_level_q != 0 && ", ""),
    "a row given back with each column": ("matmul", 0, "matmul", "b_freed = a_freed && last_l", "b_freed = a_freed"),
    "a row of matrices read twice": ("matmul", 0, "matmul", "if (b_freed) b_slot_q", "if (0) b_slot_q"),
    "a sum of products kept for the next one": ("matmul", 0, "matmul", "if (rst) fresh_q", "if (0) fresh_q"),
    "products lost while results wait": ("matmul", 4, "matmul", "enable = !(ends && full)", "enable = 1'b1"),
    "a factor before the other": ("matmul", 8, "matmul", "a_word = a_q", "a_word = a_read"),
    "another factor before the other": ("matmul", 7, "matmul", "b_word = b_q", "b_word = b_read"),
    "zeros of a finer grid forgotten": ("matmul", 2, "matmul", "[l*SENT_W+LIFT +:", "[l*SENT_W +:"),
    "an unsigned factor taken as signed": (
        "product_sums",
        3,
        "product_sums",
        "weight = {1'b0, a}",
        "weight = {a[A_W-1], a}",
    ),
    "sums of slices done a clock early": ("product_sums", 4, "product_sums", "done = last_q[2]", "done = last_q[1]"),
    "half of the products' rounding lost": ("matmul", 0, "matmul", ".BASE(BASE)", ".BASE(0)"),
    "a pair of a clock ago": ("product_sums", 0, "product_sums", "sum_q) + product_q", "sum_q) + product"),
    "sums done that a reset forgot": ("product_sums", 0, "product_sums", "ends_q <= 1'b0;", ""),
    "the state of the frame before": (
        "recurrent_sums",
        0,
        "recurrent_sums",
        "if (first_step) word_q",
        "if (1'b0) word_q",
    ),
    "the vector read that is being written": (
        "recurrent_sums",
        0,
        "recurrent_sums",
        "memory[{bank_q, k_q}]",
        "memory[{!bank_q, k_q}]",
    ),
    "the vector of a block overwritten": (
        "recurrent_sums",
        4,
        "recurrent_sums",
        "{!bank_q, write_q}",
        "{bank_q, write_q}",
    ),
    "a step begun before the vector is whole": (
        "recurrent_sums",
        0,
        "recurrent_sums",
        "else if (issue && last) running_q <= 1'b0;",
        "",
    ),
    "steps not counted": ("recurrent_sums", 1, "recurrent_sums", "step_q == LAST_STEP[STEP_W-1:0]", "1'b0"),
    "sums of a matrix lost in a stall": (
        "recurrent_sums",
        1,
        "recurrent_sums",
        "enable = !(ends && full)",
        "enable = 1'b1",
    ),
    "spikes of the sample before": ("spike_sums", 1, "spike_sums", "nothing = sample_ends || ", "nothing = "),
    "samples without an end": ("spike_sums", 1, "spike_sums", "step_q == LAST_STEP[STEP_W-1:0]", "1'b0"),
    "the last spike of a step forgotten": (
        "spike_sums",
        0,
        "spike_sums",
        "last_entry = noted ? fill_q : fill_q - 1'b1",
        "last_entry = fill_q - 1'b1",
    ),
    "a lone last spike forgotten": ("spike_sums", 2, "spike_sums", "!(spike || |fill_q)", "!(|fill_q)"),
    "a step without spikes adds a weight": ("spike_sums", 0, "spike_sums", " & {W{!empty_q[READ]}}", ""),
    "a sum goes on from the one before": ("spike_sums", 0, "spike_sums", " & {W{!fresh_q}}", ""),
    "sums of spikes lost in a stall": ("spike_sums", 4, "spike_sums", "enable = !(done_q && full)", "enable = 1'b1"),
    "a step begun before all spikes are there": (
        "spike_sums",
        0,
        "spike_sums",
        "end else if (issue && rows_end) begin\n                running_q <= 1'b0;",
        "end else if (1'b0) begin\n                running_q <= 1'b0;",
    ),
    "spikes noted before they are taken": (
        "recurrent_lif",
        0,
        "recurrent_lif",
        "spike_write(m_axis_tvalid && m_axis_tready)",
        "spike_write(m_axis_tvalid)",
    ),
    "a current that is not waited for": ("recurrent_lif", 0, "recurrent_lif", "!i_valid_q || i_tready", "1'b1"),
    "a finer matrix not shifted": ("recurrent_lif", 1, "recurrent_lif", "sum_tdata} << S_SHIFT", "sum_tdata}"),
    "the cell state of the frame before": (
        "recurrent",
        0,
        "recurrent",
        "if (first_step) state <= {STATE_W{1'b0}};\n                    else state <= memory",
        "state <= memory",
    ),
    "a state for all units": ("recurrent", 0, "recurrent", "memory[unit_q] <= new_state", "memory[0] <= new_state"),
    "a cell state rounded down": ("recurrent", 0, "recurrent", "half_c = (ONE << STATE_DROP) >> 1", "half_c = 0"),
    "a cell state seen rounded down": ("recurrent", 0, "recurrent", " + SEEN_HALF[SEEN_W-1:0]", ""),
    "a cell state that is sent whether it is new or not": (
        "recurrent",
        0,
        "recurrent",
        "c_waits_q && busy_q",
        "busy_q",
    ),
    "a gate lost behind the cell state": ("recurrent", 5, "recurrent", "busy_q && !mark_0q[O]", "busy_q"),
    "products of a pause between gates": ("recurrent", 0, "recurrent", "works ? weight : {WEIGHT_W{1'b0}}", "weight"),
    "a sigmoid for tanh": ("recurrent", 0, "recurrent", "mark_1q[G] || mark_1q[GATES]", "mark_1q[GATES]"),
    "an input gate for an output gate": ("recurrent", 0, "recurrent", "if (mark_2q[O]) o_q", "if (mark_2q[I]) o_q"),
    "a hidden state rounded down": ("recurrent", 6, "recurrent", "half_h = (ONE << H_DROP) >> 1", "half_h = 0"),
    "a new gate without its bias": (
        "recurrent",
        6,
        "recurrent",
        "last_gate ? wide_bias << PRE_DROP",
        "last_gate ? 64'd0",
    ),
    "a new gate without the input": ("recurrent", 6, "recurrent", "wide_new = p_q + ", "wide_new = N_HALF + "),
    "a new gate rounded down": ("recurrent", 6, "recurrent", "<< NP_SHIFT) + N_HALF;", "<< NP_SHIFT);"),
    "an update gate for its complement": ("recurrent", 6, "recurrent", "WHOLE - {1'b0, z_q}", "{1'b0, z_q}"),
    "a hidden state lost in a stall": ("recurrent", 9, "recurrent", "(h_done || waits_q) && !send", "1'b0"),
    "a gate taken while the unit is busy": (
        "recurrent",
        9,
        "recurrent",
        "p_valid && !busy_q;\n    wire",
        "p_valid;\n    wire",
    ),
    "a beat left out sent": ("resample", 0, "resample", "assign m_axis_tvalid = send &&", "assign m_axis_tvalid ="),
    "a zero that is not one": ("resample", 1, "resample", "zero ? {X_W{1'b0}} : x", "x"),
    "a repeated beat taken the first time": (
        "resample",
        2,
        "resample",
        "assign s_axis_tready = take &&",
        "assign s_axis_tready =",
    ),
    "a beat that waits passed over": ("resample", 0, "resample", "step = there && free &&", "step = there &&"),
    "a step without its beat": ("resample", 0, "resample", "step = there && free", "step = free"),
    "a place of the middle loop kept through a reset": ("resample", 0, "resample", "            middle_q <= 0;\n", ""),
    "a zero offered in a reset": ("resample", 1, "resample", "send && there && (runs_q || !ZEROS)", "send && there"),
    "another activation of the beat": ("resample", 4, "resample", "PLACES[m*16 +: 16]*X_W", "m*X_W"),
    "a third block written over the first": (
        "gather",
        0,
        "gather",
        "s_axis_tready = !blocks_q[1]",
        "s_axis_tready = 1'b1",
    ),
    "a block read before it is whole": ("gather", 0, "gather", "next && blocks_q != 2'd0 &&", "next &&"),
    "the second block read in the first one's place": (
        "gather",
        0,
        "gather",
        "other ? FIRST_OTHER",
        "1'b0 ? FIRST_OTHER",
    ),
    "a run in the other half": ("gather", 5, "gather", "other && begun", "!other && begun"),
    "a loop that goes on from its end": ("gather", 0, "gather", "STEP - spans[i*32 +: 32]", "STEP"),
    "a word lost in a stall": ("gather", 0, "gather", "if (free) begin\n", "begin\n"),
    "a word of block RAM lost in a stall": ("gather", 4, "gather", "if (next) read_word_q <=", "read_word_q <="),
    "a word read over one that waits": ("gather", 4, "gather", "next = free || !read_valid_q", "next = 1'b1"),
    "zeros that are not": ("gather", 6, "gather", "read_zero = zero_q", "read_zero = 1'b0"),
    "zeros of block RAM a beat too early": ("gather", 7, "gather", "read_zero = read_zero_q", "read_zero = zero_q"),
    "runs a word too early": ("gather", 7, "gather", "(RUNS > 64) ? 2'd3", "(RUNS > 64) ? 2'd2"),
    "a block's number kept through a reset": ("gather", 0, "gather", "            half_q   <= 1'b0;\n", ""),
    "a block counted once when one comes as one goes": (
        "gather",
        0,
        "gather",
        "if (fills != empties)",
        "if (fills || empties)",
    ),
    "another activation of the beat in the memory": ("gather", 8, "gather", "PLACES[m*16 +: 16]*X_W", "0*X_W"),
    "accumulators clamped": ("term_lanes", 1, "term_lanes", ".NO_LOW(NO_LOW)", ".NO_LOW(0)"),
    "too few stripes for a lane's window": (
        "term_lanes",
        0,
        "term_lanes",
        "- 1) / STRIPE + 1;",
        "- 1) / STRIPE;",
    ),
    "a row started without the window's other rows": (
        "term_lanes",
        0,
        "term_lanes",
        "REACH_OR_STEP = (REACH_ROWS > ROW_STEP) ? REACH_ROWS : ROW_STEP",
        "REACH_OR_STEP = ROW_STEP",
    ),
    "an entry with too few bits for its phase": (
        "line_memory",
        0,
        "line_memory",
        "1 + $clog2(PHASES)",
        "$clog2(PHASES)",
    ),
    "a ring's slot that has no address": (
        "line_memory",
        1,
        "line_memory",
        "ADDRESS_BITS = $clog2(RING) +",
        "ADDRESS_BITS = $clog2(RING - 1) +",
    ),
    "no clamp at HIGH of all ones": ("clamp", 1, "clamp", "!value[63] && |(value & ~HIGH_BITS)", "1'b0"),
    "full too long": ("requantize", 0, "requantize", "? !moves :", "? 1'b1 :"),
    "full too short": ("requantize", 4, "requantize", ": sends_q);", ": 1'b0);"),
    "a load that waits overwritten": ("requantize", 0, "requantize", "if (load) sums_q <= sums", "sums_q <= sums"),
    "final ignored": ("requantize", 0, "requantize", ".d(is_final)", ".d(1'b0)"),
    "a gap between loads of groups": ("requantize", 0, "requantize", "(!sends_q || leaves)", "!sends_q"),
    "another group's word first": (
        "requantize",
        0,
        "requantize",
        "m_axis_tdata = words_q[WORD_W-1:0]",
        "m_axis_tdata = words_q[LAST*WORD_W +: WORD_W]",
    ),
    "half of the addition's rounding lost": ("add", 0, "add", " + CONSTANT", ""),
    "the first of a beat's sums sent everywhere": (
        "add",
        3,
        "add",
        "b_axis_tdata[n*B_W +: B_W]",
        "b_axis_tdata[0 +: B_W]",
    ),
    "a third operand not inverted": ("row_adder", 0, "row_adder", "c ^ NOT_C", "c"),
    "words taken after a framing error": (
        "dataflow_controller",
        3,
        "dataflow_controller",
        "|tlast_wrong ? {INPUTS{1'b0}} : open_q",
        "open_q",
    ),
    "done although the last word had no tlast": (
        "dataflow_controller",
        3,
        "dataflow_controller",
        "(run_ends & ~tlast_wrong)",
        "run_ends",
    ),
    "a run may end without tlast": (
        "dataflow_controller",
        3,
        "dataflow_controller",
        "tlast_due = run_ends |",
        "tlast_due =",
    ),
    "tlast of each frame not asked for": (
        "axil_registers",
        0,
        "axil_registers",
        ".d(wdata_q[3:2])",
        ".d({wdata_q[3], 1'b0})",
    ),
    "a run of 65,536 frames taken as one without end": (
        "dataflow_controller",
        0,
        "dataflow_controller",
        "frames == 32'd0",
        "frames[15:0] == 16'd0",
    ),
    "frames in counted in 16 bits": (
        "dataflow_controller",
        0,
        "dataflow_controller",
        "count_q = frames_in_q[32*i +: 32];",
        "count_q = {16'd0, frames_in_q[32*i +: 16]};",
    ),
    "frames out compared in 16 bits": (
        "dataflow_controller",
        0,
        "dataflow_controller",
        "frames_out_q[32*i +: 32] == last_frame_q",
        "frames_out_q[32*i +: 16] == last_frame_q[15:0]",
    ),
    "done with the first of the inputs": (
        "dataflow_controller",
        4,
        "dataflow_controller",
        "&all_in_d && &all_out_d",
        "all_in_d[0] && &all_out_d",
    ),
    "done with the first of the outputs": (
        "dataflow_controller",
        6,
        "dataflow_controller",
        "&all_in_d && &all_out_d",
        "&all_in_d && all_out_d[0]",
    ),
    "a framing error looked for on the first input": (
        "dataflow_controller",
        4,
        "dataflow_controller",
        "running_q && |tlast_wrong",
        "running_q && tlast_wrong[0]",
    ),
    "the other inputs go on after a framing error": (
        "dataflow_controller",
        5,
        "dataflow_controller",
        "|tlast_wrong ? {INPUTS{1'b0}} : open_q & ~run_ends",
        "open_q & ~run_ends & ~tlast_wrong",
    ),
    "frames counted on the first input": (
        "dataflow_controller",
        4,
        "dataflow_controller",
        "n = 1; n < INPUTS",
        "n = INPUTS; n < INPUTS",
    ),
    "frames counted on the first output": (
        "dataflow_controller",
        6,
        "dataflow_controller",
        "n = 1; n < OUTPUTS",
        "n = OUTPUTS; n < OUTPUTS",
    ),
    "all frames as long as the first input's": (
        "dataflow_controller",
        4,
        "dataflow_controller",
        "BEATS = IN_BEATS[32*i +: 32]",
        "BEATS = IN_BEATS[31:0]",
    ),
    "words of other inputs not told": (
        "axil_registers",
        2,
        "axil_registers",
        "beats_d = IN_BEATS[32*n +: 32]",
        "beats_d = IN_BEATS[31:0]",
    ),
    "a hole in tkeep not seen": (
        "port_in",
        0,
        "port_in",
        "|(s_axis_tkeep[PORT/8-1:1] & ~s_axis_tkeep[PORT/8-2:0]) || kept",
        "kept",
    ),
    "a transfer cut amid a word completed by the next": (
        "port_in",
        1,
        "port_in",
        "|| (s_axis_tlast && !(&place_q))",
        "",
    ),
    "a frame's end waits for a full beat": ("port_out", 0, "port_out", "ends = s_axis_tlast || place", "ends = place"),
    "bytes of the beat before left": ("port_out", 0, "port_out", "i > 0 && moves && place_q[0]", "1'b0"),
    "a torn word taken for a good one": (
        "dataflow_controller",
        0,
        "dataflow_controller",
        "(s_axis_tlast ^ tlast_due) | s_axis_torn",
        "s_axis_tlast ^ tlast_due",
    ),
    "an interrupt that is not kept": ("axil_registers", 0, "axil_registers", "(rose_q & ~(", "(2'b00 & ~("),
    "a pair of the stream lost to a write of the host": (
        "axil_registers",
        1,
        "axil_registers",
        "s_load_tready = !valid_q || streams;",
        "s_load_tready = 1'b1;",
    ),
    "a list loaded in a run": ("axil_registers", 1, "axil_registers", "!writes && still;", "!writes;"),
    "cycles counted in 32 bits": (
        "dataflow_controller",
        0,
        "dataflow_controller",
        "cycles_q <= cycles_q + 1'b1",
        "cycles_q[31:0] <= cycles_q[31:0] + 1'b1",
    ),
    "a sum kept for the next frame": ("pixel_sum", 0, "pixel_sum", "rst || (beat && last)", "rst"),
    "one list, one channel": ("term_lanes", 18, "term_sequencer", "base_1 + g", "base_1"),
    "a channel's first place counted from the channel before": (
        "term_sequencer",
        4,
        "term_sequencer",
        "first_0 ? {PLACE_W{1'b0}} : ",
        "",
    ),
    "an upper half as a lower one": (
        "term_sequencer",
        6,
        "term_sequencer",
        "command_1[1] ? half_1 << HALF_W : half_1",
        "half_1",
    ),
    "a skip adds its payload": ("term_sequencer", 4, "term_sequencer", "immediate_1 && !skip_1", "immediate_1"),
    "a skip as short as a term's distance": (
        "term_sequencer",
        4,
        "term_sequencer",
        "skip_0 ? payload_0 << PAYLOAD_W : ",
        "",
    ),
    "a sum that begins with the one before": (
        "spike_bank",
        0,
        "spike_bank",
        "drain ? anew : sum + weight",
        "drain ? sum + anew : sum + weight",
    ),
    "spikes in the half that is read out": ("spike_lanes", 0, "spike_lanes", "half_q ^ drain", "half_q"),
    "a list of as many words as are not its own": ("spike_lanes", 0, "spike_lanes", "~found[", "found["),
    "the words of a list from its second": ("spike_lanes", 0, "spike_lanes", ", !take}", ", 1'b1}"),
    "sums of before a reset": ("spike_lanes", 0, "spike_lanes", "fresh_q <= 2'd2", "fresh_q <= 2'd1"),
    "sums that find no room": ("spike_lanes", 0, "spike_lanes", "(!full && !sending)", "!sending"),
    "signed pool taken as unsigned": ("max_graph", 0, "max_graph", "$signed(a) > $signed(b)", "a > b"),
    "last word of a beat first": (
        "stream_widen",
        0,
        "stream_widen",
        "{s_axis_tdata, words_q}",
        "{words_q, s_axis_tdata}",
    ),
    "a window that moves disabled": ("window", 0, "window", "{STEPS{enable && ", "{STEPS{"),
    "columns counted on from the row before": ("window", 9, "window", "row_ends || phase_q ==", "phase_q =="),
    "no slot behind the last beat": ("window", 2, "window", "tail_q <= tail_next", "tail_q <= 1'b0"),
    "rows above read a slot late": ("window", 0, "window", "at_q <= next_q", "at_q <= next_q + 1'b1"),
    "windows past the last column": ("window", 11, "window", "column_q != LAST_OUT[COLUMN_W-1:0]", "1'b1"),
    "windows past the last row": ("window", 11, "window", "row_q != LAST_ROW[ROW_W-1:0]", "1'b1"),
    "more enters than there is room for": ("credit_fifo", 0, "credit_fifo", "count_q < FULL", "count_q <= FULL"),
    "room for less than it holds": ("credit_fifo", 2, "credit_fifo", "FULL = DEPTH - 1", "FULL = DEPTH - 3"),
    "room for those that are to enter forgotten": (
        "credit_fifo",
        2,
        "credit_fifo",
        "DEPTH - 1 - AHEAD",
        "DEPTH - 1",
    ),
    "a beat that waits forgotten": ("window", 12, "window", "({STEPS{waits_q}} & ~leaves)", "0"),
    "a slot without a beat asks for one": ("window", 12, "window", "(~steps_q & {STEPS{!takes}})", "0"),
    "a tap that moves without the others": (
        "window",
        13,
        "window",
        "if (steps[i*TAP_COLUMNS+b%TAP_COLUMNS]) beat_q",
        "beat_q",
    ),
    "no word read as one": ("credit_fifo", 0, "credit_fifo", "write_place_q != read_place_q", "1'b1"),
    "a pixel beside the window taken": ("window", 0, "window", "BACK = BEHIND +", "BACK ="),
    "neighbour's lane off by one": (
        "lane_select",
        0,
        "lane_select",
        "FROM = l * LANE_STEP + FIRST_LEG +",
        "FROM = l * LANE_STEP + FIRST_LEG + 1 +",
    ),
    "a step between lanes ignored": ("lane_select", 4, "lane_select", "l * LANE_STEP +", "l +"),
    "ring never full": ("line_memory", 0, "line_memory", "used_d != RING[USED_W-1:0]", "1'b1"),
    "columns past the end not filled": ("line_memory", 0, "line_memory", "if (FILL != 0)", "if (0)"),
    "phases swapped": ("line_memory", 4, "line_memory", "phase_wide == h;", "phase_wide == PHASES - 1 - h;"),
    "a pixel of another stripe": ("line_memory", 4, "line_memory", "data_q[(g/PHASES)*S_W", "data_q[(g%SIDE)*S_W"),
    "the last stripe overwritten": ("line_memory", 3, "line_memory", " && last_is_real_q", ""),
    "one address for all readers": ("line_memory", 3, "line_memory", "read_address[r*ADDRESS_W", "read_address[0"),
    "one address for all readers of blocks": (
        "line_memory",
        4,
        "line_memory",
        "read_address[r*ADDRESS_W",
        "read_address[0",
    ),
    "short beats sent whole": ("stream_narrow", 0, "stream_narrow", "if (SHORT == N)", "if (1)"),
    "short ignored": ("serializer", 1, "serializer", ".d(is_short)", ".d(1'b0)"),
    "a gap between loads": ("serializer", 1, "serializer", "full = busy_q && !leaves", "full = busy_q"),
    "another group's term": (
        "term_sequencer",
        2,
        "term_sequencer",
        "word_1[((SHARED != 0) ? 0 : g)*TERM_W",
        "word_1[(GROUPS-1-g)*TERM_W",
    ),
    "final never": ("term_sequencer", 2, "term_sequencer", ".d(wrap_1)", ".d(1'b0)"),
    "padding rows read": ("term_sequencer", 0, "term_sequencer", " || padding_1", ""),
    "rows given back too early": (
        "term_sequencer",
        0,
        "term_sequencer",
        ".d(go_1 && wrap_1 && stripe_last)",
        ".d(go_1 && wrap_1 && column_q == FIRST_COLUMN)",
    ),
    "a row started too early": (
        "term_sequencer",
        0,
        "term_sequencer",
        "ready = row_ready && !stale",
        "ready = !stale",
    ),
    "operands lost while results wait": (
        "term_lanes",
        14,
        "term_lanes",
        "if (enable) begin\n                                if (group_immediate_3[k]) op",
        "begin\n                                if (group_immediate_3[k]) op",
    ),
    "a group without a channel sent": ("term_lanes", 5, "term_lanes", ".is_final(is_final)", ".is_final(1'b0)"),
    "a group's word read for another": (
        "term_lanes",
        5,
        "term_lanes",
        "word_3[g*STRIPES*X_W +: STRIPES*X_W]",
        "word_3[0 +: STRIPES*X_W]",
    ),
    "a row above the frame read": ("term_sequencer", 8, "term_sequencer", "above = row < TOP - 1", "above = 1'b0"),
    "a row below the frame read": ("term_sequencer", 0, "term_sequencer", "row >= BOTTOM - 1", "row >= BOTTOM"),
    "a column beside a lane alone read": ("term_sequencer", 8, "term_sequencer", " || outside_1", ""),
    "a slot past the ring": ("ring_sum", 0, "ring_sum", "% RING) >> k", ") >> k"),
    "a slot past a large ring": ("ring_sum", 3, "ring_sum", "wrapped[SUM_W-1] ? near", "1'b1 ? near"),
    "rows lost at a frame's end": ("row_count", 1, "row_count", "? STEP : LAST_STEP", "? STEP : STEP"),
    "rows of a large ring lost at a frame's end": ("row_count", 3, "row_count", "step = last ?", "step = 1'b0 ?"),
    "two flips not told of": ("secded", 3, "secded", "= |syndrome && !repaired", "= 1'b0"),
    "a bit beside the flipped one turned": (
        "secded",
        3,
        "secded",
        "(syndrome == column)",
        "(syndrome + 1'b1 == column)",
    ),
    "parity without its bit": ("word_code", 2, "word_code", "parity != stored[WIDTH]", "parity"),
    "one copy counts alone": ("voted_reg", 2, "voted_reg", "q = (a & b) | (a & c) | (b & c)", "q = a"),
    "a fault forgotten": ("axil_registers", 2, "axil_registers", "fault[w] || (fault_q", "fault[w] && (!fault_q"),
    "an activation's parity not looked at": ("line_memory", 10, "line_memory", "fault_q <= |odd", "fault_q <= 1'b0"),
    "a word too many taken for the next frame's": (
        "dataflow_controller",
        7,
        "dataflow_controller",
        "out_ends[i] ? next != begun[15:0] : out != begun[15:0]",
        "1'b1",
    ),
    "what is left of a lost frame taken for the next": (
        "dataflow_controller",
        7,
        "dataflow_controller",
        "{INPUTS{resync_q}} & ~drained",
        "{INPUTS{1'b0}}",
    ),
    "a lead written": ("line_memory", 0, "line_memory", ".RESET(LEAD[COLUMN_W-1:0])", ".RESET(0)"),
    "a bank of the row before": (
        "term_rom",
        6,
        "term_rom",
        ".STAGES(LATE)",
        ".STAGES(1)",
    ),
    "a register that does not wait": ("term_rom", 2, "term_rom", "if (enable) row_q <= read", "row_q <= read"),
    "old operand kept after reset": ("term_lanes", 3, "term_lanes", "rst || rst_q ||", "rst ||"),
    "sum kept for the next output": (
        "term_lanes",
        3,
        "term_lanes",
        "rst || rst_q || (enable && ends)",
        "rst || rst_q",
    ),
}


def under_other_names(text: str, modules: list[str], number: int) -> str:
    """Verilog in which all of these modules have the number behind their names, where they begin and where they are
    instantiated."""
    names = "|".join(modules)
    return re.sub(rf"^(module |[ ]+)({names})(?=;| \(| #\(| \w+ *\()", rf"\1\2_{number}", text, flags=re.MULTILINE)


@pytest.mark.smoke
def test_every_mutant_finds_its_text():
    sources = {path.stem: path.read_text() for path in share("rtl").glob("*.v")}
    stale = [name for name, (_, _, file, text, _) in MUTANTS.items() if text not in sources[file]]
    assert not stale, "give these mutants the text that their file has now"


@pytest.mark.parametrize("name", sorted({bench for bench, *_ in MUTANTS.values()}))
def test_the_bench_fails_on_each_mutant(name, tmp_path):
    """All mutants side by side, each with copies of all its modules; the bench leaves each with its first failed test.
    Unchanged it passes: tests/test_rtl.py."""
    bench, mutants = BENCHES[name], {mutant: own for mutant, (of, *own) in MUTANTS.items() if of == name}
    sources = {path.stem: path.read_text() for path in sources_of(name)}
    configs, copies, tops = [], [], []
    for number, (index, file, text, instead) in enumerate(mutants.values()):
        changed = sources | {file: sources[file].replace(text, instead)}
        texts = [*changed.values(), with_open_ports(name, changed[name])]
        copies += [under_other_names(each, [f"{name}_ports", *sources], number) for each in texts]
        configs.append(bench.CONFIGS[index])
        tops.append(f"{name}_ports_{number}")
    (tmp_path / "configs.v").write_text("".join(copies) + side_by_side(tops, configs, bench, tmp_path))
    with pytest.raises(ToolFailed, match="tests failed") as failure:
        run_cocotb(
            simulator="icarus",
            sources=[tmp_path / "configs.v"],
            toplevel="configs",
            module="parts.configs",
            build_dir=tmp_path / "build",
            environment=bench_environment(bench, configs, tmp_path) | {"BENCH_ONE_FAILURE": "1"},
            cwd=tmp_path / "0",
            timeout=300,
        )
    failed = {int(number) for number in re.findall(r" on config_(\d+) ", str(failure.value))}
    uncaught = [mutant for number, mutant in enumerate(mutants) if number not in failed]
    assert not uncaught, uncaught


class Tiny(nn.Module):
    """A convolution between two grids; without bias its immediates are the halves of the rounding."""

    def __init__(self, rounded: bool):
        super().__init__()
        self.quantize = ActQuant(4, 0, signed=True)
        self.conv = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.round = ActQuant(4, 3, signed=True) if rounded else nn.Identity()
        choices = torch.tensor([0.0, 1, -1, 2, -3, 4, -8])
        chosen = torch.randint(len(choices), self.conv.weight.shape, generator=torch.Generator().manual_seed(1))
        self.conv.weight.data = choices[chosen]

    def forward(self, x):
        return self.round(self.conv(self.quantize(x)))


FRAMES = torch.randint(-8, 8, (3, 2, 4, 5), generator=torch.Generator().manual_seed(2)).float()


def built(folder, rounded):
    model = Tiny(rounded).eval()
    build(model, (FRAMES[:1],), out=folder, config=BuildConfig(lanes=1, name="tiny"))
    return folder, model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return built(tmp_path_factory.mktemp("tiny") / "build", rounded=True)


def differing(folder, model, x=FRAMES):
    """How many of the network's results are not those of the module."""
    result, _ = simulate(folder, x.numpy(), simulator="icarus", edited=True)
    return int(np.count_nonzero(result != model.double()(x.double()).detach().numpy()))


def change_rom(source, target, change, check=True):
    """Copies a build with change(words, payload bits) done to its ROM, and CHECK set to match if `check`."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("sim"))
    ((rom, shape),) = read_manifest(source)["roms"].items()
    words = [int(line, 16) for line in (source / rom).read_text().split()]
    changed = change(list(words), shape["width"] - 4)
    assert changed != words and len(changed) == len(words)
    (target / rom).write_text("".join(f"{word:x}\n" for word in changed))
    if check:
        core = target / "rtl/tiny_core.v"
        old, new = (f".CHECK(32'h{check_sum(numbers, shape['width']):x})" for numbers in (words, changed))
        assert old in core.read_text()
        core.write_text(core.read_text().replace(old, new))


def without_halves(words, bits):
    return [word >> bits << bits if word >> bits & IMMEDIATE else word for word in words]


def first_term(words, bits):
    return next(i for i, word in enumerate(words) if not word >> bits & IMMEDIATE)


def one_sign_turned(words, bits):
    words[first_term(words, bits)] ^= NEGATE << bits
    return words


def one_term_dropped(words, bits):
    """An immediate zero in its place, with its shift and its end."""
    i = first_term(words, bits)
    words[i] = ((words[i] >> bits) & ~NEGATE | IMMEDIATE) << bits
    return words


@pytest.mark.smoke
def test_the_network_is_right_unchanged(tiny):
    folder, model = tiny
    assert differing(folder, model) == 0


@pytest.mark.smoke
@pytest.mark.parametrize("change", [without_halves, one_sign_turned, one_term_dropped])
def test_the_network_is_wrong_with(change, tiny, tmp_path):
    folder, model = tiny
    change_rom(folder, tmp_path / "build", change)
    assert differing(tmp_path / "build", model) > 0


def test_a_changed_rom_alone_ends_the_simulation(tiny, tmp_path):
    folder, model = tiny
    change_rom(folder, tmp_path / "build", one_sign_turned, check=False)
    with pytest.raises(ToolFailed):
        differing(tmp_path / "build", model)
    log = tmp_path / "build/sim/icarus/build/run.log"
    assert "does not hold" in log.read_text()


def worst_frames(model):
    """For each output the two frames that drive a pixel of it to its greatest and to its least sum."""
    frames = []
    for weight in model.conv.weight.detach():
        for sign in (1, -1):
            frame = torch.zeros(FRAMES.shape[1:])
            frame[:, :3, :3] = torch.where(weight * sign > 0, 7.0, -8.0)
            frames.append(frame)
    return torch.stack(frames)


def test_accumulators_hold_the_worst_case_and_not_a_bit_more(tmp_path):
    folder, model = built(tmp_path / "build", rounded=False)
    x = worst_frames(model)
    positive, negative = (
        (model.conv.weight.detach() * sign).clamp(min=0).sum(dim=(1, 2, 3)).double() for sign in (1, -1)
    )
    assert differing(folder, model, x) == 0
    result, _ = simulate(folder, x.numpy(), simulator="icarus")
    for output in range(len(positive)):
        p, n = float(positive[output]), float(negative[output])
        assert result[2 * output, output].max() == 7 * p + 8 * n
        assert result[2 * output + 1, output].min() == -8 * p - 7 * n

    narrow = tmp_path / "narrow"
    shutil.copytree(folder, narrow, ignore=shutil.ignore_patterns("sim"))
    core = narrow / "rtl/tiny_core.v"
    (bits,) = re.findall(r"\.W\((\d+)\)", core.read_text())
    core.write_text(core.read_text().replace(f".W({bits})", f".W({int(bits) - 1})"))
    assert differing(narrow, model, x) > 0


# spatial layers: the broken build must not verify


def unfolded(folder) -> np.ndarray:
    """Builds Tiny and a second layer, spatial, with registers behind each row, its windows two pixels at a time."""
    model = nn.Sequential(
        Tiny(rounded=True), nn.Conv2d(3, 2, (1, 2), stride=(1, 2)), ActQuant(5, 0, signed=True)
    ).eval()
    model[1].weight.data = torch.tensor([1.0, -3, 0, 2, -0.5, 7]).repeat(2).reshape(2, 3, 1, 2)
    model[1].bias.data = torch.tensor([0.25, -4.0])
    x = torch.nn.functional.pad(FRAMES, (0, 1))
    config = BuildConfig(engine="spatial", pixels=2, levels=1, name="tiny")
    build(model, (x[:1],), out=folder, config=config)
    return x.numpy()


@pytest.fixture(scope="module")
def spatial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spatial") / "build"
    x = unfolded(folder)
    assert verify(folder, x, simulator="icarus", stall=0.2)["equal"] == len(x)
    return folder, x


# file, pattern, replacement
SPATIAL_MUTANTS = {
    "row_adder: the one lost": ("row_adder", r"first, ONE\[0\]\}", "first, 1'b0}"),
    "row_adder: the fourth bit lost": ("row_adder", r"\(D != 0\) && d,", "1'b0,"),
    "row_adder: a majority lost": ("row_adder", r"\(x & y\) \| ", ""),
    "window: rows past the bottom not padded": ("window", r"\|\| past_bottom \|\|", "||"),
    "window: rows above forgotten": (
        "window",
        r"memory\[at_q\] <= beats\[0 \+: WORD_W\]",
        "memory[at_q] <= {WORD_W{1'b0}}",
    ),
    "clamp: no lower end": ("clamp", r"below \? LOW_BITS\[OUT_W-1:0\] : ", ""),
    "graph: inversions left out": ("adder_graph_\\w+", r", \.NOT_\w\(\d+'h\w+\)", ""),
    "graph: registers left out": ("adder_graph_\\w+", r"(u_s\d+ \(.*?s\d+)_d1", r"\1"),
    "graph: outputs exchanged": ("adder_graph_\\w+", r"(y_q\[\d+ \+: \d+\] <= )y1;", r"\1y0;"),
}


@pytest.mark.parametrize("mutant", SPATIAL_MUTANTS)
def test_a_spatial_build_does_not_verify_with(mutant, spatial, tmp_path):
    file, pattern, instead = SPATIAL_MUTANTS[mutant]
    folder, x = spatial
    shutil.copytree(folder, tmp_path / "build", ignore=shutil.ignore_patterns("sim"))
    for path in sorted((tmp_path / "build/rtl").iterdir()):
        text = path.read_text()
        if re.fullmatch(file, path.stem) and re.search(pattern, text):
            path.write_text(re.sub(pattern, instead, text))
            break
    else:
        raise AssertionError(f"no {file}.v holds {pattern}: give the mutant its new text")
    with pytest.raises(Mismatch, match=r"first wrong layer(?s:.*)the build was edited: look at rtl/"):
        verify(tmp_path / "build", x, simulator="icarus", edited=True)


def a_term_dropped(table, constants, inputs, sums, then):
    kept = [getattr(table, name)[1:] for name in ("output", "input", "exponent", "negative")]
    return adder_netlist(type(table)(*kept), constants, inputs, sums, then)


def a_sign_turned(table, constants, inputs, sums, then):
    negative = table.negative.copy()
    negative[0] ^= 1
    return adder_netlist(replace(table, negative=negative), constants, inputs, sums, then)


def a_constant_wrong(table, constants, inputs, sums, then):
    return adder_netlist(table, [constants[0] + 4, *constants[1:]], inputs, sums, then)


@pytest.mark.parametrize("broken", [a_term_dropped, a_sign_turned, a_constant_wrong])
def test_a_spatial_build_does_not_verify_made_with(broken, monkeypatch, tmp_path):
    monkeypatch.setattr("hwgen.units.adder_graph.adder_netlist", broken)
    x = unfolded(tmp_path / "build")
    with pytest.raises(Mismatch, match="first wrong layer layer_0_conv \\(stream layer_0_round\\), channel 0"):
        verify(tmp_path / "build", x, simulator="icarus")
