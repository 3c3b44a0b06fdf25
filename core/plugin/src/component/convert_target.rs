//! As `convert.rs`, for targets.

/// Conversions of the interface `target` of a generated module.
#[doc(hidden)]
#[macro_export]
macro_rules! target_conversions {
    ($wit:path) => {
        pub mod target {
            use $crate::{
                component::ConversionError,
                core::{
                    kernel::{FusionRules, Gate},
                    latency::{Accuracy, HeldOut},
                    quant::{Rounding, Scheme},
                    target::TargetDescription,
                },
                text::{UnknownName, item_of, items_of, name_of, names_of, pairs_of},
            };
            use $wit as wit;

            fn fusion_to_wit(fusion: &FusionRules) -> wit::target::Fusion {
                let gate = |gate: &Gate| wit::target::Gate {
                    path: gate.path.iter().map(|step| names_of(step)).collect(),
                    kernel: name_of(&gate.kernel),
                };
                let absorbed = fusion.absorbed.iter();
                wit::target::Fusion {
                    skipped: names_of(&fusion.skipped),
                    absorbed: absorbed.map(|(a, b)| (name_of(a), name_of(b))).collect(),
                    gates: fusion.gates.iter().map(gate).collect(),
                    ends: fusion.ends,
                }
            }

            fn fusion_from_wit(
                fusion: wit::target::Fusion,
            ) -> Result<FusionRules, ConversionError> {
                let gate = |gate: &wit::target::Gate| {
                    let path = gate.path.iter().map(|step| items_of("fusion.gates.path", step));
                    Ok(Gate {
                        path: path.collect::<Result<_, UnknownName>>()?,
                        kernel: item_of("fusion.gates.kernel", &gate.kernel)?,
                    })
                };
                Ok(FusionRules {
                    skipped: items_of("fusion.skipped", &fusion.skipped)?,
                    absorbed: pairs_of("fusion.absorbed", &fusion.absorbed)?,
                    gates: fusion.gates.iter().map(gate).collect::<Result<_, UnknownName>>()?,
                    ends: fusion.ends,
                })
            }

            fn errors_to_wit(of: &HeldOut) -> wit::target::HeldOut {
                let Accuracy { rows, within_5, within_10, median_error, mape } = of.accuracy;
                wit::target::HeldOut {
                    how: of.how.clone(),
                    rows: rows as u64,
                    within5: within_5,
                    within10: within_10,
                    median_error,
                    mape,
                }
            }

            fn errors_from_wit(of: wit::target::HeldOut) -> HeldOut {
                HeldOut {
                    how: of.how,
                    accuracy: Accuracy {
                        rows: of.rows as usize,
                        within_5: of.within5,
                        within_10: of.within10,
                        median_error: of.median_error,
                        mape: of.mape,
                    },
                }
            }

            pub fn to_wit(target: &TargetDescription) -> wit::target::Description {
                let scheme = &target.scheme;
                let fused = scheme.fused.iter();
                wit::target::Description {
                    name: target.name.clone(),
                    summary: target.summary.clone(),
                    scheme: wit::target::Scheme {
                        name: scheme.name.clone(),
                        dense_weights: name_of(&scheme.dense_weights),
                        depthwise_weights: name_of(&scheme.depthwise_weights),
                        fused: fused.map(|(first, then)| (name_of(first), name_of(then))).collect(),
                        decomposed: names_of(&scheme.decomposed),
                    },
                    model_format: target.model_format.clone(),
                    fusion: Some(fusion_to_wit(&target.fusion)),
                    latency: name_of(&target.latency),
                    errors: target.held_out.iter().map(errors_to_wit).collect(),
                    unsupported: names_of(&target.unsupported),
                }
            }

            pub fn from_wit(
                target: wit::target::Description,
            ) -> Result<TargetDescription, ConversionError> {
                let scheme = target.scheme;
                let depthwise = &scheme.depthwise_weights;
                let scheme = Scheme {
                    name: scheme.name,
                    dense_weights: item_of("scheme.dense-weights", &scheme.dense_weights)?,
                    depthwise_weights: item_of("scheme.depthwise-weights", depthwise)?,
                    fused: pairs_of("scheme.fused", &scheme.fused)?,
                    decomposed: items_of("scheme.decomposed", &scheme.decomposed)?,
                    // What only targets with a runtime have a use for.
                    unscaled: Vec::new(),
                    fixed: Vec::new(),
                    rounding: Rounding::Float,
                };
                let of_scheme = || Ok(FusionRules::of_scheme(&scheme));
                Ok(TargetDescription {
                    name: target.name,
                    summary: target.summary,
                    fusion: target.fusion.map_or_else(of_scheme, fusion_from_wit)?,
                    scheme,
                    model_format: target.model_format,
                    executes: true,
                    latency: item_of("latency", &target.latency)?,
                    held_out: target.errors.into_iter().map(errors_from_wit).collect(),
                    unsupported: items_of("unsupported", &target.unsupported)?,
                })
            }
        }
    };
}
