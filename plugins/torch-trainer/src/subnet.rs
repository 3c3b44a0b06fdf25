//! One network trained alone: a subnet that shares its weights with no other.

use std::{collections::BTreeMap, rc::Rc, time::Instant};

use rand_pcg::Pcg64Mcg;
use spacewright_core::{
    random,
    train::{Monitor, SubnetJob, TrainError, TrainReport, TwoPhaseFiles},
};
use tch::Kind;

use crate::{
    context::Context,
    interpret::Run,
    layout::Layout,
    learn::{Compared, learn},
    objective::{Keeping, Objective},
    params::Params,
    plan::{PlannedSubnet, subnet_graph},
    two_phases::{Step, TwoPhaseTraining, TwoPhases},
};

struct SingleNetwork<'a> {
    subnet: Rc<PlannedSubnet>,
    objective: Objective<'a>,
    factors: Option<Kind>,
}

impl TwoPhaseTraining for SingleNetwork<'_> {
    fn networks(&self, _: &mut Pcg64Mcg) -> Result<Vec<Rc<PlannedSubnet>>, TrainError> {
        Ok(vec![self.subnet.clone()])
    }

    fn batches(&self) -> usize {
        1
    }

    fn objective(&self) -> &Objective<'_> {
        &self.objective
    }

    /// Without dropout: small networks that see each image a few times do not overfit.
    fn gradients(&self, step: &Step<'_>) -> Result<f64, TrainError> {
        let Step { params, quantized, loaded, watch } = *step;
        let run = Run { params, quantized, dropout: false, factors: self.factors };
        let mut sum = 0.0;
        for (subnet, batch) in loaded.pairs() {
            let compared = Compared::Targets(self.objective.targets(batch)?);
            let inputs = batch.inputs(subnet.resolution)?;
            let start = Instant::now();
            let learned = learn(&run, &subnet.plan, inputs, &compared, 0)?;
            watch.add(start.elapsed(), &learned.parts());
            sum += learned.loss();
        }
        Ok(sum)
    }

    fn observed(&self, _: bool, _: &mut Pcg64Mcg) -> Result<Rc<PlannedSubnet>, TrainError> {
        Ok(self.subnet.clone())
    }
}

