# Stands in for Vivado in the test of what Edalize writes: its commands check their files, and log them.
#
#   tclsh edalize_standin.tcl LOG SCRIPT...
#
# A command that is not here is an error, as any unknown Tcl command is.
set scripts [lassign $argv log_file]
set log [open $log_file w]
array set properties {}
array set runs {synth_1 0%}

proc say {text} { puts $::log $text }
proc present {file} { if {![file isfile $file]} { error "no file $file in [pwd]" }; return $file }

proc create_project {name args} { set ::project $name; say "PROJECT $name" }
proc current_project {} { return $::project }
proc current_fileset {} { return sources_1 }
proc get_filesets {name} { if {$name ne "sources_1"} { error "no fileset $name" }; return $name }
proc set_property {name value object} { set ::properties($name) $value; say "SET $name $value" }
proc read_verilog {args} { say "VERILOG [present [lindex $args end]]" }
proc read_mem {file} { say "MEMORY [present $file]" }

proc get_runs {name} { if {![info exists ::runs($name)]} { error "no run $name" }; return $name }
proc get_property {name object} {
    switch $name {
        NEEDS_REFRESH { return 0 }
        PROGRESS { return $::runs($object) }
    }
    error "no property $name of $object"
}
proc reset_runs {name} { set ::runs([get_runs $name]) 0% }
proc launch_runs {name} {
    foreach needed {part top} { if {![info exists ::properties($needed)]} { error "$needed is not set" } }
    say "RUN [get_runs $name]"
}
proc wait_on_run {name} { set ::runs([get_runs $name]) 100% }

if {[catch { foreach script $scripts { source $script } } message]} {
    say "ERROR: $message"
    puts stderr "ERROR: $message"
    close $log
    exit 1
}
close $log
