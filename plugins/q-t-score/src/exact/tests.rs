use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use spacewright_core::space::Hyperspace;

use super::*;
use crate::testing::{self, LIMITS, problem};

fn tables(hyperspace: &Hyperspace, composition: Composition, rows: usize) -> Tables {
    Tables::new(&problem(hyperspace, composition, rows), &[]).unwrap()
}

#[test]
fn the_grid_agrees_with_enumeration() {
    let hyperspace = testing::hyperspace();
    let space = Space::parse("mini-0123-0101", &hyperspace).unwrap();
    for (composition, rows) in [(Composition::Consistent, 24), (Composition::Independent, 9)] {
        let tables = tables(&hyperspace, composition, rows);
        assert!(tables.most_subnets(composition) > ENUMERATED);
        let exact = Exact::new(&tables, composition, &LIMITS, TopShare::new(100_000, 50));
        let subnets = enumerate::subnets(&tables, &space, composition);
        let mass: f64 = subnets.iter().map(|subnet| subnet.mass).sum();
        assert!((mass - 1.0).abs() < 1e-9, "{mass}");
        let enumerated = exact.of_subnets(subnets);
        let finer = exact.finer(&tables, &space).unwrap();
        for ((grid, finer), truth) in exact.best(&tables, &space).iter().zip(&finer).zip(enumerated)
        {
            let error = |best: &BestSubnets| (best.loss.unwrap() / truth.loss.unwrap() - 1.0).abs();
            assert!(error(grid) < 1e-3, "{composition:?}: {grid:?} {truth:?}");
            assert!(error(finer) < 3e-4, "{composition:?}: {finer:?} {truth:?}");
            assert!((grid.feasible / truth.feasible - 1.0).abs() < 2e-3, "{grid:?} {truth:?}");
        }
    }
}

#[test]
fn results_do_not_depend_on_what_was_asked_before_or_on_threads() {
    let hyperspace = testing::hyperspace();
    let composition = Composition::Consistent;
    let tables = tables(&hyperspace, composition, 24);
    let exact = || Exact::new(&tables, composition, &LIMITS, TopShare::new(100_000, 50));
    let rng = &mut Pcg64Mcg::seed_from_u64(1);
    let spaces: Vec<Space> = (0..40).map(|_| Space::random(&hyperspace, rng)).collect();
    let one = exact();
    let forward: Vec<_> = spaces.iter().map(|space| one.best(&tables, space)).collect();
    let other = exact();
    let mut backward: Vec<_> =
        spaces.iter().rev().map(|space| other.best(&tables, space)).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    let shared = exact();
    let together: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| spaces.iter().map(|s| shared.best(&tables, s)).collect()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(together.iter().all(|results: &Vec<_>| *results == forward));
}

#[test]
fn nothing_feasible_has_no_loss() {
    let hyperspace = testing::hyperspace();
    let space = Space::parse("mini-0123-0101", &hyperspace).unwrap();
    for (composition, rows) in [(Composition::Consistent, 3), (Composition::Consistent, 24)] {
        let tables = tables(&hyperspace, composition, rows);
        let exact = Exact::new(&tables, composition, &[0.1], TopShare::new(1000, 10));
        let best = exact.best(&tables, &space)[0];
        assert!(best.feasible < 1e-9 && best.loss.is_none_or(f64::is_finite), "{best:?}");
    }
}

#[test]
fn no_more_than_all_subnets_are_feasible() {
    let hyperspace = testing::hyperspace();
    let space = Space::parse("mini-0123-0101", &hyperspace).unwrap();
    for rows in 1..=12 {
        for composition in [Composition::Consistent, Composition::Independent] {
            let tables = tables(&hyperspace, composition, rows);
            let exact = Exact::new(&tables, composition, &[1e6], TopShare::new(1000, 10));
            let feasible = exact.best(&tables, &space)[0].feasible;
            assert!(feasible <= 1.0 && feasible > 1.0 - 1e-6, "{composition:?} {rows}: {feasible}");
        }
    }
}

