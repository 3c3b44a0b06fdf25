//! Fits to made-up times with known answers.

use spacewright_core::kernel::{Kernel, Kind};

use super::*;
use crate::{physical::Group, predict::Predictor};

/// Depth-wise convolutions take twice as long from 65 channels on: nothing physical knows that.
fn truth(kernel: &Kernel) -> f64 {
    let mut physical = crate::physical::Physical::default();
    physical.coefficients[Group::Of(Kind::Dwconv).index()][..2].copy_from_slice(&[0.01, 1e-6]);
    physical.coefficients[Group::Of(Kind::Add).index()][..2].copy_from_slice(&[0.005, 1e-6]);
    let cliff = kernel.kind == Kind::Dwconv && kernel.cin > 64;
    physical.ms(kernel, &kernel.amounts()) * if cliff { 2.0 } else { 1.0 }
}

fn dw(channels: u32, size: u32) -> Kernel {
    Kernel { kernel: [3; 2], ..Kernel::pointwise(Kind::Dwconv, size, size, channels) }
}

/// Sums of a convolution and up to two additions, of which every 23rd is five times too slow.
fn rows() -> KernelSums {
    let mut rows = KernelSums::default();
    for index in 0..1200 {
        let kernel = dw(8 * (1 + index % 16), 7 * (1 + index / 16 % 5));
        let add = Kernel::pointwise(Kind::Add, 14, 14, 8 * (1 + index / 7 % 16));
        let kernels = &[kernel, add, add][..1 + index as usize / 3 % 3];
        let ms: f64 = kernels.iter().map(truth).sum();
        rows.push(kernels, if index % 23 == 7 { 5.0 * ms } else { ms }, 1.0);
    }
    rows
}

fn settings() -> Settings {
    Settings { trees: 60, depth: 4, ..Settings::default() }
}

fn model() -> Model {
    let rows = rows();
    let split = Split::rows(rows.len(), 4, 1);
    let predicted = held_out(&rows, &settings(), &split).unwrap();
    let [name, summary, source, fingerprint] = ["made-up", "", "", ""].map(str::to_owned);
    let precision = Precision::Int8;
    let statement = ModelDescription { name, summary, source, fingerprint, precision };
    fit_model(&rows, &settings(), &FusionRules::common(), statement, &[predicted]).unwrap()
}

#[test]
fn times_of_kernels_are_recovered_from_sums() {
    let predictor = Predictor::new(model()).unwrap();
    for channels in [8, 64, 72, 128] {
        for size in [7, 35] {
            let kernel = dw(channels, size);
            let error = predictor.kernel(&kernel) / truth(&kernel) - 1.0;
            assert!(error.abs() < 0.05, "{kernel}: {error}");
        }
    }
}

#[test]
fn errors_are_stated_for_rows_that_were_held_out() {
    let model = model();
    let accuracy = model.held_out[0].accuracy;
    assert_eq!((accuracy.rows, model.held_out[0].how.as_str()), (1200, "random rows, 4 folds"));
    // One row in 23 is an outlier.
    assert!(accuracy.within_5 > 0.93 && accuracy.within_10 < 0.96, "{accuracy:?}");
    assert!(accuracy.median_error < 0.01, "{accuracy:?}");
    let all = model.intervals.all;
    assert!(all.q05 > -0.05 && all.q50.abs() < 0.01 && all.q90 < 0.05, "{all:?}");
    assert!(model.intervals.dominated_by.contains_key(&Group::Of(Kind::Dwconv)));
}

#[test]
fn a_fit_can_be_repeated() {
    assert_eq!(fit(&rows(), &settings()).unwrap(), fit(&rows(), &settings()).unwrap());
}

#[test]
fn a_tree_is_known_where_one_split_explains_everything() {
    let mut rows = KernelSums::default();
    for index in 0..400 {
        let kernel = dw(8 * (1 + index % 16), 14);
        // 0.01 ms and e^0.2 times that: within the step of one leaf.
        let step: f64 = if kernel.cin > 64 { 0.2 } else { 0.0 };
        rows.push(&[kernel], 0.01 * step.exp(), 1.0);
    }
    let constant = crate::physical::Physical {
        coefficients: std::array::from_fn(|group| {
            std::array::from_fn(|term| {
                if group == Group::Of(Kind::Dwconv).index() && term == 0 { 0.01 } else { 0.0 }
            })
        }),
    };
    let bins = bins::Bins::of(rows.kernels());
    let settings =
        Settings { trees: 1, depth: 1, shrinkage: 1e-9, outlier_scale: 1e9, ..settings() };
    let trees = boost::boost(&rows, &constant, &bins, &settings);
    let (feature, edge) = trees[0].splits[0];
    // Channels, multiply-adds and sizes split alike here: the first of them counts.
    assert_eq!(Feature::ALL[usize::from(feature)], Feature::Cin);
    assert_eq!(bins.edges[usize::from(feature)][usize::from(edge)], 68.0);
    assert_eq!(trees[0].leaves, [0.0, 0.2]);
}

#[test]
fn held_out_keys_hold_out_every_row_that_has_one() {
    let split = Split::keys("width", &[vec![8, 16], vec![24], vec![16, 32], vec![8]], 2);
    // Sorted keys 8 16 24 32: the first fold has 8 and 24, the second 16 and 32.
    assert_eq!(split.folds, [[true, true, false, true], [true, false, true, false]]);
    let rows = Split::rows(1000, 5, 3);
    for row in 0..1000 {
        assert_eq!(rows.folds.iter().filter(|fold| fold[row]).count(), 1);
    }
    assert!(
        rows.folds.iter().all(|fold| (150..250).contains(&fold.iter().filter(|h| **h).count()))
    );
}

#[test]
fn what_cannot_be_fitted_is_said() {
    let error =
        |rows: &KernelSums, settings: &Settings| fit(rows, settings).unwrap_err().to_string();
    assert_eq!(error(&KernelSums::default(), &settings()), "no measurements to fit to");
    let deep = Settings { depth: 9, ..settings() };
    assert_eq!(error(&rows(), &deep), "depth = 9 is not at most 8");
    let hasty = Settings { learning_rate: 1.5, ..settings() };
    assert_eq!(error(&rows(), &hasty), "learning_rate = 1.5 is not above 0 and at most 1");
    let nothing = Settings { shrinkage: f64::NAN, ..settings() };
    assert_eq!(error(&rows(), &nothing), "shrinkage = NaN is not a positive number");
    let split = Split { how: "all".into(), folds: vec![vec![true; 1200]] };
    let error = held_out(&rows(), &settings(), &split).unwrap_err().to_string();
    assert_eq!(error, "split `all`, fold 0: holds out 1200 of 1200 rows, so nothing is learnt");
}
