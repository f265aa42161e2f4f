"""One file per hardware block of rtl/: its Verilog parameters, its legal folds, its cycles."""
