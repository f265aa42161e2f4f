# ZCU102: what belongs to the board, whatever the design. The clock is in the project's own clocks.xdc.
#
# No package pin is placed: the AXI ports meet the processing system inside the device.
set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]
