//! Each network: its blocks, its arithmetic, its files.

use maud::{Markup, html};
use spacewright_spaceevo::report::{NetworkLayer, NetworkShape};

use super::{Part, block_types, network_name, table};
use crate::{
    chart::{Bar, BarRow, Bars, Csv, Figure, Key, at, color, keys},
    data::{PageData, PageNetwork},
    number::Shown,
};

const WIDTH: f64 = 640.0;

pub fn part(data: &PageData) -> Part {
    let networks = data.networks.iter().enumerate();
    Part {
        id: "networks",
        title: "The networks",
        lead: html! {
            "Each network from its input to its output: which of its blocks take the time, how much it \
             computes and holds, and the files to deploy."
        },
        body: html! {
            (keys(&block_types(data).into_iter().enumerate()
                .map(|(color, name)| Key { name, color }).collect::<Vec<_>>()))
            @for (index, network) in networks { (section(data, index, network)) }
        },
    }
}

fn section(data: &PageData, index: usize, network: &PageNetwork) -> Markup {
    let Some(budget) = data.report.budgets.get(index) else { return html! {} };
    let at = |field: &str| format!("report.budgets.{index}.{field}");
    let shape = network.shape.as_ref();
    html! {
        article id={ "network-" (index) } {
            h3 { (network_name(data, index)) }
            dl.facts {
                (fact("INT8", Shown::ms(at("int8_ms"), budget.latency.int8_ms)))
                (fact("right", Shown::percent(at("int8_accuracy"), budget.network.int8_accuracy)))
                (fact("multiply-adds", Shown::millions(at("macs"), budget.network.macs)))
                (fact("parameters", Shown::count(at("params"), budget.network.params)))
                @if let Some(shape) = shape {
                    @let path = format!("networks.{index}.shape.peak_activations");
                    (fact("activations at once", Shown::bytes(path, shape.peak_activations)))
                }
                (fact("INT8 file", Shown::bytes(at("bytes"), budget.network.bytes as u64)))
            }
            (strip(data, index, network))
            details {
                summary { "Every block of " (network_name(data, index)) }
                (layers(data, index, network))
            }
            @if let Some(shape) = shape { (operators(index, shape)) }
            (files(network))
            p.encoding { code { (budget.network.encoding) } }
        }
    }
}

fn fact(name: &str, number: Shown) -> Markup {
    html! { div { dt { (name) } dd { (number) } } }
}

fn layer_of<'n>(network: &'n PageNetwork, layer: &str) -> Option<&'n NetworkLayer> {
    network.shape.as_ref()?.layers.iter().find(|known| known.layer == layer)
}

fn layer_color(data: &PageData, network: &PageNetwork, layer: &str) -> usize {
    let block = layer_of(network, layer).map(|layer| &layer.block);
    let known = |block| block_types(data).iter().position(|known| known == block);
    block.and_then(known).unwrap_or(super::super::chart::COLORS - 1)
}

/// One box for each block, as wide as its share of the latency and as high as its channels.
fn strip(data: &PageData, index: usize, network: &PageNetwork) -> Markup {
    const HEIGHT: f64 = 84.0;
    let total: f64 =
        network.layers.iter().map(|layer| layer.int8_ms).filter(|ms| ms.is_finite()).sum();
    let widest = network.shape.iter().flat_map(|shape| &shape.layers);
    let widest = widest.map(|layer| layer.output[0]).max().unwrap_or(1) as f64;
    let mut csv = Csv::new(&["layer", "block", "channels", "int8_ms", "macs", "params"]);
    let mut x = 0.0;
    let mut boxes = Vec::new();
    for layer in &network.layers {
        let known = layer_of(network, &layer.layer);
        let number = |of: fn(&NetworkLayer) -> f64| known.map(of);
        csv.row([
            (&layer.layer).into(),
            known.map_or("", |known| &known.block).into(),
            number(|layer| layer.output[0] as f64).into(),
            layer.int8_ms.into(),
            number(|layer| layer.macs as f64).into(),
            number(|layer| layer.params as f64).into(),
        ]);
        let width = if layer.int8_ms.is_finite() { layer.int8_ms / total * WIDTH } else { 0.0 };
        let channels = known.map_or(widest, |known| known.output[0] as f64);
        let height = 18.0 + (HEIGHT - 38.0) * (channels / widest).sqrt();
        let shown = Shown::ms("", layer.int8_ms);
        let tip = match known {
            Some(known) => format!(
                "{} ({}): {}, {} channels of {} × {}",
                layer.layer,
                known.block,
                shown.text(),
                known.output[0],
                known.output[1],
                known.output[2]
            ),
            None => format!("{}: {}", layer.layer, shown.text()),
        };
        boxes.push((x, width, height, layer_color(data, network, &layer.layer), tip, &layer.layer));
        x += width;
    }
    let id = format!("strip-{index}");
    let title = format!("{}, block by block", network_name(data, index));
    let svg = html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" tabindex="0" aria-label=(title) {
            @for (x, width, height, colour, tip, name) in &boxes {
                g.{ (color(*colour)) } {
                    rect.mark x=(at(*x + 0.75)) y=(at(HEIGHT - 18.0 - height))
                        width=(at((width - 1.5).max(0.5))) height=(at(*height)) rx="2.5" { title { (tip) } }
                }
                @if *width > 7.0 * name.chars().count() as f64 {
                    text.small x=(at(x + width / 2.0)) y=(at(HEIGHT - 4.0)) text-anchor="middle" { (name) }
                }
            }
        }
    };
    let about = "A box is a block: as wide as its share of the latency, higher with more channels.";
    Figure { id: &id, title: &title, about, svg, csv }.markup()
}

