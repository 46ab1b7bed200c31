"""The theorems, one module each; this list is their index."""

from typing import Any

from loratheory.theorems import (
    argmax_margin,
    argmax_rank,
    arrow_blind_spot,
    arrow_margin,
    attention_bottleneck,
    attention_budget,
    averaging_survival,
    batch_edit,
    clean_up_bridge,
    coefficient_floor,
    coefficient_ladder,
    composition_merge,
    composition_order,
    context_composition,
    counting_ceiling,
    covariance_floor,
    dare_variance,
    data_free_floor,
    depth_budget,
    edit_budget,
    factor_asymmetry,
    factor_mean_residual,
    frozen_features,
    gate_detection,
    hebbian_memory,
    interference_angle,
    interpolating_composition,
    interpolating_merge,
    interpolation_price,
    intruder_threshold,
    invisible_placement,
    iso_flattening,
    least_change_edit,
    merge_collapse,
    merge_floor,
    merged_memory,
    perturbed_region,
    quantised_floor,
    random_interference,
    rank_stabilised_scale,
    rank_subadditivity,
    rank_threshold,
    relu_budget,
    residual_region,
    response_energy,
    routing_reach,
    score_change_rank,
    shelf_capacity,
    single_read_no_go,
    softmax_bottleneck,
    superposition_floor,
    template_vote,
    ties_disjoint,
    two_learning_rates,
    two_read_region,
    unselective_success,
)
from loratheory.theorems._calculators import CALCULATORS as CALCULATORS
from loratheory.theorems._calculators import CalculatorError as CalculatorError
from loratheory.theorems._cited import CITED as CITED
from loratheory.theorems._cited import Cited as Cited
from loratheory.theorems._latex import latex as latex
from loratheory.theorems._paper import appendix as appendix
from loratheory.theorems._paper import linked as linked
from loratheory.theorems._paper import parts as parts
from loratheory.theorems._theorem import SAFETY as SAFETY
from loratheory.theorems._theorem import Assumption as Assumption
from loratheory.theorems._theorem import AssumptionError as AssumptionError
from loratheory.theorems._theorem import Control as Control
from loratheory.theorems._theorem import Theorem as Theorem
from loratheory.theorems._theorem import Verdict as Verdict
from loratheory.theorems._verify import Report as Report
from loratheory.theorems._verify import moved as moved
from loratheory.theorems._verify import verify as verify
from loratheory.theorems._verify import verify_all as verify_all

ALL: tuple[Theorem[Any, Any], ...] = (
    merge_floor.THEOREM,
    depth_budget.THEOREM,
    edit_budget.THEOREM,
    gate_detection.THEOREM,
    factor_mean_residual.THEOREM,
    interference_angle.THEOREM,
    frozen_features.THEOREM,
    softmax_bottleneck.THEOREM,
    attention_bottleneck.THEOREM,
    averaging_survival.THEOREM,
    two_read_region.THEOREM,
    argmax_rank.THEOREM,
    argmax_margin.THEOREM,
    attention_budget.THEOREM,
    single_read_no_go.THEOREM,
    arrow_blind_spot.THEOREM,
    score_change_rank.THEOREM,
    relu_budget.THEOREM,
    interpolating_merge.THEOREM,
    merge_collapse.THEOREM,
    interpolation_price.THEOREM,
    interpolating_composition.THEOREM,
    composition_order.THEOREM,
    covariance_floor.THEOREM,
    superposition_floor.THEOREM,
    response_energy.THEOREM,
    hebbian_memory.THEOREM,
    merged_memory.THEOREM,
    rank_subadditivity.THEOREM,
    dare_variance.THEOREM,
    ties_disjoint.THEOREM,
    least_change_edit.THEOREM,
    batch_edit.THEOREM,
    factor_asymmetry.THEOREM,
    composition_merge.THEOREM,
    clean_up_bridge.THEOREM,
    template_vote.THEOREM,
    invisible_placement.THEOREM,
    routing_reach.THEOREM,
    shelf_capacity.THEOREM,
    perturbed_region.THEOREM,
    data_free_floor.THEOREM,
    intruder_threshold.THEOREM,
    unselective_success.THEOREM,
    quantised_floor.THEOREM,
    counting_ceiling.THEOREM,
    rank_stabilised_scale.THEOREM,
    two_learning_rates.THEOREM,
    coefficient_ladder.THEOREM,
    context_composition.THEOREM,
    arrow_margin.THEOREM,
    iso_flattening.THEOREM,
    random_interference.THEOREM,
    coefficient_floor.THEOREM,
    rank_threshold.THEOREM,
    residual_region.THEOREM,
)

FACTORED = (
    "thm:merge-floor",
    "thm:edit-budget",
    "thm:factor-mean-residual",
    "thm:interference-angle",
    "thm:gate-detection",
    "thm:interpolation-price",
    "thm:covariance-floor",
    "thm:superposition-floor",
)
"""Stated on factors: their cases may be as wide as a real layer, and no dense matrix is formed."""
