"""Operators on integers, as onnxruntime writes them instead of QuantizeLinear and DequantizeLinear (QOperator)."""
