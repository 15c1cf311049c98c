"""Where a pass stands under this machine's roof (Williams, Waterman, Patterson 2009)."""

from typing import Literal

from phalanx.profiling.machine.calibration import Speeds
from phalanx.profiling.results import Figures, Prediction, Roofline


def roofline(
    figures: Figures, prediction: Prediction, speeds: Speeds, dtype: str = "float32"
) -> Roofline:
    """The roof over a pass, and what most of its predicted time goes to.

    Args:
        figures: as executed; its intensity is where the pass stands.
        prediction: of the same pass.
        speeds: of the machine: its best product is the flat roof, its memory the slope.
        dtype: of the products.
    """
    peak = speeds.peak.get(dtype, speeds.peak["float32"])
    shares: dict[Literal["compute", "memory", "dispatch"], float] = {
        "compute": prediction.compute_share,
        "memory": prediction.memory_share,
        "dispatch": prediction.dispatch_share,
    }
    return Roofline(
        intensity=figures.intensity,
        ridge=peak / speeds.bandwidth,
        verdict=max(shares, key=lambda name: shares[name]),
        attainable=min(peak, speeds.bandwidth * figures.intensity),
    )
