"""Looking at an output, and trying other rules on it, in a line or two: what the notebooks are made of.

from curation.explore import Output

out = Output("demo-out/dataset")
out.clips("signal", "motion").to_pandas()
out.sweep_figures("signal")[0]
"""

from curation.explore.drawing import Drawing
from curation.explore.output import Output

__all__ = ["Drawing", "Output"]
