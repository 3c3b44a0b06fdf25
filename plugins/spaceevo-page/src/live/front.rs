//! The front as it forms: networks that a search has judged.

use maud::{Markup, html};

use super::LiveNetwork;
use crate::{
    chart::{Axis, Csv, Figure, Key, Line, Mark, Plot, Stroke, keys},
    number::Shown,
};

/// Colours of networks that no other one beats, and of the others.
const FRONT: usize = 0;
const BEATEN: usize = 4;
/// Networks that are drawn besides those of the front: the latest ones.
const MOST: usize = 600;

/// The drawing, or what is lacking.
pub fn front(networks: &[LiveNetwork]) -> Markup {
    if networks.is_empty() {
        return html! { p.note { "No network was judged yet: that is what the step " b { "search" } " does." } };
    }
    let mut csv = Csv::new(&["network", "latency_ms", "held_out_accuracy", "on_the_front"]);
    let best = unbeaten(networks);
    let mut marks = Vec::new();
    for (index, network) in networks.iter().enumerate() {
        let on_front = best.contains(&index);
        let LiveNetwork { network: encoding, latency_ms, accuracy } = network;
        csv.row([
            encoding.into(),
            (*latency_ms).into(),
            (*accuracy).into(),
            f64::from(u8::from(on_front)).into(),
        ]);
        if on_front || networks.len() - index <= MOST {
            let (ms, share) = (Shown::ms("", *latency_ms), Shown::percent("", *accuracy));
            let tip = format!("{}, {}: {encoding}", ms.text(), share.text());
            let color = if on_front { FRONT } else { BEATEN };
            marks.push(Mark::new(*latency_ms, *accuracy, color, tip));
        }
    }
    // Those of the front lie above the others.
    marks.sort_by_key(|mark| mark.color == FRONT);
    let x = Axis::around("latency in ms", marks.iter().map(|mark| mark.x));
    let y = Axis::around(
        "held-out images that are classified correctly, in %",
        marks.iter().map(|m| m.y),
    );
    let points = best.iter().map(|&index| (networks[index].latency_ms, networks[index].accuracy));
    let line = Line { points: points.collect(), color: FRONT, stroke: Stroke::Steps, label: None };
    let plot = Plot { lines: vec![line], marks, ..Plot::new(x, y.in_percent()) };
    let key = |name: &str, color: usize| Key { name: name.into(), color };
    let figure = Figure {
        id: "networks",
        title: "Networks that were judged so far",
        about: "With the supernet's weights, in INT8, on the images that the search judges with: up is right \
                more often, left is faster.",
        svg: plot.svg("Accuracy of the networks against their latency"),
        csv,
    };
    html! {
        p { (networks.len()) " networks, " (best.len()) " of which no other one beats." }
        (keys(&[key("not beaten", FRONT), key("beaten", BEATEN)]))
        (figure.markup())
    }
}

/// Positions of the networks that are more accurate than all that are as fast, the fastest first.
fn unbeaten(networks: &[LiveNetwork]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..networks.len()).collect();
    let of = |index: usize| &networks[index];
    order.sort_by(|&a, &b| {
        let faster = of(a).latency_ms.total_cmp(&of(b).latency_ms);
        faster.then(of(b).accuracy.total_cmp(&of(a).accuracy))
    });
    let mut highest = f64::NEG_INFINITY;
    order.retain(|&index| {
        let better = of(index).accuracy > highest;
        highest = highest.max(of(index).accuracy);
        better
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(points: &[(f64, f64)]) -> Vec<LiveNetwork> {
        let network = |&(latency_ms, accuracy): &(f64, f64)| LiveNetwork {
            network: format!("{latency_ms}"),
            latency_ms,
            accuracy,
        };
        points.iter().map(network).collect()
    }

    #[test]
    fn slower_networks_have_to_be_better() {
        let found = networks(&[(3.0, 0.7), (1.0, 0.5), (2.0, 0.5), (2.0, 0.6), (4.0, 0.65)]);
        assert_eq!(unbeaten(&found), [1, 3, 0]);
    }

    #[test]
    fn old_networks_that_are_beaten_are_left_out() {
        let mut points = vec![(1.0, 0.9)];
        points.extend((0..2000).map(|index| (2.0 + f64::from(index), 0.5)));
        let drawn = front(&networks(&points)).into_string();
        assert_eq!(drawn.matches("data-x=").count(), MOST + 1);
    }
}
