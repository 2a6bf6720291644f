"""One module per stage, in pipeline order. An asset loads its inputs, calls one core function and describes the result."""
