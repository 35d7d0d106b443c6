"""Training with Lightning: minibatches, plans and the runner."""

from .batches import CellBatches, batch_tensor, embed_cells
from .plan import CICLPlan
from .runner import fit
from .seed import isolated_randomness, one_at_a_time
from .snapshots import SnapshotRecorder, Snapshots

__all__ = [
    "CICLPlan",
    "CellBatches",
    "SnapshotRecorder",
    "Snapshots",
    "batch_tensor",
    "embed_cells",
    "fit",
    "isolated_randomness",
    "one_at_a_time",
]
