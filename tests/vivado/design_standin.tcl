# Stands in for Vivado in the tests of a kit: its commands of projects and block designs, with the IP that a kit uses.
#
#   tclsh design_standin.tcl -mode batch -nojournal -log FILE -source SCRIPT
#
# A cell has the interfaces and pins that its product guide gives it for its parameters. What is named must be there, a
# parameter must be one of the IP; validate_bd_design demands that every interface and every input is connected exactly
# once, that streams are as wide at both ends, and that what has registers or memory has an address, alone.
# HWGEN_STANDIN of the environment: version=2025.1 slack=-0.5 hold=-0.5 lacks=axi_dma state=failed (default: 2022.2, 0.1,
# nothing that it lacks, a run that ends well)
array set options [lsearch -all -inline -not -exact $argv -nojournal]
array set standin {version 2022.2 slack 0.1 hold 0.1 lacks none state good}
if {[info exists env(HWGEN_STANDIN)]} { array set standin [split [string map {= " "} $env(HWGEN_STANDIN)] " "] }
file mkdir [file dirname $options(-log)]
set log [open $options(-log) w]
set state none
array set cell {}     ;# name -> IP
array set config {}   ;# cell,PARAMETER -> value
array set joined {}   ;# interface -> the one it is connected to
array set driver {}   ;# input pin -> the pin that drives it
array set address {}  ;# segment -> {offset range}
set networks {}       ;# interfaces of the packaged IP
set automated 0

proc say {text} { puts $::log $text }
proc step {from to} {
    if {$::state ni $from} { error "$to after $::state" }
    set ::state $to
    say "CALL $to"
}
proc present {file} { if {![file isfile $file]} { error "no file $file in [pwd]" }; return $file }
proc flag {arguments name} {
    set at [lsearch -exact $arguments $name]
    if {$at < 0} { error "$name is missing: $arguments" }
    lindex $arguments [expr {$at + 1}]
}

# ---- IP: parameters with defaults, interfaces {name kind role width}, pins {name direction}

set parameters(zynq_ultra_ps_e) {PSU__USE__M_AXI_GP0 1 PSU__USE__M_AXI_GP1 1 PSU__USE__M_AXI_GP2 0 PSU__USE__S_AXI_GP2 0
    PSU__USE__IRQ0 0 PSU__FPGA_PL0_ENABLE 0 PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ 100}
set parameters(processing_system7) {PCW_USE_M_AXI_GP0 1 PCW_USE_S_AXI_HP0 0 PCW_USE_FABRIC_INTERRUPT 0 PCW_IRQ_F2P_INTR 0
    PCW_FPGA0_PERIPHERAL_FREQMHZ 50}
set parameters(clk_wiz) {PRIM_IN_FREQ 100.000 CLKOUT1_REQUESTED_OUT_FREQ 100.000 USE_RESET true USE_LOCKED true}
set parameters(proc_sys_reset) {}
set parameters(axi_dma) {c_include_sg 1 c_sg_include_stscntrl_strm 1 c_sg_length_width 14 c_addr_width 32 c_include_mm2s 1
    c_include_s2mm 1 c_m_axis_mm2s_tdata_width 32 c_m_axi_mm2s_data_width 32 c_mm2s_burst_size 16
    c_m_axi_s2mm_data_width 32 c_s2mm_burst_size 16}
set parameters(smartconnect) {NUM_SI 2 NUM_MI 1}
set parameters(xlconcat) {NUM_PORTS 2}
set parameters(ilconcat) {NUM_PORTS 2}
set parameters(network) {}

proc of {name parameter} { return $::config($name,$parameter) }
proc if_set {name parameter what} { return [expr {[of $name $parameter] in {1 true} ? $what : {}}] }