#[test]
fn distributions_hold_the_feasible_subnets_and_their_best() {
    let hyperspace = testing::hyperspace();
    let space = Space::parse("mini-0123-0101", &hyperspace).unwrap();
    let top = || TopShare::new(100_000, 50);
    for (rows, exactness) in [(3, 1e-9), (24, 1e-3)] {
        let composition = Composition::Consistent;
        let tables = tables(&hyperspace, composition, rows);
        let exact = Exact::new(&tables, composition, &LIMITS, top());
        for (limit, best) in exact.best(&tables, &space).iter().enumerate() {
            let points = exact.distribution(&tables, &space, limit);
            assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            let (mut below, mut within, mut sum) = (0.0, 0.0, 0.0);
            for (loss, share) in points {
                below += share;
                let edge = top().at(below);
                sum += loss * (edge - within);
                within = edge;
            }
            assert!((below / best.feasible - 1.0).abs() < 1e-4, "{below} {best:?}");
            assert!((sum / within / best.loss.unwrap() - 1.0).abs() < exactness, "{rows} {best:?}");
        }
    }
}

#[test]
fn a_limit_counts_alike_beside_others_however_far_they_are() {
    let hyperspace = testing::hyperspace();
    let space = Space::parse("mini-0123-0101", &hyperspace).unwrap();
    for composition in [Composition::Consistent, Composition::Independent] {
        let tables = tables(&hyperspace, composition, 24);
        assert!(tables.most_subnets(composition) > ENUMERATED);
        let both = |limits: &[f64]| {
            let exact = Exact::new(&tables, composition, limits, TopShare::new(100_000, 50));
            let points = exact.distribution(&tables, &space, 0);
            (exact.best(&tables, &space), exact.finer(&tables, &space).unwrap(), points)
        };
        let (alone, finer, points) = both(&[5.0]);
        for other in [1e-300, 1e-20, 1e-3, 100.0, 1e6, 1e300] {
            let (best, finer_too, points_too) = both(&[5.0, other]);
            assert_eq!((best[0], finer_too[0], &points_too), (alone[0], finer[0], &points));
            let feasible = if other < 1.0 { 0.0 } else { 1.0 };
            for best in [best[1], finer_too[1]] {
                assert!((best.feasible - feasible).abs() < 1e-6, "{other}: {best:?}");
            }
        }
    }
}

#[test]
fn near_limits_share_a_grid() {
    assert_eq!(near_limits(&[20.0, 1000.0, 3.0, 15.0, 2000.0]), [vec![2, 3, 0], vec![1, 4]]);
}

#[test]
fn outliers_and_limits_that_are_far_apart_do_no_harm() {
    let hyperspace = testing::hyperspace();
    let composition = Composition::Consistent;
    let space = Space::parse("mini-0123-0101", &hyperspace).unwrap();
    let limits = [0.02, 8.0, 1e4];
    let best = |tables: &Tables| {
        Exact::new(tables, composition, &limits, TopShare::new(100_000, 50)).best(tables, &space)
    };
    let plain = best(&tables(&hyperspace, composition, 24));
    let mut spoiled = problem(&hyperspace, composition, 24);
    for (cell, columns) in &mut spoiled.cells {
        columns.loss[0] = 1e9;
        if cell.block == 4 {
            columns.loss.fill(1e9);
        }
    }
    let spoiled = best(&Tables::new(&spoiled, &[]).unwrap());
    assert!((plain[2].feasible - 1.0).abs() < 1e-6, "{plain:?}");
    for (plain, spoiled) in plain.iter().zip(&spoiled).skip(1) {
        assert!((plain.feasible - spoiled.feasible).abs() < 1e-6, "{plain:?} {spoiled:?}");
        let (a, b) = (plain.loss.unwrap(), spoiled.loss.unwrap());
        assert!((a / b - 1.0).abs() < 0.02, "{a} {b}");
    }
}
