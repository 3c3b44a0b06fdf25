//! Targets.

use serde_json::json;
use spacewright_core::target::LatencyKind;

use crate::{
    catalog,
    cli::TargetCommand,
    render::{Failure, Output, Table},
};

pub fn run(command: &TargetCommand) -> Result<Output, Failure> {
    let registry = catalog::registry()?;
    match command {
        TargetCommand::List => {
            let descriptions: Vec<_> = registry.targets.values().map(|t| t.description()).collect();
            let mut table = Table::new(&["target", "latency", "format", "scheme", "summary"]);
            for d in &descriptions {
                let scheme = d.scheme.name.clone();
                let format = d.model_format.clone();
                table.row([
                    d.name.clone(),
                    kind(d.latency).into(),
                    format,
                    scheme,
                    d.summary.clone(),
                ]);
            }
            Output::new(table.render(), &json!({ "targets": descriptions }))
        }
        TargetCommand::Inspect { target } => {
            let target = registry.target(target)?;
            let description = target.description();
            let source = match target.latency_source() {
                Ok(source) => source.fingerprint(),
                Err(error) => format!("not available: {}", error.reason),
            };
            let scheme = &description.scheme;
            let text = format!(
                "{}: {}\nlatency: {}, {source}\nmodel format: {}\nscheme {}: dense weights {:?}, \
                 depth-wise weights {:?}\nfused: {:?}\ndecomposed: {:?}",
                description.name,
                description.summary,
                kind(description.latency),
                description.model_format,
                scheme.name,
                scheme.dense_weights,
                scheme.depthwise_weights,
                scheme.fused,
                scheme.decomposed
            );
            Output::new(text, &json!({ "target": description, "latency_source": source }))
        }
    }
}

fn kind(latency: LatencyKind) -> &'static str {
    match latency {
        LatencyKind::Measured => "measured",
        LatencyKind::Fitted => "fitted",
        LatencyKind::Modelled => "modelled",
    }
}