proc interfaces {name} {
    switch $::cell($name) {
        zynq_ultra_ps_e {
            return [concat [if_set $name PSU__USE__M_AXI_GP0 {{M_AXI_HPM0_FPD axi master 0}}] \
                [if_set $name PSU__USE__M_AXI_GP1 {{M_AXI_HPM1_FPD axi master 0}}] \
                [if_set $name PSU__USE__M_AXI_GP2 {{M_AXI_HPM0_LPD axi master 0}}] \
                [if_set $name PSU__USE__S_AXI_GP2 {{S_AXI_HP0_FPD axi slave 0}}]]
        }
        processing_system7 {
            return [concat [if_set $name PCW_USE_M_AXI_GP0 {{M_AXI_GP0 axi master 0}}] \
                [if_set $name PCW_USE_S_AXI_HP0 {{S_AXI_HP0 axi slave 0}}]]
        }
        axi_dma {
            set in [of $name c_m_axis_mm2s_tdata_width]
            return [concat {{S_AXI_LITE axi slave 0}} [if_set $name c_include_sg {{M_AXI_SG axi master 0}}] \
                [if_set $name c_include_mm2s [list {M_AXI_MM2S axi master 0} [list M_AXIS_MM2S axis master $in]]] \
                [if_set $name c_include_s2mm {{M_AXI_S2MM axi master 0} {S_AXIS_S2MM axis slave any}}] \
                [if_set $name c_sg_include_stscntrl_strm {{M_AXIS_CNTRL axis master 32} {S_AXIS_STS axis slave 32}}]]
        }
        smartconnect {
            set found {}
            for {set i 0} {$i < [of $name NUM_SI]} {incr i} { lappend found [list [format S%02d_AXI $i] axi slave 0] }
            for {set i 0} {$i < [of $name NUM_MI]} {incr i} { lappend found [list [format M%02d_AXI $i] axi master 0] }
            return $found
        }
        network { return $::networks }
        default { return {} }
    }
}

proc pins {name} {
    switch $::cell($name) {
        zynq_ultra_ps_e {
            return [concat {{pl_resetn0 out}} [if_set $name PSU__FPGA_PL0_ENABLE {{pl_clk0 out}}] \
                [if_set $name PSU__USE__M_AXI_GP0 {{maxihpm0_fpd_aclk in}}] \
                [if_set $name PSU__USE__M_AXI_GP1 {{maxihpm1_fpd_aclk in}}] \
                [if_set $name PSU__USE__M_AXI_GP2 {{maxihpm0_lpd_aclk in}}] \
                [if_set $name PSU__USE__S_AXI_GP2 {{saxihp0_fpd_aclk in}}] [if_set $name PSU__USE__IRQ0 {{pl_ps_irq0 in}}]]
        }
        processing_system7 {
            return [concat {{FCLK_RESET0_N out} {FCLK_CLK0 out}} [if_set $name PCW_USE_M_AXI_GP0 {{M_AXI_GP0_ACLK in}}] \
                [if_set $name PCW_USE_S_AXI_HP0 {{S_AXI_HP0_ACLK in}}] [if_set $name PCW_USE_FABRIC_INTERRUPT {{IRQ_F2P in}}]]
        }
        clk_wiz {
            return [concat {{clk_in1 in} {clk_out1 out}} [if_set $name USE_RESET {{reset in}}] [if_set $name USE_LOCKED {{locked out}}]]
        }
        proc_sys_reset {
            # aux_reset_in and mb_debug_sys_rst may be left open
            return {{slowest_sync_clk in} {ext_reset_in in} {dcm_locked in} {peripheral_aresetn out} {interconnect_aresetn out}
                {peripheral_reset out} {bus_struct_reset out} {mb_reset out}}
        }
        axi_dma {
            return [concat {{s_axi_lite_aclk in} {axi_resetn in}} [if_set $name c_include_sg {{m_axi_sg_aclk in}}] \
                [if_set $name c_include_mm2s {{m_axi_mm2s_aclk in} {mm2s_introut out} {mm2s_prmry_reset_out_n out}}] \
                [if_set $name c_include_s2mm {{m_axi_s2mm_aclk in} {s2mm_introut out} {s2mm_prmry_reset_out_n out}}]]
        }
        smartconnect { return {{aclk in} {aresetn in}} }
        network { return $::network_pins }
        xlconcat - ilconcat {
            set found {{dout out}}
            for {set i 0} {$i < [of $name NUM_PORTS]} {incr i} { lappend found [list In$i in] }
            return $found
        }
    }
}

