//! Losses: tensors of one element, with gradients.

use tch::{Kind, Tensor};

/// Noise-to-signal ratio of a student's stage output: mean over images, channels and positions of
/// the squared error, divided by the *teacher's* variance of the channel.
///
/// `student`, `teacher`: `n × c × h × w`; `variance`: `c`.
pub fn noise_to_signal(student: &Tensor, teacher: &Tensor, variance: &Tensor) -> Tensor {
    // A channel that is the same on all images, such as a dead one, has no variance.
    const EPSILON: f64 = 1e-5;
    let per_channel =
        (student - teacher).square().mean_dim([0i64, 2, 3].as_slice(), false, Kind::Float);
    (per_channel / (variance + EPSILON)).mean(Kind::Float)
}

/// Cross-entropy of logits (`images × classes`) with labels, of which a share of `smoothing` is
/// spread over all classes; mean over the batch.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Tensor {
    logits.cross_entropy_loss(labels, None::<&Tensor>, tch::Reduction::Mean, -100, smoothing)
}

/// Cross-entropy against a teacher's distribution, both given as logits (`images × classes`); mean
/// over the batch.
pub fn distillation(logits: &Tensor, teacher: &Tensor) -> Tensor {
    let target = teacher.softmax(-1, Kind::Float);
    -(target * logits.log_softmax(-1, Kind::Float))
        .sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)
        .mean(Kind::Float)
}

/// Kullback-Leibler divergence of a network's distribution from the `wanted` one, both given as logits (`images ×
/// classes`); mean over the batch. Zero where they are the same; only the network has a gradient.
pub fn divergence(logits: &Tensor, wanted: &Tensor) -> Tensor {
    let wanted = wanted.detach();
    let entropy = distillation(&wanted, &wanted);
    distillation(logits, &wanted) - entropy
}

/// Adaptive α-divergence (AlphaNet, arXiv 2102.07954) of a student from a teacher, both given as
/// logits (`images × classes`), with α = −1 and 1: per image the side that is larger, mean over the batch. Ratios are
/// clipped at 5; only the student has a gradient.
pub fn adaptive_alpha_divergence(student: &Tensor, teacher: &Tensor) -> Tensor {
    // That of AlphaNet's experiments: larger ratios let single images rule the gradient.
    const CLIP: f64 = 5.0;
    let teacher = teacher.detach();
    let (log_q, log_p) =
        (student.log_softmax(-1, Kind::Float), teacher.log_softmax(-1, Kind::Float));
    let (q, p) = (log_q.detach().exp(), log_p.exp());
    let log_ratio = &log_p - log_q.detach();
    let sum = |t: Tensor| t.sum_dim_intlist([-1i64].as_slice(), false, Kind::Float);

    // α = −1: f = w / 2 with w = clip(1 / r), base 1/2, ρ = −w + 1/2.
    let inverse = (-&log_ratio).exp().clamp(0.0, CLIP);
    let value_low = sum(&q * (&inverse * 0.5 - 0.5));
    let gradient_low = -sum(&q * (-&inverse + 0.5) * &log_q);
    // α = 1: f = r ln r, base 0, ρ = r; q·r = p, which stays finite where q vanishes.
    let value_high = sum(&p * &log_ratio);
    let gradient_high = -sum(&p * &log_q);

    let low = value_low.gt_tensor(&value_high);
    gradient_low.where_self(&low, &gradient_high).mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_student_has_no_noise() {
        let x = Tensor::randn([2, 3, 4, 4], (Kind::Float, tch::Device::Cpu));
        let variance = Tensor::from_slice(&[1.0f32, 1.0, 1.0]);
        assert_eq!(noise_to_signal(&x, &x, &variance).double_value(&[]), 0.0);
    }

    #[test]
    fn predicting_the_mean_costs_one() {
        let x = Tensor::randn([64, 1, 8, 8], (Kind::Float, tch::Device::Cpu));
        let variance = x.var(false).view([1]);
        let loss = noise_to_signal(&(x.mean(Kind::Float) * x.ones_like()), &x, &variance);
        assert!((loss.double_value(&[]) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn the_divergence_is_finite_where_the_student_is_sure_and_wrong() {
        let teacher = Tensor::from_slice(&[300.0f32, 0.0]).view([1, 2]);
        let student = Tensor::from_slice(&[0.0f32, 300.0]).view([1, 2]).set_requires_grad(true);
        let loss = adaptive_alpha_divergence(&student, &teacher);
        loss.backward();
        assert!(loss.double_value(&[]).is_finite());
        assert!(student.grad().abs().sum(Kind::Float).double_value(&[]) > 0.5);
    }

    #[test]
    fn the_divergence_pulls_the_student_to_the_teacher() {
        let teacher = Tensor::from_slice(&[2.0f32, 0.0, -1.0]).view([1, 3]);
        let mut student =
            Tensor::zeros([1, 3], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        for _ in 0..300 {
            student.zero_grad();
            adaptive_alpha_divergence(&student, &teacher).backward();
            tch::no_grad(|| student -= student.grad() * 0.2);
        }
        let gap = (student.softmax(-1, Kind::Float) - teacher.softmax(-1, Kind::Float)).abs().max();
        assert!(gap.double_value(&[]) < 0.02, "{}", gap.double_value(&[]));
    }
}
