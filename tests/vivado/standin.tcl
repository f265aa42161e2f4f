# Stands in for Vivado in the tests: its commands check their files and their order, and log the call.
#
#   tclsh standin.tcl -mode batch -nojournal -log FILE -source SCRIPT
#
# A command that is not here is an error, as any unknown Tcl command is. Reports are those beside this file.
array set options [lsearch -all -inline -not -exact $argv -nojournal]
set reports [file dirname [file normalize [info script]]]
set log [open $options(-log) w]
set state none
set clocks {}
puts $log "# Vivado v2099.1 (64-bit)"

proc call {name arguments} {
    puts $::log "CALL $name $arguments"
}

proc step {from to} {
    if {$::state ni $from} { error "$to after $::state" }
    set ::state $to
}

proc present {file} {
    if {![file isfile $file]} { error "no file $file in [pwd]" }
}

# the value of one flag of a command's arguments
proc flag {arguments name} {
    set at [lsearch -exact $arguments $name]
    if {$at < 0} { error "$name is missing: $arguments" }
    lindex $arguments [expr {$at + 1}]
}

proc create_project {args} { step none created; call create_project $args; flag $args -part }
proc set_msg_config {args} { flag $args -id; flag $args -new_severity }
proc read_verilog {file} { step created created; present $file; call read_verilog $file }

proc add_files {args} {
    step created created
    set file [lindex $args end]
    present $file
    call add_files $args
    puts $::log "INFO: \[Synth 8-3876\] \$readmem data file '$file' is read successfully \[/a/b.v:21\]"
    return $file
}

proc set_property {property value object} { call set_property [list $property $value $object] }
proc current_design {} { return design }
proc get_ports {name} { return $name }
proc get_clocks {} { return $::clocks }

proc create_clock {args} {
    call create_clock $args
    if {![string is double [flag $args -period]]} { error "period is no number: $args" }
    lappend ::clocks [flag $args -name]
}

proc read_xdc {file} {
    step created created
    present $file
    call read_xdc $file
    uplevel #0 [list source $file]
}

proc synth_design {args} {
    step created synthesized
    call synth_design $args
    flag $args -top
    flag $args -part
}

proc opt_design {} { step synthesized optimized; call opt_design {} }
proc place_design {} { step optimized placed; call place_design {} }
proc phys_opt_design {} { step placed physically_optimized; call phys_opt_design {} }
proc route_design {} { step physically_optimized routed; call route_design {} }

proc report {kind arguments} {
    step {synthesized routed} $::state
    call report $kind
    file copy -force [file join $::reports $kind.rpt] [flag $arguments -file]
}

proc report_utilization {args} {
    report [expr {"-hierarchical" in $args ? "hierarchy" : "utilization"}] $args
}

proc report_timing_summary {args} { report timing $args }
proc write_checkpoint {args} { step {synthesized routed} written; call write_checkpoint $args }

if {[catch {source $options(-source)} message]} {
    puts $log "ERROR: $message"
    close $log
    exit 1
}
close $log