/// The latency of each block as a bar, with what it computes.
fn layers(data: &PageData, index: usize, network: &PageNetwork) -> Markup {
    let mut csv = Csv::new(&["layer", "int8_ms"]);
    let rows = network.layers.iter().enumerate().map(|(at, layer)| {
        csv.row([(&layer.layer).into(), layer.int8_ms.into()]);
        let shown = Shown::ms("", layer.int8_ms);
        let macs = layer_of(network, &layer.layer).map(|layer| Shown::millions("", layer.macs));
        let macs = macs.map(|macs| format!(" · {}", macs.text())).unwrap_or_default();
        BarRow {
            name: layer.layer.clone(),
            bars: vec![Bar {
                value: layer.int8_ms,
                text: format!("{:.4}{macs}", layer.int8_ms),
                color: layer_color(data, network, &layer.layer),
                tip: format!("{}: {}", layer.layer, shown.text()),
                path: format!("networks.{index}.layers.{at}.int8_ms"),
            }],
        }
    });
    let rows = rows.collect();
    let (id, title) =
        (format!("layers-{index}"), "Latency of each block in ms, and its multiply-adds");
    let svg = Bars { rows }.svg(title);
    let about = "Parts of the sum that predicts the whole network.";
    Figure { id: &id, title, about, svg, csv }.markup()
}

/// Multiply-adds by operator, as one bar.
fn operators(index: usize, shape: &NetworkShape) -> Markup {
    const HEIGHT: f64 = 24.0;
    let total: u64 = shape.operators.iter().map(|operator| operator.macs).sum();
    let mut csv = Csv::new(&["operator", "macs", "share"]);
    let mut x = 0.0;
    let mut boxes = Vec::new();
    for (position, operator) in shape.operators.iter().enumerate() {
        let share = operator.macs as f64 / total.max(1) as f64;
        csv.row([(&operator.operator).into(), (operator.macs as f64).into(), share.into()]);
        let shown = Shown::percent("", share);
        let tip = format!("{}: {} of the multiply-adds", operator.operator, shown.text());
        boxes.push((x, share * WIDTH, position, tip));
        x += share * WIDTH;
    }
    let names = shape.operators.iter().enumerate().map(|(color, operator)| {
        let share = Shown::percent("", operator.macs as f64 / total.max(1) as f64);
        Key { name: format!("{} {}", operator.operator, share.text()), color }
    });
    let names: Vec<Key> = names.collect();
    let (id, title) = (format!("operators-{index}"), "Multiply-adds by operator");
    let svg = html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" tabindex="0" aria-label=(title) {
            @for (x, width, colour, tip) in &boxes {
                g.{ (color(*colour)) } {
                    rect.mark x=(at(*x)) y="2" width=(at((width - 1.0).max(0.5))) height="20" rx="2" {
                        title { (tip) }
                    }
                }
            }
        }
    };
    html! { (Figure { id: &id, title, about: "", svg, csv }.markup()) (keys(&names)) }
}

fn files(network: &PageNetwork) -> Markup {
    let rows = network.files.iter().map(|file| {
        vec![
            html! { a href=(link(&file.name)) { (file.name) } },
            html! { (Shown::bytes("", file.bytes).derived()) },
            html! { code.hash { (file.sha256) } },
        ]
    });
    table(&["file", "size", "SHA-256"], rows.collect())
}

/// A link to a file beside the page, whatever it is called.
fn link(name: &str) -> String {
    let mut link = String::from("./");
    for byte in name.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.' => {
                link.push(char::from(byte))
            }
            _ => link += &format!("%{byte:02X}"),
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_beside_the_page() {
        assert_eq!(link("network-0.int8.onnx"), "./network-0.int8.onnx");
        assert_eq!(link("javascript:x/\"y"), "./javascript%3Ax%2F%22y");
    }
}
