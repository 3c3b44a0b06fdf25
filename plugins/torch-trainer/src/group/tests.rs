use std::{sync::Arc, thread};

use spacewright_core::{
    graph::{Graph, Op},
    operators::{BlockRequest, BlockType, OperatorError, OperatorSet, Operators},
    space::ElasticStage,
    train::{Guide, SupernetJob, TrainReport, TwoPhaseFiles},
};

use super::*;
use crate::{
    context::Context,
    supernet,
    testing::{self, Unwatched},
};

/// The groups of so many processes, which threads stand for, by rank.
fn groups(folder: &Path, processes: usize) -> Vec<Arc<Group>> {
    let open = |rank: usize| {
        let meeting = Meeting::File(folder.join("meeting"));
        let place = TeamPlace { rank, processes, local_rank: rank, meeting, announces: None };
        thread::spawn(move || Arc::new(Group::open(&place, Device::Cpu).unwrap()))
    };
    let opened: Vec<_> = (0..processes).map(open).collect();
    opened.into_iter().map(|opened| opened.join().unwrap()).collect()
}

#[test]
fn shares_of_a_batch_are_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let groups = groups(folder.path(), 3);
    let shares: Vec<_> = groups.iter().map(|group| group.share(8)).collect();
    assert_eq!(shares, [0..2, 2..5, 5..8]);
    assert!(groups[0].check_batch(6).is_ok());
    let error = groups[0].check_batch(5).unwrap_err().to_string();
    assert!(error.contains("5 images is too small for 3 processes"), "{error}");
}

#[test]
fn gradients_and_numbers_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let added = |group: Arc<Group>| {
        let mut params = Params::default();
        params.insert("a".into(), Tensor::from_slice(&[1.0f32, 2.0]).view([2, 1]));
        params.insert("b".into(), Tensor::from_slice(&[5.0f32]));
        let factor = group.rank() as f64 + 1.0;
        (&params.0["a"] * factor).sum(Kind::Float).backward();
        let told = group.add_up(&params, [factor, 0.0], 8).unwrap();
        assert!(!params.0["b"].grad().defined());
        (told, Vec::<f32>::try_from(params.0["a"].grad().view(-1)).unwrap())
    };
    let added: Vec<_> = groups(folder.path(), 2)
        .into_iter()
        .map(|group| thread::spawn(move || added(group)))
        .collect();
    for added in added {
        assert_eq!(added.join().unwrap(), ([1.5, 0.0], vec![1.5, 1.5]));
    }
}

#[test]
fn who_goes_on_from_another_step_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let start = |group: Arc<Group>| {
        let mut params = Params::default();
        let steps = 3 + group.rank();
        params.insert("a".into(), Tensor::from_slice(&[steps as f32]));
        let optimizer = Optimizer::new(crate::optim::Rule::Sgd, 0.0, true);
        group.start_equal(&params, &optimizer, steps).err().map(|error| error.to_string())
    };
    let started: Vec<_> = groups(folder.path(), 2)
        .into_iter()
        .map(|group| thread::spawn(move || start(group)))
        .collect();
    let mut started = started.into_iter().map(|started| started.join().unwrap());
    started.next();
    let error = started.next().unwrap().unwrap();
    assert!(error.starts_with("the first process goes on from step 3, process 1 from"), "{error}");
}

/// One process alone, as one GPU is not several: that NCCL is found, and adds.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_gpu_adds_up() {
    let device = spacewright_core::train::Device::Cuda(0);
    let compute = spacewright_core::train::Compute {
        device,
        ..spacewright_core::train::Compute::on_processor(1)
    };
    let (device, _) = crate::device::open(&compute, 0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let meeting = Meeting::File(folder.path().join("meeting"));
    let place = TeamPlace { rank: 0, processes: 1, local_rank: 0, meeting, announces: None };
    let group = Group::open(&place, device).unwrap();
    // SAFETY: the group lives.
    #[allow(unsafe_code, reason = "asks a group that lives")]
    let joins_gpus = unsafe { spacewright_group_joins_gpus(group.raw.as_ptr()) };
    assert!(joins_gpus);
    let mut params = Params::default();
    params.insert("a".into(), Tensor::from_slice(&[1.0f32, 2.0]));
    let params = params.on(device);
    (&params.0["a"] * 3.0).sum(Kind::Float).backward();
    assert_eq!(group.add_up(&params, [4.0], 8).unwrap(), [4.0]);
    let gradient = params.0["a"].grad().to_device(Device::Cpu);
    assert_eq!(Vec::<f32>::try_from(gradient).unwrap(), [3.0, 3.0]);
}

