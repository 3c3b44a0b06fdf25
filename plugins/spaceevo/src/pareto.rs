//! Which points no other one beats.

/// Positions, rising, of the points that no other one dominates: none is at least as high in every
/// objective and higher in one. All points have the same number of objectives.
pub fn pareto(points: &[Vec<f64>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    let descending = |a: &usize, b: &usize| {
        let objectives = points[*b].iter().zip(&points[*a]);
        objectives.map(|(b, a)| b.total_cmp(a)).find(|order| order.is_ne())
    };
    // What dominates a point stands before it.
    order.sort_by(|a, b| descending(a, b).unwrap_or(a.cmp(b)));
    let mut front: Vec<usize> = Vec::new();
    for at in order {
        if !front.iter().any(|&other| dominates(&points[other], &points[at])) {
            front.push(at);
        }
    }
    front.sort_unstable();
    front
}

fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a >= b) && a.iter().zip(b).any(|(a, b)| a > b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn trade_offs_stay_and_what_is_worse_goes() {
        let points = [[1.0, 3.0], [2.0, 2.0], [1.0, 2.0], [3.0, 0.0], [2.0, 2.0]];
        assert_eq!(pareto(&points.map(Vec::from)), [0, 1, 3, 4]);
        assert_eq!(pareto(&[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn the_rest_is_dominated_and_the_front_is_not(
            points in prop::collection::vec(prop::collection::vec(0..6u8, 3), 0..40)
        ) {
            let points: Vec<Vec<f64>> =
                points.into_iter().map(|p| p.into_iter().map(f64::from).collect()).collect();
            let front = pareto(&points);
            prop_assert!(front.windows(2).all(|pair| pair[0] < pair[1]));
            for (at, point) in points.iter().enumerate() {
                let dominated = points.iter().any(|other| dominates(other, point));
                prop_assert_eq!(front.contains(&at), !dominated);
                let by_front = front.iter().any(|&other| dominates(&points[other], point));
                prop_assert_eq!(dominated, by_front);
            }
        }

        #[test]
        fn of_one_objective_the_front_is_the_best(
            points in prop::collection::vec(0..9u8, 1..30)
        ) {
            let best = *points.iter().max().unwrap();
            let all: Vec<Vec<f64>> = points.iter().map(|p| vec![f64::from(*p)]).collect();
            prop_assert!(pareto(&all).into_iter().all(|at| points[at] == best));
        }
    }
}
