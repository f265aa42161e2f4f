"""A layer as adders: common sums shared, every sum compressed in rows of three-input adders, registers put in."""