# the packaged IP: its interfaces and pins, from component.xml; its files must be there
proc read_component {folder} {
    set file [open [present $folder/component.xml]]
    set text [read $file]
    close $file
    foreach name [regexp -all -inline {<spirit:name>(src/[^<]*)</spirit:name>} $text] {
        if {[string match src/* $name]} { present $folder/$name }
    }
    foreach {whole inside} [regexp -all -inline {<spirit:busInterface>(.*?)</spirit:busInterface>} $text] {
        regexp {<spirit:name>([^<]*)<} $inside -> name
        regexp {busType [^>]*spirit:name="([a-z]+)"} $inside -> kind
        set role [expr {[string match *<spirit:master* $inside] ? "master" : "slave"}]
        set bytes 0
        regexp {TDATA_NUM_BYTES</spirit:name>\s*<spirit:value [^>]*>(\d+)<} $inside -> bytes
        switch $kind {
            aximm { lappend ::networks [list $name axi $role 0] }
            axis { lappend ::networks [list $name axis $role [expr {8 * $bytes}]] }
            clock - reset { lappend ::network_pins [list $name in] }
            interrupt { lappend ::network_pins [list $name out] }
        }
    }
    regexp {<spirit:library>([^<]*)</spirit:library>\s*<spirit:name>([^<]*)<} $text -> library top
    set ::vlnv hwgen:$library:$top:1.0
}

# ---- projects

proc version {args} { return $::standin(version) }
proc set_msg_config {args} { flag $args -id; flag $args -new_severity }
proc create_project {args} { step none created; say "CALL part [flag $args -part]" }
proc get_board_parts {args} {
    set known {xilinx.com:zcu104:part0:1.0 xilinx.com:zcu104:part0:1.1 xilinx.com:zcu102:part0:3.4
        xilinx.com:kv260_som:part0:1.4 tul.com.tw:pynq-z2:part0:1.0}
    return [lsearch -all -inline -not -glob [lsearch -all -inline -glob $known [lindex $args end]] *$::standin(lacks)*]
}
proc current_project {} { return project }
proc current_fileset {} { return fileset }
proc update_ip_catalog {args} { read_component $::repository }
proc get_files {name} { return $name }
proc make_wrapper {args} { step saved wrapped; return [flag $args -files] }
proc add_files {args} { if {"-fileset" in $args} { present [lindex $args end] } }
proc launch_runs {args} { step wrapped launched; if {[flag $args -to_step] ne "write_bitstream"} { error "no bitstream" } }
proc wait_on_run {run} { step launched ran }
proc get_runs {run} { return $run }
proc open_run {run} { step ran opened }
proc report_utilization {args} { copy_report [expr {"-hierarchical" in $args ? "hierarchy" : "utilization"}] $args }
proc report_timing_summary {args} { copy_report timing $args }
proc report_power {args} { copy_report power $args }
proc get_timing_paths {args} { return [expr {"-hold" in $args ? "hold" : "slack"}] }
proc get_property {name object} {
    switch $name {
        SLACK { return $::standin($object) }
        PROGRESS { return [expr {$::standin(state) eq "good" ? "100%" : "40%"}] }
        STATUS { return "route_design ERROR" }
        DIRECTORY {
            set folder vivado/project/[string map {_top {}} [lindex [split $::vlnv :] 2]].gen/sources_1/bd/design_1/hw_handoff
            file mkdir vivado/project/runs $folder
            close [open vivado/project/runs/design_1_wrapper.bit w]
            close [open $folder/design_1.hwh w]
            return vivado/project/runs
        }
    }
    error "no property $name of $object"
}
proc write_hw_platform {args} { step opened written; close [open [flag $args -file] w] }

# ---- block designs

proc get_ipdefs {args} {
    set known {xilinx.com:ip:zynq_ultra_ps_e:3.4 xilinx.com:ip:zynq_ultra_ps_e:3.5 xilinx.com:ip:processing_system7:5.5
        xilinx.com:ip:clk_wiz:6.0 xilinx.com:ip:proc_sys_reset:5.0 xilinx.com:ip:axi_dma:7.1 xilinx.com:ip:smartconnect:1.0}
    if {[package vcompare $::standin(version) 2025.1] < 0} { lappend known xilinx.com:ip:xlconcat:2.1 }
    return [lsearch -all -inline -not -glob [lsearch -all -inline -glob $known [lindex $args end]] *$::standin(lacks)*]
}
proc create_bd_design {name} { step created designing }
proc create_bd_cell {args} {
    set name [lindex $args end]
    set vlnv [flag $args -vlnv]
    if {[info exists ::cell($name)]} { error "a second cell $name" }
    if {$vlnv eq $::vlnv} {
        set ip network
    } elseif {[flag $args -type] eq "inline_hdl"} {
        if {[package vcompare $::standin(version) 2024.2] < 0} { error "no inline HDL in $::standin(version)" }
        set ip [lindex [split $vlnv :] 2]
    } elseif {$vlnv in [get_ipdefs $vlnv]} {
        set ip [lindex [split $vlnv :] 2]
    } else {
        error "no IP $vlnv"
    }
    set ::cell($name) $ip
    foreach {parameter value} $::parameters($ip) { set ::config($name,$parameter) $value }
    say "CELL $name $ip"
}
proc apply_bd_automation {args} {
    set ::automated [string match {*apply_board_preset "1"*} [flag $args -config]]
    set name [lindex $args end]
    if {![string match *:[set ::cell($name)] [flag $args -rule]]} { error "a rule of another IP: $args" }
}
proc get_bd_cells {name} { if {![info exists ::cell($name)]} { error "no cell $name" }; return $name }

proc set_property {args} {
    if {[lindex $args 0] eq "-dict"} {
        foreach {name value} [lindex $args 1] { set_property $name $value [lindex $args 2] }
        return
    }
    lassign $args name value object
    if {$name eq "ip_repo_paths"} { set ::repository $value }
    if {![string match CONFIG.* $name]} { say "SET $name $value"; return }
    set parameter [string range $name 7 end]
    if {![info exists ::config($object,$parameter)]} { error "$object ($::cell($object)) has no parameter $parameter" }
    set ::config($object,$parameter) $value
    say "SET $object $parameter $value"
}

# the description of an interface or a pin, by its path
proc known {path what} {
    lassign [split $path /] name last
    get_bd_cells $name
    foreach each [$what $name] { if {[lindex $each 0] eq $last} { return $each } }
    error "$name ($::cell($name)) has no $last"
}
proc get_bd_intf_pins {path} { known $path interfaces; return $path }
proc get_bd_pins {path} { known $path pins; return $path }

proc connect_bd_intf_net {a b} {
    foreach end [list $a $b] { if {[info exists ::joined($end)]} { error "$end is connected twice" } }
    lassign [known $a interfaces] - kind_a role_a width_a
    lassign [known $b interfaces] - kind_b role_b width_b
    if {$kind_a ne $kind_b || $role_a ne "master" || $role_b ne "slave"} { error "$a cannot drive $b" }
    if {$width_a ne $width_b && "any" ni [list $width_a $width_b]} { error "$a has $width_a bits, $b has $width_b" }
    set ::joined($a) $b
    set ::joined($b) $a
}
proc connect_bd_net {from to} {
    if {[lindex [known $from pins] 1] ne "out" || [lindex [known $to pins] 1] ne "in"} { error "$from cannot drive $to" }
    if {[info exists ::driver($to)]} { error "$to is driven twice" }
    set ::driver($to) $from
}

# what a master reaches, through interconnects: slave interfaces of other cells
proc reached {master} {
    if {![info exists ::joined($master)]} { return {} }
    set slave $::joined($master)
    set name [lindex [split $slave /] 0]
    if {$::cell($name) ne "smartconnect"} { return [list $slave] }
    set found {}
    foreach each [interfaces $name] {
        if {[lindex $each 2] eq "master"} { lappend found {*}[reached $name/[lindex $each 0]] }
    }
    return $found
}
proc get_bd_addr_spaces {path} {
    if {$path ne "ps/Data"} { error "no address space $path" }
    return $path
}
proc get_bd_addr_segs {path} {
    lassign [split $path /] name port segment
    known $name/$port interfaces
    if {$segment ne [expr {$::cell($name) eq "network" ? "reg" : "Reg"}]} { error "no segment $path" }
    return $name/$port
}
proc ps_master {} {
    foreach each [interfaces ps] { if {[lindex $each 2] eq "master"} { return ps/[lindex $each 0] } }
    error "the processing system has no master"
}
proc memory_masters {} {
    set found {}
    foreach name [array names ::cell] {
        foreach each [interfaces $name] {
            lassign $each port kind role
            if {$::cell($name) eq "axi_dma" && $kind eq "axi" && $role eq "master"} { lappend found $name/$port }
        }
    }
    return $found
}
proc assign_bd_address {args} {
    if {[llength $args] == 0} {
        foreach master [memory_masters] {
            if {![string match ps/S_AXI_HP0* [reached $master]]} { error "$master reaches no memory" }
            set ::address($master) memory
        }
        return
    }
    set segment [lindex $args end]
    flag $args -target_address_space
    if {$segment ni [reached [ps_master]]} { error "the processing system does not reach $segment" }
    set ::address($segment) [list [flag $args -offset] [flag $args -range]]
    say "ADDRESS $segment [flag $args -offset] [flag $args -range]"
}

proc clock_of {pin} {
    if {![info exists ::driver($pin)]} { return none }
    return $::driver($pin)
}

proc validate_bd_design {} {
    if {!$::automated} { error "the board's preset is not applied" }
    foreach name [lsort [array names ::cell]] {
        foreach each [interfaces $name] {
            if {![info exists ::joined($name/[lindex $each 0])]} { error "$name/[lindex $each 0] is not connected" }
        }
        foreach each [pins $name] {
            lassign $each pin way
            if {$way eq "in" && ![info exists ::driver($name/$pin)]} { error "$name/$pin is not connected" }
            if {[string match *aclk $pin] && [clock_of $name/$pin] ne "clock/clk_out1"} { error "$name/$pin has another clock" }
        }
        if {$::cell($name) eq "axi_dma" && [of $name c_sg_length_width] != 26} { error "$name: descriptors of 26 bits" }
    }
    foreach slave [reached [ps_master]] {
        if {![info exists ::address($slave)]} { error "$slave has no address" }
    }
    foreach master [memory_masters] {
        if {![info exists ::address($master)]} { error "$master has no addresses" }
    }
    set ranges {}
    foreach slave [reached [ps_master]] {
        lassign $::address($slave) offset range
        if {$offset % $range || $range < 4096} { error "$slave at $offset with $range bytes" }
        foreach {other first last} $ranges {
            if {$offset < $last && $first < $offset + $range} { error "$slave and $other overlap" }
        }
        lappend ranges $slave $offset [expr {$offset + $range}]
    }
    step designing validated
}
proc save_bd_design {} { step validated saved }

set here_reports [file normalize [info script]]
proc copy_report {kind arguments} {
    step opened opened
    file copy -force [file join [file dirname $::here_reports] $kind.rpt] [flag $arguments -file]
}

if {[catch {source $options(-source)} message]} {
    say "ERROR: $message"
    puts stderr "ERROR: $message"
    close $log
    exit 1
}
close $log
