# ZCU104, whole design: what belongs to the board. The clock's period is in the project's own clocks.xdc.
#
# The AXI ports meet the processing system inside the device, so no package pin is placed here.
set_property CFGBVS GND [current_design]
set_property CONFIG_VOLTAGE 1.8 [current_design]
set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]