fn stages(context: &Context) -> Vec<ElasticStage> {
    context.hyperspace.uniform_spaces()[1].elastic_stages(&context.hyperspace)
}

/// Trains a supernet for some steps: its parameters without quantizers, and the losses of both phases.
fn trained(context: &Context, folder: &Path, micro_batch: usize) -> (Params, Vec<f64>) {
    let job = SupernetJob {
        stages: stages(context),
        start: Vec::new(),
        guidance: None,
        fp32: testing::phase(3),
        int8: testing::phase(2),
        label_smoothing: 0.0,
        guide: Guide::Teacher,
        micro_batch,
        augment: Vec::new(),
    };
    let [fp32, int8] = ["fp32", "int8"].map(|name| folder.join(name));
    let files = TwoPhaseFiles { fp32: fp32.clone(), int8, scratch: folder.to_owned() };
    let reports = supernet::train(context, &job, &files, &Unwatched).unwrap();
    let loss = |report: &TrainReport| report.loss.unwrap();
    let params = if context.is_first() { Params::load(&fp32).unwrap() } else { Params::default() };
    (params, reports.values().map(loss).collect())
}

/// Blocks that drop nothing out, as each process would drop other values.
struct WithoutDropout(Operators);

impl OperatorSet for WithoutDropout {
    fn name(&self) -> &str {
        "without dropout"
    }

    fn block_types(&self) -> Vec<BlockType> {
        self.0.block_types().into_iter().cloned().collect()
    }

    fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
        let mut graphs = self.0.graphs(requests)?;
        for node in graphs.iter_mut().flat_map(|graph| &mut graph.nodes) {
            if let Op::Dropout { rate } = &mut node.op {
                *rate = 0.0;
            }
        }
        Ok(graphs)
    }
}

/// Two processes with half of the images each do as one that computes the same halves, one after the other.
#[test]
fn two_processes_train_as_one_does() {
    let (alone, together) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut context = testing::context();
    let operators = WithoutDropout(context.operators.clone());
    context.job.operators = Operators::new([Arc::new(operators) as _]).unwrap();
    let (expected, expected_losses) = trained(&context, alone.path(), 4);
    let workers: Vec<_> = groups(together.path(), 2)
        .into_iter()
        .map(|group| {
            let context = Context { group: Some(group), ..context.clone() };
            let folder = together.path().to_owned();
            thread::spawn(move || trained(&context, &folder, 0))
        })
        .collect();
    let mut trained = workers.into_iter().map(|worker| worker.join().unwrap());
    let (params, losses) = trained.next().unwrap();
    let (_, other_losses) = trained.next().unwrap();
    assert_eq!(losses, other_losses);
    // With quantizers a value may lie on the other side of a border.
    for ((loss, expected), tolerance) in losses.iter().zip(&expected_losses).zip([1e-6, 1e-3]) {
        let difference = (loss - expected).abs();
        assert!(difference < tolerance * expected, "{losses:?} {expected_losses:?}");
    }
    assert_eq!(params.0.len(), expected.0.len());
    for (name, tensor) in &params.0 {
        let difference = (tensor - &expected.0[name]).abs().max().double_value(&[]);
        let size = expected.0[name].abs().max().double_value(&[]);
        assert!(difference <= 1e-4 * size.max(1e-2), "{name}: {difference} of {size}");
    }
}