/// Trains the network: FP32 phase, then INT8 phase.
pub fn train(
    context: &Context,
    job: &SubnetJob,
    files: &TwoPhaseFiles,
    monitor: &dyn Monitor,
) -> Result<BTreeMap<String, TrainReport>, TrainError> {
    let network = SingleNetwork {
        subnet: Rc::new(PlannedSubnet::new(context, &job.stages, &job.subnet)?),
        objective: Objective::new(
            context,
            job.guidance.as_ref(),
            job.label_smoothing,
            &job.augment,
            Keeping { scratch: &files.scratch, monitor },
        )?,
        factors: context.factors(),
    };
    let mut layout = Layout::default();
    layout.include(&subnet_graph(context, &job.stages, &job.subnet)?, &context.scheme)?;
    let mut params = Params::init(&layout, random::seed(context.seed, &["subnet"]));
    if let Some(start) = &job.start {
        params.mix_parts_of(&start.supernet, start.share)?;
    }
    TwoPhases {
        context,
        name: "subnet",
        layout: &layout,
        stages: &job.stages,
        judged: &job.subnet,
        fp32: &job.fp32,
        int8: &job.int8,
        files,
    }
    .run(&network, params.on(context.device), monitor)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use spacewright_core::{
        space::{ElasticStage, Subnet},
        train::{Phase, Precision, SubnetStart},
    };

    use super::*;
    use crate::testing::{self, Curves};

    fn stages(context: &Context) -> Vec<ElasticStage> {
        let space = &context.hyperspace.uniform_spaces()[1];
        space.elastic_stages(&context.hyperspace)
    }

    /// Trains a random subnet; the subnet and the phase, step and accuracy of the points that have
    /// one.
    fn trained(
        context: &Context,
        folder: &Path,
        start: Option<SubnetStart>,
        fp32: Phase,
    ) -> (Subnet, Vec<(String, usize, f64)>) {
        let stages = stages(context);
        let mut rng = random::generator(2, &["test"]);
        let subnet = Subnet::random(&stages, &context.hyperspace.resolutions, &mut rng);
        let job = SubnetJob {
            stages,
            subnet: subnet.clone(),
            start,
            guidance: None,
            fp32,
            int8: testing::phase(3),
            augment: Vec::new(),
            label_smoothing: 0.1,
            threads: 1,
        };
        let curves = Curves::default();
        let [fp32, int8] = ["fp32", "int8"].map(|name| folder.join(name));
        let files = TwoPhaseFiles { fp32, int8, scratch: folder.to_owned() };
        let reports = train(context, &job, &files, &curves).unwrap();
        let mut judged = Vec::new();
        for point in curves.0.into_inner().unwrap() {
            if let Some(accuracy) = point.held_out_accuracy {
                assert_eq!(accuracy, reports[&point.phase].held_out_accuracy);
                judged.push((point.phase, point.step, accuracy));
            }
        }
        (subnet, judged)
    }

    #[test]
    fn a_network_learns_by_short_factors() {
        let exact = testing::context();
        let short = Context { precision: Precision::Bf16, ..exact.clone() };
        let weights = |context: &Context| {
            let folder = tempfile::tempdir().unwrap();
            trained(context, folder.path(), None, testing::phase(2));
            Params::load(&folder.path().join("int8")).unwrap()
        };
        let (exact, short) = (weights(&exact), weights(&short));
        for (name, short) in &short.0 {
            let exact = &exact.0[name];
            let distance = (exact - short).abs().max().double_value(&[]);
            let size = exact.abs().max().double_value(&[]);
            assert!(distance <= 0.1 * size.max(0.1), "{name}: {distance} of {size}");
        }
        let differs = |(name, short): (&String, &tch::Tensor)| !short.equal(&exact.0[name]);
        assert!(short.0.iter().any(differs));
    }

    #[test]
    fn a_network_learns_alone() {
        let context = testing::context();
        let folder = tempfile::tempdir().unwrap();
        let (_, judged) = trained(&context, folder.path(), None, testing::phase(2));
        let phases: Vec<(&str, usize)> =
            judged.iter().map(|(phase, step, _)| (phase.as_str(), *step)).collect();
        assert_eq!(phases, [("fp32", 2), ("int8", 3)]);
    }

    /// A learning rate that changes nothing leaves the supernet's weights: first channels, centres
    /// of kernels.
    #[test]
    fn a_network_starts_with_its_part_of_the_supernet() {
        let context = testing::context();
        let folder = tempfile::tempdir().unwrap();
        let stages = stages(&context);
        let (operators, scheme) = (&context.operators, &context.scheme);
        let layout =
            Layout::of_supernet(operators, scheme, &context.hyperspace, &stages, 16).unwrap();
        let supernet = Params::init(&layout, 9);
        let file = folder.path().join("supernet");
        supernet.save(&file).unwrap();
        let still = Phase { learning_rate: 1e-30, ..testing::phase(1) };
        let start = SubnetStart { supernet: file, share: 1.0 };
        trained(&context, folder.path(), Some(start), still);
        let network = Params::load(&folder.path().join("fp32")).unwrap();
        let mut smaller = 0;
        for (name, tensor) in &network.0 {
            let shape: Vec<usize> = tensor.size().iter().map(|&size| size as usize).collect();
            let part = supernet.slice(name, &shape).unwrap();
            let change = (tensor - part).abs().max().double_value(&[]);
            assert!(change < 1e-6, "{name}: {change}");
            smaller += usize::from(tensor.size() != supernet.0[name].size());
        }
        assert!(smaller > 0 && network.0.len() <= supernet.0.len());
    }

    #[test]
    fn a_start_is_mixed_with_random_weights_by_its_share() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("supernet");
        let params = |weights: &[f32]| {
            let mut params = Params::default();
            params.insert("first.bias".into(), tch::Tensor::from_slice(weights));
            params
        };
        params(&[1.0, 2.0, 3.0]).save(&file).unwrap();
        for (share, expected) in [(1.0, [1.0, 2.0]), (0.25, [4.0, 8.0]), (0.0, [5.0, 10.0])] {
            let mut mixed = params(&[5.0, 10.0]);
            mixed.mix_parts_of(&file, share).unwrap();
            let mixed = mixed.get("first.bias").unwrap();
            assert!(mixed.requires_grad());
            assert_eq!(Vec::<f32>::try_from(mixed.detach()).unwrap(), expected);
        }
    }

    #[test]
    fn a_start_that_lacks_a_tensor_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut params = Params::default();
        let file = folder.path().join("other");
        params.insert("other.weight".into(), tch::Tensor::from_slice(&[1.0f32]));
        params.save(&file).unwrap();
        let mut needed = Params::default();
        needed.insert("first.weight".into(), tch::Tensor::from_slice(&[1.0f32]));
        let error = needed.mix_parts_of(&file, 1.0).unwrap_err().to_string();
        assert!(error.contains("other: there is no tensor `first.weight`"), "{error}");
    }
}
