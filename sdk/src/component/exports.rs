//! The exports of a component, in terms of [`Plugin`].

use std::{
    cell::RefCell,
    marker::PhantomData,
    sync::{Arc, Once, OnceLock},
};

use spacewright_core::{
    latency::LatencySource,
    operators::OperatorSet,
    quant::Quantizer,
    score::{PreparedScorer, Scorer},
    target::Target,
};

use spacewright_plugin::component::{ConversionError, same_lengths};

use crate::{Plugin, Provide, log, text::item_of};

/// The exports of the plugin that `P` provides.
pub struct Exported<P>(PhantomData<P>);

static PLUGIN: OnceLock<Plugin> = OnceLock::new();

fn plugin<P: Provide>() -> &'static Plugin {
    static HOOK: Once = Once::new();
    // The host sees of a panic only that the code stopped.
    HOOK.call_once(|| std::panic::set_hook(Box::new(|panic| log(&panic.to_string()))));
    PLUGIN.get_or_init(P::make)
}

/// Errors cross as text.
fn text(error: impl ToString) -> String {
    error.to_string()
}

fn offered<T: ?Sized>(item: &'static Option<Arc<T>>) -> &'static T {
    item.as_deref().expect("the plugin does not offer the kind that it exports")
}

/// Types and exports, generated from `wit/plugin.wit`.
#[allow(missing_docs, unsafe_code, dead_code, clippy::all)]
pub mod wit {
    wit_bindgen::generate!({ path: "../core/plugin/wit", world: "everything", pub_export_macro: true });
}

#[allow(dead_code)]
mod convert {
    spacewright_plugin::conversions!(
        crate::component::wit::exports::spacewright::plugin,
        about operator_set quantizer latency_source scorer target
    );
}

use wit::exports::spacewright::plugin as exported;

impl<P: Provide> exported::about::Guest for Exported<P> {
    fn describe() -> exported::about::Plugin {
        convert::about::to_wit(&plugin::<P>().about)
    }

    fn ping() {}
}

fn set<P: Provide>() -> &'static dyn OperatorSet {
    offered(&plugin::<P>().operator_set)
}

impl<P: Provide> exported::operator_set::Guest for Exported<P> {
    fn name() -> String {
        set::<P>().name().into()
    }

    fn block_types() -> Vec<exported::operator_set::BlockType> {
        let types = set::<P>().block_types();
        types.iter().map(convert::operator_set::block_type_to_wit).collect()
    }

    fn graphs(requests: Vec<exported::operator_set::BlockRequest>) -> Result<Vec<String>, String> {
        use convert::operator_set::{graph_to_wit, request_from_wit};
        let requests = requests.into_iter().map(request_from_wit);
        let requests = requests.collect::<Result<Vec<_>, _>>().map_err(text)?;
        let graphs = set::<P>().graphs(&requests).map_err(text)?;
        Ok(graphs.iter().map(graph_to_wit).collect())
    }
}

impl<P: Provide> exported::hyperspace::Guest for Exported<P> {
    fn hyperspaces() -> Vec<String> {
        plugin::<P>().hyperspaces.clone()
    }
}

fn quantizer<P: Provide>() -> &'static dyn Quantizer {
    offered(&plugin::<P>().quantizer)
}

impl<P: Provide> exported::quantizer::Guest for Exported<P> {
    fn name() -> String {
        quantizer::<P>().name().into()
    }

    fn learnable() -> bool {
        quantizer::<P>().learnable()
    }

    fn activations(
        statistics: exported::quantizer::Statistics,
        ranges: exported::quantizer::Ranges,
    ) -> Result<exported::quantizer::Affine, String> {
        use convert::quantizer as convert;
        let items = || {
            let statistics = convert::statistics_from_wit(statistics)?;
            let ranges = convert::ranges_from_wit(ranges)?;
            same_lengths("items", &[statistics.len(), ranges.len()])?;
            Ok::<Vec<_>, ConversionError>(statistics.into_iter().zip(ranges).collect())
        };
        let items = items().map_err(text)?;
        let answers = quantizer::<P>().activations(&items).map_err(text)?;
        Ok(convert::affine_to_wit(&answers))
    }

    fn weights(
        statistics: exported::quantizer::Statistics,
        integers: String,
    ) -> Result<Vec<f32>, String> {
        let channels = convert::quantizer::statistics_from_wit(statistics).map_err(text)?;
        let range = item_of("integers", &integers).map_err(text)?;
        quantizer::<P>().weights(&channels, range).map_err(text)
    }
}

/// The host shows the reason of a panic.
fn source<P: Provide>() -> Arc<dyn LatencySource> {
    plugin::<P>().source().unwrap_or_else(|reason| panic!("{reason}"))
}

impl<P: Provide> exported::latency_source::Guest for Exported<P> {
    fn name() -> String {
        source::<P>().name().to_owned()
    }

    fn fingerprint() -> String {
        source::<P>().fingerprint()
    }

    fn precisions() -> Vec<String> {
        crate::text::names_of(&source::<P>().precisions())
    }

    fn latencies_of(
        graphs: exported::latency_source::Graphs,
    ) -> Result<exported::latency_source::Latencies, String> {
        use convert::latency_source as convert;
        let graphs = convert::graphs_from_wit(graphs);
        let source = plugin::<P>().source().map_err(text)?;
        let latencies = source.latencies_of(&graphs).map_err(text)?;
        Ok(convert::latencies_to_wit(&latencies))
    }
}

fn scorer<P: Provide>() -> &'static dyn Scorer {
    offered(&plugin::<P>().scorer)
}

/// The problem of this instance.
struct PreparedProblem {
    scorer: Box<dyn PreparedScorer>,
    hyperspace: String,
}

thread_local! {
    static PREPARED: RefCell<Option<PreparedProblem>> = const { RefCell::new(None) };
}

impl<P: Provide> exported::scorer::Guest for Exported<P> {
    fn name() -> String {
        scorer::<P>().name().into()
    }

    fn prepare(problem: exported::scorer::Problem, options: String) -> Result<(), String> {
        let problem = convert::scorer::problem_from_wit(problem).map_err(text)?;
        let options = crate::serde_json::from_str(&options).map_err(text)?;
        let hyperspace = problem.hyperspace.name.clone();
        let scorer = scorer::<P>().prepare(problem, &options).map_err(text)?;
        PREPARED.set(Some(PreparedProblem { scorer, hyperspace }));
        Ok(())
    }

    fn score(
        spaces: exported::scorer::Spaces,
        seed: u64,
    ) -> Result<exported::scorer::Scores, String> {
        use convert::scorer::{scores_to_wit, spaces_from_wit};
        PREPARED.with_borrow(|prepared| {
            let prepared = prepared.as_ref().ok_or("`score` before `prepare`")?;
            let spaces = spaces_from_wit(spaces, &prepared.hyperspace).map_err(text)?;
            let scores = prepared.scorer.score(&spaces, seed).map_err(text)?;
            Ok(scores_to_wit(&scores))
        })
    }
}

impl<P: Provide> exported::target::Guest for Exported<P> {
    fn describe() -> exported::target::Description {
        let target: &dyn Target = offered(&plugin::<P>().target);
        convert::target::to_wit(&target.description())
    }
}
