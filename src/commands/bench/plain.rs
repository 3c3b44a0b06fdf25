//! The report of `bench plain` as text.

use std::fmt::Write;

use spacewright_spaceevo::{
    report::{
        MeanAccuracy, PlainNetwork, PlainReport, RivalDifference, RivalledNetwork, SeenImages,
    },
    steps::plain::{ImageShare, RivalKind},
};

use crate::{
    render::Table,
    report::{ms, percent},
};

pub fn text(report: &PlainReport) -> String {
    let SeenImages { networks, teach, distil, correct, train, finetune } = report.images;
    let mut text = format!(
        "Networks of the study against networks trained alone, INT8 on the runtime, test images\n\n\
         images: teach {teach}, distil {distil}, correct {correct}, train {train}, finetune {finetune}; shared among \
         {networks} networks\n\n{}",
        rivals(&report.networks)
    );
    for difference in &report.differences {
        let RivalDifference { kind, share, networks, deployed, as_searched, .. } = difference;
        let error = difference
            .standard_error
            .map_or_else(String::new, |error| format!(" (standard error {:.2})", 100.0 * error));
        let _ = write!(
            text,
            "\nagainst {}, {}: {:+.2} points on average of {networks}, {:+.2} as searched{error}",
            kind_name(*kind),
            share_name(*share),
            100.0 * deployed,
            100.0 * as_searched
        );
    }
    text + "\n"
}

fn rivals(networks: &[RivalledNetwork]) -> String {
    let heading =
        ["budget ms", "network", "images", "INT8 ms", "M MACs", "INT8 accuracy", "post-training"];
    let mut table = Table::new(&heading);
    let millions = |macs: u64| format!("{:.2}", macs as f64 / 1e6);
    for network in networks {
        let RivalledNetwork { budget_ms, int8_ms, macs, .. } = *network;
        for (name, accuracy) in [
            ("the study's", network.int8_accuracy),
            ("the study's, as searched", network.as_searched_accuracy),
        ] {
            table.row([
                ms(budget_ms),
                name.into(),
                String::new(),
                ms(int8_ms),
                millions(macs),
                percent(accuracy),
                String::new(),
            ]);
        }
        for PlainNetwork { kind, share, images, int8_ms, macs, post_training, int8, .. } in
            &network.rivals
        {
            table.row([
                ms(budget_ms),
                format!("{}, {}", kind_name(*kind), share_name(*share)),
                images.to_string(),
                ms(*int8_ms),
                millions(*macs),
                mean(int8),
                mean(post_training),
            ]);
        }
    }
    table.render()
}

fn kind_name(kind: RivalKind) -> &'static str {
    match kind {
        RivalKind::Chosen => "the same alone",
        RivalKind::Uniform => "uniform alone",
    }
}

fn share_name(share: ImageShare) -> &'static str {
    match share {
        ImageShare::Study => "all images",
        ImageShare::Supernet => "the supernet's images",
    }
}

fn mean(accuracy: &MeanAccuracy) -> String {
    let error = accuracy.standard_error;
    let error = error.map_or_else(String::new, |error| format!(" ± {:.2}", 100.0 * error));
    percent(accuracy.mean) + &error
}
