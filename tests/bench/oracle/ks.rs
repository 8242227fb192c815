//! The test of Kolmogorov and Smirnov for two samples: how far two distributions lie apart, and how probable that is by chance.

/// The greatest distance of two sorted samples' distributions, and the probability of one as great if both are of one kind.
pub(crate) fn two_samples(one: &[f64], other: &[f64]) -> (f64, f64) {
    let (mut at, mut d) = ([0, 0], 0.0_f64);
    while at[0] < one.len() && at[1] < other.len() {
        let next = one[at[0]].min(other[at[1]]);
        at[0] += one[at[0]..].iter().take_while(|value| **value <= next).count();
        at[1] += other[at[1]..].iter().take_while(|value| **value <= next).count();
        d = d.max((at[0] as f64 / one.len() as f64 - at[1] as f64 / other.len() as f64).abs());
    }
    let (n, m) = (one.len() as f64, other.len() as f64);
    let root = (n * m / (n + m)).sqrt();
    // Stephens' correction for samples that are not large.
    (d, probability((root + 0.12 + 0.11 / root) * d))
}

/// The tail of Kolmogorov's distribution.
fn probability(lambda: f64) -> f64 {
    if lambda < 0.2 {
        return 1.0;
    }
    let term = |k: i32| (-2.0 * f64::from(k * k) * lambda * lambda).exp() * if k % 2 == 1 { 2.0 } else { -2.0 };
    (1..100).map(term).sum::<f64>().clamp(0.0, 1.0)
}
