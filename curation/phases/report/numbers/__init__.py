"""Tables to numbers: everything that the report and the notebooks say of an output, without drawing any of it."""
