"""The folded engine: a list of terms, added by lanes of rtl/term_lanes.v."""
