//! Block types: each is one function from a request to a graph.

use spacewright_sdk::prelude::*;

struct Blocks;

/// Fill in: the block as a graph. Names of nodes must not depend on the configuration, as the
/// weights of an elastic block are shared by name.
fn graph(request: &BlockRequest) -> Result<Graph, OperatorError> {
    let mut b = GraphBuilder::new(request.input);
    let kernel = request.count("kernel")?;
    let conv = ConvSpec::new(request.out_channels, kernel).stride(request.stride);
    let x = b.conv_bn_act("conv", b.input(), conv, request.activation);
    Ok(b.finish(x))
}

impl OperatorSet for Blocks {
    fn name(&self) -> &str {
        "{{name}}"
    }

    fn block_types(&self) -> Vec<BlockType> {
        vec![BlockType {
            name: "{{name}}-conv".into(),
            summary: "One convolution".into(),
            axes: vec!["kernel".into()],
        }]
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        let of = |request: &BlockRequest| match request.block.as_str() {
            "{{name}}-conv" => graph(request),
            other => Err(OperatorError::Other(format!("no block type `{other}`"))),
        };
        requests.iter().map(of).collect()
    }
}

/// What this crate offers.
pub fn plugin() -> Plugin {
    Plugin::new(about!()).operator_set(Blocks)
}

export!(operator_set, plugin);

#[cfg(test)]
mod tests {
    #[test]
    fn the_plugin_conforms() {
        spacewright_sdk::conformance::check(&super::plugin()).assert_good();
    }
}
