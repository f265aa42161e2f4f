"""Networks with their training: each folder holds one. A package, so that no other `examples` is found in its place."""
