//! Least squares with coefficients that are never negative.

/// Minimises ½ xᵀ G x − bᵀ x over x ≥ 0 for a positive definite matrix G, given as rows: the
/// active-set algorithm of Lawson and Hanson ("Solving Least Squares Problems", 1974, chapter 23)
/// on the normal equations.
pub fn nnls(gram: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let count = b.len();
    let tolerance = 1e-12 * b.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    let mut x = vec![0.0; count];
    let mut free: Vec<usize> = Vec::new();
    // Each round frees one coefficient; more than a few per coefficient means rounding has won.
    for _ in 0..10 * count + 10 {
        let gain = |i: usize| b[i] - (0..count).map(|j| gram[i][j] * x[j]).sum::<f64>();
        let fixed = (0..count).filter(|i| !free.contains(i));
        let Some((next, best)) = fixed.map(|i| (i, gain(i))).max_by(|a, b| a.1.total_cmp(&b.1))
        else {
            break;
        };
        if best <= tolerance {
            break;
        }
        free.push(next);
        while let Some(trial) = solve(gram, b, &free) {
            if trial.iter().all(|value| *value > 0.0) {
                x.iter_mut().for_each(|value| *value = 0.0);
                free.iter().zip(&trial).for_each(|(i, value)| x[*i] = *value);
                break;
            }
            let step = free.iter().zip(&trial).filter(|(_, to)| **to <= 0.0);
            let step = step.map(|(i, to)| x[*i] / (x[*i] - to)).fold(1.0, f64::min);
            for (i, to) in free.iter().zip(&trial) {
                x[*i] += step * (to - x[*i]);
            }
            let stuck = |(i, to): (&usize, &f64)| *to <= 0.0 && x[*i] <= 1e-14 * (1.0 + to.abs());
            let kept: Vec<usize> =
                free.iter().zip(&trial).filter(|pair| !stuck(*pair)).map(|(i, _)| *i).collect();
            let dropped = free.iter().filter(|i| !kept.contains(i));
            dropped.for_each(|i| x[*i] = 0.0);
            if kept.len() == free.len() {
                break;
            }
            free = kept;
        }
    }
    x
}

/// Solves G x = b for the coefficients `free` by Cholesky's decomposition; `None` where there are
/// none, or where rounding has made the matrix singular.
fn solve(gram: &[Vec<f64>], b: &[f64], free: &[usize]) -> Option<Vec<f64>> {
    let count = free.len();
    if count == 0 {
        return None;
    }
    let mut lower = vec![vec![0.0; count]; count];
    for i in 0..count {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
            let rest = gram[free[i]][free[j]] - known;
            if i == j {
                if rest <= 0.0 {
                    return None;
                }
                lower[i][i] = rest.sqrt();
            } else {
                lower[i][j] = rest / lower[j][j];
            }
        }
    }
    let mut x: Vec<f64> = free.iter().map(|i| b[*i]).collect();
    for i in 0..count {
        let known: f64 = (0..i).map(|k| lower[i][k] * x[k]).sum();
        x[i] = (x[i] - known) / lower[i][i];
    }
    for i in (0..count).rev() {
        let known: f64 = (i + 1..count).map(|k| lower[k][i] * x[k]).sum();
        x[i] = (x[i] - known) / lower[i][i];
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(rows: &[Vec<f64>], y: &[f64]) -> (Vec<Vec<f64>>, Vec<f64>) {
        let count = rows[0].len();
        let sum = |f: &dyn Fn(&[f64], f64) -> f64| rows.iter().zip(y).map(|(r, y)| f(r, *y)).sum();
        let gram = (0..count).map(|i| (0..count).map(|j| sum(&|r, _| r[i] * r[j])).collect());
        (gram.collect(), (0..count).map(|i| sum(&|r, y| r[i] * y)).collect())
    }

    #[test]
    fn coefficients_that_made_the_data_are_found() {
        let rows: Vec<Vec<f64>> = (0..40)
            .map(|i: i32| vec![1.0, f64::from(i % 7), f64::from(i * i % 11), f64::from(i % 3)])
            .collect();
        let truth = [0.5, 0.0, 2.0, 0.25];
        let y: Vec<f64> =
            rows.iter().map(|r| r.iter().zip(truth).map(|(a, b)| a * b).sum()).collect();
        let (gram, b) = normal(&rows, &y);
        for (found, truth) in nnls(&gram, &b).iter().zip(truth) {
            assert!((found - truth).abs() < 1e-9, "{found} {truth}");
        }
    }

    #[test]
    fn what_would_be_negative_is_zero() {
        // Unbounded least squares is (2, −1); on x₁ = 0 the best x₀ is 1.5.
        let x = nnls(&[vec![2.0, 1.0], vec![1.0, 2.0]], &[3.0, 0.0]);
        assert!((x[0] - 1.5).abs() < 1e-12 && x[1] == 0.0, "{x:?}");
        assert!(nnls(&[], &[]).is_empty());
        assert_eq!(nnls(&[vec![1.0]], &[-1.0]), [0.0]);
    }

    proptest! {
        /// The Karush-Kuhn-Tucker conditions, which only the minimum meets.
        #[test]
        fn the_minimum_is_found(
            rows in prop::collection::vec(prop::collection::vec(-1.0f64..1.0, 5), 8..30),
            noise in prop::collection::vec(-1.0f64..1.0, 30),
        ) {
            let (mut gram, b) = normal(&rows, &noise[..rows.len()]);
            (0..5).for_each(|i| gram[i][i] += 1e-3);
            let x = nnls(&gram, &b);
            for i in 0..5 {
                let slope = b[i] - (0..5).map(|j| gram[i][j] * x[j]).sum::<f64>();
                prop_assert!(x[i] >= 0.0);
                prop_assert!(slope < 1e-8 && (x[i] == 0.0 || slope > -1e-8), "{slope} {x:?}");
            }
        }
    }
}
