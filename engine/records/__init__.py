"""What is known of a run, a study and a diagnosis: typed, and shared by store, reports and fronts.

Stored documents are decoded here and nowhere else. Results of older versions and damaged ones are read too: what is
missing, or is not what it should be, is None. Numbers are finite or None.
"""

from engine.records.facts import (
    CodeState,
    EmbeddingFacts,
    LambdaPoint,
    NormHistogram,
    Provenance,
    RunFacts,
    TableGeometry,
    TradeOff,
)
from engine.records.runs import (
    ENDED,
    STATUSES,
    CurvePoint,
    NoteRecord,
    Place,
    RankCounts,
    RunRecord,
    RunResult,
    RunStatus,
    best_epoch,
)
from engine.records.studies import DiagnosisRecord, ModelCurvature, StudyCell, StudyRecord
from engine.records.tunings import TUNED_BY, TrialRecord, TrialState, TuningRecord

__all__ = [
    "ENDED",
    "STATUSES",
    "TUNED_BY",
    "CodeState",
    "CurvePoint",
    "DiagnosisRecord",
    "EmbeddingFacts",
    "LambdaPoint",
    "ModelCurvature",
    "NormHistogram",
    "NoteRecord",
    "Place",
    "Provenance",
    "RankCounts",
    "RunFacts",
    "RunRecord",
    "RunResult",
    "RunStatus",
    "StudyCell",
    "StudyRecord",
    "TableGeometry",
    "TradeOff",
    "TrialRecord",
    "TrialState",
    "TuningRecord",
    "best_epoch",
]
